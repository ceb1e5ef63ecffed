"""How well boxes agree, and from that what share of images a network localizes: IoU, MaxBoxAcc, MaxBoxAccV2.

A box is (left, top, right, bottom): the edges of its pixels, so that one pixel at the origin is (0, 0, 1, 1) and an
area is a product of differences. In wsolevaluation (Choe et al., CVPR 2020, arXiv 2001.07437; github.com/clovaai)
boxes are first and last pixels, and one is added to each side: with (1, 2, 5, 6) and (3, 1, 4, 5) of that convention,
here (1, 2, 6, 7) and (3, 1, 5, 6), both find an IoU of 8/27.

Shapes: N images, L = 255 levels at which a map is cut, P and T boxes of one image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cutmix.evaluation.regions import LEVELS, Regions

V2_OVERLAPS = (0.3, 0.5, 0.7)
"""The IoUs over which MaxBoxAccV2 is a mean."""


def iou(boxes_P4: NDArray, others_T4: NDArray) -> NDArray[np.float64]:
    """Intersection over union of each box with each other one, (P, T); 0 where neither has an area."""
    return _iou(np.asarray(boxes_P4, np.float64)[:, None], np.asarray(others_T4, np.float64)[None])


def _iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pair that broadcasting makes."""
    wide = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    both = np.maximum(wide, 0) * np.maximum(high, 0)
    union = _areas(one) + _areas(other) - both
    return np.divide(both, union, out=np.zeros_like(both), where=union > 0)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def one_further(boxes: NDArray[np.int32], height: int, width: int) -> NDArray[np.int32]:
    """Boxes as wsolevaluation makes them of contours: a pixel wider and higher than tight, unless the map ends there.

    (It takes ``x + w`` for the last column of a contour whose first is ``x``.)
    """
    return np.minimum(boxes + np.array([0, 0, 1, 1], np.int32), np.array([width, height] * 2, np.int32))


@dataclass(frozen=True, eq=False)
class Overlaps:
    """What one map's boxes have in common with the nearest of the true ones, as IoU.

    ``largest_L`` is that of the region with the largest contour above each level, ``any_L`` that of the region or hole
    that fits best (both with boxes as wsolevaluation makes them). ``tight_box_4`` and ``tight`` are the tightest box
    around the largest region at one level, and its IoU.
    """

    largest_L: NDArray[np.float64]
    any_L: NDArray[np.float64]
    tight_box_4: NDArray[np.int32]
    tight: float


def overlaps(
    found: Regions, size: tuple[int, int], true_boxes: Sequence[NDArray], levels: Sequence[int]
) -> Iterator[Overlaps]:
    """Compare the boxes of each map's regions with its true ones, (T, 4) each (at least one).

    Args:
        size: (height, width) of the maps.
        levels: at which each map's tight box is taken.
    """
    true_BT4 = np.zeros((found.maps, max(map(len, true_boxes)), 4))  # boxes that are not there share nothing
    for true_T4, of_map in zip(true_BT4, true_boxes):
        true_T4[: len(of_map)] = of_map

    def best(boxes_S4: NDArray[np.int32], cuts_S: NDArray[np.int64]) -> NDArray[np.float64]:
        return _iou(boxes_S4[:, None].astype(np.float64), true_BT4[cuts_S // LEVELS]).max(1)

    cuts = np.arange(found.maps * LEVELS)
    tight_BL4 = found.largest()
    largest_C4 = tight_BL4.reshape(-1, 4).copy()
    largest_C4[found.cuts_S] = one_further(largest_C4[found.cuts_S], *size)
    largest_C = best(largest_C4, cuts)
    any_C = largest_C.copy()  # where there is nothing, wsolevaluation's single pixel in the corner
    for boxes_S4, cuts_S in ((found.boxes_S4, found.cuts_S), (found.hole_boxes_Q4, found.hole_cuts_Q)):
        np.maximum.at(any_C, cuts_S, best(one_further(boxes_S4, *size), cuts_S))
    for largest_L, any_L, tight_L4, true_T4, level in zip(
        largest_C.reshape(-1, LEVELS), any_C.reshape(-1, LEVELS), tight_BL4, true_boxes, levels
    ):
        yield Overlaps(largest_L, any_L, tight_L4[level], float(iou(tight_L4[level : level + 1], true_T4).max()))


def box_accuracy(overlaps_NL: NDArray, at: float) -> NDArray[np.float64]:
    """The share of images whose IoU is at least ``at``, for each level, in percent: (L,)."""
    return 100 * (np.asarray(overlaps_NL) >= at).mean(0)


def max_box_acc(largest_NL: NDArray, at: float = 0.5) -> float:
    """MaxBoxAcc in percent: :func:`box_accuracy` of the largest regions at the one level that is best for all images.

    It is not the mean over images of each one's best level, for which it is sometimes taken and which is larger.
    """
    return float(box_accuracy(largest_NL, at).max())


def max_box_acc_v2(any_NL: NDArray) -> float:
    """MaxBoxAccV2 in percent: the mean over IoU 0.3, 0.5 and 0.7 of the accuracy at each one's best level.

    ``any_NL`` is the IoU of the region that fits best, among all of a map.
    """
    return float(np.mean([box_accuracy(any_NL, at).max() for at in V2_OVERLAPS]))


def thresholds() -> NDArray[np.float64]:
    """The levels as shares of a map's maximum, (L,): the least that :func:`~.regions.level_of` takes to each."""
    return np.arange(LEVELS) / LEVELS
