"""Regions of a map above every threshold at once: the box around each, and which of them is the largest.

A map is cut at grey levels 0 to 254: above a level lie the pixels that are greater. Pixels that touch, corners
included, are one region. Finding the regions of each level anew would cost 255 labellings an image; here they are found
once. Every pixel climbs to a peak, which gives each peak a basin; at any level a region is what is left of some basins,
joined where their borders are high enough. Joining them from the highest border down gives all regions of all levels.

A box is (left, top, right, bottom): the edges of its pixels, so that one pixel at the origin is (0, 0, 1, 1).

Shapes: B maps of H x W pixels, L = 255 levels, R peaks of a map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cutmix.errors import UsageError

LEVELS = 255
"""Levels at which a map of 256 grey values can be cut with something left above."""
GREATEST = 2**30  # what a side or a place that is not there is smaller than


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of one map at every level.

    ``boxes_RL4`` int32 has a region's box wherever ``alive_RL`` is true, and no meaning elsewhere. ``contour_RL`` is
    twice the area within the contour that runs through the centres of a region's outermost pixels, as OpenCV's
    ``contourArea`` measures it: 0 for a line, and including what the region encloses. ``first_RL`` is its first pixel,
    row by row. ``holes_RL4`` and ``holed_RL`` are the boxes of the contours around holes (the region's pixels that
    border on what it encloses), and where there are such.
    """

    boxes_RL4: NDArray[np.int32]
    alive_RL: NDArray[np.bool_]
    first_RL: NDArray[np.int32]
    contour_RL: NDArray[np.int32]
    holes_RL4: NDArray[np.int32]
    holed_RL: NDArray[np.bool_]

    def largest(self) -> NDArray[np.int32]:
        """The box of each level's region of the largest contour, (L, 4); (0, 0, 1, 1) where nothing lies above.

        Of equal ones the region whose first pixel comes last, which is the one that OpenCV lists first.
        """
        order = np.where(self.alive_RL, self.contour_RL.astype(np.int64) * GREATEST + self.first_RL, -1)
        boxes_L4 = self.boxes_RL4[order.argmax(0), np.arange(LEVELS)]
        return np.where(self.alive_RL.any(0, keepdims=True).T, boxes_L4, np.array([0, 0, 1, 1], np.int32))


def grey_levels(maps_BHW: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Maps in [0, 1] as grey values 0 to 255, cut off below as wsolevaluation does: 0.999 becomes 254.

    Raises:
        UsageError: a value is not finite, or outside of [0, 1].
    """
    if not (np.isfinite(maps_BHW).all() and maps_BHW.min(initial=0) >= 0 and maps_BHW.max(initial=0) <= 1):
        raise UsageError("maps must lie in [0, 1]; upsample_cams() in cutmix.evaluation.cam makes such ones.")
    return (maps_BHW * np.float32(255)).astype(np.uint8)


def level_of(threshold: float, greatest: int = 255) -> int:
    """The grey level that a threshold in [0, 1) of a map's greatest grey value stands for; foreground lies above it."""
    if not 0 <= threshold < 1:
        raise UsageError(f"a threshold is a share of the map's maximum from 0 to less than 1; got {threshold}.")
    return int(threshold * greatest)


def regions(grey_HW: NDArray[np.uint8], heights_HW: NDArray[np.floating] | None = None) -> Regions:
    """The regions of one map of grey values, above each of the levels 0 to 254.

    Args:
        heights_HW: the map before it was rounded down to grey values. The result does not depend on it, but smooth
            heights have fewer peaks than their grey values have plateaus, which is faster.
    """
    heights_HW = np.asarray(grey_HW if heights_HW is None else heights_HW, np.float32)
    touching = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
    basins_HW, count = _basins(heights_HW, touching)
    corners_CRL = _corners(basins_HW, grey_HW, count)
    contour_RL = _contours(basins_HW, grey_HW, count)
    alive_RL = corners_CRL[0] < GREATEST
    for gone, into, level in _joins(basins_HW, grey_HW, count, touching):
        below = slice(0, level)
        np.minimum(corners_CRL[:, into, below], corners_CRL[:, gone, below], out=corners_CRL[:, into, below])
        contour_RL[into, below] += contour_RL[gone, below]
        alive_RL[gone, below] = False
    boxes_RL4 = _boxes(corners_CRL, grey_HW.shape[1])
    found = Regions(boxes_RL4, alive_RL, corners_CRL[0], contour_RL, *_holes(grey_HW, heights_HW))
    _fill(grey_HW, found)
    return found


def _basins(heights_HW: NDArray[np.float32], touching: Iterable[tuple[int, int]]) -> tuple[NDArray[np.int32], int]:
    """For each pixel the number of the peak that it climbs to, always on to its highest neighbour; how many there are.

    Of equally high ones it goes to the later one, so that nobody walks in circles.
    """
    height, width = heights_HW.shape
    padded = np.full((height + 2, width + 2), -np.inf, np.float32)
    padded[1:-1, 1:-1] = heights_HW
    here = np.arange(padded.size, dtype=np.int32).reshape(padded.shape)[1:-1, 1:-1]
    steps = sorted([*touching, (0, 0)])  # from the earliest pixel to the latest
    best_HW = np.full((height, width), -np.inf, np.float32)
    step_HW = np.zeros((height, width), np.int32)
    for down, right in steps:
        there = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
        np.copyto(step_HW, down * (width + 2) + right, where=there >= best_HW)
        np.maximum(best_HW, there, out=best_HW)
    above = np.arange(padded.size, dtype=np.int32)
    above.reshape(padded.shape)[1:-1, 1:-1] = here + step_HW
    while not np.array_equal(further := above[above], above):
        above = further
    peaks = np.flatnonzero(np.bincount(above.reshape(padded.shape)[1:-1, 1:-1].ravel()))
    numbers = np.empty(padded.size, np.int32)
    numbers[peaks] = np.arange(len(peaks), dtype=np.int32)
    return numbers[above].reshape(padded.shape)[1:-1, 1:-1], len(peaks)


def _joins(
    basins_HW: NDArray[np.int32], grey_HW: NDArray[np.uint8], count: int, touching: Iterable[tuple[int, int]]
) -> list[tuple[int, int, int]]:
    """(gone, into, level), from the highest down: below ``level`` the region of peak ``gone`` is one with ``into``'s.

    Of two peaks the one of the greater number stays.
    """
    codes = []
    for down, right in touching:
        if (down, right) < (0, 0):
            continue  # each border once
        one, other = _pair(basins_HW, down, right)
        where = one != other
        first, second = one[where].astype(np.int64), other[where].astype(np.int64)
        depth = 255 - np.minimum(*_pair(grey_HW, down, right))[where]
        codes.append((np.minimum(first, second) * count + np.maximum(first, second)) * 256 + depth)
    border, depth = np.divmod(np.unique(np.concatenate(codes)), 256)
    highest = np.flatnonzero(np.diff(border, prepend=-1))  # of each two basins
    highest = highest[np.argsort(depth[highest], kind="stable")]
    into = list(range(count))
    joins = []
    for pair, below in zip(border[highest].tolist(), (255 - depth[highest]).tolist()):
        gone, kept = sorted((_top(into, pair // count), _top(into, pair % count)))
        if gone != kept:
            into[gone] = kept
            joins.append((gone, kept, below))
    return joins


def _top(into: list[int], peak: int) -> int:
    while into[peak] != peak:
        into[peak] = into[into[peak]]
        peak = into[peak]
    return peak


def _pair(values_HW: NDArray, down: int, right: int) -> tuple[NDArray, NDArray]:
    """Every pixel that has a neighbour ``down`` rows and ``right`` columns away (``down`` at least 0), and those."""
    height, width = values_HW.shape
    left, end = max(0, -right), width - max(0, right)
    return values_HW[: height - down, left:end], values_HW[down:, left + right : end + right]


def _corners(basins_HW: NDArray[np.int32], grey_HW: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """Of each basin above each level: its first pixel, least column, negative greatest column and row; (4, R, L)."""
    height, width = grey_HW.shape
    keys = (basins_HW * np.int32(256) + grey_HW).ravel()
    rows, columns = np.divmod(np.arange(height * width, dtype=np.int32), np.int32(width))
    least = np.full((4, count * 256), GREATEST, np.int32)
    for corner, values in zip(least, (np.arange(height * width, dtype=np.int32), columns, -columns, -rows)):
        np.minimum.at(corner, keys, values)
    of_values = least.reshape(4, count, 256)
    above = np.minimum.accumulate(of_values[..., :0:-1], axis=2)[..., ::-1]  # of the values greater than each level
    return np.ascontiguousarray(above)


def _boxes(corners_CRL: NDArray[np.int32], width: int) -> NDArray[np.int32]:
    """Boxes (R, L, 4) from what :func:`_corners` gives."""
    first, left, right, bottom = corners_CRL
    return np.stack([left, first // np.int32(width), 1 - right, 1 - bottom], axis=-1)


def _contours(basins_HW: NDArray[np.int32], grey_HW: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """Of each basin above each level: twice the area within contours through pixel centres, without what is enclosed.

    Of a square of 2x2 pixels the contour takes in all where four lie above, half where three do: so each square counts
    once at its least and once at its second least value. Three of a square touch: they are of one region, the one of
    the square's greatest pixel.
    """
    (one, two), (three, four) = _pair(grey_HW[:-1], 0, 1), _pair(grey_HW[1:], 0, 1)
    low, lower = np.minimum(one, two), np.minimum(three, four)
    high, higher = np.maximum(one, two), np.maximum(three, four)
    least, greatest = np.minimum(low, lower), np.maximum(high, higher)
    second = np.minimum(np.maximum(low, lower), np.minimum(high, higher))
    owner = basins_HW[1:, 1:].copy()
    for value, owners in ((three, basins_HW[1:, :-1]), (two, basins_HW[:-1, 1:]), (one, basins_HW[:-1, :-1])):
        np.copyto(owner, owners, where=value == greatest)
    keys = np.concatenate([(owner * np.int32(256) + value).ravel() for value in (least, second)])
    of_values = np.bincount(keys, minlength=count * 256).reshape(count, 256)
    return np.cumsum(of_values[:, :0:-1], axis=1, dtype=np.int32)[:, ::-1].copy()


def _holes(grey_HW: NDArray[np.uint8], heights_HW: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """The boxes of the contours around holes (R, L, 4), and where there are such.

    A hole is a region of what does not lie above a level, joined by sides only, that does not reach the border: the
    regions of the map turned upside down, with a rim around it that is the outside.
    """
    height, width = grey_HW.shape
    depths = np.full((height + 2, width + 2), np.inf, np.float32)
    depths[1:-1, 1:-1] = -heights_HW
    dark = np.full((height + 2, width + 2), 255, np.uint8)
    dark[1:-1, 1:-1] = 255 - grey_HW
    sides = ((-1, 0), (0, -1), (0, 1), (1, 0))
    basins, count = _basins(depths, sides)
    corners_CRL = _corners(basins, dark, count)
    alive_RL = corners_CRL[0] < GREATEST
    for gone, into, level in _joins(basins, dark, count, sides):
        below = slice(0, level)
        np.minimum(corners_CRL[:, into, below], corners_CRL[:, gone, below], out=corners_CRL[:, into, below])
        alive_RL[gone, below] = False
    alive_RL[-1] = False  # the rim's corner is the last pixel, so its peak has the greatest number, and always stays
    # Dark above level 254 - L is what does not lie above L. Boxes grow by a pixel to the contour, and leave the rim.
    boxes_RL4 = _boxes(corners_CRL, width + 2)[:, ::-1] + np.array([-2, -2, 0, 0], np.int32)
    return boxes_RL4, alive_RL[:, ::-1]


def _fill(grey_HW: NDArray[np.uint8], found: Regions) -> None:
    """Add what regions enclose to their contours, at the levels where that may decide which is the largest.

    It cannot where no other region's box is large enough, or none of those that are has the box of a hole in it.
    """
    sides_RL2 = found.boxes_RL4[..., 2:] - found.boxes_RL4[..., :2] - 1
    most_RL = np.where(found.alive_RL, 2 * sides_RL2.prod(-1, dtype=np.int64), -1)
    ahead_L = np.where(found.alive_RL, found.contour_RL, -1).max(0)
    rivals_RL = most_RL >= ahead_L
    for level in np.flatnonzero(found.holed_RL.any(0) & (rivals_RL.sum(0) > 1)):
        rivals_R = np.flatnonzero(rivals_RL[:, level] & found.alive_RL[:, level])
        boxes_R14 = found.boxes_RL4[rivals_R, level][:, None]
        holes_1P4 = found.holes_RL4[found.holed_RL[:, level], level][None]
        within_RP2 = (holes_1P4[..., :2] >= boxes_R14[..., :2]) & (holes_1P4[..., 2:] <= boxes_R14[..., 2:])
        rings_R = rivals_R[within_RP2.all(2).any(1)]
        leaders_R = rivals_R[found.contour_RL[rivals_R, level] == ahead_L[level]]
        if len(rings_R) == 0 or (len(leaders_R) == 1 and np.array_equal(rings_R, leaders_R)):
            continue
        alive = np.flatnonzero(found.alive_RL[:, level])
        alive = alive[np.argsort(found.first_RL[alive, level])]
        labels_HW, contours = _filled_contours(grey_HW > level)
        labels, earliest = np.unique(labels_HW.flat[found.first_RL[alive, level]], return_index=True)
        found.contour_RL[alive[earliest], level] = contours[labels]  # of what encloses others, not of these


def _filled_contours(above_HW: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """What is left once holes are filled, labelled from 1; twice the area within the contour of each label."""
    from scipy.ndimage import label

    outside = label(np.pad(~above_HW, 1, constant_values=True))[0]
    labels_HW = label(outside[1:-1, 1:-1] != outside[0, 0], np.ones((3, 3)))[0]
    (one, two), (three, four) = _pair(labels_HW[:-1], 0, 1), _pair(labels_HW[1:], 0, 1)
    squares = np.stack([one, two, three, four])
    halves = np.maximum((squares > 0).sum(0) - 2, 0)
    contours = np.bincount(squares.max(0).ravel(), halves.ravel(), minlength=labels_HW.max() + 1)
    return labels_HW, contours.astype(np.int64)
