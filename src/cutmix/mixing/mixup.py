"""Mixup (Zhang et al., ICLR 2018, arXiv 1710.09412): a weighted sum of two images, and of their labels.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from torch import Tensor

from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_alpha, check_choice, check_prob, draw_shape
from cutmix.mixing.plans import Blend, Keep, Plan
from cutmix.mixing.targets import MixedTarget


@dataclass(frozen=True)
class MixUp(Mixing):
    """Mixup, by default as its authors' code does it (facebookresearch/mixup-cifar10): one lambda for the batch.

    Args:
        alpha: of Beta(alpha, alpha), from which lambda is drawn; the CutMix paper uses 0.5 and 1.
        prob: that anything is mixed.
        scope: "per_batch" or "per_sample"; see :class:`Mixing`.
    """

    alpha: float = 1.0
    prob: float = 1.0
    scope: Scope = "per_batch"

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_prob(self.prob)
        check_choice("scope", self.scope, Scope)

    def draw(
        self,
        shape: Sequence[int],
        rng: Rng | None,
        *,
        on: ArrayLike | None = None,
        lam: ArrayLike | None = None,
        partners: ArrayLike | None = None,
    ) -> Plan:
        """As :meth:`Mixing.draw`. ``on`` is whether to mix at all; for the rest see :func:`mixup_batch`."""
        draws, each = Draws(rng), draw_shape(self.scope, shape)
        gate = draws.gate(self.prob, each, on)
        if not gate.any():
            return Keep()
        share = draws.share(self.alpha, each, lam)
        return Blend(share if share.ndim else float(share), draws.partners(shape[0], partners)).only(gate)


def mixup_batch(
    images_BCHW: Tensor,
    labels: Tensor,
    rng: Rng | None = None,
    *,
    lam: ArrayLike | None = None,
    partners: ArrayLike | None = None,
    alpha: float = 1.0,
    scope: Scope = "per_batch",
    inplace: bool = False,
) -> tuple[Tensor, MixedTarget]:
    """:class:`MixUp` as a function that always mixes. What is handed in is not drawn.

    Args:
        images_BCHW: the batch; this, ``labels``, ``inplace`` and the result as for :class:`Mixing`.
        labels: of the batch.
        rng: not needed if nothing is left to draw.
        lam: the share of the image itself: for all images, or (B,).
        partners: (B,) whole numbers; image i is blended with image ``partners[i]``.
        alpha: how the rest is drawn; this and ``scope`` as for :class:`MixUp`.
        inplace: write into ``images_BCHW``.

    Raises:
        UsageError: something must be drawn and there is no ``rng``, or what was handed in does not fit the batch.
    """
    mixing = MixUp(alpha=alpha, scope=scope)
    return mixing(images_BCHW, labels, rng, inplace=inplace, on=True, lam=lam, partners=partners)
