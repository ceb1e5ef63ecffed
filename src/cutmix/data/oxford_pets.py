"""Oxford-IIIT Pet: 7,349 photos of 37 breeds of cats and dogs, each with an outline, from which its box is made.

Source: https://www.robots.ox.ac.uk/~vgg/data/pets (Parkhi et al. 2012): ``images`` and ``annotations``, unpacked beside
each other. A part of the photos works as well; without ``trainval.txt`` and ``test.txt`` a test part is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cutmix.data.boxes import Annotation, Boxes, collect, picture_size, read_table
from cutmix.data.chance import split_by_name
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD, TEST_SHARE, Listing
from cutmix.data.known import KnownSet, missing
from cutmix.data.photos import PhotoError
from cutmix.data.splits import Data, PhotoSplit
from cutmix.errors import CutmixError

BACKGROUND = 2  # in a trimap; 1 is the pet and 3 its border
LINES = "names of photos, and three numbers each"


def load_oxford_pets(root: Path, image_size: int | None = None) -> Data:
    """Oxford-IIIT Pet under ``root``. Photos are opened when their turn comes, outlines for boxes only."""
    listing = list_oxford_pets(root)
    constants = (IMAGENET_MEAN, IMAGENET_STD, image_size or 224)
    return Data("oxford_pets", listing.classes, listing.train, listing.test, *constants, flip=True, note=listing.note)


def list_oxford_pets(root: Path) -> Listing:
    """The photos under ``root``; a breed is what stands before the number in a file's name."""
    folder = next(filter(holds, places(root)), None)
    if folder is None:
        remedy = "Unpack images.tar.gz and annotations.tar.gz there (https://www.robots.ox.ac.uk/~vgg/data/pets)."
        raise missing("oxford_pets", places(root), remedy)
    lists = [folder / "annotations" / name for name in ("trainval.txt", "test.txt")]
    if all(path.is_file() for path in lists):
        train, test = ([row[0] for row in _listed(path)] for path in lists)
        both = len(set(train) & set(test))
        note = f"{both} of {len(test)} test pictures are also train pictures" if both else ""
    else:
        train, test, note = _drawn(sorted(path.stem for path in (folder / "images").glob("*.jpg")), folder)
    breeds = sorted({_breed(name) for name in (*train, *test)}, key=str.casefold)
    names = tuple(breed.replace("_", " ") for breed in breeds)
    return Listing(folder, names, _split(folder, train, breeds), _split(folder, test, breeds), (), (), note)


def places(root: Path) -> list[Path]:
    """The folders that may hold ``images`` and ``annotations``; the first is torchvision's."""
    return [root / "oxford-iiit-pet", root / "oxford_pets", root]


def holds(folder: Path) -> bool:
    """Whether ``folder`` has photos, and outlines."""
    return (folder / "images").is_dir() and (folder / "annotations" / "trimaps").is_dir()


def _listed(path: Path) -> list[list[str]]:
    return read_table(path, 4, LINES)


def _drawn(names: list[str], folder: Path) -> tuple[list[str], list[str], str]:
    if not names:
        raise CutmixError(f"{folder / 'images'} holds no .jpg files.")
    breeds = sorted({_breed(name) for name in names})
    labels_N = np.array([breeds.index(_breed(name)) for name in names], np.int64)
    train, test = split_by_name(labels_N, names, TEST_SHARE, seed=0)
    note = f"{len(test)} of {len(names)} pictures drawn for testing by their file names: trainval.txt, test.txt missing"
    return [names[row] for row in train], [names[row] for row in test], note


def _breed(name: str) -> str:
    return name.rpartition("_")[0]


def _split(folder: Path, names: Sequence[str], breeds: Sequence[str]) -> PhotoSplit:
    files = tuple(folder / "images" / f"{name}.jpg" for name in names)
    labels_N = np.array([breeds.index(_breed(name)) for name in names], np.int64)
    return PhotoSplit(files, labels_N, lambda: _boxes(folder, files))


def _boxes(folder: Path, files: Sequence[Path]) -> Boxes:
    return collect(_outlined(folder / "annotations/trimaps" / f"{file.stem}.png", file) for file in files)


def _outlined(trimap: Path, picture: Path) -> Annotation | None:
    """The box around all that is pet or border; None where the outline was drawn on a picture of another size."""
    from PIL import Image

    try:
        with Image.open(trimap) as image:
            shown_HW = np.asarray(image) != BACKGROUND
    except Exception as error:  # Pillow's decoders raise whatever their format's parser raises
        raise PhotoError(trimap, f"is missing or cannot be decoded ({error}); it outlines {picture.name}") from error
    size = picture_size(picture)
    if shown_HW.shape != size[::-1]:
        return None
    rows, columns = (np.flatnonzero(shown_HW.any(axis)) for axis in (1, 0))
    if not len(rows):
        return Annotation(np.zeros((1, 4)), size)
    return Annotation(np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float64), size)


SETS = (
    KnownSet(
        "oxford_pets",
        "Oxford-IIIT Pet: photos of 37 breeds, with boxes from their outlines",
        load_oxford_pets,
        places,
        holds,
        list_oxford_pets,
    ),
)
