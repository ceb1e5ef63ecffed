"""Detection columns of the paper's table 10: PASCAL VOC 07+12, tested on VOC 2007 test by the 11-point mean AP.

Common to all: ``voc:VOCdevkit`` with VOC2007 and VOC2012 in it, and the table's ResNet-50, trained on ImageNet. Put the
official checkpoints where ``backbone`` says, or say with ``--backbone`` where they are. What the paper leaves open is
told in ``cutmix.transfer.ssd`` and ``cutmix.transfer.faster_rcnn``. 120,000 iterations are 232 epochs of 518 steps with
SSD's batches of 32, and 58 epochs of 2,069 with Faster R-CNN's of 8 (upstream counts 29 there, of twice as many
pictures: each is there mirrored as well).
"""

from __future__ import annotations

from cutmix.recipes.transfer_recipe import TransferRecipe

BACKBONE_MODEL = "ResNet(depth=50, stem='imagenet', num_classes=1000)"


def ssd300() -> TransferRecipe:
    """Table 10, SSD, baseline. The paper: mAP 76.7."""
    return TransferRecipe(
        task="SSD(size=300)",
        data="voc:VOCdevkit",
        backbone="resnet50_baseline/model_best.pth.tar",
        backbone_model=BACKBONE_MODEL,
        epochs=232,
        batch_size=32,
        lr=1e-3,
        schedule="Steps(at=(0.6667, 0.8333), by=0.1)",
        nesterov=False,
        weight_decay=5e-4,
        test_every=10,
    )


def ssd300_mixup() -> TransferRecipe:
    """Table 10, SSD, Mixup pretraining. The paper: mAP 76.6 (-0.1)."""
    return ssd300().but(backbone="resnet50_mixup/model_best.pth.tar")


def ssd300_cutout() -> TransferRecipe:
    """Table 10, SSD, Cutout pretraining. The paper: mAP 76.8 (+0.1)."""
    return ssd300().but(backbone="resnet50_cutout/model_best.pth.tar")


def ssd300_cutmix() -> TransferRecipe:
    """Table 10, SSD, CutMix pretraining. The paper: mAP 77.6 (+0.9)."""
    return ssd300().but(backbone="resnet50_cutmix/model_best.pth.tar")


def faster_rcnn() -> TransferRecipe:
    """Table 10, Faster R-CNN, baseline. The paper: mAP 75.6."""
    return TransferRecipe(
        task="FasterRCNN(form='c4', size=600)",
        data="voc:VOCdevkit",
        backbone="resnet50_baseline/model_best.pth.tar",
        backbone_model=BACKBONE_MODEL,
        epochs=58,
        batch_size=8,
        lr=0.01,
        schedule="Steps(at=(0.8333,), by=0.1)",
        nesterov=False,
        test_every=5,
    )


def faster_rcnn_mixup() -> TransferRecipe:
    """Table 10, Faster R-CNN, Mixup pretraining. The paper: mAP 73.9 (-1.7)."""
    return faster_rcnn().but(backbone="resnet50_mixup/model_best.pth.tar")


def faster_rcnn_cutout() -> TransferRecipe:
    """Table 10, Faster R-CNN, Cutout pretraining. The paper: mAP 75.0 (-0.6; table 1 has 75.1)."""
    return faster_rcnn().but(backbone="resnet50_cutout/model_best.pth.tar")


def faster_rcnn_cutmix() -> TransferRecipe:
    """Table 10, Faster R-CNN, CutMix pretraining. The paper: mAP 76.7 (+1.1)."""
    return faster_rcnn().but(backbone="resnet50_cutmix/model_best.pth.tar")


def small_ssd() -> TransferRecipe:
    """A few hundred own pictures, SSD at 160 px on two cores; settings are ours, the backbone is --backbone."""
    return TransferRecipe(
        task="SSD(size=160, norm='trained', expand=1.5, load_side=320)",
        data="voc:pictures",
        backbone="timm.tf_efficientnet_lite0",
        epochs=15,
        batch_size=16,
        lr=0.01,
        schedule="Cosine(warmup=1)",
        nesterov=False,
        weight_decay=5e-4,
        clip_norm=10.0,
        test_every=5,
    )


def small_faster_rcnn() -> TransferRecipe:
    """A few hundred own pictures, Faster R-CNN (C4) at 192 px on two cores; settings are ours."""
    return TransferRecipe(
        task="FasterRCNN(form='c4', size=192, max_size=320, norm='trained', frozen=0, roi_batch=32, pool=4, "
        "anchors=(16, 40, 80), proposals=(200, 100), score=0.01, load_side=320)",
        data="voc:pictures",
        backbone="timm.tf_efficientnet_lite0",
        epochs=6,
        batch_size=8,
        lr=0.01,
        schedule="Cosine(warmup=1)",
        nesterov=False,
        clip_norm=10.0,
        test_every=3,
    )
