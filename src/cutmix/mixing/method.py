"""What a mixing method is: it draws a plan, and the plan is applied.

Legend: B = images of a batch, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Any, Literal, TypeAlias, get_args

from torch import Tensor

from cutmix.errors import UsageError, nearest
from cutmix.mixing.draws import Rng
from cutmix.mixing.plans import Plan
from cutmix.mixing.targets import MixedTarget, check_labels

Scope: TypeAlias = Literal["per_batch", "per_sample"]


class Mixing(ABC):
    """A mixing method. Concrete ones are frozen dataclasses: ``repr`` is the call that makes them.

    Two arguments mean the same in all that have them:

    - ``prob``: the probability, in [0, 1], that anything is mixed at all.
    - ``scope``: "per_batch" draws one gate, one lambda and one box for the batch, as the paper does; "per_sample" draws
      them for each image. The partners are one permutation of the batch either way, and an image that its gate leaves
      out is its own partner.
    """

    @abstractmethod
    def draw(self, shape: Sequence[int], rng: Rng | None) -> Plan:
        """What to do with one batch. All chance is here.

        Concrete methods can be handed what they would draw, by name: ``on``, ``box``, ``lam``, ``partners``.

        Args:
            shape: of the batch, (B, C, H, W) or (B, ..., H, W).
            rng: a numpy ``Generator`` or ``RandomState``, or a ``torch.Generator`` on the CPU. It is advanced.

        Raises:
            UsageError: something must be drawn and there is no generator, or it is on a device.
        """

    def __call__(
        self, images_BCHW: Tensor, labels: Tensor, rng: Rng | None, *, inplace: bool = False, **given: Any
    ) -> tuple[Tensor, MixedTarget]:
        """Mix a batch.

        Args:
            images_BCHW: of any floating type or uint8, in any memory layout, on any device.
            labels: (B,) integers, or (B, K) floats that are distributions over the classes.
            rng: a numpy ``Generator`` or ``RandomState``, or a ``torch.Generator`` on the CPU. It is advanced.
            inplace: write into ``images_BCHW``. Otherwise it is left as it is.
            given: what :meth:`draw` need not draw.

        Returns:
            The mixed images, in the type, the layout and on the device that they came in, and their targets.

        Raises:
            UsageError: the images or the labels are not as above, or there is no generator.
        """
        if images_BCHW.ndim != 4 or not images_BCHW.numel():
            raise UsageError(f"Images must be a batch (B, C, H, W), not of shape {tuple(images_BCHW.shape)}.")
        labels = check_labels(labels, len(images_BCHW))
        plan = self.draw(images_BCHW.shape, rng, **given)
        target = plan.targets(labels)
        return plan.apply(images_BCHW, inplace=inplace), target


def draw_shape(scope: Scope, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of what is drawn for a batch: () for one draw that all images share, or (B,)."""
    return (shape[0],) if scope == "per_sample" else ()


def size_of(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        UsageError: the shape has none.
    """
    if len(shape) < 3:
        raise UsageError(f"A box needs images of shape (B, ..., H, W), not {tuple(shape)}.")
    return shape[-2], shape[-1]


def check_alpha(alpha: float) -> None:
    """Refuse what is no parameter of a Beta distribution."""
    if not 0 < alpha < inf:
        raise UsageError(f"alpha={alpha!r} must be above 0. NoMixing() mixes nothing.")


def check_prob(prob: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= prob <= 1:
        raise UsageError(f"prob={prob!r} must be from 0 to 1.")


def check_choice(name: str, value: str, choices: object) -> None:
    """Refuse a value that is not among the strings of a ``Literal``."""
    known = get_args(choices)
    if value not in known:
        raise UsageError(f"{name}={value!r} must be one of {', '.join(known)}.{nearest(str(value), known)}")
