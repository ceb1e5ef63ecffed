"""Out-sets: images that the network was not trained for, from noise, arrays, folders, or a data set known by name.

Shapes: N images, B of a batch, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from cutmix.data import (
    PHOTO_SUFFIXES,
    SMALL_SIDE,
    ArraySplit,
    Data,
    PhotoSplit,
    Split,
    default_root,
    load_data,
    read_photo,
)
from cutmix.data.arrays import resized, rgb
from cutmix.data.find import KNOWN
from cutmix.data.transforms import centre_view
from cutmix.errors import CutmixError, UsageError, nearest
from cutmix.evaluation.subject import Source
from cutmix.files import fingerprint_of_files

Draw: TypeAlias = Callable[[np.random.Generator, tuple[int, int, int]], np.ndarray]


def uniform(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Every value from U(0, 1), as ODIN's code draws it: float32 pixels."""
    return rng.random(shape, dtype=np.float32)


def gaussian(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Every value from N(0.5, 1), clamped to [0, 1], as ODIN's code draws it: float32 pixels."""
    return (rng.standard_normal(shape, dtype=np.float32) + np.float32(0.5)).clip(0, 1)


NOISE: dict[str, Draw] = {"uniform": uniform, "gaussian": gaussian}
SMALL_SETS = ("cifar10", "cifar100", "fashion_mnist")
"""Known sets that small images are held against where they are there, unless out-sets are named."""


@dataclass(frozen=True, eq=False)
class Noise:
    """``count`` images of noise. Each is drawn from a generator of its own, whatever the batches are."""

    draw: Draw
    count: int
    size: int
    rng: Callable[[int], np.random.Generator]

    def __len__(self) -> int:
        return self.count

    @property
    def labels_N(self) -> np.ndarray:
        return np.zeros(self.count, dtype=np.int64)

    def images(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> NoiseImages:
        """The noise, normalised, on a device."""
        mean_C11, std_C11 = (torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))
        return NoiseImages(self, mean_C11, std_C11)


@dataclass(frozen=True, eq=False)
class NoiseImages:
    """Noise as :class:`cutmix.data.TestBatches` asks for images."""

    noise: Noise
    mean_C11: Tensor
    std_C11: Tensor

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]:
        shape = (3, self.noise.size, self.noise.size)
        for index_B in index_batches:
            drawn = [self.noise.draw(self.noise.rng(row), shape) for row in index_B.tolist()]
            pixels_BCHW = torch.from_numpy(np.stack(drawn) if drawn else np.empty((0, *shape), np.float32))
            yield (pixels_BCHW.to(self.mean_C11.device) - self.mean_C11) / self.std_C11


@dataclass(frozen=True, eq=False)
class OutSet:
    """Images, and what a reader should know of how they were made to fit (empty if nothing was done)."""

    name: str
    images: Source
    how: str = field(default="")


def usual_out_sets(data: Data, root: Path | None = None) -> tuple[list[str], list[str]]:
    """(those to ask about, known ones that are not there) for an in-set, when nobody has named any."""
    under = default_root() if root is None else Path(root)
    others = [name for name in SMALL_SETS if name != data.name] if data.image_size <= SMALL_SIDE else []
    found = [name for name in others if KNOWN[name].found(under) is not None]
    return [*NOISE, *found], [name for name in others if name not in found]


def fingerprint_of_spec(spec: str, root: Path | None = None) -> str:
    """What changes when the files that ``spec`` names do; empty for noise and for what comes with a library."""
    _, what = split_spec(spec)
    if what in NOISE:
        return ""
    if what in KNOWN:
        place = KNOWN[what].found(default_root() if root is None else Path(root))
        return fingerprint_of_files(place, depth=1) if place is not None else ""
    return fingerprint_of_files(_path(what))


def split_spec(spec: str) -> tuple[str, str]:
    """(name, what to load) of ``NAME=SPEC``, or of a spec alone, which is named after itself.

    Raises:
        UsageError: it is no noise, no known data set, and no file or folder that is there.
    """
    name, equals, rest = spec.partition("=")
    what = rest if equals else spec
    path = _path(what)
    if what in NOISE or what in KNOWN:
        return (name if equals else what), what
    if not path.exists():
        known = [*NOISE, *KNOWN]
        raise UsageError(
            f"there is no out-set {what!r}.{nearest(what, known)} Accepted: {', '.join(known)}, an .npz file with "
            "'images', a folder of pictures, arrays:FOLDER; each may be named: NAME=PATH."
        )
    return (name if equals else path.resolve().stem), what


def _path(what: str) -> Path:
    return Path(what.removeprefix("folder:").removeprefix("arrays:")).expanduser()


def load_out_set(
    spec: str,
    data: Data,
    count: int,
    rng: Callable[[int], np.random.Generator],
    root: Path | None = None,
    keep: Callable[[Split], Split] = lambda split: split,
) -> OutSet:
    """The images that ``spec`` names, made to fit the network's input.

    Args:
        data: the in-set.
        count: how many images to make of noise; ``rng`` gives the generator of each.
        root: where known data sets lie.
        keep: chooses among the images that are there, before they are looked at.

    Raises:
        UsageError: the spec is not understood.
        CutmixError: there are no images, they cannot be read, or they would have to be enlarged to photos.
    """
    name, what = split_spec(spec)
    if what in NOISE:
        return OutSet(name, Noise(NOISE[what], count, data.image_size, rng))
    path = _path(what)
    if what not in KNOWN and not what.startswith("arrays:"):
        return _fitted(name, keep(list_pictures(path) if path.is_dir() else read_images(path)), data)
    return _fitted(name, keep(load_data(what, root).test), data)


def read_images(path: Path) -> ArraySplit:
    """The member ``images`` of an .npz file, uint8 (N, H, W, 3) or grey (N, H, W); labels do not matter."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            images = file["images"]
    except Exception as error:  # a damaged archive raises whatever its bytes spell
        raise CutmixError(f"{path}: is not a readable .npz file with 'images' ({error}).") from error
    grey = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1)
    if images.dtype != np.uint8 or not (grey or (images.ndim == 4 and images.shape[3] == 3)):
        accepted = "uint8 (N, H, W, 3) or grey (N, H, W) is accepted"
        raise CutmixError(f"{path}: images are {images.dtype} of shape {images.shape}; {accepted}.")
    if len(images) == 0:
        raise CutmixError(f"{path}: holds no images.")
    return ArraySplit(rgb(images), np.zeros(len(images), dtype=np.int64))


def _fitted(name: str, split: Split, data: Data) -> OutSet:
    if isinstance(split, PhotoSplit):
        return _viewed(name, split, data)
    height, width = split.images_NHWC.shape[1:3]
    if data.image_size > SMALL_SIDE:
        raise CutmixError(
            f"its images of {height}x{width} would have to be enlarged to {data.image_size} pixels: the blur alone "
            "would tell them apart."
        )
    if (height, width) == (data.image_size, data.image_size):
        return OutSet(name, split)
    return OutSet(name, resized(split, data.image_size), f"resized from {height}x{width}, bilinear")


def list_pictures(folder: Path) -> PhotoSplit:
    """All picture files of a folder and the folders within it."""
    paths = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES))
    if not paths:
        raise CutmixError(f"{folder} holds no pictures ({', '.join(sorted(PHOTO_SUFFIXES))}).")
    return PhotoSplit(paths, np.zeros(len(paths), dtype=np.int64))


def _viewed(name: str, split: PhotoSplit, data: Data) -> OutSet:
    """Photos as they are, for a network of photos; else each as small images are shown, in memory."""
    if data.image_size > SMALL_SIDE:
        return OutSet(name, split)
    images_NHWC = views(split, data.image_size, data.squared)
    how = "both sides resized, their ratio ignored" if data.squared else "the short side resized"
    return OutSet(name, ArraySplit(images_NHWC, split.labels_N), f"{how}, the middle cropped")


def views(split: PhotoSplit, size: int, squared: int = 0) -> np.ndarray:
    """Every photo as tests see it, uint8 (N, size, size, 3)."""
    images_NHWC = np.empty((len(split), size, size, 3), dtype=np.uint8)
    for row, path in enumerate(split.paths):
        images_NHWC[row] = centre_view(read_photo(path), size, squared)
    return images_NHWC


def shared_images(one: Split, other: Source, size: int, squared: int = 0) -> int:
    """How many images of ``other`` are in ``one`` too: the same pixels; of two sets of photos, the same files."""
    if not isinstance(other, ArraySplit | PhotoSplit):
        return 0
    if isinstance(one, PhotoSplit) and isinstance(other, PhotoSplit):
        sizes = {path.stat().st_size for path in one.paths} & {path.stat().st_size for path in other.paths}
        candidates = ([path for path in split.paths if path.stat().st_size in sizes] for split in (one, other))
        here, there = ([_digest(path.read_bytes()) for path in paths] for paths in candidates)
    else:
        here, there = (
            [_digest(np.ascontiguousarray(image).data) for image in _pixels(split, size, squared)]
            for split in (one, other)
        )
    known = set(here)
    return sum(digest in known for digest in there)


def _pixels(split: Split, size: int, squared: int) -> np.ndarray:
    return split.images_NHWC if isinstance(split, ArraySplit) else views(split, size, squared)


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=16).digest()
