"""What a fine-tuned detector finds in picture files, and the pictures with boxes drawn on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import CutmixError, UsageError
from cutmix.recipes.trained import free_picture, picture_files

if TYPE_CHECKING:
    from cutmix.recipes.start_transfer import Transferred


def predict_boxes(
    transferred: Transferred,
    images: Iterable[Path],
    *,
    least: float = 0.5,
    folder: Path | None = None,
    cpu: bool = False,
) -> Iterator[dict[str, Any]]:
    """Of each picture: ``image``, ``found`` (class, score, box in pixels) or ``problem``, and ``picture`` if drawn.

    Args:
        least: the lowest score to be told.
        folder: where to draw the pictures; None draws none.

    Raises:
        UsageError: the transfer is no detector, there are no such files, or ``least`` is no share.
    """
    import numpy as np
    import torch

    from cutmix.data import BoxSplit, make_boxes, read_photo
    from cutmix.transfer.batches import Place, TestPictures
    from cutmix.transfer.box_pictures import BoxPicture, boxes_picture
    from cutmix.transfer.detection import Detection, detect

    task = transferred.task
    if not isinstance(task, Detection):
        raise UsageError(f"{task} finds no boxes")
    if not 0 <= least <= 1:
        raise UsageError(f"the lowest score is between 0 and 1, got {least}")
    device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
    network = transferred.network.to(device)
    taken: set[Path] = set()
    for path in picture_files(images):
        split = BoxSplit((path,), (make_boxes([], []),))
        try:
            (batch,) = TestPictures(task, split, 1, Place(device, workers=0))
        except CutmixError as error:
            yield {"image": str(path), "problem": str(error)}
            continue
        ((_, found),) = detect(network, batch)
        sure = np.flatnonzero(found.scores_D >= least)
        told = [
            {"class": transferred.classes[int(found.labels_D[k])], "score": round(float(found.scores_D[k]), 4),
             "box": [round(float(edge), 1) for edge in found.xyxy_D4[k]]}
            for k in sure
        ]  # fmt: skip
        drawn = free_picture(folder, f"{path.stem}-boxes", taken) if folder else None
        if drawn:
            names = [f"{entry['class']} {entry['score']:.2f}" for entry in told]
            boxes_picture(
                [BoxPicture(np.asarray(read_photo(path)), found.xyxy_D4[sure], names)], drawn, title=path.name
            )
        yield {"image": str(path), "found": told, **({"picture": str(drawn)} if drawn else {})}
