"""The optimizer of the paper (SGD with Nesterov momentum) and the moving average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cutmix.models.head import split_parameters
from cutmix.training.settings import Settings

SCALE = "lr_scale"
"""The key of a group of parameters under which its multiple of the learning rate is kept, also in checkpoints."""


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.SGD:
    """SGD over all trainable parameters, with weight decay on every one of them, as the official code has it.

    With a ``head_lr`` other than 1 the network's new layers (``models.head``) are a group of their own.
    """
    groups: list[dict[str, Any]] = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if settings.head_lr != 1:
        old, new = split_parameters(model)
        groups = [{"params": old, SCALE: 1.0}, {"params": new, SCALE: settings.head_lr}]
    return torch.optim.SGD(
        groups,
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group: ``lr`` times what the group was made with."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get(SCALE, 1.0)


def make_ema(model: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of weights and buffers, or None where ``decay`` is 0."""
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
