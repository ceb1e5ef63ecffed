"""What every method refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import CutMix, MixUp

IMAGES = torch.zeros(3, 1, 4, 6)
LABELS = torch.tensor([7, 8, 9])


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 1, 2, 4, 6), (0, 1, 4, 6), (3, 1, 0, 6)])
def test_images_that_are_no_batch_are_refused(shape) -> None:
    with pytest.raises(UsageError, match=r"must be a batch \(B, C, H, W\), not of shape \("):
        CutMix()(torch.zeros(shape), LABELS, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(4, dtype=torch.int64), "There are 4 labels for 3 images"),
        (torch.zeros(4, 10), "There are 4 labels for 3 images"),
        (torch.zeros(3), r"integers of shape \(B,\) or floats of shape \(B, K\), not torch.float32 of shape \(3,\)"),
        (torch.zeros(3, 10, dtype=torch.int64), "not torch.int64 of shape"),
        (torch.zeros(3, dtype=torch.bool), "not torch.bool"),
        (torch.zeros(3, 10, dtype=torch.complex64), "not torch.complex64"),
        (torch.tensor(1), r"not torch.int64 of shape \(\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused_before_anything_is_drawn_or_written(labels, message) -> None:
    rng, images = np.random.default_rng(0), torch.rand(3, 1, 4, 6)
    before = images.clone()
    with pytest.raises(UsageError, match=message):
        MixUp()(images, labels, rng, inplace=True)
    assert torch.equal(images, before)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_other_whole_types_become_int64(dtype) -> None:
    _, target = CutMix()(IMAGES, LABELS.to(dtype), np.random.default_rng(0))
    assert target.labels.dtype == target.partner_labels.dtype == torch.int64


@pytest.mark.parametrize("alpha", [0, -1.0, float("inf"), float("nan")])
def test_alpha_must_be_that_of_a_distribution(alpha) -> None:
    with pytest.raises(UsageError, match=r"must be above 0. NoMixing\(\) mixes nothing"):
        CutMix(alpha=alpha)


@pytest.mark.parametrize("prob", [-0.1, 1.1, float("nan")])
def test_prob_must_be_a_probability(prob) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 1"):
        CutMix(prob=prob)


def test_a_wrong_name_is_met_with_the_nearest_right_one() -> None:
    with pytest.raises(
        UsageError, match="scope='batch' must be one of per_batch, per_sample. Did you mean 'per_batch'"
    ):
        MixUp(scope="batch")  # type: ignore[arg-type]


def test_the_generator_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError, match="rng"):
        CutMix()(IMAGES, LABELS)  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="rng is None"):
        CutMix()(IMAGES, LABELS, None)
