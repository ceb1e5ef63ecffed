"""Small images as two files, ``train.npz`` and ``test.npz``.

Each holds ``images`` uint8 (N, H, W, 3) or grey (N, H, W), ``labels`` whole numbers (N,), and ``classes``, the K names,
which are the same in both files.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from cutmix.data.splits import SMALL_SIDE, ArraySplit, Data, measured_mean_std
from cutmix.errors import CutmixError, UsageError

MEMBERS = ("images", "labels", "classes")


def load_arrays(folder: Path, image_size: int | None = None) -> Data:
    """The set in ``folder``, with mean and std measured on its train part. ``flip`` is True: say so if it is wrong.

    Raises ``CutmixError`` for files that do not hold what is accepted.
    """
    train, test, classes = read_arrays(folder)
    train, test = resized(train, image_size), resized(test, image_size)
    mean, std = measured_mean_std(train.images_NHWC)
    return Data(folder.resolve().name, classes, train, test, mean, std, square_side(train, str(folder)), flip=True)


def read_arrays(folder: Path) -> tuple[ArraySplit, ArraySplit, tuple[str, ...]]:
    """(train, test, class names) of the two files in ``folder``."""
    train, train_classes = read_npz(folder / "train.npz")
    test, test_classes = read_npz(folder / "test.npz")
    if train_classes != test_classes:
        raise CutmixError(
            f"{folder}: train.npz names the classes {_shown(train_classes)}, test.npz {_shown(test_classes)}; "
            "both must list the same names in the same order."
        )
    return train, test, train_classes


def read_npz(path: Path) -> tuple[ArraySplit, tuple[str, ...]]:
    """The images, labels and class names of one file."""
    images, labels, classes = _members(path)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise CutmixError(
            f"{path}: images are {images.dtype} of shape {images.shape}; "
            "uint8 (N, H, W, 3) or grey (N, H, W) is accepted."
        )
    if len(images) == 0:
        raise CutmixError(f"{path}: holds no images.")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise CutmixError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}; "
            f"whole numbers of shape ({len(images)},) are accepted."
        )
    if classes.dtype.kind != "U" or classes.ndim != 1:
        raise CutmixError(f"{path}: classes are {classes.dtype} of shape {classes.shape}; text (K,) is accepted.")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise CutmixError(
            f"{path}: labels go from {labels.min()} to {labels.max()}; "
            f"with {len(classes)} classes 0 to {len(classes) - 1} are accepted."
        )
    return ArraySplit(rgb(images), labels.astype(np.int64)), tuple(classes.tolist())


def rgb(images: np.ndarray) -> np.ndarray:
    """uint8 grey (N, H, W) or (N, H, W, 1), or RGB (N, H, W, 3), as contiguous RGB (N, H, W, 3)."""
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))


def resized(split: ArraySplit, image_size: int | None) -> ArraySplit:
    """The split with every image resized (bilinear) to ``image_size``, at most 64; itself if it has that side."""
    if image_size is None or split.images_NHWC.shape[1:3] == (image_size, image_size):
        return split
    if not 1 <= image_size <= SMALL_SIDE:
        raise UsageError(f"image_size is {image_size}; images in memory can be resized to 1 to {SMALL_SIDE} pixels.")
    from PIL import Image

    images = np.empty((len(split), image_size, image_size, 3), dtype=np.uint8)
    for row, image_HWC in enumerate(split.images_NHWC):
        picture = Image.fromarray(image_HWC).resize((image_size, image_size), Image.Resampling.BILINEAR)
        images[row] = np.asarray(picture)
    return ArraySplit(images, split.labels_N, split.read_boxes)


def square_side(split: ArraySplit, where: str) -> int:
    """The side of square images; ``CutmixError`` if they are not square."""
    height, width = split.images_NHWC.shape[1:3]
    if height != width:
        raise CutmixError(
            f"{where}: images are {height}x{width}; square ones are accepted, or give image_size to resize."
        )
    return int(height)


def _members(path: Path) -> list[np.ndarray]:
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            absent = [name for name in MEMBERS if name not in file]
            if absent:
                raise CutmixError(f"{path}: holds no {', '.join(absent)}; {', '.join(MEMBERS)} are needed.")
            return [file[name] for name in MEMBERS]
    except FileNotFoundError as error:
        raise CutmixError(f"{path} is missing; train.npz and test.npz are needed.") from error
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            refusal = "holds Python objects, which are not loaded; save plain arrays of numbers and text"
            raise CutmixError(f"{path}: {refusal}.") from error
        raise CutmixError(f"{path}: is not a readable .npz file ({error}).") from error


def _shown(classes: tuple[str, ...]) -> str:
    return f"{', '.join(classes[:4])}{', ...' if len(classes) > 4 else ''} ({len(classes)})"
