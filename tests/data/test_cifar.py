"""The official pickles, the .npz form, and what happens without either."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from cutmix.data import ArraySplit, Data, load_data
from cutmix.errors import CutmixError

from .conftest import cifar_pixels, make_cifar10, make_cifar100, write_python2_pickle


def test_the_five_files_follow_one_another(tmp_path: Path) -> None:
    data = load_data(make_cifar10(tmp_path), tmp_path)
    assert data.classes == ("airplane", "automobile", "bird")
    assert data.train.labels_N.tolist() == [0, 1, 2, 1, 0, 1, 2, 2, 0, 1, 2, 0, 0, 1, 2, 1, 0, 1, 2, 2]
    assert data.test.labels_N.tolist() == [2, 2, 1, 1, 0, 0]
    assert (data.image_size, data.flip) == (32, True)


def test_pixels_are_planes_of_rows(tmp_path: Path) -> None:
    data = load_data(make_cifar10(tmp_path), tmp_path)
    flat = cifar_pixels(4, 2)[1]  # the second image of the second file
    image = data.train.pictures([5])[0]
    for row, column, channel in ((0, 0, 0), (0, 7, 1), (31, 2, 2)):
        assert image[row, column, channel] == flat[channel * 1024 + row * 32 + column]


def test_the_constants_are_the_official_codes(tmp_path: Path) -> None:
    for make in (make_cifar10, make_cifar100):
        data = load_data(make(tmp_path), tmp_path)
        assert [round(value * 255, 1) for value in data.mean] == [125.3, 123.0, 113.9]
        assert [round(value * 255, 1) for value in data.std] == [63.0, 62.1, 66.7]


def test_cifar100_has_its_fine_labels(tmp_path: Path) -> None:
    data = load_data(make_cifar100(tmp_path), tmp_path)
    assert data.classes == ("apple", "bear")
    assert data.train.labels_N.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.test.labels_N.tolist() == [1, 0]


def test_a_folder_of_its_own_is_found_too(tmp_path: Path) -> None:
    make_cifar10(tmp_path / "cifar10")
    assert len(load_data("cifar10", tmp_path).test) == 6


def test_the_npz_form_keeps_the_official_constants(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    for part in ("train", "test"):
        labels = np.array([0, 1, 1, 0], dtype=np.uint8)
        np.savez(tmp_path / "cifar10" / f"{part}.npz", images=images, labels=labels, classes=np.array(["a", "b"]))
    data = load_data("cifar10", tmp_path)
    assert data.name == "cifar10"
    assert isinstance(data.train, ArraySplit)
    assert np.array_equal(data.train.images_NHWC, images)
    assert data.mean[0] == 125.3 / 255


def test_a_newer_pickle_is_read_too(tmp_path: Path) -> None:
    make_cifar10(tmp_path)
    content = {b"data": cifar_pixels(6, 9), b"labels": [0, 0, 1, 1, 2, 2]}
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(content, protocol=4))
    assert load_data("cifar10", tmp_path).test.labels_N.tolist() == [0, 0, 1, 1, 2, 2]


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    make_cifar10(tmp_path)
    target = tmp_path / "made by the attack"
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({b"data": _Attack(target)}))
    with pytest.raises(CutmixError, match=r"test_batch: is not an official CIFAR file.*mkdir"):
        load_data("cifar10", tmp_path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({b"data": cifar_pixels(2, 0), b"fine_labels": [0, 1]}, "KeyError"),
        ({b"data": cifar_pixels(2, 0)[:, :5], b"labels": [0, 1]}, r"shape \(2, 5\)"),
        ({b"data": cifar_pixels(2, 0), b"labels": [0]}, "1 labels"),
        ({b"data": cifar_pixels(2, 0) / 2, b"labels": [0, 1]}, "float64"),
        ({b"data": cifar_pixels(2, 0), b"labels": [0, 3]}, "labels from 0 to 3"),
    ],
)
def test_files_that_hold_something_else_are_named(tmp_path: Path, content: dict, message: str) -> None:
    make_cifar10(tmp_path)
    write_python2_pickle(tmp_path / "cifar-10-batches-py" / "test_batch", content)
    with pytest.raises(CutmixError, match=message):
        load_data("cifar10", tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    make_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    with pytest.raises(CutmixError, match="data_batch_3 is missing"):
        load_data("cifar10", tmp_path)


def test_without_a_network_it_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(CutmixError) as caught:
        load_data("cifar100", tmp_path / "data")
    message = str(caught.value)
    assert "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz" in message
    assert "there is no network in tests" in message
    assert f"Put cifar-100-python.tar.gz into {tmp_path / 'data'}" in message


def test_with_a_network_it_is_downloaded_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    asked = []

    class Fake:
        url = "somewhere"

        def __init__(self, root: Path, download: bool) -> None:
            asked.append((root, download))
            make_cifar10(Path(root))

    monkeypatch.setattr(datasets, "CIFAR10", Fake)
    data: Data = load_data("cifar10", tmp_path / "new")
    assert asked == [(tmp_path / "new", True)]
    assert len(data.train) == 20
