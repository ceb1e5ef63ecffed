"""The paper's numbers for a transfer that was run, which is known by its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.claim import claim_of
from cutmix.recipes.transfer_recipe import TransferRecipe

PLACES = ("data", "backbone")
"""Settings that are paths, and differ from one machine to another."""


def paper_numbers(settings: Mapping[str, Any]) -> dict[str, float]:
    """The paper's numbers for a transfer with the settings of one of its rows, by measure; none for any other recipe.

    The seed is no matter. Data and backbone may lie anywhere, so long as their paths end as the recipe's do: to the
    four backbones of table 10 nothing but the name of their folder is known.
    """
    if "task" not in settings:
        return {}
    try:
        asked = _written_out(TransferRecipe().but(**settings))
    except UsageError:  # of another version, say, with a task that there is no more
        return {}
    for function in names.transfers().values():
        claim = claim_of(function)
        if claim is not None and _same(asked, _written_out(function())):
            return dict(claim.values)
    return {}


def _written_out(recipe: TransferRecipe) -> TransferRecipe:
    from cutmix.recipes.build import make_schedule
    from cutmix.recipes.start_transfer import make_task

    return recipe.but(task=repr(make_task(recipe.task)), schedule=repr(make_schedule(recipe.schedule)), seed=0)


def _same(asked: TransferRecipe, published: TransferRecipe) -> bool:
    ends = all(_ends_with(getattr(asked, place), getattr(published, place)) for place in PLACES)
    return ends and replace(asked, **{place: getattr(published, place) for place in PLACES}) == published


def _ends_with(path: str, end: str) -> bool:
    """Whether ``voc:/data/VOCdevkit`` ends as ``voc:VOCdevkit``, with the same kind before the colon."""
    (kind, _, place), (known, _, last) = _parted(path), _parted(end)
    wanted = PurePath(last).parts
    return kind == known and PurePath(place).parts[-len(wanted) :] == wanted


def _parted(path: str) -> tuple[str, str, str]:
    kind, colon, place = path.partition(":")
    return (kind, colon, place) if colon else ("", "", path)
