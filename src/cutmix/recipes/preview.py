"""What the mixing methods make of a data set's images, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cutmix.errors import UsageError
from cutmix.recipes.build import make_mixing


def preview(
    data: str,
    mixings: Sequence[str],
    out: Path,
    *,
    images: int = 8,
    seed: int = 0,
    data_root: Path | None = None,
    image_size: int = 0,
) -> None:
    """Draw the same training images under each mixing, a row a method, with the share of each label.

    Args:
        data: a data set.
        mixings: constructor calls; without any: no mixing, Mixup, Cutout (half the side, as in the paper) and CutMix.
        out: the picture's file.
        images: how many images, at least 1.
        seed: chooses images, boxes and shares.

    Raises:
        UsageError: an unknown method or data set, or no images.
    """
    for text in mixings:
        make_mixing(text)  # a typing error is found before any data is read
    if images < 1:
        raise UsageError(f"a preview needs at least 1 image, got {images}")

    import numpy as np

    from cutmix.data import NoAugment, load_data, train_batches
    from cutmix.pictures import denormalise, methods_picture, share_captions

    loaded = load_data(data, data_root, image_size=image_size or None)
    count = min(images, len(loaded.train))
    batches = train_batches(loaded, batch_size=count, seed=seed, augment=NoAugment(), workers=0)
    batch = next(batches.epoch(0))
    rows = []
    for text in mixings or ("NoMixing", "MixUp", f"Cutout(size={loaded.image_size // 2})", "CutMix"):
        method = make_mixing(text).at(0.5)  # as it is in the middle of a run
        mixed, target = method(batch.images_BCHW, batch.labels_B, np.random.default_rng([seed, 1]))
        captions = share_captions(
            target.labels.tolist(), target.partner_labels.tolist(), target.share.tolist(), loaded.classes
        )
        name = "original" if type(method).__name__ == "NoMixing" else text
        rows.append((name, denormalise(mixed, loaded.mean, loaded.std), captions))
    methods_picture(rows, out)
