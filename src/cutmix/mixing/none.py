"""The baseline: nothing is mixed, and the training loop need not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cutmix.mixing.draws import Rng
from cutmix.mixing.method import Mixing
from cutmix.mixing.plans import Keep


@dataclass(frozen=True)
class NoMixing(Mixing):
    """Keeps every batch as it is, and draws nothing."""

    @property
    def mixes_labels(self) -> bool:
        """Never."""
        return False

    def draw(self, shape: Sequence[int], rng: Rng | None) -> Keep:
        """A plan that keeps the batch."""
        return Keep()
