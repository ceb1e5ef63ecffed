"""AutoAugment (Cubuk et al., CVPR 2019, arXiv 1805.09501): one of 25 learned pairs of operations an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cutmix.data.policy import Policy
from cutmix.errors import UsageError, nearest

POLICIES = ("imagenet", "cifar10", "svhn")


@dataclass(frozen=True)
class AutoAugment(Policy):
    """torchvision's AutoAugment. The paper learned the policy of "cifar10" for CIFAR-100 as well.

    Args:
        policy: the data that it was learned on: "imagenet", "cifar10" or "svhn".
    """

    policy: str = "imagenet"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            hint = nearest(str(self.policy), POLICIES)
            raise UsageError(f"AutoAugment policy={self.policy!r} must be one of {', '.join(POLICIES)}.{hint}")

    def make(self) -> Any:
        """torchvision's transform."""
        from torchvision import transforms

        return transforms.AutoAugment(transforms.AutoAugmentPolicy(self.policy))
