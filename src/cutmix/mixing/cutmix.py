"""CutMix (Yun et al., ICCV 2019, arXiv 1905.04899): a box of another image of the batch, and its label by its area.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Box, Geometry, box_around, box_sides
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_alpha, check_choice, check_prob, draw_shape, size_of
from cutmix.mixing.plans import Keep, Paste, Plan
from cutmix.mixing.targets import MixedTarget


@dataclass(frozen=True)
class CutMix(Mixing):
    """CutMix, by default as the official code does it (clovaai/CutMix-PyTorch).

    Per batch it draws in that code's order: the gate, lambda, the row and the column of the box's centre; and then the
    partners. A box is centred anywhere in the image and clipped to it, and the share is counted in the pixels that are
    left of it: the box may be empty (share 1).

    Args:
        alpha: of Beta(alpha, alpha), from which lambda is drawn; the paper uses 1.
        prob: that anything is mixed; the official commands use 0.5 for CIFAR and 1 for ImageNet.
        scope: "per_batch" or "per_sample"; see :class:`Mixing`.
        geometry: "paper" or "exact"; see :func:`box_around`.
    """

    alpha: float = 1.0
    prob: float = 1.0
    scope: Scope = "per_batch"
    geometry: Geometry = "paper"

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_prob(self.prob)
        check_choice("scope", self.scope, Scope)
        check_choice("geometry", self.geometry, Geometry)

    def draw(
        self,
        shape: Sequence[int],
        rng: Rng | None,
        *,
        on: ArrayLike | None = None,
        box: ArrayLike | None = None,
        lam: ArrayLike | None = None,
        partners: ArrayLike | None = None,
    ) -> Plan:
        """As :meth:`Mixing.draw`. ``on`` is whether to mix at all; for the rest see :func:`cutmix_batch`."""
        draws, each, size_HW = Draws(rng), draw_shape(self.scope, shape), size_of(shape)
        gate = draws.gate(self.prob, each, on)
        if not gate.any():
            return Keep()
        if box is None:
            share = draws.share(self.alpha, each, lam)
            centre = draws.pixel(size_HW, share.shape)
            cut = box_around(centre, box_sides(share, size_HW), size_HW, self.geometry)
        elif lam is None:
            cut = Box.of(box)
        else:
            raise UsageError("Hand in box or lam, not both: the share follows from the box.")
        return Paste(cut, draws.partners(shape[0], partners), size_HW).only(gate)


def cutmix_batch(
    images_BCHW: Tensor,
    labels: Tensor,
    rng: Rng | None = None,
    *,
    box: ArrayLike | None = None,
    lam: ArrayLike | None = None,
    partners: ArrayLike | None = None,
    alpha: float = 1.0,
    scope: Scope = "per_batch",
    geometry: Geometry = "paper",
    inplace: bool = False,
) -> tuple[Tensor, MixedTarget]:
    """:class:`CutMix` as a function that always mixes. What is handed in is not drawn.

    Args:
        images_BCHW: the batch; this, ``labels``, ``inplace`` and the result as for :class:`Mixing`.
        labels: of the batch.
        rng: not needed if nothing is left to draw.
        box: (top, left, bottom, right) in pixels, ends excluded, inside the image: (4,) for all images, or (B, 4).
        lam: in place of ``box``, the share that is wanted before the box is clipped: for all images, or (B,).
        partners: (B,) whole numbers; image i takes from image ``partners[i]``.
        alpha: how the rest is drawn; this, ``scope`` and ``geometry`` as for :class:`CutMix`.
        inplace: write into ``images_BCHW``.

    Raises:
        UsageError: something must be drawn and there is no ``rng``, or what was handed in does not fit the batch.
    """
    mixing = CutMix(alpha=alpha, scope=scope, geometry=geometry)
    return mixing(images_BCHW, labels, rng, inplace=inplace, on=True, box=box, lam=lam, partners=partners)
