"""Pictures of boxes: what is drawn where, and the room that the photos need."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cutmix.errors import UsageError
from cutmix.transfer.box_pictures import BoxPicture, boxes_picture


def photo(height: int, width: int) -> BoxPicture:
    return BoxPicture(np.full((height, width, 3), 128, np.uint8), np.empty((0, 4)), ())


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(30, 60)] * 5, (1200, 330)),  # two rows, each half as high as its photos are wide, and the title
        ([(30, 60), (45, 60)], (600, 255)),  # the steepest needs the most
        ([(400, 20)], (300, 630)),  # but not more than twice its width
    ],
)
def test_rows_are_as_high_as_the_photos_need(tmp_path, sizes, expected):
    boxes_picture([photo(*size) for size in sizes], tmp_path / "grid.png", title="A title")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == expected


def test_found_boxes_are_coloured_and_true_ones_white(tmp_path):
    black = np.zeros((100, 200, 3), np.uint8)
    picture = BoxPicture(black, np.array([[20, 30, 90, 80]]), ["cat 0.7"], np.array([[120, 30, 180, 80]]))
    boxes_picture([picture], tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        pixels = np.asarray(grid.convert("RGB")).astype(int)
    left, right = pixels[60:, :150], pixels[60:, 150:]
    coloured = lambda part: (part.max(-1) - part.min(-1) > 60).sum()  # noqa: E731
    white = lambda part: (part.min(-1) > 250).sum()  # noqa: E731
    assert coloured(left) > 50
    assert not coloured(right)
    assert white(right) > white(left)


def test_no_pictures_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no images"):
        boxes_picture([], tmp_path / "grid.png")
