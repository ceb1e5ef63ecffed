"""The baseline."""

from __future__ import annotations

import torch

from cutmix.mixing import Keep, NoMixing


def test_nothing_is_drawn_and_nothing_changes() -> None:
    images, labels = torch.rand(3, 1, 4, 6), torch.tensor([3, 1, 2])
    mixed, target = NoMixing()(images, labels, None)
    assert NoMixing().draw(images.shape, None) == Keep()
    assert mixed is images
    assert torch.equal(target.soft(4), torch.eye(4)[labels])
