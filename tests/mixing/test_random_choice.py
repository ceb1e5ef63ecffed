"""One of several methods for each batch."""

from __future__ import annotations

import numpy as np
import pytest

from cutmix.errors import UsageError
from cutmix.mixing import Blend, CutMix, MixUp, NoMixing, Paste, RandomChoice


def kinds(mixing: RandomChoice, count: int = 2000) -> dict[str, float]:
    rng = np.random.default_rng(0)
    names = [type(mixing.draw((4, 1, 8, 8), rng)).__name__ for _ in range(count)]
    return {name: names.count(name) / count for name in set(names)}


def test_each_is_chosen_as_often_as_its_weight_says() -> None:
    rates = kinds(RandomChoice((MixUp(), CutMix(), NoMixing()), weights=(3, 6, 1)))
    for name, rate in {"Blend": 0.3, "Paste": 0.6, "Keep": 0.1}.items():
        assert abs(rates[name] - rate) < 4 * np.sqrt(rate * (1 - rate) / 2000)
    assert abs(kinds(RandomChoice())["Blend"] - 0.5) < 4 * np.sqrt(0.25 / 2000)


def test_a_weight_of_zero_is_never_chosen() -> None:
    assert set(kinds(RandomChoice((MixUp(), CutMix()), weights=(0, 0.3)), 200)) == {"Paste"}
    assert set(kinds(RandomChoice((MixUp(), CutMix()), weights=(0.3, 0)), 200)) == {"Blend"}


def test_the_choice_is_the_first_draw() -> None:
    rng, plain = np.random.default_rng(1), np.random.default_rng(1)
    plan = RandomChoice().draw((4, 1, 8, 8), rng)
    first = plain.random() < 0.5
    alone = (MixUp() if first else CutMix()).draw((4, 1, 8, 8), plain)
    assert type(plan) is type(alone) is (Blend if first else Paste)
    assert plan.share == alone.share


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (-1, 2), (0, 0), (1, float("inf")), (1, float("nan"))])
def test_weights_that_are_no_proportions_are_refused(weights) -> None:
    with pytest.raises(UsageError, match="must be 2 numbers"):
        RandomChoice((MixUp(), CutMix()), weights=weights)
