"""A method and the network it mixes for: a step is the same, be it images or hidden layers that are mixed.

Legend: B = images of a batch, C = channels, H = height, W = width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError, nearest
from cutmix.mixing.draws import Rng
from cutmix.mixing.method import Mixing
from cutmix.mixing.plans import Chain, Plan
from cutmix.mixing.targets import MixedTarget, check_labels

STEM = "bn1"  # the first layer of the paper's numbers; then come layer1, layer2, ...


class Mixer:
    """Mixes batches for one network::

        mixer = Mixer(ManifoldMixup(layers=(0, 2, 3)), model)
        for images, labels in loader:
            with mixer.mix(images, labels, rng) as mixed:
                loss = mixed_cross_entropy(model(mixed.images), mixed.target)
                loss.backward()

    Make it before the network is compiled or wrapped for several processes: that is when its hooks are seen. They do
    nothing outside of the ``with``, nor within it when the network is in its evaluation mode. The backward pass belongs
    into the ``with``: gradient checkpointing computes maps anew in it. A method that mixes images only makes no hooks.

    Boxes are drawn in maps (B, C, H, W). Maps (B, H, W, C), such as a Swin transformer's, are known by their sides,
    which then are in the images' proportion, and those of (B, C, H, W) are not; methods with boxes refuse them. They
    are not known where both are: in square images, if H = W = C.

    Args:
        mixing: any method.
        model: the network itself, in which the method's layers are looked for.

    Raises:
        UsageError: the network has no such layer.
    """

    def __init__(self, mixing: Mixing, model: nn.Module) -> None:
        self.mixing, self._model = mixing, model
        self._taps: dict[int | str, _Tap] = {}
        self._hooks = []
        taps: dict[str, _Tap] = {}
        for layer in mixing.hidden_layers:
            path = layer_path(model, layer)
            if path not in taps:
                # A compiled network is cut in two here, and not compiled again for the plan of every step.
                taps[path] = _Tap(path, torch.compiler.disable(_mix_map))
                self._hooks.append(model.get_submodule(path).register_forward_hook(taps[path]))
            self._taps[layer] = taps[path]

    def mix(
        self,
        images_BCHW: Tensor,
        labels: Tensor,
        rng: Rng | None,
        *,
        inplace: bool = False,
        progress: float | None = None,
        shared: Rng | None = None,
    ) -> MixedPart:
        """Draw a plan for a batch, and carry out what it does to the images.

        Args:
            images_BCHW: this, ``labels``, ``rng`` and ``inplace`` as for a call of a :class:`Mixing`.
            progress: this and ``shared`` as for :meth:`Mixing.at`. Without a progress, the method is taken as it is.

        Raises:
            UsageError: as a call of the method does.
        """
        batch = images_BCHW, labels
        return self.split(*batch, rng, parts=1, inplace=inplace, progress=progress, shared=shared)[0]

    def split(
        self,
        images_BCHW: Tensor,
        labels: Tensor,
        rng: Rng | None,
        *,
        parts: int,
        inplace: bool = False,
        progress: float | None = None,
        shared: Rng | None = None,
    ) -> list[MixedPart]:
        """As :meth:`mix`, and split the batch into ``parts`` (as ``Tensor.chunk`` does) that are trained in turns.

        Images are mixed over the whole batch. In a hidden layer each part is drawn for itself.
        """
        if images_BCHW.ndim != 4 or not images_BCHW.numel():
            raise UsageError(f"Images must be a batch (B, C, H, W), not of shape {tuple(images_BCHW.shape)}.")
        labels = check_labels(labels, len(images_BCHW))
        mixing = self.mixing if progress is None else self.mixing.at(progress, shared)
        plan = mixing.draw(images_BCHW.shape, rng)
        waiting = tuple(step for step in plan.steps if step.layer is not None) if self._model.training else ()
        taps = tuple(self._taps[step.layer] for step in waiting if step.layer is not None)
        now = Chain(tuple(step for step in plan.steps if step.layer is None))
        targets = now.targets(labels).chunk(parts)
        images = now.apply(images_BCHW, inplace=inplace).chunk(parts)
        return [MixedPart(*both, waiting, taps, number) for number, both in enumerate(zip(images, targets))]

    def remove(self) -> None:
        """Take the hooks out of the network."""
        while self._hooks:
            self._hooks.pop().remove()

    def __enter__(self) -> Mixer:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


@dataclass
class MixedPart:
    """A batch or a part of one, ready for the network. Forward and backward pass go into ``with part:``.

    Args:
        images: (B, C, H, W), mixed unless that is done in a hidden layer.
        given: their target, before any hidden layer.
        waiting: what will be done in hidden layers, and where: ``taps``.
        number: which part of the batch.
    """

    images: Tensor
    given: MixedTarget
    waiting: tuple[Plan, ...]
    taps: tuple[_Tap, ...]
    number: int

    def __enter__(self) -> MixedPart:
        height, width = self.images.shape[-2:]
        for tap in self.taps:
            tap.clear()
        for plan, tap in zip(self.waiting, self.taps):
            tap.waiting.append((plan, self.number))
            tap.images_HW = height, width
        return self

    def __exit__(self, *error: object) -> None:
        for tap in self.taps:
            tap.clear()

    @property
    def target(self) -> MixedTarget:
        """What the images are to be called. If a hidden layer is mixed, ask for it after the forward pass.

        Raises:
            UsageError: the network has not come to the layer.
        """
        for tap in self.taps:
            tap.end_forward()
        for plan, tap in zip(self.waiting, self.taps):
            if plan.mixes_labels:
                return tap.drawn_for(plan).targets(self.given.labels)
        return self.given


@dataclass
class _Tap:
    """A hook of one layer. Between steps it holds nothing, so a copy of the network (an average) has idle ones."""

    path: str
    mix_map: Callable[[_Tap, Any], Tensor | None]
    waiting: list[tuple[Plan, int]] = field(default_factory=list)
    drawn: list[Plan] = field(default_factory=list)
    passed: bool = False
    images_HW: tuple[int, int] = (1, 1)

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        return self.mix_map(self, output)

    def clear(self) -> None:
        self.waiting, self.drawn, self.passed = [], [], False

    def end_forward(self) -> None:
        """From now on the layer is only computed again, to find gradients."""
        if not self.drawn:
            raise UsageError(
                f"Nothing has come through layer {self.path!r} of the network yet: ask for the target after the "
                "forward pass, in the same `with`; and name a layer that each forward pass calls as a module."
            )
        self.passed = True

    def drawn_for(self, plan: Plan) -> Plan:
        """What became of a plan that waited."""
        return next(drawn for (waited, _), drawn in zip(self.waiting, self.drawn) if waited is plan)


def _mix_map(tap: _Tap, output: Any) -> Tensor | None:
    """What the layer's output becomes; None leaves it as it is."""
    if not tap.waiting:
        return None
    if not isinstance(output, Tensor) or output.ndim < 2:
        shown = f"{type(output).__name__}" if not isinstance(output, Tensor) else f"a tensor of {tuple(output.shape)}"
        raise UsageError(f"Layer {tap.path!r} must give a batch of maps, (B, C, H, W), to be mixed, not {shown}.")
    if not tap.drawn:
        tap.drawn = _draw(tap, output.shape)
    elif not tap.passed:
        raise UsageError(
            f"Layer {tap.path!r} is called more than once in a forward pass: which of its maps to mix? "
            "Name a layer that is called once."
        )
    for plan in tap.drawn:
        output = plan.apply(output)
    return output


def _draw(tap: _Tap, shape: torch.Size) -> list[Plan]:
    """The plans for a map. One that is not (B, C, H, W) is said to have no height and width: few methods need them."""
    channels_last = _is_channels_last(shape, tap.images_HW)
    try:
        return [plan.for_map(shape[:2] if channels_last else shape, part) for plan, part in tap.waiting]
    except UsageError as error:
        reason = str(error)
        if channels_last:
            reason = "These maps seem to be (B, H, W, C), and boxes need (B, C, H, W): name another layer."
        raise UsageError(f"Layer {tap.path!r} gives {tuple(shape)}. {reason}") from error


def _is_channels_last(shape: torch.Size, images_HW: tuple[int, int]) -> bool:
    """Whether dimensions 1 and 2 are in the images' proportion, give or take a cell, and 2 and 3 are not."""
    height, width = images_HW

    def in_proportion(rows: int, columns: int) -> bool:
        return abs(rows * width - columns * height) <= max(height, width)

    return len(shape) == 4 and in_proportion(shape[1], shape[2]) and not in_proportion(shape[2], shape[3])


def layer_path(model: nn.Module, layer: int | str) -> str:
    """The path of the module that a layer names: its own, or that of the paper's number (1 = bn1, 2 = layer1, ...).

    Raises:
        UsageError: the network has no such module; the message lists what it has.
    """
    paths = [path for path, _ in model.named_modules() if path]
    path = layer if isinstance(layer, str) else STEM if layer == 1 else f"layer{layer - 1}"
    if path in paths:
        return path
    number = "" if isinstance(layer, str) else f" (number {layer} of the paper)"
    outer = [path for path in paths if path.count(".") < 2]
    more = f", and {len(paths) - len(outer)} within these" if len(outer) < len(paths) else ""
    raise UsageError(
        f"{type(model).__name__} has no layer {path!r}{number}.{nearest(path, paths)} "
        f"Its layers: {', '.join(outer)}{more}."
    )
