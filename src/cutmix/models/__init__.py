"""Networks: the paper's, under the official weights' names; torchvision's and timm's; reading and writing weights."""

from __future__ import annotations

from cutmix.models.checkpoints import (
    Weights,
    guess_model,
    load_weights,
    official_checkpoint,
    read_weights,
    write_safetensors,
)
from cutmix.models.library import list_timm, list_torchvision, timm_model, torchvision_model
from cutmix.models.pyramidnet import PyramidNet
from cutmix.models.resnet import ResNet
from cutmix.models.resnext import ResNeXt
from cutmix.models.vgg_gap import VGGGAP

__all__ = [
    "VGGGAP",
    "PyramidNet",
    "ResNeXt",
    "ResNet",
    "Weights",
    "guess_model",
    "list_timm",
    "list_torchvision",
    "load_weights",
    "official_checkpoint",
    "read_weights",
    "timm_model",
    "torchvision_model",
    "write_safetensors",
]
