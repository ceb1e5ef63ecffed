"""Which of our networks a state dict belongs to, read from its names and shapes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.models.pyramidnet import PyramidNet
from cutmix.models.residual import IMAGENET_BASIC_DEPTHS, IMAGENET_BLOCKS, ResidualNetwork
from cutmix.models.resnet import ResNet
from cutmix.models.resnext import ResNeXt

Shapes = dict[str, tuple[int, ...]]
Guess = tuple[type[ResidualNetwork], dict[str, Any]]


def guess_model(state_dict: Mapping[str, Tensor]) -> str | None:
    """The constructor call of the network of ours that has exactly these weights, or None.

    Arguments that have their default value are left out: ``"PyramidNet(depth=200, alpha=240, num_classes=100)"``.
    """
    guess = guess_network(state_dict)
    if guess is None:
        return None
    network, kwargs = guess
    defaults = {name: parameter.default for name, parameter in inspect.signature(network).parameters.items()}
    shown = ("depth", "alpha", "num_classes")
    parts = [f"{name}={value!r}" for name, value in kwargs.items() if name in shown or value != defaults[name]]
    return f"{network.__name__}({', '.join(parts)})"


def guess_network(state_dict: Mapping[str, Tensor]) -> Guess | None:
    """The class and the arguments behind :func:`guess_model`."""
    shapes = _shapes(state_dict)
    if not {"conv1.weight", "layer1.0.conv1.weight", "fc.weight"} <= shapes.keys():
        return None
    try:
        guess = _pyramidnet(shapes) if "bn_final.weight" in shapes else _resnet(shapes)
    except (KeyError, IndexError, ValueError):  # names like ours, shapes unlike them
        return None
    return guess if guess is not None and _fits(guess, shapes) else None


def _shapes(state_dict: Mapping[str, Tensor]) -> Shapes:
    """Batch counters are left out: very old files have none."""
    return {name: tuple(value.shape) for name, value in state_dict.items() if not name.endswith("num_batches_tracked")}


def _fits(guess: Guess, shapes: Shapes) -> bool:
    network, kwargs = guess
    try:
        with torch.device("meta"):
            return _shapes(network(**kwargs).state_dict()) == shapes
    except UsageError:
        return False


def _blocks(shapes: Shapes) -> tuple[int, ...]:
    """How many blocks each stage has."""
    found = {match.groups() for name in shapes if (match := re.match(r"layer(\d+)\.(\d+)\.", name))}
    stages = [stage for stage, _ in found]
    return tuple(stages.count(stage) for stage in sorted(set(stages)))


def _depth(blocks: tuple[int, ...], bottleneck: bool) -> int | None:
    """The depth asked for to get these stages; None for four stages of a form that has no name."""
    for depth, known in IMAGENET_BLOCKS.items():
        if known == blocks and bottleneck == (depth not in IMAGENET_BASIC_DEPTHS):
            return depth
    if len(set(blocks)) != 1:
        return None
    return len(blocks) * blocks[0] * (3 if bottleneck else 2) + 2


def _common(shapes: Shapes) -> dict[str, Any]:
    stem = "cifar" if shapes["conv1.weight"][-1] == 3 else "imagenet"
    return {"num_classes": shapes["fc.weight"][0], "bottleneck": "layer1.0.conv3.weight" in shapes, "stem": stem}


def _pyramidnet(shapes: Shapes) -> Guess | None:
    common = _common(shapes)
    depth = _depth(_blocks(shapes), common["bottleneck"])
    alpha = shapes["fc.weight"][-1] // (4 if common["bottleneck"] else 1) - shapes["conv1.weight"][0]
    return None if depth is None else (PyramidNet, {"depth": depth, "alpha": alpha, **common})


def _resnet(shapes: Shapes) -> Guess | None:
    common = _common(shapes)
    blocks = _blocks(shapes)
    depth = _depth(blocks, common["bottleneck"])
    if depth is None:
        return None
    if len(blocks) == 3 or not common["bottleneck"]:
        return ResNet, {"depth": depth, **common}
    width, width_per_group, *_ = shapes["layer1.0.conv2.weight"]
    grouping = {"groups": width // width_per_group, "width_per_group": width_per_group}
    if grouping == {"groups": 1, "width_per_group": 64} and common["stem"] == "imagenet":
        return ResNet, {"depth": depth, **common}
    del common["bottleneck"]
    return ResNeXt, {"depth": depth, **common, **grouping}
