"""Pictures with captions: COCO's JSON, or plain ``picture<TAB>caption`` lines; looked over before they are used."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from cutmix.data.chance import split_by_name
from cutmix.data.coco import pictures_by_id
from cutmix.data.photo_facts import PhotoFact, Progress, photo_facts
from cutmix.data.picture_data import Findings, PictureSplit, Problem, copies, copies_note, list_by_kind, refuse
from cutmix.errors import CutmixError

TEST_SHARE = 0.2
"""Of the pictures of a single file; which ones hangs on their names."""
EMPTY, UNCAPTIONED = "empty captions left out", "pictures without a caption left out"
Captions = tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class CaptionSplit(PictureSplit):
    """Picture files, and the captions of each, at least one."""

    belonging = "captions"
    captions: tuple[Captions, ...]

    def __repr__(self) -> str:
        return f"<{len(self)} pictures with {sum(map(len, self.captions))} captions>"

    def each(self) -> CaptionSplit:
        """A row a caption: each picture as often as it has captions, with one of them."""
        rows = [(path, caption) for path, of_picture in zip(self.paths, self.captions) for caption in of_picture]
        return CaptionSplit(tuple(path for path, _ in rows), tuple((caption,) for _, caption in rows))


@dataclass(frozen=True, eq=False)
class CaptionData:
    """Captioning data, ready for training: every picture was decoded and has a caption with a word in it.

    ``note`` says what was left out and what a reader of the numbers should know. ``classes`` are the words that are
    learned, once that has been chosen.
    """

    name: str
    train: CaptionSplit
    test: CaptionSplit
    note: str = ""
    classes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the pictures' file names and every caption."""
        digest = blake2b(digest_size=8)
        for split in (self.train, self.test):
            digest.update(b"%d\0" % len(split))
            for path, of_picture in zip(split.paths, split.captions):
                digest.update(os.fsencode(path.name) + b"\0" + json.dumps(of_picture).encode())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class CaptionListing:
    """What caption files say, before any picture is opened; what was left out is counted."""

    name: str
    folder: Path
    train: CaptionSplit
    test: CaptionSplit
    problems: tuple[Problem, ...] = ()
    """Whatever keeps the data from being trained on."""
    left_out: Mapping[str, int] | None = None
    note: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every picture file, train before test."""
        return self.train.paths + self.test.paths

    @property
    def changes(self) -> str:
        """What was left out, in words; empty if nothing was."""
        return "; ".join(f"{count} {what}" for what, count in (self.left_out or {}).items() if count)


def has_word(caption: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(character.isalnum() for character in caption)


def make_split(captions: Mapping[Path, Sequence[str]], left_out: Counter[str]) -> CaptionSplit:
    """The pictures that have a caption with a word in it; what was left out is added to ``left_out``."""
    kept: dict[Path, Captions] = {}
    for path, of_picture in captions.items():
        said = tuple(" ".join(caption.split()) for caption in of_picture if has_word(caption))
        left_out[EMPTY] += len(of_picture) - len(said)
        left_out[UNCAPTIONED] += not said
        if said:
            kept[path] = said
    return CaptionSplit(tuple(kept), tuple(kept.values()))


# ---------------------------------------------------------------------------------------------------------------- COCO


def list_coco_captions(folder: Path) -> CaptionListing:
    """List a COCO folder of one year: ``annotations/captions_train2017.json``, its ``val``, and a folder for each.

    Raises:
        CutmixError: a file is missing or is not such JSON.
    """
    left_out: Counter[str] = Counter()
    wrong: list[tuple[Path, str]] = []
    files = [_find(folder, part) for part in ("train", "val")]
    train, test = (
        make_split(_coco_captions(file, folder / file.stem.removeprefix("captions_"), wrong), left_out)
        for file in files
    )
    note = f"trained on {files[0].stem}, tested on {files[1].stem}"
    return CaptionListing(folder.resolve().name, folder, train, test, tuple(wrong), left_out, note)


def _find(folder: Path, part: str) -> Path:
    found = sorted((folder / "annotations").glob(f"captions_{part}*.json"))
    if len(found) != 1:
        held = f"holds {len(found)} of them" if found else "holds none"
        raise CutmixError(
            f"{folder} is no COCO folder with captions: annotations/captions_{part}YEAR.json is needed, it {held}."
        )
    return found[0]


def _coco_captions(file: Path, pictures: Path, wrong: list[tuple[Path, str]]) -> dict[Path, list[str]]:
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CutmixError(f"{file} cannot be read as JSON ({error}).") from error
    keys = ("images", "annotations")
    missing = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if missing:
        raise CutmixError(f"{file} lacks {', '.join(missing)}: it is no COCO captions file.")
    names = pictures_by_id(content, file, pictures)
    captions: dict[Path, list[str]] = {path: [] for path in names.values()}
    for annotation in content["annotations"]:
        what = f"annotation {annotation.get('id', '?')}" if isinstance(annotation, dict) else "an annotation"
        try:
            caption, image = annotation["caption"], annotation["image_id"]
            listed = image in names
        except (KeyError, TypeError) as error:
            wrong.append((file, f"{what} cannot be used ({type(error).__name__}: {error})"))
            continue
        if not listed:
            wrong.append((file, f"{what} is of image {image!r}, which is not listed"))
        elif not isinstance(caption, str):
            wrong.append((file, f"{what} has a caption that is no text ({type(caption).__name__})"))
        else:
            captions[names[image]].append(caption)
    return captions


# ------------------------------------------------------------------------------------------------ lines of text


def list_caption_lines(path: Path) -> CaptionListing:
    """List ``picture<TAB>caption`` lines, pictures relative to their file; several lines of a picture add up.

    Args:
        path: a folder with ``train.tsv`` and ``val.tsv`` (or ``test.tsv``), or one file, of which a fifth of the
            pictures, chosen by their names, is the test part. Flickr8k's ``picture.jpg#0`` is understood.

    Raises:
        CutmixError: a file is missing or is no UTF-8 text.
    """
    left_out: Counter[str] = Counter()
    wrong: list[tuple[Path, str]] = []
    if path.is_dir():
        tests = [name for name in ("val.tsv", "test.tsv") if (path / name).exists()]
        if len(tests) != 1 or not (path / "train.tsv").exists():
            raise CutmixError(f"{path} must hold train.tsv and one of val.tsv and test.tsv.")
        parts = [make_split(_read_lines(path / name, wrong), left_out) for name in ("train.tsv", tests[0])]
        name, folder, note = path.resolve().name, path, f"tested on {tests[0]}"
    else:
        every = make_split(_read_lines(path, wrong), left_out)
        names = [file.name for file in every.paths]
        rows = split_by_name(np.zeros(len(names), np.int64), names, TEST_SHARE, 0) if names else (np.empty(0, int),) * 2
        parts = [every.subset(part.tolist()) for part in rows]
        name, folder = path.stem, path.parent
        note = f"a fifth of the pictures of {path.name}, chosen by their names, is the test part"
    return CaptionListing(name, folder, parts[0], parts[1], tuple(wrong), left_out, note)


def _read_lines(file: Path, wrong: list[tuple[Path, str]]) -> dict[Path, list[str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read as UTF-8 text ({error})"
        raise CutmixError(f"{file} {reason}.") from error
    captions: dict[Path, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        picture, tab, caption = line.partition("\t")
        if not tab or not picture.strip():
            wrong.append((file, f"line {number} is not picture<TAB>caption"))
            continue
        captions.setdefault(file.parent / re.sub(r"#\d+$", "", picture.strip()), []).append(caption)
    return captions


# ------------------------------------------------------------------------------------------------- loading and checking


def caption_kinds() -> dict[str, Callable[[Path], CaptionListing]]:
    """The formats by the word before the colon: ``coco:PATH``, ``tsv:PATH``."""
    return {"coco": list_coco_captions, "tsv": list_caption_lines}


def list_captions(spec: str) -> CaptionListing:
    """What the caption files of ``coco:PATH`` or ``tsv:PATH`` say.

    Raises:
        UsageError: another kind of data.
        CutmixError: the folder or file is not of that format.
    """
    return list_by_kind(spec, caption_kinds(), "captioning")


def load_captions(spec: str, progress: Progress | None = None) -> CaptionData:
    """The captioning data that ``coco:PATH`` or ``tsv:PATH`` names, every picture decoded once (and remembered).

    Raises:
        UsageError: another kind of data.
        CutmixError: files that are missing or damaged, with their number and the first few; or a part without captions.
    """
    listing = list_captions(spec)
    facts = photo_facts(listing.paths, listing.folder, progress)
    wrong = problems(listing, facts)
    refuse(wrong, f"{len(wrong)} problem(s) of {listing.folder}")
    copied = copies_note(listing.train, listing.test, facts)
    note = "; ".join(filter(None, [listing.note, listing.changes, copied]))
    return CaptionData(listing.name, listing.train, listing.test, note)


def problems(listing: CaptionListing, facts: Sequence[PhotoFact]) -> list[tuple[Path, str]]:
    """(file, reason) of everything that keeps the data from being trained on."""
    wrong = list(listing.problems)
    wrong += [(path, fact.problem) for path, fact in zip(listing.paths, facts) if fact.problem]
    for part, split in (("train", listing.train), ("test", listing.test)):
        if not len(split):
            wrong.append((listing.folder, f"the {part} part has no picture with a caption"))
    return wrong


@dataclass(frozen=True, eq=False)
class CaptionCheck(Findings):
    """What was found in captioning data."""

    name: str
    train: CaptionSplit
    test: CaptionSplit
    changes: str = ""

    def lines(self) -> Iterator[str]:
        """The whole report, a line at a time."""
        for part, split in (("train", self.train), ("test", self.test)):
            captions = [len(of_picture) for of_picture in split.captions]
            span = f", {min(captions)} to {max(captions)} each" if captions else ""
            yield f"{self.name}: {len(split)} {part} pictures with {sum(captions)} captions{span}"
        if self.note:
            yield self.note
        if self.changes:
            yield f"warning: {self.changes}"
        yield from self.ending()


def check_captions(listing: CaptionListing, progress: Progress | None = None) -> CaptionCheck:
    """Look a listing over; every picture is decoded."""
    facts = photo_facts(listing.paths, listing.folder, progress)
    return CaptionCheck(
        listing.name,
        listing.train,
        listing.test,
        problems=tuple(problems(listing, facts)),
        copies=tuple(copies(listing.train, listing.test, facts)),
        changes=listing.changes,
        note=listing.note,
    )
