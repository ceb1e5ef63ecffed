"""Networks: the paper's, under the official weights' names; torchvision's and timm's; reading and writing weights.

A layer regularizer (one file each) is put into a network of any of them by ``regularize`` (``regularizer.py``).
"""

from __future__ import annotations

from cutmix.models.checkpoints import (
    Weights,
    guess_model,
    load_weights,
    official_checkpoint,
    read_weights,
    write_safetensors,
)
from cutmix.models.dropblock import DropBlock
from cutmix.models.library import list_timm, list_torchvision, timm_model, torchvision_model
from cutmix.models.no_regularizer import NoRegularizer
from cutmix.models.pyramidnet import PyramidNet
from cutmix.models.regularizer import Regularizer, regularize, set_progress
from cutmix.models.resnet import ResNet
from cutmix.models.resnext import ResNeXt
from cutmix.models.shakedrop import ShakeDrop
from cutmix.models.stochastic_depth import StochasticDepth
from cutmix.models.together import Together
from cutmix.models.vgg_gap import VGGGAP

__all__ = [
    "VGGGAP",
    "DropBlock",
    "NoRegularizer",
    "PyramidNet",
    "Regularizer",
    "ResNeXt",
    "ResNet",
    "ShakeDrop",
    "StochasticDepth",
    "Together",
    "Weights",
    "guess_model",
    "list_timm",
    "list_torchvision",
    "load_weights",
    "official_checkpoint",
    "read_weights",
    "regularize",
    "set_progress",
    "timm_model",
    "torchvision_model",
    "write_safetensors",
]
