"""CIFAR-10 and CIFAR-100: 50,000 train and 10,000 test images of 32x32 pixels.

Read from torchvision's folders (the official Python archives, unpacked) or from ``train.npz`` and ``test.npz``.
Source: https://www.cs.toronto.edu/~kriz/cifar.html. Mean and std are those of the
official code of the paper (clovaai/CutMix-PyTorch), the same for both sets.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cutmix.data.arrays import read_arrays, resized
from cutmix.data.known import KnownSet, first_line, missing
from cutmix.data.splits import ArraySplit, Data
from cutmix.errors import CutmixError

MEAN = (125.3 / 255, 123.0 / 255, 113.9 / 255)
STD = (63.0 / 255, 62.1 / 255, 66.7 / 255)


@dataclass(frozen=True)
class Layout:
    """Where one of the two sets lies, and how its pickles name things."""

    name: str
    torchvision_class: str
    folder: str
    archive: str
    train_files: tuple[str, ...]
    test_file: str
    labels_key: str
    meta_file: str
    names_key: str


CIFAR10 = Layout(
    name="cifar10",
    torchvision_class="CIFAR10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    train_files=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test_file="test_batch",
    labels_key="labels",
    meta_file="batches.meta",
    names_key="label_names",
)
CIFAR100 = Layout(
    name="cifar100",
    torchvision_class="CIFAR100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    train_files=("train",),
    test_file="test",
    labels_key="fine_labels",
    meta_file="meta",
    names_key="fine_label_names",
)


def load_cifar(layout: Layout, root: Path, image_size: int | None = None) -> Data:
    """CIFAR under ``root``, downloaded there through torchvision if it is missing and there is a network."""
    folder = next(filter(partial(holds, layout), places(layout, root)), None) or download(layout, root)
    read = partial(read_pickles, layout) if (folder / layout.meta_file).exists() else read_arrays
    train, test, classes = read(folder)
    train, test = resized(train, image_size), resized(test, image_size)
    return Data(layout.name, classes, train, test, MEAN, STD, image_size or train.images_NHWC.shape[1], flip=True)


def places(layout: Layout, root: Path) -> list[Path]:
    """The folders where the set may lie, best first."""
    return [root / layout.folder, root / layout.name / layout.folder, root / layout.name]


def holds(layout: Layout, folder: Path) -> bool:
    """Whether ``folder`` has the official list of names, or train.npz."""
    return (folder / layout.meta_file).exists() or (folder / "train.npz").exists()


def read_pickles(layout: Layout, folder: Path) -> tuple[ArraySplit, ArraySplit, tuple[str, ...]]:
    """(train, test, class names) of the official Python layout."""
    names = [name.decode() for name in _entry(folder / layout.meta_file, layout.names_key)]
    train = [_read_batch(folder / name, layout.labels_key) for name in layout.train_files]
    images, labels = (np.concatenate(parts) for parts in zip(*train))
    test = ArraySplit(*_read_batch(folder / layout.test_file, layout.labels_key))
    return ArraySplit(images, labels), test, tuple(names)


def download(layout: Layout, root: Path) -> Path:
    """Fetch the official archive (unless it lies in ``root`` already) and unpack it; returns its folder."""
    from torchvision import datasets

    dataset = getattr(datasets, layout.torchvision_class)
    try:
        root.mkdir(parents=True, exist_ok=True)
        dataset(root, download=True)
    # What a download raises depends on where it breaks: URLError, HTTPError, timeouts, a wrong checksum (RuntimeError).
    except Exception as error:
        raise missing(
            layout.name,
            places(layout, root),
            f"{dataset.url} could not be downloaded ({first_line(error)}).\n"
            f"Put {layout.archive} into {root}, or name the folder that has it in CUTMIX_DATA.",
        ) from error
    return places(layout, root)[0]


class _Plain(pickle.Unpickler):
    """Loads numbers, text, lists, dicts and numpy arrays, and refuses everything else, which could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.replace("_core", "core"), name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.empty(0).__reduce__()[0]
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): _dtype,
            ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a CIFAR file")
        return allowed[module, name]


def _dtype(kind: Any, align: int = 0, copy: int = 0) -> np.dtype[Any]:
    # The official files were written when these two were 0 and 1, of which numpy now warns.
    return np.dtype(kind, align=bool(align), copy=bool(copy))


def _entry(path: Path, *keys: str) -> Any:
    try:
        with path.open("rb") as file:
            content = _Plain(file, encoding="bytes").load()
        found = [content[key.encode()] for key in keys]
    except FileNotFoundError as error:
        raise CutmixError(f"{path} is missing; the folder {path.parent} is incomplete.") from error
    # A damaged pickle raises whatever its bytes happen to spell.
    except Exception as error:
        raise CutmixError(f"{path}: is not an official CIFAR file ({type(error).__name__}: {error}).") from error
    return found if len(keys) > 1 else found[0]


def _read_batch(path: Path, labels_key: str) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = _entry(path, "data", labels_key)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072 or len(pixels) != len(labels):
        raise CutmixError(
            f"{path}: holds {pixels.dtype} data of shape {pixels.shape} and {len(labels)} labels; "
            "uint8 (N, 3072) and N labels are accepted."
        )
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), np.array(labels, dtype=np.int64)


SETS = tuple(
    KnownSet(layout.name, about, partial(load_cifar, layout), partial(places, layout), partial(holds, layout))
    for layout, about in (
        (CIFAR10, "60,000 photos of 10 things, 32x32"),
        (CIFAR100, "60,000 photos of 100 things, 32x32"),
    )
)
