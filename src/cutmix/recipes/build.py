"""From a recipe to the objects that it names. Objects know no recipe; recipes know no objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.calls import Call, construct, find, parse_call
from cutmix.recipes.recipe import AUTO, Recipe

if TYPE_CHECKING:
    from torch import nn

    from cutmix.data import Data
    from cutmix.mixing import Mixing
    from cutmix.models import Regularizer
    from cutmix.models.checkpoints import Weights
    from cutmix.models.library import PhotoInput
    from cutmix.training.schedules import Schedule

LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class Parts:
    """What a recipe names, made; ``recipe`` is the same one with nothing left to choose."""

    recipe: Recipe
    data: Data
    model: nn.Module
    mixing: Mixing
    schedule: Schedule
    augment: Any


def build(recipe: Recipe, data_root: Path | None = None, progress: Callable[[int, int], None] | None = None) -> Parts:
    """Load the data and make the network with its layer noise, the mixing, the schedule and the augmentation.

    A network that starts from trained weights gets images that are normalised as these were trained.

    Args:
        data_root: where data sets lie; None for ``CUTMIX_DATA`` or the user's cache.
        progress: called with (done, all) while the files of a folder are looked at for the first time.

    Raises:
        UsageError: a name or an argument that there is not; the message lists what there is.
        CutmixError: data or weights that are missing or damaged.
    """
    # What is only a matter of spelling is checked before any data is read.
    mixing = make_mixing(recipe.mixing)
    schedule = make_schedule(recipe.schedule)
    regularizer = make_regularizer(recipe.regularizer)
    if recipe.model != AUTO:
        model_constructor(parse_call(recipe.model))
    augment = None if recipe.augment == AUTO else make_augment(recipe.augment)

    from cutmix.data import default_augment, load_data

    # A split that has to be drawn is the data's, not the run's: all seeds are tested on the same images.
    data = load_data(recipe.data, data_root, image_size=recipe.image_size or None, progress=progress)
    if recipe.train_images:
        data = data.with_train_images(recipe.train_images)
    augment = augment or default_augment(data)
    call = model_call(recipe.model, num_classes=data.num_classes, image_size=data.image_size)
    model = seeded_model(call, recipe.seed)
    if expected := pretrained_input(call):
        mean, std = expected.normalisation
        data = replace(data, mean=mean, std=std)
    # A test resizes photos as the augmentation does that does not keep their aspect.
    data = replace(data, squared=getattr(augment, "resize", 0))
    if recipe.init != AUTO:
        from cutmix.models.checkpoints import load_weights
        from cutmix.models.head import with_new_layers

        weights = read_init(recipe.init)
        load_weights(model, with_new_layers(weights, model) if recipe.new_head else weights, source=recipe.init)
        if "mean" in weights.cutmix:
            data = replace(data, mean=tuple(weights.cutmix["mean"]), std=tuple(weights.cutmix["std"]))
    from cutmix.models import regularize

    regularize(model, regularizer)  # which draws nothing: the initial weights are those of the baseline
    complete = recipe.but(
        mixing=repr(mixing),
        regularizer=repr(regularizer),
        schedule=repr(schedule),
        augment=repr(augment),
        model=str(call),
        image_size=data.image_size,
    )
    return Parts(complete, data, model, mixing, schedule, augment)


def read_init(source: str) -> Weights:
    """The weights of a checkpoint, or of a library's trained network such as ``torchvision.vgg16(weights='DEFAULT')``.

    Raises:
        UsageError: a library's network without weights.
        CutmixError: a file that is missing or no checkpoint, or weights that cannot be downloaded.
    """
    from cutmix.models.checkpoints import Weights, read_weights

    if Path(source).exists() or source.partition(".")[0] not in LIBRARIES:
        return read_weights(Path(source))
    call = parse_call(source)
    expected = pretrained_input(call)
    if expected is None:
        raise UsageError(f"init={source!r} is an untrained network; name its weights, e.g. weights='DEFAULT'")
    mean, std = expected.normalisation
    return Weights(make_model(call).state_dict(), {"cutmix": {"mean": list(mean), "std": list(std)}})


def make_mixing(text: str) -> Mixing:
    """The mixing that a constructor call describes."""
    return construct(parse_call(text), names.mixings(), "mixing")


def make_regularizer(text: str) -> Regularizer:
    """The layer regularizer that a constructor call describes."""
    return construct(parse_call(text), names.regularizers(), "regularizer")


def make_schedule(text: str) -> Schedule:
    """The schedule that a constructor call describes."""
    return construct(parse_call(text), names.schedules(), "schedule")


def make_augment(text: str) -> Any:
    """The augmentation that a constructor call describes."""
    call = parse_call(text)
    find(call.name, names.augments(), "augmentation")  # a policy is a part of one, not one by itself
    return construct(call, {**names.augments(), **names.policies()}, "augmentation")


def model_call(text: str, *, num_classes: int, image_size: int) -> Call:
    """The network's whole constructor call: what the data decides is filled in where the call leaves it open.

    Images of up to 64 pixels a side take a CIFAR network. An empty text is ResNet-20 for those, ResNet-18 for photos.
    """
    from cutmix.data import SMALL_SIDE

    small = image_size <= SMALL_SIDE
    if text == AUTO:
        text = "ResNet(depth=20, bottleneck=False)" if small else "ResNet(depth=18)"
    call = parse_call(text)
    constructor = model_constructor(call)
    accepted = inspect.signature(constructor).parameters
    fitting = {"num_classes": num_classes, "stem": "cifar" if small else "imagenet"}
    named = dict(list(zip(accepted, call.args)))
    filled = call.with_defaults(
        **{name: value for name, value in fitting.items() if name in accepted and name not in named}
    )
    if isinstance(constructor, type):
        return Call(constructor.__name__, filled.args, filled.kwargs)
    return filled


def seeded_model(call: Call, seed: int) -> nn.Module:
    """Make the network with the initial weights that follow from ``seed``; torch's global generator is left alone."""
    import torch

    from cutmix.training.streams import Purpose, seed_layers

    with torch.random.fork_rng(devices=[]):
        seed_layers(seed, Purpose.INIT)
        return make_model(call)


def make_model(call: Call) -> nn.Module:
    """The network that a complete constructor call describes."""
    return construct(call, {call.name: model_constructor(call)}, "network")


def model_constructor(call: Call) -> Callable[..., nn.Module]:
    """A network's class, or a function of its keyword arguments for ``torchvision.NAME`` and ``timm.NAME``.

    A name that is no network of ours is looked for in torchvision.
    """
    library, name = _library_name(call)
    return _library_constructor(library, name) if library else find(name, names.networks(), "network")


def _library_name(call: Call) -> tuple[str, str]:
    """The library that has the network, empty for this package, and the network's name there."""
    library, _, rest = call.name.partition(".")
    if rest and library in LIBRARIES:
        return library, rest
    if call.name.casefold() not in {name.casefold() for name in names.networks()}:
        from cutmix.models.library import list_torchvision

        if call.name in list_torchvision():
            return "torchvision", call.name
    return "", call.name


def _trained_weights(call: Call) -> Any:
    """The trained weights that the call asks of a library; None where it asks for none."""
    accepted = inspect.signature(model_constructor(call)).parameters
    given = {**dict(zip(accepted, call.args)), **call.kwargs}
    return given.get("pretrained" if _library_name(call)[0] == "timm" else "weights") or None


def pretrained_input(call: Call) -> PhotoInput | None:
    """How a library's own tests show photos to a network's trained weights; None for an untrained network."""
    library, name = _library_name(call)
    weights = _trained_weights(call) if library else None
    if weights is None:
        return None
    from cutmix.models.library import timm_input, torchvision_input

    return timm_input(name) if library == "timm" else torchvision_input(name, weights)


def without_pretrained(call: Call) -> Call:
    """The same network without a library's trained weights, which others will replace: nothing is downloaded."""
    library, name = _library_name(call)
    weights = _trained_weights(call) if library else None
    if weights is None:
        return call
    from cutmix.models.library import torchvision_kwargs

    kept = {key: value for key, value in call.kwargs.items() if key not in ("weights", "pretrained")}
    shape = torchvision_kwargs(name, weights) if library == "torchvision" else {}
    return Call(call.name, call.args[:1], {**shape, **kept})  # a second argument is the weights


def _library_constructor(library: str, name: str) -> Callable[..., nn.Module]:
    if library == "torchvision":
        from cutmix.models.library import torchvision_model

        def torchvision(num_classes: int | None = None, weights: str | None = None, **kwargs: Any) -> nn.Module:
            return torchvision_model(name, num_classes=num_classes, weights=weights, **kwargs)

        return torchvision

    from cutmix.models.library import timm_model

    def timm(num_classes: int | None = None, pretrained: bool = False, **kwargs: Any) -> nn.Module:
        return timm_model(name, num_classes=num_classes, pretrained=pretrained, **kwargs)

    return timm
