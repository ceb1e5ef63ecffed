"""Boxes around the objects of images, as annotations give them, and where they lie in the view that a network gets.

A box is (left, top, right, bottom) in pixels from the picture's top left corner: the edges of its pixels, so that the
pixel at the origin is (0, 0, 1, 1) and a width is a difference. Each data set's own convention ends where it is read.

Shapes: N images, M boxes of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from cutmix.errors import CutmixError, UsageError

EXIF_ORIENTATION = 0x0112
TURNED_BY_A_QUARTER = (5, 6, 7, 8)
LEAST_SIDE = 1.0  # pixels of a view


class Annotation(NamedTuple):
    """One image's boxes (m, 4), and the (width, height) of the picture that they were drawn on."""

    boxes_M4: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of a split: box m, ``boxes_M4[m]`` (float64), lies in image ``image_M[m]``, which ascend.

    ``sizes_N2`` are (width, height) of the images. ``dropped`` counts boxes that were left out because they cannot be
    right. An image may have no box.
    """

    boxes_M4: np.ndarray
    image_M: np.ndarray
    sizes_N2: np.ndarray
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.sizes_N2)

    def of(self, image: int) -> np.ndarray:
        """The boxes of one image, (m, 4)."""
        start, end = np.searchsorted(self.image_M, [image, image + 1])
        return self.boxes_M4[start:end]

    @property
    def counts_N(self) -> np.ndarray:
        """How many boxes each image has."""
        return np.bincount(self.image_M, minlength=len(self))

    def subset(self, images: Sequence[int] | np.ndarray) -> Boxes:
        """The boxes of these images, in that order. ``dropped`` stays that of the whole split."""
        rows = np.asarray(images, np.int64)
        parts = [self.of(row) for row in rows.tolist()]
        image_M = np.repeat(np.arange(len(rows)), [len(part) for part in parts])
        return Boxes(np.concatenate([np.empty((0, 4)), *parts]), image_M, self.sizes_N2[rows], self.dropped)


BoxReader = Callable[[], Boxes]
"""Reads the boxes of a split when somebody asks for them: training does not wait for 50,000 files."""


def collect(annotations: Iterable[Annotation | None]) -> Boxes:
    """The boxes of a split from those of its images, in order; None for an image whose annotation cannot be used.

    Boxes without an area, or that do not touch their picture, are dropped and counted; the rest is clipped to it.
    """
    boxes, images, sizes, dropped = [], [], [], 0
    for image, annotation in enumerate(annotations):
        if annotation is None:
            sizes.append((1, 1))
            dropped += 1
            continue
        clipped_M4, good_M = clip(annotation.boxes_M4, annotation.size)
        boxes.append(clipped_M4[good_M])
        images += [image] * int(good_M.sum())
        sizes.append(annotation.size)
        dropped += int((~good_M).sum())
    return Boxes(
        np.concatenate([np.empty((0, 4)), *boxes]),
        np.array(images, np.int64),
        np.array(sizes, np.int64).reshape(-1, 2),
        dropped,
    )


def clip(boxes_M4: np.ndarray, size: tuple[float, float], least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Boxes clipped to a picture of (width, height), and which of them still have sides of more than ``least``.

    A box that was turned inside out, or holds a number that is none, has no area.
    """
    low, high = np.zeros(4), np.array([*size, *size], np.float64)
    clipped_M4 = np.clip(boxes_M4, low, high)
    sides_M2 = clipped_M4[:, 2:] - clipped_M4[:, :2]
    right_way_M = (boxes_M4[:, 2:] > boxes_M4[:, :2]).all(1)
    return clipped_M4, right_way_M & (sides_M2 > least).all(1)


class Geometry(NamedTuple):
    """How a picture becomes a view: scaled by (x, y), then cut from (left, top) to a square of ``size``."""

    scale: tuple[float, float]
    corner: tuple[float, float]
    size: int


def move(boxes: Boxes, geometry: Callable[[int, int], Geometry]) -> Boxes:
    """The boxes where they lie in views, clipped to them. What has a side under a pixel is dropped and counted.

    Args:
        geometry: from a picture's (width, height) to how it becomes a view.
    """
    kept, images, dropped, size = [], [], boxes.dropped, 1
    for image, (width, height) in enumerate(boxes.sizes_N2.tolist()):
        (scale_x, scale_y), (left, top), size = geometry(width, height)
        scale, corner = np.array([scale_x, scale_y] * 2), np.array([left, top] * 2)
        clipped_M4, good_M = clip(boxes.of(image) * scale - corner, (size, size), LEAST_SIDE * (1 - 1e-9))
        kept.append(clipped_M4[good_M])
        images += [image] * int(good_M.sum())
        dropped += int((~good_M).sum())
    sizes_N2 = np.full((len(boxes), 2), size, np.int64)
    return Boxes(np.concatenate([np.empty((0, 4)), *kept]), np.array(images, np.int64), sizes_N2, dropped)


# --------------------------------------------------------------------------------------------------- what files hold


def from_pixels(first_and_last_M4: np.ndarray | Sequence[Sequence[float]], origin: int = 0) -> np.ndarray:
    """Edges from the first and last pixels that lie in each box, both counted from ``origin``."""
    pixels_M4 = np.asarray(first_and_last_M4, np.float64).reshape(-1, 4)
    return pixels_M4 - origin + np.array([0, 0, 1, 1])


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture file once it is upright, from its header.

    Raises ``CutmixError`` if it has none that can be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            turned = image.getexif().get(EXIF_ORIENTATION) in TURNED_BY_A_QUARTER
            return (image.height, image.width) if turned else (image.width, image.height)
    except Exception as error:  # Pillow's parsers raise whatever their format's parser raises
        raise CutmixError(f"{path}: is not a picture that can be read ({error}).") from error


def read_voc(annotation: Path, picture: Path) -> Annotation | None:
    """The boxes of one XML file as PASCAL VOC and ImageNet write them: first and last pixels, counted from 1.

    None where the file was written for a picture of another size: its boxes would lie elsewhere.

    Raises ``CutmixError`` if the file is missing or is not such a file.
    """
    size = picture_size(picture)
    try:
        root = ElementTree.parse(annotation).getroot()
        found = [
            [float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")
        ]
        noted = tuple(int(root.findtext(f"size/{side}", "0")) for side in ("width", "height"))
    except OSError as error:
        raise CutmixError(f"{annotation} is missing: the boxes of {picture.name} are needed.") from error
    except (ElementTree.ParseError, ValueError) as error:
        raise CutmixError(f"{annotation}: is not an annotation as PASCAL VOC writes them ({error}).") from error
    if noted not in ((0, 0), size):
        return None
    return Annotation(from_pixels(found, origin=1), size)


def read_table(path: Path, columns: int, what: str, separator: str | None = None) -> list[list[str]]:
    """The lines of a text file in ``columns`` parts each.

    Raises ``CutmixError`` that names the file, and the line that is not as it should be.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise CutmixError(f"{path} is missing or cannot be read; it holds {what}.") from error
    rows = [line.split(separator, columns - 1) for line in lines if line.strip()]
    wrong = [number for number, row in enumerate(rows) if len(row) != columns]
    if wrong or not rows:
        problem = f"line {wrong[0] + 1} is {' '.join(rows[wrong[0]])!r}" if wrong else "it is empty"
        raise CutmixError(f"{path}: {problem}; {columns} parts a line are needed ({what}).")
    return rows


def require_boxes(boxes: Boxes | None, name: str) -> Boxes:
    """``boxes``, or the ``UsageError`` that says that there are none."""
    if boxes is None or not len(boxes.boxes_M4):
        raise UsageError(
            f"{name} has no boxes; tiny_imagenet, cub200, oxford_pets and imagenet (with its XML files) have."
        )
    return boxes
