"""Several methods one after the other, such as the paper's Cutout + Mixup; one of them may mix labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cutmix.errors import UsageError
from cutmix.mixing.cutout import Cutout
from cutmix.mixing.draws import Rng
from cutmix.mixing.method import Mixing, check_mixings
from cutmix.mixing.mixup import MixUp
from cutmix.mixing.plans import Chain


@dataclass(frozen=True)
class Compose(Mixing):
    """Carries out ``mixings`` in their order. The shares are those of the one that mixes labels.

    What Cutout has erased before goes along with its image and weighs nothing: of half of an image with a hole, the
    share is one half.

    Args:
        mixings: at most one of them may mix labels. In hidden layers they are carried out when the network gets there,
            so after all that is done to images.

    Raises:
        UsageError: there is none, or two mix labels: two shares are no target.
    """

    mixings: tuple[Mixing, ...] = (Cutout(), MixUp())

    def __post_init__(self) -> None:
        object.__setattr__(self, "mixings", check_mixings(self.mixings))
        mixed = [part for part in self.mixings if part.mixes_labels]
        if len(mixed) > 1:
            raise UsageError(
                f"{mixed[0]} and {mixed[1]} both mix labels, and one after the other their shares are no target. "
                f"RandomChoice(mixings=...) takes one of them for each batch."
            )

    @property
    def parts(self) -> tuple[Mixing, ...]:
        """All."""
        return self.mixings

    def at(self, progress: float, shared: Rng | None = None) -> Compose:
        """With each of its methods at that moment."""
        return replace(self, mixings=tuple(part.at(progress, shared) for part in self.mixings))

    def draw(self, shape: Sequence[int], rng: Rng | None) -> Chain:
        """As :meth:`Mixing.draw`: a plan of each method, in their order."""
        return Chain(tuple(part.draw(shape, rng) for part in self.mixings))
