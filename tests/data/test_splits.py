"""Splits, and what a data set refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data import ArraySplit, Data, PhotoSplit
from cutmix.data.splits import class_balanced_order, measured_mean_std
from cutmix.errors import UsageError


def split_of(labels: list[int], side: int = 4) -> ArraySplit:
    images = np.zeros((len(labels), side, side, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    return ArraySplit(images, np.array(labels, dtype=np.int64))


@pytest.fixture
def data() -> Data:
    half = (0.5, 0.5, 0.5)
    return Data(
        "made-up", ("a", "b"), split_of([0, 0, 0, 1, 1]), split_of([1, 0]), half, half, 4, flip=False, note="mine"
    )


def test_the_first_of_every_class_come_first() -> None:
    labels = np.array([1, 1, 0, 1, 2, 0])
    assert class_balanced_order(labels).tolist() == [0, 2, 4, 1, 5, 3]


def test_a_limit_takes_the_balanced_order_and_says_so(data: Data) -> None:
    few = data.limit(train=3, test=1)
    assert [int(picture[0, 0, 0]) for picture in few.train.pictures(range(3))] == [0, 3, 1]
    assert few.train.labels_N.tolist() == [0, 1, 0]
    assert few.test.labels_N.tolist() == [1]
    assert few.note == "mine; train limited to 3 of 5 images; test limited to 1 of 2 images"


def test_a_limit_that_does_not_bind_changes_nothing(data: Data) -> None:
    same = data.limit(train=5, test=None)
    assert same.train is data.train
    assert same.note == "mine"
    with pytest.raises(UsageError, match="limit asks for 0"):
        data.limit(train=0)


def test_mean_and_std_of_every_channel() -> None:
    images = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    images[0, :, :, 0] = [[255, 0], [0, 0]]  # mean 1/4, std sqrt(3)/4
    images[0, :, :, 1] = 51  # 0.2
    images[0, :, :, 2] = [[102, 0], [102, 0]]  # mean 0.2, std 0.2
    mean, std = measured_mean_std(images)
    assert mean == (0.25, 0.2, 0.2)
    assert std == (0.433, 0.0, 0.2)


def test_photos_are_decoded_when_shown(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    split = PhotoSplit((tmp_path / "a.png", tmp_path / "missing.png"), np.array([1, 0]))
    assert np.array_equal(split.pictures([0])[0], pixels)
    assert split.subset(np.array([1])).paths == (tmp_path / "missing.png",)
    assert repr(split) == "<2 photos>"


def test_a_repr_is_short(data: Data) -> None:
    assert repr(data.train) == "<5 images of 4x4>"
    assert len(repr(data)) < 300


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 3)), "float64 of shape"),
        (np.zeros((2, 4, 4), dtype=np.uint8), r"shape \(2, 4, 4\)"),
        (np.zeros((2, 4, 4, 1), dtype=np.uint8), r"shape \(2, 4, 4, 1\)"),
    ],
)
def test_other_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ArraySplit(images, np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize(
    "labels", [np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int32), np.zeros((2, 1), np.int64)]
)
def test_other_labels_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"int64 \(2,\) is accepted"):
        ArraySplit(np.zeros((2, 4, 4, 3), dtype=np.uint8), labels)
    with pytest.raises(UsageError, match=r"int64 \(2,\) is accepted"):
        PhotoSplit((Path("a"), Path("b")), labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("a",)}, "1 class; at least 2"),
        ({"classes": ("a", "b", "a")}, "names a class twice: 'a'"),
        ({"train": split_of([])}, "train part of made-up holds no images"),
        ({"test": split_of([])}, "test part of made-up holds no images"),
        ({"train": split_of([0, 2])}, "labels from 0 to 2; with 2 classes 0 to 1"),
        ({"test": split_of([-1, 1])}, "labels from -1 to 1"),
        ({"image_size": 5}, "holds images of 4x4; image_size is 5"),
        ({"std": (0.1, 0.0, 0.1)}, "every channel must vary"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data: Data, change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(data, **change)
