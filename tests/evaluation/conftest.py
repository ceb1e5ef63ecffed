"""A data set whose classes are colours, and a network that tells them by the mean colour: answers by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from cutmix.data.splits import ArraySplit, Data
from cutmix.evaluation.subject import Subject

MEAN, STD = (0.3, 0.5, 0.4), (0.25, 0.2, 0.5)


class ByMeanColour(nn.Module):
    """Logits: the mean red, green and blue of the pixels in [0, 1], times 20."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def forward(self, images_BCHW):
        mean_BC = images_BCHW.mean((2, 3)) * torch.tensor(STD) + torch.tensor(MEAN)
        return self.scale * mean_BC


@pytest.fixture
def colours() -> Callable[..., Subject]:
    """Makes a subject of uint8 images (N, H, W, 3) whose labels are 0 for red, 1 for green, 2 for blue."""

    def subject(images_NHWC: np.ndarray, labels: Sequence[int], model: nn.Module | None = None, **settings) -> Subject:
        train = ArraySplit(np.zeros((3, *images_NHWC.shape[1:]), np.uint8), np.arange(3))
        test = ArraySplit(images_NHWC, np.asarray(labels, np.int64))
        size = images_NHWC.shape[1]
        data = Data("colours", ("red", "green", "blue"), train, test, MEAN, STD, image_size=size, flip=True)
        return Subject(model or ByMeanColour(), data, **{"device": "cpu", "workers": 0, **settings})

    return subject


@pytest.fixture
def plain() -> Callable[..., np.ndarray]:
    """Makes images of one colour each: uint8 (N, size, size, 3)."""

    def images(*rgb: tuple[int, int, int], size: int = 8) -> np.ndarray:
        return np.broadcast_to(np.array(rgb, np.uint8)[:, None, None], (len(rgb), size, size, 3)).copy()

    return images
