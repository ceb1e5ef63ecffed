"""Pictures with boxes around their objects: what detection data is, and what is done with boxes that cannot be right.

Boxes are (x1, y1, x2, y2) in pixels, continuous: the left edge of the picture is 0 and its right edge is its width,
so that ``x2 - x1`` is the width of the box. Shapes: M objects of a picture.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np

from cutmix.data.photo_facts import PhotoFact, Progress, photo_facts
from cutmix.data.picture_data import (
    SHOWN,
    Findings,
    PictureSplit,
    Problem,
    copies,
    copies_note,
    list_by_kind,
    refuse,
)
from cutmix.errors import CutmixError

TOLERANCE = 1.0
"""Pixels that a box may reach over the picture's edge without being counted: the conventions differ by one."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one picture.

    ``xyxy_M4`` float32, ``labels_M`` int64 (from 0), ``difficult_M`` bool: objects that are neither trained on nor
    counted in a test (VOC's ``difficult``, COCO's ``iscrowd``).
    """

    xyxy_M4: np.ndarray
    labels_M: np.ndarray
    difficult_M: np.ndarray

    def __len__(self) -> int:
        return len(self.labels_M)

    def where(self, keep_M: np.ndarray) -> Objects:
        """The objects at which ``keep_M`` is true."""
        return Objects(self.xyxy_M4[keep_M], self.labels_M[keep_M], self.difficult_M[keep_M])


def make_boxes(
    xyxy: Sequence[Sequence[float]], labels: Sequence[int], difficult: Sequence[bool] | None = None
) -> Objects:
    """:class:`Objects` of plain numbers; ``difficult`` is nowhere unless given."""
    return Objects(
        np.asarray(xyxy, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64).reshape(-1),
        np.zeros(len(labels), bool) if difficult is None else np.asarray(difficult, bool).reshape(-1),
    )


@dataclass(frozen=True, eq=False, repr=False)
class BoxSplit(PictureSplit):
    """Picture files, and the objects in each."""

    belonging = "boxes"
    boxes: tuple[Objects, ...]

    def __repr__(self) -> str:
        return f"<{len(self)} pictures with {sum(map(len, self.boxes))} objects>"

    def counts(self, num_classes: int) -> list[int]:
        """How many objects of each class there are, difficult ones left out."""
        labels = [boxes.labels_M[~boxes.difficult_M] for boxes in self.boxes]
        return np.bincount(np.concatenate([*labels, np.empty(0, np.int64)]), minlength=num_classes).tolist()


@dataclass(frozen=True, eq=False)
class BoxData:
    """Detection data, ready for training: every picture was decoded, every box lies within its picture.

    ``note`` says what was left out and what a reader of the numbers should know.
    """

    name: str
    classes: tuple[str, ...]
    train: BoxSplit
    test: BoxSplit
    note: str = ""

    @property
    def num_classes(self) -> int:
        """How many classes of objects there are, the background not counted."""
        return len(self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for class names, the pictures' file names, and every box."""
        digest = blake2b(json.dumps(self.classes).encode(), digest_size=8)
        for split in (self.train, self.test):
            digest.update(b"%d\0" % len(split))
            for path, boxes in zip(split.paths, split.boxes):
                digest.update(os.fsencode(path.name) + b"\0" + boxes.xyxy_M4.astype("<f4").tobytes())
                digest.update(boxes.labels_M.astype("<i8").tobytes() + boxes.difficult_M.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class BoxListing:
    """What annotation files say, before any picture is opened."""

    name: str
    folder: Path
    classes: tuple[str, ...]
    train: BoxSplit
    test: BoxSplit
    problems: tuple[Problem, ...] = ()
    """Whatever keeps the data from being trained on."""
    note: str = ""
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """(width, height) of a picture where its annotation says it."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every picture file, train before test."""
        return self.train.paths + self.test.paths


# ----------------------------------------------------------------------------------------------------- boxes put right


@dataclass(frozen=True)
class Mended:
    """How many boxes and pictures were left out or changed, in words by :meth:`text`."""

    counts: tuple[tuple[str, int], ...] = ()

    def text(self) -> str:
        """One line for a note; empty if nothing was."""
        return "; ".join(f"{count} {what}" for what, count in self.counts if count)


DEGENERATE, OUTSIDE, CLIPPED = (
    "degenerate boxes (no width or no height) left out",
    "boxes outside of their picture left out",
    "boxes clipped to their picture",
)
UNTRAINABLE = "training pictures without an object to train on left out"


def within_picture(boxes: Objects, width: int, height: int, counts: Counter[str]) -> Objects:
    """The boxes that have an area within the picture, clipped to it; what was done is added to ``counts``."""
    size_4 = np.array([width, height, width, height], np.float32)
    x1, y1, x2, y2 = boxes.xyxy_M4.T
    flat_M = ~((x2 > x1) & (y2 > y1))  # also where a number is not one
    clipped_M4 = np.clip(boxes.xyxy_M4, 0, size_4)
    outside_M = ~flat_M & ~((clipped_M4[:, 2] > clipped_M4[:, 0]) & (clipped_M4[:, 3] > clipped_M4[:, 1]))
    kept_M = ~flat_M & ~outside_M
    beyond_M = (np.abs(clipped_M4 - boxes.xyxy_M4) > TOLERANCE).any(axis=1)
    counts[DEGENERATE] += int(flat_M.sum())
    counts[OUTSIDE] += int(outside_M.sum())
    counts[CLIPPED] += int((kept_M & beyond_M).sum())
    return Objects(clipped_M4, boxes.labels_M, boxes.difficult_M).where(kept_M)


def mended(listing: BoxListing, facts: Sequence[PhotoFact]) -> tuple[BoxSplit, BoxSplit, Mended]:
    """Train and test part with every box within its picture, and the training pictures that have something to learn."""
    counts: Counter[str] = Counter()
    every = [
        within_picture(boxes, fact.width, fact.height, counts)
        for boxes, fact in zip(listing.train.boxes + listing.test.boxes, facts)
    ]
    count = len(listing.train)
    train = BoxSplit(listing.train.paths, tuple(every[:count]))
    rows = [row for row, boxes in enumerate(train.boxes) if not boxes.difficult_M.all()]
    counts[UNTRAINABLE] = count - len(rows)
    order = (DEGENERATE, OUTSIDE, CLIPPED, UNTRAINABLE)
    return (
        train.subset(rows),
        BoxSplit(listing.test.paths, tuple(every[count:])),
        Mended(tuple((what, counts[what]) for what in order)),
    )


# ------------------------------------------------------------------------------------------------- loading and checking


def load_listed(listing: BoxListing, progress: Progress | None = None) -> BoxData:
    """The data of a listing, after every picture was decoded once (what was found is remembered).

    Raises:
        CutmixError: files that cannot be used, with their number and the first few; or a part without objects.
    """
    facts = photo_facts(listing.paths, listing.folder, progress)
    wrong = problems(listing, facts)
    refuse(wrong, f"{len(wrong)} problem(s) of {listing.folder}")
    train, test, changes = mended(listing, facts)
    copied = copies_note(listing.train, listing.test, facts)
    note = "; ".join(filter(None, [listing.note, changes.text(), copied]))
    data = BoxData(listing.name, listing.classes, train, test, note)
    _require_objects(data)
    return data


def problems(listing: BoxListing, facts: Sequence[PhotoFact]) -> list[tuple[Path, str]]:
    """(file, reason) of every file that cannot be used."""
    wrong = list(listing.problems)
    for path, fact in zip(listing.paths, facts):
        said = listing.sizes.get(path)
        if fact.problem:
            wrong.append((path, fact.problem))
        elif said is not None and said != (fact.width, fact.height):
            of_picture = f"{fact.width}x{fact.height}"
            wrong.append((path, f"is {of_picture} pixels, its annotation is for {said[0]}x{said[1]}"))
    return wrong


def _require_objects(data: BoxData) -> None:
    train, test = (np.array(split.counts(data.num_classes)) for split in (data.train, data.test))
    for part, counts in (("train", train), ("test", test)):
        if not counts.sum():
            raise CutmixError(f"the {part} part of {data.name} has no object in its pictures.")
    only_tested = np.flatnonzero((test > 0) & (train == 0)).tolist()
    if only_tested:
        names = ", ".join(data.classes[label] for label in only_tested[:SHOWN])
        raise CutmixError(f"{data.name} tests {len(only_tested)} class(es) that no training picture shows: {names}.")


@dataclass(frozen=True, eq=False)
class BoxCheck(Findings):
    """What was found in detection data."""

    name: str
    classes: tuple[str, ...]
    pictures: tuple[int, int]
    """Train and test pictures, before any is left out."""
    train_counts: tuple[int, ...]
    """Boxes of each class, difficult ones and those left out not counted."""
    test_counts: tuple[int, ...]
    changes: Mended = Mended()
    empty: int = 0
    """Test pictures without an object: nothing may be found there."""
    difficult: int = 0

    def lines(self) -> Iterator[str]:
        """The whole report, a line at a time."""
        yield f"{self.name}: {self.pictures[0]} train and {self.pictures[1]} test pictures; objects of each class:"
        width = max(map(len, self.classes), default=0)
        for name, train, test in zip(self.classes, self.train_counts, self.test_counts):
            yield f"  {name:<{width}}  {train:>7}  {test:>7}"
        if self.note:
            yield self.note
        for what, count in self.changes.counts:
            if count:
                yield f"warning: {count} {what}"
        if self.empty:
            yield f"{self.empty} test picture(s) show no object"
        if self.difficult:
            yield f"{self.difficult} difficult object(s) are neither trained on nor counted in tests"
        yield from self.ending()


def check_listed(listing: BoxListing, progress: Progress | None = None) -> BoxCheck:
    """Look a listing over; every picture is decoded."""
    facts = photo_facts(listing.paths, listing.folder, progress)
    wrong = problems(listing, facts)
    # The boxes of a picture that cannot be read are not held against a size that nobody knows.
    known = [fact if not fact.problem else fact._replace(width=2**24, height=2**24) for fact in facts]
    train, test, changes = mended(listing, known)
    if not wrong:
        try:
            _require_objects(BoxData(listing.name, listing.classes, train, test))
        except CutmixError as error:
            wrong.append((listing.folder, str(error)))
    classes = len(listing.classes)
    return BoxCheck(
        listing.name,
        listing.classes,
        pictures=(len(listing.train), len(listing.test)),
        train_counts=tuple(train.counts(classes)),
        test_counts=tuple(test.counts(classes)),
        problems=tuple(wrong),
        copies=tuple(copies(listing.train, listing.test, facts)),
        changes=changes,
        empty=sum(not len(boxes) for boxes in test.boxes),
        difficult=sum(int(boxes.difficult_M.sum()) for boxes in train.boxes + test.boxes),
        note=listing.note,
    )


# ----------------------------------------------------------------------------------------------------- data by its name


def box_kinds() -> dict[str, Callable[[Path], BoxListing]]:
    """The formats by the word before the colon: ``voc:PATH``, ``coco:PATH``."""
    from cutmix.data.coco import list_coco
    from cutmix.data.voc import list_voc

    return {"voc": list_voc, "coco": list_coco}


def list_boxes(spec: str) -> BoxListing:
    """What the annotations of ``voc:PATH`` or ``coco:PATH`` say.

    Raises:
        UsageError: another kind of data.
        CutmixError: the folder is not of that format.
    """
    return list_by_kind(spec, box_kinds(), "detection")


def load_boxes(spec: str, progress: Progress | None = None) -> BoxData:
    """The detection data that ``voc:PATH`` or ``coco:PATH`` names, looked over before it is used.

    Args:
        progress: called with (done, all) while the pictures are looked at for the first time.

    Raises:
        UsageError: another kind of data.
        CutmixError: files that are missing, damaged or contradict each other, with their number.
    """
    return load_listed(list_boxes(spec), progress)
