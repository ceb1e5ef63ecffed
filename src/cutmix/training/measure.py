"""Errors of a classifier while it trains and on a test set.

Legend: B = images of a batch, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cutmix.data import Batch
from cutmix.mixing import MixedTarget

if TYPE_CHECKING:
    from accelerate import Accelerator


def top_hits(logits_BK: Tensor, labels_B: Tensor) -> Tensor:
    """Whether the label is the first guess, and whether it is among the first five; (B, 2) of 0 and 1.

    With fewer than five classes the second column counts all of them.
    """
    guesses = logits_BK.topk(min(5, logits_BK.shape[1]), dim=1).indices == labels_B[:, None]
    return torch.stack((guesses[:, 0], guesses.any(1)), dim=1).float()


def mixed_hits(logits_BK: Tensor, target: MixedTarget) -> Tensor:
    """:func:`top_hits` of both labels, weighted by the share that each one keeps; (B, 2)."""
    share = target.share[:, None]
    return share * top_hits(logits_BK, target.labels) + (1 - share) * top_hits(logits_BK, target.partner_labels)


@dataclass(frozen=True)
class Errors:
    """Mean cross-entropy, top-1 and top-5 error in percent, and the number of images they come from."""

    loss: float
    top1: float
    top5: float
    images: int


def errors_from(sums_4: Tensor) -> Errors:
    """Errors from sums over all images: loss, top-1 hits, top-5 hits, number."""
    loss, top1, top5, images = sums_4.tolist()
    return Errors(loss / images, percent_wrong(top1, images), percent_wrong(top5, images), round(images))


def percent_wrong(hits: float, images: float) -> float:
    """The error in percent; the difference is taken first, so that whole counts give round numbers."""
    return 100 * (images - hits) / images


@torch.no_grad()
def test_errors(
    model: nn.Module,
    batches: Iterable[Batch],
    accelerator: Accelerator,
    watch: Callable[[int, Tensor], None] | None = None,
) -> Errors:
    """The errors of ``model`` on a test set, each image counted once whatever the number of processes.

    The model is left in the mode in which it came.

    Args:
        watch: called after each batch with its number and its sums (loss, top-1 hits, top-5 hits, images).
    """
    was_training = model.training
    model.eval()
    sums = torch.zeros(4, device=accelerator.device)
    for step, (images, labels, _) in enumerate(batches):
        logits = model(images).float()
        loss = F.cross_entropy(logits, labels, reduction="sum")
        top1, top5 = top_hits(logits, labels).sum(0)
        batch_sums = torch.stack((loss, top1, top5, torch.full_like(loss, len(labels))))
        sums += batch_sums
        if watch is not None:
            watch(step, batch_sums)
    model.train(was_training)
    return errors_from(accelerator.reduce(sums, "sum"))
