"""Several layer regularizers in one network: DropBlock of one share a stage, ShakeDrop and DropBlock, and so on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from cutmix.errors import UsageError
from cutmix.models.regularizer import NoiseLayer, Regularizer


@dataclass(frozen=True, init=False, repr=False)
class Together(Regularizer):
    """Several at once: ``Together(DropBlock(keep_prob=0.975, stages=(3,)), DropBlock(stages=(4,)))``.

    Where two of them have a layer at one place, the first one's comes first.

    Args:
        parts: the regularizers.
    """

    parts: tuple[Regularizer, ...]

    def __init__(self, *parts: Regularizer) -> None:
        for part in parts:
            if not isinstance(part, Regularizer):
                raise UsageError(f"Together takes regularizers such as ShakeDrop(), not {part!r}.")
        object.__setattr__(self, "parts", parts)

    def __repr__(self) -> str:
        return f"Together({', '.join(map(repr, self.parts))})"

    def layers(self, model: nn.Module, ends: Sequence[str] | None = None) -> Iterator[tuple[nn.Module, NoiseLayer]]:
        """Those of each part, one after the other."""
        for part in self.parts:
            yield from part.layers(model, ends)
