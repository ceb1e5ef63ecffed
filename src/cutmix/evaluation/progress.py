"""What an evaluation shows while it runs: a bar with the time left on a terminal, a line a question in a log.

What a pass takes differs between questions (corrupted images have to be made first), so each is told by its own pace as
soon as there is one: of this question until now, else of an earlier network's answer to it, else of all there was.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
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
        self._left: dict[str, float] = defaultdict(float)
        """Passes of each question that has not begun."""
        self._ended: list[tuple[str, float, float]] = []
        """(question, passes, seconds) of each that has ended."""
        self._question, self._start, self._began = "", 0.0, time.monotonic()

    def expect(self, plan: Iterable[tuple[str, float]]) -> None:
        """So many passes of each question are to come, those of all networks."""
        for question, passes in plan:
            self._left[question] += passes
        self._total = max(sum(self._left.values()), 1e-9)

    def begin(self, question: str, label: str, passes: float) -> None:
        """A question begins, which is expected to take so many passes."""
        self._left[question] = max(self._left[question] - passes, 0.0)
        self._question, self._start, self._began = question, self._done, time.monotonic()
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
            # tqdm would tell the time left at the pace of this question only.
            self._bar.set_postfix_str(f"about {_spoken(self.seconds_left())} left", refresh=False)
            self._bar.update(step)

    def end(self, label: str, seconds: float) -> None:
        """The question is answered: what it did not take of what was expected counts as done."""
        self.advance(self._until - self._done)
        self._ended.append((self._question, self._done - self._start, seconds))
        left = self.seconds_left()
        self.say(f"{label}: {_spoken(seconds)}" + (f", about {_spoken(left)} left" if left >= 1 else ""))

    def seconds_left(self) -> float:
        """Of this question and of those to come; 0 as long as nothing was done."""
        here = (self._question, self._done - self._start, time.monotonic() - self._began)
        begun = [here] if self._until > self._done > self._start else []
        left = {**self._left, self._question: self._left[self._question] + self._until - self._done}
        return sum(passes * self._pace(question, begun) for question, passes in left.items())

    def _pace(self, question: str, begun: list[tuple[str, float, float]]) -> float:
        """Seconds a pass of a question: its own pace, or that of all questions where it was not seen yet."""
        every = [*self._ended, *begun]
        own = [seen for seen in every if seen[0] == question] or every
        passes = sum(passes for _, passes, _ in own)
        return sum(seconds for *_, seconds in own) / passes if passes > 0 else 0.0

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
