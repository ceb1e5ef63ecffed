"""train.npz and test.npz: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cutmix.data import ArraySplit, load_data
from cutmix.data.arrays import resized
from cutmix.errors import CutmixError, UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 10, 10, 3), dtype=np.uint8)


def write(folder: Path, part: str = "train", **changes: object) -> None:
    members = {"images": IMAGES, "labels": np.arange(6) % 3, "classes": np.array(["a", "b", "c"])} | changes
    np.savez(folder / f"{part}.npz", **{name: value for name, value in members.items() if value is not None})


def test_images_labels_and_classes_are_read(tmp_path: Path) -> None:
    write(tmp_path, labels=np.array([2, 0, 1, 1, 0, 2], dtype=np.uint8))
    write(tmp_path, "test", images=IMAGES[:2], labels=np.array([1, 0]))
    data = load_data(f"arrays:{tmp_path}")
    assert isinstance(data.train, ArraySplit)
    assert np.array_equal(data.train.images_NHWC, IMAGES)
    assert data.train.labels_N.tolist() == [2, 0, 1, 1, 0, 2]
    assert data.test.labels_N.tolist() == [1, 0]
    assert data.classes == ("a", "b", "c")
    assert (data.name, data.image_size) == (tmp_path.name, 10)
    assert data.mean == pytest.approx(IMAGES.mean(axis=(0, 1, 2)) / 255, abs=1e-4)
    assert data.std == pytest.approx(IMAGES.std(axis=(0, 1, 2)) / 255, abs=1e-4)


@pytest.mark.parametrize("shape", [(6, 10, 10), (6, 10, 10, 1)])
def test_grey_becomes_rgb(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = IMAGES[..., 1].reshape(shape)
    write(tmp_path, images=grey)
    write(tmp_path, "test", images=grey)
    shown = load_data(f"arrays:{tmp_path}").train.pictures([4])[0]
    assert all(np.array_equal(shown[..., channel], IMAGES[4, ..., 1]) for channel in range(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES / 255}, "images are float64"),
        ({"images": IMAGES[..., :2]}, r"shape \(6, 10, 10, 2\)"),
        ({"images": IMAGES[:, 0]}, "images are 10x3; square ones"),
        ({"images": IMAGES[:, :8]}, "images are 8x10; square ones"),
        ({"labels": np.arange(5)}, r"labels are int64 of shape \(5,\)"),
        ({"labels": np.arange(6) / 2}, "labels are float64"),
        ({"labels": np.array([0, 1, 2, 3, 0, 1])}, "labels go from 0 to 3; with 3 classes 0 to 2"),
        ({"labels": np.array([0, 1, -1, 1, 0, 1])}, "labels go from -1"),
        ({"classes": np.arange(3)}, "classes are int64"),
        ({"classes": np.array(["a", "c", "b"])}, r"test.npz a, b, c \(3\); both must list the same"),
        ({"classes": None}, "holds no classes"),
        ({"images": None, "labels": None}, "holds no images, labels"),
        ({"classes": np.array(["a", "b", "c"], dtype=object)}, "holds Python objects"),
        ({"images": np.array([None] * 6)}, "holds Python objects"),
        ({"images": IMAGES[:0], "labels": np.arange(0)}, r"train\.npz: holds no images\."),
    ],
)
def test_what_is_not_accepted_is_named(tmp_path: Path, changes: dict, message: str) -> None:
    write(tmp_path, **changes)
    write(tmp_path, "test")
    with pytest.raises(CutmixError, match=message) as caught:
        load_data(f"arrays:{tmp_path}")
    assert tmp_path.name in str(caught.value)


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path) -> None:
    write(tmp_path, labels=np.array([0, 1, 0, 1, 0, 1]))
    write(tmp_path, "test")
    with pytest.raises(CutmixError, match=r"no training image of 1 class\(es\): c\."):
        load_data(f"arrays:{tmp_path}")


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x93NUMPY\x01\x00v\x00"])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "test")
    (tmp_path / "train.npz").write_bytes(content)
    with pytest.raises(CutmixError, match=r"train\.npz: "):
        load_data(f"arrays:{tmp_path}")


def test_one_array_instead_of_an_archive_is_named(tmp_path: Path) -> None:
    with (tmp_path / "train.npz").open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(CutmixError, match=r"train\.npz: is not a readable \.npz file"):
        load_data(f"arrays:{tmp_path}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(CutmixError, match=r"test\.npz is missing"):
        load_data(f"arrays:{tmp_path}")


def test_images_are_resized_once_in_memory(tmp_path: Path) -> None:
    flat = np.full((2, 5, 8, 3), 90, dtype=np.uint8)
    split = resized(ArraySplit(flat, np.array([1, 0])), 6)
    assert np.array_equal(split.images_NHWC, np.full((2, 6, 6, 3), 90))
    assert split.labels_N.tolist() == [1, 0]
    assert resized(split, 6) is split
    assert resized(split, None) is split
    with pytest.raises(UsageError, match="image_size is 65; images in memory can be resized to 1 to 64"):
        resized(split, 65)
