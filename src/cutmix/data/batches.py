"""Batches of a data set. The order and every crop are functions of (seed, epoch, image): nothing else changes them.

A batch is the batch of one step over all processes; process r of world_size takes its rows r, r + world_size, ...
Neither the batch size, nor the number of workers or processes, changes what an image looks like in an epoch.

Shapes: N images of a split, B of this process's part of a batch, H x W pixels, C = 3 channels.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from cutmix.data.chance import CROP, PHOTO, POLICY, epoch_order, generator
from cutmix.data.photos import PhotoError, read_photo
from cutmix.data.splits import ArraySplit, Data, PhotoSplit, Split
from cutmix.data.transforms import (
    PHOTO_AUGMENTS,
    Augment,
    Canvas,
    CropFlip,
    Crops,
    NoAugment,
    PhotoCrop,
    SquareCrop,
    centre_view,
    crop_on_device,
    default_augment,
    normalise,
)
from cutmix.errors import CutmixError, UsageError


class Batch(NamedTuple):
    """This process's part of one step's batch, on the device."""

    images_BCHW: Tensor
    """float32, normalised, channels-last in memory."""
    labels_B: Tensor
    """int64."""
    total: int
    """The number of images of this step over all processes."""


class Images(Protocol):
    """Turns rows of a split into normalised images, batch after batch."""

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]: ...


@dataclass(frozen=True, eq=False)
class TrainBatches:
    """The training batches of every epoch. Has no state: an epoch gives the same batches however often it is asked for.

    ``steps_per_epoch`` counts the incomplete last batch, unless it is too small to give every process an image; then it
    is dropped on all of them.
    """

    images: Images
    labels_N: np.ndarray
    device: torch.device
    batch_size: int
    seed: int
    rank: int
    world_size: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same in every process."""
        full, rest = divmod(len(self.labels_N), self.batch_size)
        return full + (rest >= self.world_size and rest > 0)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """The batches of epoch ``epoch`` from step ``start_step`` on. Skipped steps are never decoded."""
        if epoch < 0 or not 0 <= start_step <= self.steps_per_epoch:
            raise UsageError(
                f"epoch {epoch}, step {start_step} was asked for; epochs count from 0, "
                f"steps from 0 to {self.steps_per_epoch}."
            )
        order_N = epoch_order(self.seed, epoch, len(self.labels_N))
        steps = [order_N[step * self.batch_size :][: self.batch_size] for step in range(self.steps_per_epoch)]
        rest = steps[start_step:]
        return _batches(self.images, self.labels_N, self.device, rest, self.rank, self.world_size, self.seed, epoch)


@dataclass(frozen=True, eq=False)
class TestBatches:
    """Every image of a split once over all processes, in the split's order, without padding.

    ``steps`` is the same in every process, as networks that are split over processes need. A rest that is too small to
    give every process an image is joined to the batch before it. Only of a split with fewer images than processes the
    single batch is empty, (0, 3, H, W), in some of them.
    """

    __test__ = False  # not a test, whatever pytest takes the name for

    images: Images
    labels_N: np.ndarray
    device: torch.device
    batch_size: int
    rank: int
    world_size: int

    @property
    def steps(self) -> int:
        """Batches, the same number in every process."""
        full, rest = divmod(len(self.labels_N), self.batch_size)
        return max(1, full + (rest >= self.world_size))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        rows = np.arange(len(self.labels_N))
        starts = np.arange(1, self.steps) * self.batch_size
        steps = np.split(rows, starts)
        return _batches(self.images, self.labels_N, self.device, steps, self.rank, self.world_size)


def train_batches(
    data: Data,
    *,
    batch_size: int,
    seed: int,
    augment: Augment | None = None,
    workers: int | None = None,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world_size: int = 1,
) -> TrainBatches:
    """Batches of ``data.train``, shuffled and augmented (``default_augment(data)`` unless given).

    ``batch_size`` counts the images of a step over all ``world_size`` processes. ``workers`` decode photos
    (``default_workers()`` unless given; 0 decodes in this process), and small images where there is a policy: the rest
    of what happens to those needs none.
    """
    _require_sizes(len(data.train), batch_size, rank, world_size)
    generator(seed, 0)  # refuses a negative seed now, not in the first epoch
    images = _images(data, data.train, default_augment(data) if augment is None else augment, workers, device)
    return TrainBatches(images, data.train.labels_N, torch.device(device), batch_size, seed, rank, world_size)


def test_batches(
    data: Data,
    split: Split | None = None,
    *,
    batch_size: int,
    workers: int | None = None,
    device: torch.device | str = "cpu",
    rank: int = 0,
    world_size: int = 1,
) -> TestBatches:
    """Batches of ``data.test`` (or of ``split``, prepared in the same way) as tests see them.

    ``batch_size`` counts the images of a step over all ``world_size`` processes; the last one may have up to
    ``world_size - 1`` more.
    """
    chosen = data.test if split is None else split
    _require_sizes(world_size, batch_size, rank, world_size)
    images = _images(data, chosen, NoAugment(), workers, device)
    return TestBatches(images, chosen.labels_N, torch.device(device), batch_size, rank, world_size)


test_batches.__test__ = False  # type: ignore[attr-defined]


def ignore_signals(worker: int) -> None:
    """Have a worker process outlive the SIGINT or SIGTERM that a terminal or a scheduler sends to the whole group.

    The main process decides what they mean, and may need the workers to the end of an epoch. They end when it shuts
    them down, and some seconds after it has died.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def default_workers() -> int:
    """One process a core that may be used, at most 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, usable)


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Small images on the CPU: cropped, mirrored and normalised as whole batches, in this thread."""

    images_NHWC: np.ndarray
    augment: CropFlip | NoAugment
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]:
        crop = self._crop(max(map(len, index_batches), default=0), seed, epoch)
        for index_B in index_batches:
            yield normalise(torch.from_numpy(crop(index_B)), self.mean, self.std)

    def _crop(self, largest: int, seed: int, epoch: int) -> Callable[[np.ndarray], np.ndarray]:
        if isinstance(self.augment, NoAugment):
            return self.images_NHWC.__getitem__
        crops = self.augment.draw(len(self.images_NHWC), generator(seed, CROP, epoch))
        canvas = Canvas(self.images_NHWC, largest, self.augment.padding)
        return lambda index_B: canvas.crop(index_B, crops)


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """Small images that live on a device as uint8 and are cropped there; bit for bit what ``ArrayImages`` gives."""

    images_NHWC: Tensor
    augment: CropFlip | NoAugment
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]:
        device = self.images_NHWC.device
        # The numbers of the whole epoch go to the device at once, so that no step waits for a copy.
        lengths = [len(index_B) for index_B in index_batches]
        index = np.concatenate([*index_batches, np.empty(0, np.int64)])
        draws = [torch.from_numpy(index)]
        if isinstance(self.augment, CropFlip):
            crops = self.augment.draw(len(self.images_NHWC), generator(seed, CROP, epoch))
            draws += [torch.from_numpy(values[index]) for values in crops]
        for index_B, *crop_B in zip(*(draw.to(device).split(lengths) for draw in draws)):
            yield normalise(self._view(index_B, crop_B), self.mean, self.std)

    def _view(self, index_B: Tensor, crop_B: list[Tensor]) -> Tensor:
        if isinstance(self.augment, NoAugment):
            return self.images_NHWC[index_B]
        top_B, left_B, mirror_B = crop_B
        return crop_on_device(self.images_NHWC, index_B, top_B, left_B, mirror_B, self.augment.padding)


@dataclass(frozen=True, eq=False)
class PhotoImages:
    """Photos, decoded and cropped to uint8 in worker processes, normalised on the device."""

    paths: np.ndarray
    size: int
    squared: int
    augment: PhotoCrop | SquareCrop | NoAugment
    mean: tuple[float, ...]
    std: tuple[float, ...]
    workers: int
    device: torch.device

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]:
        views = _PhotoViews(self.paths, self.size, self.squared, self.augment, seed, epoch)
        for pixels_BHWC, colour_B34 in _loaded(views, index_batches, self.workers, self.device):
            yield normalise(pixels_BHWC, self.mean, self.std, colour_B34)


@dataclass(frozen=True, eq=False)
class PolicyImages:
    """Small images that a policy changes one by one: in worker processes, normalised on the device."""

    images_NHWC: np.ndarray
    augment: CropFlip
    mean: tuple[float, ...]
    std: tuple[float, ...]
    workers: int
    device: torch.device

    def batches(self, index_batches: Sequence[np.ndarray], seed: int, epoch: int) -> Iterator[Tensor]:
        count = len(self.images_NHWC)
        crops = self.augment.draw(count, generator(seed, CROP, epoch))
        seeds_N = self.augment.draw_policy(count, generator(seed, POLICY, epoch))
        views = _ArrayViews(self.images_NHWC, self.augment, crops, seeds_N)
        for pixels_BHWC, _ in _loaded(views, index_batches, self.workers, self.device):
            yield normalise(pixels_BHWC, self.mean, self.std)


def _loaded(
    views: _PhotoViews | _ArrayViews, index_batches: Sequence[np.ndarray], workers: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Batches that worker processes made: pixels on the device, and what ``_PhotoViews`` says of their colours."""
    loader = torch.utils.data.DataLoader(
        views,
        batch_sampler=[index_B.tolist() for index_B in index_batches],
        num_workers=workers,
        collate_fn=_tensors,  # type: ignore[arg-type]  # given a finished batch, not a list of samples
        worker_init_fn=ignore_signals,
        pin_memory=device.type == "cuda",
        # Without a generator of its own a loader draws from torch's global one.
        generator=torch.Generator().manual_seed(0),
    )
    for pixels_BHWC, colour_B34, problem in loader:
        if problem:
            raise CutmixError(problem)
        yield pixels_BHWC.to(device, non_blocking=True), colour_B34


@dataclass(frozen=True, eq=False)
class _ArrayViews(torch.utils.data.Dataset):
    """What a worker holds: one epoch's views of small images under a policy. The draws are those of the whole split."""

    images_NHWC: np.ndarray
    augment: CropFlip
    crops: Crops
    seeds_N: np.ndarray

    def __getitems__(self, rows: list[int]) -> tuple[np.ndarray, None, str]:
        """Pixels uint8 (B, H, W, 3), no colour changes, and no problem: as ``_PhotoViews``."""
        assert self.augment.policy is not None
        index_B = np.array(rows, dtype=np.int64)
        pixels_BHWC = Canvas(self.images_NHWC, len(rows), self.augment.padding).crop(index_B, self.crops)
        return self.augment.policy.many(pixels_BHWC, self.seeds_N[index_B].tolist()), None, ""


@dataclass(frozen=True, eq=False)
class _PhotoViews(torch.utils.data.Dataset):
    """What a worker holds: one epoch's views of the photos."""

    paths: np.ndarray
    size: int
    squared: int
    augment: PhotoCrop | SquareCrop | NoAugment
    seed: int
    epoch: int

    def __getitems__(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray | None, str]:
        """Pixels uint8 (B, size, size, 3), colour changes (B, 3, 4) or None, and what went wrong."""
        pixels_BHWC = np.empty((len(rows), self.size, self.size, 3), dtype=np.uint8)
        recolours = isinstance(self.augment, PhotoCrop) and self.augment.recolours
        colour_B34 = np.empty((len(rows), 3, 4), dtype=np.float32) if recolours else None
        try:
            for place, row in enumerate(rows):
                self._write(row, place, pixels_BHWC, colour_B34)
        # As a value: an exception that crosses the process border is wrapped in the worker's traceback.
        except PhotoError as error:
            return pixels_BHWC[:0], None, str(error)
        return pixels_BHWC, colour_B34, ""

    def _write(self, row: int, place: int, pixels_BHWC: np.ndarray, colour_B34: np.ndarray | None) -> None:
        image = read_photo(_path(self.paths[row]))
        if isinstance(self.augment, NoAugment):
            pixels_BHWC[place] = centre_view(image, self.size, self.squared)
            return
        rng = generator(self.seed, PHOTO, self.epoch, row)
        pixels_BHWC[place] = self.augment.view(image, rng)
        if colour_B34 is not None and isinstance(self.augment, PhotoCrop):
            colour_B34[place] = self.augment.colour(pixels_BHWC[place], rng)


def _images(data: Data, split: Split, augment: Augment, workers: int | None, device: torch.device | str) -> Images:
    target = torch.device(device)
    if isinstance(split, ArraySplit):
        if isinstance(augment, PHOTO_AUGMENTS):
            accepted = "CropFlip or NoAugment is accepted"
            raise UsageError(f"{augment} is for photos; {data.name} holds small images: {accepted}.")
        if isinstance(augment, CropFlip) and augment.policy is not None:
            whole_NHWC = np.ascontiguousarray(split.images_NHWC)
            return PolicyImages(whole_NHWC, augment, data.mean, data.std, _count(workers), target)
        if target.type == "cpu":
            return ArrayImages(np.ascontiguousarray(split.images_NHWC), augment, data.mean, data.std)
        return DeviceImages(torch.from_numpy(split.images_NHWC).to(target), augment, data.mean, data.std)
    if isinstance(augment, CropFlip):
        raise UsageError(
            f"{augment} is for small images; {data.name} holds photos: PhotoCrop, SquareCrop or NoAugment is accepted."
        )
    size = augment.size if isinstance(augment, PHOTO_AUGMENTS) else data.image_size
    return PhotoImages(_packed(split), size, data.squared, augment, data.mean, data.std, _count(workers), target)


def _count(workers: int | None) -> int:
    count = default_workers() if workers is None else workers
    if count < 0:
        raise UsageError(f"workers is {count}; at least 0 is accepted.")
    return count


def _batches(
    images: Images,
    labels_N: np.ndarray,
    device: torch.device,
    steps: Sequence[np.ndarray],
    rank: int,
    world_size: int,
    seed: int = 0,
    epoch: int = 0,
) -> Iterator[Batch]:
    mine = [index[rank::world_size] for index in steps]
    labels = torch.from_numpy(labels_N[np.concatenate([*mine, np.empty(0, np.int64)])]).to(device)
    labels_of_steps = labels.split([len(index_B) for index_B in mine])
    for index, images_BCHW, labels_B in zip(steps, images.batches(mine, seed, epoch), labels_of_steps):
        yield Batch(images_BCHW, labels_B, len(index))


def _require_sizes(count: int, batch_size: int, rank: int, world_size: int) -> None:
    if world_size < 1 or not 0 <= rank < world_size:
        raise UsageError(f"rank {rank} of {world_size} processes was asked for; 0 to world_size - 1 is accepted.")
    if batch_size < world_size:
        raise UsageError(f"batch_size is {batch_size}; each of {world_size} process(es) needs at least one image.")
    if count < world_size:
        raise UsageError(f"{count} training images do not give each of {world_size} processes one.")


def _packed(split: PhotoSplit) -> np.ndarray:
    # Bytes in one array: a million Python strings would be copied into every worker as their reference counts change.
    return np.array([os.fsencode(path) for path in split.paths])


def _path(packed: np.bytes_) -> Path:
    return Path(os.fsdecode(bytes(packed)))


def _tensors(views: tuple[np.ndarray, np.ndarray | None, str]) -> tuple[Tensor, Tensor | None, str]:
    pixels_BHWC, colour_B34, problem = views
    return torch.from_numpy(pixels_BHWC), None if colour_B34 is None else torch.from_numpy(colour_B34), problem
