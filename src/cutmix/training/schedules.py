"""Learning rates over time: pure functions of the position in the run, so that resuming needs no state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from cutmix.errors import UsageError


class Schedule(ABC):
    """What the peak learning rate is multiplied with.

    ``warmup`` epochs of a linear rise, updated each step, come before (their length counts as part of the run).
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < math.inf:
            raise UsageError(f"warmup must be a number of epochs, at least 0, got {self.warmup}")

    def factor(self, epoch: int, step: int, steps: int, epochs: int) -> float:
        """The multiplier at ``step`` of ``steps`` in ``epoch`` of ``epochs`` (all counted from 0)."""
        done = epoch + step / steps
        if done < self.warmup:
            return (done + 1 / steps) / self.warmup
        return self.after_warmup(epoch, done, epochs)

    @abstractmethod
    def after_warmup(self, epoch: int, done: float, epochs: int) -> float:
        """The multiplier in ``epoch``, after ``done`` epochs of ``epochs``."""


@dataclass(frozen=True)
class Steps(Schedule):
    """The rate is multiplied with ``by`` at each of these shares of the run, once per epoch.

    The defaults are the paper's CIFAR schedule: a tenth at half of the epochs, a hundredth at three quarters
    (150 and 225 of 300), and the official rule ``0.1 ** (e // (0.5 E)) * 0.1 ** (e // (0.75 E))`` for other lengths.
    """

    at: tuple[float, ...] = (0.5, 0.75)
    by: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 < share < 1 for share in self.at):
            raise UsageError(f"Steps(at=...) takes shares of the run between 0 and 1, got {self.at}")

    def after_warmup(self, epoch: int, done: float, epochs: int) -> float:
        return self.by ** sum(epoch >= share * epochs for share in self.at)


@dataclass(frozen=True)
class Every(Schedule):
    """The rate is multiplied with ``by`` every so many epochs.

    The official ImageNet rule is ``Every(75)`` for exactly 300 epochs and ``Every(30)`` for every other length.
    """

    epochs: int = 30
    by: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs < 1:
            raise UsageError(f"Every(epochs=...) must be at least 1, got {self.epochs}")

    def after_warmup(self, epoch: int, done: float, epochs: int) -> float:
        return self.by ** (epoch // self.epochs)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to ``floor``, updated each step (Loshchilov and Hutter, 2017)."""

    floor: float = 0.0
    warmup: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.floor <= 1:
            raise UsageError(f"Cosine(floor=...) is a share of the peak rate, from 0 to 1, got {self.floor}")

    def after_warmup(self, epoch: int, done: float, epochs: int) -> float:
        progress = (done - self.warmup) / max(epochs - self.warmup, 1e-9)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True)
class Constant(Schedule):
    """The peak rate throughout."""

    warmup: float = 0.0

    def after_warmup(self, epoch: int, done: float, epochs: int) -> float:
        return 1.0
