"""Corrupted test images (Hendrycks and Dietterich, ICLR 2019): generated, or read from the published folders.

Published: CIFAR-10-C and CIFAR-100-C are one ``.npy`` file a corruption, uint8 (5 * N, H, W, 3), five severities one
after the other, beside ``labels.npy``; ImageNet-C and Tiny ImageNet-C are folders ``corruption/severity/class``.

Generated: by ``imagecorruptions-imaug``, which ``pip install 'cutmix[corruptions]'`` brings: ImageNet-C's corruptions
at the image's own size. They are not the published files: CIFAR-10-C has settings of its own for its small images, and
ImageNet-C was stored as JPEG.

Shapes: N images, B images of a batch, H x W pixels, S the side that the network takes.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cutmix.data.batches import ignore_signals
from cutmix.data.photos import PHOTO_SUFFIXES, read_photo
from cutmix.data.splits import PhotoSplit, Split
from cutmix.data.transforms import centre_view, normalise
from cutmix.errors import CutmixError, UsageError

NOISE = ("gaussian_noise", "shot_noise", "impulse_noise")
BLUR = ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
WEATHER = ("snow", "frost", "fog", "brightness")
DIGITAL = ("contrast", "elastic_transform", "pixelate", "jpeg_compression")
CORRUPTIONS = (*NOISE, *BLUR, *WEATHER, *DIGITAL)
"""The fifteen that the mean corruption error is made of."""
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""Four more, meant for choosing settings."""
SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 32
"""Pixels a side that the library takes at least."""

View: TypeAlias = Callable[[int], NDArray[np.uint8]]
"""Row of a set -> the image as the network is to see it, uint8 (S, S, 3)."""


# ---------------------------------------------------------------------------------------------------------- generating


def corrupt(image_HWC: NDArray[np.uint8], corruption: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """The image with one corruption of ImageNet-C.

    The same as ``imagecorruptions.corrupt`` after ``numpy.random.seed(seed)``, with ``seed=seed`` for the two that
    numpy's global state does not decide. That state, which the library draws from, is put back afterwards.

    Args:
        image_HWC: RGB, at least 32 pixels a side.
        corruption: one of :data:`CORRUPTIONS` or :data:`EXTRA`.
        severity: 1 to 5.
        seed: 0 to 2**32 - 1; the same seed gives the same image.

    Raises:
        UsageError: the image is too small, there is no such corruption, or the library is not the one that is needed.
        ImportError: the library is not installed.
    """
    if corruption not in (*CORRUPTIONS, *EXTRA) or severity not in SEVERITIES:
        raise UsageError(f"there is no corruption {corruption!r} of severity {severity}")
    if min(image_HWC.shape[:2]) < SMALLEST:
        height, width = image_HWC.shape[:2]
        raise UsageError(f"images are {height}x{width}; the corruptions need at least {SMALLEST} pixels a side.")
    library = import_library()
    before = np.random.get_state()
    try:
        np.random.seed(seed)
        own_seed = {"seed": seed} if corruption in ("impulse_noise", "glass_blur") else {}
        with np.errstate(invalid="raise"):
            corrupted: NDArray[np.uint8] = library.corrupt(
                np.ascontiguousarray(image_HWC), severity=severity, corruption_name=corruption, **own_seed
            )
    except FloatingPointError:
        # Spatter divides by its largest drop, and on small images sometimes none falls: the library then gives black.
        return image_HWC.copy()
    finally:
        np.random.set_state(before)
    return corrupted


def import_library() -> Any:
    """``imagecorruptions`` as the package imagecorruptions-imaug has it.

    Raises:
        ImportError: it is not installed.
        UsageError: another package of that module name is: it leaves corruptions to chance, and others broken.
    """
    import imagecorruptions

    if "seed" not in inspect.signature(imagecorruptions.corruptions.glass_blur).parameters:
        raise UsageError(
            "the installed imagecorruptions is not that of imagecorruptions-imaug; "
            "pip uninstall imagecorruptions && pip install 'cutmix[corruptions]'"
        )
    return imagecorruptions


def clean_view(split: Split, size: int, squared: int, row: int) -> NDArray[np.uint8]:
    """Image ``row`` of a test split as the network sees it before normalisation: uint8 (S, S, 3)."""
    if isinstance(split, PhotoSplit):
        return centre_view(read_photo(split.paths[row]), size, squared)
    return split.images_NHWC[row]


def _corrupted_view(clean: View, corruption: str, severity: int, seeds_N: NDArray[np.int64], row: int) -> Any:
    return corrupt(clean(row), corruption, severity, int(seeds_N[row]))


# ------------------------------------------------------------------------------------------------------------- sources


class Source(ABC):
    """Where corrupted images come from."""

    corruptions: tuple[str, ...]
    """Those that it has."""
    where: str
    """What the page says of it."""
    costly: bool = True
    """Whether worker processes are of use."""

    @abstractmethod
    def images(self, corruption: str, severity: int) -> tuple[View, NDArray[np.int64]]:
        """The images, one by one, and their labels (N,)."""


@dataclass(frozen=True)
class Generated(Source):
    """The test images, corrupted when they are needed. ``seeds`` gives those of N images, from 0 to 2**32 - 1.

    ``squared`` is the square to which tests resize photos, as ``Data.squared``.
    """

    split: Split
    size: int
    seeds: Callable[[str, int], NDArray[np.int64]]
    squared: int = 0
    corruptions = (*CORRUPTIONS, *EXTRA)

    @property
    def where(self) -> str:  # type: ignore[override]
        return f"generated by imagecorruptions-imaug at {self.size}x{self.size} pixels"

    def images(self, corruption: str, severity: int) -> tuple[View, NDArray[np.int64]]:
        clean = partial(clean_view, self.split, self.size, self.squared)
        if corruption == "glass_blur":  # compiled here, once, and not in every worker process
            corrupt(np.zeros((SMALLEST, SMALLEST, 3), np.uint8), corruption, severity, 0)
        view = partial(_corrupted_view, clean, corruption, severity, self.seeds(corruption, severity))
        return view, self.split.labels_N


class ArrayFolder(Source):
    """A folder of ``.npy`` files, as CIFAR-10-C and CIFAR-100-C are.

    Raises:
        CutmixError: a file is not what it should be.
    """

    costly = False

    def __init__(self, folder: Path, size: int, classes: Sequence[str]) -> None:
        self.folder, self.size, self.where = folder, size, f"read from {folder.name}"
        self.corruptions = tuple(name for name in (*CORRUPTIONS, *EXTRA) if (folder / f"{name}.npy").is_file())
        if not self.corruptions:
            raise CutmixError(f"{folder} holds no corruption, such as gaussian_noise.npy.")
        if list(classes) != sorted(classes):
            raise UsageError(
                f"the labels of {folder.name} count the classes in the order of the official files, that of the "
                f"alphabet; the network's are {', '.join(classes[:4])}, ..."
            )
        labels = _array(folder / "labels.npy")
        if labels.dtype.kind not in "iu" or labels.ndim != 1 or len(labels) % 5 or not len(labels):
            raise CutmixError(
                f"{folder / 'labels.npy'}: holds {labels.dtype} of shape {labels.shape}; whole numbers, five times as "
                "many as test images, are accepted."
            )
        if labels.min() < 0 or labels.max() >= len(classes):
            raise CutmixError(
                f"{folder / 'labels.npy'}: holds labels from {labels.min()} to {labels.max()}; from 0 to "
                f"{len(classes) - 1} are accepted."
            )
        self.labels = np.asarray(labels, dtype=np.int64)

    def images(self, corruption: str, severity: int) -> tuple[View, NDArray[np.int64]]:
        images = _array(self.folder / f"{corruption}.npy")
        expected = (len(self.labels), self.size, self.size, 3)
        if images.dtype != np.uint8 or images.shape != expected:
            raise CutmixError(
                f"{self.folder / corruption}.npy: holds {images.dtype} of shape {images.shape}; uint8 {expected} is "
                "accepted, for this network and these labels."
            )
        count = len(self.labels) // 5
        part = slice((severity - 1) * count, severity * count)
        return images[part].__getitem__, self.labels[part]


class PhotoFolder(Source):
    """Folders ``corruption/severity/class`` of photos, as ImageNet-C and Tiny ImageNet-C are.

    Args:
        labels: the label of each class folder's name, as the test images have them.
        squared: the square to which tests resize photos, as ``Data.squared``.
    """

    def __init__(self, folder: Path, size: int, labels: Mapping[str, int], squared: int = 0) -> None:
        self.folder, self.size, self.labels, self.where = folder, size, labels, f"read from {folder.name}"
        self.squared = squared
        self.found = {
            name: place
            for name in (*CORRUPTIONS, *EXTRA)
            # Unpacked into one folder, or into that of each archive: blur/defocus_blur.
            for place in [folder / name, *folder.glob(f"*/{name}")]
            if place.is_dir()
        }
        self.corruptions = tuple(self.found)
        if not self.corruptions:
            raise CutmixError(f"{folder} holds no corruption, neither gaussian_noise.npy nor a folder gaussian_noise.")

    def images(self, corruption: str, severity: int) -> tuple[View, NDArray[np.int64]]:
        place = self.found[corruption] / str(severity)
        files = sorted(path for path in place.glob("*/*") if path.suffix.lower() in PHOTO_SUFFIXES)
        if not files:
            raise CutmixError(f"{place} holds no class folders with photos.")
        strange = sorted({path.parent.name for path in files} - set(self.labels))
        if strange:
            raise UsageError(f"{place / strange[0]} is not a class of the network's data; {len(strange)} such folders.")
        labels_N = np.array([self.labels[path.parent.name] for path in files], dtype=np.int64)
        return partial(_stored_view, files, self.size, self.squared), labels_N


def _stored_view(files: Sequence[Path], size: int, squared: int, row: int) -> NDArray[np.uint8]:
    image = read_photo(files[row])
    # The photos of ImageNet-C have been resized and cropped already: doing so again would enlarge them.
    return np.asarray(image) if image.size == (size, size) else centre_view(image, size, squared)


def folder_source(folder: Path, split: Split, size: int, classes: Sequence[str], squared: int = 0) -> Source:
    """What lies in ``folder``, for a network whose test images are ``split``, resized as ``Data.squared`` says.

    Raises:
        UsageError: there is no such folder, or its classes cannot be matched with the network's.
        CutmixError: the folder is not laid out as one of the published ones.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} with corrupted images")
    if any(folder.glob("*.npy")):
        return ArrayFolder(folder, size, classes)
    if not isinstance(split, PhotoSplit):
        raise UsageError(f"{folder} holds photos, and the network's data small images in memory: their classes differ")
    labels = {path.parent.name: label for path, label in zip(split.paths, split.labels_N.tolist())}
    return PhotoFolder(folder, size, labels, squared)


def _array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CutmixError(f"{path}: cannot be read as an array ({error}).") from error
    return array


# ------------------------------------------------------------------------------------------------------------- batches


@dataclass(frozen=True, eq=False)
class ViewedImages:
    """Images that are made one by one, in worker processes, and normalised as batches: what ``TestBatches`` reads."""

    view: View
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    workers: int
    device: torch.device

    def batches(self, index_batches: Sequence[NDArray[np.int64]], seed: int, epoch: int) -> Iterator[Tensor]:
        """Normalised images (B, 3, S, S) for each batch of rows."""
        loader = torch.utils.data.DataLoader(
            _Rows(self.view, self.size),
            batch_sampler=[index_B.tolist() for index_B in index_batches],
            num_workers=self.workers,
            collate_fn=_same,
            worker_init_fn=_start_worker,
            # Without a generator of its own a loader draws from torch's global one.
            generator=torch.Generator().manual_seed(0),
        )
        with _opencv_on_one_thread():
            started = iter(loader)
        for pixels_BHWC, problem in started:
            if problem is not None:
                raise problem[0](problem[1])
            yield normalise(pixels_BHWC.to(self.device), self.mean, self.std)


@dataclass(frozen=True, eq=False)
class _Rows(torch.utils.data.Dataset):
    """What a worker holds."""

    view: View
    size: int

    def __getitems__(self, rows: list[int]) -> tuple[Tensor, tuple[type[CutmixError], str] | None]:
        pixels_BHWC = np.empty((len(rows), self.size, self.size, 3), dtype=np.uint8)
        try:
            for place, row in enumerate(rows):
                pixels_BHWC[place] = self.view(row)
        # As a value: an exception that crosses the process border is wrapped in the worker's traceback.
        except CutmixError as error:
            kind = UsageError if isinstance(error, UsageError) else CutmixError
            return torch.from_numpy(pixels_BHWC[:0]), (kind, str(error))
        return torch.from_numpy(pixels_BHWC), None


def _same(batch: Any) -> Any:
    """Given a finished batch, not a list of samples."""
    return batch


def _start_worker(worker: int) -> None:
    ignore_signals(worker)
    if "cv2" in sys.modules:
        return  # it came along, with one thread
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)  # as torch in a worker: there is one worker a core


@contextmanager
def _opencv_on_one_thread() -> Iterator[None]:
    """OpenCV without its pool of threads, where it is loaded, so that a process can be forked.

    A child inherits the pool but not its threads, and would wait for them for ever.
    """
    cv2 = sys.modules.get("cv2")
    if cv2 is None:
        yield
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
