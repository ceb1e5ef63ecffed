"""Generators named by numbers; drawn splits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutmix.data.chance import CROP, ORDER, even_subset, generator, split_by_name, stratified_split
from cutmix.errors import UsageError


def test_other_numbers_give_other_draws() -> None:
    names = [(0, ORDER, 0), (0, ORDER, 1), (1, ORDER, 0), (0, CROP, 0), (0, ORDER, 0, 0), (0, ORDER), (2**40, ORDER, 0)]
    draws = [generator(*name).integers(0, 2**60) for name in names]
    assert len(set(draws)) == len(names)
    assert draws == [generator(*name).integers(0, 2**60) for name in names]


def test_a_negative_seed_is_named() -> None:
    with pytest.raises(UsageError, match="seed is -3"):
        generator(-3, ORDER)
    with pytest.raises(UsageError, match="seed is -3"):
        split_by_name(np.array([0, 0]), ["a", "b"], 0.2, -3)


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


def named_test(names: dict[str, list[str]], seed: int = 0) -> set[tuple[str, str]]:
    """What a draw by name takes for testing: (class, name), of the names of each class."""
    rows = [(kind, name) for kind, inside in names.items() for name in inside]
    labels = np.array([list(names).index(kind) for kind, _ in rows])
    train, test = split_by_name(labels, [name for _, name in rows], 0.2, seed)
    assert sorted([*train, *test]) == list(range(len(rows)))
    assert test.tolist() == sorted(test)
    return {rows[row] for row in test}


NAMES = {"cat": [f"{number}.jpg" for number in range(30)], "dog": [f"walk/{number}.jpg" for number in range(21)]}


def test_a_draw_by_name_takes_the_quotas_and_hangs_on_the_seed_alone() -> None:
    drawn = named_test(NAMES)
    assert [sum(kind == name for kind, _ in drawn) for name in NAMES] == [6, 5]
    backwards = {kind: names[::-1] for kind, names in reversed(NAMES.items())}
    assert named_test(backwards) == drawn
    assert named_test(NAMES, seed=1) != drawn


def test_the_draw_by_name_never_changes() -> None:
    """A later release has to draw what this one did: networks were trained on the rest."""
    assert named_test({"a": list("0123456789"), "b": ["x", "y"]}, seed=3) == {("a", "1"), ("a", "4"), ("b", "y")}


@pytest.mark.parametrize("new", ["30.jpg", "0.JPG", "walk/a.jpg", "z.png"])
def test_a_file_that_comes_or_goes_moves_no_more_than_the_quotas_do(new: str) -> None:
    for kind in NAMES:
        before, after = named_test(NAMES), named_test({**NAMES, kind: [new, *NAMES[kind]]})
        # At most one file of this class for the new one's place and one of each class for a changed quota.
        assert len((before ^ after) - {(kind, new)}) <= 2
        for other in NAMES:
            ours, theirs = ({name for k, name in drawn if k == other} for drawn in (before, after))
            assert not (ours - theirs and theirs - ours - {new})


def test_an_even_subset_takes_as_many_of_each_class_as_there_are() -> None:
    """Classes of 6, 2 and 4 images: of 9, the second gives both of its own, and the others share the other 7."""
    labels = np.repeat([0, 1, 2], [6, 2, 4])
    counts = np.bincount(labels[even_subset(labels, 9, seed=0)])
    assert counts.tolist() == [4, 2, 3]
    assert np.bincount(labels[even_subset(labels, 5, seed=0)]).tolist() == [2, 2, 1]
    assert even_subset(labels, 12, seed=3).tolist() == list(range(12))


def test_a_smaller_subset_is_part_of_every_larger_one() -> None:
    labels = np.arange(40) % 7
    drawn = [set(even_subset(labels, count, seed=1).tolist()) for count in range(7, 41)]
    assert all(small < large for small, large in pairwise(drawn))
    assert set(even_subset(labels, 20, seed=2).tolist()) != drawn[13]
