"""Grad-CAM and its kin, for networks that have no class activation maps of their own: by the library pytorch-grad-cam.

Needs the extra ``cutmix[cam]``. They cost a backward pass or, without gradients, hundreds of forward passes an image.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError, nearest

METHODS = ("gradcam", "gradcamplusplus", "hirescam", "layercam", "xgradcam", "eigencam", "scorecam")


def library_maps(model: nn.Module, images_BCHW: Tensor, classes_B: Tensor | None, method: str) -> tuple[Tensor, Tensor]:
    """Maps (B, H, W) in [0, 1] at the size of the images, and logits (B, K).

    The maps are those of the last layer whose output has more than one pixel. Parameters keep no gradients.

    Args:
        classes_B: whose maps; None for the class that the network thinks likeliest.
        method: one of :data:`METHODS`.

    Raises:
        UsageError: an unknown method, the extra is not installed, or the network has no such layer.
    """
    if method not in METHODS:
        raise UsageError(f"unknown method {method!r}.{nearest(method, METHODS)} Known: cam, {', '.join(METHODS)}.")
    library = _library()
    layer = last_spatial_layer(model, images_BCHW[:1])
    makers = {name.casefold(): maker for name, maker in vars(library).items() if isinstance(maker, type)}
    target = library.utils.model_targets.ClassifierOutputTarget
    with torch.enable_grad(), makers[method](model=model, target_layers=[layer]) as cam:
        # A network whose weights are frozen has gradients only if its input has.
        targets = None if classes_B is None else [target(label) for label in classes_B.tolist()]
        maps_BHW = cam(images_BCHW.detach().requires_grad_(), targets)
        logits_BK = cam.outputs.detach()
    model.zero_grad(set_to_none=True)
    return torch.from_numpy(maps_BHW).float(), logits_BK


def last_spatial_layer(model: nn.Module, image_1CHW: Tensor) -> nn.Module:
    """The module that ends last among those whose output is (1, C, H, W) with more than one pixel."""
    seen: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            seen.append(module)

    hooks = [module.register_forward_hook(note) for module in model.modules() if module is not model]
    try:
        with torch.no_grad():
            model(image_1CHW)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise UsageError(f"{type(model).__name__} has no layer whose output is an image of more than one pixel.")
    return seen[-1]


def _library() -> ModuleType:
    try:
        import pytorch_grad_cam
        import pytorch_grad_cam.utils.model_targets
    except ImportError as error:
        raise UsageError("Grad-CAM and its kin need the library grad-cam: pip install 'cutmix[cam]'.") from error
    return pytorch_grad_cam
