"""What an augmentation policy is: a change of one picture after crop and flip, drawn from one number, its seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cutmix.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

SEEDS = 2**63
"""A picture's seed is drawn uniformly below this."""


class Policy(ABC):
    """A policy of torchvision, with its defaults but for the arguments: nearest pixels, black where nothing is known.

    Concrete ones are frozen dataclasses: ``repr`` is the call that makes them. torchvision draws from torch's global
    generator on the CPU: it is seeded here for each picture, and set back.
    """

    @abstractmethod
    def make(self) -> Any:
        """torchvision's transform."""

    @cached_property
    def _transform(self) -> Any:
        transform = self.make()
        # torchvision makes its table of strengths anew for each picture, out of fourteen small tensors, and that takes
        # longer than changing a small picture does. The table follows from the size alone.
        if hasattr(transform, "_augmentation_space"):
            transform._augmentation_space = lru_cache(maxsize=8)(transform._augmentation_space)
        return transform

    def __getstate__(self) -> dict[str, Any]:
        """What crosses to a worker process: the arguments."""
        return {name: value for name, value in self.__dict__.items() if name != "_transform"}

    def one(self, image: Image.Image, seed: int) -> Image.Image:
        """An RGB picture, changed as ``seed`` says: what torchvision's transform makes of it under that seed."""
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which seeds the devices too, and they are not set back.
            torch.default_generator.manual_seed(seed)
            changed: Image.Image = self._transform(image)
        return changed

    def many(self, images_BHWC: np.ndarray, seeds_B: Sequence[int]) -> np.ndarray:
        """Change each of a batch of small images, uint8, in place; returns them."""
        from PIL import Image

        for image_HWC, seed in zip(images_BHWC, seeds_B):
            image_HWC[:] = np.asarray(self.one(Image.fromarray(image_HWC), seed))
        return images_BHWC


def check_whole_numbers(policy: Policy) -> None:
    """Refuse an argument that is no int: torchvision fails at its first picture, or counts True as 1."""
    for name, value in vars(policy).items():
        if type(value) is not int:
            raise UsageError(f"{policy}: {name} must be a whole number (an int).")
