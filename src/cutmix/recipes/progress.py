"""How a comparison goes on, for all its runs at once: one bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from cutmix.measures import of_result


class Unseen:
    """Shows nothing."""

    def begin(self, epochs: Mapping[str, int], ended: int) -> None:
        pass

    def started(self, name: str) -> None:
        pass

    def moved(self, name: str, position: float) -> None:
        pass

    def ended(self, name: str, result: Mapping[str, Any]) -> None:
        pass

    def failed(self, name: str, error: str) -> None:
        pass

    def close(self) -> None:
        pass


class Progress(Unseen):
    """A tqdm bar over the epochs of all runs, with what is running and an estimate of the time left; lines in a log.

    The time left is taken from the epochs done so far, each counted alike: it is rough where recipes differ in length.
    """

    REFRESH_SECONDS = 0.2
    LOG_SECONDS = 60.0
    ENOUGH_EPOCHS = 0.1  # before that, most of the time went into starting

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self._bar: Any = None

    def begin(self, epochs: Mapping[str, int], ended: int) -> None:
        self._epochs, self._skipped = dict(epochs), ended
        self._positions: dict[str, float] = {}
        self._done = self._resumed = 0.0
        self._closed = 0
        self._started = self._shown = time.monotonic()
        if self._skipped:
            self._say(f"{self._skipped} of {self._skipped + len(self._epochs)} runs were done already")

    def started(self, name: str) -> None:
        self._positions[name] = -1.0  # not known until it says
        self._say(f"starting {name}  ({self._count()})")

    def moved(self, name: str, position: float) -> None:
        if self._positions.get(name, 0.0) < 0:  # all but the epoch at hand was there before
            self._resumed += int(position - 1e-9)
        self._positions[name] = position
        if time.monotonic() - self._shown >= (self.REFRESH_SECONDS if self.live else self.LOG_SECONDS):
            self._show()

    def ended(self, name: str, result: Mapping[str, Any]) -> None:
        self._close_run(name)
        measure = of_result(result)
        number = f"{measure.words} {result[measure.last]:.2f}{' %' * (measure.unit == '%')}"
        self._say(f"done     {name}: {number} after the last epoch  ({self._count()}{self._left()})")

    def failed(self, name: str, error: str) -> None:
        self._close_run(name)
        self._say(f"FAILED   {name}: {error}  ({self._count()}{self._left()})")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _close_run(self, name: str) -> None:
        position = self._positions.pop(name, -1.0)
        if position < 0:  # it had nothing left to do, or failed before its first step
            self._resumed += self._epochs[name]
        self._done += self._epochs[name]
        self._closed += 1

    def _count(self) -> str:
        return f"{self._skipped + self._closed}/{self._skipped + len(self._epochs)} runs"

    def _position(self) -> float:
        return self._done + sum(max(position, 0.0) for position in self._positions.values())

    def _left(self) -> str:
        """About how long it will take, from the epochs done since the start; empty where little is known yet."""
        from tqdm import tqdm

        here, whole = self._position(), sum(self._epochs.values())
        worked = here - self._resumed
        if worked < self.ENOUGH_EPOCHS or here >= whole:
            return ""
        seconds = (time.monotonic() - self._started) * (whole - here) / worked
        return f", about {tqdm.format_interval(seconds)} left"

    def _now(self) -> str:
        return ", ".join(f"{name} {max(at, 0.0):.1f}/{self._epochs[name]}" for name, at in self._positions.items())

    def _show(self) -> None:
        self._shown = time.monotonic()
        if not self.live:
            self._say(f"{self._count()}{self._left()}; epochs: {self._now()}")
            return
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=sum(self._epochs.values()), leave=False, file=self.stream, dynamic_ncols=True,
                             bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}")  # fmt: skip
        self._bar.set_description_str(self._count(), refresh=False)
        self._bar.set_postfix_str(f"{self._left().removeprefix(', ')}; {self._now()}".removeprefix("; "), refresh=False)
        self._bar.n = self._position()
        self._bar.refresh()

    def _say(self, text: str) -> None:
        self.close()
        print(text, file=self.stream, flush=True)
