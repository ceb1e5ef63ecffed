"""RandAugment (Cubuk et al., NeurIPS 2020, arXiv 1909.13719): a few random operations of one strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cutmix.data.policy import Policy, check_whole_numbers
from cutmix.errors import UsageError


@dataclass(frozen=True)
class RandAugment(Policy):
    """torchvision's RandAugment.

    Args:
        num_ops: operations an image, one after the other.
        magnitude: their strength, from 0 to ``num_magnitude_bins - 1``.
        num_magnitude_bins: how many strengths there are.
    """

    num_ops: int = 2
    magnitude: int = 9
    num_magnitude_bins: int = 31

    def __post_init__(self) -> None:
        check_whole_numbers(self)
        if self.num_ops < 1 or self.num_magnitude_bins < 2:
            raise UsageError(f"{self}: num_ops must be at least 1, num_magnitude_bins at least 2.")
        if not 0 <= self.magnitude < self.num_magnitude_bins:
            raise UsageError(f"{self}: magnitude must be from 0 to {self.num_magnitude_bins - 1}.")

    def make(self) -> Any:
        """torchvision's transform."""
        from torchvision import transforms

        return transforms.RandAugment(self.num_ops, self.magnitude, self.num_magnitude_bins)
