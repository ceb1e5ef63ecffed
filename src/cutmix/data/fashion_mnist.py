"""Fashion-MNIST: 60,000 train and 10,000 test pictures of clothes, 28x28 grey, which become RGB.

Read from torchvision's folder or from that of Debian's package dataset-fashion-mnist (the same IDX files).
Source: https://github.com/zalandoresearch/fashion-mnist (MIT). Mean and std are those of its train part.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np

from cutmix.data.arrays import resized, rgb
from cutmix.data.known import KnownSet, first_line, missing
from cutmix.data.splits import ArraySplit, Data
from cutmix.errors import CutmixError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FIRST_FILE = "train-images-idx3-ubyte"


def load_fashion_mnist(root: Path, image_size: int | None = None) -> Data:
    """Fashion-MNIST under ``root`` or Debian's, or downloaded through torchvision if there is a network."""
    folder = next(filter(holds, places(root)), None) or download(root)
    train, test = (resized(_read_split(folder, part), image_size) for part in ("train", "t10k"))
    mean, std = (0.2860,) * 3, (0.3530,) * 3
    return Data("fashion_mnist", CLASSES, train, test, mean, std, image_size or 28, flip=True)


def places(root: Path) -> list[Path]:
    """The folders where the four files may lie, best first."""
    return [root / "FashionMNIST/raw", root / "fashion_mnist", DEBIAN]


def holds(folder: Path) -> bool:
    """Whether ``folder`` has the first of the four files, unpacked or not."""
    return (folder / FIRST_FILE).exists() or (folder / f"{FIRST_FILE}.gz").exists()


def download(root: Path) -> Path:
    """Fetch the four files through torchvision; returns their folder."""
    from torchvision import datasets

    try:
        root.mkdir(parents=True, exist_ok=True)
        datasets.FashionMNIST(root, download=True)
    # What a download raises depends on where it breaks: URLError, HTTPError, timeouts, a wrong checksum (RuntimeError).
    except Exception as error:
        remedy = (
            f"{datasets.FashionMNIST.mirrors[0]} could not be downloaded from ({first_line(error)}).\n"
            "Install Debian's package dataset-fashion-mnist, or put the four *-ubyte.gz files into "
            f"{root / 'fashion_mnist'}."
        )
        raise missing("fashion_mnist", places(root), remedy) from error
    return root / "FashionMNIST/raw"


def read_idx(path: Path) -> np.ndarray:
    """The bytes of one IDX file (``path``, or ``path`` + .gz) in the shape that its header gives."""
    packed = path.with_name(path.name + ".gz")
    try:
        content = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
    except FileNotFoundError as error:
        raise CutmixError(f"{path} is missing (and {packed.name}); the folder {path.parent} is incomplete.") from error
    except (OSError, EOFError) as error:
        raise CutmixError(f"{packed}: cannot be unpacked ({error}).") from error
    dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    if not shape or math.prod(shape) != len(content) - start:
        raise CutmixError(f"{path}: is not a whole IDX file of bytes ({len(content)} bytes, header says {shape}).")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _read_split(folder: Path, part: str) -> ArraySplit:
    images = read_idx(folder / f"{part}-images-idx3-ubyte")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise CutmixError(f"{folder}: {part} has images of shape {images.shape} and labels of shape {labels.shape}.")
    return ArraySplit(rgb(images), labels.astype(np.int64))


SETS = (KnownSet("fashion_mnist", "70,000 pictures of clothes, 28x28 grey", load_fashion_mnist, places, holds),)
