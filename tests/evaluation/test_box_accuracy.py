"""IoU and box accuracies: numbers by hand at boxes that are not square, torchvision's IoU, and bent definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.evaluation.box_accuracy import (
    Overlaps,
    box_accuracy,
    iou,
    max_box_acc,
    max_box_acc_v2,
    one_further,
    overlaps,
    thresholds,
)
from cutmix.evaluation.cam import upsample_cams
from cutmix.evaluation.regions import LEVELS, grey_levels, level_of, regions


def pixels(*first_and_last: int) -> np.ndarray:
    """A box of wsolevaluation's convention, first and last pixels, in ours."""
    left, top, right, bottom = first_and_last
    return np.array([[left, top, right + 1, bottom + 1]])


def test_wsolevaluations_own_example():
    assert iou(pixels(1, 2, 5, 6), pixels(3, 1, 4, 5)).tolist() == [[8 / 27]]


def test_corners_belong_to_boxes():
    # 3x2 and 2x4 pixels that share one; with exclusive corners they would share none.
    assert iou(pixels(0, 0, 2, 1), pixels(2, 1, 3, 4)).tolist() == [[1 / 13]]
    assert iou(pixels(4, 4, 4, 4), pixels(4, 4, 4, 4)).tolist() == [[1.0]]  # a pixel has an area


def test_boxes_without_an_area_share_nothing():
    assert iou(np.zeros((1, 4)), np.array([[0, 0, 0, 0], [0, 0, 2, 3]])).tolist() == [[0.0, 0.0]]


def test_iou_is_torchvisions():
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    one, other = (np.sort(rng.integers(0, 12, (n, 2, 2)), axis=1).reshape(n, 4) for n in (9, 7))
    one[:, 2:] += 1  # none without an area
    other[:, 2:] += 1
    oracle = box_iou(torch.from_numpy(one).double(), torch.from_numpy(other).double()).numpy()
    np.testing.assert_allclose(iou(one, other), oracle, rtol=1e-12)


def test_one_further_stops_at_the_edge():
    boxes = np.array([[1, 1, 3, 2], [2, 0, 5, 4]], np.int32)
    assert one_further(boxes, height=4, width=5).tolist() == [[1, 1, 4, 3], [2, 0, 5, 4]]


# 4x6 pixels: two regions, the left one larger, the right one higher.
MAP = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [100, 100, 100, 0, 255, 0],
        [100, 100, 100, 0, 200, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    np.uint8,
)


def scored(drawn: np.ndarray, true_T4: np.ndarray, level: int) -> Overlaps:
    """One map's."""
    (scores,) = overlaps(regions(drawn[None]), drawn.shape, [true_T4], [level])
    return scores


def test_overlaps_by_hand():
    scores = scored(MAP, pixels(4, 1, 4, 2), level_of(0.15))
    assert scores.tight_box_4.tolist() == [0, 1, 3, 3]
    assert scores.tight == 0.0
    # Up to 99 the left region is the larger, and its box, one further, ends before the true one; then the right one is
    # alone, 1x2 pixels, one further 2x3, of which the true one fills 2; above 199 it is one pixel, one further 2x2.
    assert scores.largest_L[:100].tolist() == [0.0] * 100
    assert scores.largest_L[100:200].tolist() == [2 / 6] * 100
    assert scores.largest_L[200:].tolist() == [2 / 4] * 55
    assert scores.any_L[:200].tolist() == [2 / 6] * 200
    # Either of several true boxes will do.
    both = np.concatenate([pixels(4, 1, 4, 2), pixels(0, 1, 2, 2)])
    assert scored(MAP, both, 38).tight == 1.0
    assert scored(MAP, both, 38).largest_L[0] == 6 / 12


def test_each_map_is_compared_with_its_own_boxes():
    both = np.concatenate([pixels(4, 1, 4, 2), pixels(0, 1, 2, 2)])
    maps = [MAP, MAP[:, ::-1], np.zeros_like(MAP)]
    true = [pixels(0, 1, 2, 1), both, pixels(0, 0, 1, 0)]
    levels = [38, 100, 0]
    together = list(overlaps(regions(np.stack(maps)), (4, 6), true, levels))
    assert [scores.tight for scores in together] == [3 / 6, 2 / 6, 1 / 2]
    for scores, *alone in zip(together, maps, true, levels):
        assert scores.tight_box_4.tolist() == scored(*alone).tight_box_4.tolist()
        assert scores.largest_L.tolist() == scored(*alone).largest_L.tolist()
        assert scores.any_L.tolist() == scored(*alone).any_L.tolist()


def test_the_box_of_a_hole_may_fit_among_all_but_is_never_the_largest():
    ring = np.full((7, 9), 50, np.uint8)
    ring[3, 4] = 10
    scores = scored(ring, pixels(3, 2, 6, 5), 20)  # the hole's contour, 3x3, one further
    assert scores.any_L[20] == 1.0
    assert scores.largest_L[20] == 16 / 63


def test_a_map_without_a_maximum_is_wsolevaluations_pixel_in_the_corner():
    scores = scored(np.zeros((4, 6), np.uint8), pixels(0, 0, 1, 2), 0)
    assert scores.largest_L.tolist() == scores.any_L.tolist() == [1 / 6] * LEVELS
    assert scores.tight == 1 / 6


# Three images at four levels. The best level differs from image to image: the mean of each one's best would be 100 %.
OVERLAPS = np.array([[0.9, 0.5, 0.1, 0.0], [0.2, 0.31, 0.7, 0.4], [0.1, 0.3, 0.5, 0.9]])


def test_max_box_acc_takes_one_level_for_all_images():
    np.testing.assert_allclose(box_accuracy(OVERLAPS, 0.5), [100 / 3, 100 / 3, 200 / 3, 100 / 3])
    assert max_box_acc(OVERLAPS) == pytest.approx(200 / 3)
    assert (OVERLAPS.max(1) >= 0.5).all()


def test_an_iou_of_exactly_the_half_is_enough():
    assert max_box_acc(np.array([[0.5]])) == 100.0
    assert max_box_acc(np.array([[0.5 - 1e-12]])) == 0.0


def test_v2_is_the_mean_over_three_ious():
    assert max_box_acc_v2(OVERLAPS) == pytest.approx((100 + 200 / 3 + 100 / 3) / 3)


def test_thresholds_name_their_levels():
    assert [level_of(threshold) for threshold in thresholds()] == list(range(LEVELS))


@pytest.mark.parametrize("seed", range(6))
def test_the_whole_of_it_on_wsolevaluations_definition(seed):
    """The definition written down anew with OpenCV: 1,000 thresholds, a contour each, first and last pixels."""
    cv2 = pytest.importorskip("cv2")
    coarse = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(seed))
    drawn = grey_levels(upsample_cams(coarse, (22, 30)).numpy())[0]
    true = np.array([[3, 5, 17, 16], [10, 0, 25, 9]])
    scores = scored(drawn, true, 38)
    height, width = drawn.shape
    for threshold in np.arange(0, 1, 0.001)[:: 37 + seed]:
        level = int(threshold * drawn.max())
        above = cv2.threshold(drawn, level, 255, cv2.THRESH_BINARY)[1]
        found = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]

        def fits(contour, height=height, width=width):
            x, y, w, h = cv2.boundingRect(contour)
            return iou(pixels(x, y, min(x + w, width - 1), min(y + h, height - 1)), true).max()

        assert scores.largest_L[level] == fits(max(found, key=cv2.contourArea))
        assert scores.any_L[level] == max(map(fits, found))
