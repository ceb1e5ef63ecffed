"""What a captioner tells of picture files, with the logarithms of the probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import CutmixError, UsageError
from cutmix.recipes.trained import free_picture, picture_files

if TYPE_CHECKING:
    from cutmix.recipes.start_transfer import Transferred


def predict_captions(
    transferred: Transferred, images: Iterable[Path], *, top: int = 5, folder: Path | None = None, cpu: bool = False
) -> Iterator[dict[str, Any]]:
    """Of each picture: ``image``, ``captions`` (likeliest first) or ``problem``, and ``picture`` if drawn.

    A caption has ``log_probability`` (base e, of all its words and its end) and ``ended``: whether it came to an end
    before it was cut off.

    Args:
        top: how many captions; there are no more than the task's beam has.
        folder: where to draw the pictures; None draws none.

    Raises:
        UsageError: the transfer is no captioner, there are no such files, or ``top`` is not positive.
    """
    import numpy as np
    import torch

    from cutmix.data import CaptionSplit, read_photo
    from cutmix.transfer.batches import Place, TestPictures
    from cutmix.transfer.caption_pictures import captions_picture
    from cutmix.transfer.caption_words import Vocabulary
    from cutmix.transfer.nic import NIC

    task = transferred.task
    if not isinstance(task, NIC):
        raise UsageError(f"{task} tells no captions")
    if top < 1:
        raise UsageError(f"the number of captions must be at least 1, got {top}")
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    network, vocabulary = transferred.network.to(device).eval(), Vocabulary(transferred.classes)
    taken: set[Path] = set()
    for path in picture_files(images):
        try:
            (batch,) = TestPictures(task, CaptionSplit((path,), ((),)), 1, Place(device, workers=0))
        except CutmixError as error:
            yield {"image": str(path), "problem": str(error)}
            continue
        with torch.no_grad():
            (hypotheses,) = network(batch.images)
        told = [
            {
                "caption": " ".join(vocabulary.decode(hypothesis.words)),
                "log_probability": round(hypothesis.log_probability, 4),
                "ended": hypothesis.ended,
            }
            for hypothesis in hypotheses[:top]
        ]
        drawn = free_picture(folder, f"{path.stem}-caption", taken) if folder else None
        if drawn:
            lines = "\n".join(f"{entry['log_probability']:.1f}  {entry['caption']}" for entry in told)
            captions_picture([np.asarray(read_photo(path))], [lines], drawn, title=path.name)
        yield {"image": str(path), "captions": told, **({"picture": str(drawn)} if drawn else {})}
