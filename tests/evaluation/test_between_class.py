"""In-between classes: pairs, mixes and curves worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.evaluation.between_class import (
    BetweenClass,
    cutmix_pairs,
    draw_pairs,
    mixup_pairs,
    neither,
    share_kept,
)


def test_pairs_are_of_different_classes_and_even():
    labels = np.array([0, 0, 0, 1, 2, 2])
    pairs = draw_pairs(labels, 22_000, np.random.default_rng(0))
    assert pairs.shape == (22_000, 2)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    # 3 * 3 + 1 * 5 + 2 * 4 = 22 ordered pairs of different classes, each about a thousand times
    counts = np.bincount(pairs[:, 0] * 6 + pairs[:, 1])
    assert np.count_nonzero(counts) == 22
    assert 850 < counts[counts > 0].min() <= counts.max() < 1150
    assert np.array_equal(pairs, draw_pairs(labels, 22_000, np.random.default_rng(0)))


def test_pairs_of_one_class_are_refused():
    with pytest.raises(UsageError, match="all images are of one class"):
        draw_pairs(np.array([3, 3, 3]), 2, np.random.default_rng(0))


def test_mixes_by_hand():
    first, second = torch.full((2, 1, 4, 6), 8.0), torch.full((2, 1, 4, 6), 3.0)
    first[1] = 16.0
    assert mixup_pairs(first, second, 0.2).flatten(1)[:, 0].tolist() == pytest.approx([4.0, 5.6])
    assert torch.equal(mixup_pairs(first, second, 1.0), first)
    assert torch.equal(mixup_pairs(first, second, 0.0), second)
    inside = torch.zeros(4, 6, dtype=torch.bool)
    inside[1:3, 2:4] = True
    assert torch.equal(cutmix_pairs(first, second, 2)[1, 0], torch.where(inside, 3.0, 16.0))
    assert torch.equal(cutmix_pairs(first, second, 0), first)
    assert torch.equal(cutmix_pairs(first, second, 6), second)
    assert first.unique().tolist() == [8.0, 16.0]


def test_the_share_is_what_the_first_image_keeps():
    assert share_kept(2, (4, 6)) == pytest.approx(20 / 24)
    assert share_kept(56, (224, 224)) == pytest.approx(1 - (56 / 224) ** 2)
    assert [share_kept(side, (8, 8)) for side in (0, 8)] == [1, 0]


def test_neither():
    guesses = torch.tensor([[0, 1, 2], [0, 3, 2]])
    assert neither(guesses, torch.tensor([0, 3]), torch.tensor([1, 2])).tolist() == [
        [False, False, True],
        [True, False, False],
    ]


@pytest.fixture
def yellow(colours, plain):
    """Two images: a red one that is nearly blue, and a green one that is nearly blue."""
    images = plain((240, 0, 200), (0, 240, 200))
    return lambda **settings: colours(images, [0, 1], **settings)


def test_curves_by_hand(yellow):
    # Weight x on one image leaves x * 240 of its colour, (1 - x) * 240 of the other's, and 200 of blue: blue is
    # predicted where both are below 200, which is for x from 1/6 to 5/6.
    values = dict(BetweenClass(steps=5, pairs=40).answer(yellow()))
    mixup, cutmix = values["between_class/mixup"], values["between_class/cutmix"]
    assert mixup.x == [0, 0.25, 0.5, 0.75, 1]
    assert mixup.y == [0, 100, 100, 100, 0]
    assert values["between_class/mixup/mean"] == 60
    # Sides 8, 6, 4, 2, 0 of 8 leave 0, 28/64, 48/64, 60/64 and 1: the fourth is above 5/6.
    assert cutmix.x == [0, 28 / 64, 48 / 64, 60 / 64, 1]
    assert cutmix.y == [0, 100, 100, 0, 0]
    assert values["between_class/cutmix/mean"] == 40
    assert values["between_class/cutmix/mean"].n == 40
    assert set(BetweenClass().about) == set(values)


def test_logits_that_are_not_finite_are_no_answer(yellow, monkeypatch):
    subject = yellow()
    forward = subject.model.forward
    first = torch.tensor([[True], [False], [False], [False], [False]])
    monkeypatch.setattr(subject.model, "forward", lambda images: forward(images).masked_fill(first, torch.nan))
    with pytest.raises(UsageError, match="not finite for 4 of 20 images"):  # five pairs, two mixes of two kinds
        list(BetweenClass(steps=2, pairs=5).answer(subject))


@pytest.fixture
def three(colours, plain):
    """Eleven images of three classes, of which some pairs are taken for neither class and some are not."""
    labels = np.arange(11) % 3
    rgb_N3 = np.random.default_rng(3).integers(40, 160, (11, 3))
    rgb_N3[np.arange(11), labels] = 160
    return lambda **settings: colours(plain(*rgb_N3), labels, **settings)


def test_the_answer_hangs_on_the_seed_and_not_on_the_batch_size(three):
    def answer(**settings):
        question = BetweenClass(steps=3, pairs=30)
        return {name: getattr(value, "y", value) for name, value in question.answer(three(**settings))}

    whole = answer()
    assert 0 < whole["between_class/mixup/mean"] < 100
    assert answer(batch_size=1) == answer(batch_size=7) == whole
    assert answer(seed=5) != whole


def test_as_many_pairs_as_images(three):
    assert dict(BetweenClass(steps=2).answer(three()))["between_class/mixup/mean"].n == 11
    assert dict(BetweenClass(steps=2).answer(three(limit=4)))["between_class/mixup/mean"].n == 4


@pytest.mark.parametrize("settings", [{"steps": 1}, {"pairs": 0}])
def test_too_few_are_refused(settings):
    with pytest.raises(UsageError, match="at least 2 steps and 1 pair"):
        BetweenClass(**settings)
