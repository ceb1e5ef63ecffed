"""Regions of maps above every threshold at once: the box around each, and which of them is the largest.

A map is cut at grey levels 0 to 254: above a level lie the pixels that are greater. Pixels that touch, corners
included, are one region. Finding the regions of each level anew would cost 255 labellings an image; here they are found
once. Every pixel climbs to a peak, which gives each peak a basin; at any level a region is what is left of some basins,
joined where their borders are high enough. Basins are put into an order in which those of a region are neighbours at
every level, so that all regions of all levels are runs of one table.

A box is (left, top, right, bottom): the edges of its pixels, so that one pixel at the origin is (0, 0, 1, 1).

Shapes: B maps of H x W pixels, L = 255 levels, S regions and Q holes of all maps at all levels, M pixels of the mosaic
that the maps are laid into, R peaks in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cutmix.errors import UsageError

LEVELS = 255
"""Levels at which a map of 256 grey values can be cut with something left above."""
GREATEST = 2**30  # what a side or a place that is not there is smaller than


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of maps at every level.

    ``cuts_S`` says of which map and above which level a region is: the map's number * 255 + the level. ``boxes_S4`` is
    its box, ``first_S`` its first pixel, row by row. ``contour_S`` is twice the area within the contour that runs
    through the centres of its outermost pixels, as OpenCV's ``contourArea`` measures it: 0 for a line, and including
    what the region encloses wherever that may decide which is the largest. ``hole_cuts_Q`` and ``hole_boxes_Q4`` are
    the cuts and boxes of the contours around holes (the region's pixels that border on what it encloses).
    """

    maps: int
    cuts_S: NDArray[np.int64]
    boxes_S4: NDArray[np.int32]
    first_S: NDArray[np.int32]
    contour_S: NDArray[np.int64]
    hole_cuts_Q: NDArray[np.int64]
    hole_boxes_Q4: NDArray[np.int32]

    def largest(self) -> NDArray[np.int32]:
        """The box of each level's region of the largest contour, (B, L, 4); (0, 0, 1, 1) where nothing lies above.

        Of equal ones the region whose first pixel comes last, which is the one that OpenCV lists first.
        """
        order_S = self.contour_S * GREATEST + self.first_S
        largest = np.flatnonzero(order_S == _greatest(order_S, self.cuts_S, self.maps)[self.cuts_S])
        boxes = np.tile(np.array([0, 0, 1, 1], np.int32), (self.maps * LEVELS, 1))
        boxes[self.cuts_S[largest]] = self.boxes_S4[largest]
        return boxes.reshape(self.maps, LEVELS, 4)


def _greatest(values_S: NDArray[np.int64], cuts_S: NDArray[np.int64], maps: int) -> NDArray[np.int64]:
    """The greatest value of each cut, -1 where it has none."""
    greatest = np.full(maps * LEVELS, -1, np.int64)
    np.maximum.at(greatest, cuts_S, values_S)
    return greatest


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


def regions(greys_BHW: NDArray[np.uint8], heights_BHW: NDArray[np.floating] | None = None) -> Regions:
    """The regions of maps of grey values, above each of the levels 0 to 254.

    Args:
        heights_BHW: the maps before they were rounded down to grey values, none negative. The result does not depend
            on them, but smooth heights have fewer peaks than their grey values have plateaus, which is faster.
    """
    maps, height, width = greys_BHW.shape
    heights_BHW = np.asarray(greys_BHW if heights_BHW is None else heights_BHW, np.float32)
    heights_BHW = np.ascontiguousarray(np.abs(heights_BHW)).view(np.int32)  # without signs, bits have floats' order
    row = width + 1
    touching, sides = (1, row - 1, row, row + 1), (1, row)
    grey_M, dark_M = _mosaic(greys_BHW, 0), _mosaic(255 - greys_BHW, 255)

    basins_M, joined_R = _basins(_mosaic(heights_BHW, -1), grey_M, touching)
    runs_S, levels_S, corners_CS = _runs(basins_M, joined_R, grey_M, row)
    contour_S = np.add.reduceat(_contours(basins_M, grey_M, row, len(joined_R)), runs_S)
    maps_S, first_S, boxes_S4 = _boxes(corners_CS, height, row)

    # A hole is a region of what does not lie above a level, joined by sides only, that does not reach the border. Of
    # the map turned upside down, above level 254 - L; what is around the maps is the outside, and begins at pixel 0.
    _, levels_Q, corners_CQ = _runs(*_basins(_mosaic(-heights_BHW, 1), dark_M, sides), dark_M, row)
    inside_Q = corners_CQ[0] > 0
    maps_Q, _, boxes_Q4 = _boxes(corners_CQ[:, inside_Q], height, row)
    boxes_Q4 += np.array([-1, -1, 1, 1], np.int32)  # to the region's pixels around it
    cuts_Q = maps_Q * LEVELS + (LEVELS - 1 - levels_Q[inside_Q])

    found = Regions(maps, maps_S * LEVELS + levels_S, boxes_S4, first_S, contour_S, cuts_Q, boxes_Q4)
    _fill(greys_BHW, found)
    return found


def _mosaic(values_BHW: NDArray, around: int) -> NDArray:
    """The maps one below the other, as one row of pixels.

    Left is a pixel before, above is a row before: a row more at the top, below each map, and a column at the right, all
    of the value ``around``, keep maps and borders apart.
    """
    maps, height, width = values_BHW.shape
    mosaic = np.full((maps * (height + 1) + 1, width + 1), around, values_BHW.dtype)
    mosaic[1:].reshape(maps, height + 1, width + 1)[:, :-1, :-1] = values_BHW
    return mosaic.ravel()


def _basins(
    heights_M: NDArray[np.int32], grey_M: NDArray[np.uint8], steps: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each pixel the number of its basin; for each basin the level below which it is one with that before it.

    A pixel climbs always on to its highest neighbour, of equally high ones to the later one, so that none walks in
    circles. What is around the maps is one basin.
    """
    places_M = np.arange(len(heights_M))
    keys_M = heights_M.astype(np.int64) << 32 | places_M
    highest_M = keys_M.copy()
    for step in steps:
        np.maximum(highest_M[step:], keys_M[:-step], out=highest_M[step:])
        np.maximum(highest_M[:-step], keys_M[step:], out=highest_M[:-step])
    above_M = highest_M & (2**32 - 1)
    above_M[heights_M == heights_M[0]] = len(heights_M) - 1
    while not np.array_equal(further_M := above_M[above_M], above_M):
        above_M = further_M
    peaks_R = np.flatnonzero(above_M == places_M)
    numbers_M = np.empty_like(places_M)
    numbers_M[peaks_R] = np.arange(len(peaks_R))
    one, other, levels = _borders(above_M, grey_M, steps)
    order_R, joined_R = _order(numbers_M[one].tolist(), numbers_M[other].tolist(), levels.tolist(), len(peaks_R))
    numbers_M[peaks_R[order_R]] = np.arange(len(peaks_R))
    return numbers_M[above_M], joined_R


def _borders(
    peaks_M: NDArray[np.int64], grey_M: NDArray[np.uint8], steps: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The peaks of each two basins that touch, and the level below which they do; from the highest down."""
    codes = []
    for step in steps:
        at = np.flatnonzero(peaks_M[step:] != peaks_M[:-step])
        one, other = peaks_M[at], peaks_M[at + step]
        depth = 255 - np.minimum(grey_M[at], grey_M[at + step])
        codes.append((np.minimum(one, other) * len(peaks_M) + np.maximum(one, other)) << 8 | depth)
    sorted_codes = np.sort(np.concatenate(codes))
    borders, depths = sorted_codes >> 8, sorted_codes & 255
    highest = np.flatnonzero(np.diff(borders, prepend=-1))  # of each two
    highest = highest[depths[highest] < 255]  # what touches at grey level 0 does so above no level
    highest = highest[np.argsort(depths[highest])]
    return *np.divmod(borders[highest], len(peaks_M)), 255 - depths[highest]


def _order(ones: list[int], others: list[int], levels: list[int], count: int) -> tuple[list[int], NDArray[np.int64]]:
    """The basins, those of a region next to each other at each level, and below which each is one with that before."""
    joined = np.zeros(count, np.int64)
    top = list(range(count))
    members = [[basin] for basin in top]
    for one, other, level in zip(ones, others, levels):
        kept, gone = _top(top, one), _top(top, other)
        if kept == gone:
            continue
        if len(members[kept]) < len(members[gone]):
            kept, gone = gone, kept
        top[gone] = kept
        joined[gone] = level
        members[kept] += members[gone]
        members[gone] = []
    order = [basin for together in members for basin in together]
    return order, joined[order]


def _top(top: list[int], basin: int) -> int:
    while top[basin] != basin:
        top[basin] = top[top[basin]]
        basin = top[basin]
    return basin


def _runs(
    basins_M: NDArray[np.int64], joined_R: NDArray[np.int64], grey_M: NDArray[np.uint8], row: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Where in a table of (grey value, basin) regions begin, the level each lies above, and its corners (4, S).

    Corners are the first pixel, the least column, and the negative greatest column and row.
    """
    count = len(joined_R)
    keys_M = grey_M * np.int64(count) + basins_M
    places_M = np.arange(len(grey_M), dtype=np.int32)
    rows_M, columns_M = np.divmod(places_M, np.int32(row))
    table = np.full((4, LEVELS + 1, count), GREATEST, np.int32)
    for corner, values_M in zip(table, (places_M, columns_M, -columns_M, -rows_M)):
        np.minimum.at(corner.reshape(-1), keys_M, values_M)
    _accumulate(np.minimum, table)
    # Basins with nothing above a level are no runs of their own; within another's they change nothing.
    begins = (table[0] < GREATEST) & (joined_R < np.arange(LEVELS + 1)[:, None])
    begins[0] = False
    runs_S = np.flatnonzero(begins)
    return runs_S, runs_S // count - 1, np.minimum.reduceat(table.reshape(4, -1), runs_S, axis=1)


def _accumulate(ufunc: np.ufunc, table: NDArray) -> None:
    """Of each grey value (second last axis): with all greater ones, in place."""
    for value in range(LEVELS - 1, 0, -1):
        ufunc(table[..., value, :], table[..., value + 1, :], out=table[..., value, :])


def _boxes(
    corners_CS: NDArray[np.int32], height: int, row: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """The map of each region, its first pixel there, and its box there (S, 4), from corners in the mosaic."""
    first, left, right, bottom = corners_CS
    top, column = np.divmod(first, np.int32(row))
    maps_S, top = np.divmod(top - 1, np.int32(height + 1))
    bottom = -bottom - maps_S * np.int32(height + 1)
    return maps_S.astype(np.int64), top * np.int32(row - 1) + column, np.stack([left, top, 1 - right, bottom], axis=-1)


def _contours(basins_M: NDArray[np.int64], grey_M: NDArray[np.uint8], row: int, count: int) -> NDArray[np.int64]:
    """Of each basin above each level: twice the area within contours through pixel centres, without what is enclosed.

    Of a square of 2x2 pixels the contour takes in all where four lie above, half where three do: so each square counts
    once at its least and once at its second least value. Three of a square touch: they are of one region, the one of
    the square's greatest pixel.
    """
    squares = [slice(start, len(grey_M) - row - 1 + start) for start in (0, 1, row, row + 1)]
    one, two, three, four = (grey_M[square] for square in squares)
    low, lower = np.minimum(one, two), np.minimum(three, four)
    high, higher = np.maximum(one, two), np.maximum(three, four)
    least, greatest = np.minimum(low, lower), np.maximum(high, higher)
    second = np.minimum(np.maximum(low, lower), np.minimum(high, higher))
    owner = basins_M[squares[3]].copy()
    for value, square in zip((one, two, three), squares):
        np.copyto(owner, basins_M[square], where=value == greatest)
    keys = np.concatenate([owner + value * np.int64(count) for value in (least, second)])
    table = np.bincount(keys, minlength=(LEVELS + 1) * count)
    _accumulate(np.add, table.reshape(LEVELS + 1, count))
    return table


def _fill(greys_BHW: NDArray[np.uint8], found: Regions) -> None:
    """Add what regions enclose to their contours, in the cuts where that may decide which is the largest.

    It cannot where only one region can reach the largest contour so far, with all holes and within its box.
    """
    within_S, holes_Q = (
        2 * (boxes[:, 2] - boxes[:, 0] - 1).astype(np.int64) * (boxes[:, 3] - boxes[:, 1] - 1)
        for boxes in (found.boxes_S4, found.hole_boxes_Q4)
    )
    holes = np.bincount(found.hole_cuts_Q, holes_Q, minlength=found.maps * LEVELS)
    most_S = np.minimum(within_S, found.contour_S + holes[found.cuts_S])
    rivals_S = most_S >= _greatest(found.contour_S, found.cuts_S, found.maps)[found.cuts_S]
    rivals = np.bincount(found.cuts_S[rivals_S], minlength=found.maps * LEVELS)
    for cut in np.flatnonzero((holes > 0) & (rivals > 1)):
        alive = np.flatnonzero(found.cuts_S == cut)
        alive = alive[np.argsort(found.first_S[alive])]
        number, level = divmod(cut, LEVELS)
        labels_HW, contours = _filled_contours(greys_BHW[number] > level)
        labels, earliest = np.unique(labels_HW.flat[found.first_S[alive]], return_index=True)
        found.contour_S[alive[earliest]] = contours[labels]  # of what encloses others, not of these


def _filled_contours(above_HW: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """What is left once holes are filled, labelled from 1; twice the area within the contour of each label."""
    from scipy.ndimage import label

    outside = label(np.pad(~above_HW, 1, constant_values=True))[0]
    labels_HW = label(outside[1:-1, 1:-1] != outside[0, 0], np.ones((3, 3)))[0]
    squares = np.stack([labels_HW[:-1, :-1], labels_HW[:-1, 1:], labels_HW[1:, :-1], labels_HW[1:, 1:]])
    halves = np.maximum((squares > 0).sum(0) - 2, 0)
    contours = np.bincount(squares.max(0).ravel(), halves.ravel(), minlength=labels_HW.max() + 1)
    return labels_HW, contours.astype(np.int64)
