"""AutoAttack through its library: what it changes, what it leaves alone, and that it is named when it is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from cutmix.errors import UsageError
from cutmix.evaluation import autoattack
from cutmix.evaluation.autoattack import AutoAttack, auto_attack
from cutmix.evaluation.pgd import pgd
from cutmix.evaluation.subject import OnPixels
from cutmix.evaluation.values import Missing

pytest.importorskip("pyautoattack")


def curved(classes: int = 4) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Conv2d(6, classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return OnPixels(nn.Sequential(*layers), (0.3, 0.5, 0.4), (0.2, 0.25, 0.1)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(4, 3, 6, 8, generator=torch.Generator().manual_seed(2))


def test_it_is_at_least_as_strong_as_pgd_and_leaves_all_else_alone(images):
    model = curved()
    with torch.no_grad():
        labels = model(images).argmax(1)
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), sys.gettrace()
    eps = 8 / 255
    attacked = auto_attack(model, images, labels, eps=eps, attacks=("apgd-ce", "fab-t"), seed=3)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert sys.gettrace() is before[2]
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert (attacked - images).abs().max() <= eps + 1e-6
    assert 0 <= attacked.min() <= attacked.max() <= 1
    with torch.no_grad():
        ours = (model(pgd(model, images, labels, eps=eps)).argmax(1) == labels).sum()
        theirs = (model(attacked).argmax(1) == labels).sum()
    assert theirs <= ours < len(images)


def test_the_seed_decides(images):
    labels = torch.tensor([0, 1, 2, 0])
    once, again = (auto_attack(curved(), images, labels, attacks=("apgd-ce",), seed=3) for _ in range(2))
    assert torch.equal(once, again)


def test_what_cannot_be_attacked_is_refused(images):
    with pytest.raises(UsageError, match="Is 8/255 meant"):
        auto_attack(curved(), images, torch.zeros(4, dtype=torch.int64), eps=8)
    with pytest.raises(UsageError, match="3 classes; apgd-t and fab-t need at least 4"):
        auto_attack(curved(classes=3), images, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UsageError, match="some of apgd-ce"):
        AutoAttack(attacks=("pgd",))


def test_the_question_by_hand(colours, plain):
    # Margins of 12 and 60 between the colours; the attack can close 16.
    subject = colours(plain((112, 100, 100), (0, 60, 0)), [0, 1])
    question = AutoAttack(attacks=("apgd-ce",))
    values = dict(question.answer(subject))
    assert values["autoattack/accuracy"] == 50
    assert values["autoattack/largest_change"] <= 8.001
    weaker = dict(AutoAttack(eps=4 / 255, attacks=("apgd-ce",)).answer(subject))  # closes 8
    assert weaker["autoattack/accuracy"] == 100
    assert set(question.about) == set(values)


def test_the_library_is_seeded_by_the_evaluations_seed(colours, plain, monkeypatch):
    seeds = []

    def noted(model, pixels_BCHW, labels_B, *, seed, **settings):
        seeds.append(seed)
        return pixels_BCHW

    monkeypatch.setattr(autoattack, "auto_attack", noted)
    for seed in (0, 1, 0):
        list(AutoAttack().answer(colours(plain((112, 100, 100)), [0], seed=seed)))
    assert seeds[0] == seeds[2] != seeds[1]


def test_without_the_extra_it_is_missing(colours, plain, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    ((name, value),) = AutoAttack().answer(colours(plain((9, 0, 0)), [0]))
    assert name == "autoattack"
    assert isinstance(value, Missing)
    assert "pip install 'cutmix[attacks]'" in value.reason
