"""A probability that rises with the run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import Compose, CutMix, Cutout, ManifoldMixup, MixUp, RandomChoice, Scheduled


def test_the_probability_rises_in_a_line_and_replaces_prob() -> None:
    mixing = Scheduled(CutMix(alpha=0.3, prob=0.9))
    assert mixing.at(0.0) == CutMix(alpha=0.3, prob=0.0)
    assert mixing.at(0.3) == CutMix(alpha=0.3, prob=0.3)
    assert Scheduled(MixUp(), start=0.8, end=0.2).at(0.25).prob == pytest.approx(0.65)
    assert Scheduled(ManifoldMixup()).at(0.3) == ManifoldMixup(prob=0.3)
    assert Scheduled(ManifoldMixup(layers=("a", "b"))).hidden_layers == ("a", "b")


def test_it_is_scheduled_within_others_too() -> None:
    assert Compose((Cutout(), Scheduled())).at(0.3) == Compose((Cutout(), CutMix(prob=0.3)))
    assert RandomChoice((Scheduled(), MixUp()), (1, 2)).at(0.3) == RandomChoice((CutMix(prob=0.3), MixUp()), (1, 2))


def test_without_the_moment_nothing_is_mixed_by_mistake() -> None:
    with pytest.raises(UsageError, match=r"how much of the run is done: mixing.at\(0.3\)"):
        Scheduled()(torch.zeros(2, 1, 4, 6), torch.tensor([0, 1]), np.random.default_rng(0))


@pytest.mark.parametrize("progress", [-0.1, 1.0, 30, float("nan")])
@pytest.mark.parametrize("mixing", [Scheduled(), CutMix(), ManifoldMixup(), Compose()], ids=repr)
def test_a_moment_outside_of_the_run_is_refused(mixing, progress) -> None:
    with pytest.raises(UsageError, match="progress="):
        mixing.at(progress)


def test_what_cannot_be_scheduled_is_refused() -> None:
    with pytest.raises(UsageError, match="has none: schedule its parts"):
        Scheduled(Compose())
    with pytest.raises(UsageError, match=r"prob=1.3"):
        Scheduled(end=1.3)
    with pytest.raises(UsageError, match="mixing method"):
        Scheduled("CutMix")  # type: ignore[arg-type]
