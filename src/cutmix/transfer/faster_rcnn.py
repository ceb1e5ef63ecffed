"""Faster R-CNN (Ren et al., 2015, arXiv 1506.01497) on a backbone: the C4 form of the paper's table 10, and FPN.

C4: proposals from the map at stride 16 (ResNet's layer3); each region is pooled there and goes through the rest of
the network (layer4), whose mean over the region is judged. The settings are those of jwyang/faster-rcnn.pytorch,
which the paper points to. FPN: torchvision's form, four maps and a pyramid. Proposals, matching, box coding and
suppression are torchvision's in both.

Unlike upstream nothing of the backbone is rebuilt, so that the stride stays where the weights have it (upstream's
blocks stride in their first convolution, Caffe's in RGB order and range: weights of another style lose silently), and
pixels are normalised as the backbone was trained. The learning rate falls at a share of the run, where upstream
counts epochs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from cutmix.data import BoxData
from cutmix.errors import UsageError
from cutmix.transfer.backbone import Backbone, Pretrained, Tail, cut, find_stages, stages_at
from cutmix.transfer.detection import Detection

C4_STRIDE, LAST_STRIDE = 16, 32
FPN_STRIDES = (4, 8, 16, 32)
C4_ANCHORS, FPN_ANCHORS = (128, 256, 512), (32, 64, 128, 256, 512)
RATIOS = (0.5, 1.0, 2.0)
"""Heights of the anchors over their widths."""


@dataclass(frozen=True, kw_only=True)
class FasterRCNN(Detection):
    """Faster R-CNN on a backbone: proposals first, then each region's class and box.

    Args:
        form: ``"c4"``, the paper's, or ``"fpn"``.
        size: pixels to which a picture's short side is brought, unless its long side would exceed ``max_size``.
        frozen: how many of the first stages are not trained: 1 is the stem and the stage at stride 4, as upstream has
            it; 0 none.
        roi_batch: regions of a picture that are learned from; upstream's res50.yml.
        pool: side in cells of a pooled region, in the C4 form.
        anchors: sides in pixels of the boxes that proposals start from, each in three shapes: all at every place in the
            C4 form (upstream's 128, 256 and 512 unless given), one for each of the five maps in the FPN form
            (torchvision's 32 to 512). They should be of the size of the objects at ``size``.
        proposals: regions of a picture that are judged, in training and in a test.
        score: detections with a lower score are dropped; upstream keeps all.
    """

    form: str = "c4"
    size: int = 600
    max_size: int = 1000
    frozen: int = 1
    roi_batch: int = 256
    pool: int = 7
    anchors: tuple[int, ...] = ()
    proposals: tuple[int, int] = (2000, 300)
    score: float = 0.0

    losses = ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg")
    usual: ClassVar[dict[str, Any]] = {
        "epochs": 58,  # 120,000 iterations of 8 on the 16,551 pictures of VOC 07+12
        "batch_size": 8,
        "lr": 0.01,
        "schedule": "Steps(at=(0.8333,), by=0.1)",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-4,
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in ("c4", "fpn"):
            raise UsageError(f"FasterRCNN(form=...) must be 'c4' or 'fpn', got {self.form!r}")
        if not 32 <= self.size <= self.max_size:
            raise UsageError(f"FasterRCNN takes 32 <= size <= max_size, got {self.size} and {self.max_size}")
        if not 0 <= self.frozen <= 3:
            raise UsageError(f"FasterRCNN(frozen=...) must be 0 to 3 stages, got {self.frozen}")
        counts = {"roi_batch": self.roi_batch, "pool": self.pool, "proposals": min(self.proposals)}
        counts["anchors"] = min(self.anchors, default=1)
        for name, least in counts.items():
            if least < 1:
                raise UsageError(f"FasterRCNN({name}=...) must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.score < 1:
            raise UsageError(f"FasterRCNN(score=...) must lie in [0, 1), got {self.score}")
        if self.form == "fpn" and len(self.anchors) not in (0, len(FPN_ANCHORS)):
            raise UsageError(f"FasterRCNN in the FPN form takes {len(FPN_ANCHORS)} anchors, got {self.anchors}")

    def network(self, pretrained: Pretrained, data: BoxData) -> nn.Module:
        """torchvision's Faster R-CNN around our features; the new layers are drawn from torch's global generator.

        Raises:
            UsageError: the backbone has no maps at the strides that the form needs.
        """
        from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN

        train, test = self.proposals
        parts = self._c4(pretrained, data) if self.form == "c4" else self._fpn(pretrained, data)
        return TorchvisionFasterRCNN(
            min_size=self.size,
            max_size=self.max_size,
            image_mean=list(pretrained.mean),
            image_std=list(pretrained.std),
            rpn_pre_nms_top_n_train=6 * train,
            rpn_pre_nms_top_n_test=20 * test,
            rpn_post_nms_top_n_train=train,
            rpn_post_nms_top_n_test=test,
            box_score_thresh=self.score,
            box_nms_thresh=0.3,
            box_detections_per_img=100,
            box_batch_size_per_image=self.roi_batch,
            **parts,
        )

    def _c4(self, pretrained: Pretrained, data: BoxData) -> dict[str, Any]:
        from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
        from torchvision.ops import MultiScaleRoIAlign

        network = pretrained.network
        trunk, last = stages_at(network, (C4_STRIDE, LAST_STRIDE), what="Faster R-CNN in the C4 form")
        head = MeanOverRegion(Tail(cut(network, trunk.name, last.name), self.norm))
        return {
            "backbone": OneMap(Backbone(network, [trunk.name], norm=self.norm, frozen_until=self._frozen(network))),
            "rpn_anchor_generator": self._anchors((self.anchors or C4_ANCHORS,)),
            "box_roi_pool": MultiScaleRoIAlign(["0"], output_size=self.pool, sampling_ratio=2),
            "box_head": head,
            "box_predictor": FastRCNNPredictor(last.channels, data.num_classes + 1),
        }

    def _fpn(self, pretrained: Pretrained, data: BoxData) -> dict[str, Any]:
        network = pretrained.network
        stages = stages_at(network, FPN_STRIDES, what="Faster R-CNN in the FPN form")
        backbone = Backbone(
            network, [stage.name for stage in stages], norm=self.norm, frozen_until=self._frozen(network)
        )
        return {
            "backbone": Pyramid(backbone),
            "num_classes": data.num_classes + 1,
            "rpn_anchor_generator": self._anchors(tuple((side,) for side in self.anchors or FPN_ANCHORS)),
        }

    def _anchors(self, sides: tuple[tuple[int, ...], ...]) -> Any:
        """torchvision's generator, for maps that have boxes of these sides each."""
        from torchvision.models.detection.rpn import AnchorGenerator

        return AnchorGenerator(sides, (RATIOS,) * len(sides))

    def _frozen(self, network: nn.Module) -> str:
        if not self.frozen:
            return ""
        stages = [stage for stage in find_stages(network) if stage.stride >= FPN_STRIDES[0]]
        return stages[self.frozen - 1].name

    def augment(self) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
        """Every second picture is mirrored."""
        from torchvision.transforms import v2

        mirror = v2.RandomHorizontalFlip()
        return lambda image, boxes, labels: mirror(image, boxes, labels)

    def prepare(self, image: Any, boxes: Any) -> tuple[Any, Any]:
        """As they are: the network brings pictures to their size."""
        return image, boxes


class OneMap(nn.Module):
    """A backbone with one stage, under the name that torchvision looks for."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.out_channels = backbone.channels[0]

    def forward(self, images_BCHW: Tensor) -> OrderedDict[str, Tensor]:
        (map_BCHW,) = self.backbone(images_BCHW).values()
        return OrderedDict([("0", map_BCHW)])


class MeanOverRegion(nn.Module):
    """The rest of the network on pooled regions (N, C, pool, pool), and the mean over each: (N, C')."""

    def __init__(self, tail: nn.Module) -> None:
        super().__init__()
        self.tail = tail

    def forward(self, regions_NCHW: Tensor) -> Tensor:
        return self.tail(regions_NCHW).mean((2, 3))


class Pyramid(nn.Module):
    """The feature pyramid (Lin et al., CVPR 2017) on a backbone's four stages, from torchvision's parts."""

    out_channels = 256

    def __init__(self, backbone: Backbone) -> None:
        from torchvision.ops import FeaturePyramidNetwork
        from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

        super().__init__()
        self.backbone = backbone
        self.pyramid = FeaturePyramidNetwork(list(backbone.channels), self.out_channels, LastLevelMaxPool())

    def forward(self, images_BCHW: Tensor) -> dict[str, Tensor]:
        maps = self.backbone(images_BCHW).values()
        pyramid: dict[str, Tensor] = self.pyramid(OrderedDict((str(k), map_BCHW) for k, map_BCHW in enumerate(maps)))
        return pyramid
