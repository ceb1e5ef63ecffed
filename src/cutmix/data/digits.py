"""scikit-learn's digits: 1,797 handwritten digits of 8x8 pixels, bundled with the library, nothing to download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cutmix.data.arrays import resized, rgb
from cutmix.data.chance import stratified_split
from cutmix.data.known import KnownSet
from cutmix.data.splits import ArraySplit, Data, measured_mean_std

SPLIT_SEED = 0


def load_digits(root: Path, image_size: int | None = None) -> Data:
    """1,437 train and 360 test images, a stratified split that is always the same. Grey 0..16 becomes RGB 0..255."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    images = rgb(np.rint(bunch.images * (255 / 16)).astype(np.uint8))
    every = resized(ArraySplit(images, bunch.target.astype(np.int64)), image_size)
    train_rows, test_rows = stratified_split(every.labels_N, 0.2, SPLIT_SEED)
    train, test = every.subset(train_rows), every.subset(test_rows)
    mean, std = measured_mean_std(train.images_NHWC)
    return Data(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        train=train,
        test=test,
        mean=mean,
        std=std,
        image_size=image_size or 8,
        flip=False,
        note=f"stratified 80/20 split drawn with seed {SPLIT_SEED}",
    )


SETS = (KnownSet("digits", "1,797 handwritten digits, 8x8 grey (comes with scikit-learn)", load_digits),)
