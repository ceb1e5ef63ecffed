"""The residual branches of a network, first to last: ours, torchvision's and timm's, or those that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cutmix.errors import UsageError, nearest

# Known by name, so that neither library is imported for it. Classes derived from these count as well.
BLOCKS = (
    "cutmix.models.residual.ResidualBlock",
    "torchvision.models.resnet.BasicBlock",
    "torchvision.models.resnet.Bottleneck",
    "timm.models.resnet.BasicBlock",
    "timm.models.resnet.Bottleneck",
)
# What timm's blocks have behind the last batch norm, the last first.
BEHIND = ("drop_path", "se")


@dataclass(frozen=True)
class Branch:
    """One residual branch. ``stage`` counts the containers that hold the blocks, from 1."""

    block: nn.Module
    """The module that adds the branch to its shortcut."""
    end: nn.Module
    """The module whose output is the residual, as it is added."""
    convolutions: tuple[nn.Module, ...]
    """The batch norm after each convolution of the branch; of a branch that was named, its end alone."""
    stage: int


def residual_branches(model: nn.Module, ends: Sequence[str] | None = None) -> list[Branch]:
    """The residual branches of ``model`` in the order in which its modules are registered, which is that of depth.

    Args:
        ends: for any other network: the paths of the modules whose outputs are the residuals, first to last, e.g.
            ``["layer1.0.bn2", "layer1.1.bn2"]``. A path's first parent is taken for the block, the next for the stage.

    Raises:
        UsageError: no residual block is known, or a path that there is not.
    """
    if ends is not None:
        return _named(model, ends)
    found = [(path, module) for path, module in model.named_modules() if _is_block(module)]
    if not found:
        raise UsageError(
            f"{type(model).__name__} has no residual blocks that are known: the ResNets, ResNeXts and PyramidNets of "
            "this package, torchvision's and timm's ResNets and ResNeXts are accepted. Of another network name the "
            "modules whose outputs are the residuals: regularize(model, ..., ends=['layer1.0.bn2', ...])"
        )
    stages = _numbers([_parent(path) for path, _ in found])
    return [Branch(block, _end(block), _after_convolutions(block), stage) for (_, block), stage in zip(found, stages)]


def _is_block(module: nn.Module) -> bool:
    return any(f"{cls.__module__}.{cls.__qualname__}" in BLOCKS for cls in type(module).__mro__)


def _end(block: nn.Module) -> nn.Module:
    behind = [module for name in BEHIND if (module := getattr(block, name, None)) is not None]
    return behind[0] if behind else _after_convolutions(block)[-1]


def _after_convolutions(block: nn.Module) -> tuple[nn.Module, ...]:
    """A PyramidNet block begins with a batch norm, which follows no convolution of its own."""
    found = []
    convolved = False
    for name, child in block.named_children():
        if name.startswith("conv"):
            convolved = True
        elif name.startswith("bn") and convolved:
            found.append(child)
            convolved = False
    return tuple(found)


def _named(model: nn.Module, ends: Sequence[str]) -> list[Branch]:
    modules = dict(model.named_modules())
    for path in ends:
        if path not in modules:
            raise UsageError(f"{type(model).__name__} has no module {path!r}.{nearest(path, modules)}")
    if not ends or len(set(ends)) < len(ends):
        raise UsageError(f"ends must name each residual once, and one at least; got {list(ends)}")
    stages = _numbers([_parent(_parent(path)) for path in ends])
    return [Branch(modules[_parent(path)], modules[path], (modules[path],), stage) for path, stage in zip(ends, stages)]


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _numbers(names: Sequence[str]) -> list[int]:
    """Each name's number, counted from 1 in the order in which they first appear."""
    order = list(dict.fromkeys(names))
    return [order.index(name) + 1 for name in names]
