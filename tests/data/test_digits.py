"""scikit-learn's digits, with the split that never changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cutmix.data import ArraySplit, Data, load_data


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("digits", Path("nowhere"))


def test_the_split_is_stratified_and_fixed(data: Data) -> None:
    assert (len(data.train), len(data.test)) == (1437, 360)
    train, test = (np.bincount(split.labels_N) for split in (data.train, data.test))
    assert np.abs(test - (train + test) * 0.2).max() < 1
    other_seed = load_data("digits", Path("nowhere"), seed=5)
    assert other_seed.test.labels_N.tolist() == data.test.labels_N.tolist()
    assert "seed 0" in data.note


def test_no_image_is_on_both_sides(data: Data) -> None:
    sides = [{picture.tobytes() for picture in split.pictures(range(len(split)))} for split in (data.train, data.test)]
    assert len(sides[0]) == 1437
    assert not sides[0] & sides[1]


def test_16_grey_levels_become_rgb_bytes(data: Data) -> None:
    from sklearn.datasets import load_digits

    assert isinstance(data.train, ArraySplit)
    levels = set(np.unique(data.train.images_NHWC).tolist())
    assert levels == {round(level * 255 / 16) for level in range(17)}
    first = np.rint(load_digits().images[0] * 255 / 16)
    every = np.concatenate([data.train.images_NHWC, data.test.images_NHWC])  # type: ignore[union-attr]
    assert (every[..., 2] == first).all(axis=(1, 2)).sum() == 1


def test_a_digit_is_not_mirrored_and_its_constants_are_measured(data: Data) -> None:
    assert not data.flip
    assert data.mean == (0.3055,) * 3
    assert data.std == (0.3763,) * 3
    assert (data.image_size, data.classes) == (8, tuple("0123456789"))
    larger = load_data("digits", Path("nowhere"), image_size=32)
    assert larger.train.pictures([0])[0].shape == (32, 32, 3)
