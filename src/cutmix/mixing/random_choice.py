"""One of several methods for each batch, drawn anew: timm's switch between Mixup and CutMix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from cutmix.errors import UsageError
from cutmix.mixing.cutmix import CutMix
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, check_mixings
from cutmix.mixing.mixup import MixUp
from cutmix.mixing.plans import Plan


@dataclass(frozen=True)
class RandomChoice(Mixing):
    """Takes one of ``mixings`` for the whole batch.

    Args:
        mixings: to choose from; ``NoMixing()`` may be among them.
        weights: how often each is chosen, in proportion; None for all alike.

    Raises:
        UsageError: there are no methods, or not as many weights, or weights that are no proportions.
    """

    mixings: tuple[Mixing, ...] = (MixUp(), CutMix())
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixings", check_mixings(self.mixings))
        if self.weights is None:
            return
        weights = tuple(self.weights)
        object.__setattr__(self, "weights", weights)
        if len(weights) != len(self.mixings) or not all(0 <= w < inf for w in weights) or not any(weights):
            raise UsageError(
                f"weights={weights} must be {len(self.mixings)} numbers, one for each method: 0 or more, and not all 0."
            )

    @property
    def parts(self) -> tuple[Mixing, ...]:
        """All."""
        return self.mixings

    def at(self, progress: float, shared: Rng | None = None) -> RandomChoice:
        """With each of its methods at that moment."""
        return replace(self, mixings=tuple(part.at(progress, shared) for part in self.mixings))

    def draw(self, shape: Sequence[int], rng: Rng | None) -> Plan:
        """As :meth:`Mixing.draw`: which method, and then the plan of that one."""
        chosen = Draws(rng).choice(self.weights or (1.0,) * len(self.mixings))
        return self.mixings[chosen].draw(shape, rng)
