"""Boxes of files and in views, worked out by hand at pictures that are not square."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data import ArraySplit, Data, PhotoSplit, view_boxes
from cutmix.data.arrays import resized
from cutmix.data.boxes import (
    Annotation,
    Boxes,
    Geometry,
    collect,
    from_pixels,
    move,
    picture_size,
    read_table,
    read_voc,
)
from cutmix.errors import CutmixError, UsageError

HALF = (0.5, 0.5, 0.5)


def photos(*boxes: list[float], size: tuple[int, int], image_size: int, squared: int = 0) -> tuple[Data, Boxes]:
    """Data whose two test photos have ``size`` (width, height), the first with these boxes."""
    annotations = [Annotation(np.array(boxes, float).reshape(-1, 4), size), Annotation(np.zeros((0, 4)), size)]
    split = PhotoSplit((Path("a"), Path("b")), np.array([0, 1]), lambda: collect(annotations))
    data = Data("made", ("a", "b"), split, split, HALF, HALF, image_size, flip=True, squared=squared)
    return data, view_boxes(data)


def test_a_box_goes_through_resizing_and_cropping() -> None:
    # 500x375 becomes 341x256, of which columns 58.5 -> 58 (round half to even) and rows 16 on are seen.
    _, boxes = photos([100, 50, 300, 200], size=(500, 375), image_size=224)
    x, y = 341 / 500, 256 / 375
    np.testing.assert_allclose(boxes.boxes_M4, [[100 * x - 58, 50 * y - 16, 300 * x - 58, 200 * y - 16]])
    assert boxes.sizes_N2.tolist() == [[224, 224]] * 2
    assert (boxes.counts_N.tolist(), boxes.dropped) == ([1, 0], 0)


def test_a_square_view_stretches_the_box() -> None:
    _, boxes = photos([100, 150, 300, 200], size=(500, 375), image_size=224, squared=256)
    x, y = 256 / 500, 256 / 375
    np.testing.assert_allclose(boxes.boxes_M4, [[100 * x - 16, 150 * y - 16, 300 * x - 16, 200 * y - 16]])


def test_boxes_are_where_the_view_shows_them() -> None:
    """White boxes on black photos, through the views that a network gets."""
    from cutmix.data.transforms import centre_view

    for size, squared in (((90, 130), 0), ((130, 90), 0), ((130, 90), 100)):
        left, top, right, bottom = 40, 20, 75, 70
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[top:bottom, left:right] = 255
        _, boxes = photos([left, top, right, bottom], size=size, image_size=80, squared=squared)
        seen = centre_view(Image.fromarray(pixels), 80, squared)[..., 0] > 127
        columns, rows = (np.flatnonzero(seen.any(axis)) for axis in (0, 1))
        shown = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(boxes.boxes_M4[0], shown, atol=0.6)


def test_boxes_are_clipped_to_the_view_and_dropped_outside_of_it() -> None:
    # 40x20 pixels at image_size 20 are seen in their columns 10 to 29.
    _, boxes = photos([0, 0, 15, 20], [0, 0, 10, 20], [29.5, 3, 40, 9], [25, 3, 40, 9], size=(40, 20), image_size=20)
    assert boxes.boxes_M4.tolist() == [[0, 0, 5, 20], [15, 3, 20, 9]]
    assert boxes.dropped == 2  # the one outside, and the one of which half a pixel is left


def test_a_box_of_one_pixel_is_kept_and_what_was_dropped_before_stays_counted() -> None:
    # Columns 10 to 29 are seen; [8, 2, 11, 5] is seen in column 10 alone. The last box has no area in its file.
    _, boxes = photos([12, 3, 13, 9], [8, 2, 11, 5], [0, 0, 9, 9], [5, 5, 5, 9], size=(40, 20), image_size=20)
    assert boxes.boxes_M4.tolist() == [[2, 3, 3, 9], [0, 2, 1, 5]]
    assert boxes.dropped == 2


def test_small_images_are_scaled_as_a_whole() -> None:
    split = ArraySplit(
        np.zeros((1, 16, 16, 3), np.uint8),
        np.array([0]),
        lambda: collect([Annotation(np.array([[2, 4, 8, 15]]), (16, 16))]),
    )
    train = ArraySplit(np.zeros((2, 24, 24, 3), np.uint8), np.array([0, 1]))
    data = Data("made", ("a", "b"), train, resized(split, 24), HALF, HALF, 24, flip=True)
    assert view_boxes(data).boxes_M4.tolist() == [[3, 6, 12, 22.5]]


def test_splits_without_boxes_are_named() -> None:
    split = ArraySplit(np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1]))
    with pytest.raises(UsageError, match="made has no boxes"):
        view_boxes(Data("made", ("a", "b"), split, split, HALF, HALF, 8, flip=True))


def test_what_cannot_be_right_is_dropped_and_counted() -> None:
    wrong = [[5, 5, 5, 9], [9, 5, 4, 9], [-9, 0, -2, 5], [30, 2, 40, 4], [math.nan, 0, 3, 3]]
    boxes = collect([Annotation(np.array([*wrong, [-2, 1, 99, 4]], float), (20, 10)), None])
    assert boxes.boxes_M4.tolist() == [[0, 1, 20, 4]]
    assert boxes.dropped == 6
    assert len(boxes) == 2


def test_subsets_keep_each_image_its_boxes() -> None:
    boxes = collect([Annotation(np.array([[k, 0, k + 1, 1]] * k, float).reshape(-1, 4), (9, 9)) for k in range(4)])
    part = boxes.subset([3, 0, 2])
    assert part.counts_N.tolist() == [3, 0, 2]
    assert part.of(0).tolist() == [[3, 0, 4, 1]] * 3
    assert part.of(2).tolist() == [[2, 0, 3, 1]] * 2
    assert part.of(1).shape == (0, 4)


def test_subsets_keep_each_image_its_size_and_what_the_split_lost() -> None:
    boxes = collect([Annotation(np.array([[1, 1, 4, 1 + k]], float), (9 + k, 20)) for k in range(3)])
    assert boxes.dropped == 1  # the first is without height
    part = boxes.subset([2, 0])
    assert part.sizes_N2.tolist() == [[11, 20], [9, 20]]
    assert (part.boxes_M4.tolist(), part.dropped) == ([[1, 1, 4, 3]], 1)


def test_splits_hand_their_boxes_on() -> None:
    data, _ = photos([1, 2, 3, 4], size=(9, 9), image_size=9)
    part = data.test.subset([1, 0])
    assert part.read_boxes is not None
    assert part.read_boxes().counts_N.tolist() == [0, 1]


def test_pixels_become_edges() -> None:
    assert from_pixels([[0, 0, 0, 0], [2, 3, 5, 9]]).tolist() == [[0, 0, 1, 1], [2, 3, 6, 10]]
    assert from_pixels([1, 1, 500, 375], origin=1).tolist() == [[0, 0, 500, 375]]


def test_moving_scales_before_it_cuts() -> None:
    boxes = collect([Annotation(np.array([[2, 4, 6, 8]], float), (10, 20))])
    moved = move(boxes, lambda width, height: Geometry((30 / width, 40 / height), (5, 7), 25))
    assert moved.boxes_M4.tolist() == [[1, 1, 13, 9]]


# ------------------------------------------------------------------------------------------------------------- files

VOC = (
    "<annotation><size><width>{}</width><height>{}</height></size>"
    "<object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>40</xmax><ymax>9</ymax></bndbox></object>"
    "<object><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30)).save(path)
    return path


def test_voc_counts_pixels_from_one(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.xml").write_text(VOC.format(40, 30))
    found = read_voc(tmp_path / "photo.xml", picture)
    assert found is not None
    assert found.boxes_M4.tolist() == [[0, 1, 40, 9], [2, 2, 3, 4]]
    assert found.size == (40, 30)


def test_boxes_of_another_size_are_not_used(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.xml").write_text(VOC.format(30, 40))
    assert read_voc(tmp_path / "photo.xml", picture) is None
    (tmp_path / "photo.xml").write_text(VOC.format(0, 0))  # some files say nothing
    assert read_voc(tmp_path / "photo.xml", picture) is not None


@pytest.mark.parametrize(
    "content", ["", "<annotation>", VOC.replace("<xmin>1", "<xmin>one"), VOC.replace("<xmin>1</xmin>", "")]
)
def test_damaged_annotations_are_named(picture: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "photo.xml").write_text(content)
    with pytest.raises(CutmixError, match=r"photo\.xml"):
        read_voc(tmp_path / "photo.xml", picture)


def test_missing_annotations_are_named(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(CutmixError, match=r"other\.xml is missing"):
        read_voc(tmp_path / "other.xml", picture)


def test_a_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    assert picture_size(tmp_path / "turned.jpg") == (30, 40)
    (tmp_path / "none.jpg").write_text("no picture")
    with pytest.raises(CutmixError, match=r"none\.jpg"):
        picture_size(tmp_path / "none.jpg")


@pytest.mark.parametrize(("content", "said"), [("a b\nc\n", "line 2 is 'c'"), ("\n\n", "it is empty")])
def test_tables_name_the_line(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "table.txt").write_text(content)
    with pytest.raises(CutmixError, match=said):
        read_table(tmp_path / "table.txt", 2, "letters")
