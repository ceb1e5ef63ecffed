"""The paper's tables 3 and 4: regularizers on ImageNet, with ResNet-50 and with deeper networks.

Common to all (paper section 4.1.1 and the official code): 300 epochs, batch 256, learning rate 0.1, a tenth of it every
75 epochs, SGD with Nesterov momentum 0.9, weight decay 1e-4 on all parameters, float32. The paper gives no momentum or
weight decay: they are the official code's. The augmentation is the one of the paper's text (random crop to 224, flip);
the official code adds an undocumented colour jitter and lighting noise, which its command line (``train.py``) keeps:
``PhotoCrop(jitter=0.4, lighting=0.1)``. Errors are on the 50,000 validation images, the best during training. The
official command is for 4 GPUs, whose batch norms saw 64 images each; neither their kind nor the hours are published.

Rows with a star the paper copied from other papers and never trained. Their recipes are this file's settings with the
star's network or method, not those of its paper: they are not expected to give that paper's number.
"""

from __future__ import annotations

from cutmix.recipes.claim import Claim, claims
from cutmix.recipes.recipe import Recipe


@claims("3", row="ResNet-50 (Baseline)", top1=23.68, top5=7.05)
def resnet50() -> Recipe:
    """ResNet-50 on ImageNet, nothing mixed."""
    return Recipe(
        data="imagenet",
        model="ResNet(depth=50, stem='imagenet')",
        schedule="Every(epochs=75)",
        epochs=300,
        batch_size=256,
        lr=0.1,
    )


@claims("3", row="ResNet-50 + Cutout", top1=22.93, top5=6.66)
def resnet50_cutout() -> Recipe:
    """Cutout with holes of 112x112 pixels, cut off at the borders.

    Ours, from the reference code of Cutout: a hole in every image, of the mean colour.
    """
    return resnet50().but(mixing="Cutout(size=112)")


@claims("3", row="ResNet-50 + StochDepth", top1=22.46, top5=6.27)
def resnet50_stochastic_depth() -> Recipe:
    """Stochastic depth with a drop rate of 0.25.

    The paper does not say which blocks have that rate. Ours: it rises linearly to 0.25 at the last block, and a test
    scales each block by its survival, as the method's own paper does.
    """
    return resnet50().but(regularizer="StochasticDepth(last=0.25)")


@claims("3", row="ResNet-50 + Mixup", top1=22.58, top5=6.40)
def resnet50_mixup() -> Recipe:
    """Mixup with alpha 1, in every batch; the authors tried 0.5 as well."""
    return resnet50().but(mixing="MixUp(alpha=1.0)")


@claims("3", row="ResNet-50 + Manifold Mixup", top1=22.50, top5=6.21)
def resnet50_manifold_mixup() -> Recipe:
    """Manifold Mixup with alpha 1, at a layer drawn for each batch.

    The paper does not say among which layers. Ours are those of the method's own code: the image (0), after the first
    (2) and after the second stage (3).
    """
    return resnet50().but(mixing="ManifoldMixup(alpha=1.0, layers=(0, 2, 3))")


@claims("3", row="ResNet-50 + DropBlock", top1=21.87, top5=5.98, copied=True)
def resnet50_dropblock() -> Recipe:
    """DropBlock with blocks of 7 and a keep probability of 0.9, for the 270 epochs of its paper.

    Learning rate, batch and schedule are this file's, with the decays at the same quarters of the run: ours.
    """
    return resnet50().but(
        regularizer="DropBlock(block_size=7, keep_prob=0.9)", epochs=270, schedule="Steps(at=(0.25, 0.5, 0.75), by=0.1)"
    )


@claims("3", row="ResNet-50 + Feature CutMix", top1=21.80, top5=6.06)
def resnet50_feature_cutmix() -> Recipe:
    """CutMix of the features at a layer drawn for each batch.

    The paper does not say among which layers, nor how the share is counted there. Ours: after the first convolution (1)
    and after each of the first three stages (2, 3, 4), the share counted in cells of that map. The paper's text has
    21.78.
    """
    return resnet50().but(mixing="FeatureCutMix(alpha=1.0, layers=(1, 2, 3, 4))")


@claims("3", row="ResNet-50 + CutMix", top1=21.40, top5=5.92)
def resnet50_cutmix() -> Recipe:
    """CutMix with alpha 1, in every batch.

    The authors' three runs: best 21.19, 21.61, 21.40, last epoch 21.20, 21.61, 21.40 (issue 7 of
    clovaai/CutMix-PyTorch). Five runs of the official code by another: best 21.59, last epoch 21.72 on average
    (ildoonet/cutmix).
    """
    return resnet50().but(mixing="CutMix(alpha=1.0, prob=1.0)")


@claims("3", row="ResNet-50 + SE", top1=22.12, top5=5.99, copied=True)
def resnet50_se() -> Recipe:
    """Squeeze-and-excitation on ResNet-50, timm's, initialised as timm does; needs the extra cutmix[timm]."""
    return resnet50().but(model="timm.seresnet50()")


@claims("3", row="ResNet-101 + SE", top1=20.94, top5=5.50, copied=True)
def resnet101_se() -> Recipe:
    """Squeeze-and-excitation on ResNet-101, timm's, initialised as timm does; needs the extra cutmix[timm]."""
    return resnet50().but(model="timm.seresnet101()")


RESNET50_GE = Claim(
    tables=("3",),
    row="ResNet-50 + GE",
    values={"top1": 21.88, "top5": 5.80},
    copied=True,
    note="no network of ours, torchvision or timm has gather-excite with its parameters",
)
RESNET101_GE = Claim(
    tables=("3",),
    row="ResNet-101 + GE",
    values={"top1": 20.74, "top5": 5.29},
    copied=True,
    note="there is none for ResNet-50 + GE either",
)


@claims("3", row="ResNet-152", top1=21.69, top5=5.94, copied=True)
def resnet152() -> Recipe:
    """ResNet-152, nothing mixed."""
    return resnet50().but(model="ResNet(depth=152, stem='imagenet')")


@claims("readme", row="ResNet-50 + AutoAugment", top1=22.40, copied=True)
def resnet50_autoaugment() -> Recipe:
    """AutoAugment with its ImageNet policy."""
    return resnet50().but(augment="PhotoCrop(size=224, policy=AutoAugment(policy='imagenet'))")


@claims("readme", row="ResNet-152 + CutMix", top1=19.20)
def resnet152_cutmix() -> Recipe:
    """ResNet-152 with CutMix in every batch."""
    return resnet152().but(mixing="CutMix(alpha=1.0, prob=1.0)")


@claims("4", row="ResNet-101 (Baseline)", top1=21.87, top5=6.29)
def resnet101() -> Recipe:
    """ResNet-101 on ImageNet, nothing mixed."""
    return resnet50().but(model="ResNet(depth=101, stem='imagenet')")


@claims("4", row="ResNet-101 + Cutout", top1=20.72, top5=5.51)
def resnet101_cutout() -> Recipe:
    """ResNet-101 with Cutout (112x112)."""
    return resnet101().but(mixing="Cutout(size=112)")


@claims("4", row="ResNet-101 + Mixup", top1=20.52, top5=5.28)
def resnet101_mixup() -> Recipe:
    """ResNet-101 with Mixup (alpha 1) in every batch."""
    return resnet101().but(mixing="MixUp(alpha=1.0)")


@claims("4", row="ResNet-101 + CutMix", top1=20.17, top5=5.24)
def resnet101_cutmix() -> Recipe:
    """ResNet-101 with CutMix in every batch.

    The gain over the baseline is 1.70 in the paper's table and conclusion, 1.60 in its section 4.1.1.
    """
    return resnet101().but(mixing="CutMix(alpha=1.0, prob=1.0)")


@claims("4", row="ResNeXt-101 (Baseline)", top1=21.18, top5=5.57)
def resnext101() -> Recipe:
    """ResNeXt-101 (32x4d) on ImageNet, nothing mixed.

    The official code has no ResNeXt: ours is built as torchvision's.
    """
    return resnet50().but(model="ResNeXt(depth=101, groups=32, width_per_group=4, stem='imagenet')")


@claims("4", row="ResNeXt-101 + CutMix", top1=19.47, top5=5.03)
def resnext101_cutmix() -> Recipe:
    """ResNeXt-101 (32x4d) with CutMix in every batch."""
    return resnext101().but(mixing="CutMix(alpha=1.0, prob=1.0)")
