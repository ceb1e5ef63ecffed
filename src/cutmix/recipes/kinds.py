"""The two kinds of recipes, a classifier's and a transfer's: read, found by name, made and started alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cutmix.errors import UsageError
from cutmix.measures import TOP1, Measure, named
from cutmix.recipes import names
from cutmix.recipes.recipe import Recipe, WrittenSettings
from cutmix.recipes.transfer_recipe import TransferRecipe

if TYPE_CHECKING:
    from cutmix.transfer.task import Progress


class Made(Protocol):
    """What :func:`build` gives: the recipe with nothing left to choose, and the data."""

    @property
    def recipe(self) -> Any: ...

    @property
    def data(self) -> Any: ...


def kind_of(settings: Mapping[str, Any]) -> type[WrittenSettings]:
    """The kind of a recipe that has these settings: a transfer's has a task."""
    return TransferRecipe if "task" in settings else Recipe


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as a folder has it, with the defaults of the settings that it lacks since it is older."""
    return {**kind_of(settings)().as_dict(), **settings}


def from_settings(settings: Mapping[str, Any]) -> WrittenSettings:
    """The recipe of these settings."""
    return kind_of(settings)().but(**settings)


def read(path: Path) -> WrittenSettings:
    """The recipe in a JSON file; ``UsageError`` says what cannot be read."""
    try:
        kind = kind_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        kind = Recipe  # which says what is wrong
    return kind.read(path)


def find(name: str) -> WrittenSettings:
    """The recipe of this name, of either kind: ``cifar100.pyramidnet200_cutmix``, ``detection.small_ssd``, ``ssd``."""
    known = {**names.recipes(), **names.transfers()}
    if name not in known and names.is_task(name):
        return names.find_transfer(name)
    return names.find_among(name, known)


def measure(recipe: WrittenSettings) -> Measure:
    """What runs of this recipe are compared by."""
    if isinstance(recipe, TransferRecipe):
        from cutmix.recipes.start_transfer import make_task

        return named(make_task(recipe.task).measure, recipe.as_dict())
    return TOP1


def verb(recipe: WrittenSettings) -> str:
    """The command that trains by such a recipe."""
    return "transfer" if isinstance(recipe, TransferRecipe) else "train"


def build(recipe: WrittenSettings, data_root: Path | None, progress: Progress | None) -> Made:
    """Make what the recipe names, as its command does.

    Raises:
        UsageError: a setting that is not possible, or a folder of data sets for a transfer.
        CutmixError: data or weights that are missing or damaged.
    """
    if isinstance(recipe, TransferRecipe):
        from cutmix.recipes.start_transfer import build_transfer

        if data_root is not None:
            raise UsageError("--data-root is for classifiers: say where a transfer's data lie by --data, e.g. voc:PATH")
        return build_transfer(recipe, progress)
    from cutmix.recipes.build import build as build_classifier

    assert isinstance(recipe, Recipe)
    return build_classifier(recipe, data_root, progress)


def start(recipe: WrittenSettings, **circumstances: Any) -> dict[str, Any]:
    """Train by the recipe; the arguments are those of :func:`cutmix.recipes.start.train`."""
    if isinstance(recipe, TransferRecipe):
        from cutmix.recipes.start_transfer import transfer

        return transfer(recipe, **circumstances)
    from cutmix.recipes.start import train

    assert isinstance(recipe, Recipe)
    return train(recipe, **circumstances)
