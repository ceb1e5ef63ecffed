"""ResNet (He et al., CVPR 2016) as the official CutMix repository builds it for CIFAR and ImageNet, with its names.

Shapes: B images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class PostActivationBlock(ResidualBlock):
    """A block that rectifies the sum; the shortcut is a 1x1 convolution and a batch norm where the shape changes."""

    expansion: int
    downsample: nn.Sequential | None

    def shortcut(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW if self.downsample is None else self.downsample(x_BCHW)

    def join(self, residual_BCHW: Tensor, shortcut_BCHW: Tensor) -> Tensor:
        # The residual comes out of a batch norm, whose backward pass does not need it: both steps can be in place.
        return F.relu_(residual_BCHW.add_(shortcut_BCHW))


def _projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if in_channels == out_channels and stride == 1:
        return None
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(PostActivationBlock):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, planes, 3, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = conv(planes, planes, 3)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _projection(in_channels, planes, stride)

    def residual(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = F.relu_(self.bn1(self.conv1(x_BCHW)))
        return self.bn2(self.conv2(x_BCHW))


class Bottleneck(PostActivationBlock):
    """1x1, 3x3 (with the stride, in groups) and 1x1 convolutions; the last one widens to four times ``planes``."""

    expansion = 4

    def __init__(
        self, in_channels: int, planes: int, stride: int = 1, *, groups: int = 1, width_per_group: int = 64
    ) -> None:
        super().__init__()
        width = planes * width_per_group // 64 * groups
        self.conv1 = conv(in_channels, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, planes * self.expansion, 1)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = _projection(in_channels, planes * self.expansion, stride)

    def residual(self, x_BCHW: Tensor) -> Tensor:
        x_BCHW = F.relu_(self.bn1(self.conv1(x_BCHW)))
        x_BCHW = F.relu_(self.bn2(self.conv2(x_BCHW)))
        return self.bn3(self.conv3(x_BCHW))


class PostActivationNetwork(ResidualNetwork):
    """Stages of post-activation blocks; each stage after the first doubles the width and halves the map."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        width: int,
        stem: Stem,
        num_classes: int,
        last_stride: int = 2,
        **block_kwargs: Any,
    ) -> None:
        check_network(stem, num_classes)
        if last_stride not in (1, 2):
            raise UsageError(f"last_stride is 1 or 2; got {last_stride}")
        super().__init__()
        self.stem = stem
        self.conv1 = stem_conv(stem, width)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate(blocks):
            planes = width * 2**stage
            layers = []
            for index in range(count):
                first = last_stride if stage == len(blocks) - 1 else 2
                stride = first if stage > 0 and index == 0 else 1
                layers.append(block(channels, planes, stride, **block_kwargs))
                channels = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.total_stride = (1 if stem == "cifar" else 4) * 2 ** (len(blocks) - 2) * last_stride
        self.fc = nn.Linear(channels, num_classes)
        self._initialise()

    def forward_features(self, images_BCHW: Tensor) -> Tensor:
        self._check(images_BCHW)
        x_BCHW = F.relu_(self.bn1(self.conv1(images_BCHW)))
        if self.stem == "imagenet":
            x_BCHW = F.max_pool2d(x_BCHW, 3, stride=2, padding=1)
        return self._stages(x_BCHW)


class ResNet(PostActivationNetwork):
    """ResNet for small images (three stages of 16, 32, 64 planes) or photos (torchvision's networks of the same depth).

    The initial weights come from torch's global generator: construct under ``torch.manual_seed``.

    Args:
        depth: with ``stem="cifar"`` 9n + 2 (bottleneck blocks) or 6n + 2 (basic blocks), n blocks a stage; any other
            depth is rounded down to the next such one, as the official code does (its default of 32 has 29 layers).
            With ``stem="imagenet"`` one of 18, 34, 50, 101, 152, 200.
        num_classes: number of logits.
        bottleneck: bottleneck blocks, the official default and the form of the paper's ResNet-110 (Table 6). The
            classic ResNet-20 to ResNet-110 have basic blocks. With ``stem="imagenet"`` the depth alone decides.
        stem: ``"cifar"`` (3x3 convolution) or ``"imagenet"`` (7x7 convolution and max-pooling: four times smaller).
        last_stride: 1 leaves the last stage's maps as large as those before it, as the paper does for localization
            (14x14 of 224 pixels). The weights have the same names and shapes, so nothing in a file tells the two apart.

    Raises:
        UsageError: a depth, stem, stride or number of classes that there is not.
    """

    def __init__(
        self,
        depth: int = 20,
        num_classes: int = 10,
        bottleneck: bool = True,
        stem: Stem = "cifar",
        last_stride: int = 2,
    ) -> None:
        blocks: tuple[int, ...]
        if stem == "imagenet":
            if depth not in IMAGENET_BLOCKS:
                raise UsageError(f"with stem='imagenet' depth is one of {list(IMAGENET_BLOCKS)}; got {depth}")
            bottleneck, blocks, width = depth not in IMAGENET_BASIC_DEPTHS, IMAGENET_BLOCKS[depth], 64
        else:
            blocks, width = (cifar_blocks(depth, bottleneck),) * 3, 16
        super().__init__(Bottleneck if bottleneck else BasicBlock, blocks, width, stem, num_classes, last_stride)
        self.last_stride = last_stride
        self.depth = depth
        self.bottleneck = bottleneck

    def extra_repr(self) -> str:
        depth = depth_repr(self, self.depth)
        return f"{depth}, num_classes={self.fc.out_features}, bottleneck={self.bottleneck}, stem={self.stem!r}" + (
            f", last_stride={self.last_stride}" if self.last_stride != 2 else ""
        )
