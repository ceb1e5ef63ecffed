"""Fine-tuning for any task, by the loop of ``training.loop``: its own are the batches, the step and the test."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError
from cutmix.mixing import NoMixing
from cutmix.training.display import Display, Silent
from cutmix.training.interrupt import StopSignals
from cutmix.training.loop import Fit, Keeper
from cutmix.training.measure import Errors
from cutmix.training.optim import set_lr
from cutmix.training.schedules import Schedule
from cutmix.training.settings import Settings
from cutmix.training.state import State
from cutmix.training.streams import Purpose, seed_layers
from cutmix.transfer.backbone import evaluating
from cutmix.transfer.batches import Place, TestPictures, TrainPictures
from cutmix.transfer.task import PictureBatch, Task, TaskData, Tested

if TYPE_CHECKING:
    from accelerate import Accelerator

OPTIMIZERS = ("SGD", "Adam")


class TransferKeeper(Keeper, Protocol):
    """Where a transfer is kept; ``transfer.run.TransferRun`` is one that writes a folder."""

    def tested(self, tested: Tested) -> None:
        """Keep what the last test found. Only the first process calls it."""


@dataclass(frozen=True)
class Losses(Errors):
    """The mean loss over the pictures of some steps and its parts by name. There are no guesses: the errors are nan."""

    parts: Mapping[str, float] = field(default_factory=dict)


def fit_transfer(
    model: nn.Module,
    task: Task,
    data: TaskData,
    *,
    schedule: Schedule,
    settings: Settings,
    optimizer: str = "SGD",
    accelerator: Accelerator,
    keeper: TransferKeeper | None = None,
    display: Display | None = None,
    workers: int | None = None,
    checkpoint_steps: int = 0,
) -> State:
    """Train ``model``, which ``task.network`` made, on ``data.train``; test it on ``data.test``.

    As with :func:`cutmix.training.loop.fit` the result is a pure function of the arguments, and a run that was stopped
    and resumed ends with the same weights. Each process normalises the loss by its own pictures' objects, so that
    several processes, or ``accumulation``, come to nearly but not exactly what one batch comes to.

    Args:
        optimizer: ``"SGD"`` or ``"Adam"``.

    Returns:
        The state after the last epoch; ``history`` has a record an epoch.

    Raises:
        CutmixError: the loss became infinite or not a number.
        Interrupted: SIGINT or SIGTERM asked to stop; the state has been kept.
    """
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    fitting = TransferFit(
        model,
        data,
        task=task,
        schedule=schedule,
        settings=settings,
        optimizer=optimizer,
        accelerator=accelerator,
        keeper=keeper,
        display=display or Silent(),
        workers=workers,
        checkpoint_steps=checkpoint_steps,
    )
    with StopSignals() as signals, torch.random.fork_rng(devices=devices):
        return fitting.run(signals)


class TransferFit(Fit):
    """One call of :func:`fit_transfer`, whose arguments it takes."""

    def __init__(self, model: nn.Module, data: Any, *, task: Task, optimizer: str = "SGD", **others: Any) -> None:
        check_settings(others["settings"], optimizer)
        self.task, self.data, self.optimizer = task, data, optimizer
        self.columns = 2 + len(task.losses)
        super().__init__(model, data, mixing=NoMixing(), **others)
        self.state.measure, self.state.larger_is_better = task.measure, True

    def make_batches(self, data: Any, augment: Any, workers: int | None) -> None:
        accelerator, settings = self.accelerator, self.settings
        place = Place(accelerator.device, accelerator.process_index, accelerator.num_processes, workers)
        self.train = TrainPictures(self.task, data.train, settings.batch_size, settings.seed, place)  # type: ignore[assignment]
        self.test = TestPictures(self.task, data.test, settings.batch_size, place)  # type: ignore[assignment]

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "SGD":
            return super().make_optimizer(model)
        trained = [p for p in model.parameters() if p.requires_grad]
        return torch.optim.Adam(trained, lr=self.settings.lr, weight_decay=self.settings.weight_decay)

    def laid_out(self, batch: PictureBatch) -> PictureBatch:  # type: ignore[override]
        """As it is: pictures come one by one, and the network lays them out."""
        return batch

    def train_step(self, batch: PictureBatch, lr: float) -> Tensor:  # type: ignore[override]
        """One optimizer step. Returns the sums over its pictures: the loss, its parts, and their number."""
        state, accelerator, settings = self.state, self.accelerator, self.settings
        position = (state.epoch, state.step, accelerator.process_index)
        seed_layers(settings.seed, Purpose.LAYERS, *position)
        if self.keeper and position == (0, 0, 0):
            self.keeper.first_batch(batch, None)
        set_lr(state.optimizer, lr)
        state.optimizer.zero_grad()
        sums = torch.zeros(self.columns, device=accelerator.device)
        parts = list(split_batch(batch, settings.accumulation))
        for number, part in enumerate(parts, 1):
            with nullcontext() if number == len(parts) else accelerator.no_sync(state.model):
                losses = state.model(part.images, part.targets)
                values = torch.stack([losses[name] for name in self.task.losses])
                loss, share = values.sum(), len(part.images) * accelerator.num_processes / batch.total
                accelerator.backward(loss * share)
            sums += torch.cat((loss.detach()[None], values.detach(), values.new_ones(1))) * len(part.images)
        if settings.clip_norm:
            accelerator.clip_grad_norm_(state.model.parameters(), settings.clip_norm)
        state.optimizer.step()
        if state.ema is not None:
            state.ema.update_parameters(accelerator.unwrap_model(state.model))
        return sums

    def summary(self, sums: Tensor) -> Losses:
        loss, *parts, count = sums.tolist()
        by_name = {name: value / count for name, value in zip(self.task.losses, parts)}
        return Losses(loss / count, float("nan"), float("nan"), round(count), by_name)

    def record(self, train: Errors) -> dict[str, Any]:
        assert isinstance(train, Losses)
        state, steps = self.state, self.train.steps_per_epoch
        return {
            "epoch": state.epoch + 1,
            "lr": self.settings.lr * self.schedule.factor(state.epoch, 0, steps, self.settings.epochs),
            "train_loss": train.loss,
            **{f"train_{name}": value for name, value in train.parts.items()},
        }

    def test_epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        network, final = self.tested_model(), self.state.epoch + 1 == self.settings.epochs
        with evaluating(network):
            tested = self.task.test(network, self.watched_test(), self.data, self.accelerator, final=final)
        if final and self.keeper and self.accelerator.is_main_process:
            self.keeper.tested(tested)  # type: ignore[attr-defined]
        return {**tested.measures, "test_seconds": time.perf_counter() - started}

    def watched_test(self) -> Iterator[PictureBatch]:
        """The test's batches, each of which is shown as it goes by; its numbers are not known before the last one."""
        unknown = torch.full((4,), float("nan"))
        for step, batch in enumerate(self.test):
            yield batch  # type: ignore[misc]
            self.watch_test(step, unknown)


def check_settings(settings: Settings, optimizer: str) -> None:
    """Refuse, with a ``UsageError``, what a transfer cannot be trained by."""
    if optimizer not in OPTIMIZERS:
        raise UsageError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    if settings.label_smoothing:
        raise UsageError("label_smoothing is for classification; a transfer has the losses of its task")
    if settings.head_lr != 1:
        raise UsageError("head_lr is for classification; in a transfer all that is trained learns at lr")


def split_batch(batch: PictureBatch, count: int) -> list[PictureBatch]:
    """The batch in up to ``count`` parts of nearly equal size, none of them empty."""
    size = -(-len(batch.images) // count)
    return [
        PictureBatch(
            batch.images[start : start + size],
            batch.targets[start : start + size],
            batch.rows[start : start + size],
            batch.total,
        )
        for start in range(0, len(batch.images), size)
    ]
