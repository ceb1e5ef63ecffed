"""FMix (Harris et al., 2020, arXiv 2002.12047): the partner is seen through a mask cut out of low-frequency noise.

Legend: B = images of a batch, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing import pixels
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_alpha, check_choice, check_prob, draw_shape, size_of
from cutmix.mixing.plans import Keep, Plan, check_batch, check_partners, mixed_labels, own_partner_unless
from cutmix.mixing.targets import MixedTarget


@dataclass(frozen=True)
class FMix(Mixing):
    """FMix, as its paper defines it: an image keeps the pixels where the noise is highest.

    Per batch are drawn: the gate, lambda, the noise, the partners. The share is counted in the pixels that are kept.

    Args:
        alpha: of Beta(alpha, alpha), from which lambda is drawn.
        decay: the noise of frequency f is weaker by f to this power; 3 in the paper. More makes larger patches.
        prob: that anything is mixed.
        scope: "per_batch" or "per_sample"; see :class:`Mixing`.
    """

    alpha: float = 1.0
    decay: float = 3.0
    prob: float = 1.0
    scope: Scope = "per_batch"

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_prob(self.prob)
        check_choice("scope", self.scope, Scope)
        if not 0 <= self.decay < inf:
            raise UsageError(f"decay={self.decay!r} must be 0 or more.")

    def draw(
        self,
        shape: Sequence[int],
        rng: Rng | None,
        *,
        on: ArrayLike | None = None,
        lam: ArrayLike | None = None,
        partners: ArrayLike | None = None,
    ) -> Plan:
        """As :meth:`Mixing.draw`. ``on``, ``lam`` (the share wanted) and ``partners`` need not be drawn."""
        draws, each, size_HW = Draws(rng), draw_shape(self.scope, shape), size_of(shape)
        gate = draws.gate(self.prob, each, on)
        if not gate.any():
            return Keep()
        share = draws.share(self.alpha, each, lam)
        noise = _noise(draws, (*share.shape, *size_HW), self.decay)
        return Stencil(_highest(noise, share), draws.partners(shape[0], partners)).only(gate)


@dataclass(frozen=True, eq=False)
class Stencil(Plan):
    """Shows each image where ``keep`` is true, and its partner elsewhere.

    Args:
        keep: (H, W) for all images, or (B, H, W).
        partners: (B,) int64; image i takes from image ``partners[i]``.

    Raises:
        UsageError: a partner is not in the batch, or the lengths differ.
    """

    keep: NDArray[np.bool_]
    partners: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_partners(self.partners, self.share)

    @property
    def share(self) -> Any:
        """The part of each image that it keeps: a float or (B,)."""
        share = self.keep.mean((-2, -1))
        return share if share.ndim else float(share)

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        check_batch(images, len(self.partners), (self.keep.shape[-2], self.keep.shape[-1]))
        return pixels.through(images, self.keep, self.partners, inplace=inplace)

    def contents(self, labels: Tensor) -> MixedTarget:
        return mixed_labels(labels, self.partners, self.share)

    def only(self, on_B: NDArray[np.bool_]) -> Stencil:
        if on_B.all():
            return self
        return replace(self, keep=self.keep | ~on_B[:, None, None], partners=own_partner_unless(on_B, self.partners))


def _noise(draws: Draws, shape: tuple[int, ...], decay: float) -> NDArray[np.float64]:
    """Gaussian noise over the last two dimensions, each of its frequencies divided by itself to the power ``decay``."""
    height, width = shape[-2:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    weight = np.maximum(frequency, 1 / max(height, width)) ** -decay
    real, imaginary = (draws.normal((*shape[:-1], width // 2 + 1)) for _ in range(2))
    return np.fft.irfft2((real + 1j * imaginary) * weight, (height, width))


def _highest(noise: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for the part ``share`` of the pixels, to the nearest one, where the noise is highest."""
    pixels_each = noise.shape[-2] * noise.shape[-1]
    ranks = np.argsort(np.argsort(-noise.reshape(*noise.shape[:-2], pixels_each)))
    return (ranks < np.rint(share * pixels_each)[..., None]).reshape(noise.shape)
