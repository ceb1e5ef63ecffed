"""Regions at every level: maps worked out by hand, and OpenCV's contours where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.evaluation.cam import upsample_cams
from cutmix.evaluation.regions import LEVELS, Regions, grey_levels, level_of, regions

# wsolevaluation's own example of a map with several regions; its boxes are first and last pixels, one further.
SEVERAL = np.array(
    [
        [0.4, 0.0, 0.2, 0.2, 0.2],
        [0.4, 0.4, 0.0, 0.4, 0.0],
        [0.0, 0.0, 0.0, 0.4, 0.0],
        [1.0, 0.6, 0.8, 0.2, 0.2],
    ]
)


def grey(rows: list[str]) -> np.ndarray:
    """A map drawn in digits, 9 being 255."""
    return np.array([[int(digit) * 255 // 9 for digit in row] for row in rows], np.uint8)


def smooth(seed: int, low: int, height: int, width: int) -> np.ndarray:
    coarse = torch.randn(1, low, low, generator=torch.Generator().manual_seed(seed))
    return upsample_cams(coarse, (height, width))[0].numpy()


def largest(drawn: np.ndarray, heights: np.ndarray | None = None) -> np.ndarray:
    """Of one map."""
    return regions(drawn[None], None if heights is None else heights[None]).largest()[0]


def above(found: Regions, level: int, number: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """The boxes of the regions and of the holes of one map above one level."""
    cut = number * LEVELS + level
    holes = found.hole_boxes_Q4[found.hole_cuts_Q == cut]
    return sorted(found.boxes_S4[found.cuts_S == cut].tolist()), sorted(holes.tolist())


def test_grey_levels_are_cut_off_below():
    assert grey_levels(np.array([[[0.0, 0.15, 0.999, 1.0]]], np.float32)).tolist() == [[[0, 38, 254, 255]]]
    assert [level_of(0.15), level_of(0.2, 100), level_of(0.0), level_of(0.999)] == [38, 20, 0, 254]


@pytest.mark.parametrize("wrong", [np.full((1, 2, 2), np.nan), np.full((1, 2, 2), 1.1), np.full((1, 2, 2), -0.1)])
def test_other_maps_are_refused(wrong):
    with pytest.raises(UsageError, match=r"\[0, 1\]"):
        grey_levels(wrong)


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_thresholds_are_shares(threshold):
    with pytest.raises(UsageError, match="threshold"):
        level_of(threshold)


def test_the_largest_region_by_hand():
    found = largest(grey_levels(SEVERAL.astype(np.float32)))
    boxes = [found[level_of(threshold)].tolist() for threshold in (0.0, 0.2, 0.4, 0.6, 0.8)]
    # All touch; then three pixels (half a square within their contour) beat a line of five; then the line of three;
    # of two single pixels the later one; and the greatest pixel.
    assert boxes == [[0, 0, 5, 4], [0, 0, 2, 2], [0, 3, 3, 4], [2, 3, 3, 4], [0, 3, 1, 4]]


def test_the_largest_is_measured_within_its_contour_not_by_its_pixels():
    drawn = grey(["9999999", "0000000", "0990000", "0990000"])
    assert largest(drawn)[100].tolist() == [1, 2, 3, 4]  # four pixels around a square; seven in a line


def test_what_a_region_encloses_counts():
    drawn = grey(
        [
            "999900000",
            "900900000",
            "909900999",
            "900900999",
            "999900999",
            "000000999",
        ]
    )
    assert largest(drawn)[0].tolist() == [0, 0, 4, 5]  # 3 x 4 within, of 14 pixels; the full block has 2 x 3
    filled = drawn.copy()
    filled[1:4, 1:3] = 0
    filled[:, 3] = 0
    assert largest(filled)[0].tolist() == [6, 2, 9, 6]  # no longer a ring


def test_an_enclosed_region_is_not_taken_for_its_ring():
    drawn = grey(["9999999", "9000009", "9099909", "9099909", "9000009", "9999999"])
    assert largest(drawn)[7].tolist() == [0, 0, 7, 6]
    boxes, holes = above(regions(drawn[None]), 7)
    assert boxes == [[0, 0, 7, 6], [2, 2, 5, 4]]
    assert holes == [[0, 0, 7, 6]]  # the ring's own pixels around its hole


def test_nothing_above_is_one_pixel_in_the_corner():
    found = regions(np.zeros((2, 3, 4), np.uint8))
    assert len(found.cuts_S) == len(found.hole_cuts_Q) == 0
    assert (found.largest() == [0, 0, 1, 1]).all()


def test_heights_only_help():
    heights = smooth(3, 5, 24, 30)
    drawn = grey_levels(heights)
    assert np.array_equal(largest(drawn), largest(drawn, heights))


def test_maps_found_together_know_nothing_of_each_other():
    """Bright up to their edges, where they lie next to each other; with holes; and one with nothing."""
    ring = grey(["9999", "9009", "8708"])
    drawn = np.stack([ring, np.zeros_like(ring), ring[::-1], grey(["9999", "9099", "9999"]), ring[:, ::-1]])
    together = regions(drawn)
    for number, alone in enumerate(drawn):
        assert np.array_equal(together.largest()[number], largest(alone))
        for level in (0, 199, 230):
            assert above(together, level, number) == above(regions(alone[None]), level)
    assert above(together, 0, 2) == ([[0, 0, 4, 3]], [])  # dark reaches the edge, and there another map's bright
    assert above(together, 0, 3) == ([[0, 0, 4, 3]], [[0, 0, 3, 3]])


def contours(drawn: np.ndarray, level: int) -> list[tuple[list[int], float]]:
    cv2 = pytest.importorskip("cv2")
    above = ((drawn > level) * 255).astype(np.uint8)
    found = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    boxes = [cv2.boundingRect(contour) for contour in found]
    return [([x, y, x + w, y + h], cv2.contourArea(contour)) for (x, y, w, h), contour in zip(boxes, found)]


def made_up(seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Noise, noise of few values, and smooth maps with and without a flat floor."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 13, 2)
    noise = rng.random((height, width)).astype(np.float32) ** rng.integers(1, 4)
    if seed % 4 == 0:
        return grey_levels(np.round(noise * 4) / 4), None
    if seed % 4 == 1:
        return grey_levels(noise), noise
    heights = smooth(seed, 6, 20, 28)
    if seed % 4 == 3:
        heights = np.maximum(heights, 0.4)
    return grey_levels(heights), heights


@pytest.mark.parametrize("seed", range(24))
def test_opencv_finds_the_same_contours(seed):
    drawn, heights = made_up(seed)
    found = regions(drawn[None], None if heights is None else heights[None])
    for level in range(0, LEVELS, 1 if drawn.size < 200 else 7):
        oracle = contours(drawn, level)
        boxes, holes = above(found, level)
        assert sorted(boxes + holes) == sorted(box for box, _ in oracle)
        if oracle:
            assert found.largest()[0, level].tolist() == max(oracle, key=lambda contour: contour[1])[0]
