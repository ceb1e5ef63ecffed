"""The same mixes as torchvision and timm make, where they draw the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from cutmix.mixing import CutMix, Mixing, MixUp, cutmix_batch, mixup_batch

BOX = (1, 2, 3, 5)  # top, left, bottom, right
SEEDS = range(6)


def a_batch(size: int = 6, height: int = 9, width: int = 14) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(size, 3, height, width, generator=rng), torch.randint(5, (size,), generator=rng)


@contextmanager
def numpy_global_seed(seed: int) -> Iterator[None]:
    """timm draws from numpy's global generator."""
    before = np.random.get_state()
    np.random.seed(seed)
    yield
    np.random.set_state(before)


def test_torchvision_cutmix_with_the_same_box_and_partners() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    images, labels = a_batch(height=4, width=6)
    params = {"labels": labels, "batch_size": 6, "box": (2, 1, 5, 3), "lam_adjusted": 18 / 24}
    theirs = v2.CutMix(num_classes=5)
    mixed, target = cutmix_batch(images, labels, box=BOX, partners=np.roll(np.arange(6), 1))
    assert torch.equal(mixed, theirs.transform(images, params))
    assert torch.allclose(target.soft(5), theirs.transform(labels, params))


def test_torchvision_mixup_with_the_same_lambda_and_partners() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    images, labels = a_batch()
    params = {"labels": labels, "batch_size": 6, "lam": 0.3}
    theirs = v2.MixUp(num_classes=5)
    mixed, target = mixup_batch(images, labels, lam=0.3, partners=np.roll(np.arange(6), 1))
    assert torch.allclose(mixed, theirs.transform(images, params), atol=1e-6)
    assert torch.allclose(target.soft(5), theirs.transform(labels, params))


@pytest.mark.parametrize(
    ("ours", "alphas"), [(CutMix(0.7, prob=0.6, geometry="exact"), (0.0, 0.7)), (MixUp(0.7, prob=0.6), (0.7, 0.0))]
)
def test_timm_per_batch_from_the_same_seed(ours: Mixing, alphas: tuple[float, float]) -> None:
    """timm draws gate, lambda, row and column in the official order, from 1.0.31 in our exact geometry; it flips."""
    timm_data = pytest.importorskip("timm.data")
    if not _keeps_odd_sides():
        pytest.skip("this timm loses the pixel of odd sides")
    theirs = timm_data.Mixup(*alphas, prob=0.6, label_smoothing=0.0, num_classes=5)
    flipped = np.arange(6)[::-1]
    changed = 0
    for seed in SEEDS:
        images, labels = a_batch()
        before = images.clone()
        plan = ours.draw(images.shape, np.random.RandomState(seed), partners=flipped)
        mixed, soft = plan.apply(images), plan.targets(labels).soft(5)
        with numpy_global_seed(seed):
            theirs_mixed, theirs_soft = theirs(images, labels)
        assert torch.allclose(mixed, theirs_mixed, atol=1e-6)
        assert torch.allclose(soft, theirs_soft, atol=1e-6)
        changed += not torch.equal(mixed, before)
    assert 1 < changed < len(SEEDS)


def _keeps_odd_sides() -> bool:
    from timm.data.mixup import rand_bbox

    with numpy_global_seed(0):
        top, bottom, _, _ = rand_bbox((1, 3, 99, 99), 1 - (3.5 / 99) ** 2, margin=0.4)
    return bottom - top == 3
