"""ResizeMix (Qin et al., 2020, arXiv 2012.11101): the whole partner, made smaller, is pasted into a box.

Legend: B = images of a batch, H = height, W = width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing import pixels
from cutmix.mixing.boxes import Geometry, Pair, box_sides
from cutmix.mixing.cutmix import BoxMixing
from cutmix.mixing.draws import Draws
from cutmix.mixing.method import Scope
from cutmix.mixing.plans import Paste, Plan


@dataclass(frozen=True)
class ResizeMix(BoxMixing):
    """ResizeMix: what is pasted shows its whole object, so its label is right.

    The box is centred anywhere and clipped to the image, as in CutMix; the partner is fitted into what is left of it.
    Each pixel is that of the partner nearest to it, so masks of whole numbers can be mixed alike, and types stay.

    Args:
        smallest: of the scale, which is drawn uniformly: the side of the box in sides of the image. The paper's range
            is 0.1 to 0.8.
        largest: of the scale.
        prob: this, ``scope`` and ``geometry`` as for :class:`CutMix`.
    """

    smallest: float = 0.1
    largest: float = 0.8
    prob: float = 1.0
    scope: Scope = "per_batch"
    geometry: Geometry = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.smallest <= self.largest <= 1:
            raise UsageError(
                f"smallest={self.smallest!r} and largest={self.largest!r} must be scales in this order, "
                "above 0 and up to 1."
            )

    def sides(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int], lam: ArrayLike | None) -> Pair:
        """A part of the image's sides."""
        if lam is not None:
            return box_sides(draws.share(1.0, each, lam), size_HW)
        scale = draws.uniform(self.smallest, self.largest, each)
        return (scale * size_HW[0]).astype(np.int64), (scale * size_HW[1]).astype(np.int64)

    def weigh(self, plan: Paste) -> Plan:
        """The same box with the whole partner in it."""
        return PasteWhole(plan.box, plan.partners, plan.size_HW)


class PasteWhole(Paste):
    """Pastes the whole of its partner into the box, by nearest neighbours."""

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        """As :meth:`Plan.apply`: the partner as small as the box is pasted like any image."""
        self.check_batch(images)
        rows = _nearest(self.box.top, self.box.bottom, self.size_HW[0])
        columns = _nearest(self.box.left, self.box.right, self.size_HW[1])
        return pixels.paste_cells(images, self.box, self.partners, rows, columns, inplace=inplace)


def _nearest(start: Any, end: Any, length: int) -> NDArray[np.int64]:
    """For each place of ``length``, the one at its middle if the whole length is fitted into start to end.

    (length,) for an int each, (B, length) for (B,) each.
    """
    start, width = np.asarray(start)[..., None], np.maximum(end - np.asarray(start), 1)[..., None]
    return np.clip((2 * (np.arange(length) - start) + 1) * length // (2 * width), 0, length - 1)
