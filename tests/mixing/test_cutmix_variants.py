"""The variants of table 8: what each changes, in numbers worked out by hand, and that it changes nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import CenterGaussianCutMix, CompleteLabelCutMix, CutMix, FixedSizeCutMix, OneHotCutMix

LABELS = torch.tensor([7, 8])
PARTNERS = [1, 0]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("method", [OneHotCutMix, CompleteLabelCutMix])
def test_other_labels_for_the_very_boxes_of_cutmix(method) -> None:
    images = torch.arange(2 * 24 * 40.0).reshape(2, 1, 24, 40)
    for seed in range(5):
        plain, _ = CutMix(alpha=0.3)(images, LABELS, rng(seed))
        mixed, _ = method(alpha=0.3)(images, LABELS, rng(seed))
        assert torch.equal(mixed, plain)


# Of 4x6 = 24 pixels the boxes take 6, 12, 15 and none.
@pytest.mark.parametrize(
    ("box", "share", "one_hot"),
    [((1, 2, 3, 5), 0.75, 1), ((0, 0, 4, 3), 0.5, 1), ((1, 0, 4, 5), 0.375, 0), ((2, 2, 2, 2), 1, 1)],
)
def test_what_the_labels_weigh(box, share, one_hot) -> None:
    images = torch.zeros(2, 1, 4, 6)
    for method, weight in ((OneHotCutMix(), one_hot), (CompleteLabelCutMix(), 0.5), (CutMix(), share)):
        plan = method.draw(images.shape, rng(), on=True, box=box, partners=PARTNERS)
        assert plan.contents(LABELS).share.tolist() == [share, share]
        assert plan.targets(LABELS).share.tolist() == [weight, weight]
        assert plan.targets(LABELS).partner_labels.tolist() == [8, 7]


def test_what_the_labels_weigh_with_a_box_an_image() -> None:
    boxes = [(1, 2, 3, 5), (1, 0, 4, 5), (1, 0, 4, 5)]
    labels = torch.tensor([7, 8, 9])
    for method, weights in ((OneHotCutMix, [1, 0, 1]), (CompleteLabelCutMix, [0.5, 0.5, 1])):
        mixing = method(scope="per_sample")
        plan = mixing.draw((3, 1, 4, 6), rng(), on=[True, True, False], box=boxes, partners=[1, 2, 0])
        target = plan.targets(labels)
        assert target.share.tolist() == weights
        assert target.partner_labels.tolist() == [8, 9, 9]  # the third image, left out, is its own partner
        assert plan.only(np.array([False, True, True])).targets(labels).share.tolist() == [1, *weights[1:]]


def test_a_fixed_box_is_16_of_32_pixels_and_clipped() -> None:
    plan = FixedSizeCutMix(scope="per_sample").draw((4000, 3, 32, 32), rng())
    heights, widths = plan.box.bottom - plan.box.top, plan.box.right - plan.box.left
    # Around rows 8 to 24 nothing is clipped; around row 0 half of the box is.
    assert (heights.max(), heights.min(), widths.max(), widths.min()) == (16, 8, 16, 8)
    assert plan.share.min() == 0.75
    assert np.allclose(plan.share, 1 - heights * widths / 1024)
    # Of the 32 centres, 17 keep 16 pixels, and 8 + 7 keep 8 to 15 and 15 to 9: 448 in all.
    assert plan.box.area.mean() == pytest.approx((448 / 32) ** 2, rel=0.03)


def test_a_fixed_box_has_the_shape_of_the_image() -> None:
    plan = FixedSizeCutMix(side=0.3).draw((2, 1, 20, 40), np.random.default_rng(3))  # 6x12
    assert plan.box.bottom - plan.box.top <= 6
    assert plan.box.right - plan.box.left <= 12
    areas = FixedSizeCutMix(side=0.3, scope="per_sample").draw((500, 1, 20, 40), rng()).box.area
    assert areas.max() == 6 * 12
    # 0.29 * 100 is 28.999..., and a box of 29 pixels all the same; "paper" halves it to twice 14.
    assert FixedSizeCutMix(side=0.29, scope="per_sample").draw((500, 1, 100, 100), rng()).box.area.max() == 28**2
    exact = FixedSizeCutMix(side=0.29, scope="per_sample", geometry="exact").draw((500, 1, 100, 100), rng())
    assert exact.box.area.max() == 29**2


def test_centres_are_near_the_middle_by_the_deviation_asked_for() -> None:
    """A box of 2x2 around (r, c) ends at r + 1 and c + 1, so it tells where it was put."""
    for sigma in (0.1, 0.25):
        mixing = CenterGaussianCutMix(sigma=sigma, scope="per_sample")
        plan = mixing.draw((20000, 1, 100, 120), rng(), lam=1 - (2.1 / 100) ** 2, partners=np.arange(20000))
        rows, columns = plan.box.bottom - 1, plan.box.right - 1
        for centres, length in ((rows, 100), (columns, 120)):
            assert centres.min() >= 0
            assert centres.max() <= length - 1
            inside = centres[(centres > 0) & (centres < length - 1)]
            # Of a Gaussian cut off at two deviations 0.774 of the variance are left, at five all of it.
            spread = 1.0 if sigma == 0.1 else 0.774**0.5
            assert inside.std() == pytest.approx(spread * sigma * length, rel=0.03)
            assert centres.mean() == pytest.approx(length / 2 - 0.5, abs=0.01 * length)
        assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / np.sqrt(20000)


def test_gaussian_boxes_are_those_of_cutmix_in_size() -> None:
    shape = (2, 3, 1000, 1000)
    plain = CutMix().draw(shape, rng(), lam=0.9, partners=PARTNERS)
    middle = CenterGaussianCutMix(sigma=0.0).draw(shape, rng(), lam=0.9, partners=PARTNERS)
    assert middle.box == (342, 342, 658, 658)  # sides of floor(1000 * sqrt(0.1)) = 316 around (500, 500)
    assert plain.box != middle.box


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CenterGaussianCutMix(sigma=-0.1), "sigma=-0.1 must be 0 or more"),
        (lambda: CenterGaussianCutMix(alpha=0), "alpha=0 must be above 0"),
        (lambda: FixedSizeCutMix(side=16), "side=16 must be above 0 and up to 1, in sides of the image"),
        (lambda: FixedSizeCutMix(side=0.0), "side=0.0"),
        (lambda: FixedSizeCutMix(prob=1.3), "prob=1.3"),
        (lambda: FixedSizeCutMix().draw((2, 1, 4, 6), rng(), lam=0.3), "boxes of one size"),
        (lambda: OneHotCutMix(scope="batch"), "scope='batch'"),
    ],
)
def test_what_does_not_fit_is_refused(make, message) -> None:
    with pytest.raises(UsageError, match=message):
        make()
