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


def cifar10_2k_label_smoothing() -> Recipe:
    """The same 2,000 images of CIFAR-10, label smoothing of 0.1."""
    return cifar10_2k().but(label_smoothing=0.1)


def cifar10_2k_stochastic_depth() -> Recipe:
    """The same 2,000 images of CIFAR-10, stochastic depth up to a drop rate of 0.25 at the last block."""
    return cifar10_2k().but(regularizer="StochasticDepth(last=0.25)")


def cifar10_2k_dropblock() -> Recipe:
    """The same 2,000 images of CIFAR-10, DropBlock with the paper's blocks of 4 and keep probability of 0.9."""
    return cifar10_2k().but(regularizer="DropBlock(block_size=4, keep_prob=0.9)")


def cifar10_2k_pyramidnet() -> Recipe:
    """The same 2,000 images of CIFAR-10, PyramidNet-38 (alpha 48, bottleneck blocks), no mixing."""
    return cifar10_2k().but(model="PyramidNet(depth=38, alpha=48, bottleneck=True)")


def cifar10_2k_pyramidnet_cutmix() -> Recipe:
    """The same 2,000 images of CIFAR-10, PyramidNet-38, CutMix in half of the batches."""
    return cifar10_2k_pyramidnet().but(mixing="CutMix(alpha=1.0, prob=0.5)")


def cifar10_2k_pyramidnet_shakedrop() -> Recipe:
    """The same 2,000 images of CIFAR-10, PyramidNet-38, ShakeDrop up to a drop probability of 0.5 at the last block."""
    return cifar10_2k_pyramidnet().but(regularizer="ShakeDrop(last=0.5)")


def cifar10_2k_pyramidnet_cutmix_shakedrop() -> Recipe:
    """The same 2,000 images of CIFAR-10, PyramidNet-38, CutMix in half of the batches and ShakeDrop."""
    return cifar10_2k_pyramidnet_cutmix().but(regularizer="ShakeDrop(last=0.5)")


def cifar100_5k() -> Recipe:
    """5,000 images of CIFAR-100 (50 a class), ResNet-20, no mixing; other settings as on CIFAR-10."""
    return cifar10_2k().but(data="cifar100", train_images=5000)


def cifar100_5k_mixup() -> Recipe:
    """The same 5,000 images of CIFAR-100, Mixup in every batch."""
    return cifar100_5k().but(mixing="MixUp(alpha=1.0)")


def cifar100_5k_cutout() -> Recipe:
    """The same 5,000 images of CIFAR-100, Cutout with the paper's hole of 16 pixels in every image."""
    return cifar100_5k().but(mixing="Cutout(size=16)")


def cifar100_5k_cutmix() -> Recipe:
    """The same 5,000 images of CIFAR-100, CutMix with the official CIFAR probability of 0.5."""
    return cifar100_5k().but(mixing="CutMix(alpha=1.0, prob=0.5)")


def fashion_mnist_2k() -> Recipe:
    """2,000 images of Fashion-MNIST (200 a class), ResNet-20, no mixing; settings as on CIFAR-10."""
    return cifar10_2k().but(data="fashion_mnist")


def fashion_mnist_2k_mixup() -> Recipe:
    """The same 2,000 images of Fashion-MNIST, Mixup in every batch."""
    return fashion_mnist_2k().but(mixing="MixUp(alpha=1.0)")


def fashion_mnist_2k_cutout() -> Recipe:
    """The same 2,000 images of Fashion-MNIST, Cutout with a hole of 14 pixels, half the side, in every image."""
    return fashion_mnist_2k().but(mixing="Cutout(size=14)")


def fashion_mnist_2k_cutmix() -> Recipe:
    """The same 2,000 images of Fashion-MNIST, CutMix in half of the batches."""
    return fashion_mnist_2k().but(mixing="CutMix(alpha=1.0, prob=0.5)")


def digits_plain() -> Recipe:
    """scikit-learn's digits, ResNet-20, no mixing."""
    return digits().but(mixing="NoMixing()")


def digits_mixup() -> Recipe:
    """scikit-learn's digits, ResNet-20, Mixup in every batch."""
    return digits().but(mixing="MixUp(alpha=1.0)")


def digits_cutout() -> Recipe:
    """scikit-learn's digits, ResNet-20, Cutout with a hole of 4 pixels, half the side, in every image."""
    return digits().but(mixing="Cutout(size=4)")


def tiny_imagenet20() -> Recipe:
    """Tiny ImageNet or some of its classes, ResNet-20, CutMix in half of the batches: enough to see where it looks.

    Meant for 20 classes with 150 images each (``--data-root`` names the folder that has ``wnids.txt``).
    """
    return Recipe(
        data="tiny_imagenet",
        model="ResNet(depth=20, bottleneck=False)",
        mixing="CutMix(alpha=1.0, prob=0.5)",
        schedule="Cosine(warmup=1.0)",
        epochs=20,
        batch_size=32,
        lr=0.05,
    )
