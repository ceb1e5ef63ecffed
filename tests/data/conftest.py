"""Small made-up copies of every set's layout on disk, and nothing from outside: no network, no user cache."""

from __future__ import annotations

import gzip
import pickle
import struct
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from cutmix.data import fashion_mnist

Maker = Callable[[Path], str]
"""Writes a set below a root, and returns what to ask ``load_data`` for."""


@pytest.fixture(autouse=True)
def _nothing_from_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("there is no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path_factory.mktemp("debian"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("CUTMIX_DATA", raising=False)


@pytest.fixture
def makers() -> dict[str, Maker]:
    """By the name of the set."""
    return {
        "cifar10": make_cifar10,
        "cifar100": make_cifar100,
        "fashion_mnist": make_fashion_mnist,
        "digits": lambda root: "digits",
        "imagenet": make_imagenet,
        "tiny_imagenet": make_tiny_imagenet,
        "cub200": make_cub200,
        "oxford_pets": make_oxford_pets,
        "folder": make_folder,
        "arrays": make_arrays,
    }


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what Python 2 wrote: byte strings as strings, truth values as numbers."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, value: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(value)) + value)

    def save_bool(self, value: bool) -> None:
        self.write(b"K\x01" if value else b"K\x00")

    dispatch[bytes] = save_bytes
    dispatch[bool] = save_bool


def write_python2_pickle(path: Path, content: dict[bytes, Any]) -> None:
    """``content`` as the official files are: protocol 2, numpy's names of that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        _Python2Pickler(file, protocol=2).dump(content)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def cifar_pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def make_cifar10(root: Path) -> str:
    folder = root / "cifar-10-batches-py"
    names = [b"airplane", b"automobile", b"bird"]
    write_python2_pickle(folder / "batches.meta", {b"label_names": names, b"num_cases_per_batch": 4})
    for number in range(1, 6):
        content = {b"data": cifar_pixels(4, number), b"labels": [0, 1, 2, number % 3]}
        write_python2_pickle(folder / f"data_batch_{number}", content)
    write_python2_pickle(folder / "test_batch", {b"data": cifar_pixels(6, 9), b"labels": [2, 2, 1, 1, 0, 0]})
    return "cifar10"


def make_cifar100(root: Path) -> str:
    folder = root / "cifar-100-python"
    write_python2_pickle(folder / "meta", {b"fine_label_names": [b"apple", b"bear"], b"coarse_label_names": [b"food"]})
    train = {b"data": cifar_pixels(6, 1), b"fine_labels": [0, 1, 0, 1, 0, 1], b"coarse_labels": [0] * 6}
    write_python2_pickle(folder / "train", train)
    write_python2_pickle(
        folder / "test", {b"data": cifar_pixels(2, 2), b"fine_labels": [1, 0], b"coarse_labels": [0, 0]}
    )
    return "cifar100"


def idx_bytes(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return header + values.tobytes()


def make_fashion_mnist(root: Path, packed: bool = False) -> str:
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        files = {
            f"{part}-images-idx3-ubyte": rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            f"{part}-labels-idx1-ubyte": np.arange(count, dtype=np.uint8) % 10,
        }
        for name, values in files.items():
            content = idx_bytes(values)
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
    return "fashion_mnist"


def write_picture(path: Path, width: int, height: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def make_imagenet(root: Path) -> str:
    for part, count in (("train", 3), ("val", 2)):
        for wnid in ("n01440764", "n01443537"):
            for number in range(count):
                path = root / "ILSVRC" / part / wnid / f"{part}_{number}.JPEG"
                write_picture(path, 40 + number, 30, seed=int(wnid[1:]) + count)
    return "imagenet"


def make_tiny_imagenet(root: Path) -> str:
    """Two classes in the order of their names, not of wnids.txt; the second val image of the first has no real box."""
    folder = root / "tiny-imagenet-200"
    wnids = ("n01443537", "n01629819")
    for number, wnid in enumerate(wnids):
        names = [f"{wnid}_{image}.JPEG" for image in range(3)]
        for image, name in enumerate(names):
            write_picture(folder / "train" / wnid / "images" / name, 64, 64, seed=10 * number + image)
        lines = [f"{name}\t{image}\t3\t{40 + image}\t50" for image, name in enumerate(names)]
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("\n".join(lines) + "\n")
    rows = [(1, "0\t0\t63\t63"), (0, "5\t10\t20\t49"), (0, "7\t7\t7\t30")]
    for image, _ in enumerate(rows):
        write_picture(folder / "val/images" / f"val_{image}.JPEG", 64, 64, seed=30 + image)
    lines = [f"val_{image}.JPEG\t{wnids[number]}\t{box}" for image, (number, box) in enumerate(rows)]
    (folder / "val/val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(reversed(wnids)) + "\n")
    (folder / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n")
    return "tiny_imagenet"


def make_cub200(root: Path) -> str:
    """Five photos of 40x30 pixels; numbers 2 and 5 are tested on."""
    folder = root / "CUB_200_2011"
    names = ["001.Black_footed_Albatross/a.jpg", "001.Black_footed_Albatross/b.jpg", "002.Laysan_Albatross/c.jpg"]
    names += ["002.Laysan_Albatross/d.jpg", "002.Laysan_Albatross/e.jpg"]
    for number, name in enumerate(names):
        write_picture(folder / "images" / name, 40, 30, seed=number)
    tables = {
        "images.txt": names,
        "classes.txt": ["001.Black_footed_Albatross", "002.Laysan_Albatross"],
        "image_class_labels.txt": ["1", "1", "2", "2", "2"],
        "train_test_split.txt": ["1", "0", "1", "1", "0"],
        "bounding_boxes.txt": [f"{number}.0 5.0 20.0 10.0" for number in range(5)],
    }
    for file, values in tables.items():
        lines = [f"{number} {value}" for number, value in enumerate(values, start=1)]
        (folder / file).write_text("\n".join(lines) + "\n")
    return "cub200"


def make_oxford_pets(root: Path) -> str:
    """Two breeds; the outline of photo n covers columns n + 2 to 20 and rows 4 to 11 of 40x30 pixels."""
    folder = root / "oxford-iiit-pet"
    names = [f"{breed}_{number}" for breed in ("Abyssinian", "american_bulldog") for number in (1, 2, 3)]
    for number, name in enumerate(names):
        write_picture(folder / "images" / f"{name}.jpg", 40, 30, seed=number)
        outline = np.full((30, 40), 2, np.uint8)
        outline[4:12, number + 2 : 21] = 3
        outline[5:11, number + 3 : 20] = 1
        path = folder / "annotations/trimaps" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(outline).save(path)
    for file, part in (("trainval.txt", (0, 1, 3)), ("test.txt", (5, 4, 2))):
        lines = [f"{names[number]} {1 + number // 3} 1 1" for number in part]
        (folder / "annotations" / file).write_text("\n".join(lines) + "\n")
    return "oxford_pets"


def make_folder(root: Path) -> str:
    for name, seed in (("cat", 0), ("dog", 1), ("eel", 2)):
        for number in range(5):
            write_picture(root / "pets" / name / f"{number}.png", 30 + number, 25, seed=10 * seed + number)
    return f"folder:{root / 'pets'}"


def make_arrays(root: Path) -> str:
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 6)):
        folder = root / "mine"
        folder.mkdir(parents=True, exist_ok=True)
        images = rng.integers(0, 256, (count, 10, 10, 3), dtype=np.uint8)
        np.savez(folder / f"{part}.npz", images=images, labels=np.arange(count) % 3, classes=np.array(["a", "b", "c"]))
    return f"arrays:{root / 'mine'}"
