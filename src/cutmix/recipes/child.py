"""One run of a comparison in a process of its own: the job comes in, a line about every second goes out, as JSON.

Standard input holds the job in one line and then stays open: when it closes, whoever started this process is gone, and
the run stops as at SIGTERM, with its state kept. What is printed goes to the log, which is standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from cutmix.errors import CutmixError
from cutmix.recipes.kinds import from_settings, kind_of, start
from cutmix.recipes.start_transfer import TransferConsole
from cutmix.recipes.transfer_recipe import TransferRecipe
from cutmix.training.display import Console, StepInfo

REPORT_SECONDS = 1.0


class Reporter(Console):
    """The plain lines of a log, and the position in the run for the process that waits for it."""

    def __init__(self, channel: TextIO, log: TextIO) -> None:
        super().__init__(log)
        self.channel, self._reported = channel, 0.0

    def send(self, **message: Any) -> None:
        print(json.dumps(message), file=self.channel, flush=True)

    def wants_step(self, step: int, steps: int) -> bool:
        return time.monotonic() - self._reported >= REPORT_SECONDS

    def step(self, info: StepInfo) -> None:
        self._reported = time.monotonic()
        self.send(position=info.epoch + (info.step + 1) / info.steps)
        if super().wants_step(info.step, info.steps):
            super().step(info)

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None:
        self.send(position=record["epoch"])
        super().epoch(record, best, epochs)


class TransferReporter(Reporter, TransferConsole):
    """The same of a transfer, whose epochs have the numbers of its task."""


def reporter_of(recipe: dict[str, Any]) -> type[Reporter]:
    """What reports on a run of this recipe."""
    return TransferReporter if kind_of(recipe) is TransferRecipe else Reporter


def main() -> int:
    """Do the job on standard input; returns the exit code."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is for the log
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=stop_when_closed, args=(sys.stdin.fileno(),), daemon=True).start()
    reporter = reporter_of(job["recipe"])(channel, sys.stderr)
    try:
        reporter.send(result=run_job(job, reporter))
        return 0
    except CutmixError as error:
        signum = getattr(error, "signum", 0)
        reporter.send(stopped=signum) if signum else reporter.send(error=str(error))
        print(error, file=sys.stderr)
        return 128 + signum if signum else 1
    except Exception as error:
        reporter.send(error=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}")
        raise


def run_job(job: dict[str, Any], display: Console) -> dict[str, Any]:
    """Train as the job says; its entries are the arguments of :func:`cutmix.recipes.kinds.start`, as plain values."""
    places = {name: Path(job.pop(name)) for name in ("runs", "data_root") if job.get(name) is not None}
    return start(from_settings(job.pop("recipe")), display=display, **{**job, **places})


def stop_when_closed(descriptor: int) -> None:
    """Wait for the end of an open file, then ask this process to stop."""
    while os.read(descriptor, 1024):  # not by a Python file, whose lock would be held when the process ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
