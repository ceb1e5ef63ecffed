"""Where chance comes from: generators of three kinds, handed in."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.mixing import CutMix, Draws

SHAPE = (6, 3, 9, 7)


def test_a_torch_generator_seeds_the_draws_and_is_advanced() -> None:
    def boxes(rng: torch.Generator) -> list[tuple]:
        return [CutMix().draw(SHAPE, rng).box for _ in range(3)]

    rng = torch.Generator().manual_seed(3)
    first, more = boxes(rng), boxes(rng)
    assert boxes(torch.Generator().manual_seed(3)) == first
    assert len({*first, *more}) > 3


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_numpy_generators_are_used_as_they_are(make) -> None:
    draws, plain = Draws(make(5)), make(5)
    assert draws.gate(0.3, ()) == (plain.random() < 0.3)
    assert draws.share(0.7, ()) == plain.beta(0.7, 0.7)
    assert draws.partners(4).tolist() == plain.permutation(4).tolist()


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_rows_are_drawn_before_columns(make) -> None:
    plain = make(8)
    integers = plain.integers if isinstance(plain, np.random.Generator) else plain.randint
    rows, columns = Draws(make(8)).pixel((4, 60), (5,))
    assert rows.tolist() == integers(4, size=5).tolist()
    assert columns.tolist() == integers(60, size=5).tolist()


def test_pixels_are_uniform_over_the_image() -> None:
    rows, columns = Draws(np.random.default_rng(0)).pixel((3, 5), (6000,))
    counts = np.bincount(rows * 5 + columns, minlength=15)
    assert len(counts) == 15
    assert np.sum((counts - 400) ** 2 / 400) < 36.12  # chi-square of 14 degrees of freedom: exceeded once in a thousand


def test_no_generator_is_an_error_at_the_first_draw() -> None:
    draws = Draws(None)
    for draw in (
        lambda: draws.gate(1.0, ()),
        lambda: draws.share(1.0, ()),
        lambda: draws.pixel((3, 4), ()),
        lambda: draws.partners(3),
    ):
        with pytest.raises(UsageError, match=r"rng is None.*numpy.random.Generator"):
            draw()


def test_a_seed_is_no_generator() -> None:
    with pytest.raises(UsageError, match=r"rng is 7, .*default_rng\(seed\)"):
        Draws(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("rng", [np.random, torch, "7"])
def test_a_module_or_a_string_is_no_generator(rng) -> None:
    with pytest.raises(UsageError, match="must be a numpy.random.Generator"):
        Draws(rng)


def test_a_generator_on_a_device_is_refused() -> None:
    rng = mock.Mock(spec=torch.Generator, device=torch.device("cuda", 1))
    with pytest.raises(UsageError, match="rng is on cuda:1"):
        Draws(rng)


def test_what_is_given_is_not_drawn() -> None:
    draws = Draws(None)
    assert draws.gate(0.0, (), True)
    assert draws.share(1.0, (3,), 0.2).tolist() == [0.2, 0.2, 0.2]
    assert draws.share(1.0, (), [0.2, 0.9]).tolist() == [0.2, 0.9]
    assert draws.partners(3, torch.tensor([2, 0, 0])).tolist() == [2, 0, 0]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), [[0.3]], [0.3, 2.0]])
def test_a_share_outside_0_and_1_is_refused(share) -> None:
    with pytest.raises(UsageError, match="from 0 to 1"):
        Draws(None).share(1.0, (), share)


@pytest.mark.parametrize("partners", [[0, 1], [0.0, 1.0, 2.0], 1, [[0, 1, 2]], [True, False, True]])
def test_partners_are_whole_numbers_one_for_each_image(partners) -> None:
    with pytest.raises(UsageError, match="Partners are 3 whole numbers"):
        Draws(None).partners(3, partners)
