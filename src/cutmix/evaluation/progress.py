"""What an evaluation shows while it runs: a bar with the time left on a terminal, a line a question in a log."""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO


class Progress:
    """Counts forward passes over the test images, those of questions and networks that are still to come included.

    ``silent`` is for all processes but the first.
    """

    def __init__(self, stream: TextIO | None = None, silent: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() and not silent
        self._silent = silent
        self._bar: Any = None
        self._total = self._done = self._until = 0.0
        self._began = time.monotonic()

    def expect(self, passes: float) -> None:
        """So much is to be done in all."""
        self._total, self._began = max(passes, 1e-9), time.monotonic()

    def begin(self, label: str, passes: float) -> None:
        """A question begins, which is expected to take so many passes."""
        self._until = self._done + passes
        if self.live:
            from tqdm import tqdm

            self.close()
            form = "{desc}: {percentage:3.0f} % |{bar}| {elapsed}{postfix}"
            self._bar = tqdm(total=self._total, desc=label, leave=False, file=self.stream, dynamic_ncols=True,
                             bar_format=form, initial=self._done)  # fmt: skip

    def advance(self, passes: float) -> None:
        """So much was done, at most what the question was expected to take."""
        step = min(passes, self._until - self._done)
        self._done += step
        if self._bar is not None:
            # tqdm knows the pace of this question only; what is left is told at the pace of all of them.
            self._bar.set_postfix_str(f"about {_spoken(self.seconds_left())} left", refresh=False)
            self._bar.update(step)

    def end(self, label: str, seconds: float) -> None:
        """The question is answered: what it did not take of what was expected counts as done."""
        self.advance(self._until - self._done)
        left = self.seconds_left()
        self.say(f"{label}: {_spoken(seconds)}" + (f", about {_spoken(left)} left" if left >= 1 else ""))

    def seconds_left(self) -> float:
        """At the pace until now."""
        elapsed = time.monotonic() - self._began
        return elapsed * (self._total - self._done) / self._done if self._done > 0 else 0.0

    def say(self, text: str) -> None:
        """Print a line; the bar makes room for it."""
        if not self._silent:
            self.close()
            print(text, file=self.stream, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _spoken(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
