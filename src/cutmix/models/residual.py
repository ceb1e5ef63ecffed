"""What the residual networks share: blocks that add two branches; a network that ends in pooling and one linear layer.

Shapes: B images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

from cutmix.errors import UsageError, nearest

Stem = Literal["cifar", "imagenet"]
STEMS: tuple[Stem, ...] = ("cifar", "imagenet")

# Blocks in each stage of the ImageNet networks; 18 and 34 have basic blocks, the others bottlenecks.
IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
IMAGENET_BASIC_DEPTHS = (18, 34)


class ResidualBlock(nn.Module, ABC):
    """A block whose output is ``join(residual(x), shortcut(x))``.

    Neither branch changes ``x``. ``join`` may write into the residual, which must therefore be a fresh tensor.
    """

    @abstractmethod
    def residual(self, x_BCHW: Tensor) -> Tensor:
        """The branch that learns."""

    @abstractmethod
    def shortcut(self, x_BCHW: Tensor) -> Tensor:
        """The branch that carries the input on."""

    @abstractmethod
    def join(self, residual_BCHW: Tensor, shortcut_BCHW: Tensor) -> Tensor:
        """Add the branches."""

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.join(self.residual(x_BCHW), self.shortcut(x_BCHW))


class ResidualNetwork(nn.Module, ABC):
    """Stem, stages of residual blocks (``layer1``, ``layer2``, ...), global average pooling, linear layer (``fc``).

    Works on any device and in any floating type, with images of any size from ``total_stride`` pixels a side.
    """

    stem: Stem
    fc: nn.Linear
    total_stride: int
    """How many times smaller than the images the last feature map is."""

    @abstractmethod
    def extra_repr(self) -> str:
        """The constructor's arguments."""

    @abstractmethod
    def forward_features(self, images_BCHW: Tensor) -> Tensor:
        """The last feature map, before pooling: (B, ``fc.in_features``, H / ``total_stride``, W / ``total_stride``)."""

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """The logits (B, K) of normalised images (B, 3, H, W).

        Raises:
            UsageError: the images are not (B, 3, H, W), not floating-point, or smaller than ``total_stride`` a side.
        """
        return self.fc(self.forward_features(images_BCHW).mean((2, 3)))

    def _stages(self, x_BCHW: Tensor) -> Tensor:
        for name, module in self.named_children():
            if name.startswith("layer"):
                x_BCHW = module(x_BCHW)
        return x_BCHW

    def _check(self, images_BCHW: Tensor) -> None:
        shape = tuple(images_BCHW.shape)
        if len(shape) != 4 or shape[1] != 3:
            raise UsageError(f"a batch of images is (batch, 3, height, width); got {shape}")
        if not images_BCHW.is_floating_point():
            raise UsageError(f"images must be scaled and normalised floating-point numbers; got {images_BCHW.dtype}")
        if shape[2] < self.total_stride or shape[3] < self.total_stride:
            other = "" if self.stem == "cifar" else " or stem='cifar'"
            raise UsageError(
                f"images of {shape[2]}x{shape[3]} pixels are too small for this network, which shrinks them "
                f"{self.total_stride} times: use larger images{other}"
            )

    def _initialise(self) -> None:
        """Convolutions from N(0, 2 / (k * k * out_channels)), as the official code.

        Batch norms (weight 1, bias 0) and the linear layer stay as PyTorch makes them.
        """
        for module in self.modules():
            # On the meta device there is nothing to draw, and trying to would import PyTorch's compiler: a second.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def conv(in_channels: int, out_channels: int, size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the image's size up to ``stride``."""
    return nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, groups=groups, bias=False)


def stem_conv(stem: Stem, out_channels: int) -> nn.Conv2d:
    """The first convolution: 3x3 for small images, 7x7 with stride 2 for photos."""
    return conv(3, out_channels, 3) if stem == "cifar" else conv(3, out_channels, 7, stride=2)


def check_network(stem: str, num_classes: int) -> None:
    """Refuse what no network takes.

    Raises:
        UsageError: an unknown stem, or no class.
    """
    if stem not in STEMS:
        raise UsageError(f"stem must be 'cifar' or 'imagenet'; got {stem!r}.{nearest(str(stem), STEMS)}")
    if num_classes < 1:
        raise UsageError(f"num_classes must be at least 1; got {num_classes}")


def cifar_blocks(depth: int, bottleneck: bool) -> int:
    """How many blocks each of the three stages of a CIFAR network has; what is left of ``depth`` is dropped.

    Raises:
        UsageError: ``depth`` is too small for one block a stage.
    """
    layers_per_round = 9 if bottleneck else 6
    blocks = (depth - 2) // layers_per_round
    if blocks < 1:
        raise UsageError(
            f"depth must be at least {layers_per_round + 2} with {'bottleneck' if bottleneck else 'basic'} blocks "
            f"(it is {layers_per_round}n + 2); got {depth}"
        )
    return blocks


def depth_repr(network: nn.Module, depth: int) -> str:
    """``depth=110``, or ``depth=32 (29 layers)`` where the depth asked for had to be rounded down."""
    main = re.compile(r"conv1|layer\d+\.\d+\.conv\d|fc")
    layers = sum(1 for name, _ in network.named_modules() if main.fullmatch(name))
    return f"depth={depth}" if layers == depth else f"depth={depth} ({layers} layers)"
