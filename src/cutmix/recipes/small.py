"""Recipes for two cores: they learn something in minutes. The settings are ours, not the paper's."""

from __future__ import annotations

from cutmix.recipes.recipe import Recipe


def digits() -> Recipe:
    """scikit-learn's digits, ResNet-20, CutMix in half of the batches: the demo, a minute on two cores."""
    return Recipe(
        data="digits",
        model="ResNet(depth=20, bottleneck=False)",
        mixing="CutMix(alpha=1.0, prob=0.5)",
        epochs=40,
        batch_size=64,
        lr=0.05,
    )


def cifar10_resnet20() -> Recipe:
    """CIFAR-10, ResNet-20 (basic blocks), no mixing, 30 epochs of batches of 128."""
    return Recipe(data="cifar10", model="ResNet(depth=20, bottleneck=False)", epochs=30, batch_size=128, lr=0.1)


def cifar10_resnet20_cutmix() -> Recipe:
    """CIFAR-10, ResNet-20 (basic blocks), CutMix with the official CIFAR probability of 0.5, otherwise as without."""
    return cifar10_resnet20().but(mixing="CutMix(alpha=1.0, prob=0.5)")


def cifar10_2k() -> Recipe:
    """2,000 images of CIFAR-10 (200 a class), ResNet-20, no mixing: few enough images that regularization matters."""
    return Recipe(
        data="cifar10",
        train_images=2000,
        model="ResNet(depth=20, bottleneck=False)",
        schedule="Cosine(warmup=1.0)",
        epochs=40,
        batch_size=32,
        lr=0.05,
        weight_decay=5e-4,
        test_every=10,
    )


def cifar10_2k_mixup() -> Recipe:
    """The same 2,000 images of CIFAR-10, Mixup in every batch."""
    return cifar10_2k().but(mixing="MixUp(alpha=1.0)")


def cifar10_2k_cutout() -> Recipe:
    """The same 2,000 images of CIFAR-10, Cutout with the paper's hole of 16 pixels in every image."""
    return cifar10_2k().but(mixing="Cutout(size=16)")


def cifar10_2k_cutmix() -> Recipe:
    """The same 2,000 images of CIFAR-10, CutMix with the official CIFAR probability of 0.5."""
    return cifar10_2k().but(mixing="CutMix(alpha=1.0, prob=0.5)")
