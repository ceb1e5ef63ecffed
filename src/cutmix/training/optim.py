"""The optimizer of the paper (SGD with Nesterov momentum) and the moving average of the weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cutmix.training.settings import Settings


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.SGD:
    """SGD over all trainable parameters, with weight decay on every one of them, as the official code has it."""
    return torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def make_ema(model: nn.Module, decay: float) -> AveragedModel | None:
    """An exponential moving average of weights and buffers, or None where ``decay`` is 0."""
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
