"""PASCAL VOC folders: ``JPEGImages``, ``Annotations`` (XML), ``ImageSets/Main``; or a devkit of several years.

A VOC box is whole pixels, counted from 1, its last pixel included: (xmin - 1, ymin - 1, xmax, ymax) are its edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cutmix.data.objects import BoxListing, BoxSplit, Objects, make_boxes
from cutmix.data.photos import PHOTO_SUFFIXES
from cutmix.errors import CutmixError

PARTS = ("JPEGImages", "Annotations", "ImageSets/Main")


@dataclass(frozen=True)
class Annotation:
    """One XML file: (class, edges, difficult) of each object, and the picture's (width, height) if the file says it."""

    objects: tuple[tuple[str, tuple[float, float, float, float], bool], ...]
    size: tuple[int, int] | None

    def boxes(self, classes: Sequence[str]) -> Objects:
        """The objects, with labels that count through ``classes``."""
        return make_boxes(
            [edges for _, edges, _ in self.objects],
            [classes.index(name) for name, _, _ in self.objects],
            [difficult for _, _, difficult in self.objects],
        )


def list_voc(folder: Path) -> BoxListing:
    """List a VOC folder, or a devkit with ``VOC2007`` (and ``VOC2012``) in it. The classes are those that objects have.

    A folder is trained on ``trainval`` and tested on ``test``; where there is no ``test``, on ``train`` and ``val``.
    Of a devkit, all years are trained on (07+12), and the first one is tested.

    Raises:
        CutmixError: the folder is not laid out like this, or a list of pictures is missing.
    """
    years = [folder] if _is_voc(folder) else sorted(path for path in folder.glob("VOC*") if _is_voc(path))
    if not years:
        raise CutmixError(f"{folder} is no VOC folder: {', '.join(PARTS)} are needed in it, or in a VOC2007 in it.")
    first = years[0]
    tested = "test" if _list_file(first, "test").exists() else "val"
    trained = "trainval" if tested == "test" else "train"
    files = _Files()
    train = [entry for year in years for entry in files.read(year, trained if year == first else "trainval")]
    test = files.read(first, tested)
    classes = tuple(sorted({name for _, note in train + test for name, _, _ in note.objects}))
    note = f"trained on {trained}, tested on {tested}"
    if len(years) > 1:
        note = f"trained on {' and '.join(f'{year.name} trainval' for year in years)}, tested on {first.name} {tested}"
    return BoxListing(
        folder.resolve().name,
        folder,
        classes,
        _split(train, classes),
        _split(test, classes),
        problems=tuple(files.problems),
        note=note,
        sizes={path: note.size for path, note in train + test if note.size},
    )


def read_annotation(path: Path) -> Annotation:
    """Parse one XML file; ``CutmixError`` says what is wrong with it, without its path."""
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError as error:
        raise CutmixError("is missing") from error
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:  # these two: of an encoding not known
        raise CutmixError(f"cannot be read as XML ({error})") from error
    size = root.find("size")
    objects = tuple(_object(node, number) for number, node in enumerate(root.iter("object"), 1))
    if size is None:
        return Annotation(objects, None)
    width, height = (round(_number(size, name, "size")) for name in ("width", "height"))
    return Annotation(objects, (width, height) if width and height else None)  # some tools write 0 for "not known"


def _object(node: ElementTree.Element, number: int) -> tuple[str, tuple[float, float, float, float], bool]:
    name = (node.findtext("name") or "").strip()
    if not name:
        raise CutmixError(f"object {number} has no name")
    box = node.find("bndbox")
    if box is None:
        raise CutmixError(f"object {number} ({name}) has no bndbox")
    what = f"object {number} ({name})"
    x1, y1, x2, y2 = (_number(box, edge, what) for edge in ("xmin", "ymin", "xmax", "ymax"))
    if x2 <= x1 or y2 <= y1:  # a single pixel in VOC's counting, which no annotator means
        return name, (x1, y1, x1, y1), False
    return name, (x1 - 1, y1 - 1, x2, y2), (node.findtext("difficult") or "0").strip() not in ("0", "")


def _number(node: ElementTree.Element, name: str, what: str) -> float:
    text = node.findtext(name)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CutmixError(f"{what} has no number as {name}: {text!r}")
    return value


class _Files:
    """Reads lists and annotations, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[tuple[Path, str]] = []

    def read(self, year: Path, part: str) -> list[tuple[Path, Annotation]]:
        """(picture, annotation) of each line of a list."""
        pictures = {path.stem: path for path in sorted((year / "JPEGImages").iterdir()) if _is_picture(path)}
        found = []
        for name in _names(_list_file(year, part)):
            picture = pictures.get(name, year / "JPEGImages" / f"{name}.jpg")  # a missing one is named when it is read
            path = year / "Annotations" / f"{name}.xml"
            try:
                found.append((picture, read_annotation(path)))
            except CutmixError as error:
                self.problems.append((path, str(error)))
        return found


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise CutmixError(
            f"{path} cannot be read: a line for each picture's name is needed there ({error})."
        ) from error
    names = [line.split()[0] for line in lines if line.split()]
    if not names:
        raise CutmixError(f"{path} lists no picture.")
    return names


def _split(entries: Sequence[tuple[Path, Annotation]], classes: Sequence[str]) -> BoxSplit:
    return BoxSplit(tuple(path for path, _ in entries), tuple(note.boxes(classes) for _, note in entries))


def _is_voc(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in PARTS)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".")


def _list_file(year: Path, part: str) -> Path:
    return year / "ImageSets" / "Main" / f"{part}.txt"
