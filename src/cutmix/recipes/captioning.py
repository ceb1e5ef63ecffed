"""Captioning column of the paper's table 10, whole in table A1: NIC on MS-COCO, scores times 100.

Common to all: ``coco:coco`` (train2014 and val2014), a ResNet-50 trained on ImageNet (the official checkpoints, named
as their archives name them, or ``--backbone``), and NIC as its upstream has it. The paper says batches of 20, learning
rate 0.001, 100 epochs and a beam of 20; ``cutmix.transfer.nic`` says what it leaves open. It speaks of 120 thousand
training pictures, and upstream trains on the 82,783 of train2014: which were taken is not known, nor is the epoch.
"""

from __future__ import annotations

from cutmix.recipes.claim import claims
from cutmix.recipes.transfer_recipe import TransferRecipe

BACKBONE_MODEL = "ResNet(depth=50, stem='imagenet', num_classes=1000)"


@claims("10", "A1", row="NIC, baseline", pick="", bleu1=61.4, bleu2=43.8, bleu3=31.4, bleu4=22.9, meteor=22.8,
        rouge_l=44.7, cider=71.2)  # fmt: skip
def nic() -> TransferRecipe:
    """NIC on COCO, baseline pretraining. (Its ROUGE of 44.7 looks like a misprint beside the others' 47.9 to 49.0.)"""
    return TransferRecipe(
        task="NIC(embedding=100, hidden=300, dropout=0.1, norm='trained', per='position', min_count=4, beam=20)",
        data="coco:coco",
        backbone="resnet50_baseline/model_best.pth.tar",
        backbone_model=BACKBONE_MODEL,
        epochs=100,
        batch_size=20,
        lr=0.001,
        optimizer="Adam",
        schedule="Constant()",
        nesterov=False,
        weight_decay=0.0,
        test_every=10,
    )


@claims("10", "A1", row="NIC, Mixup", pick="", bleu1=61.6, bleu2=44.1, bleu3=31.6, bleu4=23.2, meteor=22.9,
        rouge_l=47.9, cider=72.2)  # fmt: skip
def nic_mixup() -> TransferRecipe:
    """NIC on COCO, Mixup pretraining."""
    return nic().but(backbone="resnet50_mixup/model_best.pth.tar")


@claims("10", "A1", row="NIC, Cutout", pick="", bleu1=63.0, bleu2=45.3, bleu3=32.6, bleu4=24.0, meteor=22.6,
        rouge_l=48.2, cider=74.1)  # fmt: skip
def nic_cutout() -> TransferRecipe:
    """NIC on COCO, Cutout pretraining."""
    return nic().but(backbone="resnet50_cutout/model_best.pth.tar")


@claims("10", "A1", row="NIC, CutMix", pick="", bleu1=64.2, bleu2=46.3, bleu3=33.6, bleu4=24.9, meteor=23.1,
        rouge_l=49.0, cider=77.6)  # fmt: skip
def nic_cutmix() -> TransferRecipe:
    """NIC on COCO, CutMix pretraining."""
    return nic().but(backbone="resnet50_cutmix/model_best.pth.tar")


def small_nic() -> TransferRecipe:
    """A few hundred own pictures, learned by heart on two cores; settings are ours, the backbone is ``--backbone``."""
    return TransferRecipe(
        task="NIC(captions='all', augment=False, dropout=0.0, momentum=0.1, min_count=1, beam=20, test_train=1000)",
        data="coco:photos",
        backbone="timm.tf_efficientnet_lite0",
        epochs=100,
        batch_size=16,
        lr=0.005,
        optimizer="Adam",
        schedule="Cosine(warmup=1)",
        nesterov=False,
        weight_decay=0.0,
        clip_norm=5.0,
        test_every=25,
    )
