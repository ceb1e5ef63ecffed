"""CUB-200-2011: 11,788 photos of 200 species of birds, 5,994 to train and 5,794 to test, each with a box.

Source: https://www.vision.caltech.edu/datasets/cub_200_2011 (Wah et al. 2011). The folder ``CUB_200_2011`` that its
archive unpacks to is read as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cutmix.data.boxes import Annotation, Boxes, collect, picture_size, read_table
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD, Listing
from cutmix.data.known import KnownSet, missing
from cutmix.data.splits import Data, PhotoSplit
from cutmix.errors import CutmixError


def load_cub200(root: Path, image_size: int | None = None) -> Data:
    """CUB-200-2011 under ``root``. Photos are opened when their turn comes, boxes read when somebody asks for them."""
    listing = list_cub200(root)
    parts = (listing.train, listing.test)
    return Data("cub200", listing.classes, *parts, IMAGENET_MEAN, IMAGENET_STD, image_size or 224, flip=True)


def list_cub200(root: Path) -> Listing:
    """The photos under ``root``, in the order of their numbers."""
    folder = next(filter(holds, places(root)), None)
    if folder is None:
        remedy = "Unpack CUB_200_2011.tgz there (https://www.vision.caltech.edu/datasets/cub_200_2011)."
        raise missing("cub200", places(root), remedy)
    paths = _by_number(folder / "images.txt", "the photos' paths")
    classes = _by_number(folder / "classes.txt", "the classes' names")
    labels = _numbers(folder / "image_class_labels.txt", "the photos' classes", paths)
    trains = _numbers(folder / "train_test_split.txt", "whether each photo is trained on", paths)
    order = {number: label for label, number in enumerate(classes)}
    strange = [label for label in labels if label not in order]
    if strange:
        raise CutmixError(f"{folder / 'image_class_labels.txt'} has a class that classes.txt has not: {strange[0]}.")
    files = [folder / "images" / path for path in paths.values()]
    every = PhotoSplit(
        tuple(files), np.array([order[label] for label in labels], np.int64), lambda: _boxes(folder, paths, files)
    )
    is_train = np.array([flag == "1" for flag in trains])
    train, test = (every.subset(np.flatnonzero(rows)) for rows in (is_train, ~is_train))
    names = tuple(name.partition(".")[2].replace("_", " ") or name for name in classes.values())
    return Listing(folder, names, train, test, empty=(), ignored=())


def places(root: Path) -> list[Path]:
    """The folders that may hold it."""
    return [root / "CUB_200_2011", root / "cub200" / "CUB_200_2011", root / "cub200", root]


def holds(folder: Path) -> bool:
    """Whether ``folder`` has the files that say which photo is of which class."""
    return (folder / "images.txt").is_file() and (folder / "image_class_labels.txt").is_file()


def _by_number(path: Path, what: str) -> dict[str, str]:
    return dict(row[:2] for row in read_table(path, 2, f"numbers and {what}"))


def _numbers(path: Path, what: str, numbers: dict[str, str]) -> list[str]:
    """What the file says of each photo."""
    noted = _by_number(path, what)
    absent = [number for number in numbers if number not in noted]
    if absent:
        raise CutmixError(f"{path} says nothing of photo {absent[0]} ({len(absent)} in all); it holds {what}.")
    return [noted[number] for number in numbers]


def _boxes(folder: Path, paths: dict[str, str], files: Sequence[Path]) -> Boxes:
    """The file has left, top, width and height."""
    table = folder / "bounding_boxes.txt"
    noted = _numbers(table, "each photo's box: left, top, width and height", paths)

    def annotations() -> Iterator[Annotation]:
        for text, file in zip(noted, files):
            left, top, width, height = map(float, text.split())
            yield Annotation(np.array([[left, top, left + width, top + height]]), picture_size(file))

    try:
        return collect(annotations())
    except ValueError as error:
        raise CutmixError(f"{table}: four numbers a photo are needed ({error}).") from error


SETS = (KnownSet("cub200", "CUB-200-2011: photos of 200 birds, with boxes", load_cub200, places, holds, list_cub200),)
