"""Where names meet: each part is found by looking through its folder, so a new file needs no list to be edited."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar, get_args

from cutmix.errors import UsageError, nearest
from cutmix.recipes.recipe import Recipe, WrittenSettings
from cutmix.recipes.transfer_recipe import TransferRecipe

R = TypeVar("R", bound=WrittenSettings)


def modules(package: str) -> Iterator[ModuleType]:
    """The modules of a package, in alphabetical order."""
    parent = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(parent.__path__), key=lambda info: info.name):
        yield importlib.import_module(f"{package}.{info.name}")


def _own_classes(package: str, base: type) -> dict[str, type[Any]]:
    return {
        name: member
        for module in modules(package)
        for name, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
        and not name.startswith("_")
    }


def mixings() -> dict[str, type[Any]]:
    """The mixing methods, by class name; ``none`` stands for ``NoMixing``."""
    from cutmix.mixing import Mixing, NoMixing

    return {**_own_classes("cutmix.mixing", Mixing), "none": NoMixing}


def networks() -> dict[str, type[Any]]:
    """The networks of this package, by class name."""
    from torch import nn

    classes = _own_classes("cutmix.models", nn.Module)
    return {name: cls for name, cls in classes.items() if "num_classes" in inspect.signature(cls).parameters}


def regularizers() -> dict[str, type[Any]]:
    """The layer regularizers, by class name; ``none`` stands for ``NoRegularizer``."""
    from cutmix.models import NoRegularizer, Regularizer

    return {**_own_classes("cutmix.models", Regularizer), "none": NoRegularizer}


def schedules() -> dict[str, type[Any]]:
    """The learning-rate schedules, by class name."""
    from cutmix.training import schedules as module

    return {
        name: member
        for name, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, module.Schedule) and not inspect.isabstract(member)
    }


def augments() -> dict[str, type[Any]]:
    """The augmentations, by class name."""
    from cutmix.data import Augment

    return {cls.__name__: cls for cls in get_args(Augment)}


def policies() -> dict[str, type[Any]]:
    """The policies that an augmentation may have, by class name."""
    from cutmix.data import Policy

    return _own_classes("cutmix.data", Policy)


def questions() -> dict[str, type[Any]]:
    """The questions of an evaluation, by the name that each gives itself."""
    from cutmix.evaluation.question import Question

    return {cls.name: cls for cls in _own_classes("cutmix.evaluation", Question).values()}


def recipes() -> dict[str, Callable[[], Recipe]]:
    """The recipes, by ``file.function``: functions of this package that return a recipe and need no argument."""
    return {name: function for module in modules("cutmix.recipes") for name, function in recipes_of(module).items()}


def transfers() -> dict[str, Callable[[], TransferRecipe]]:
    """The recipes of transfers, by ``file.function``."""
    every = [recipes_of(module, "TransferRecipe") for module in modules("cutmix.recipes")]
    return {name: function for found in every for name, function in found.items()}


def tasks() -> dict[str, type[Any]]:
    """The tasks of a transfer, by class name."""
    from cutmix.transfer.task import Task

    return _own_classes("cutmix.transfer", Task)


def recipes_of(module: ModuleType, kind: str = "Recipe") -> dict[str, Callable[[], Any]]:
    """The recipes of one file, by ``file.function``, in the order in which they are written."""
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and function.__annotations__.get("return") == kind
        and not inspect.signature(function).parameters
        and not name.startswith("_")
    }


def is_task(name: str) -> bool:
    """Whether a task is called so on the command line."""
    return _folded(name) in _task_names()


def _folded(name: str) -> str:
    return name.replace("-", "").casefold()


def _task_names() -> dict[str, tuple[str, type[Any]]]:
    """What a task is called on the command line -> its class's name and the class."""
    return {word.casefold(): (task, cls) for task, cls in tasks().items() for word in (task, *cls.also)}


def find_transfer(name: str) -> TransferRecipe:
    """The transfer recipe of this name, e.g. ``detection.ssd300_cutmix``, or a task's own protocol: ``ssd``."""
    known = transfers()
    if name in known:
        return known[name]()
    short = _task_names()
    task, cls = short.get(_folded(name), ("", None))
    if cls is None:
        raise UsageError(
            f"no transfer is called {name!r}, and no file or run folder is either.{nearest(name, [*known, *short])} "
            f"Tasks: {', '.join(short)}. Recipes: {', '.join(known)}."
        )
    return TransferRecipe(task=f"{task}()").but(**cls.usual)


def find_recipe(name: str) -> Recipe:
    """The recipe of this name, e.g. ``cifar100.pyramidnet200_cutmix``."""
    return find_among(name, recipes())


def find_among(name: str, known: Mapping[str, Callable[[], R]]) -> R:
    """The recipe of this name among those that are ``known``; ``UsageError`` names the nearest."""
    if name not in known:
        raise UsageError(
            f"no recipe is called {name!r}, and no file or run folder is either.{nearest(name, known)} "
            f"All recipes: cutmix list recipes"
        )
    return known[name]()
