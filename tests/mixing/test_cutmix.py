"""CutMix: the official code's boxes and shares to the last digit, and the distributions that the draws should have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import CutMix, Keep, Paste, cutmix_batch

# From the official train.py (clovaai/CutMix-PyTorch, 2d8eb68) under numpy's legacy stream of seed 42:
# the gate's draw, (bbx1, bby1, bbx2, bby2) and the share. bbx counts rows.
GATES = [0.374540118847, 0.058083612168, 0.832442640800, 0.304242242960]
GOLDEN = {
    (64, 3, 32, 32): [
        ((11, 15, 25, 29), 0.80859375),
        ((0, 21, 3, 25), 0.98828125),
        ((10, 0, 30, 10), 0.8046875),
        ((6, 16, 26, 32), 0.6875),
    ],
    (2, 3, 24, 40): [
        ((13, 13, 23, 31), 0.8125),
        ((0, 20, 3, 26), 0.98125),
        ((12, 19, 24, 40), 0.7375),
        ((8, 13, 24, 39), 0.566666666667),
    ],
    (256, 3, 224, 224): [
        ((160, 164, 224, 224), 0.923469387755),
        ((0, 69, 19, 105), 0.986367984694),
        ((0, 84, 96, 224), 0.732142857143),
        ((0, 143, 123, 224), 0.801438934949),
    ],
}


def images_and_labels(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(float(np.prod(shape))).reshape(shape), torch.arange(shape[0])


@pytest.mark.parametrize("shape", GOLDEN)
def test_boxes_and_shares_of_the_official_code(shape: tuple[int, ...]) -> None:
    rng, partners = np.random.RandomState(42), np.arange(shape[0])
    for box, share in GOLDEN[shape]:
        plan = CutMix().draw(shape, rng, partners=partners)
        assert plan.box == box
        assert plan.share == pytest.approx(share, abs=5e-13)


@pytest.mark.parametrize("gate", GATES)
def test_the_gate_is_open_strictly_below_prob(gate: float) -> None:
    rng, shape = np.random.RandomState(42), (2, 3, 24, 40)
    for _ in range(GATES.index(gate)):
        CutMix().draw(shape, rng, partners=[1, 0])
    drawn = np.random.RandomState()
    drawn.set_state(rng.get_state())
    exact = drawn.random()
    assert exact == pytest.approx(gate, abs=5e-13)
    drawn.set_state(rng.get_state())
    assert CutMix(prob=exact).draw(shape, rng, partners=[1, 0]) == Keep()
    assert isinstance(CutMix(prob=np.nextafter(exact, 1)).draw(shape, drawn, partners=[1, 0]), Paste)


def test_a_closed_gate_draws_nothing_more() -> None:
    rng, plain = np.random.RandomState(42), np.random.RandomState(42)
    for shape_box in GOLDEN[64, 3, 32, 32][:2]:  # 0.37 and 0.06 are below one half
        assert CutMix(prob=0.5).draw((64, 3, 32, 32), rng, partners=np.arange(64)).box == shape_box[0]
        plain.random(), plain.beta(1, 1), plain.randint(32), plain.randint(32)
    assert CutMix(prob=0.5).draw((64, 3, 32, 32), rng) == Keep()  # 0.83 is not
    plain.random()
    assert rng.random() == plain.random()


def test_partners_are_a_permutation_of_the_batch() -> None:
    rng = np.random.default_rng(0)
    for scope in ("per_batch", "per_sample"):
        partners = CutMix(scope=scope).draw((50, 3, 8, 8), rng).partners
        assert sorted(partners) == list(range(50))
        assert list(partners) != list(range(50))


def test_rows_and_columns_are_not_mixed_up() -> None:
    plan = CutMix().draw((64, 3, 4, 400), np.random.default_rng(1), lam=0.04, partners=np.arange(64))
    assert plan.box.bottom <= 4
    assert plan.box.right - plan.box.left > 100  # of floor(400 * sqrt(0.96)) = 391 pixels, at least the half is inside


@pytest.mark.parametrize(("alpha", "mean_area"), [(0.1, 0.269), (0.5, 0.289), (1.0, 0.29925), (4.0, 0.310)])
@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_mean_pasted_area_at_32_pixels(alpha: float, mean_area: float, scope: str) -> None:
    rng, method = np.random.default_rng(7), CutMix(alpha, scope=scope)
    if scope == "per_sample":
        areas = 1 - method.draw((20000, 3, 32, 32), rng).share
    else:
        areas = np.array([1 - method.draw((2, 3, 32, 32), rng).share for _ in range(5000)])
    # The mean of n areas strays from theirs by their deviation over sqrt(n): five of these, and the digits published.
    assert abs(areas.mean() - mean_area) < 5 * areas.std() / np.sqrt(len(areas)) + 5e-4


def test_centres_are_uniform_over_the_image() -> None:
    """A box of 2x2 around (r, c) ends at min(r, H - 1) and min(c, W - 1), so it tells where it was put."""
    plan = CutMix(scope="per_sample").draw((7000, 1, 5, 7), np.random.default_rng(2), lam=0.75)
    assert set(plan.box.bottom - plan.box.top) == set(plan.box.right - plan.box.left) == {1, 2}
    rows, columns = plan.box.bottom - 1, plan.box.right - 1
    counts = np.bincount(rows * 7 + columns, minlength=35)
    assert np.sum((counts - 200) ** 2 / 200) < 65.25  # chi-square of 34 degrees of freedom: exceeded once in a thousand


@pytest.mark.parametrize("scope", ["per_batch", "per_sample"])
def test_the_gate_is_open_as_often_as_prob_says(scope: str) -> None:
    rng, method = np.random.default_rng(3), CutMix(prob=0.3, scope=scope)
    labels = torch.arange(20)
    changed = []
    for _ in range(1000):
        plan = method.draw((20, 1, 64, 64), rng)
        changed.append(np.asarray(plan.targets(labels).share) < 1)
    rates = np.mean(changed, axis=1)  # an empty box (0.1 %) also leaves an image alone: three deviations below
    n = 1000 if scope == "per_batch" else 20000
    assert abs(np.mean(changed) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / n)
    if scope == "per_batch":
        assert set(rates) == {0.0, 1.0}
    else:  # twenty independent gates, not one: the rates of batches spread as those of a binomial
        assert np.std(rates) == pytest.approx(np.sqrt(0.3 * 0.7 / 20), rel=0.1)


def test_images_are_drawn_independently_per_sample() -> None:
    rng, method = np.random.default_rng(4), CutMix(scope="per_sample")
    rows = np.array(
        [np.stack([*plan.box, plan.share]) for plan in (method.draw((2, 1, 32, 32), rng) for _ in range(2000))]
    )
    first, second = rows[:, :, 0], rows[:, :, 1]
    for value in range(5):
        assert abs(np.corrcoef(first[:, value], second[:, value])[0, 1]) < 4 / np.sqrt(2000)
    # The rows of a centre tell nothing of its columns. (Sides do: they share a lambda.)
    middle = rows[:, :4, 0]
    assert abs(np.corrcoef(middle[:, 0] + middle[:, 2], middle[:, 1] + middle[:, 3])[0, 1]) < 4 / np.sqrt(2000)


def test_an_image_that_its_gate_leaves_out_is_its_own_partner() -> None:
    plan = CutMix(prob=0.3, scope="per_sample").draw((200, 3, 8, 8), np.random.default_rng(0))
    own = plan.partners == np.arange(200)
    assert own.sum() > 100
    assert (plan.share[own] == 1).sum() >= own.sum() - 5  # a permutation has a fixed point or two of its own


def test_an_empty_box_is_a_share_of_one() -> None:
    images, labels = images_and_labels(2, 1, 4, 6)
    mixed, target = cutmix_batch(images, labels, np.random.default_rng(0), lam=0.95, partners=[1, 0])
    assert torch.equal(mixed, images)
    assert target.share.tolist() == [1, 1]


def test_exact_geometry_keeps_odd_sides() -> None:
    areas = {}
    for geometry in ("paper", "exact"):
        rng = np.random.default_rng(0)
        areas[geometry] = np.array([CutMix(geometry=geometry).draw((2, 3, 9, 9), rng).box.area for _ in range(300)])
    assert np.all(areas["exact"] >= areas["paper"])
    assert areas["exact"].mean() > 1.1 * areas["paper"].mean()


def test_function_with_a_box_and_partners_needs_no_generator() -> None:
    images, labels = images_and_labels(3, 2, 4, 6)
    mixed, target = cutmix_batch(images, labels, box=(1, 2, 3, 5), partners=[1, 2, 0])
    expected = images.clone()
    expected[:, :, 1:3, 2:5] = images[[1, 2, 0], :, 1:3, 2:5]
    assert torch.equal(mixed, expected)
    assert target.labels.tolist() == [0, 1, 2]
    assert target.partner_labels.tolist() == [1, 2, 0]
    assert target.share.tolist() == [0.75, 0.75, 0.75]
    assert cutmix_batch(images, labels, box=(1, 2, 3, 5), partners=[1, 2, 0], inplace=True)[0] is images
    assert torch.equal(images, expected)


def test_function_with_a_box_an_image() -> None:
    images, labels = images_and_labels(2, 1, 4, 6)
    boxes = torch.tensor([[1, 2, 3, 5], [0, 0, 4, 3]])
    mixed, target = cutmix_batch(images, labels, box=boxes, partners=torch.tensor([1, 0]))
    assert target.share.tolist() == [0.75, 0.5]
    assert mixed[1, 0, 0].tolist() == [0, 1, 2, 27, 28, 29]


def test_function_with_a_lambda_an_image() -> None:
    images, labels = images_and_labels(3, 1, 40, 60)
    _, target = cutmix_batch(images, labels, np.random.default_rng(2), lam=[0.999, 0.5, 0.01], geometry="exact")
    first, second, third = target.share.tolist()
    assert first >= 0.999
    assert 0.5 <= second < 1
    assert 0.01 <= third < 0.8


def test_function_always_mixes_and_draws_what_is_not_handed_in() -> None:
    images, labels = images_and_labels(40, 1, 8, 8)
    first, _ = cutmix_batch(images, labels, np.random.default_rng(1), lam=0.3)
    again, _ = cutmix_batch(images, labels, np.random.default_rng(1), lam=0.3)
    other, target = cutmix_batch(images, labels, np.random.default_rng(2), lam=0.3, scope="per_sample")
    assert torch.equal(first, again)
    assert not torch.equal(first, images)
    assert len(target.share.unique()) > 3
    assert not torch.equal(first, other)


@pytest.mark.parametrize("handed_in", [{}, {"box": (1, 2, 3, 5)}, {"lam": 0.3}, {"lam": 0.3, "partners": [1, 0]}])
def test_function_without_a_generator_refuses_to_draw(handed_in) -> None:
    with pytest.raises(UsageError, match="rng is None"):
        cutmix_batch(*images_and_labels(2, 1, 4, 6), **handed_in)


@pytest.mark.parametrize(
    ("handed_in", "message"),
    [
        ({"box": (1, 2, 3, 5), "lam": 0.3}, "box or lam, not both"),
        ({"box": (1, 2, 5, 3)}, "bottom <= 4"),
        ({"box": (1, 5, 3, 2)}, "left <= right <= 6"),
        ({"box": [(1, 2, 3, 5)] * 3}, "There are 3 boxes or shares for 2 images"),
        ({"box": (0.1, 0.2, 0.3, 0.5)}, "whole pixels"),
        ({"lam": 1.3}, "from 0 to 1"),
        ({"lam": [0.1, 0.2, 0.3]}, "There are 3 boxes or shares for 2 images"),
        ({"partners": [0, 1, 2]}, "Partners are 2 whole numbers"),
        ({"partners": [0, 2]}, "from 0 to 1"),
        ({"scope": "per_image"}, "scope='per_image' must be one of per_batch, per_sample"),
        ({"geometry": "exakt"}, "Did you mean 'exact'"),
        ({"alpha": 0}, "alpha=0 must be above 0"),
    ],
)
def test_function_refuses_what_does_not_fit(handed_in, message) -> None:
    with pytest.raises(UsageError, match=message):
        cutmix_batch(*images_and_labels(2, 1, 4, 6), np.random.default_rng(0), **handed_in)


def test_a_feature_map_has_boxes_of_its_own_size() -> None:
    plan = CutMix().draw((4, 64, 8, 5), np.random.default_rng(0))
    assert plan.size_HW == (8, 5)
    assert plan.apply(torch.zeros(4, 64, 8, 5)).shape == (4, 64, 8, 5)
    with pytest.raises(UsageError, match=r"\(B, ..., H, W\), not \(4, 64\)"):
        CutMix().draw((4, 64), np.random.default_rng(0))
