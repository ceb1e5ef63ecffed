"""Stochastic depth (Huang et al., ECCV 2016, arXiv 1603.09382): whole residual branches are left out at random.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from cutmix.models.branches import residual_branches
from cutmix.models.regularizer import NoiseLayer, Regularizer, check_choice, check_probability, linear_decay

Mode: TypeAlias = Literal["linear", "constant"]
Scope: TypeAlias = Literal["per_batch", "per_sample"]


@dataclass(frozen=True)
class StochasticDepth(Regularizer):
    """Stochastic depth as Huang et al. have it: a branch counts or not in training, and by its survival in tests.

    Branch l of L (l = 1 .. L) is left out with probability p_l; a test multiplies it by 1 - p_l. torchvision and timm
    divide by 1 - p_l in training instead. The CutMix paper gives the rate, 0.25, and neither the mode nor the scope:
    linear and per_batch are those of Huang et al.

    Args:
        last: the rate of the last branch.
        mode: "linear" (p_l = last * l / L) or "constant" (p_l = last).
        scope: "per_batch" (one draw a branch for all images, of this process and this forward pass) or "per_sample".
    """

    last: float = 0.25
    mode: Mode = "linear"
    scope: Scope = "per_batch"

    def __post_init__(self) -> None:
        check_probability("last", self.last)
        check_choice("mode", self.mode, Mode)
        check_choice("scope", self.scope, Scope)

    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """One behind the end of each residual branch."""
        branches = residual_branches(model, ends)
        count = len(branches)
        drops = linear_decay(self.last, count) if self.mode == "linear" else [self.last] * count
        for branch, drop in zip(branches, drops):
            yield branch.end, StochasticDepthLayer(drop, self.scope)


class StochasticDepthLayer(NoiseLayer):
    """Stochastic depth of one branch, which is left out with probability ``drop``."""

    def __init__(self, drop: float, scope: Scope) -> None:
        super().__init__()
        self.drop, self.scope = drop, scope

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The residual: whole or zero in training; times ``1 - drop`` in evaluation."""
        if self.drop == 0:
            return x_BCHW
        if not self.training:
            return x_BCHW * (1 - self.drop)
        images = len(x_BCHW) if self.scope == "per_sample" else 1
        kept_B111 = torch.rand((images, *[1] * (x_BCHW.ndim - 1)), device=x_BCHW.device) >= self.drop
        return x_BCHW * kept_B111.to(x_BCHW.dtype)

    def extra_repr(self) -> str:
        return f"drop={self.drop:.4g}, scope={self.scope!r}"
