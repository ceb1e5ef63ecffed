"""What a mixed image is called: two labels and a share; its loss and its accuracy.

Labels are (B,) integers, or (B, K) floats that are distributions over the classes (an ensemble's votes, smoothed or
several labels). Both kinds give the same loss where they say the same.

Legend: B = images of a batch, K = classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from cutmix.errors import UsageError

Reduction: TypeAlias = Literal["mean", "sum", "none"]


@dataclass(frozen=True, eq=False)
class MixedTarget:
    """The target of a mixed batch.

    Args:
        labels: the images' own labels: (B,) int64, or (B, K) floats.
        partner_labels: the labels of their partners, in the same form.
        share: (B,) float32 in [0, 1]; the part of each image that the FIRST label keeps, or the weight that a method
            gives it in place of that (``OneHotCutMix``).
    """

    labels: Tensor
    partner_labels: Tensor
    share: Tensor

    def soft(self, num_classes: int) -> Tensor:
        """The mixed label as a distribution, (B, K) float32, which ``F.cross_entropy`` takes.

        Raises:
            UsageError: a label is not below ``num_classes`` (on the CPU; other devices have their own assertion).
        """
        share_B1 = self.share[:, None]
        if self.labels.is_floating_point():
            _check_width(self.labels, num_classes)
            return self.labels.float() * share_B1 + self.partner_labels.float() * (1 - share_B1)
        soft_BK = torch.zeros(len(self), num_classes, device=self.share.device)
        try:
            soft_BK.scatter_(1, self.labels[:, None], share_B1)
            return soft_BK.scatter_add_(1, self.partner_labels[:, None], 1 - share_B1)
        except RuntimeError:
            _refuse_out_of_range(num_classes, self.labels, self.partner_labels)
            raise

    def to(self, device: torch.device | str, non_blocking: bool = False) -> MixedTarget:
        """The same target on another device."""
        return MixedTarget(*(part.to(device, non_blocking=non_blocking) for part in self._parts()))

    def pin_memory(self) -> MixedTarget:
        """The same target in pinned memory; ``DataLoader(pin_memory=True)`` asks for it."""
        return MixedTarget(*(part.pin_memory() for part in self._parts()))

    def chunk(self, chunks: int) -> list[MixedTarget]:
        """The target in parts, of the lengths that ``Tensor.chunk`` gives to the images."""
        return [MixedTarget(*parts) for parts in zip(*(part.chunk(chunks) for part in self._parts()))]

    def __len__(self) -> int:
        return len(self.share)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.labels, self.partner_labels, self.share


def mixed_cross_entropy(
    logits_BK: Tensor,
    target: MixedTarget | Tensor,
    *,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """share * CE(logits, labels) + (1 - share) * CE(logits, partner_labels), the loss of the paper's official code.

    Equal to ``F.cross_entropy(logits, target.soft(K), label_smoothing=...)``, from one log-softmax and without a (B, K)
    target. Computed in float32 where the logits are narrower.

    Args:
        logits_BK: what the network says.
        target: a ``MixedTarget``, or plain labels: (B,) integers or (B, K) floats.
        label_smoothing: part of each label that is spread evenly over all classes, in [0, 1].
        reduction: "mean" or "sum" over the batch, or "none": (B,).

    Raises:
        UsageError: the batch sizes differ, or a label is not below K (on the CPU; other devices have their own
            assertion).
    """
    if reduction not in get_args(Reduction):
        raise UsageError(f"reduction={reduction!r} must be one of {', '.join(get_args(Reduction))}.")
    if not 0 <= label_smoothing <= 1:
        raise UsageError(f"label_smoothing={label_smoothing!r} must be from 0 to 1.")
    target = _check_target(target, logits_BK)
    log_probs_BK = logits_BK.log_softmax(1, dtype=torch.promote_types(logits_BK.dtype, torch.float32))
    gain_B = _expected(log_probs_BK, target)
    if label_smoothing:
        gain_B = gain_B.lerp(log_probs_BK.mean(1), label_smoothing)
    if reduction == "none":
        return -gain_B
    return -(gain_B.mean() if reduction == "mean" else gain_B.sum())


@torch.no_grad()
def mixed_correct(logits_BK: Tensor, target: MixedTarget | Tensor) -> Tensor:
    """How right each prediction is, (B,): the share of the image whose label it names. 1 for both labels at once.

    Its mean is a training accuracy that means something for mixed images; the official code counts the first label
    alone. A prediction that a distribution gives 0.3 is right by 0.3.

    Args:
        logits_BK: what the network says.
        target: a ``MixedTarget``, or plain labels: (B,) integers or (B, K) floats.

    Raises:
        UsageError: as :func:`mixed_cross_entropy`.
    """
    target = _check_target(target, logits_BK)
    hits_BK = torch.zeros_like(logits_BK, dtype=torch.float32).scatter_(1, logits_BK.argmax(1, keepdim=True), 1.0)
    return _expected(hits_BK, target)


def check_labels(labels: Tensor, batch_size: int) -> Tensor:
    """The labels of a batch: (B,) integers as int64, or (B, K) floats as they are.

    Raises:
        UsageError: they are neither, or not one for each image.
    """
    whole = not labels.is_floating_point()
    if labels.dtype == torch.bool or labels.is_complex() or labels.ndim != (1 if whole else 2):
        raise UsageError(
            "Labels must be integers of shape (B,) or floats of shape (B, K), "
            f"not {labels.dtype} of shape {tuple(labels.shape)}."
        )
    if len(labels) != batch_size:
        raise UsageError(f"There are {len(labels)} labels for {batch_size} images.")
    return labels.long() if whole else labels


def _expected(values_BK: Tensor, target: MixedTarget | Tensor) -> Tensor:
    """The mean over the classes of ``values_BK``, each weighted as the target says: (B,)."""
    if isinstance(target, MixedTarget):
        own_B, partner_B = _expected(values_BK, target.labels), _expected(values_BK, target.partner_labels)
        return target.share * own_B + (1 - target.share) * partner_B
    if target.is_floating_point():
        _check_width(target, values_BK.shape[1])
        return (values_BK * target.to(values_BK.dtype)).sum(1)
    try:
        return values_BK.gather(1, target[:, None]).squeeze(1)
    except RuntimeError:
        _refuse_out_of_range(values_BK.shape[1], target)
        raise


def _check_target(target: MixedTarget | Tensor, logits_BK: Tensor) -> MixedTarget | Tensor:
    if logits_BK.ndim != 2:
        raise UsageError(f"Logits must be (B, K), not {tuple(logits_BK.shape)}.")
    if isinstance(target, Tensor):
        return check_labels(target, len(logits_BK))
    if len(target) != len(logits_BK):
        raise UsageError(f"There are {len(target)} targets for the logits of {len(logits_BK)} images.")
    return target


def _check_width(labels_BK: Tensor, num_classes: int) -> None:
    if labels_BK.shape[1] != num_classes:
        raise UsageError(f"The labels are distributions over {labels_BK.shape[1]} classes, not over {num_classes}.")


def _refuse_out_of_range(num_classes: int, *labels: Tensor) -> None:
    """Called when torch has complained: labels that are right cost nothing, and a device is never waited for."""
    for part in labels:
        if part.device.type == "cpu" and not (part.ge(0) & part.lt(num_classes)).all():
            found = f"from {int(part.min())} to {int(part.max())}"
            raise UsageError(f"Labels must be from 0 to {num_classes - 1}, not {found}.") from None
