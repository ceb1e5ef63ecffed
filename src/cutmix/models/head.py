"""The layers of a network that are new where it goes on from trained weights: they start anew, and may learn faster."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.models.checkpoints import Weights

__all__ = ["new_layers", "split_parameters", "with_new_layers"]


def new_layers(model: nn.Module) -> tuple[str, ...]:
    """Names of the new modules: those that the network's class lists as ``new_layers``, else its last ``nn.Linear``.

    Raises:
        UsageError: it lists none and has no linear layer.
    """
    listed: tuple[str, ...] = getattr(model, "new_layers", ())
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not listed and not linear:
        raise UsageError(f"{type(model).__name__} has no linear layer, so none of its layers counts as its new one.")
    return listed or (linear[-1],)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trainable parameters of the layers that are not new, and of those that are."""
    fresh = new_layers(model)
    old: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (new if _within(name, fresh) else old).append(parameter)
    return old, new


def with_new_layers(weights: Weights, model: nn.Module) -> Weights:
    """The weights with the new layers as ``model`` has them: for ``load_weights``.

    What the file has for new layers, or for layers that ``model`` has not (its own old head), is left out.
    """
    fresh = new_layers(model)
    wanted: Mapping[str, Tensor] = model.state_dict()
    kept = {name: tensor for name, tensor in weights.state_dict.items() if name in wanted and not _within(name, fresh)}
    own = {name: tensor for name, tensor in wanted.items() if _within(name, fresh)}
    return Weights({**kept, **own}, weights.info)


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)
