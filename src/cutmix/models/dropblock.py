"""DropBlock (Ghiasi et al., NeurIPS 2018, arXiv 1810.12890): square blocks of feature maps set to zero.

Legend: B = images of a batch, C = channels, H x W = the feature map, h x w = a block, S = points of a schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.models.branches import Branch, residual_branches
from cutmix.models.regularizer import NoiseLayer, Regularizer, check_choice, is_number

Schedule: TypeAlias = Literal["linear", "constant"]
After: TypeAlias = Literal["convolutions", "residuals", "blocks"]
POINTS = 257
"""Of a linear schedule, at which the seeds' rate is solved for; in between it is interpolated."""


@dataclass(frozen=True)
class DropBlock(Regularizer):
    """DropBlock: in training a share ``1 - keep_prob`` of each feature map is zero, in blocks; what is kept is scaled.

    A block may begin wherever it lies wholly inside the map. The rate at which blocks begin is solved for so that the
    expected share of zeros is the one that is asked for, overlaps included, for every size of map and block. (The
    formula of the DropBlock paper ignores overlaps: it drops less.) Where the map is smaller than a block in a
    direction, the block is as long as the map. The maps are multiplied by (all / kept cells), counted over the batch.

    The CutMix paper gives block_size 4 and keep_prob 0.9 on CIFAR, but not where the layers are, nor the schedule.
    The defaults are the DropBlock paper's groups 3 and 4 of four stages, which are stages 2 and 3 of the three of a
    CIFAR network, behind each convolution and its batch norm (the rectifier that may follow makes no difference). That
    paper also drops blocks of the shortcuts, and its code a quarter of the share in group 3:
    ``Together(DropBlock(keep_prob=0.975, stages=(3,)), DropBlock(stages=(4,)))``.

    Args:
        block_size: side of a block in cells of the feature map.
        keep_prob: share of a map that is kept, above 0.
        after: "convolutions" (of the residual branches), "residuals" (their ends alone) or "blocks" (the sum of branch
            and shortcut, at the end of a block: what is dropped there is lost to all that follows).
        stages: counted from 1, or backwards from -1.
        schedule: "linear" (the share grows from 0 at the first step, see ``set_progress``) or "constant".
        shared: one mask for all channels of an image; else one for each, as in that paper.
    """

    block_size: int = 4
    keep_prob: float = 0.9
    after: After = "convolutions"
    stages: tuple[int, ...] = (-2, -1)
    schedule: Schedule = "linear"
    shared: bool = False

    def __post_init__(self) -> None:
        if type(self.block_size) is not int or self.block_size < 1:
            raise UsageError(f"block_size={self.block_size!r} must be a whole number (an int), 1 or more.")
        if not (is_number(self.keep_prob) and 0 < self.keep_prob <= 1):
            raise UsageError(f"keep_prob={self.keep_prob!r} must be a number above 0 and at most 1.")
        if not (isinstance(self.stages, tuple) and self.stages and all(type(stage) is int for stage in self.stages)):
            raise UsageError(f"stages={self.stages!r} must be whole numbers such as (3, 4) or (-2, -1).")
        check_choice("after", self.after, After)
        check_choice("schedule", self.schedule, Schedule)
        if type(self.shared) is not bool:
            raise UsageError(f"shared={self.shared!r} must be True or False.")

    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """Behind the modules that ``after`` and ``stages`` choose."""
        branches = residual_branches(model, ends)
        chosen = self._stages(branches[-1].stage)
        for branch in branches:
            if branch.stage in chosen:
                for module in self._places(branch):
                    yield module, DropBlockLayer(self.block_size, self.keep_prob, self.schedule, self.shared)

    def _places(self, branch: Branch) -> tuple[nn.Module, ...]:
        if self.after == "convolutions":
            return branch.convolutions
        return (branch.end,) if self.after == "residuals" else (branch.block,)

    def _stages(self, count: int) -> set[int]:
        for stage in self.stages:
            if not 1 <= abs(stage) <= count:
                raise UsageError(f"stages={self.stages!r}: the network has {count}, 1 to {count} or -{count} to -1.")
        return {stage if stage > 0 else count + 1 + stage for stage in self.stages}


class DropBlockLayer(NoiseLayer):
    """DropBlock on one feature map. The same seed drops the same blocks, whatever the map's memory format."""

    def __init__(self, block_size: int, keep_prob: float, schedule: Schedule, shared: bool) -> None:
        super().__init__(scheduled=schedule == "linear")
        self.block_size, self.keep_prob, self.schedule, self.shared = block_size, keep_prob, schedule, shared

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The map with blocks of zeros and the rest scaled, in training; the map as it is, in evaluation."""
        if not self.training or self.keep_prob == 1:
            return x_BCHW
        if x_BCHW.ndim != 4:
            raise UsageError(f"DropBlock needs feature maps (B, C, H, W), not of shape {tuple(x_BCHW.shape)}.")
        with torch.no_grad():
            kept_BCHW = ~self._dropped(x_BCHW)
            scale = kept_BCHW.numel() / kept_BCHW.count_nonzero().clamp(min=1)  # sum() would make whole numbers first
            # In the input's memory format: a product of two formats is several times slower. From bytes: they become
            # floats several times faster than booleans do. In scale's type: half of it may not hold the count.
            like_BCHW = x_BCHW[:, :1] if self.shared else x_BCHW
            factor_BCHW = torch.empty_like(like_BCHW, dtype=scale.dtype).copy_(kept_BCHW.view(torch.uint8))
            factor_BCHW = factor_BCHW.mul_(scale).to(x_BCHW.dtype)
        return x_BCHW * factor_BCHW

    def _dropped(self, x_BCHW: Tensor) -> Tensor:
        batch, channels, height, width = x_BCHW.shape
        block_hw = min(self.block_size, height), min(self.block_size, width)
        points = POINTS if self.schedule == "linear" else 1
        rates_S = seed_rates((height, width), block_hw, self.keep_prob, points, x_BCHW.device)
        places_hw = [length - block + 1 for length, block in zip((height, width), block_hw)]
        rate = rates_S[-1] if self.progress is None else _at(rates_S, self.progress)
        # Channels last, as training has its maps: so nothing is copied there, and other formats get the same blocks.
        drawn_BhwC = torch.rand((batch, *places_hw, 1 if self.shared else channels), device=x_BCHW.device)
        return spread(drawn_BhwC.permute(0, 3, 1, 2) < rate, block_hw)

    def extra_repr(self) -> str:
        return f"block_size={self.block_size}, keep_prob={self.keep_prob}, schedule={self.schedule!r}"


def spread(seeds_BChw: Tensor, block_hw: tuple[int, int]) -> Tensor:
    """Every cell that a block covers, as booleans (B, C, H, W); a seed is the place of a block's first cell."""
    height, width = block_hw
    covered = F.pad(seeds_BChw, (width - 1, width - 1, height - 1, height - 1))
    for axis, length in ((2, height), (3, width)):
        reach = 1
        while reach < length:  # doubled each time
            step = min(reach, length - reach)
            size = covered.shape[axis] - step
            covered = covered.narrow(axis, 0, size) | covered.narrow(axis, step, size)
            reach += step
    return covered


def seed_rate(size_HW: tuple[int, int], block_hw: tuple[int, int], keep_probs_S: np.ndarray) -> np.ndarray:
    """The probability with which a block must begin at a place so that a share ``keep_probs_S`` of the map is kept.

    A cell that n places can cover is kept with probability (1 - rate)^n. The mean of this over the map falls from 1 to
    0 as the rate grows, so that there is one solution. It is found by bisection, to double precision.

    Args:
        block_hw: at most ``size_HW``.
        keep_probs_S: above 0, at most 1.
    """
    row_H, column_W = (_places_over(length, block) for length, block in zip(size_HW, block_hw))
    places_N, cells_N = np.unique(np.outer(row_H, column_W), return_counts=True)
    weights_N = cells_N / cells_N.sum()
    # Solved for t = -log(1 - rate): the cells with the most and the fewest places bound it.
    low_S, high_S = (-np.log(keep_probs_S) / places for places in (places_N[-1], places_N[0]))
    for _ in range(60):
        middle_S = (low_S + high_S) / 2
        too_few = np.exp(-np.outer(middle_S, places_N)) @ weights_N > keep_probs_S
        low_S, high_S = np.where(too_few, middle_S, low_S), np.where(too_few, high_S, middle_S)
    return -np.expm1(-(low_S + high_S) / 2)


def _places_over(length: int, block: int) -> np.ndarray:
    """For each cell of a line: how many places of a block, wholly inside of the line, cover it."""
    cells = np.arange(length)
    return np.minimum(cells, length - block) - np.maximum(cells - block + 1, 0) + 1


@torch.compiler.assume_constant_result
def seed_rates(
    size_HW: tuple[int, int], block_hw: tuple[int, int], keep_prob: float, points: int, device: torch.device
) -> Tensor:
    """``seed_rate`` at equal steps of a linear schedule from 1 to ``keep_prob``, on the device; one point: its end."""
    return _seed_rates(size_HW, block_hw, keep_prob, points, device)


@lru_cache(maxsize=256)  # kept, so that no forward pass waits for a copy to the device
def _seed_rates(
    size_HW: tuple[int, int], block_hw: tuple[int, int], keep_prob: float, points: int, device: torch.device
) -> Tensor:
    keep_probs_S = np.linspace(1.0, keep_prob, points) if points > 1 else np.array([keep_prob])
    return torch.from_numpy(seed_rate(size_HW, block_hw, keep_probs_S)).to(device, torch.float32)


def _at(value_S: Tensor, progress: Tensor) -> Tensor:
    """The value at ``progress`` (0 to 1) of a line through the points, without looking at it on the host."""
    points = torch.arange(len(value_S), device=value_S.device)
    weight_S = (1 - (progress * (len(value_S) - 1) - points).abs()).clamp(min=0)
    return (weight_S * value_S).sum()
