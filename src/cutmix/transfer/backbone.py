"""A classification network as a feature extractor: stages by name, found by a dry run; frozen where that is asked.

Works for any network that makes smaller and smaller feature maps in modules called one after the other: ours, those of
torchvision and timm. Nothing is renamed and nothing copied: the features are those that the classifier itself computes.

Shapes: B images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cutmix.errors import UsageError

PROBE_SIDE = 128
LARGEST_STRIDE = 64
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Pretrained:
    """A classifier with what its input needs; ``source`` says where it comes from.

    ``model`` is the network's constructor call without trained weights and ``regularizer`` that of its layer noise:
    with them the network can be made again where its weights are kept elsewhere. Empty if it is not known.

    Raises:
        UsageError: ``mean`` and ``std`` are not those of RGB pixels in [0, 1].
    """

    network: nn.Module
    mean: Triple
    std: Triple
    source: str
    model: str = ""
    regularizer: str = "none"

    def __post_init__(self) -> None:
        if not (all(0 <= value <= 1 for value in self.mean) and all(0.01 < value < 1 for value in self.std)):
            raise UsageError(
                f"{self.source} was trained with mean {self.mean} and std {self.std}. Pixels here are RGB in [0, 1]: a "
                "network for pixels up to 255, or in the order BGR (Caffe), would see other images than it knows"
            )


@dataclass(frozen=True)
class Stage:
    """A module of a network that ends with a feature map: its name, how many times smaller it is, its channels."""

    name: str
    stride: int
    channels: int


class Backbone(nn.Module):
    """A classification network up to the last of some stages. ``forward`` gives their feature maps, by stage name.

    What comes after the last stage is taken out of the network. The network is changed, not copied.

    Args:
        network: any network that :func:`find_stages` can look into.
        stages: names of modules, in the order in which they are called.
        norm: ``"frozen"`` (batch norms keep statistics, scale and shift) or ``"trained"``.
        frozen_until: the name of a stage: it, and all before it, is not trained.

    Raises:
        UsageError: a stage that there is not, that is changed in place by the next module, or the wrong order.
    """

    def __init__(
        self, network: nn.Module, stages: Sequence[str], *, norm: str = "frozen", frozen_until: str = ""
    ) -> None:
        super().__init__()
        names = [name for name, _ in network.named_modules()]
        for stage in [*stages, *([frozen_until] if frozen_until else [])]:
            if stage not in names:
                raise UsageError(f"the network has no module {stage!r}; its stages are {stage_list(network)}")
        self.network = network
        self.stages = tuple(stages)
        self.mode = Frozen(norm)
        _check_call_order(self, network)
        if frozen_until:
            self.mode.freeze(modules_until(network, frozen_until))
        _take_out(network, self)
        self.mode.freeze_norms(network)
        with torch.no_grad(), evaluating(self):
            maps = self(_probe(network))
        self.channels = tuple(maps[stage].shape[1] for stage in self.stages)
        self.strides = tuple(PROBE_SIDE // maps[stage].shape[-1] for stage in self.stages)

    def extra_repr(self) -> str:
        return f"stages={self.stages}, strides={self.strides}, channels={self.channels}"

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        self.mode.keep()
        return self

    def forward(self, images_BCHW: Tensor) -> dict[str, Tensor]:
        """The maps (B, C, H / stride, W / stride) of the stages, of normalised images."""
        maps: dict[str, Tensor] = {}
        hooks = [
            self.network.get_submodule(name).register_forward_hook(_noting(maps, name, name == self.stages[-1]))
            for name in self.stages
        ]
        try:
            self.network(images_BCHW)
        except _Reached:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        return maps


class Frozen:
    """What of a network is not trained. ``keep`` puts it back into evaluation mode after ``train()``."""

    def __init__(self, norm: str) -> None:
        if norm not in ("frozen", "trained"):
            raise UsageError(f"norm must be 'frozen' or 'trained', got {norm!r}")
        self.norm = norm
        self.modules: list[nn.Module] = []

    def freeze(self, modules: Sequence[nn.Module]) -> None:
        """Take these out of training: their weights, and their batch norms' statistics."""
        for module in modules:
            module.requires_grad_(False)
        self.modules += modules
        self.keep()

    def freeze_norms(self, network: nn.Module) -> None:
        """Take the batch norms out of training, if that was asked for."""
        if self.norm == "frozen":
            self.freeze([module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)])

    def keep(self) -> None:
        for module in self.modules:
            module.eval()


class Tail(nn.Module):
    """Modules of a network that are called one after the other, with its batch norms frozen or not."""

    def __init__(self, modules: Sequence[nn.Module], norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(*modules)
        self.mode = Frozen(norm)
        self.mode.freeze_norms(self)

    def train(self, mode: bool = True) -> Tail:
        super().train(mode)
        self.mode.keep()
        return self

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return self.layers(maps_BCHW)


# ------------------------------------------------------------------------------------------------ looking into networks


def find_stages(network: nn.Module) -> list[Stage]:
    """The last module at each size of the feature maps, largest map first; found by calling the network once.

    Raises:
        UsageError: the network makes no feature maps (a transformer), or cannot be called with images of 128 pixels.
    """
    found: dict[int, Stage] = {}
    for call in watch_calls(network):
        stride = PROBE_SIDE // call.output.shape[-1]
        if stride <= LARGEST_STRIDE and call.output.shape[-1] * stride == PROBE_SIDE:
            found[stride] = Stage(call.name, stride, call.output.shape[1])
    if not found:
        raise UsageError(f"{type(network).__name__} makes no feature maps: a convolutional network is needed")
    return [found[stride] for stride in sorted(found)]


def stage_list(network: nn.Module) -> str:
    """The stages in words, for messages."""
    return ", ".join(f"{stage.name} (stride {stage.stride})" for stage in find_stages(network))


def stages_at(network: nn.Module, strides: Sequence[int], *, what: str) -> list[Stage]:
    """The stages at these strides.

    Raises:
        UsageError: there is none; the message says for ``what`` it is needed and which ones there are.
    """
    known = {stage.stride: stage for stage in find_stages(network)}
    for stride in strides:
        if stride not in known:
            small = getattr(network, "stem", None) == "cifar"
            hint = ". It is a network for small images: train one with stem='imagenet'" if small else ""
            raise UsageError(
                f"{what} needs a feature map {stride} times smaller than the image, and this network has none: "
                f"its stages are {stage_list(network)}{hint}"
            )
    return [known[stride] for stride in strides]


def cut(network: nn.Module, at: str, end: str) -> list[nn.Module]:
    """The modules after the stage ``at`` up to the stage ``end``, called one after the other.

    Raises:
        UsageError: something that is no module happens between them.
    """
    calls = sorted(watch_calls(network), key=lambda call: call.started)
    here = next(call for call in calls if call.name == at)
    last = next(call for call in calls if call.name == end)
    chain: list[nn.Module] = []
    while here.output is not last.output:
        # Outermost first: of a stage and its first block, which take the same map, the stage.
        after = (call for call in calls if call.started >= here.ended and call.input is here.output)
        step = next(after, None)
        if step is None:
            raise UsageError(
                f"between the stages {at} and {end} the network does something that is no module of its own; "
                "this form needs a network whose stages are modules in a row, such as a ResNet"
            )
        chain.append(network.get_submodule(step.name))
        here = step
    return chain


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a module in a dry run: what went in, what came out, and how many calls had started before each."""

    name: str
    started: int
    ended: int
    input: Any
    output: Tensor


def watch_calls(network: nn.Module, side: int = PROBE_SIDE) -> Iterator[Call]:
    """The calls of modules that gave feature maps, in the order in which they ended. Two levels of modules are watched.

    Raises:
        UsageError: the network cannot be called with such images.
    """
    calls: list[Call] = []
    order: dict[str, int] = {}
    hooks = []
    for name, module in network.named_modules():
        if name and name.count(".") <= 1:

            def started(module: nn.Module, inputs: Any, name: str = name) -> None:
                order[name] = len(order)

            def ended(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
                    calls.append(Call(name, order[name], len(order), inputs[0] if inputs else None, output))

            hooks += [module.register_forward_pre_hook(started), module.register_forward_hook(ended)]
    try:
        with torch.no_grad(), evaluating(network):
            network(_probe(network, side))
    except _Reached:  # a backbone's own end
        pass
    except Exception as error:
        raise UsageError(
            f"{type(network).__name__} cannot be called with images of {side}x{side} pixels ({error}): a network that "
            "takes images of any size is needed"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    yield from calls


def modules_until(network: nn.Module, stage: str) -> list[nn.Module]:
    """The modules whose call has ended when the stage's has, the stage among them.

    Also those with children: timm's batch norms hold their activation, and ConvNeXt's blocks a scale of their own.
    """
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, inputs, output: called.append(module))
        for module in network.modules()
    ]
    hooks.append(network.get_submodule(stage).register_forward_hook(_noting({}, stage, True)))
    try:
        with torch.no_grad(), evaluating(network):
            network(_probe(network))
    except _Reached:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return called


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """In evaluation mode within; every module as it was afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class _Reached(Exception):
    """The last stage has given its map: the rest of the network is not needed."""


def _noting(maps: dict[str, Tensor], name: str, last: bool) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
        maps[name] = output
        if last:
            raise _Reached

    return hook


def _probe(network: nn.Module, side: int = PROBE_SIDE) -> Tensor:
    like = next(network.parameters())
    return torch.linspace(-1, 1, 3 * side * side, device=like.device, dtype=like.dtype).reshape(1, 3, side, side)


def _check_call_order(backbone: Backbone, network: nn.Module) -> None:
    """The stages are called in their order, and no module changes a stage's map in place after it has been noted."""
    kept: list[tuple[str, Tensor, Tensor]] = []
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: kept.append((name, output, output.clone()))
        )
        for name in backbone.stages
    ]
    try:
        with torch.no_grad(), evaluating(network):
            network(_probe(network))
    finally:
        for hook in hooks:
            hook.remove()
    if tuple(name for name, *_ in kept) != backbone.stages:
        raise UsageError(f"the stages {backbone.stages} are called in the order {tuple(name for name, *_ in kept)}")
    for name, now, before in kept[:-1]:
        if not torch.equal(now, before):
            raise UsageError(f"what the stage {name} gives is changed in place by the next module: choose another one")


def _take_out(network: nn.Module, backbone: Backbone) -> None:
    """Put nothing in the place of the modules that the backbone does not call."""
    called: set[nn.Module] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: called.add(module)) for module in network.modules()
    ]
    try:
        with torch.no_grad(), evaluating(network):
            backbone(_probe(network))
    finally:
        for hook in hooks:
            hook.remove()
    needed = {name for name, module in network.named_modules() if module in called}
    idle = [name for name, module in network.named_modules() if module not in called]
    idle = [name for name in idle if not any(other.startswith(f"{name}.") for other in needed)]
    for name in idle:
        parent, _, attribute = name.rpartition(".")
        if parent not in idle:
            setattr(network.get_submodule(parent), attribute, nn.Identity())


def check_maps(maps: Mapping[str, Tensor], strides: Mapping[str, int], size: int) -> None:
    """Refuse maps that are not as many times smaller than an image of ``size`` pixels as their stride says.

    Raises:
        UsageError: names the map. Boxes would be learned at places where they are not.
    """
    for name, stride in strides.items():
        side, wanted = maps[name].shape[-1], -(-size // stride)
        if side != wanted:
            raise UsageError(
                f"the stage {name} gives a map of {side} for images of {size} pixels; with its stride of {stride} it "
                f"should be {wanted}: this network's padding does not fit, choose another size"
            )
