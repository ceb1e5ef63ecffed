"""A data set: a train and a test split, class names, and the constants that the network's input needs.

Shapes: N images of a split, H x W pixels, C = 3 channels (always RGB).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np

from cutmix.data.boxes import BoxReader
from cutmix.data.chance import even_subset
from cutmix.data.photos import read_photo
from cutmix.errors import UsageError

SMALL_SIDE = 64
"""Images of at most this many pixels a side are small: they live in memory, and are looked at whole."""
SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class ArraySplit:
    """Small images in memory: ``images_NHWC`` uint8 RGB, ``labels_N`` int64; ``UsageError`` for anything else.

    ``read_boxes`` gives the boxes of what the images show, where there are such.
    """

    images_NHWC: np.ndarray
    labels_N: np.ndarray
    read_boxes: BoxReader | None = None

    def __post_init__(self) -> None:
        images, labels = self.images_NHWC, self.labels_N
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise UsageError(f"images are {images.dtype} of shape {images.shape}; uint8 (N, H, W, 3) is accepted.")
        _require_labels(labels, len(images))

    def __len__(self) -> int:
        return len(self.labels_N)

    def __repr__(self) -> str:
        return f"<{len(self)} images of {self.images_NHWC.shape[1]}x{self.images_NHWC.shape[2]}>"

    def pictures(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The images at ``indices`` as (H, W, 3) uint8 arrays, for showing."""
        return [self.images_NHWC[index] for index in indices]

    def subset(self, indices: Sequence[int] | np.ndarray) -> ArraySplit:
        """The images at ``indices``, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        return ArraySplit(self.images_NHWC[rows], self.labels_N[rows], _of_rows(self.read_boxes, rows))


@dataclass(frozen=True, eq=False, repr=False)
class PhotoSplit:
    """Picture files of any size, decoded when they are needed: ``paths``, ``labels_N`` int64.

    ``read_boxes`` gives the boxes of what the pictures show, where there are such.
    """

    paths: tuple[Path, ...]
    labels_N: np.ndarray
    read_boxes: BoxReader | None = None

    def __post_init__(self) -> None:
        _require_labels(self.labels_N, len(self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<{len(self)} photos>"

    def pictures(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The files at ``indices`` decoded to (H, W, 3) uint8 arrays, each of its own size."""
        return [np.asarray(read_photo(self.paths[index])) for index in indices]

    def subset(self, indices: Sequence[int] | np.ndarray) -> PhotoSplit:
        """The files at ``indices``, in that order."""
        rows = np.asarray(indices, dtype=np.int64)
        paths = tuple(self.paths[row] for row in rows.tolist())
        return PhotoSplit(paths, self.labels_N[rows], _of_rows(self.read_boxes, rows))


Split = ArraySplit | PhotoSplit


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, ready for training.

    ``mean`` and ``std`` are a channel's, in units where a pixel lies in [0, 1]. ``image_size`` is the side fed to the
    network. ``flip`` says whether mirroring keeps the class (not for digits). ``note`` says what a reader of the
    numbers should know: which split was drawn, which images were left out. ``squared`` is the square to which the test
    view resizes a photo, its aspect ignored, before the middle is cropped; 0 keeps the aspect, as usual.

    Raises ``UsageError`` if a split is empty, a label names no class, a class is tested but not trained, or there are
    fewer than two classes.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_size: int
    flip: bool
    note: str = ""
    squared: int = 0

    def __post_init__(self) -> None:
        if self.squared and self.squared < self.image_size:
            raise UsageError(f"squared is {self.squared}; 0, or at least image_size ({self.image_size}) is accepted.")
        if len(self.classes) < 2:
            raise UsageError(f"{self.name} has {len(self.classes)} class; at least 2 are needed to classify.")
        if len(set(self.classes)) != len(self.classes):
            raise UsageError(f"{self.name} names a class twice: {_twice(self.classes)}.")
        for part, split in (("train", self.train), ("test", self.test)):
            _require_split(f"the {part} part of {self.name}", split, len(self.classes), self.image_size)
        _require_trained(self)
        if min(self.std) <= 0:
            raise UsageError(f"{self.name} has std {self.std}; every channel must vary.")

    @property
    def num_classes(self) -> int:
        """How many classes there are, K."""
        return len(self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for what is trained and tested on: class names, and each split with its labels.

        Of small images the pixels count, as they are fed to the network. Of photos the paths below the folder that
        holds them all count, not the content: 1.3 million files are not read for it, and the folder may be moved.
        """
        digest = blake2b(json.dumps(self.classes).encode(), digest_size=8)
        root = len(_common_folder([path for split in self._photo_splits() for path in split.paths]))
        for split in (self.train, self.test):
            digest.update(b"%d\0" % len(split))
            digest.update(split.labels_N.astype("<i8").tobytes())
            if isinstance(split, PhotoSplit):
                digest.update(os.fsencode("\0".join(path.as_posix()[root:] for path in split.paths)))
            else:
                digest.update(b"%d\0%d\0" % split.images_NHWC.shape[1:3])
                digest.update(np.ascontiguousarray(split.images_NHWC).reshape(-1).data)
        return digest.hexdigest()

    def with_train_images(self, count: int) -> Data:
        """The same data with ``count`` of its training images, drawn as evenly over the classes as they allow.

        The draw is the data's own: no run's seed takes part, and a smaller draw is part of every larger one.

        Raises ``UsageError`` unless ``count`` is from one image a class to all that there are.
        """
        if not self.num_classes <= count <= len(self.train):
            raise UsageError(
                f"train_images is {count}; {self.name} has {self.num_classes} classes and {len(self.train)} training "
                f"images: from {self.num_classes} to {len(self.train)} are accepted, or 0 for all."
            )
        train = self.train.subset(even_subset(self.train.labels_N, count, seed=0))
        note = f"{count:,} of {len(self.train):,} training images, drawn evenly over the classes"
        return replace(self, train=train, note="; ".join(filter(None, (self.note, note))))

    def _photo_splits(self) -> list[PhotoSplit]:
        return [split for split in (self.train, self.test) if isinstance(split, PhotoSplit)]


def measured_mean_std(images_NHWC: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel over all pixels, in [0, 1] units."""
    counts_CV = np.stack([np.bincount(images_NHWC[..., channel].ravel(), minlength=256) for channel in range(3)])
    values_V = np.arange(256) / 255
    shares_CV = counts_CV / counts_CV.sum(axis=1, keepdims=True)
    mean_C = shares_CV @ values_V
    std_C = np.sqrt((shares_CV * (values_V - mean_C[:, None]) ** 2).sum(axis=1))
    (mr, mg, mb), (sr, sg, sb) = (tuple(round(float(v), 4) for v in values) for values in (mean_C, std_C))
    return (mr, mg, mb), (sr, sg, sb)


def _of_rows(read_boxes: BoxReader | None, rows: np.ndarray) -> BoxReader | None:
    return None if read_boxes is None else lambda: read_boxes().subset(rows)


def _common_folder(paths: Sequence[Path]) -> str:
    """What all paths begin with, up to and with a slash."""
    if not paths:
        return ""
    texts = [path.as_posix() for path in paths]
    # What the first and the last in order share, all share. It is cut at a slash below.
    shared = os.path.commonprefix([min(texts), max(texts)])  # noqa: RUF071
    return shared[: shared.rfind("/") + 1]


def _require_labels(labels_N: np.ndarray, count: int) -> None:
    if labels_N.dtype != np.int64 or labels_N.shape != (count,):
        raise UsageError(f"labels are {labels_N.dtype} of shape {labels_N.shape}; int64 ({count},) is accepted.")


def _require_split(what: str, split: Split, num_classes: int, image_size: int) -> None:
    if len(split) == 0:
        raise UsageError(f"{what} holds no images.")
    low, high = int(split.labels_N.min()), int(split.labels_N.max())
    if low < 0 or high >= num_classes:
        accepted = f"with {num_classes} classes 0 to {num_classes - 1} are accepted"
        raise UsageError(f"{what} has labels from {low} to {high}; {accepted}.")
    if isinstance(split, ArraySplit) and split.images_NHWC.shape[1:3] != (image_size, image_size):
        height, width = split.images_NHWC.shape[1:3]
        raise UsageError(f"{what} holds images of {height}x{width}; image_size is {image_size}, a square side.")


def _require_trained(data: Data) -> None:
    only_tested = np.setdiff1d(data.test.labels_N, data.train.labels_N).tolist()
    if only_tested:
        names = ", ".join(data.classes[label] for label in only_tested[:SHOWN])
        more = ", ..." if len(only_tested) > SHOWN else ""
        raise UsageError(
            f"{data.name} has test images but no training image of {len(only_tested)} class(es): {names}{more}."
        )


def _twice(names: Sequence[str]) -> str:
    return repr(next(name for position, name in enumerate(names) if name in names[:position]))
