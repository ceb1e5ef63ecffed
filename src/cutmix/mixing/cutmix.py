"""CutMix (Yun et al., ICCV 2019, arXiv 1905.04899): a box of another image of the batch, and its label by its area.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Box, Geometry, Pair, box_around, box_sides
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_alpha, check_choice, check_prob, draw_shape, size_of
from cutmix.mixing.plans import Keep, Paste, Plan
from cutmix.mixing.targets import MixedTarget


class BoxMixing(Mixing):
    """Pastes a box of the partner: :class:`CutMix` and the variants of it that the paper compares.

    Per batch is drawn, in the official code's order: the gate, what the sides of the box hang on, its centre; and then
    the partners. A concrete method says how its sides are found, and may say how its centre is, and what the labels
    weigh.
    """

    prob: float
    scope: Scope
    geometry: Geometry

    def __post_init__(self) -> None:
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
            sides = self.sides(draws, each, size_HW, lam)
            cut = box_around(self.centre(draws, sides[0].shape, size_HW), sides, size_HW, self.geometry)
        elif lam is None:
            cut = Box.of(box)
        else:
            raise UsageError("Hand in box or lam, not both: the share follows from the box.")
        return self.weigh(Paste(cut, draws.partners(shape[0], partners), size_HW)).only(gate)

    @abstractmethod
    def sides(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int], lam: ArrayLike | None) -> Pair:
        """Height and width of the box in pixels: () or (B,) each. ``lam`` as for :func:`cutmix_batch`."""

    def centre(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int]) -> Pair:
        """Row and column of the box's centre: () or (B,) each. Any pixel of the image, unless a method says more."""
        return draws.pixel(size_HW, each)

    def weigh(self, plan: Paste) -> Plan:
        """The plan with the weights of the labels, which are the shares unless a method says otherwise."""
        return plan


@dataclass(frozen=True)
class CutMix(BoxMixing):
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
        super().__post_init__()

    def sides(self, draws: Draws, each: tuple[int, ...], size_HW: tuple[int, int], lam: ArrayLike | None) -> Pair:
        """A box that leaves about lambda of the image."""
        return box_sides(draws.share(self.alpha, each, lam), size_HW)


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
