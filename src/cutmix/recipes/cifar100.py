"""Rows of the paper's CIFAR-100 tables.

Common to all (paper section 4.1.2 and the official code): 300 epochs, batch 64, learning rate 0.25, a tenth of it after
half of the epochs and again after three quarters, SGD with Nesterov momentum 0.9, weight decay 1e-4 on all parameters,
random crops with 4 pixels of zero padding and flips. The paper's errors are the mean over 3 runs of the best test error
during training; we report the last epoch's beside the best.
"""

from __future__ import annotations

from cutmix.recipes.recipe import Recipe


def pyramidnet200() -> Recipe:
    """Table 5, baseline: PyramidNet-200 (alpha 240). The paper: top-1 error 16.45, top-5 3.69 (best of each run)."""
    return Recipe(
        data="cifar100",
        model="PyramidNet(depth=200, alpha=240, bottleneck=True)",
        epochs=300,
        batch_size=64,
        lr=0.25,
    )


def pyramidnet200_cutmix() -> Recipe:
    """Table 5, CutMix. The paper: 14.47 / 2.97 (mean of the best of 3 runs; the authors' last epochs: 15.07).

    The probability 0.5 is the official command's; the paper does not mention it.
    """
    return pyramidnet200().but(mixing="CutMix(alpha=1.0, prob=0.5)")
