"""Several methods one after the other: what they do, what their shares are, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import Blend, Box, Chain, Compose, CutMix, Cutout, Erase, Keep, MixUp, NoMixing, Paste, RandomChoice

LABELS = torch.tensor([7, 8])
PARTNERS = np.array([1, 0])


def test_a_hole_goes_along_with_its_image_and_weighs_nothing() -> None:
    """Image 0 is 10 and image 1 is 20; a hole in columns 0 and 1 of image 0, 4 and 5 of image 1; then 0.3 and 0.7."""
    images = torch.tensor([10.0, 20.0])[:, None, None, None].repeat(1, 1, 4, 6)
    holes = Box(*np.array([[1, 0, 2, 2], [1, 4, 2, 6]]).T)
    plan = Chain((Erase(holes, (4, 6)), Blend(0.3, PARTNERS)))
    mixed = plan.apply(images)
    assert mixed[0, 0, 1].tolist() == pytest.approx([14, 14, 17, 17, 3, 3])
    assert mixed[0, 0, 2].tolist() == pytest.approx([17] * 6)
    assert plan.targets(LABELS).share.tolist() == pytest.approx([0.3, 0.3])
    assert (images == torch.tensor([10.0, 20.0])[:, None, None, None]).all()  # left alone
    assert plan.apply(images, inplace=True) is images
    assert torch.equal(images, mixed)


def test_parts_draw_one_after_the_other_from_the_same_stream() -> None:
    rng, plain = np.random.default_rng(5), np.random.default_rng(5)
    plan = Compose((Cutout(size=3), CutMix())).draw((6, 3, 9, 7), rng)
    erase, paste = Cutout(size=3).draw((6, 3, 9, 7), plain), CutMix().draw((6, 3, 9, 7), plain)
    images = torch.randn(6, 3, 9, 7)
    assert torch.equal(plan.apply(images), paste.apply(erase.apply(images)))
    assert plan.targets(torch.arange(6)).share[0] == np.float32(paste.share)
    assert rng.random() == plain.random()


def test_two_that_mix_labels_are_refused() -> None:
    with pytest.raises(UsageError, match=r"MixUp\(.*\) and CutMix\(.*\) both mix labels.*RandomChoice"):
        Compose((MixUp(), Cutout(), CutMix()))
    with pytest.raises(UsageError, match="both mix labels"):
        Compose((Compose(), RandomChoice()))
    with pytest.raises(UsageError, match="Two of the plans"):
        Chain((Blend(0.3, PARTNERS), Chain((Keep(), Paste(Box(0, 0, 1, 1), PARTNERS, (4, 6))))))
    assert not Compose((Cutout(), Cutout(size=3), NoMixing())).mixes_labels


@pytest.mark.parametrize(
    ("mixings", "message"), [((), "at least"), ((3,), "3 must be a mixing"), ((CutMix,), "method")]
)
def test_only_methods_are_composed(mixings, message) -> None:
    for method in (Compose, RandomChoice):
        with pytest.raises(UsageError, match=message):
            method(mixings)


def test_lists_and_single_methods_become_tuples() -> None:
    assert Compose([Cutout(), MixUp()]) == Compose()
    assert Compose(Cutout()).mixings == (Cutout(),)
    assert hash(RandomChoice([MixUp(), CutMix()], weights=[1, 2])) is not None
