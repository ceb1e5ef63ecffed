"""The paper's table 9: weakly supervised localization, on CUB-200-2011 and ImageNet.

Common to all (paper appendix B): trained weights of ImageNet, with a new last layer (also for ImageNet itself) that
learns at ten times the rate of the others; SGD with momentum 0.9 and weight decay 1e-4; photos resized to 256x256, the
aspect ignored, cropped to 224, at random for training and in the middle for tests; last maps of 14x14. CUB: 600 epochs
of batches of 32, a tenth of the learning rate every 150. ImageNet: 20 epochs of batches of 256, a tenth every 6.

What is nowhere said, and chosen here: the trained weights are torchvision's, which saw none of the methods; images are
mirrored, as ADL and wsolevaluation do; Nesterov momentum, as in the official code; VGG-GAP's new convolution learns as
fast as its last layer, as in wsolevaluation; CutMix and Mixup in every batch, alpha 1; Cutout's hole of 112 pixels. Of
which epoch the paper's numbers are is not said either.

A run's localization is measured by ``cutmix evaluate runs/NAME --only localization``: ``localization/top1`` is the
paper's number. Rows with a star the paper copied from other papers.
"""

from __future__ import annotations

from cutmix.recipes.claim import UNSAID, Claim, claims
from cutmix.recipes.recipe import Recipe

MIXUP, CUTOUT, CUTMIX = "MixUp(alpha=1.0)", "Cutout(size=112)", "CutMix(alpha=1.0, prob=1.0)"


@claims("9", row="ResNet-50 + CAM (CUB200-2011)", pick=UNSAID, top1_loc=49.41)
def cub_resnet50() -> Recipe:
    """ResNet-50 on CUB-200-2011, nothing mixed."""
    return Recipe(
        data="cub200",
        model="ResNet(depth=50, stem='imagenet', last_stride=1)",
        init="torchvision.resnet50(weights='IMAGENET1K_V1')",
        new_head=True,
        augment="SquareCrop(resize=256, size=224)",
        schedule="Every(epochs=150)",
        epochs=600,
        batch_size=32,
        lr=0.001,
        head_lr=10.0,
    )


@claims("9", row="ResNet-50 + Mixup (CUB200-2011)", pick=UNSAID, top1_loc=49.30)
def cub_resnet50_mixup() -> Recipe:
    """ResNet-50 on CUB-200-2011 with Mixup."""
    return cub_resnet50().but(mixing=MIXUP)


@claims("9", row="ResNet-50 + Cutout (CUB200-2011)", pick=UNSAID, top1_loc=52.78)
def cub_resnet50_cutout() -> Recipe:
    """ResNet-50 on CUB-200-2011 with Cutout."""
    return cub_resnet50().but(mixing=CUTOUT)


@claims("9", row="ResNet-50 + CutMix (CUB200-2011)", pick=UNSAID, top1_loc=54.81)
def cub_resnet50_cutmix() -> Recipe:
    """ResNet-50 on CUB-200-2011 with CutMix."""
    return cub_resnet50().but(mixing=CUTMIX)


@claims("9", row="VGG-GAP + CAM (CUB200-2011)", pick=UNSAID, top1_loc=37.12)
def cub_vgg_gap() -> Recipe:
    """VGG-GAP on CUB-200-2011, nothing mixed."""
    return cub_resnet50().but(model="VGGGAP()", init="torchvision.vgg16(weights='IMAGENET1K_V1')", lr=0.0001)


@claims("9", row="VGG-GAP + Mixup (CUB200-2011)", pick=UNSAID, top1_loc=41.73)
def cub_vgg_gap_mixup() -> Recipe:
    """VGG-GAP on CUB-200-2011 with Mixup."""
    return cub_vgg_gap().but(mixing=MIXUP)


@claims("9", row="VGG-GAP + Cutout (CUB200-2011)", pick=UNSAID, top1_loc=44.83)
def cub_vgg_gap_cutout() -> Recipe:
    """VGG-GAP on CUB-200-2011 with Cutout."""
    return cub_vgg_gap().but(mixing=CUTOUT)


@claims("9", row="VGG-GAP + CutMix (CUB200-2011)", pick=UNSAID, top1_loc=52.53)
def cub_vgg_gap_cutmix() -> Recipe:
    """VGG-GAP on CUB-200-2011 with CutMix."""
    return cub_vgg_gap().but(mixing=CUTMIX)


@claims("9", row="ResNet-50 + CAM (ImageNet)", pick=UNSAID, top1_loc=46.30)
def imagenet_resnet50() -> Recipe:
    """ResNet-50 on ImageNet, nothing mixed."""
    return cub_resnet50().but(data="imagenet", schedule="Every(epochs=6)", epochs=20, batch_size=256, lr=0.01)


@claims("9", row="ResNet-50 + Mixup (ImageNet)", pick=UNSAID, top1_loc=45.84)
def imagenet_resnet50_mixup() -> Recipe:
    """ResNet-50 on ImageNet with Mixup."""
    return imagenet_resnet50().but(mixing=MIXUP)


@claims("9", row="ResNet-50 + Cutout (ImageNet)", pick=UNSAID, top1_loc=46.69)
def imagenet_resnet50_cutout() -> Recipe:
    """ResNet-50 on ImageNet with Cutout."""
    return imagenet_resnet50().but(mixing=CUTOUT)


@claims("9", row="ResNet-50 + CutMix (ImageNet)", pick=UNSAID, top1_loc=47.25)
def imagenet_resnet50_cutmix() -> Recipe:
    """ResNet-50 on ImageNet with CutMix."""
    return imagenet_resnet50().but(mixing=CUTMIX)


@claims("9", row="VGG-GAP + CAM (ImageNet)", pick=UNSAID, top1_loc=42.73)
def imagenet_vgg_gap() -> Recipe:
    """VGG-GAP on ImageNet, nothing mixed; the paper gives both networks the same learning rate there."""
    return imagenet_resnet50().but(model="VGGGAP()", init="torchvision.vgg16(weights='IMAGENET1K_V1')")


@claims("9", row="VGG-GAP + Mixup (ImageNet)", pick=UNSAID, top1_loc=42.54)
def imagenet_vgg_gap_mixup() -> Recipe:
    """VGG-GAP on ImageNet with Mixup."""
    return imagenet_vgg_gap().but(mixing=MIXUP)


@claims("9", row="VGG-GAP + Cutout (ImageNet)", pick=UNSAID, top1_loc=43.13)
def imagenet_vgg_gap_cutout() -> Recipe:
    """VGG-GAP on ImageNet with Cutout."""
    return imagenet_vgg_gap().but(mixing=CUTOUT)


@claims("9", row="VGG-GAP + CutMix (ImageNet)", pick=UNSAID, top1_loc=43.45)
def imagenet_vgg_gap_cutmix() -> Recipe:
    """VGG-GAP on ImageNet with CutMix."""
    return imagenet_vgg_gap().but(mixing=CUTMIX)


def _other(row: str, **values: float) -> Claim:
    note = "another method, which is not part of this package"
    return Claim(tables=("9",), row=row, values=values, pick=UNSAID, copied=True, note=note)


VGG_ACOL = _other("VGG-GAP + ACoL", cub_top1_loc=45.92, imagenet_top1_loc=45.83)
VGG_ADL = _other("VGG-GAP + ADL", cub_top1_loc=52.36, imagenet_top1_loc=44.92)
GOOGLENET_HAS = _other("GoogLeNet + HaS", imagenet_top1_loc=45.21)
INCEPTION_SPG = _other("InceptionV3 + SPG", cub_top1_loc=46.64, imagenet_top1_loc=48.60)
