"""The two kinds of recipes, a classifier's and a transfer's: read, found by name, made and started alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cutmix.recipes import names
from cutmix.recipes.recipe import Recipe, WrittenSettings
from cutmix.recipes.transfer_recipe import TransferRecipe

if TYPE_CHECKING:
    from cutmix.training.display import Display
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
    """The recipe of this name, of either kind, e.g. ``cifar100.pyramidnet200_cutmix`` or ``detection.small_ssd``."""
    return names.find_transfer(name) if names.is_transfer(name) else names.find_recipe(name)


def verb(recipe: WrittenSettings) -> str:
    """The command that trains by such a recipe."""
    return "transfer" if isinstance(recipe, TransferRecipe) else "train"


def build(recipe: WrittenSettings, data_root: Path | None, progress: Progress | None) -> Made:
    """Make what the recipe names, as its command does. A transfer's data lie where its recipe says."""
    if isinstance(recipe, TransferRecipe):
        from cutmix.recipes.start_transfer import build_transfer

        return build_transfer(recipe, progress)
    from cutmix.recipes.build import build as build_classifier

    assert isinstance(recipe, Recipe)
    return build_classifier(recipe, data_root, progress)


def start(recipe: WrittenSettings, *, data_root: Path | None, display: Display, **others: Any) -> dict[str, Any]:
    """Train by the recipe; the arguments are those of :func:`cutmix.recipes.start.train`."""
    if isinstance(recipe, TransferRecipe):
        from cutmix.recipes.start_transfer import transfer

        return transfer(recipe, display=display, **others)
    from cutmix.recipes.start import train

    assert isinstance(recipe, Recipe)
    return train(recipe, data_root=data_root, display=display, **others)
