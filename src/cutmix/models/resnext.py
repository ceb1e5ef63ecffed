"""ResNeXt (Xie et al., CVPR 2017), as torchvision builds it and names its weights."""

from __future__ import annotations

from cutmix.errors import UsageError
from cutmix.models.residual import IMAGENET_BASIC_DEPTHS, IMAGENET_BLOCKS, Stem, depth_repr
from cutmix.models.resnet import Bottleneck, PostActivationNetwork

DEPTHS = tuple(depth for depth in IMAGENET_BLOCKS if depth not in IMAGENET_BASIC_DEPTHS)


class ResNeXt(PostActivationNetwork):
    """ResNet with bottlenecks whose 3x3 convolution is in groups. The paper's is the default: ResNeXt-101 32x4d.

    The initial weights come from torch's global generator: construct under ``torch.manual_seed``.

    Args:
        depth: 50, 101, 152 or 200.
        num_classes: number of logits.
        groups: groups of the 3x3 convolutions (the "cardinality").
        width_per_group: channels of a group in the first stage; each further stage doubles them.
        stem: ``"imagenet"``; or ``"cifar"``, for small images: the same four stages behind a 3x3 convolution without
            max-pooling (not a network of the paper).

    Raises:
        UsageError: a depth, stem, number of groups, width or number of classes that there is not.
    """

    def __init__(
        self,
        depth: int = 101,
        num_classes: int = 1000,
        groups: int = 32,
        width_per_group: int = 4,
        stem: Stem = "imagenet",
    ) -> None:
        if depth not in DEPTHS:
            raise UsageError(f"depth is one of {list(DEPTHS)}; got {depth}")
        if groups < 1 or width_per_group < 1:
            raise UsageError(f"groups and width_per_group must be at least 1; got {groups} and {width_per_group}")
        super().__init__(
            Bottleneck, IMAGENET_BLOCKS[depth], 64, stem, num_classes, groups=groups, width_per_group=width_per_group
        )
        self.depth = depth
        self.groups = groups
        self.width_per_group = width_per_group

    def extra_repr(self) -> str:
        return (
            f"{depth_repr(self, self.depth)}, num_classes={self.fc.out_features}, groups={self.groups}, "
            f"width_per_group={self.width_per_group}, stem={self.stem!r}"
        )
