"""What a drawn mix does to a batch: keep it, paste, blend or erase. There is no chance in here.

The convention of the whole project: the *share* (lambda in the papers) is the part of the image that the FIRST label
keeps; the partner's label has the rest. Where pixels are pasted it is counted in the pixels that are really kept. That
is what ``contents`` says. ``targets`` says the same, but for plans with a *weight* of their own.

A plan is drawn for a shape, and can be applied to whatever has that batch size and that height and width: images,
their masks, a layer's feature maps. It is held on the host as numbers and numpy arrays.

Legend: B = images of a batch, C = channels, H = height, W = width, K = classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing import pixels
from cutmix.mixing.boxes import Box, every
from cutmix.mixing.targets import MixedTarget, check_labels


class Plan(ABC):
    """What will be done to one batch.

    Attributes:
        weight: of the first label where that is not its share: a float or (B,). None if it is (:class:`Weigh`).
        layer: of the network, whose feature map the plan waits for; None for what is done to images.
    """

    weight: Any = None
    layer: int | str | None = None

    @property
    def mixes_labels(self) -> bool:
        """Whether an image may show its partner. If not, its label stays whole."""
        return True

    @abstractmethod
    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        """The mixed images, in the type and the memory layout that they came in.

        Args:
            images: (B, C, H, W), or (B, ..., H, W).
            inplace: write into ``images``, which must not need gradients, and return it. Otherwise it is left as it is.

        Raises:
            UsageError: the plan was drawn for another batch size, height or width.
        """

    @abstractmethod
    def contents(self, labels: Tensor) -> MixedTarget:
        """Whose pixels the mixed images show, and how many, given the labels of the batch: (B,) or (B, K)."""

    def targets(self, labels: Tensor) -> MixedTarget:
        """What the mixed images are to be called: what they show, unless the plan has a ``weight`` of its own."""
        return self.contents(labels)

    @property
    def steps(self) -> tuple[Plan, ...]:
        """The plans that this one carries out, one after the other; of most, itself."""
        return (self,)

    def for_map(self, shape: Sequence[int], part: int = 0) -> Plan:
        """The plan for a feature map of this shape. Of what is done to images, itself.

        Args:
            shape: of the map: (B, C, H, W), or (B, features).
            part: which part of a batch that was split; each draws for itself.
        """
        return self

    def apply_to_masks(self, masks: Tensor, *, inplace: bool = False) -> Tensor:
        """The masks of the mixed images: (B, H, W) whole numbers, or (B, K, H, W) with a part for each class.

        Where an image shows its partner, its mask is the partner's. What is erased keeps its mask, as it keeps its
        label.

        Raises:
            UsageError: masks of whole numbers are to be blended, or they are of another size than the images.
        """
        return self.apply(masks, inplace=inplace)

    @abstractmethod
    def only(self, on_B: NDArray[np.bool_]) -> Plan:
        """This plan for the images where ``on_B`` is true. The others are left as they are, each its own partner."""


@dataclass(frozen=True)
class Keep(Plan):
    """Leaves the batch as it is: ``apply`` returns the very tensor that came."""

    @property
    def mixes_labels(self) -> bool:
        """Never."""
        return False

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        return images

    def contents(self, labels: Tensor) -> MixedTarget:
        return _whole(labels)

    def only(self, on_B: NDArray[np.bool_]) -> Keep:
        return self


@dataclass(frozen=True, eq=False)
class Paste(Plan):
    """Pastes a box of its partner into each image, at the same place (CutMix).

    Args:
        box: one for all images, or one for each.
        partners: (B,) int64; image i takes from image ``partners[i]``.
        size_HW: height and width of the images that the box is meant for.

    Raises:
        UsageError: a box leaves the image, a partner is not in the batch, or the lengths differ.
    """

    box: Box
    partners: NDArray[np.int64]
    size_HW: tuple[int, int]

    def __post_init__(self) -> None:
        self.box.check(self.size_HW)
        check_partners(self.partners, self.box.top)

    @property
    def share(self) -> Any:
        """The part of each image that lies outside the box: a float or (B,)."""
        return self.box.share_outside(self.size_HW)

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        self.check_batch(images)
        return pixels.paste(images, self.box, self.partners, inplace=inplace)

    def check_batch(self, images: Tensor) -> None:
        """Refuse images that the plan was not drawn for."""
        check_batch(images, len(self.partners), self.size_HW)

    def contents(self, labels: Tensor) -> MixedTarget:
        return mixed_labels(labels, self.partners, self.share)

    def only(self, on_B: NDArray[np.bool_]) -> Paste:
        if on_B.all():
            return self
        return replace(self, box=self.box.only(on_B), partners=own_partner_unless(on_B, self.partners))


@dataclass(frozen=True, eq=False)
class Blend(Plan):
    """Adds each image and its partner with the weights ``share`` and 1 - ``share`` (Mixup).

    Computed in the images' type if that is float32 or float64, and otherwise in float32; uint8 is then rounded to the
    nearest whole number (halves to the even one).

    Args:
        share: the weight of the image itself, in [0, 1]: a float, or (B,).
        partners: (B,) int64; image i is blended with image ``partners[i]``.

    Raises:
        UsageError: a share is outside [0, 1], a partner is not in the batch, or the lengths differ.
    """

    share: float | NDArray[np.float64]
    partners: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not every((self.share >= 0) & (self.share <= 1)):
            raise UsageError(f"A share must be from 0 to 1, not {self.share}.")
        check_partners(self.partners, self.share)

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        check_batch(images, len(self.partners))
        return pixels.blend(images, self.share, self.partners, inplace=inplace)

    def apply_to_masks(self, masks: Tensor, *, inplace: bool = False) -> Tensor:
        """As :meth:`Plan.apply_to_masks`, of floats only: between two whole numbers there is no class."""
        if not masks.is_floating_point():
            raise UsageError(
                f"Masks of {masks.dtype} cannot be blended: give each class a part, (B, K, H, W) floats "
                "(torch.nn.functional.one_hot), or mix with a method that pastes."
            )
        return self.apply(masks, inplace=inplace)

    def contents(self, labels: Tensor) -> MixedTarget:
        return mixed_labels(labels, self.partners, self.share)

    def only(self, on_B: NDArray[np.bool_]) -> Blend:
        if on_B.all():
            return self
        share_B = np.where(on_B, self.share, 1.0)
        return replace(self, share=share_B, partners=own_partner_unless(on_B, self.partners))


@dataclass(frozen=True, eq=False)
class Erase(Plan):
    """Fills a box of each image (Cutout). The label keeps its whole share: no other class has been put there.

    Args:
        box: one for all images, or one for each.
        size_HW: height and width of the images that the box is meant for.
        fill: the value; 0 is the mean colour of normalised images.

    Raises:
        UsageError: a box leaves the image.
    """

    box: Box
    size_HW: tuple[int, int]
    fill: float = 0.0

    @property
    def mixes_labels(self) -> bool:
        """Never."""
        return False

    def __post_init__(self) -> None:
        self.box.check(self.size_HW)

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        check_batch(images, len(images) if self.box.shared else len(self.box.top), self.size_HW)
        return pixels.erase(images, self.box, self.fill, inplace=inplace)

    def apply_to_masks(self, masks: Tensor, *, inplace: bool = False) -> Tensor:
        """The masks as they are: what was there is hidden, and its class has not changed."""
        check_batch(masks, len(masks) if self.box.shared else len(self.box.top), self.size_HW)
        return masks

    def contents(self, labels: Tensor) -> MixedTarget:
        return _whole(labels)

    def only(self, on_B: NDArray[np.bool_]) -> Erase:
        return self if on_B.all() else replace(self, box=self.box.only(on_B))


@dataclass(frozen=True, eq=False)
class Weigh(Plan):
    """Does what ``plan`` does, and weighs the labels in another way than by the pixels that are shown.

    Args:
        plan: what is done to the images.
        weight: of the first label, in [0, 1]: a float, or (B,). The partner's label has the rest.

    Raises:
        UsageError: a weight is outside [0, 1].
    """

    plan: Plan
    weight: float | NDArray[np.float64] = field()  # required, whatever the class above says

    def __post_init__(self) -> None:
        if not every((self.weight >= 0) & (self.weight <= 1)):
            raise UsageError(f"A weight must be from 0 to 1, not {self.weight}.")

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        return self.plan.apply(images, inplace=inplace)

    def apply_to_masks(self, masks: Tensor, *, inplace: bool = False) -> Tensor:
        return self.plan.apply_to_masks(masks, inplace=inplace)

    def contents(self, labels: Tensor) -> MixedTarget:
        return self.plan.contents(labels)

    def targets(self, labels: Tensor) -> MixedTarget:
        shown = self.contents(labels)
        return replace(shown, share=_per_label(self.weight, shown.labels))

    def only(self, on_B: NDArray[np.bool_]) -> Weigh:
        if on_B.all():
            return self
        return replace(self, plan=self.plan.only(on_B), weight=np.where(on_B, self.weight, 1.0))


@dataclass(frozen=True, eq=False)
class Chain(Plan):
    """Carries out plans one after the other, of which at most one mixes labels: that one says what they are.

    Args:
        plans: in their order. What an earlier one erased goes wherever a later one pastes it, and the share does not
            see it.

    Raises:
        UsageError: two plans mix labels.
    """

    plans: tuple[Plan, ...]

    def __post_init__(self) -> None:
        if sum(plan.mixes_labels for plan in self.steps) > 1:
            raise UsageError(f"Two of the plans mix labels, and two shares are no target: {self.plans}.")

    @property
    def mixes_labels(self) -> bool:
        return self._labels.mixes_labels

    @property
    def weight(self) -> Any:
        return self._labels.weight

    @property
    def steps(self) -> tuple[Plan, ...]:
        return tuple(step for plan in self.plans for step in plan.steps)

    def for_map(self, shape: Sequence[int], part: int = 0) -> Chain:
        return Chain(tuple(plan.for_map(shape, part) for plan in self.plans))

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        mixed = images
        for plan in self.plans:  # what an earlier one has made anew may be written into
            mixed = plan.apply(mixed, inplace=inplace or mixed is not images)
        return mixed

    def apply_to_masks(self, masks: Tensor, *, inplace: bool = False) -> Tensor:
        mixed = masks
        for plan in self.plans:
            mixed = plan.apply_to_masks(mixed, inplace=inplace or mixed is not masks)
        return mixed

    def contents(self, labels: Tensor) -> MixedTarget:
        return self._labels.contents(labels)

    def targets(self, labels: Tensor) -> MixedTarget:
        return self._labels.targets(labels)

    def only(self, on_B: NDArray[np.bool_]) -> Chain:
        return Chain(tuple(plan.only(on_B) for plan in self.plans))

    @property
    def _labels(self) -> Plan:
        return next((plan for plan in self.steps if plan.mixes_labels), Keep())


def own_partner_unless(on_B: NDArray[np.bool_], partners: NDArray[np.int64]) -> NDArray[np.int64]:
    """The partners, and where ``on_B`` is false the image itself."""
    return np.where(on_B, partners, np.arange(len(partners)))


def mixed_labels(labels: Tensor, partners: NDArray[np.int64], share: float | NDArray[np.float64]) -> MixedTarget:
    """The target of images that show ``share`` of themselves, and their partners in the rest."""
    labels = check_labels(labels, len(partners))
    order = pixels.on_device(partners, labels.device)
    return MixedTarget(labels, labels.index_select(0, order), _per_label(share, labels))


def _per_label(share: float | NDArray[np.float64], labels: Tensor) -> Tensor:
    if isinstance(share, np.ndarray):
        return pixels.on_device(share.astype(np.float32), labels.device)
    return torch.full((len(labels),), share, device=labels.device)


def _whole(labels: Tensor) -> MixedTarget:
    labels = check_labels(labels, len(labels))
    return MixedTarget(labels, labels, torch.ones(len(labels), device=labels.device))


def check_batch(images: Tensor, batch_size: int, size_HW: tuple[int, int] | None = None) -> None:
    """Refuse images that a plan was not drawn for."""
    if len(images) != batch_size or (size_HW and tuple(images.shape[-2:]) != tuple(size_HW)):
        size = f" of {size_HW[0]}x{size_HW[1]}" if size_HW else ""
        raise UsageError(f"This plan was drawn for {batch_size} images{size}, not for {tuple(images.shape)}.")


def check_partners(partners: NDArray[np.int64], values: Any) -> None:
    """Refuse partners outside of the batch, and ``values`` that are neither one for all nor one for each."""
    size = len(partners)
    if not size or partners.min() < 0 or partners.max() >= size:
        raise UsageError(f"A partner must be in the batch, from 0 to {size - 1}: {partners.tolist()}.")
    if np.ndim(values) and len(values) != size:
        raise UsageError(f"There are {len(values)} boxes or shares for {size} images: one for all, or one for each.")
