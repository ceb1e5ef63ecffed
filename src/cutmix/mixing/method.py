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

    A method that is made of others says so by ``parts``, and the rest follows.
    """

    @property
    def parts(self) -> tuple[Mixing, ...]:
        """The methods that this one is made of; of most, none."""
        return ()

    @property
    def mixes_labels(self) -> bool:
        """Whether an image may show its partner. If not, its label stays whole."""
        return any(part.mixes_labels for part in self.parts) if self.parts else True

    @property
    def hidden_layers(self) -> tuple[int | str, ...]:
        """The layers of a network in which something may be mixed; of a method that mixes images, none."""
        return tuple(dict.fromkeys(layer for part in self.parts for layer in part.hidden_layers))

    def at(self, progress: float, shared: Rng | None = None) -> Mixing:
        """This method as it is at one moment of a run. Most are the same from the start to the end.

        Args:
            progress: the part of the run that is done, in [0, 1).
            shared: a generator that is in the same state in all processes of the run, for what they must draw alike
                (``same_layer`` of :class:`Hidden`). None if there is one process.

        Raises:
            UsageError: ``progress`` is outside of [0, 1).
        """
        check_progress(progress)
        return self

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
            UsageError: the images or the labels are not as above, there is no generator, or the method needs a network
                (:class:`Mixer`).
        """
        if images_BCHW.ndim != 4 or not images_BCHW.numel():
            raise UsageError(f"Images must be a batch (B, C, H, W), not of shape {tuple(images_BCHW.shape)}.")
        labels = check_labels(labels, len(images_BCHW))
        plan = self.draw(images_BCHW.shape, rng, **given)
        if self.hidden_layers:
            raise UsageError(
                f"{self} mixes in a network, and needs one: Mixer(mixing, model).mix(images, labels, rng)."
            )
        target = plan.targets(labels)
        return plan.apply(images_BCHW, inplace=inplace), target

    def with_masks(
        self, images_BCHW: Tensor, masks: Tensor, rng: Rng | None, *, inplace: bool = False, **given: Any
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch and its segmentation masks alike.

        Args:
            images_BCHW: this, ``rng``, ``inplace`` and ``given`` as for a call of the method.
            masks: (B, H, W) whole numbers, or (B, K, H, W) with a part for each class; see :meth:`Plan.apply_to_masks`.

        Returns:
            The mixed images and the mixed masks.

        Raises:
            UsageError: as for a call of the method; or the masks do not fit the images, or cannot be mixed so.
        """
        if masks.ndim < 3 or (masks.shape[0], *masks.shape[-2:]) != (len(images_BCHW), *images_BCHW.shape[-2:]):
            raise UsageError(
                f"Masks must be (B, H, W) or (B, K, H, W) for images of {tuple(images_BCHW.shape)}, "
                f"not {tuple(masks.shape)}."
            )
        plan = self.draw(images_BCHW.shape, rng, **given)
        if self.hidden_layers:
            raise UsageError(f"{self} mixes in a network: the masks of its images cannot follow.")
        masks = plan.apply_to_masks(masks, inplace=inplace)  # first: if they cannot be mixed, the images are left alone
        return plan.apply(images_BCHW, inplace=inplace), masks


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


def check_progress(progress: float) -> None:
    """Refuse what is no moment of a run."""
    if not 0 <= progress < 1:
        raise UsageError(f"progress={progress!r} must be from 0 up to, but not, 1: the part of the run that is done.")


def check_mixings(mixings: Sequence[Mixing]) -> tuple[Mixing, ...]:
    """The methods as a tuple; refuse what is none."""
    methods = (mixings,) if isinstance(mixings, Mixing) else tuple(mixings)
    if not methods:
        raise UsageError("mixings=() must name a method at least.")
    for method in methods:
        if not isinstance(method, Mixing):
            raise UsageError(f"{method!r} must be a mixing method, such as CutMix(alpha=1.0).")
    return methods


def check_choice(name: str, value: str, choices: object) -> None:
    """Refuse a value that is not among the strings of a ``Literal``."""
    known = get_args(choices)
    if value not in known:
        raise UsageError(f"{name}={value!r} must be one of {', '.join(known)}.{nearest(str(value), known)}")
