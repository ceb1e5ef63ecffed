"""TrivialAugment (Müller and Hutter, ICCV 2021, arXiv 2103.10158): one random operation of a random strength."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cutmix.data.policy import Policy, check_whole_numbers
from cutmix.errors import UsageError


@dataclass(frozen=True)
class TrivialAugment(Policy):
    """torchvision's TrivialAugmentWide.

    Args:
        num_magnitude_bins: how many strengths there are.
    """

    num_magnitude_bins: int = 31

    def __post_init__(self) -> None:
        check_whole_numbers(self)
        if self.num_magnitude_bins < 2:
            raise UsageError(f"{self}: num_magnitude_bins must be at least 2.")

    def make(self) -> Any:
        """torchvision's transform."""
        from torchvision import transforms

        return transforms.TrivialAugmentWide(self.num_magnitude_bins)
