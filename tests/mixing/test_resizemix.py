"""ResizeMix: the whole partner in a box, against torch's nearest neighbours and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cutmix.errors import UsageError
from cutmix.mixing import Box, Draws, ResizeMix
from cutmix.mixing.resizemix import PasteWhole

BOXES = [(1, 2, 3, 5), (0, 0, 4, 6), (3, 1, 4, 2), (2, 2, 2, 2), (0, 1, 3, 6)]


def expected(image: torch.Tensor, partner: torch.Tensor, box: tuple[int, ...]) -> torch.Tensor:
    top, left, bottom, right = box
    mixed = image.clone()
    if bottom > top and right > left:
        size = (bottom - top, right - left)
        mixed[:, top:bottom, left:right] = F.interpolate(partner[None], size=size, mode="nearest-exact")[0]
    return mixed


@pytest.mark.parametrize("box", BOXES)
def test_one_box_for_all_as_torch_resizes(box) -> None:
    images = torch.arange(96.0).reshape(2, 2, 4, 6)
    mixed = PasteWhole(Box(*box), np.array([1, 0]), (4, 6)).apply(images)
    wanted = torch.stack([expected(images[0], images[1], box), expected(images[1], images[0], box)])
    assert torch.equal(mixed, wanted)


@pytest.mark.parametrize("inplace", [True, False])
def test_a_box_an_image_as_torch_resizes(inplace) -> None:
    images = torch.randn(5, 2, 4, 6)
    partners = np.array([3, 0, 0, 4, 1])
    plan = PasteWhole(Box(*np.array(BOXES).T), partners, (4, 6))
    wanted = torch.stack([expected(images[i], images[partners[i]], box) for i, box in enumerate(BOXES)])
    assert torch.equal(plan.apply(images, inplace=inplace), wanted)
    assert plan.share.tolist() == pytest.approx([18 / 24, 0, 23 / 24, 1, 9 / 24])


def test_masks_of_whole_numbers_are_resized_alike() -> None:
    masks = torch.arange(24).reshape(1, 4, 6).repeat(2, 1, 1) + torch.tensor([0, 100])[:, None, None]
    mixed = PasteWhole(Box(1, 2, 3, 5), np.array([1, 0]), (4, 6)).apply_to_masks(masks)
    assert mixed.dtype == torch.int64
    assert mixed[0, 1:3, 2:5].tolist() == [[107, 109, 111], [119, 121, 123]]


def test_scales_are_uniform_over_their_range() -> None:
    plan = ResizeMix(0.2, 0.6, scope="per_sample", geometry="exact").draw(
        (9000, 1, 500, 1000), np.random.default_rng(0)
    )
    whole = (plan.box.top > 0) & (plan.box.bottom < 500) & (plan.box.left > 0) & (plan.box.right < 1000)
    heights, widths = plan.box.bottom - plan.box.top, plan.box.right - plan.box.left
    assert np.all(np.abs(2 * heights[whole] - widths[whole]) <= 2)
    assert heights.max() < 0.6 * 500
    assert heights[whole].min() >= 0.2 * 500
    method, rng = ResizeMix(0.2, 0.6), Draws(np.random.default_rng(0))
    drawn = [method.sides(rng, (), (1000, 10), None)[0] for _ in range(800)]
    assert np.mean(drawn) == pytest.approx(400, abs=4 * 115 / np.sqrt(800))


@pytest.mark.parametrize("changes", [{"smallest": 0.0}, {"smallest": 0.9}, {"largest": 1.5}, {"largest": 80}])
def test_scales_that_are_none_are_refused(changes) -> None:
    with pytest.raises(UsageError, match="must be scales in this order"):
        ResizeMix(**changes)
