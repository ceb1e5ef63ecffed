"""Generators named by numbers; drawn splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutmix.data.chance import CROP, ORDER, generator, stratified_split
from cutmix.errors import UsageError


def test_other_numbers_give_other_draws() -> None:
    names = [(0, ORDER, 0), (0, ORDER, 1), (1, ORDER, 0), (0, CROP, 0), (0, ORDER, 0, 0), (0, ORDER), (2**40, ORDER, 0)]
    draws = [generator(*name).integers(0, 2**60) for name in names]
    assert len(set(draws)) == len(names)
    assert draws == [generator(*name).integers(0, 2**60) for name in names]


def test_a_negative_seed_is_named() -> None:
    with pytest.raises(UsageError, match="seed is -3"):
        generator(-3, ORDER)


def test_a_split_takes_the_share_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 20, 5])
    train, test = stratified_split(labels, 0.2, 0)
    assert np.bincount(labels[test]).tolist() == [2, 4, 1]
    assert sorted([*train, *test]) == list(range(35))


def test_the_remainder_goes_to_the_largest_fractions() -> None:
    labels = np.repeat([0, 1, 2], [7, 8, 9])  # a fifth: 1.4, 1.6, 1.8; ceil(4.8) = 5
    _, test = stratified_split(labels, 0.2, 0)
    assert np.bincount(labels[test]).tolist() == [1, 2, 2]


def test_small_classes_are_on_both_sides_and_single_images_are_trained_on() -> None:
    labels = np.repeat([0, 1, 2], [40, 2, 1])
    train, test = stratified_split(labels, 0.2, 0)
    assert np.bincount(labels[test], minlength=3).tolist() == [8, 1, 0]
    assert np.bincount(labels[train], minlength=3).tolist() == [32, 1, 1]


def test_the_seed_draws_the_split() -> None:
    labels = np.arange(60) % 3
    first, again, other = (stratified_split(labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


@settings(max_examples=40, deadline=None)
@given(counts=st.lists(st.integers(0, 12), min_size=1, max_size=6).filter(any), seed=st.integers(0, 3))
def test_every_class_that_can_be_is_on_both_sides(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    train, test = stratified_split(labels, 0.2, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert (labels[train] == label).sum() >= min(count, 1)
        assert (labels[test] == label).sum() >= min(count // 2, 1)
