"""Cutout (DeVries and Taylor, 2017, arXiv 1708.04552): a square hole in each image; the label stays.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Box, box_around
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_choice, check_prob, draw_shape, size_of
from cutmix.mixing.plans import Erase, Keep, Plan
from cutmix.mixing.targets import MixedTarget


@dataclass(frozen=True)
class Cutout(Mixing):
    """Cutout as its authors' code does it (uoguelph-mlrg/Cutout), on normalised images: the hole is their mean colour.

    The hole is centred anywhere in the image and clipped to it. An odd size loses a pixel, as in that code.

    Args:
        size: side of the hole in pixels; the CutMix paper uses 16 for CIFAR and 112 for ImageNet.
        prob: that anything is erased.
        scope: "per_batch" (one hole for all) or "per_sample"; see :class:`Mixing`.
    """

    size: int = 16
    prob: float = 1.0
    scope: Scope = "per_sample"

    def __post_init__(self) -> None:
        if self.size < 1 or self.size != int(self.size):
            raise UsageError(f"size={self.size!r} must be a whole number of pixels, 1 or more.")
        check_prob(self.prob)
        check_choice("scope", self.scope, Scope)

    @property
    def mixes_labels(self) -> bool:
        """Never."""
        return False

    def draw(
        self, shape: Sequence[int], rng: Rng | None, *, on: ArrayLike | None = None, box: ArrayLike | None = None
    ) -> Plan:
        """As :meth:`Mixing.draw`. ``on`` is whether to erase at all; for the rest see :func:`cutout_batch`."""
        draws, each, size_HW = Draws(rng), draw_shape(self.scope, shape), size_of(shape)
        gate = draws.gate(self.prob, each, on)
        if not gate.any():
            return Keep()
        sides = np.asarray(self.size), np.asarray(self.size)
        hole = box_around(draws.pixel(size_HW, each), sides, size_HW, "paper") if box is None else Box.of(box)
        return Erase(hole, size_HW).only(gate)


def cutout_batch(
    images_BCHW: Tensor,
    labels: Tensor,
    rng: Rng | None = None,
    *,
    box: ArrayLike | None = None,
    size: int = 16,
    scope: Scope = "per_sample",
    inplace: bool = False,
) -> tuple[Tensor, MixedTarget]:
    """:class:`Cutout` as a function that always erases. What is handed in is not drawn.

    Args:
        images_BCHW: the batch; this, ``labels``, ``inplace`` and the result as for :class:`Mixing`.
        labels: of the batch.
        rng: not needed if ``box`` is handed in.
        box: (top, left, bottom, right) in pixels, ends excluded, inside the image: (4,) for all images, or (B, 4).
        size: how the rest is drawn; this and ``scope`` as for :class:`Cutout`.
        scope: "per_batch" or "per_sample".
        inplace: write into ``images_BCHW``.

    Raises:
        UsageError: something must be drawn and there is no ``rng``, or the box does not fit the batch.
    """
    return Cutout(size=size, scope=scope)(images_BCHW, labels, rng, inplace=inplace, on=True, box=box)
