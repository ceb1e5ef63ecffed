"""Batches of pictures with targets, for any task; order and views are functions of (seed, epoch, picture) alone.

A batch is the batch of one step over all processes; process r of world_size takes its rows r, r + world_size, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from cutmix.data import PhotoError, default_workers
from cutmix.data.batches import ignore_signals
from cutmix.data.chance import PHOTO, epoch_order, generator
from cutmix.errors import CutmixError, UsageError
from cutmix.transfer.task import PictureBatch, Sample, Task

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Place:
    """Where batches are made and go: the device, this process's rank among how many, and the decoding processes."""

    device: torch.device
    rank: int = 0
    world_size: int = 1
    workers: int | None = None

    def mine(self, step: np.ndarray) -> list[int]:
        """This process's rows of a step."""
        return step[self.rank :: self.world_size].tolist()


@dataclass(frozen=True, eq=False)
class TrainPictures:
    """The training batches of every epoch; an epoch gives the same batches however often it is asked for.

    A last batch too small to give every process a picture is dropped.
    """

    task: Task
    split: Any
    batch_size: int
    seed: int
    place: Place

    def __post_init__(self) -> None:
        if self.batch_size < self.place.world_size:
            raise UsageError(
                f"batch_size is {self.batch_size}; each of {self.place.world_size} process(es) needs a picture."
            )
        if len(self.split) < self.place.world_size:
            raise UsageError(f"{len(self.split)} training pictures are too few for {self.place.world_size} processes.")

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch, the same in every process."""
        full, rest = divmod(len(self.split), self.batch_size)
        return full + (rest >= self.place.world_size and rest > 0)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[PictureBatch]:
        """The batches of an epoch from a step on. Skipped steps are never decoded."""
        order_N = epoch_order(self.seed, epoch, len(self.split))
        steps = [order_N[k * self.batch_size :][: self.batch_size] for k in range(start_step, self.steps_per_epoch)]
        return _batches(_Views(self.task, self.split, self.seed, epoch), steps, self.place)


@dataclass(frozen=True, eq=False)
class TestPictures:
    """Every picture of a split once over all processes, in the split's order, without padding.

    Processes may have a batch more or less than others: what runs over them must not wait for the others in between.
    """

    __test__ = False  # not a test, whatever pytest takes the name for

    task: Task
    split: Any
    batch_size: int
    place: Place

    @property
    def steps(self) -> int:
        """Batches of all processes together."""
        return -(-len(self.split) // self.batch_size)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[PictureBatch]:
        rows = np.arange(len(self.split))
        steps = [rows[k * self.batch_size :][: self.batch_size] for k in range(self.steps)]
        return _batches(_Views(self.task, self.split), steps, self.place)


@dataclass(frozen=True, eq=False)
class _Views(torch.utils.data.Dataset):
    """What a worker holds: one epoch's views of the pictures, or the test's."""

    task: Task
    split: Any
    seed: int = 0
    epoch: int | None = None

    def __getitems__(self, rows: list[int]) -> list[Sample] | str:
        """The samples, or what went wrong: an exception that crosses the border would bring a worker's traceback."""
        try:
            return [self._view(row) for row in rows]
        except PhotoError as error:
            return str(error)

    def _view(self, row: int) -> Sample:
        if self.epoch is None:
            return self.task.test_view(self.split, row)
        return self.task.train_view(self.split, row, generator(self.seed, PHOTO, self.epoch, row))


def _batches(views: _Views, steps: Sequence[np.ndarray], place: Place) -> Iterator[PictureBatch]:
    mine = [place.mine(step) for step in steps]
    workers = default_workers() if place.workers is None else place.workers
    if workers < 0:
        raise UsageError(f"workers is {workers}; at least 0 is accepted.")
    loader = torch.utils.data.DataLoader(
        views,
        batch_sampler=[rows for rows in mine if rows],
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=ignore_signals,
        pin_memory=place.device.type == "cuda",
        # Without a generator of its own a loader draws from torch's global one.
        generator=torch.Generator().manual_seed(0),
    )
    filled = [(rows, len(step)) for rows, step in zip(mine, steps) if rows]
    for (rows, total), samples in zip(filled, loader):
        if isinstance(samples, str):
            raise CutmixError(samples)
        yield PictureBatch(
            [_scaled(image, place.device) for image, _ in samples],
            [{name: value.to(place.device, non_blocking=True) for name, value in t.items()} for _, t in samples],
            rows,
            total,
        )


def _scaled(image_CHW: Tensor, device: torch.device) -> Tensor:
    return image_CHW.to(device, non_blocking=True).float().div_(255)


def _as_it_is(samples: list[Sample] | str) -> list[Sample] | str:
    return samples


def gathered(mine: Sequence[tuple[int, T]], count: int, accelerator: Accelerator) -> list[T]:
    """What all processes found, (picture, finding) each, in the order of the pictures; each picture once.

    Raises:
        UsageError: a picture is missing or there twice.
    """
    from accelerate.utils import gather_object

    every = gather_object(list(mine)) if accelerator.num_processes > 1 else list(mine)
    rows = sorted(row for row, _ in every)
    if rows != list(range(count)):
        raise UsageError(
            f"{len(rows)} pictures were tested, {len(set(rows))} different ones; each of {count} is needed."
        )
    return [finding for _, finding in sorted(every, key=lambda pair: pair[0])]
