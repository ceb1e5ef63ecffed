"""Small things that many tests need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Several OpenMP threads in several test processes get in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny_arrays(tmp_path: Path) -> Path:
    """A folder of `arrays:` data: 3 classes of 12x12 images that a network can tell apart, 48 to train, 18 to test."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 48), ("test", 18)):
        labels = np.arange(n) % 3
        images = rng.integers(0, 60, (n, 12, 12, 3), dtype=np.uint8)
        for image, label in zip(images, labels):
            image[:, :, label] += 150
        np.savez(folder / f"{split}.npz", images=images, labels=labels, classes=np.array(["red", "green", "blue"]))
    return folder
