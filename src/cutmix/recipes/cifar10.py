"""The paper's table 7: PyramidNet-200 on CIFAR-10.

"The same setting" as on CIFAR-100 (file ``cifar100``), where the docstrings say which choices are ours. The paper gives
the top-1 error alone, the mean over 3 runs of the best test error. The official probability of CutMix on CIFAR, one
half, is an author's word (issue 30 of clovaai/CutMix-PyTorch). Neither the kind of GPU nor the hours are published.
"""

from __future__ import annotations

from cutmix.recipes import cifar100
from cutmix.recipes.claim import claims
from cutmix.recipes.recipe import Recipe


@claims("7", row="Baseline", top1=3.85, runs=3)
def pyramidnet200() -> Recipe:
    """PyramidNet-200 (alpha 240) on CIFAR-10, nothing mixed."""
    return cifar100.pyramidnet200().but(data="cifar10")


@claims("7", row="Cutout", top1=3.10, runs=3)
def pyramidnet200_cutout() -> Recipe:
    """Cutout with holes of 16x16 pixels, cut off at the borders."""
    return cifar100.pyramidnet200_cutout().but(data="cifar10")


@claims("7", row="Mixup (alpha 1.0)", top1=3.09, runs=3)
def pyramidnet200_mixup() -> Recipe:
    """Mixup with alpha 1, in every batch."""
    return cifar100.pyramidnet200_mixup().but(data="cifar10")


@claims("7", row="Manifold Mixup (alpha 1.0)", top1=3.15, runs=3)
def pyramidnet200_manifold_mixup() -> Recipe:
    """Manifold Mixup with alpha 1, at the image or after the first or second stage (our choice of layers)."""
    return cifar100.pyramidnet200_manifold_mixup().but(data="cifar10")


@claims("7", row="CutMix", top1=2.88, runs=3)
def pyramidnet200_cutmix() -> Recipe:
    """CutMix with alpha 1, in half of the batches."""
    return cifar100.pyramidnet200_cutmix().but(data="cifar10")
