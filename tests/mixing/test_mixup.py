"""Mixup: the weights, and the distribution that they should have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import MixUp, mixup_batch

IMAGES = torch.tensor([10.0, 20.0, 40.0])[:, None, None, None].expand(3, 1, 2, 3)
LABELS = torch.tensor([7, 8, 9])


def test_function_with_lambda_and_partners_needs_no_generator() -> None:
    mixed, target = mixup_batch(IMAGES, LABELS, lam=0.3, partners=[1, 2, 0])
    assert mixed[:, 0, 1, 2].tolist() == pytest.approx([17.0, 34.0, 19.0])
    assert target.partner_labels.tolist() == [8, 9, 7]
    assert target.share.tolist() == pytest.approx([0.3, 0.3, 0.3])


def test_function_with_a_lambda_an_image() -> None:
    mixed, target = mixup_batch(IMAGES, LABELS, lam=[0.3, 1.0, 0.04], partners=[1, 2, 0])
    assert mixed[:, 0, 0, 0].tolist() == pytest.approx([17.0, 20.0, 11.2])
    assert target.share.tolist() == pytest.approx([0.3, 1.0, 0.04])


def test_function_without_a_generator_refuses_to_draw() -> None:
    for handed_in in ({}, {"lam": 0.3}, {"partners": [1, 2, 0]}):
        with pytest.raises(UsageError, match="rng is None"):
            mixup_batch(IMAGES, LABELS, **handed_in)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_lambda_is_beta_distributed(alpha: float, scope: str) -> None:
    rng, method = np.random.default_rng(0), MixUp(alpha, scope=scope)
    if scope == "per_sample":
        shares = method.draw((4000, 3, 2, 2), rng).share
    else:
        shares = np.array([method.draw((2, 3, 2, 2), rng).share for _ in range(4000)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / 4000)
    assert shares.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_the_gate_is_open_as_often_as_prob_says(scope: str) -> None:
    rng, method = np.random.default_rng(3), MixUp(prob=0.3, scope=scope)
    labels = torch.arange(20)
    mixed = np.array([(method.draw((20, 1, 2, 2), rng).targets(labels).share < 1).numpy() for _ in range(1000)])
    n = 1000 if scope == "per_batch" else 20000
    assert abs(mixed.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / n)
    expected = np.sqrt(0.3 * 0.7) if scope == "per_batch" else np.sqrt(0.3 * 0.7 / 20)
    assert mixed.mean(1).std() == pytest.approx(expected, rel=0.1)


def test_an_image_that_its_gate_leaves_out_is_untouched_to_the_last_bit() -> None:
    images = torch.randn(50, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    mixed, target = MixUp(prob=0.3, scope="per_sample")(images, torch.arange(50), np.random.default_rng(0))
    left_out = target.share == 1
    assert 20 < left_out.sum() < 48
    assert torch.equal(mixed[left_out], images[left_out])
    assert torch.equal(target.partner_labels[left_out], torch.arange(50)[left_out])


@pytest.mark.parametrize(("arguments", "message"), [({"alpha": -1}, "alpha=-1"), ({"scope": "pair"}, "scope='pair'")])
def test_what_does_not_exist_is_refused(arguments, message) -> None:
    with pytest.raises(UsageError, match=message):
        MixUp(**arguments)
