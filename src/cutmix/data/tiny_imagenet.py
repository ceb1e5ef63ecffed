"""Tiny ImageNet: 100,000 train and 10,000 test images of 64x64 pixels in 200 classes, each with a box.

Source: http://cs231n.stanford.edu/tiny-imagenet-200.zip. The folder that it unpacks to is read as it is; a part of its
classes works as well. Tested on its ``val`` part, as everybody does: the labels of ``test`` were not published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cutmix.data.arrays import resized
from cutmix.data.boxes import Annotation, Boxes, collect, from_pixels, read_table
from cutmix.data.imagenet import readable
from cutmix.data.known import KnownSet, missing
from cutmix.data.photos import read_photo
from cutmix.data.splits import ArraySplit, Data, measured_mean_std
from cutmix.errors import CutmixError

SIDE = 64
COORDINATES = "the first and last column and row of each image's box, counted from 0"


def load_tiny_imagenet(root: Path, image_size: int | None = None) -> Data:
    """Tiny ImageNet under ``root``, read into memory (1.2 GB for all of it). Every image is decoded.

    Raises ``CutmixError`` that names what is missing or damaged.
    """
    folder = next(filter(holds, places(root)), None)
    if folder is None:
        remedy = "Unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip there, or name its folder in CUTMIX_DATA."
        raise missing("tiny_imagenet", places(root), remedy)
    wnids = sorted(row[0] for row in read_table(folder / "wnids.txt", 1, "the WordNet ids of the classes"))
    train_paths, train_labels = _train_files(folder, wnids)
    rows = read_table(folder / "val/val_annotations.txt", 6, f"an image, its class and {COORDINATES}")
    strange = [row[1] for row in rows if row[1] not in wnids]
    if strange:
        raise CutmixError(f"{folder / 'val/val_annotations.txt'} has a class that wnids.txt has not: {strange[0]}.")
    test_paths = [folder / "val/images" / row[0] for row in rows]
    train = ArraySplit(_decoded(train_paths), train_labels, lambda: _train_boxes(folder, wnids, train_paths))
    test_labels = np.array([wnids.index(row[1]) for row in rows], np.int64)
    test = ArraySplit(_decoded(test_paths), test_labels, lambda: _boxes(row[2:] for row in rows))
    train, test = resized(train, image_size), resized(test, image_size)
    mean, std = measured_mean_std(train.images_NHWC)
    classes = readable(wnids, [folder])
    return Data("tiny_imagenet", classes, train, test, mean, std, image_size or SIDE, flip=True, note="tested on val")


def places(root: Path) -> list[Path]:
    """The folders that may hold it."""
    return [root / "tiny-imagenet-200", root / "tiny_imagenet", root]


def holds(folder: Path) -> bool:
    """Whether ``folder`` has a file ``wnids.txt``."""
    return (folder / "wnids.txt").is_file()


def _train_files(folder: Path, wnids: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    paths: list[Path] = []
    counts = []
    for wnid in wnids:
        found = sorted((folder / "train" / wnid / "images").glob("*.JPEG"))
        if not found:
            raise CutmixError(f"{folder / 'train' / wnid / 'images'} holds no .JPEG files.")
        paths += found
        counts.append(len(found))
    return paths, np.repeat(np.arange(len(wnids), dtype=np.int64), counts)


def _decoded(paths: Sequence[Path]) -> np.ndarray:
    def pixels(path: Path) -> np.ndarray:
        image = read_photo(path)
        if image.size != (SIDE, SIDE):
            raise CutmixError(f"{path} has {image.width}x{image.height} pixels; {SIDE}x{SIDE} are needed.")
        return np.asarray(image)

    images_NHWC = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)
    with ThreadPoolExecutor(max_workers=8) as pool:  # Pillow decodes without holding the interpreter
        for row, image_HWC in enumerate(pool.map(pixels, paths)):
            images_NHWC[row] = image_HWC
    return images_NHWC


def _train_boxes(folder: Path, wnids: Sequence[str], paths: Sequence[Path]) -> Boxes:
    noted: dict[str, list[str]] = {}
    for wnid in wnids:
        rows = read_table(folder / "train" / wnid / f"{wnid}_boxes.txt", 5, f"an image and {COORDINATES}")
        noted |= {row[0]: row[1:] for row in rows}
    return _boxes(_noted(noted, path) for path in paths)


def _noted(noted: Mapping[str, list[str]], path: Path) -> list[str]:
    if path.name not in noted:
        raise CutmixError(f"{path.parents[1] / f'{path.parents[1].name}_boxes.txt'} has no box for {path.name}.")
    return noted[path.name]


def _boxes(coordinates: Iterator[list[str]]) -> Boxes:
    """The files have first and last pixels. Where these are the same, no box was drawn: it is dropped."""

    def annotations() -> Iterator[Annotation]:
        for texts in coordinates:
            first_and_last_4 = np.array([float(text) for text in texts])
            drawn = (first_and_last_4[2:] > first_and_last_4[:2]).all()
            edges_M4 = from_pixels(first_and_last_4) if drawn else np.zeros((1, 4))
            yield Annotation(edges_M4, (SIDE, SIDE))

    try:
        return collect(annotations())
    except ValueError as error:
        raise CutmixError(f"a box of tiny_imagenet is not made of numbers: {error}.") from error


SETS = (
    KnownSet(
        "tiny_imagenet",
        "100,000 images of 200 ImageNet classes at 64x64, with boxes",
        load_tiny_imagenet,
        places,
        holds,
    ),
)
