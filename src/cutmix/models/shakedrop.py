"""ShakeDrop (Yamada et al., IEEE Access 2019, arXiv 1802.02375): residuals times noise, gradients times other noise.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.models.branches import residual_branches
from cutmix.models.regularizer import (
    NoiseLayer,
    Regularizer,
    check_choice,
    check_probability,
    is_number,
    linear_decay,
)

Level: TypeAlias = Literal["per_batch", "per_sample", "per_channel", "per_pixel"]
Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class ShakeDrop(Regularizer):
    """ShakeDrop on all residual branches, by default as the code that the CutMix authors point to (owruby).

    Branch l of L (l = 1 .. L) has p_l = last * l / L. In training a gate is drawn for each branch and each forward pass
    (of each process): with probability 1 - p_l the branch is as it is; else the residual is multiplied by alpha and, on
    the way back, its gradient by an independent beta. A test multiplies the residual by the expectation,
    1 - p_l + p_l * E[alpha].

    The CutMix paper gives no parameters. The ShakeDrop authors' own code draws alpha and beta for each pixel.

    Args:
        last: p_l of the last branch.
        alpha: (low, high) of the uniform factor of the residual.
        beta: (low, high) of the uniform factor of the gradient.
        level: what has an alpha and a beta of its own: "per_batch", "per_sample", "per_channel" (of each sample) or
            "per_pixel" (of each of those).
    """

    last: float = 0.5
    alpha: Interval = (-1.0, 1.0)
    beta: Interval = (0.0, 1.0)
    level: Level = "per_sample"

    def __post_init__(self) -> None:
        check_probability("last", self.last)
        check_choice("level", self.level, Level)
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            numbers = isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))
            if not (numbers and -inf < value[0] <= value[1] < inf):
                raise UsageError(f"{name}={value!r} must be (low, high), a tuple of two finite numbers in this order.")

    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """One behind the end of each residual branch: after its last batch norm, before the addition."""
        branches = residual_branches(model, ends)
        for branch, drop in zip(branches, linear_decay(self.last, len(branches))):
            yield branch.end, ShakeDropLayer(drop, self.alpha, self.beta, self.level)


class ShakeDropLayer(NoiseLayer):
    """ShakeDrop of one branch, which is shaken with probability ``drop``."""

    def __init__(self, drop: float, alpha: Interval, beta: Interval, level: Level) -> None:
        super().__init__()
        self.drop, self.alpha, self.beta, self.level = drop, alpha, beta, level
        self.expected = 1 - drop + drop * sum(alpha) / 2

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The residual as it is, or times alpha with a gradient times beta; in evaluation times the expectation."""
        if self.drop == 0:
            return x_BCHW
        if not self.training:
            return x_BCHW * self.expected
        as_it_is = torch.rand((), device=x_BCHW.device) >= self.drop
        ways = [
            torch.where(as_it_is, 1.0, self._uniform(interval, x_BCHW)).to(x_BCHW.dtype)
            for interval in (self.alpha, self.beta)
        ]
        shaken: Tensor = _Shake.apply(x_BCHW, *ways)
        return shaken

    def _uniform(self, interval: Interval, x_BCHW: Tensor) -> Tensor:
        """Drawn in single precision, whatever the input has: in half of it, a uniform number has few values."""
        own = {"per_batch": 0, "per_sample": 1, "per_channel": 2, "per_pixel": x_BCHW.ndim}[self.level]
        shape = (*x_BCHW.shape[:own], *[1] * (x_BCHW.ndim - own))
        low, high = interval
        return low + (high - low) * torch.rand(shape, device=x_BCHW.device)

    def extra_repr(self) -> str:
        return f"drop={self.drop:.4g}, alpha={self.alpha}, beta={self.beta}, level={self.level!r}"


class _Shake(torch.autograd.Function):
    """``x * forward_scale``, whose gradient is taken to be ``backward_scale``.

    Both scales are drawn before: so a forward pass that is repeated to save memory is followed by the same gradient.
    """

    @staticmethod
    def forward(x: Tensor, forward_scale: Tensor, backward_scale: Tensor) -> Tensor:
        return x * forward_scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (backward_scale,) = ctx.saved_tensors
        return gradient * backward_scale, None, None
