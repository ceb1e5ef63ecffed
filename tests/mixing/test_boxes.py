"""Objects: the official arithmetic, its neighbour that keeps odd sides, areas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutmix.errors import UsageError
from cutmix.mixing import Box, box_around, box_sides

SIDES = st.integers(1, 40)
GEOMETRIES = st.sampled_from(["paper", "exact"])


def around(row: int, column: int, height: int, width: int, size_HW: tuple[int, int], geometry: str = "paper") -> Box:
    return box_around(*(tuple(map(np.asarray, pair)) for pair in ((row, column), (height, width))), size_HW, geometry)


def test_area_and_share_of_a_2x3_box_in_a_4x6_image() -> None:
    box = Box(top=1, left=2, bottom=3, right=5)
    assert box.area == 6
    assert box.share_outside((4, 6)) == 18 / 24
    assert box.shared


def test_area_and_share_of_a_box_an_image() -> None:
    boxes = Box.of([(1, 2, 3, 5), (0, 0, 4, 6), (2, 2, 2, 5)])
    assert boxes.area.tolist() == [6, 24, 0]
    assert boxes.share_outside((4, 6)).tolist() == [0.75, 0.0, 1.0]
    assert not boxes.shared


@pytest.mark.parametrize(
    ("centre", "sides", "paper", "exact"),
    [
        ((3, 4), (4, 2), (1, 3, 5, 5), (1, 3, 5, 5)),  # even sides: the same
        ((3, 4), (3, 5), (2, 2, 4, 6), (2, 2, 5, 7)),  # odd sides: one pixel each way apart
        ((0, 8), (3, 4), (0, 6, 1, 9), (0, 6, 2, 9)),  # clipped at the top and at the right
        ((6, 0), (5, 9), (4, 0, 7, 4), (4, 0, 7, 5)),  # clipped at the bottom and at the left
        ((3, 4), (1, 0), (3, 4, 3, 4), (3, 4, 4, 4)),  # too small for the paper's arithmetic
    ],
)
def test_boxes_worked_out_by_hand_in_a_7x9_image(centre, sides, paper, exact) -> None:
    assert around(*centre, *sides, (7, 9), "paper") == paper
    assert around(*centre, *sides, (7, 9), "exact") == exact


def test_sides_are_truncated_and_keep_the_shape_of_the_image() -> None:
    height, width = box_sides(np.array([0.0, 0.25, 0.5, 0.75, 0.9, 1.0]), (32, 224))
    assert height.tolist() == [32, 27, 22, 16, 10, 0]
    assert width.tolist() == [224, 193, 158, 112, 70, 0]


@given(height=SIDES, width=SIDES, lam=st.floats(0, 1), data=st.data())
def test_paper_geometry_is_that_of_the_official_code(height, width, lam, data) -> None:
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    cut_ratio = np.sqrt(1.0 - lam)
    half_height, half_width = int(height * cut_ratio) // 2, int(width * cut_ratio) // 2
    expected = (
        min(max(row - half_height, 0), height),
        min(max(column - half_width, 0), width),
        min(max(row + half_height, 0), height),
        min(max(column + half_width, 0), width),
    )
    sides = box_sides(np.asarray(lam), (height, width))
    assert box_around((np.asarray(row), np.asarray(column)), sides, (height, width), "paper") == expected


@given(height=SIDES, width=SIDES, geometry=GEOMETRIES, seed=st.integers(0, 99))
def test_many_boxes_are_what_each_alone_would_be(height, width, geometry, seed) -> None:
    rng = np.random.default_rng(seed)
    size_HW, shares = (height, width), rng.random(5)
    rows, columns = rng.integers(height, size=5), rng.integers(width, size=5)
    together = box_around((rows, columns), box_sides(shares, size_HW), size_HW, geometry)
    together.check(size_HW)
    for i in range(5):
        alone = box_around((rows[i], columns[i]), box_sides(shares[i], size_HW), size_HW, geometry)
        assert alone == tuple(edge[i] for edge in together)


@given(side=st.integers(0, 9), geometry=GEOMETRIES)
def test_a_box_inside_has_its_whole_side_only_in_the_exact_geometry(side, geometry) -> None:
    box = around(10, 14, side, side, (21, 31), geometry)
    kept = side if geometry == "exact" else side - side % 2
    assert (box.bottom - box.top, box.right - box.left) == (kept, kept)


@pytest.mark.parametrize(("size", "mean_area"), [(32, 0.29925), (64, 0.31010), (224, 0.31778)])
def test_mean_pasted_area_by_exact_enumeration(size: int, mean_area: float) -> None:
    """For alpha = 1 a cut of n pixels has probability ((n + 1)^2 - n^2) / size^2, and each centre is as likely."""
    centres, cuts = np.arange(size), np.arange(size)
    box = box_around((centres, centres), (cuts[:, None], cuts[:, None]), (size, size), "paper")
    mean_sides = (box.bottom - box.top).mean(1)  # rows and columns are independent, given the cut
    assert np.sum((2 * cuts + 1) / size**2 * (mean_sides / size) ** 2) == pytest.approx(mean_area, abs=5e-6)


@pytest.mark.parametrize("box", [(-1, 0, 2, 2), (0, 0, 5, 2), (0, 0, 2, 7), (3, 0, 2, 2), (0, 4, 2, 3), (0, -2, 2, 3)])
def test_a_box_that_leaves_the_image_is_refused(box) -> None:
    with pytest.raises(UsageError, match=r"bottom <= 4 and 0 <= left <= right <= 6"):
        Box.of(box).check((4, 6))
    with pytest.raises(UsageError, match="is wanted"):
        Box.of([(0, 0, 1, 1), box]).check((4, 6))


def test_a_box_is_one_already_even_four_of_them() -> None:
    """Four boxes as arrays are a 4x4 table, which must not be read along the wrong side."""
    boxes = Box.of([(0, 0, 1, 2), (0, 1, 2, 3), (1, 1, 3, 4), (2, 0, 4, 4)])
    assert Box.of(boxes) is boxes
    assert boxes.top.tolist() == [0, 0, 1, 2]
    assert boxes.right.tolist() == [2, 3, 4, 4]


@pytest.mark.parametrize("value", [(1, 2, 3), 5, (0.0, 0.0, 1.0, 1.0), np.zeros((2, 2, 4), int), [(1, 2, 3, 4, 5)]])
def test_what_is_no_box_is_refused(value) -> None:
    with pytest.raises(UsageError, match=r"\(top, left, bottom, right\)"):
        Box.of(value)
