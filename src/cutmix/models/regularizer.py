"""What a layer regularizer is: noise layers that are put behind modules of a finished network, which keeps its weights.

A noise layer holds no weights and adds no keys to the state dict, so a network with it and one without read the same
checkpoints. It draws from torch's global generators, as dropout does, on the device of its input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError, nearest


class NoiseLayer(nn.Module, ABC):
    """A layer without weights: noise in training, the noise's expectation in evaluation. Never writes into its input.

    ``progress`` (a buffer that is not saved; None where nothing hangs on it) is how far the training is, from 0 to 1.
    It starts as 1: a layer that is never told is as strong as it will ever be.
    """

    progress: Tensor | None

    def __init__(self, *, scheduled: bool = False) -> None:
        super().__init__()
        self.register_buffer("progress", torch.ones(()) if scheduled else None, persistent=False)

    @abstractmethod
    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The input with noise, in its type and memory format."""


class Regularizer(ABC):
    """Layer noise of one kind. Concrete ones are frozen dataclasses: ``repr`` is the call that makes them."""

    @abstractmethod
    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """Pairs of a module of ``model`` and the new layer that its output is to go through.

        Args:
            ends: as for :func:`regularize`.

        Raises:
            UsageError: there is no place for them.
        """


def regularize(model: nn.Module, regularizer: Regularizer, ends: Sequence[str] | None = None) -> nn.Module:
    """Put the layers of ``regularizer`` into a residual network, in place: ``regularize(model, ShakeDrop())``.

    The keys of the state dict stay as they are, and so do the weights. Do it before ``torch.compile`` and before a copy
    is made for a moving average.

    Args:
        model: a ResNet, ResNeXt or PyramidNet of this package, torchvision or timm.
        ends: for any other network: the paths of the modules whose outputs are its residuals, first to last.

    Returns:
        ``model``.

    Raises:
        UsageError: no residual branch is found, or the network holds such layers already.
    """
    if any(isinstance(module, NoiseLayer) for module in model.modules()):
        raise UsageError(
            f"{type(model).__name__} is regularized already; two at once are Together(ShakeDrop(), DropBlock())"
        )
    for module, layer in list(regularizer.layers(model, ends)):
        _put_behind(module, layer)
    return model


def set_progress(model: nn.Module, progress: float) -> None:
    """Tell all noise layers how far the training is: 0 at its first step, below 1 at its last. Nothing is waited for.

    Raises:
        UsageError: ``progress`` is not from 0 to 1.
    """
    check_probability("progress", progress)
    for module in model.modules():
        if isinstance(module, NoiseLayer) and module.progress is not None:
            module.progress.fill_(progress)


def _put_behind(module: nn.Module, layer: NoiseLayer) -> None:
    # A child, so that it follows train(), eval() and to(); a hook that finds it by name, so that it can be copied.
    name = f"noise{sum(isinstance(child, NoiseLayer) for child in module.children()) or ''}"
    module.add_module(name, layer.train(module.training))
    module.register_forward_hook(partial(_through, name))


def _through(name: str, module: nn.Module, args: Any, output: Tensor) -> Tensor:
    changed: Tensor = getattr(module, name)(output)
    return changed


# ------------------------------------------------------------------------------------------- what several of them need


def linear_decay(last: float, count: int) -> list[float]:
    """``last * l / count`` for l = 1 .. count: the first of ``count`` layers is almost spared, the last one is not."""
    return [last * layer / count for layer in range(1, count + 1)]


def is_number(value: object) -> bool:
    """Whether it is an int or a float. True and False are none; NaN is, and fails every comparison."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_probability(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not (is_number(value) and 0 <= value <= 1):
        raise UsageError(f"{name}={value!r} must be a number from 0 to 1.")


def check_choice(name: str, value: str, choices: object) -> None:
    """Refuse a value that is not among the strings of a ``Literal``."""
    known = get_args(choices)
    if not (isinstance(value, str) and value in known):
        raise UsageError(f"{name}={value!r} must be one of {', '.join(known)}.{nearest(str(value), known)}")
