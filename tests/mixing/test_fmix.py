"""FMix: how much is kept, by which pixels, and how coarse the mask is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import FMix
from cutmix.mixing.fmix import Stencil, _highest

KEEP = np.array([[True, True, False], [True, True, False]])


def test_a_stencil_shows_the_partner_where_it_does_not_keep() -> None:
    images = torch.arange(12.0).reshape(2, 1, 2, 3)
    plan = Stencil(KEEP, np.array([1, 0]))
    assert plan.apply(images).tolist() == [[[[0, 1, 8], [3, 4, 11]]], [[[6, 7, 2], [9, 10, 5]]]]
    assert plan.contents(torch.tensor([7, 8])).share.tolist() == pytest.approx([2 / 3, 2 / 3])
    alone = plan.only(np.array([False, True]))
    assert alone.share.tolist() == pytest.approx([1, 2 / 3])
    assert torch.equal(alone.apply(images)[0], images[0])
    masks = torch.tensor([3, 5])[:, None, None].repeat(1, 2, 3)
    assert plan.apply_to_masks(masks).tolist() == [[[3, 3, 5]] * 2, [[5, 5, 3]] * 2]


def test_the_highest_pixels_are_kept() -> None:
    noise = np.array([[0.5, -1.0, 3.0], [2.0, 0.1, -7.0]])
    assert _highest(noise, np.array(0.3)).tolist() == [[False, False, True], [True, False, False]]  # 1.8 of 6 pixels
    both = _highest(np.stack([noise, noise]), np.array([0.0, 0.84]))
    assert both.sum((1, 2)).tolist() == [0, 5]
    assert not both[1, 1, 2]


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_the_share_is_the_one_drawn_to_the_nearest_pixel(scope) -> None:
    plan = FMix(scope=scope).draw((3, 1, 9, 7), np.random.default_rng(0), lam=0.3)
    assert np.allclose(plan.share, 19 / 63)  # 18.9 of 63


def borders(mask: np.ndarray) -> float:
    return float(np.mean(mask[1:] != mask[:-1]))


def test_more_decay_makes_larger_patches() -> None:
    rng = np.random.default_rng(0)
    rough, usual = (np.mean([borders(FMix(decay=d).draw((2, 1, 64, 48), rng, lam=0.5).keep) for _ in range(20)])
                    for d in (0.0, 3.0))  # fmt: skip
    assert rough == pytest.approx(0.5, abs=0.02)  # white noise: a neighbour is as likely here as there
    assert usual < 0.08


def test_every_pixel_is_kept_as_often_as_lambda_says() -> None:
    plan = FMix(scope="per_sample").draw((3000, 1, 5, 7), np.random.default_rng(0), lam=11 / 35)
    assert np.allclose(plan.keep.mean(0), 11 / 35, atol=5 * np.sqrt(0.22 / 3000))
    assert abs(np.corrcoef(plan.keep[::2, 2, 3], plan.keep[1::2, 2, 3])[0, 1]) < 4 / np.sqrt(1500)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="decay=-1"):
        FMix(decay=-1)
    with pytest.raises(UsageError, match="drawn for 2 images of 2x3"):
        Stencil(KEEP, np.array([1, 0])).apply(torch.zeros(2, 1, 3, 2))
