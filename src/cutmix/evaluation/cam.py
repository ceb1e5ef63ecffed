"""Class activation maps (Zhou et al. 2016): where in an image a network sees a class, from one forward pass.

For a network whose logits are a linear layer over the spatial mean of its last feature maps, the map of a class is the
sum of those maps, weighted by the class's row of the linear layer. Its spatial mean and the bias add up to the logit:
that is the definition, and what is checked here of every network before its map is believed.

Shapes: B images, C channels of the last feature maps, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.evaluation.subject import likeliest, require_likeliest

__all__ = ["class_activation_maps", "upsample_cams"]


@torch.no_grad()
def class_activation_maps(
    model: nn.Module, images_BCHW: Tensor, classes_B: Tensor | Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """The activation map of one class an image, and the logits.

    The model runs once, in evaluation mode, where images and model are; it is left as it was found.

    Args:
        model: any network that ends in global average pooling and one ``nn.Linear``: all of ``cutmix.models``, and
            those of torchvision and timm for which that holds. Dropout between the two does no harm.
        images_BCHW: normalised images.
        classes_B: whose map to draw, an index an image; None for the class that the network thinks most likely.

    Returns:
        Maps (B, H, W) in float32, at the size of the last feature maps and without the bias, and logits (B, K).

    Raises:
        UsageError: the network does not end that way, so that it has no class activation maps (VGG, ViT), its logits
            are not finite, or ``classes_B`` does not name one of its classes for each image.
    """
    with _evaluating(model), _watching(model) as seen:
        logits_BK = model(images_BCHW)
    head, maps_BCHW = seen.head_and_maps(model, logits_BK)
    if classes_B is None:
        chosen_B = logits_BK.argmax(1)
    else:
        chosen_B = _checked_classes(classes_B, logits_BK)
    cams_BHW = torch.einsum("bc,bchw->bhw", head.weight[chosen_B].float(), maps_BCHW.float())
    return cams_BHW, logits_BK


def upsample_cams(cams_BHW: Tensor, size: int | tuple[int, int], mode: str = "bilinear") -> Tensor:
    """The maps at ``size`` (height, width, or one number for both), each then stretched to span 0 to 1.

    A map that is the same everywhere becomes 0. ``mode`` is one of ``torch.nn.functional.interpolate``'s for images.
    The paper leaves both steps open (its section 4.2, appendix B); ADL and wsolevaluation do the same.
    """
    corners = False if mode in ("bilinear", "bicubic") else None
    large_BHW = F.interpolate(cams_BHW[:, None].float(), size=size, mode=mode, align_corners=corners)[:, 0]
    above_BHW = large_BHW - large_BHW.amin((1, 2), keepdim=True)
    span_B11 = above_BHW.amax((1, 2), keepdim=True)
    return torch.where(span_B11 > 0, above_BHW / span_B11, torch.zeros_like(above_BHW))


@dataclass
class _Seen:
    """What the hooks noted in one forward pass."""

    head: nn.Linear | None = None  # the linear layer that ran last
    pooled: Tensor | None = None  # its input
    maps: list[Tensor] = field(
        default_factory=list
    )  # every 4-D output with as many channels as some linear layer reads

    def head_and_maps(self, model: nn.Module, logits_BK: Any) -> tuple[nn.Linear, Tensor]:
        """The linear layer and the feature maps that account for the logits, to rounding."""
        name = type(model).__name__
        if self.head is None or self.pooled is None or self.pooled.ndim != 2:
            raise _no_maps(name, "no linear layer over one vector an image was run")
        if isinstance(logits_BK, Tensor) and logits_BK.ndim == 2:
            require_likeliest(likeliest(logits_BK))
        if not isinstance(logits_BK, Tensor) or not _same(self.head(self.pooled), logits_BK):
            raise _no_maps(name, "its output is not that of its last linear layer")
        pooled_BC = self.pooled
        matching = [maps for maps in self.maps if _same(maps.mean((2, 3)), pooled_BC)]
        if not matching:
            raise _no_maps(name, "its last linear layer does not read the spatial mean of any feature maps")
        largest = max(reversed(matching), key=lambda maps: maps.shape[2] * maps.shape[3])
        if largest.shape[2:] == (1, 1):  # also what a network shows that goes on after pooling, as ConvNeXt does
            raise _no_maps(name, "what its last linear layer reads has one pixel, for images of this size")
        return self.head, largest


def _no_maps(name: str, reason: str) -> UsageError:
    return UsageError(
        f"{name} has no class activation maps: {reason}. They exist for networks that end in global average pooling "
        "and one nn.Linear, such as ResNet, DenseNet or EfficientNet."
    )


def _same(one: Tensor, other: Tensor) -> bool:
    """Equal up to the rounding of the coarser of the two types."""
    if one.shape != other.shape:
        return False
    coarser = max(torch.finfo(one.dtype).eps, torch.finfo(other.dtype).eps)
    difference = (one.float() - other.float()).abs().amax()
    return bool(difference <= max(1e-4, 4 * coarser) * other.float().abs().amax())


def _checked_classes(classes_B: Tensor | Sequence[int], logits_BK: Tensor) -> Tensor:
    chosen = torch.as_tensor(classes_B)
    images, classes = logits_BK.shape
    if chosen.shape != (images,) or chosen.is_floating_point() or not 0 <= chosen.amin() <= chosen.amax() < classes:
        raise UsageError(f"classes_B must be {images} integers from 0 to {classes - 1}, one an image; got {classes_B}")
    return chosen.to(logits_BK.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _watching(model: nn.Module) -> Iterator[_Seen]:
    """Hooks that note what :class:`_Seen` holds; removed whatever happens."""
    seen = _Seen()
    widths = {module.in_features for module in model.modules() if isinstance(module, nn.Linear)}

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(module, nn.Linear):
            seen.head, seen.pooled = module, inputs[0]
        elif isinstance(output, Tensor) and output.ndim == 4 and output.shape[1] in widths:
            seen.maps.append(output)  # no copy: where the network goes on in place (DenseNet), that shows here too

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
