"""Today's best practice: fine-tuning trained networks on own photos, long training from scratch, and when not to mix.

The settings are ours, put together from what others published; no number of ours stands behind them until somebody
measures it. ``cutmix train strong.photos_finetune --data folder:PATH`` names the photos; any setting can be changed by
its flag.

What is known about when CutMix hurts, from the tables of others:

- Small networks: ResNet-18 on ImageNet, 100 epochs: 70.04 % right without mixing, 69.98 with Mixup, 68.95 with CutMix
  (Westlake-AI/openmixup). The authors advise an alpha of about 0.2 for little data and small networks, and a
  probability of one half or less for light ones (issues 20 and 23 of clovaai/CutMix-PyTorch).
- Short schedules: ResNet-50 on ImageNet gains 0.3 points by CutMix in 100 epochs, 1.3 in 300 (76.83 to 77.17, 77.35 to
  78.69; Westlake-AI/openmixup).
- Longer is not always better: ResNeXt-50 on CIFAR-100 with CutMix (alpha 0.2) falls from 81.52 % at 200 epochs to 77.17
  at 1,200, where it has 81.32 without (Westlake-AI/openmixup).
- Fine-grained classes, which differ in a small part of the image: CutMix together with label smoothing made CUB-200
  worse for a user, whom the authors advised to tune the learning rate (issue 24 of clovaai/CutMix-PyTorch); for timm's
  author it helped there without the correction of the share to the pixels really kept, and hurt with it (issue 8 of
  huggingface/pytorch-image-models).

So compare with ``--mixing none`` over a few seeds before believing that it helps on data of your own.
"""

from __future__ import annotations

from cutmix.recipes.recipe import Recipe

MIXUP_OR_CUTMIX = "Until(mixing=RandomChoice(mixings=(MixUp(alpha=0.2), CutMix(alpha=1.0))), until=0.9)"
"""As in the references of pytorch/vision: one or the other in every batch; and nothing in the last tenth of the run."""


def photos_finetune() -> Recipe:
    """Own photos, hundreds a class: fine-tune torchvision's ResNet-50 with Mixup or CutMix in every batch.

    The trained weights are downloaded once, and the photos normalised as these were trained; the head is new. The
    learning rate is small, and the same for all layers.
    """
    return Recipe(
        data="folder:photos",
        model="torchvision.resnet50(weights='DEFAULT')",
        mixing=MIXUP_OR_CUTMIX,
        augment="PhotoCrop(size=224, policy=TrivialAugment())",
        image_size=224,
        schedule="Cosine(warmup=1.0)",
        epochs=20,
        batch_size=32,
        lr=0.01,
        label_smoothing=0.1,
        ema=0.99,
    )


def photos_finetune_small() -> Recipe:
    """Own photos, tens a class, or classes that differ in details: ResNet-18, a little CutMix, no smoothing.

    Alpha 0.2 in half of the batches is the authors' advice for little data and light networks; the last fifth of the
    run is without. Smoothed labels on top of it are what made fine-grained birds worse (issue 24 of
    clovaai/CutMix-PyTorch).
    """
    return photos_finetune().but(
        model="torchvision.resnet18(weights='DEFAULT')",
        mixing="Until(mixing=CutMix(alpha=0.2, prob=0.5), until=0.8)",
        augment="PhotoCrop(size=224)",
        epochs=30,
        batch_size=16,
        lr=0.005,
        label_smoothing=0.0,
    )


def photos_finetune_bit() -> Recipe:
    """Own photos, few or many: fine-tune timm's BiT ResNet-50 (trained on ImageNet-21k) at a small learning rate.

    Made for transfer: no batch norm, so that small batches do no harm. The learning rate is that of
    google-research/big_transfer, 0.003 for batches of 512, which fits plain fine-tuning with little else to tune.
    Needs the extra cutmix[timm].
    """
    return photos_finetune().but(
        model="timm.resnetv2_50x1_bit.goog_in21k(pretrained=True)",
        mixing="Until(mixing=RandomChoice(mixings=(MixUp(alpha=0.1), CutMix(alpha=1.0))), until=0.9)",
        lr=0.003,
        weight_decay=0.0,
        label_smoothing=0.0,
    )


def photos_scratch() -> Recipe:
    """Own photos, tens of thousands or more, or unlike ImageNet's: ResNet-50 from scratch, long, all regularizers."""
    return Recipe(
        data="folder:photos",
        model="ResNet(depth=50, stem='imagenet')",
        mixing=MIXUP_OR_CUTMIX,
        augment="PhotoCrop(size=224, policy=TrivialAugment())",
        image_size=224,
        schedule="Cosine(warmup=5.0)",
        epochs=200,
        batch_size=128,
        lr=0.1,
        label_smoothing=0.1,
        ema=0.999,
    )


def cifar10_pyramidnet110() -> Recipe:
    """CIFAR-10, PyramidNet-110 (alpha 64), CutMix and AutoAugment, a cosine of 200 epochs: strong on one GPU."""
    return Recipe(
        data="cifar10",
        model="PyramidNet(depth=110, alpha=64, bottleneck=True)",
        mixing="CutMix(alpha=1.0, prob=0.5)",
        augment="CropFlip(padding=4, policy=AutoAugment(policy='cifar10'))",
        schedule="Cosine(warmup=5.0)",
        epochs=200,
        batch_size=128,
        lr=0.1,
        weight_decay=5e-4,
        ema=0.999,
    )
