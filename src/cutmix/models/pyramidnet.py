"""PyramidNet (Han et al., CVPR 2017), additive, as the official CutMix repository builds it and names its weights.

Shapes: B images, C channels of the residual, S <= C channels of the shortcut, H height, W width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.models.residual import (
    IMAGENET_BASIC_DEPTHS,
    IMAGENET_BLOCKS,
    ResidualBlock,
    ResidualNetwork,
    Stem,
    check_network,
    cifar_blocks,
    conv,
    depth_repr,
    stem_conv,
)


class _AddToFirstChannels(torch.autograd.Function):
    """``residual[:, :S] += shortcut``, with a backward pass that copies nothing.

    Autograd's own backward of an addition into a slice copies the gradient several times; padding the shortcut with
    zeros, as the official code does, writes and reads a third tensor in the forward pass.
    """

    @staticmethod
    def forward(residual_BCHW: Tensor, shortcut_BSHW: Tensor) -> Tensor:
        residual_BCHW[:, : shortcut_BSHW.shape[1]] += shortcut_BSHW
        return residual_BCHW

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        residual_BCHW, shortcut_BSHW = inputs
        ctx.mark_dirty(residual_BCHW)
        ctx.shortcut_channels = shortcut_BSHW.shape[1]

    @staticmethod
    def backward(ctx: Any, gradient_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        return gradient_BCHW, gradient_BCHW[:, : ctx.shortcut_channels]


class PyramidBlock(ResidualBlock):
    """A block without a rectifier at either end; the shortcut has no weights.

    The shortcut is pooled where the map shrinks, and adds to the first channels where the residual has more.
    """

    expansion: int
    stride: int

    def shortcut(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW if self.stride == 1 else F.avg_pool2d(x_BCHW, self.stride, ceil_mode=True)

    def join(self, residual_BCHW: Tensor, shortcut_BSHW: Tensor) -> Tensor:
        extra = residual_BCHW.shape[1] - shortcut_BSHW.shape[1]
        if extra == 0:
            return residual_BCHW.add_(shortcut_BSHW)
        if torch.compiler.is_compiling():  # the compiler fuses the padding into the addition
            return residual_BCHW + F.pad(shortcut_BSHW, (0, 0, 0, 0, 0, extra))
        return _AddToFirstChannels.apply(residual_BCHW, shortcut_BSHW)


class PyramidBasicBlock(PyramidBlock):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, planes, 3, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv(planes, planes, 3)
        self.bn3 = nn.BatchNorm2d(planes)

    def residual(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.conv1(self.bn1(x_BCHW))
        x_BCHW = self.conv2(F.relu_(self.bn2(x_BCHW)))
        return self.bn3(x_BCHW)


class PyramidBottleneck(PyramidBlock):
    """1x1, 3x3 (with the stride) and 1x1 convolutions; the last one widens to four times ``planes``."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, planes, 1)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = conv(planes, planes, 3, stride)
        self.bn3 = nn.BatchNorm2d(planes)
        self.conv3 = conv(planes, planes * self.expansion, 1)
        self.bn4 = nn.BatchNorm2d(planes * self.expansion)

    def residual(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = self.conv1(self.bn1(x_BCHW))
        x_BCHW = self.conv2(F.relu_(self.bn2(x_BCHW)))
        x_BCHW = self.conv3(F.relu_(self.bn3(x_BCHW)))
        return self.bn4(x_BCHW)


class PyramidNet(ResidualNetwork):
    """Additive PyramidNet: every block is wider than the one before it, by ``alpha`` planes over the whole network.

    The paper's are ``PyramidNet(200, 240)`` (Table 5) and ``PyramidNet(110, 64)`` (Table 6), both with bottlenecks.
    The initial weights come from torch's global generator: construct under ``torch.manual_seed``.

    Args:
        depth: with ``stem="cifar"`` 9n + 2 (bottleneck blocks) or 6n + 2 (basic blocks), n blocks in each of three
            stages; any other depth is rounded down to the next such one, as the official code does. With
            ``stem="imagenet"`` 18, 34, 50, 101, 152 or 200 (four stages, as in ResNet); any other depth is rounded
            down to 12n + 2 or 8n + 2, n blocks a stage.
        alpha: planes by which the network widens, from 16 (``"cifar"``) or 64 (``"imagenet"``); at least 0.
        num_classes: number of logits.
        bottleneck: bottleneck blocks, the official default; else basic ones. With ``stem="imagenet"`` and one of the
            six depths, the depth decides.
        stem: ``"cifar"`` (3x3 convolution, no rectifier) or ``"imagenet"`` (7x7 convolution, rectifier, max-pooling).

    Raises:
        UsageError: a depth, alpha, stem or number of classes that there is not.
    """

    def __init__(
        self,
        depth: int = 110,
        alpha: float = 64,
        num_classes: int = 10,
        bottleneck: bool = True,
        stem: Stem = "cifar",
    ) -> None:
        check_network(stem, num_classes)
        if not (math.isfinite(alpha) and alpha >= 0):
            raise UsageError(f"alpha, the planes by which the network widens, must be at least 0; got {alpha}")
        if stem == "imagenet" and depth in IMAGENET_BLOCKS:
            bottleneck = depth not in IMAGENET_BASIC_DEPTHS
        super().__init__()
        self.depth, self.alpha, self.bottleneck, self.stem = depth, alpha, bottleneck, stem
        blocks = (cifar_blocks(depth, bottleneck),) * 3 if stem == "cifar" else _imagenet_blocks(depth, bottleneck)
        start = 16 if stem == "cifar" else 64
        self.conv1 = stem_conv(stem, start)
        self.bn1 = nn.BatchNorm2d(start)
        channels = self._add_stages(blocks, start)
        self.total_stride = (1 if stem == "cifar" else 4) * 2 ** (len(blocks) - 1)
        self.bn_final = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)
        self._initialise()

    def _add_stages(self, blocks: tuple[int, ...], start: int) -> int:
        block = PyramidBottleneck if self.bottleneck else PyramidBasicBlock
        # Summed up block by block, as in the official code: a closed form would round some widths the other way.
        width, step = float(start), self.alpha / sum(blocks)
        channels = start
        for stage, count in enumerate(blocks):
            layers = []
            for index in range(count):
                width += step
                layers.append(block(channels, round(width), 2 if stage > 0 and index == 0 else 1))
                channels = round(width) * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        return channels

    def forward_features(self, images_BCHW: Tensor) -> Tensor:
        self._check(images_BCHW)
        x_BCHW = self.bn1(self.conv1(images_BCHW))
        if self.stem == "imagenet":
            x_BCHW = F.max_pool2d(F.relu_(x_BCHW), 3, stride=2, padding=1)
        return F.relu_(self.bn_final(self._stages(x_BCHW)))

    def extra_repr(self) -> str:
        return (
            f"{depth_repr(self, self.depth)}, alpha={self.alpha:g}, num_classes={self.fc.out_features}, "
            f"bottleneck={self.bottleneck}, stem={self.stem!r}"
        )


def _imagenet_blocks(depth: int, bottleneck: bool) -> tuple[int, ...]:
    if depth in IMAGENET_BLOCKS:
        return IMAGENET_BLOCKS[depth]
    layers_per_round = 12 if bottleneck else 8
    blocks = (depth - 2) // layers_per_round
    if blocks < 1:
        raise UsageError(f"depth must be at least {layers_per_round + 2} with stem='imagenet'; got {depth}")
    return (blocks,) * 4
