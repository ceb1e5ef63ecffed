"""Your own pictures: a folder a class, with ``train`` and ``val`` folders above them, or a split that is drawn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cutmix.data.arrays import resized
from cutmix.data.chance import split_by_name
from cutmix.data.photo_facts import PhotoFact, Progress, photo_facts
from cutmix.data.photos import PHOTO_SUFFIXES, read_photo
from cutmix.data.picture_data import SHOWN, copies_note, refuse
from cutmix.data.splits import SMALL_SIDE, ArraySplit, Data, PhotoSplit, Split, measured_mean_std
from cutmix.errors import CutmixError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Of red, green and blue over ImageNet's photos, in units where a pixel lies in [0, 1]; taken for all photos."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""The standard deviations that belong to ``IMAGENET_MEAN``."""
TEST_NAMES = ("val", "test", "valid")
TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Listing:
    """What a folder holds, before any file is opened."""

    folder: Path
    classes: tuple[str, ...]
    train: PhotoSplit
    test: PhotoSplit
    empty: tuple[Path, ...]
    """Class folders without a picture."""
    ignored: tuple[Path, ...]
    """Files that are not pictures by their name, or lie outside the class folders. Hidden files are not listed."""
    note: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every picture file, train before test."""
        return self.train.paths + self.test.paths


def load_folder(folder: Path, image_size: int | None = None, seed: int = 0, progress: Progress | None = None) -> Data:
    """The pictures in ``folder``, after every one of them was decoded once (what was found is remembered).

    If all pictures are squares of one size of at most 64 pixels, and no larger ``image_size`` is asked for, they are
    read into memory, with mean and std measured on the train part. Otherwise they are photos: ``image_size`` is 224
    unless given, mean and std are ImageNet's.

    Raises ``CutmixError`` that names the files that cannot be used.
    """
    listing = list_folder(folder, seed)
    facts = photo_facts(listing.paths, folder, progress)
    require_usable(listing, facts)
    note = "; ".join(filter(None, [listing.note, copies_note(listing.train, listing.test, facts)]))
    side = _small_side(facts, image_size)
    if side is None:
        splits: tuple[Split, Split] = (listing.train, listing.test)
        mean, std, size = IMAGENET_MEAN, IMAGENET_STD, image_size or 224
    else:
        train, test = (resized(_in_memory(split, side), image_size) for split in (listing.train, listing.test))
        splits, (mean, std), size = (train, test), measured_mean_std(train.images_NHWC), image_size or side
    return Data(folder.resolve().name, listing.classes, *splits, mean, std, size, flip=True, note=note)


def list_folder(folder: Path, seed: int = 0) -> Listing:
    """List ``folder``: ``train`` with ``val``, ``test`` or ``valid`` in it, or class folders of which 20 % are drawn.

    What is drawn hangs on ``seed`` and on each file's name in its class folder (``chance.split_by_name``).

    Raises ``CutmixError`` if there is no such folder, there are fewer than two classes, or the test part has a class
    that the train part has not.
    """
    if not folder.is_dir():
        raise CutmixError(f"{folder} is not a folder; a folder with one folder a class in it is needed.")
    tests = [folder / name for name in TEST_NAMES if (folder / name).is_dir()]
    if (folder / "train").is_dir() and tests:
        others = f"; {', '.join(path.name for path in tests[1:])} not used" if tests[1:] else ""
        return list_parts(folder, folder / "train", tests[0], f"tested on the folder {tests[0].name}{others}")
    return _drawn(folder, folder / "train" if (folder / "train").is_dir() else folder, seed)


def list_parts(folder: Path, train: Path, test: Path, note: str = "") -> Listing:
    """The listing of two folders of class folders."""
    train_files, train_ignored = class_files(train)
    test_files, test_ignored = class_files(test)
    strange = [name for name in test_files if name not in train_files]
    if strange:
        raise CutmixError(f"{test} has classes that {train} has not: {', '.join(strange[:SHOWN])} ({len(strange)}).")
    classes = _classes(train, train_files)
    untested = [name for name in classes if not test_files.get(name)]
    if untested:
        note += f"; {len(untested)} of {len(classes)} classes have no test picture ({', '.join(untested[:SHOWN])})"
    empty = [train / name for name, files in train_files.items() if not files]
    ignored = (*train_ignored, *test_ignored)
    parts = (_split(train_files, classes), _split(test_files, classes))
    return Listing(folder, classes, *parts, tuple(empty), ignored, note.removeprefix("; "))


def class_files(part: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """The picture files of each class folder of ``part``, by sorted class name, and the files that are ignored.

    Pictures may lie in folders inside a class folder. What starts with a dot is passed over.
    """
    ignored = []
    files = {}
    for path in sorted(part.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            ignored.append(path)
            continue
        files[path.name] = [file for file in _walk(path) if file.suffix.lower() in PHOTO_SUFFIXES]
        ignored += [file for file in _walk(path) if file.suffix.lower() not in PHOTO_SUFFIXES]
    if not any(files.values()):
        raise CutmixError(f"{part} holds no pictures in class folders; one folder for each class is needed.")
    return files, ignored


def require_usable(listing: Listing, facts: Sequence[PhotoFact]) -> None:
    """Raise one ``CutmixError`` that counts and names what cannot be used."""
    wrong = problems(listing, facts)
    refuse(
        wrong, f"{len(wrong)} of {len(facts)} pictures in {listing.folder} cannot be used", f"folder:{listing.folder}"
    )


def problems(listing: Listing, facts: Sequence[PhotoFact]) -> list[tuple[Path, str]]:
    """(path, reason) of every file and class folder that cannot be used."""
    files = [(path, fact.problem) for path, fact in zip(listing.paths, facts) if fact.problem]
    return [(path, "is a class folder without a picture") for path in listing.empty] + files


def _walk(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise CutmixError(f"{error.filename} may not be listed ({error.strerror}).") from error

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _drawn(folder: Path, part: Path, seed: int) -> Listing:
    files, ignored = class_files(part)
    classes = _classes(part, files)
    every = _split(files, classes)
    names = [path.relative_to(part / classes[label]).as_posix() for path, label in zip(every.paths, every.labels_N)]
    train_rows, test_rows = split_by_name(every.labels_N, names, TEST_SHARE, seed)
    drawn = f"drawn for testing by their file names, stratified, with seed {seed}"
    note = f"{len(test_rows)} of {len(every)} pictures {drawn}"
    empty = tuple(part / name for name, inside in files.items() if not inside)
    single = [classes[label] for label, count in sorted(Counter(every.labels_N.tolist()).items()) if count == 1]
    if single:
        note += f"; {len(single)} of {len(classes)} classes have no test picture ({', '.join(single[:SHOWN])})"
    return Listing(folder, classes, every.subset(train_rows), every.subset(test_rows), empty, tuple(ignored), note)


def _classes(part: Path, files: dict[str, list[Path]]) -> tuple[str, ...]:
    if len(files) < 2:
        raise CutmixError(f"{part} holds one class folder ({', '.join(files)}); at least 2 classes are needed.")
    return tuple(files)


def _split(files: dict[str, list[Path]], classes: tuple[str, ...]) -> PhotoSplit:
    paths = [path for name in classes for path in files.get(name, [])]
    counts = [len(files.get(name, [])) for name in classes]
    return PhotoSplit(tuple(paths), np.repeat(np.arange(len(classes), dtype=np.int64), counts))


def _small_side(facts: Sequence[PhotoFact], image_size: int | None) -> int | None:
    sizes = {(fact.width, fact.height) for fact in facts}
    if len(sizes) != 1 or (image_size or 0) > SMALL_SIDE:
        return None
    width, height = sizes.pop()
    return width if width == height <= SMALL_SIDE else None


def _in_memory(split: PhotoSplit, side: int) -> ArraySplit:
    images_NHWC = np.empty((len(split), side, side, 3), dtype=np.uint8)
    for row, path in enumerate(split.paths):
        images_NHWC[row] = np.asarray(read_photo(path))
    return ArraySplit(images_NHWC, split.labels_N)
