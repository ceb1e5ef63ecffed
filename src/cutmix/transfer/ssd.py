"""SSD (Liu et al., ECCV 2016, arXiv 1512.02325) on a backbone: SSD300 as in the paper's table 10, or smaller.

What torchvision has is torchvision's: default boxes, matching, box coding, the loss with hard negatives three to one,
non-maximum suppression. What it has not is here: sources on any backbone, the extra layers, the scaled L2 norm, the
views.

Upstream (amdegroot/ssd.pytorch, which the paper points to) for 300 pixels: sources of 38, 19, 10, 5, 3 and 1, boxes
of 30 to 315 pixels, 8,732 of them. Another size has the same layers and the same boxes relative to the picture.

Choices that the paper leaves open (it says only that conv4_3 becomes the output of ResNet's layer2): the second
source is the stage at stride 16 (layer3, whose 1,024 channels at 19x19 are what upstream's extra layers hang on) and
layer4 is not used; pixels are normalised as the backbone was trained; batch norms are frozen unless
``norm="trained"``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.data import BoxData
from cutmix.errors import UsageError
from cutmix.transfer.backbone import Backbone, Pretrained, check_maps, evaluating, stages_at
from cutmix.transfer.detection import Detection

STRIDES = (8, 16)
SCALES = (0.1, 0.2, 0.37, 0.54, 0.71, 0.88, 1.05)
"""Sides of the square boxes of each source over the picture's: 30, 60, 111, 162, 213, 264 and 315 of 300 pixels."""
RATIOS = ([2], [2, 3], [2, 3], [2, 3], [2], [2])
EXTRAS = ((256, 512), (128, 256), (128, 256), (128, 256))
"""(channels of the 1x1, of the 3x3 convolution) of each extra layer."""
FILL = (124, 116, 104)
"""ImageNet's mean colour, around a picture that was made smaller."""


@dataclass(frozen=True, kw_only=True)
class SSD(Detection):
    """SSD on a backbone: default boxes at six sizes of feature maps, all judged at once.

    Args:
        size: side in pixels to which every picture is brought; the paper's is 300.
        expand: pictures are put on a canvas up to so many times larger in half of the cases; upstream's 4. 1 for never.
    """

    size: int = 300
    expand: float = 4.0

    losses = ("bbox_regression", "classification")
    usual: ClassVar[dict[str, Any]] = {
        "epochs": 232,  # 120,000 iterations of 32 on the 16,551 pictures of VOC 07+12
        "batch_size": 32,
        "lr": 1e-3,
        "schedule": "Steps(at=(0.6667, 0.8333), by=0.1)",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 5e-4,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.size, int) or self.size < 64:
            raise UsageError(f"SSD(size=...) must be a whole number of at least 64 pixels, got {self.size!r}")
        if self.expand < 1:
            raise UsageError(f"SSD(expand=...) must be at least 1, got {self.expand}")

    def network(self, pretrained: Pretrained, data: BoxData) -> nn.Module:
        """torchvision's SSD around our features; the new layers are drawn from torch's global generator.

        Raises:
            UsageError: the backbone has no maps at strides 8 and 16, or its padding does not fit the size.
        """
        from torchvision.models.detection.ssd import SSD as TorchvisionSSD

        features = SSDFeatures(pretrained.network, self.size, norm=self.norm)
        return TorchvisionSSD(
            features,
            default_boxes(self.size, features.sides),
            (self.size, self.size),
            data.num_classes + 1,
            image_mean=list(pretrained.mean),
            image_std=list(pretrained.std),
            score_thresh=0.01,
            nms_thresh=0.45,
            detections_per_img=200,
            topk_candidates=200,
            iou_thresh=0.5,
            positive_fraction=0.25,  # three negatives for each positive
        )

    def augment(self) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
        """Colours, canvas, crop by IoU, mirror: upstream's order and numbers (its IoUs are 0.1, 0.3, 0.7 and 0.9).

        The transforms are torchvision's: brightness is multiplied by 0.875 to 1.125; upstream adds up to 32 of 255.
        """
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        zoom = v2.RandomZoomOut(fill={tv_tensors.Image: FILL, "others": 0}, side_range=(1.0, self.expand), p=0.5)
        changes = v2.Compose(
            [
                v2.RandomPhotometricDistort(),
                *([zoom] if self.expand > 1 else []),
                v2.RandomIoUCrop(sampler_options=[0.0, 0.1, 0.3, 0.7, 0.9, 1.0]),
                v2.RandomHorizontalFlip(),
            ]
        )
        return lambda image, boxes, labels: changes(image, boxes, labels)

    def prepare(self, image: Any, boxes: Any) -> tuple[Any, Any]:
        from torchvision.transforms.v2 import functional

        size = [self.size, self.size]
        return functional.resize(image, size, antialias=True), functional.resize(boxes, size)


def default_boxes(size: int, sides: Sequence[int]) -> nn.Module:
    """torchvision's generator with upstream's boxes, for maps of ``sides`` pixels.

    The step of a map is its stride; those of the last two, which are convolved without padding, are the picture's side
    over the map's (100 and 300 of 300 pixels).
    """
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator

    strided = [STRIDES[0] * 2**k for k in range(4)]
    steps = [*strided, *(size / side for side in sides[4:])]
    return DefaultBoxGenerator(list(RATIOS), scales=list(SCALES), steps=steps, clip=True)


class L2Norm(nn.Module):
    """Each pixel's channels at length ``scale``, which is learned a channel (Liu et al., ParseNet; 20 at first)."""

    def __init__(self, channels: int, scale: float = 20.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return self.weight[:, None, None] * F.normalize(maps_BCHW, dim=1)


class SSDFeatures(nn.Module):
    """The six sources: the backbone's maps at strides 8 (scaled L2 norm) and 16, and four extra layers behind it.

    Two of the extra layers halve the map; two are convolved without padding. ``sides`` are the maps' in pixels.
    """

    def __init__(self, network: nn.Module, size: int, *, norm: str = "frozen") -> None:
        super().__init__()
        stages = stages_at(network, STRIDES, what="SSD")
        self.backbone = Backbone(network, [stage.name for stage in stages], norm=norm)
        first, second = self.backbone.channels
        self.norm = L2Norm(first)
        side = -(-size // STRIDES[1])
        sides, channels, extras = [-(-size // STRIDES[0]), side], [first, second], []
        for number, (narrow, wide) in enumerate(EXTRAS):
            layer, side = _extra(channels[-1], narrow, wide, side, halves=number < 2)
            extras.append(layer)
            sides.append(side)
            channels.append(wide)
        self.extras = nn.ModuleList(extras)
        self.sides, self.out_channels = sides, channels
        self._check(size)

    def _check(self, size: int) -> None:
        like = next(self.parameters())
        with torch.no_grad(), evaluating(self):
            maps = self.backbone(torch.zeros(1, 3, size, size, dtype=like.dtype, device=like.device))
        check_maps(maps, dict(zip(self.backbone.stages, STRIDES)), size)

    def forward(self, images_BCHW: Tensor) -> OrderedDict[str, Tensor]:
        """The maps, largest first, by number."""
        first, second = self.backbone(images_BCHW).values()
        maps = [self.norm(first), second]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return OrderedDict((str(number), map_BCHW) for number, map_BCHW in enumerate(maps))


def _extra(channels: int, narrow: int, wide: int, side: int, *, halves: bool) -> tuple[nn.Module, int]:
    """A 1x1 and a 3x3 convolution, and the side of the map that they give; smaller maps take a smaller kernel."""
    kernel = 3 if halves else min(3, side)
    stride, padding = (2, 1) if halves else (1, 0)
    layer = nn.Sequential(
        nn.Conv2d(channels, narrow, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(narrow, wide, kernel, stride, padding),
        nn.ReLU(inplace=True),
    )
    for module in layer:
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return layer, (side + 2 * padding - kernel) // stride + 1
