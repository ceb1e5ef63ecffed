"""The variants that the paper holds against CutMix (table 8): other boxes, and other labels for the same boxes.

They are CutMix with one thing changed, and are worse than it in the paper. Its "Scheduled" row is :class:`Scheduled`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Geometry, Pair
from cutmix.mixing.cutmix import BoxMixing, CutMix
from cutmix.mixing.draws import Draws
from cutmix.mixing.method import Scope
from cutmix.mixing.plans import Paste, Plan, Weigh


@dataclass(frozen=True)
class CenterGaussianCutMix(CutMix):
    """CutMix with boxes near the middle: their centres are drawn from a Gaussian around the image's own.

    Args:
        alpha: this, ``prob``, ``scope`` and ``geometry`` as for :class:`CutMix`.
        sigma: the Gaussian's deviation in sides of the image. The paper does not state it; 0.25 is our choice. A centre
            that falls outside of the image is moved to its border, and the box is clipped as in CutMix.
    """

    sigma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sigma < inf:
            raise UsageError(f"sigma={self.sigma!r} must be 0 or more, in sides of the image.")

    def centre(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int]) -> Pair:
        """Near the middle of the image."""
        return draws.gaussian_pixel(size_HW, each, self.sigma)


@dataclass(frozen=True)
class FixedSizeCutMix(BoxMixing):
    """CutMix with boxes of one size, centred anywhere and clipped to the image.

    Args:
        side: of the box, in sides of the image, above 0 and up to 1; the paper has 16 of 32 pixels. What clipping does
            to the share it does not say; as in CutMix, it is counted in the pixels that are kept.
        prob: this, ``scope`` and ``geometry`` as for :class:`CutMix`.
    """

    side: float = 0.5
    prob: float = 1.0
    scope: Scope = "per_batch"
    geometry: Geometry = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.side <= 1:
            raise UsageError(f"side={self.side!r} must be above 0 and up to 1, in sides of the image.")

    def sides(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int], lam: ArrayLike | None) -> Pair:
        """The same for every box, to the nearest pixel."""
        if lam is not None:
            raise UsageError(f"{self} has boxes of one size: no lam can be handed in.")
        height, width = (np.full(each, round(self.side * length)) for length in size_HW)
        return height, width


@dataclass(frozen=True)
class OneHotCutMix(CutMix):
    """CutMix with one label: that of the larger share, and the image's own where they are equal.

    Args:
        alpha: this, ``prob``, ``scope`` and ``geometry`` as for :class:`CutMix`.
    """

    def weigh(self, plan: Paste) -> Plan:
        """All to the label of the larger share."""
        return Weigh(plan, np.where(plan.share >= 0.5, 1.0, 0.0) if np.ndim(plan.share) else float(plan.share >= 0.5))


@dataclass(frozen=True)
class CompleteLabelCutMix(CutMix):
    """CutMix with half of each label whatever the shares, even where the box is empty.

    Args:
        alpha: this, ``prob``, ``scope`` and ``geometry`` as for :class:`CutMix`.
    """

    def weigh(self, plan: Paste) -> Plan:
        """Half to each label."""
        return Weigh(plan, 0.5)
