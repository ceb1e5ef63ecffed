"""Rows of the paper's ImageNet tables.

Common to all (paper section 4.1.1 and the official code): 300 epochs, batch 256, learning rate 0.1, a tenth of it every
75 epochs, SGD with Nesterov momentum 0.9, weight decay 1e-4 on all parameters. The augmentation is the one of the
paper's text (random crop to 224, flip); the official code adds an undocumented colour jitter and lighting noise, which
its command line (``train.py``) keeps: ``PhotoCrop(jitter=0.4, lighting=0.1)``. The paper's errors are the best during
training.
"""

from __future__ import annotations

from cutmix.recipes.recipe import Recipe


def resnet50() -> Recipe:
    """Table 3, baseline. The paper: top-1 error 23.68, top-5 7.05."""
    return Recipe(
        data="imagenet",
        model="ResNet(depth=50, stem='imagenet')",
        schedule="Every(epochs=75)",
        epochs=300,
        batch_size=256,
        lr=0.1,
    )


def resnet50_cutmix() -> Recipe:
    """Table 3, CutMix. The paper: 21.40 / 5.92 (the authors' three runs: best 21.40, last epoch 21.40 on average)."""
    return resnet50().but(mixing="CutMix(alpha=1.0, prob=1.0)")
