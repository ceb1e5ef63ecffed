"""A box: its geometry by name, its area, the share of an image that it leaves.

One formula serves one box and a box an image: an edge is a number, or an array of B numbers.
Legend: B = images of a batch, H = height, W = width.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cutmix.errors import UsageError

Geometry: TypeAlias = Literal["paper", "exact"]
Pair: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]  # along the height, along the width: () or (B,) each


class Box(NamedTuple):
    """Rows ``top`` up to but not including ``bottom``, columns ``left`` up to but not including ``right``.

    Four ints for a box that all images share, or four (B,) int64 arrays for a box an image.
    """

    top: Any
    left: Any
    bottom: Any
    right: Any

    @classmethod
    def of(cls, value: Box | ArrayLike) -> Box:
        """The box of (4,) integers, or the boxes of (B, 4): top, left, bottom, right. A ``Box`` is one already.

        Raises:
            UsageError: it is neither.
        """
        if isinstance(value, Box):
            return value
        array = np.asarray(value)
        if array.ndim not in (1, 2) or array.shape[-1] != 4 or array.dtype.kind not in "iu":
            raise UsageError(f"A box is (top, left, bottom, right) in whole pixels, (4,) or (B, 4), not {value!r}.")
        return cls(*(array.tolist() if array.ndim == 1 else array.astype(np.int64).T))

    @property
    def shared(self) -> bool:
        """Whether all images share the box."""
        return np.ndim(self.top) == 0

    @property
    def area(self) -> Any:
        """Pixels in the box: an int or (B,)."""
        return (self.bottom - self.top) * (self.right - self.left)

    def share_outside(self, size_HW: tuple[int, int]) -> Any:
        """The part of an image's pixels that lie outside the box: a float in [0, 1] or (B,)."""
        return 1.0 - self.area / (size_HW[0] * size_HW[1])

    def only(self, on_B: NDArray[np.bool_]) -> Box:
        """The box where ``on_B`` is true, and an empty one elsewhere."""
        return Box(*(np.where(on_B, edge, 0) for edge in self))

    def check(self, size_HW: tuple[int, int]) -> None:
        """Raise ``UsageError`` for a box that does not lie in an image of that size."""
        height, width = size_HW
        rows_fit = (self.top >= 0) & (self.top <= self.bottom) & (self.bottom <= height)
        columns_fit = (self.left >= 0) & (self.left <= self.right) & (self.right <= width)
        if not every(rows_fit & columns_fit):
            wanted = f"0 <= top <= bottom <= {height} and 0 <= left <= right <= {width}"
            raise UsageError(f"{self} does not lie in the image: {wanted} is wanted.")


def every(flags: bool | NDArray[np.bool_]) -> bool:
    """``np.all``, which takes microseconds for a single one."""
    return bool(flags if isinstance(flags, bool) else flags.all())


def box_sides(share: NDArray[np.float64], size_HW: tuple[int, int]) -> Pair:
    """Height and width of a box in the image's shape that leaves about ``share`` of it; truncated, as official."""
    root = np.sqrt(1.0 - share)
    return np.asarray(size_HW[0] * root).astype(np.int64), np.asarray(size_HW[1] * root).astype(np.int64)


def box_around(centre: Pair, sides: Pair, size_HW: tuple[int, int], geometry: Geometry) -> Box:
    """The box with ``sides`` (height, width) around the pixel ``centre`` (row, column), clipped to the image.

    Of a side of ``n`` pixels around ``c``,

    - "paper" takes ``c - n // 2`` to ``c + n // 2``: an odd side loses a pixel. The arithmetic of ``rand_bbox`` in
      clovaai/CutMix-PyTorch, which calls the rows W and the columns H.
    - "exact" takes ``c - n // 2`` to ``c + (n + 1) // 2``: every side is kept whole. Equal to "paper" for even sides.
    """
    odd_pixel = 1 if geometry == "exact" else 0
    starts = (np.maximum(c - n // 2, 0) for c, n in zip(centre, sides))
    ends = (np.minimum(c + (n + odd_pixel) // 2, length) for c, n, length in zip(centre, sides, size_HW))
    return Box(*(edge if np.ndim(edge) else int(edge) for edge in (*starts, *ends)))
