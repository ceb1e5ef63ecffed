"""What a run shows while it trains: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cutmix.training.measure import Errors


@dataclass(frozen=True)
class StepInfo:
    """One training step, as it is shown: times in seconds, errors in percent, weighted by the mixed labels."""

    epoch: int
    epochs: int
    step: int
    steps: int
    images: int
    lr: float
    loss: float
    error_top1: float
    error_top5: float
    step_seconds: float
    data_seconds: float


@dataclass(frozen=True)
class BatchTested:
    """One batch of a test. ``sums_4`` (loss, top-1 hits, top-5 hits, images) is on the device: reading it waits."""

    epoch: int
    epochs: int
    step: int
    steps: int
    sums_4: Tensor


class Display(Protocol):
    """Shows a run. ``wants_step`` tells the loop whether this step's numbers will be looked at: reading them waits
    for the device."""

    def looked_at(self, done: int, files: int) -> None: ...

    def introduce(self, text: str, model: nn.Module, arch: str) -> None: ...

    def wants_step(self, step: int, steps: int) -> bool: ...

    def step(self, info: StepInfo) -> None: ...

    def trained(self, epoch: int, epochs: int, errors: Errors) -> None: ...

    def test_step(self, info: BatchTested) -> None: ...

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def looked_at(self, done: int, files: int) -> None:
        pass

    def introduce(self, text: str, model: nn.Module, arch: str) -> None:
        pass

    def wants_step(self, step: int, steps: int) -> bool:
        return False

    def step(self, info: StepInfo) -> None:
        pass

    def trained(self, epoch: int, epochs: int, errors: Errors) -> None:
        pass

    def test_step(self, info: BatchTested) -> None:
        pass

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Console(Silent):
    """A tqdm bar per epoch on a terminal; in a log one line per epoch, and one a minute within long epochs."""

    REFRESH_SECONDS = 0.2
    LOG_SECONDS = 60.0

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self._bar: Any = None
        self._label = ""
        self._looked = time.monotonic()

    def looked_at(self, done: int, files: int) -> None:
        if self.live and (done == files or self.wants_step(done, files)):
            self._advance("looking at the files", done - 1, files, "", unit="file")

    def introduce(self, text: str, model: nn.Module, arch: str) -> None:
        self.say(text)

    def wants_step(self, step: int, steps: int) -> bool:
        now = time.monotonic()
        due = now - self._looked >= (self.REFRESH_SECONDS if self.live else self.LOG_SECONDS)
        if due:
            self._looked = now
        return due

    def step(self, info: StepInfo) -> None:
        label = f"epoch {info.epoch + 1}/{info.epochs}"
        if self.live:
            self._advance(label, info.step, info.steps, f"lr {info.lr:.4g} loss {info.loss:.3f}")
        else:
            rate = info.images / info.step_seconds if info.step_seconds else 0.0
            position = f"{label} step {info.step + 1}/{info.steps}"
            self.say(f"{position}  lr {info.lr:.4g}  loss {info.loss:.4f}  {rate:.0f} images/s")

    def test_step(self, info: BatchTested) -> None:
        if self.live and self.wants_step(info.step, info.steps):
            self._advance(f"test {info.epoch + 1}/{info.epochs}", info.step, info.steps, "")

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None:
        self._looked = time.monotonic()
        tested = ""
        if "test_error_top1" in record:
            tested = f"  test top-1 error {record['test_error_top1']:.2f} %  top-5 {record['test_error_top5']:.2f} %"
        self.say(
            f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}  lr {record['lr']:.4g}"
            f"  train loss {record['train_loss']:.4f} error {record['train_error']:.2f} % (mixed labels)"
            f"{tested}  {record['images_per_second']:.0f} images/s"
        )

    def say(self, text: str) -> None:
        self.close()
        print(text, file=self.stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _advance(self, label: str, step: int, steps: int, numbers: str, unit: str = "batch") -> None:
        from tqdm import tqdm

        if self._bar is None or self._label != label:
            self.close()
            self._bar = tqdm(total=steps, desc=label, leave=False, file=self.stream, dynamic_ncols=True, unit=unit)
            self._label = label
        self._bar.set_postfix_str(numbers, refresh=False)
        self._bar.n = step + 1
        self._bar.refresh()
