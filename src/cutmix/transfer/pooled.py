"""A classifier's pooled feature: what its last layer is given, a vector an image, frozen or fine-tuned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.transfer.backbone import PROBE_SIDE, Frozen, evaluating


class PooledFeature(nn.Module):
    """A classification network without its last linear layer: images (B, 3, H, W) to features (B, ``channels``).

    The network is changed, not copied. Its features are the classifier's own: ``last(feature)`` is what it would have
    answered, ``last`` being the layer that is taken out.

    Args:
        network: any network that ends with a linear layer, of this package, torchvision or timm.
        fine_tune: whether its weights are trained. Where not, no gradient is computed for it.
        norm: ``"frozen"``: batch norms keep their statistics, and scale and shift; ``"trained"``: they learn. Without
            ``fine_tune`` the statistics alone then drift, in a network whose weights stay.
        side: pixels of the images that it is tried out with.

    Raises:
        UsageError: the network cannot be called with such images, or does not end with a linear layer.
    """

    def __init__(self, network: nn.Module, *, fine_tune: bool, norm: str, side: int = PROBE_SIDE) -> None:
        super().__init__()
        name, last = last_linear(network, side)
        parent, _, attribute = name.rpartition(".")
        setattr(network.get_submodule(parent), attribute, nn.Identity())
        self.network, self.fine_tune, self.channels = network, fine_tune, last.in_features
        self.mode = Frozen(norm)
        self.mode.freeze_norms(network)
        if not fine_tune:
            network.requires_grad_(False)
            if norm == "frozen":
                self.mode.freeze([network])

    def extra_repr(self) -> str:
        return f"channels={self.channels}, fine_tune={self.fine_tune}, norm={self.mode.norm!r}"

    def train(self, mode: bool = True) -> PooledFeature:
        super().train(mode)
        self.mode.keep()
        return self

    def forward(self, images_BCHW: Tensor) -> Tensor:
        with torch.set_grad_enabled(self.fine_tune and torch.is_grad_enabled()):
            feature: Tensor = self.network(images_BCHW)
            return feature


def last_linear(network: nn.Module, side: int) -> tuple[str, nn.Linear]:
    """The linear layer whose output is the network's, with its name; found by calling the network once."""
    outputs: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda module, inputs, output, name=name: outputs.update({name: output}))
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name
    ]
    like = next(network.parameters())
    try:
        with torch.no_grad(), evaluating(network):
            answer = network(torch.zeros(1, 3, side, side, device=like.device, dtype=like.dtype))
    except Exception as error:
        raise UsageError(
            f"{type(network).__name__} cannot be called with images of {side}x{side} pixels ({error})"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    found = next((name for name, output in outputs.items() if output is answer), None)
    if found is None:
        raise UsageError(
            f"{type(network).__name__} does not end with a linear layer: a captioner needs a classifier whose last "
            "layer is given one pooled vector an image, such as a ResNet"
        )
    layer = network.get_submodule(found)
    assert isinstance(layer, nn.Linear)
    return found, layer
