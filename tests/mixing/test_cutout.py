"""Cutout: where the holes are, and that the label stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import Cutout, cutout_batch

ONES = torch.ones(2, 3, 4, 6)
LABELS = torch.tensor([7, 8])


def test_function_with_a_box_needs_no_generator() -> None:
    mixed, target = cutout_batch(ONES, LABELS, box=(1, 2, 3, 5))
    assert mixed[:, :, 1:3, 2:5].sum() == 0
    assert mixed.sum() == 2 * 3 * 18
    assert target.share.tolist() == [1, 1]
    assert target.labels.tolist() == target.partner_labels.tolist() == [7, 8]


def test_function_with_a_box_an_image() -> None:
    mixed, _ = cutout_batch(ONES, LABELS, box=[(1, 2, 3, 5), (0, 0, 0, 4)])
    assert mixed[0].sum() == 3 * 18
    assert mixed[1].sum() == 3 * 24


def test_function_without_a_generator_refuses_to_draw() -> None:
    with pytest.raises(UsageError, match="rng is None"):
        cutout_batch(ONES, LABELS, size=2)


@pytest.mark.parametrize(("size", "side"), [(4, 4), (5, 4), (1, 0), (99, 12)])
def test_the_hole_is_clipped_and_loses_the_pixel_of_an_odd_size(size: int, side: int) -> None:
    box = Cutout(size).draw((500, 3, 12, 12), np.random.default_rng(0)).box
    heights, widths = box.bottom - box.top, box.right - box.left
    assert heights.max() == widths.max() == side
    assert heights.min() == widths.min() == side // 2 if size < 99 else heights.min() == 12


def test_the_hole_is_centred_anywhere_in_the_image() -> None:
    """A hole of 2x2 around (r, c) ends at min(r, H - 1) and min(c, W - 1), so it tells where it was put."""
    box = Cutout(2).draw((7000, 3, 5, 7), np.random.default_rng(1)).box
    counts = np.bincount((box.bottom - 1) * 7 + box.right - 1, minlength=35)
    assert np.sum((counts - 200) ** 2 / 200) < 65.25  # chi-square of 34 degrees of freedom: exceeded once in a thousand


def test_one_hole_for_all_per_batch_and_one_for_each_per_sample() -> None:
    images, labels = torch.ones(30, 1, 9, 9), torch.arange(30)
    same, _ = Cutout(4, scope="per_batch")(images, labels, np.random.default_rng(0))
    own, _ = Cutout(4)(images, labels, np.random.default_rng(0))
    assert len(same.flatten(1).unique(dim=0)) == 1
    assert len(own.flatten(1).unique(dim=0)) > 15


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_the_gate_is_open_as_often_as_prob_says(scope: str) -> None:
    rng, method = np.random.default_rng(3), Cutout(2, prob=0.3, scope=scope)
    ones = torch.ones(20, 1, 3, 3)
    cut = np.array([(method.draw(ones.shape, rng).apply(ones).flatten(1).min(1)[0] == 0).numpy() for _ in range(1000)])
    n = 1000 if scope == "per_batch" else 20000
    assert abs(cut.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / n)
    expected = np.sqrt(0.3 * 0.7) if scope == "per_batch" else np.sqrt(0.3 * 0.7 / 20)
    assert cut.mean(1).std() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("size", [0, -3, 2.5])
def test_a_size_that_is_none_is_refused(size) -> None:
    with pytest.raises(UsageError, match="must be a whole number of pixels"):
        Cutout(size)
