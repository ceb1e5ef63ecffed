"""Look a data set over before training: images per class, unusable files, test images that are also trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cutmix.data.captions import CaptionCheck, caption_kinds, check_captions, list_captions
from cutmix.data.find import KNOWN, load_data, parse_spec
from cutmix.data.folder import Listing, list_folder, problems
from cutmix.data.objects import BoxCheck, box_kinds, check_listed, list_boxes
from cutmix.data.photo_facts import Progress, photo_facts
from cutmix.data.picture_data import Findings, copies
from cutmix.data.places import default_root
from cutmix.data.splits import ArraySplit, Data, Split


@dataclass(frozen=True, eq=False)
class Check(Findings):
    """What was found in a data set for classification; copies and ignored files are warnings."""

    name: str
    classes: tuple[str, ...]
    train_counts: tuple[int, ...]
    """Images of each class."""
    test_counts: tuple[int, ...]
    ignored: tuple[Path, ...] = ()
    """Files that are not pictures by their name, or lie outside the class folders."""

    def lines(self) -> Iterator[str]:
        """The whole report, a line at a time."""
        yield f"{self.name}: {sum(self.train_counts)} train and {sum(self.test_counts)} test images"
        width = max(map(len, self.classes))
        for name, train, test in zip(self.classes, self.train_counts, self.test_counts):
            yield f"  {name:<{width}}  {train:>7}  {test:>7}"
        if self.note:
            yield self.note
        if self.ignored:
            yield f"ignored: {len(self.ignored)} file(s) that are no pictures in class folders, first {self.ignored[0]}"
        yield from self.ending()


@dataclass(frozen=True, eq=False)
class Checks:
    """Several looks at the same folder: COCO's has boxes and captions."""

    parts: tuple[BoxCheck | CaptionCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether each can be trained on."""
        return all(part.ok for part in self.parts)

    def lines(self) -> Iterator[str]:
        """The reports, one after the other."""
        for part in self.parts:
            yield from part.lines()


def check_data(
    spec: str, root: Path | None = None, *, seed: int = 0, progress: Progress | None = None
) -> Check | BoxCheck | Checks:
    """Look over the data set that ``spec`` names, as ``load_data``, ``load_boxes`` or ``load_captions`` takes it.

    Every photo is decoded. Raises what these raise if the set is missing, or its files cannot even be listed.
    """
    if spec.partition(":")[0] in (*box_kinds(), *caption_kinds()):
        return _check_transfer(spec, progress)
    kind, path = parse_spec(spec)
    if kind == "folder":
        return _check_listing(path.resolve().name, list_folder(path, seed), progress)
    if kind in KNOWN and (listing := KNOWN[kind].listing) is not None:
        return _check_listing(kind, listing(default_root() if root is None else Path(root)), progress)
    return _check_arrays(load_data(spec, root))


def _check_transfer(spec: str, progress: Progress | None) -> BoxCheck | Checks:
    """Boxes, captions, or both, as there are; where a COCO folder has neither, its boxes are what is missed."""
    kind, _, folder = spec.partition(":")
    files = Path(folder).expanduser() / "annotations"
    captions = kind in caption_kinds() and (kind not in box_kinds() or any(files.glob("captions_*.json")))
    boxes = kind in box_kinds() and (not captions or any(files.glob("instances_*.json")))
    if not captions:
        return check_listed(list_boxes(spec), progress)
    first = (check_listed(list_boxes(spec), progress),) if boxes else ()
    return Checks((*first, check_captions(list_captions(spec), progress)))


def _check_listing(name: str, listing: Listing, progress: Progress | None) -> Check:
    facts = photo_facts(listing.paths, listing.folder, progress)
    return Check(
        name,
        listing.classes,
        train_counts=_counts(listing.train, len(listing.classes)),
        test_counts=_counts(listing.test, len(listing.classes)),
        problems=tuple(problems(listing, facts)),
        copies=tuple((str(ours), str(theirs)) for ours, theirs in copies(listing.train, listing.test, facts)),
        ignored=listing.ignored,
        note=listing.note,
    )


def _check_arrays(data: Data) -> Check:
    return Check(
        data.name,
        data.classes,
        train_counts=_counts(data.train, data.num_classes),
        test_counts=_counts(data.test, data.num_classes),
        copies=tuple(_array_copies(data)),
        note=data.note,
    )


def _array_copies(data: Data) -> Iterator[tuple[str, str]]:
    assert isinstance(data.train, ArraySplit)
    assert isinstance(data.test, ArraySplit)
    trained = {image.tobytes(): row for row, image in enumerate(data.train.images_NHWC)}
    for row, image in enumerate(data.test.images_NHWC):
        if (train_row := trained.get(image.tobytes())) is not None:
            yield f"train image {train_row}", f"test image {row}"


def _counts(split: Split, num_classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(split.labels_N, minlength=num_classes).tolist())
