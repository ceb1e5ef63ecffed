"""A method that is switched off for the last part of the run."""

from __future__ import annotations

import numpy as np
import pytest

from cutmix.errors import UsageError
from cutmix.mixing import CutMix, FeatureCutMix, NoMixing, Scheduled, Until


def test_nothing_is_mixed_from_that_moment_on() -> None:
    mixing = Until(CutMix(alpha=0.3), until=0.7)
    assert mixing.at(0.0) == mixing.at(0.699) == CutMix(alpha=0.3)
    assert mixing.at(0.7) == mixing.at(0.99) == NoMixing()
    # Of 300 epochs of 10 steps the first 270 are mixed.
    steps = [Until().at(step / 3000) != NoMixing() for step in range(3000)]
    assert steps == [True] * 2700 + [False] * 300


def test_it_holds_others() -> None:
    assert Until(Scheduled(end=0.5), until=0.8).at(0.4) == CutMix(prob=0.2)
    assert Until(FeatureCutMix(layers=(2,))).hidden_layers == (2,)
    assert Until(until=1).at(0.999) == CutMix()
    assert Until(until=0).at(0.0) == NoMixing()


def test_without_the_moment_it_is_an_error() -> None:
    with pytest.raises(UsageError, match="how much of the run is done"):
        Until().draw((2, 1, 4, 6), np.random.default_rng(0))
    with pytest.raises(UsageError, match=r"until=270 must be from 0 to 1"):
        Until(until=270)
