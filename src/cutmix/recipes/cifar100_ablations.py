"""The paper's table 8 and figure 3: variants of CutMix, its alpha, and the layer at which it mixes, on CIFAR-100.

All are the CutMix row of table 5 (``cifar100.pyramidnet200_cutmix``) with the mixing replaced; the rows that they are
compared with, Baseline and CutMix, are in that file. The paper does not say how often the variants are applied: ours is
half of the batches, as plain CutMix. Numbers of table 8 are the mean over 3 runs of the best test error; of figure 3
only the values at alpha 1 and at the image, both the CutMix row of table 5, are printed, the others are drawn.
"""

from __future__ import annotations

from cutmix.recipes.cifar100 import pyramidnet200_cutmix
from cutmix.recipes.claim import claims
from cutmix.recipes.recipe import Recipe


@claims("8", row="Center Gaussian CutMix", top1=15.95, top5=3.40, runs=3)
def center_gaussian() -> Recipe:
    """The centre of the box is drawn from a Gaussian around the middle of the image, not from the whole of it.

    The paper does not give the Gaussian's standard deviation; ours is the default of ``CenterGaussianCutMix``.
    """
    return pyramidnet200_cutmix().but(mixing="CenterGaussianCutMix(alpha=1.0, prob=0.5)")


@claims("8", row="Fixed-size CutMix", top1=14.97, top5=3.15, runs=3)
def fixed_size() -> Recipe:
    """The box always is 16x16, half of the image's side; its place is drawn as ever.

    The paper does not say what the labels weigh where the border cuts the box. Ours: the pixels really kept.
    """
    return pyramidnet200_cutmix().but(mixing="FixedSizeCutMix(side=0.5, prob=0.5)")


@claims("8", row="One-hot CutMix", top1=15.89, top5=3.32, runs=3)
def one_hot() -> Recipe:
    """The mixed image has one label: that of the image with the larger part."""
    return pyramidnet200_cutmix().but(mixing="OneHotCutMix(alpha=1.0, prob=0.5)")


@claims("8", row="Scheduled CutMix", top1=14.72, top5=3.17, runs=3)
def scheduled() -> Recipe:
    """The probability of CutMix rises linearly from 0 to 1 over the run.

    The paper does not say whether it rises by the epoch or by the step; the docstring of ``Scheduled`` says how here.
    """
    return pyramidnet200_cutmix().but(mixing="Scheduled(mixing=CutMix(alpha=1.0))")


@claims("8", row="Complete-label CutMix", top1=15.17, top5=3.10, runs=3)
def complete_label() -> Recipe:
    """Both labels weigh one half, however large the box."""
    return pyramidnet200_cutmix().but(mixing="CompleteLabelCutMix(alpha=1.0, prob=0.5)")


@claims("fig3", row="alpha 0.1")
def alpha01() -> Recipe:
    """CutMix with alpha 0.1: nearly all boxes are very large or very small."""
    return pyramidnet200_cutmix().but(mixing="CutMix(alpha=0.1, prob=0.5)")


@claims("fig3", row="alpha 0.25")
def alpha025() -> Recipe:
    """CutMix with alpha 0.25."""
    return pyramidnet200_cutmix().but(mixing="CutMix(alpha=0.25, prob=0.5)")


@claims("fig3", row="alpha 0.5")
def alpha05() -> Recipe:
    """CutMix with alpha 0.5."""
    return pyramidnet200_cutmix().but(mixing="CutMix(alpha=0.5, prob=0.5)")


@claims("fig3", row="alpha 2.0")
def alpha2() -> Recipe:
    """CutMix with alpha 2: shares nearer to one half."""
    return pyramidnet200_cutmix().but(mixing="CutMix(alpha=2.0, prob=0.5)")


@claims("fig3", row="alpha 4.0")
def alpha4() -> Recipe:
    """CutMix with alpha 4: most boxes have about half of the image's area before the border cuts them."""
    return pyramidnet200_cutmix().but(mixing="CutMix(alpha=4.0, prob=0.5)")


@claims("fig3", row="layer 1 (after the first convolution)")
def layer1() -> Recipe:
    """CutMix after the first convolution and its batch norm. Box and share, as in all layers, are of that map: ours."""
    return pyramidnet200_cutmix().but(mixing="Hidden(mixing=CutMix(alpha=1.0, prob=0.5), layers=(1,))")


@claims("fig3", row="layer 2 (after the first stage)")
def layer2() -> Recipe:
    """CutMix after the first stage."""
    return pyramidnet200_cutmix().but(mixing="Hidden(mixing=CutMix(alpha=1.0, prob=0.5), layers=(2,))")


@claims("fig3", row="layer 3 (after the second stage)")
def layer3() -> Recipe:
    """CutMix after the second stage."""
    return pyramidnet200_cutmix().but(mixing="Hidden(mixing=CutMix(alpha=1.0, prob=0.5), layers=(3,))")


@claims("fig3", row="layer 4 (after the third stage)")
def layer4() -> Recipe:
    """CutMix after the third stage, the only layer at which the paper draws no gain over the baseline."""
    return pyramidnet200_cutmix().but(mixing="Hidden(mixing=CutMix(alpha=1.0, prob=0.5), layers=(4,))")
