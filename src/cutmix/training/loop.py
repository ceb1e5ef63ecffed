"""The training loop. No method has a branch here: "no mixing" is a mixing, and all chance follows from the position.

Legend: B = images of a batch, C = channels, H = height, W = width, S = steps of an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from cutmix.data import Batch, Data, TestBatches, TrainBatches, test_batches, train_batches
from cutmix.errors import CutmixError, UsageError
from cutmix.mixing import Mixer, Mixing, mixed_cross_entropy
from cutmix.models.regularizer import set_progress
from cutmix.training.display import BatchTested, Display, Silent, StepInfo
from cutmix.training.interrupt import Interrupted, StopSignals
from cutmix.training.measure import Errors, errors_from, mixed_hits, test_errors
from cutmix.training.memory import keep_large_blocks
from cutmix.training.optim import make_ema, make_optimizer, set_lr
from cutmix.training.schedules import Schedule
from cutmix.training.settings import Settings
from cutmix.training.state import State
from cutmix.training.streams import Purpose, seed_layers, stream

if TYPE_CHECKING:
    from accelerate import Accelerator

LOOK_EVERY = 50  # steps between looks at the loss where a look makes the device wait


class Keeper(Protocol):
    """Where a run's state is kept; ``training.run.Run`` is one that writes a folder."""

    def resume(self, state: State, accelerator: Accelerator) -> None:
        """Load the last good state, if there is one to resume."""

    def first_batch(self, images_BCHW: Any, target: Any) -> None:
        """Show the first batch of the run, or its first part, as the network gets it: images and their target.

        In classification the target is a :class:`MixedTarget`; the images are not mixed where a hidden layer is.
        """

    def save(self, state: State, accelerator: Accelerator) -> None:
        """Keep the state. Every process calls it."""

    def how_to_go_on(self) -> str:
        """A sentence that says how to resume."""


def make_accelerator(settings: Settings, *, cpu: bool = False) -> Accelerator:
    """Hugging Face Accelerate for the processes that were launched (``torchrun``, ``accelerate launch``, or one).

    Raises:
        UsageError: a mixed precision that the device does not have, or a moving average of split weights.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # the last run of this process may have had another precision
    overlap = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    try:
        accelerator = Accelerator(mixed_precision=settings.amp, cpu=cpu, kwargs_handlers=[overlap])
    except ValueError as error:
        raise UsageError(f"amp={settings.amp!r} is not to be had on this device: {error}") from error
    if settings.ema and accelerator.distributed_type == DistributedType.FSDP:
        raise UsageError("ema averages whole weights, which FSDP splits over the processes: use DDP, or ema=0")
    return accelerator


def fit(
    model: nn.Module,
    data: Data,
    *,
    mixing: Mixing,
    schedule: Schedule,
    settings: Settings,
    accelerator: Accelerator | None = None,
    augment: Any = None,
    keeper: Keeper | None = None,
    display: Display | None = None,
    workers: int | None = None,
    checkpoint_steps: int = 0,
) -> State:
    """Train ``model`` on ``data.train``, testing on ``data.test`` after each epoch, or every ``settings.test_every``.

    The result is a pure function of the arguments: every draw follows from (seed, epoch, step or sample, rank). A run
    that was stopped and resumed therefore ends with the same weights, to the last bit with one or two processes on the
    CPU. With more, and on devices whose algorithms vary, it is the same to rounding: DDP regroups its gradients after
    the first step of a process, and a sum of three or more depends on the order.

    Args:
        augment: a transform of ``cutmix.data``; None for the one that the paper uses for such data.
        keeper: where checkpoints go and a stopped run resumes from; None keeps nothing.
        display: where progress is shown; None shows nothing.
        workers: processes that decode photos; None chooses.
        checkpoint_steps: also keep the state every so many steps within an epoch; 0 = after each epoch only.

    Returns:
        The state after the last epoch; ``history`` has a record an epoch.

    Raises:
        CutmixError: the loss became infinite or not a number.
        Interrupted: SIGINT or SIGTERM asked to stop; the state has been kept.
    """
    accelerator = accelerator or make_accelerator(settings)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    fitting = Fit(
        model,
        data,
        mixing=mixing,
        schedule=schedule,
        settings=settings,
        accelerator=accelerator,
        augment=augment,
        keeper=keeper,
        display=display or Silent(),
        workers=workers,
        checkpoint_steps=checkpoint_steps,
    )
    with StopSignals() as signals, torch.random.fork_rng(devices=devices), fitting.mixer:
        return fitting.run(signals)


class Fit:
    """One call of :func:`fit`, whose arguments it takes.

    Other work than classification has other batches, steps and tests, and is trained by the same loop: a subclass says
    what they are (``make_batches``, ``laid_out``, ``train_step``, ``summary``, ``record``, ``test_epoch``).
    """

    columns = 4
    """Sums of a step: the loss first, the number of images last."""
    train: TrainBatches
    test: TestBatches

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        *,
        mixing: Mixing,
        schedule: Schedule,
        settings: Settings,
        accelerator: Accelerator,
        augment: Any = None,
        keeper: Keeper | None = None,
        display: Display,
        workers: int | None = None,
        checkpoint_steps: int = 0,
    ) -> None:
        if checkpoint_steps < 0:
            raise UsageError(f"checkpoint_steps must not be negative, got {checkpoint_steps}")
        self.schedule, self.settings = schedule, settings
        self.accelerator, self.keeper, self.display = accelerator, keeper, display
        self.checkpoint_steps = checkpoint_steps
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.on_cpu = accelerator.device.type == "cpu"
        _prepare_process(accelerator, settings)
        self.make_batches(data, augment, workers)
        self.state, self.mixer = _make_state(model, mixing, settings, accelerator, self.layout, self.make_optimizer)

    def make_batches(self, data: Any, augment: Any, workers: int | None) -> None:
        """Set ``train`` and ``test``."""
        place = {
            "device": self.accelerator.device,
            "rank": self.accelerator.process_index,
            "world_size": self.accelerator.num_processes,
            "workers": workers,
        }
        size, seed = self.settings.batch_size, self.settings.seed
        self.train = train_batches(data, batch_size=size, seed=seed, augment=augment, **place)
        self.test = test_batches(data, batch_size=size, **place)

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of what is trained in ``model``."""
        return make_optimizer(model, self.settings)

    def run(self, signals: StopSignals) -> State:
        """Train, from where the keeper resumes to the last epoch."""
        state, epochs = self.state, self.settings.epochs
        if self.keeper:
            self.keeper.resume(state, self.accelerator)
        while state.epoch < epochs:
            train, seconds, rate = self.train_epoch(signals)
            self.display.trained(state.epoch, epochs, train)
            record = {**self.record(train), "images_per_second": rate, "seconds": seconds}
            ended = state.epoch + 1
            state.history.append(record | (self.test_epoch() if ended in (epochs, *self.tested_epochs) else {}))
            state.epoch, state.step, state.sums_S4 = ended, 0, None
            self.save()
            self.display.epoch(state.history[-1], state.best or state.history[-1], epochs)
            if state.epoch < epochs and self.asked_to_stop(signals):
                self.stop(signals)
        self.display.close()
        return state

    @property
    def tested_epochs(self) -> range:
        """The epochs, counted from 1, after which the network is tested; it always is after the last one."""
        every = self.settings.test_every
        return range(every, self.settings.epochs, every)

    def test_epoch(self) -> dict[str, Any]:
        """Test the network; what is written down of it."""
        started = time.perf_counter()
        batches = (self.laid_out(batch) for batch in self.test)
        test = test_errors(self.tested_model(), batches, self.accelerator, self.watch_test)
        self.refuse_infinite(test.loss, "the test loss after this epoch")
        return {
            "test_loss": test.loss,
            "test_error_top1": test.top1,
            "test_error_top5": test.top5,
            "test_seconds": time.perf_counter() - started,
        }

    def laid_out(self, batch: Batch) -> Batch:
        """The batch in the run's memory format."""
        return batch._replace(images_BCHW=batch.images_BCHW.contiguous(memory_format=self.layout))

    def tested_model(self) -> nn.Module:
        """The network whose error is reported: the moving average where there is one.

        Batch norm's running statistics are the first process's, as they are in what is saved.
        """
        from accelerate import DistributedType
        from accelerate.utils import broadcast

        if self.accelerator.distributed_type == DistributedType.FSDP:
            return self.state.model
        # Not in its DDP wrapper: that one waits in each batch for the others, who may have one batch less.
        network = self.accelerator.unwrap_model(self.state.model)
        tested: nn.Module = network if self.state.ema is None else self.state.ema.module
        if self.accelerator.num_processes > 1:
            for buffer in tested.buffers():
                buffer.copy_(broadcast(buffer))
        return tested

    def save(self) -> None:
        """Keep the state, once it is sure to be good."""
        if self.keeper:
            if self.state.step:
                self.refuse_infinite_steps()
            self.refuse_infinite_weights()
            self.keeper.save(self.state, self.accelerator)

    def train_epoch(self, signals: StopSignals) -> tuple[Errors, float, float]:
        """Train the rest of the epoch at hand. Returns the epoch's errors, and of the rest its seconds and images/s."""
        images = 0
        state, steps = self.state, self.train.steps_per_epoch
        if state.sums_S4 is None:
            state.sums_S4 = torch.zeros(steps, self.columns, device=self.accelerator.device)
        state.model.train()
        started = before = time.perf_counter()
        for batch in map(self.laid_out, self.train.epoch(state.epoch, state.step)):
            fetched = time.perf_counter()
            lr = self.settings.lr * self.schedule.factor(state.epoch, state.step, steps, self.settings.epochs)
            state.sums_S4[state.step] = self.train_step(batch, lr)
            state.step += 1
            images += batch.total
            self.look(lr, len(batch[0]), before, fetched)
            if state.step < steps:
                if self.checkpoint_steps and state.step % self.checkpoint_steps == 0:
                    self.save()
                if self.asked_to_stop(signals):
                    self.stop(signals)
            before = time.perf_counter()
        # Step by step first: so the order of the additions is the same in a run that was resumed.
        errors = self.summary(self.accelerator.reduce(state.sums_S4, "sum").sum(0))
        self.refuse_infinite_steps()
        seconds = time.perf_counter() - started
        return errors, seconds, images / seconds

    def train_step(self, batch: Batch, lr: float) -> Tensor:
        """One optimizer step. Returns the sums of its loss, top-1 and top-5 hits, and images: (4,)."""
        state, accelerator, settings = self.state, self.accelerator, self.settings
        position = (state.epoch, state.step, accelerator.process_index)
        seed_layers(settings.seed, Purpose.LAYERS, *position)
        progress = (state.epoch + state.step / self.train.steps_per_epoch) / settings.epochs
        set_progress(state.model, progress)
        parts = self.mixer.split(
            batch.images_BCHW,
            batch.labels_B,
            stream(settings.seed, Purpose.MIXING, *position),
            parts=settings.accumulation,
            inplace=True,
            progress=progress,
            shared=stream(settings.seed, Purpose.MIXING, state.epoch, state.step),
        )
        set_lr(state.optimizer, lr)
        state.optimizer.zero_grad()
        sums = torch.zeros(4, device=accelerator.device)
        for number, part in enumerate(parts, 1):
            images = len(part.images)
            with part, nullcontext() if number == len(parts) else accelerator.no_sync(state.model):
                logits, target = self.forward(part.images), part.target
                if self.keeper and position == (0, 0, 0) and number == 1:
                    self.keeper.first_batch(part.images, target)
                loss = mixed_cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
                # The mean over processes of these is the mean over the images of the whole step, however they split.
                accelerator.backward(loss * (images * accelerator.num_processes / batch.total))
            with torch.no_grad():
                sums[0] += loss.detach() * images
                sums[1:3] += mixed_hits(logits.detach(), target).sum(0)
                sums[3] += images
        if settings.clip_norm:
            accelerator.clip_grad_norm_(state.model.parameters(), settings.clip_norm)
        state.optimizer.step()
        if state.ema is not None:
            state.ema.update_parameters(accelerator.unwrap_model(state.model))
        return sums

    def forward(self, images_BCHW: Tensor) -> Tensor:
        try:
            return self.state.model(images_BCHW)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UsageError(
                f"batch norm cannot learn from a batch of {len(images_BCHW)} where a feature map is one pixel large; "
                f"choose a batch_size that leaves no such batch (now {self.settings.batch_size})"
            ) from error

    def look(self, lr: float, images: int, before: float, fetched: float) -> None:
        """Show the step just done and stop on a loss that is no number; on a GPU only now and then, for it waits."""
        state, steps = self.state, self.train.steps_per_epoch
        assert state.sums_S4 is not None
        shown = self.display.wants_step(state.step - 1, steps)
        if not (shown or self.on_cpu or state.step % LOOK_EVERY == 0):
            return
        self.refuse_infinite_steps()
        if shown:
            errors = self.summary(state.sums_S4[state.step - 1])
            self.display.step(
                StepInfo(
                    epoch=state.epoch,
                    epochs=self.settings.epochs,
                    step=state.step - 1,
                    steps=steps,
                    images=images,
                    lr=lr,
                    loss=errors.loss,
                    error_top1=errors.top1,
                    error_top5=errors.top5,
                    step_seconds=time.perf_counter() - before,
                    data_seconds=fetched - before,
                )
            )

    def summary(self, sums_4: Tensor) -> Errors:
        """What the sums over some images come to."""
        return errors_from(sums_4)

    def watch_test(self, step: int, sums_4: Tensor) -> None:
        self.display.test_step(BatchTested(self.state.epoch, self.settings.epochs, step, self.test.steps, sums_4))

    def record(self, train: Errors) -> dict[str, Any]:
        """What is written down of the epoch just trained."""
        state, steps = self.state, self.train.steps_per_epoch
        return {
            "epoch": state.epoch + 1,
            "lr": self.settings.lr * self.schedule.factor(state.epoch, 0, steps, self.settings.epochs),
            "train_loss": train.loss,
            "train_error": train.top1,
            "train_error_top5": train.top5,
        }

    def refuse_infinite_steps(self) -> None:
        """Stop at the first step of this epoch whose loss is infinite or not a number."""
        state = self.state
        assert state.sums_S4 is not None
        finite = torch.isfinite(state.sums_S4[: state.step, 0])
        if not finite.all():
            step = int((~finite).nonzero()[0, 0])
            self.refuse_infinite(float(state.sums_S4[step, 0]), f"the training loss at step {step + 1}")

    def refuse_infinite_weights(self) -> None:
        """Stop where the loss was finite, but the step after it was too long."""
        weights = [p.detach() for p in self.state.model.parameters()]
        if not torch.stack([p.isfinite().all() for p in weights]).all():
            self.refuse_infinite(float("nan"), f"a weight after step {self.state.step}")

    def refuse_infinite(self, value: float, what: str) -> None:
        if value - value != 0:  # infinite or not a number
            lr = self.state.optimizer.param_groups[0]["lr"]
            kept = f" {self.keeper.how_to_go_on()}" if self.keeper else ""
            raise CutmixError(
                f"{what} of epoch {self.state.epoch + 1} is {value} (learning rate {lr:.4g}). "
                f"Try a lower lr, a warm-up (schedule) or clip_norm.{kept}"
            )

    def asked_to_stop(self, signals: StopSignals) -> bool:
        """Whether any process was asked to stop. Several must agree, which costs a message: not every step."""
        if self.accelerator.num_processes == 1:
            return signals.received != 0
        if not self.on_cpu and self.state.step % LOOK_EVERY:
            return False
        flag = torch.tensor(float(signals.received != 0), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item() > 0)

    def stop(self, signals: StopSignals) -> None:
        """Keep the state and leave."""
        state = self.state
        self.display.close()
        where = f"stopped in epoch {state.epoch + 1} of {self.settings.epochs}, after step {state.step}"
        if self.keeper:
            self.save()
            where += f". {self.keeper.how_to_go_on()}"
        raise Interrupted(where, signals.received)


def _prepare_process(accelerator: Accelerator, settings: Settings) -> None:
    if accelerator.device.type == "cpu":
        keep_large_blocks()
    torch.backends.cudnn.deterministic = settings.deterministic
    torch.backends.cudnn.benchmark = not settings.deterministic


def _make_state(
    model: nn.Module,
    mixing: Mixing,
    settings: Settings,
    accelerator: Accelerator,
    layout: torch.memory_format,
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
) -> tuple[State, Mixer]:
    model = model.to(device=accelerator.device, memory_format=layout)  # type: ignore[call-overload]
    ema = make_ema(model, settings.ema)
    optimizer = make_optimizer(model)
    mixer = Mixer(mixing, model)  # after the average was copied, and before anything is compiled or wrapped
    if settings.compile:
        model.compile()
    model, optimizer = accelerator.prepare(model, optimizer)
    return State(model, optimizer, ema), mixer
