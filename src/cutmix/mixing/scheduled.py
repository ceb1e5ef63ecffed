"""A method whose probability changes over the run, in a line: the paper's "Scheduled" row (table 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NoReturn

from cutmix.errors import UsageError
from cutmix.mixing.cutmix import CutMix
from cutmix.mixing.draws import Rng
from cutmix.mixing.method import Mixing, check_mixings, check_prob, check_progress


@dataclass(frozen=True)
class Scheduled(Mixing):
    """``mixing`` with a ``prob`` that goes from ``start`` to ``end`` as the run goes on, a little in every step.

    The paper raises it from 0 to 1, and does not say whether in every step or every epoch.

    Args:
        mixing: a method with a ``prob``, which is not used.
        start: the probability in the first step.
        end: the probability that the last step comes close to.

    Raises:
        UsageError: the method has no ``prob``, or a probability is none.
    """

    mixing: Mixing = CutMix()  # noqa: RUF009 - frozen
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_mixings((self.mixing,))
        if "prob" not in {field.name for field in fields(self.mixing)}:  # type: ignore[arg-type]
            raise UsageError(f"Scheduled changes prob, and {self.mixing} has none: schedule its parts.")
        check_prob(self.start)
        check_prob(self.end)

    @property
    def parts(self) -> tuple[Mixing, ...]:
        """The one method."""
        return (self.mixing,)

    def at(self, progress: float, shared: Rng | None = None) -> Mixing:
        """The method with the probability of that moment."""
        check_progress(progress)
        changed: Any = replace(self.mixing, prob=self.start + (self.end - self.start) * progress)  # type: ignore[type-var]
        scheduled: Mixing = changed.at(progress, shared)
        return scheduled

    def draw(self, shape: Sequence[int], rng: Rng | None) -> NoReturn:
        """Never: the probability hangs on the moment.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self} must know how much of the run is done: mixing.at(0.3)(images, labels, rng).")
