"""VGG-GAP (Zhou et al., CVPR 2016): VGG-16 that ends in global average pooling, so that it has class activation maps.

Shapes: B images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from cutmix.errors import UsageError

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SHRINKS = 16


class VGGGAP(nn.Module):
    """VGG-16 without its fifth pooling and its linear layers; a 3x3 convolution to 1024 channels, pooling, ``fc``.

    The network of the paper's table 9 (appendix B): of images of 224 pixels its last maps have 14x14. The weights of
    the first 13 convolutions have the names that torchvision's ``vgg16`` gives them (``features.0.weight``), so those
    can be loaded; ``conv6`` and ``fc`` are new. Neither paper says how they start: here as in wsolevaluation,
    convolutions from N(0, 2 / (k * k * out_channels)), ``fc`` from N(0, 0.01 ** 2), biases 0.

    The initial weights come from torch's global generator: construct under ``torch.manual_seed``.

    Args:
        num_classes: number of logits.

    Raises:
        UsageError: no class.
    """

    new_layers: ClassVar[tuple[str, ...]] = ("conv6", "fc")
    """What trained weights of VGG-16 have not."""

    def __init__(self, num_classes: int = 1000) -> None:
        if num_classes < 1:
            raise UsageError(f"num_classes must be at least 1; got {num_classes}")
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for block in WIDTHS:
            if layers:
                layers.append(nn.MaxPool2d(2, stride=2))
            for width in block:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.conv6 = nn.Conv2d(channels, 1024, 3, padding=1)
        self.rectify = nn.ReLU(inplace=False)  # in place it would change what a hook on conv6 has seen
        self.fc = nn.Linear(1024, num_classes)
        self._initialise()

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """The logits (B, K) of normalised images (B, 3, H, W) of at least 16 pixels a side.

        Raises:
            UsageError: the images are not (B, 3, H, W), not floating-point, or smaller.
        """
        shape = tuple(images_BCHW.shape)
        if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < SHRINKS or not images_BCHW.is_floating_point():
            raise UsageError(
                f"VGGGAP takes floating-point images (batch, 3, height, width) of at least {SHRINKS} pixels a side; "
                f"got {shape} {images_BCHW.dtype}"
            )
        maps_BCHW = self.rectify(self.conv6(self.features(images_BCHW)))
        return self.fc(maps_BCHW.mean((2, 3)))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # it has one
        if not self.fc.weight.is_meta:
            nn.init.normal_(self.fc.weight, std=0.01)
            nn.init.zeros_(self.fc.bias)
