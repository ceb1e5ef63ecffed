"""Mixing in a hidden layer of a network: any method, and by name Manifold Mixup and the paper's Feature CutMix.

Manifold Mixup is that of Verma et al. (ICML 2019, arXiv 1806.05236). Feature CutMix is section 4.1 of the CutMix paper.
A method here draws which layer; ``Mixer`` carries it out in the network.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.mixing.boxes import Geometry
from cutmix.mixing.cutmix import CutMix
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope, check_mixings
from cutmix.mixing.mixup import MixUp
from cutmix.mixing.plans import Plan

Layer = int | str


@dataclass(frozen=True, eq=False)
class AtLayer(Plan):
    """A plan that is drawn when a network has come to a layer, and the size of its feature map is known.

    Equal maps get equal plans, so a map that is computed again for its gradient is mixed as it was before.

    Args:
        layer: as for :class:`Hidden`, and not 0.
        mixing: what is drawn.
        seed: what it is drawn from.
    """

    layer: Layer = field()  # required, whatever the class above says
    mixing: Mixing = field()
    seed: int = field()

    @property
    def mixes_labels(self) -> bool:
        """Whether the method does."""
        return self.mixing.mixes_labels

    def for_map(self, shape: Sequence[int], part: int = 0) -> Plan:
        """As :meth:`Plan.for_map`. A map that is not (B, C, H, W) has no height and width to draw a box in."""
        return self.mixing.draw(shape if len(shape) == 4 else shape[:2], np.random.default_rng([self.seed, part]))

    def apply(self, images: Tensor, *, inplace: bool = False) -> Tensor:
        """The images as they are: it is the layer's map that will be mixed."""
        return images

    def contents(self, labels: Tensor) -> NoReturn:
        """Not known yet.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"What is mixed at layer {self.layer!r} is known when the network has come there: use a Mixer."
        )

    def only(self, on_B: NDArray[np.bool_]) -> NoReturn:
        """Not known yet.

        Raises:
            UsageError: always.
        """
        self.contents(Tensor())


class HiddenMixing(Mixing):
    """Mixes in one layer of several, drawn for each batch: all alike, or by ``shared`` the same one in all processes.

    The map that the layer gives is mixed, (B, C, H, W). A box is drawn in its rows and columns, and the share counts
    its cells. Methods that need no box mix any output whose first dimension is the batch. Where a batch is split into
    parts to save memory, each part has partners, boxes and shares of its own, at the same layer.
    """

    layers: tuple[Layer, ...]
    same_layer: bool

    def __post_init__(self) -> None:
        layers = (self.layers,) if isinstance(self.layers, int | str) else tuple(self.layers)
        object.__setattr__(self, "layers", layers)
        if not layers or not all(isinstance(layer, str) or (type(layer) is int and layer >= 0) for layer in layers):
            raise UsageError(
                f"layers={layers!r} must be one or more of: the path of a module such as 'layer2' or 'features.4', "
                "or a number: 0 the images, 1 after the first convolution and its norm, 2 after layer1, and so on."
            )
        if self.inner.hidden_layers:
            raise UsageError(f"{self.inner} has layers of its own.")

    @property
    @abstractmethod
    def inner(self) -> Mixing:
        """What is drawn for the map."""

    @property
    def mixes_labels(self) -> bool:
        """Whether the method in the layer does."""
        return self.inner.mixes_labels

    @property
    def hidden_layers(self) -> tuple[Layer, ...]:
        """All but the images, each once."""
        return tuple(dict.fromkeys(layer for layer in self.layers if layer != 0))

    def at(self, progress: float, shared: Rng | None = None) -> Mixing:
        """With the layer of that step, if all processes are to have the same."""
        super().at(progress)
        if not self.same_layer or shared is None:
            return self
        return replace(self, layers=(self._one_of(self.layers, shared),))  # type: ignore[type-var]

    def draw(self, shape: Sequence[int], rng: Rng | None) -> Plan:
        """As :meth:`Mixing.draw`: the layer. The rest is drawn there, unless the layer is 0."""
        layer = self._one_of(self.layers, rng)
        return self.inner.draw(shape, rng) if layer == 0 else AtLayer(layer, self.inner, Draws(rng).seed())

    @staticmethod
    def _one_of(layers: tuple[Layer, ...], rng: Rng | None) -> Layer:
        return layers[Draws(rng).choice((1.0,) * len(layers))]


@dataclass(frozen=True)
class Hidden(HiddenMixing):
    """Any method in a hidden layer.

    Args:
        mixing: what is done there.
        layers: one of these is drawn for each batch, all alike. A layer is the path of a module ("layer2",
            "layer3.1.conv2", "features.4"), whose output is mixed; or a number of the paper's (section 4.6): 0 the
            images, 1 the first convolution after its batch norm (``bn1``), 2 ``layer1``, 3 ``layer2``, and so on.
        same_layer: with several processes, the same layer in all of them (:meth:`Mixing.at` must be given ``shared``).

    Raises:
        UsageError: a layer is neither, or the method has layers of its own.
    """

    mixing: Mixing = CutMix()  # noqa: RUF009 - frozen
    layers: tuple[Layer, ...] = (0, 1, 2)
    same_layer: bool = True

    def __post_init__(self) -> None:
        check_mixings((self.mixing,))
        super().__post_init__()

    @property
    def inner(self) -> Mixing:
        """The method."""
        return self.mixing

    def at(self, progress: float, shared: Rng | None = None) -> Mixing:
        """With the method at that moment, and the layer of that step."""
        return replace(super().at(progress, shared), mixing=self.mixing.at(progress, shared))  # type: ignore[type-var]


@dataclass(frozen=True)
class ManifoldMixup(HiddenMixing):
    """Mixup in a hidden layer or of the images.

    Args:
        alpha: this, ``prob`` and ``scope`` as for :class:`MixUp`; the CutMix paper uses 1.
        layers: this and ``same_layer`` as for :class:`Hidden`. The CutMix paper does not state them; the default is
            that of the method's authors: the images, and after the first and the second stage.
    """

    alpha: float = 1.0
    prob: float = 1.0
    scope: Scope = "per_batch"
    layers: tuple[Layer, ...] = (0, 2, 3)
    same_layer: bool = True

    @property
    def inner(self) -> MixUp:
        """Mixup."""
        return MixUp(self.alpha, self.prob, self.scope)


@dataclass(frozen=True)
class FeatureCutMix(HiddenMixing):
    """CutMix in a hidden layer: a box of the partner's feature map.

    Args:
        alpha: this, ``prob``, ``scope`` and ``geometry`` as for :class:`CutMix`.
        layers: this and ``same_layer`` as for :class:`Hidden`. The paper does not state them; the default is all of its
            hidden ones. Nor does it say whether the share follows the box of the map: here it does.
    """

    alpha: float = 1.0
    prob: float = 1.0
    scope: Scope = "per_batch"
    geometry: Geometry = "paper"
    layers: tuple[Layer, ...] = (1, 2, 3, 4)
    same_layer: bool = True

    @property
    def inner(self) -> CutMix:
        """CutMix."""
        return CutMix(self.alpha, self.prob, self.scope, self.geometry)
