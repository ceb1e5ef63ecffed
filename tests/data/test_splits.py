"""Splits, and what a data set refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data import ArraySplit, Data, PhotoSplit
from cutmix.data.splits import measured_mean_std
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
        ({"train": split_of([1, 1])}, "test images but no training image of 1 class(es): a."),
        ({"classes": ("a", "b", "c"), "test": split_of([2, 0, 2])}, "no training image of 1 class(es): c."),
        ({"image_size": 5}, "holds images of 4x4; image_size is 5"),
        ({"std": (0.1, 0.0, 0.1)}, "every channel must vary"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data: Data, change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        replace(data, **change)


def test_of_many_classes_without_training_images_the_first_are_named() -> None:
    half, classes = (0.5, 0.5, 0.5), tuple("abcdefgh")
    with pytest.raises(UsageError, match=r"no training image of 6 class\(es\): a, c, d, e, f, \.\.\.\."):
        Data("many", classes, split_of([1, 7]), split_of([0, 1, 2, 3, 4, 5, 6]), half, half, 4, flip=False)


def photo_data(root: Path, train: list[str], test: list[str]) -> Data:
    """Photos that are never opened; the class is the name of the folder that holds them."""

    def split(names: list[str]) -> PhotoSplit:
        return PhotoSplit(
            tuple(root / name for name in names),
            np.array([["cat", "cow"].index(Path(name).parent.name) for name in names]),
        )

    half = (0.5, 0.5, 0.5)
    return Data(root.name, ("cat", "cow"), split(train), split(test), half, half, 224, flip=True)


TRAIN, TEST = ["cat/0.jpg", "cat/1.jpg", "cow/0.jpg"], ["cat/2.jpg", "cow/1.jpg"]


def test_a_fingerprint_of_photos_names_the_files_of_both_sides_wherever_they_lie() -> None:
    first = photo_data(Path("/somewhere/pets"), TRAIN, TEST).fingerprint
    assert re.fullmatch("[0-9a-f]{16}", first)
    for place in ("/else", "relative", "."):
        assert photo_data(Path(place), TRAIN, TEST).fingerprint == first
    exchanged = ["cat/0.jpg", "cat/2.jpg", "cow/0.jpg"], ["cat/1.jpg", "cow/1.jpg"]
    moved = [*TRAIN, "cow/1.jpg"], TEST[:1]
    renamed = ["cat/0.png", *TRAIN[1:]], TEST
    others = [photo_data(Path("/somewhere/pets"), *names).fingerprint for names in (exchanged, moved, renamed)]
    assert len({first, *others}) == 4


def test_a_fingerprint_of_small_images_is_of_their_pixels_labels_and_classes(data: Data) -> None:
    assert re.fullmatch("[0-9a-f]{16}", data.fingerprint)
    every_second = ArraySplit(np.repeat(data.train.images_NHWC, 2, axis=0)[::2], data.train.labels_N)  # type: ignore[union-attr]
    for change in ({}, {"name": "other", "note": ""}, {"train": every_second}):
        assert replace(data, **change).fingerprint == data.fingerprint
    pixel = data.test.images_NHWC.copy()  # type: ignore[union-attr]
    pixel[1, 3, 2, 1] = 7
    others = [
        {"classes": ("a", "c")},
        {"train": ArraySplit(data.train.images_NHWC, np.array([0, 0, 1, 1, 1]))},  # type: ignore[union-attr]
        {"test": ArraySplit(pixel, data.test.labels_N)},
        {"train": data.test, "test": data.train},
    ]
    assert len({data.fingerprint, *(replace(data, **change).fingerprint for change in others)}) == 5
