"""A run's folder: its recipe, metrics, checkpoints and pictures.

recipe.json                     every setting; ``cutmix train recipe.json`` repeats the run
metrics.jsonl, metrics.csv      a record an epoch
last.pth.tar, previous.pth.tar  the state after the last epoch, and the one kept before it
best.pth.tar                    the state with the lowest test error: chosen on the test set
last.safetensors, best.safetensors   the weights alone
result.json                     the run's errors, once it has ended
first_batch.png, curves.png     what the network was shown first, and how it learned
.lock                           empty; the process that trains holds a lock on it
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cutmix.data import Data
from cutmix.errors import CutmixError, UsageError
from cutmix.files import take_lock, write_atomically
from cutmix.mixing import MixedTarget
from cutmix.training.checkpoint import load_checkpoint, save_checkpoint
from cutmix.training.display import Display, Silent
from cutmix.training.state import State

if TYPE_CHECKING:
    from accelerate import Accelerator

LAST, PREVIOUS, BEST = "last.pth.tar", "previous.pth.tar", "best.pth.tar"
RECIPE, RESULT, LOCK = "recipe.json", "result.json", ".lock"
CURVES_SECONDS = 60.0  # between drawings of the learning curves: a drawing takes about a second
FIRST_BATCH_IMAGES = 32


class Run:
    """Keeps a run in its folder, which no other run can use until :meth:`close`. Only the first process writes."""

    command_name = "cutmix train"

    def __init__(
        self,
        folder: Path,
        recipe: dict[str, Any],
        data: Data,
        *,
        arch: str,
        resume: bool = False,
        main: bool = True,
        display: Display | None = None,
        tensorboard: bool = False,
        command: str = "",
        processes: int = 1,
        runs_at_once: int = 1,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        """Open the folder of a run, new or to be resumed.

        Args:
            recipe: every setting, as plain values.
            arch: a short name of the network, for the official checkpoint's ``arch``.
            main: whether this process is the one that writes.
            tensorboard: also write TensorBoard events (needs the extra).
            command: how the run was started, for its result.
            defaults: what settings are taken to be that the recipe of a resumed run does not have: it may be older.
            processes: how many train together; each draws for itself, so a run cannot go on with another number.
            runs_at_once: how many runs share the machine, for the result: their times are no measure of speed.

        Raises:
            UsageError: the folder holds a run already and ``resume`` is not set, or holds one of another recipe, or
                another process trains in it.
            CutmixError: the folder cannot be written.
        """
        self.folder, self.recipe, self.data, self.arch = folder, recipe, data, arch
        self.main, self.resuming, self.command, self.processes = main, resume, command, processes
        self.runs_at_once, self.defaults = runs_at_once, defaults or {}
        self.display = display or Silent()
        self._writer: Any = _tensorboard_writer(folder) if tensorboard and main else None
        self._drawn = time.monotonic()
        self._nothing_left = False
        self._lock: int | None = None
        if main:
            try:
                self._open()
            except BaseException:
                self.close()
                raise

    def _open(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(self.folder / LOCK)
            for litter in self.folder.glob(".*.tmp"):  # of a write that was killed
                litter.unlink()
        except BlockingIOError as error:
            raise UsageError(
                f"another process trains in {self.folder}: wait until it has ended, or give this run another name."
            ) from error
        except OSError as error:
            raise CutmixError(f"cannot make the run's folder {self.folder}: {error.strerror}") from error
        kept = self.folder / RECIPE
        if kept.exists() or (self.folder / LAST).exists():
            if not self.resuming:
                raise UsageError(
                    f"{self.folder} holds a run already. Add --resume to go on with it, or give this one another name."
                )
            before = {**self.defaults, **_read_json(kept)}
            _refuse_other_recipe(self.folder, before, self.recipe, self.command_name)
        else:
            write_atomically(kept, lambda file: file.write(_json(self.recipe)))

    # What the loop calls (training.loop.Keeper)

    def resume(self, state: State, accelerator: Accelerator) -> None:
        """Load the last good checkpoint into ``state``, where the run is to be resumed and there is one."""
        if not self.resuming:
            return
        checkpoint = self._last_good()
        if checkpoint is None:
            self.display.say(f"{self.folder} has no checkpoint yet: starting from the beginning")
            return
        self._refuse_other_circumstances(checkpoint["cutmix"])
        state.load_checkpoint(checkpoint, accelerator)
        self._nothing_left = state.epoch == self.recipe["epochs"]
        self.command = checkpoint["cutmix"]["command"]
        at = f"epoch {state.epoch + 1}" + (f", step {state.step + 1}" if state.step else "")
        self.display.say(
            f"{self.folder} has ended already" if self._nothing_left else f"resuming {self.folder} at {at}"
        )

    def first_batch(self, images_BCHW: Tensor, target: MixedTarget) -> None:
        """Draw the first mixed batch, each image with its labels and their shares.

        Where a hidden layer is mixed, the images are as they came, and the labels are what the network is taught.
        """
        from cutmix.pictures import denormalise, mixed_batch_picture, share_captions

        shown = slice(0, FIRST_BATCH_IMAGES)
        captions = share_captions(
            target.labels[shown].tolist(),
            target.partner_labels[shown].tolist(),
            target.share[shown].tolist(),
            self.data.classes,
        )
        images = denormalise(images_BCHW[shown], self.data.mean, self.data.std)
        title = f"First batch of {self.folder.name}: {self.recipe['mixing']}"
        mixed_batch_picture(images, captions, self.folder / "first_batch.png", title=title)

    def save(self, state: State, accelerator: Accelerator) -> None:
        """Write checkpoint and metrics. Every process calls it; the first one writes."""
        checkpoint = state.to_checkpoint(accelerator, self._about())
        if not self.main:
            return
        ended_epoch = state.step == 0
        if ended_epoch and state.best is state.history[-1]:
            # Before the last one: a run killed in between repeats the epoch, and writes the same again.
            save_checkpoint(self.folder / BEST, checkpoint)
        save_checkpoint(self.folder / LAST, checkpoint, previous=self.folder / PREVIOUS)
        if ended_epoch:
            self._write_metrics(state.history)
            self._write_events(state.history[-1])
            if time.monotonic() - self._drawn > CURVES_SECONDS:
                self._draw_curves(state.history)

    def how_to_go_on(self) -> str:
        """Which state is kept, and the command that resumes from it."""
        kept = next((name for name in (LAST, PREVIOUS) if (self.folder / name).exists()), None)
        if kept is None:
            return f"No checkpoint had been written to {self.folder} yet."
        return (
            f"The last good checkpoint is {self.folder / kept}; go on with: {self.command_name} {self.folder} --resume"
        )

    @property
    def train_images(self) -> int:
        """How many different pictures are trained on."""
        return len(self.data.train)

    # What is done once, at the end

    def finish(self, state: State, *, device: str, version: str) -> dict[str, Any]:
        """Write the result, the curves and the plain weights; returns the result.

        A run that had ended before it was resumed keeps the result that it has.
        """
        if self._nothing_left and (self.folder / RESULT).exists():
            return _read_json(self.folder / RESULT)
        last, best = state.history[-1], state.best
        assert best is not None
        result = {
            **self._measured(last, best),
            "best_epoch": best["epoch"],
            "best_is": "chosen on the test set",
            "epochs": last["epoch"],
            "test_images": len(self.data.test),
            "train_images": self.train_images,
            "seconds": sum(record["seconds"] + record.get("test_seconds", 0.0) for record in state.history),
            "fingerprint": self.data.fingerprint,
            "processes": self.processes,
            "runs_at_once": self.runs_at_once,
            "device": device,
            "version": version,
            "torch": str(torch.__version__),
            "command": self.command,
        }
        if self.main:
            write_atomically(self.folder / RESULT, lambda file: file.write(_json(result)))
            self._write_metrics(state.history)
            self._draw_curves(state.history)
            self._export_weights()
        return result

    def close(self) -> None:
        """Let go of the folder, however the run went."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            os.close(self._lock)
        self._writer = self._lock = None

    def _measured(self, last: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
        """The result's numbers, of the records of the last and of the best epoch."""
        return {
            f"{name}_{which}": record[name]
            for which, record in (("last", last), ("best", best))
            for name in ("test_error_top1", "test_error_top5")
        }

    def _export_weights(self) -> None:
        from cutmix.models.checkpoints import read_weights, write_safetensors

        for name in (LAST, BEST):
            weights = read_weights(self.folder / name)
            write_safetensors(self.folder / name.replace(".pth.tar", ".safetensors"), weights.state_dict, self._about())

    def _about(self) -> dict[str, Any]:
        """What a reader of a checkpoint needs besides the weights."""
        return {
            "recipe": self.recipe,
            "arch": self.arch,
            "model": self.recipe["model"],
            "data": self.recipe["data"],
            "classes": list(self.data.classes),
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            "image_size": self.data.image_size,
            "squared": self.data.squared,
            "train_images": self.train_images,
            "fingerprint": self.data.fingerprint,
            "processes": self.processes,
            "command": self.command,
        }

    def _write_metrics(self, history: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in history)
        write_atomically(self.folder / "metrics.jsonl", lambda file: file.write(lines.encode()))
        table = io.StringIO()
        columns = dict.fromkeys(name for record in history for name in record)  # not every epoch is tested
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_atomically(self.folder / "metrics.csv", lambda file: file.write(table.getvalue().encode()))

    def _write_events(self, record: dict[str, Any]) -> None:
        if self._writer is not None:
            for name, value in record.items():
                self._writer.add_scalar(name, value, record["epoch"])
            self._writer.flush()

    def _draw_curves(self, history: list[dict[str, Any]]) -> None:
        from cutmix.pictures import curves_picture

        curves_picture(history, self.folder / "curves.png", title=self.folder.name)
        self._drawn = time.monotonic()

    def _last_good(self) -> dict[str, Any] | None:
        """The newest checkpoint that can be read; says so where it had to pass one over."""
        found = [self.folder / name for name in (LAST, PREVIOUS) if (self.folder / name).exists()]
        for path in found:
            try:
                return load_checkpoint(path)
            except CutmixError as error:
                self.display.say(f"passing over {error}")
        if found:
            raise CutmixError(f"no checkpoint of {self.folder} can be read; start anew under another --name")
        return None

    def _refuse_other_circumstances(self, about: dict[str, Any]) -> None:
        names = ("classes", "train_images", "fingerprint", "processes")
        now = self._about()
        for name in names:
            if about[name] != now[name]:
                raise UsageError(
                    f"{self.folder} cannot be resumed: its {name.replace('_', ' ')} was {about[name]}, is {now[name]}"
                )


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The settings in which two recipes differ, a line each."""
    missing = "(not set)"
    return [
        f"{name}: {before.get(name, missing)!r} -> {now.get(name, missing)!r}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, missing) != now.get(name, missing)
    ]


def _refuse_other_recipe(folder: Path, before: dict[str, Any], now: dict[str, Any], command: str) -> None:
    lines = differences(before, json.loads(json.dumps(now)))
    if lines:
        raise UsageError(
            f"{folder} was started with another recipe, it cannot be resumed with this one:\n  "
            + "\n  ".join(lines)
            + f"\nGo on with its own by: {command} {folder} --resume"
        )


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise CutmixError(f"cannot read {path}: {error}") from error


def _tensorboard_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("TensorBoard events need the extra: pip install 'cutmix[tensorboard]'") from error
    return SummaryWriter(folder / "tensorboard")
