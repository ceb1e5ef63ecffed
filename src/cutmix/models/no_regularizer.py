"""The baseline: the network as it is, and whoever builds it need not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from cutmix.models.regularizer import NoiseLayer, Regularizer


@dataclass(frozen=True)
class NoRegularizer(Regularizer):
    """Puts nothing into any network."""

    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """None."""
        return iter(())
