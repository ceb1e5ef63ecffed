"""Learning rates at positions worked out by hand."""

import math

import pytest

from cutmix.errors import UsageError
from cutmix.training.schedules import Constant, Cosine, Every, Steps


def official_cifar_factor(epoch: int, epochs: int) -> float:
    return 0.1 ** (epoch // (epochs * 0.5)) * 0.1 ** (epoch // (epochs * 0.75))


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 30, 101, 300])
def test_steps_is_the_official_cifar_rule_for_any_length(epochs):
    for epoch in range(epochs):
        assert Steps().factor(epoch, 3, 5, epochs) == pytest.approx(official_cifar_factor(epoch, epochs))


def test_steps_falls_at_150_and_225_of_300():
    factors = [Steps().factor(epoch, 0, 10, 300) for epoch in (0, 149, 150, 224, 225, 299)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_every_is_the_official_imagenet_rule():
    assert [Every(75).factor(e, 0, 9, 300) for e in (74, 75, 225)] == pytest.approx([1, 0.1, 0.001])
    assert Every().factor(179, 0, 9, 200) == pytest.approx(1e-5)  # five decays, at 30, 60, 90, 120, 150
    assert Every().factor(180, 0, 9, 200) == pytest.approx(1e-6)


def test_cosine_moves_each_step_from_one_to_the_floor():
    assert Cosine().factor(0, 0, 4, 10) == 1
    assert Cosine().factor(2, 2, 4, 10) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.25)))
    assert Cosine(floor=0.2).factor(5, 0, 4, 10) == pytest.approx(0.6)
    assert Cosine(floor=0.2).factor(9, 3, 4, 10) > 0.2


@pytest.mark.parametrize("schedule", [Steps(warmup=2), Every(warmup=2), Cosine(warmup=2), Constant(warmup=2)])
def test_warmup_rises_by_equal_steps_to_the_peak(schedule):
    rises = [schedule.factor(epoch, step, 5, 20) for epoch in (0, 1) for step in range(5)]
    assert rises == pytest.approx([0.1 * k for k in range(1, 11)])
    assert schedule.factor(2, 0, 5, 20) == 1


def test_cosine_starts_at_its_peak_after_the_warmup():
    assert Cosine(warmup=2).factor(11, 0, 5, 20) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Steps(at=(0.5, 1.0)),
        lambda: Steps(at=(0,)),
        lambda: Every(0),
        lambda: Cosine(floor=-3),
        lambda: Constant(warmup=-2),
    ],
)
def test_impossible_schedules_are_refused(bad):
    with pytest.raises(UsageError):
        bad()
