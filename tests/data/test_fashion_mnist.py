"""IDX files, unpacked or not, from torchvision's folder or Debian's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cutmix.data import fashion_mnist, load_data
from cutmix.data.fashion_mnist import read_idx
from cutmix.errors import CutmixError

from .conftest import idx_bytes, make_fashion_mnist


@pytest.mark.parametrize("packed", [False, True])
def test_grey_pictures_become_rgb(tmp_path: Path, packed: bool) -> None:
    data = load_data(make_fashion_mnist(tmp_path, packed), tmp_path)
    first = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)[0]
    assert all(np.array_equal(data.train.pictures([0])[0][..., channel], first) for channel in range(3))
    assert data.train.labels_N.tolist() == [n % 10 for n in range(20)]
    assert (data.classes[0], data.classes[9]) == ("T-shirt/top", "Ankle boot")
    assert (data.mean, data.std, data.image_size, data.flip) == ((0.2860,) * 3, (0.3530,) * 3, 28, True)


def test_debians_folder_is_found(tmp_path: Path) -> None:
    make_fashion_mnist(tmp_path, packed=True)
    shutil.copytree(tmp_path / "FashionMNIST" / "raw", fashion_mnist.DEBIAN, dirs_exist_ok=True)
    assert len(load_data("fashion_mnist", tmp_path / "nothing here").test) == 10


def test_idx_files_have_their_shape_in_the_header(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx_bytes(values))
    assert np.array_equal(read_idx(tmp_path / "a"), values)


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c + b"x", lambda c: b"\0\0\x0d" + c[3:], lambda c: b""])
def test_damaged_idx_files_are_named(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(change(idx_bytes(np.zeros((2, 3), dtype=np.uint8))))
    with pytest.raises(CutmixError, match="a: is not a whole IDX file"):
        read_idx(tmp_path / "a")


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    make_fashion_mnist(tmp_path)
    (tmp_path / "FashionMNIST/raw/t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(CutmixError, match=r"t10k has images of shape \(10, 28, 28\) and labels of shape \(3,\)"):
        load_data("fashion_mnist", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    make_fashion_mnist(tmp_path)
    (tmp_path / "FashionMNIST/raw/train-labels-idx1-ubyte").unlink()
    with pytest.raises(CutmixError, match="train-labels-idx1-ubyte is missing"):
        load_data("fashion_mnist", tmp_path)


def test_without_a_network_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CutmixError) as caught:
        load_data("fashion_mnist", tmp_path)
    message = str(caught.value)
    assert "http" in message
    assert "dataset-fashion-mnist" in message
    assert str(tmp_path / "fashion_mnist") in message
    assert len(message.splitlines()) == 6  # what, three places, what happened, what to do
