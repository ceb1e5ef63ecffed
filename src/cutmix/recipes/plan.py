"""What a comparison runs: recipes, variations and seeds become named runs. A pure function, which touches no file."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any

from cutmix.errors import UsageError, nearest
from cutmix.recipes import names
from cutmix.recipes.build import model_constructor
from cutmix.recipes.calls import Call, find, parse_call
from cutmix.recipes.recipe import AUTO, WrittenSettings

LONGEST_NAME = 120  # characters of a group's name; file systems take 255 bytes

CONSTRUCTORS: dict[str, Callable[[Call], Callable[..., Any]]] = {
    "model": model_constructor,
    "mixing": lambda call: find(call.name, names.mixings(), "mixing"),
    "regularizer": lambda call: find(call.name, names.regularizers(), "regularizer"),
    "schedule": lambda call: find(call.name, names.schedules(), "schedule"),
    "augment": lambda call: find(call.name, names.augments(), "augmentation"),
    "task": lambda call: find(call.name, names.tasks(), "task"),
}
"""From a setting that is a constructor call to the constructor that it calls."""


@dataclass(frozen=True)
class Named:
    """A recipe that was asked for: the name that its runs get, the word that the user wrote, and its settings."""

    name: str
    word: str
    recipe: WrittenSettings


@dataclass(frozen=True)
class Variation:
    """Values that one setting, or one argument of a setting's constructor call, takes in turn; as they were written."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class PlannedRun:
    """One run: its folder's name, the group of seeds that it belongs to, its recipe, and how to ask for it.

    ``words`` are the arguments of ``cutmix train``, or ``cutmix transfer``, that describe the same recipe.
    """

    name: str
    group: str
    recipe: WrittenSettings
    words: tuple[str, ...]


def plan(
    recipes: Sequence[Named],
    *,
    seeds: Sequence[int],
    variations: Sequence[Variation] = (),
    changes: Mapping[str, Any] | None = None,
) -> list[PlannedRun]:
    """All runs of a comparison, seed by seed, so that what has been run at any time can be paired.

    Several variations make a grid. One that a recipe has no place for (``mixing.alpha`` with ``NoMixing()``) leaves
    that recipe as it is, which is how a baseline stands beside a sweep.

    Args:
        changes: settings that are the same in all runs, as flags give them.

    Raises:
        UsageError: no recipe or seed, a variation that no recipe has a place for, a value that is not possible, or two
            runs that would have one name or be the same.
    """
    if not recipes or not seeds:
        raise UsageError("a comparison needs at least one recipe and one seed.")
    repeated = [str(seed) for seed in dict.fromkeys(seeds) if list(seeds).count(seed) > 1]
    if repeated:
        raise UsageError(f"the seed {repeated[0]} was given twice: the same run again is not one more run.")
    changed = [_changed(named, changes or {}) for named in recipes]
    for variation in variations:
        if not any(has_place(named.recipe, variation.path) for named in changed):
            raise UsageError("\n".join(_no_place(named.recipe, variation.path) for named in changed))
    groups = [group for asked, named in zip(recipes, changed) for group in _groups(asked, named, variations)]
    _refuse_the_same(groups)
    return [_run(group, seed) for seed in seeds for group in groups]


def _changed(named: Named, changes: Mapping[str, Any]) -> Named:
    try:
        return replace(named, recipe=named.recipe.but(**changes))
    except UsageError as error:  # with a classifier beside a transfer, one has settings that the other lacks
        raise UsageError(f"{named.word}: {error}") from error


def _groups(asked: Named, named: Named, variations: Sequence[Variation]) -> list[tuple[str, Named, WrittenSettings]]:
    """(group's name, recipe as it was asked for, recipe as it is to be run) for each point of the grid."""
    fitting = [variation for variation in variations if has_place(named.recipe, variation.path)]
    labels = _labels([variation.path for variation in fitting])
    found = []
    for values in itertools.product(*(variation.values for variation in fitting)):
        recipe = named.recipe
        for variation, value in zip(fitting, values):
            recipe = varied(recipe, variation.path, value)
        parts = [f"{label}={_slug(value)}" for label, value in zip(labels, values)]
        found.append((_shortened("-".join([named.name, *parts])), asked, recipe))
    return found


def _run(group: tuple[str, Named, WrittenSettings], seed: int) -> PlannedRun:
    name, asked, recipe = group
    seeded = recipe.but(seed=seed)
    return PlannedRun(f"{name}-s{seed}", name, seeded, (asked.word, *flags(asked.recipe, seeded)))


def flags(before: WrittenSettings, after: WrittenSettings) -> list[str]:
    """The flags of the command that make ``after`` of ``before``; the seed is always said."""
    words = []
    for f in fields(after):
        value, flag = getattr(after, f.name), f.name.replace("_", "-")
        if value == getattr(before, f.name) and f.name != "seed":
            continue
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def _refuse_the_same(groups: Sequence[tuple[str, Named, WrittenSettings]]) -> None:
    by_name: dict[str, WrittenSettings] = {}
    by_recipe: dict[str, str] = {}
    for name, _, recipe in groups:
        if name in by_name:
            raise UsageError(f"two recipes would be run under the name {name}: give one of them another file name.")
        same = by_recipe.setdefault(json.dumps(recipe.but(seed=0).as_dict()), name)
        if same != name:
            raise UsageError(f"{same} and {name} are the same recipe: there would be nothing to compare.")
        by_name[name] = recipe


# --------------------------------------------------------------------------------------------------------------- seeds


def parse_seeds(text: str) -> list[int]:
    """``5`` is the seeds 0 to 4; ``0,3,7`` are those three, and ``3,`` is 3 alone.

    Raises:
        UsageError: anything else.
    """
    words = [word.strip() for word in text.split(",")]
    listed = [word for word in words if word]
    if not listed or not all(word.isdecimal() for word in listed) or (len(words) == 1 and int(listed[0]) < 1):
        raise UsageError(f"seeds are how many (5 stands for 0, 1, 2, 3, 4) or a list (0,3,7), got {text!r}.")
    return list(range(int(listed[0]))) if len(words) == 1 else [int(word) for word in listed]


# ---------------------------------------------------------------------------------------------------------- variations


def parse_variation(text: str) -> Variation:
    """``mixing.alpha=0.2,0.5`` as a path and its values; commas within brackets and quotes part no values.

    Raises:
        UsageError: there is no ``=``, a value is empty or there twice, or a bracket or quote is not closed.
    """
    path, equals, rest = text.partition("=")
    if not equals or not path.strip():
        raise UsageError(f"a variation is PATH=VALUE,VALUE,... such as mixing.alpha=0.2,0.5,1.0, got {text!r}.")
    values = _split(rest)
    if values is None:
        raise UsageError(f"a bracket or a quote is not closed in {text!r}.")
    if not all(values) or len(set(values)) != len(values):
        raise UsageError(f"a value is empty or there twice in {text!r}.")
    return Variation(path.strip(), tuple(values))


def _split(text: str) -> list[str] | None:
    """``text`` at the commas outside of brackets and quotes; None where one of those is not closed."""
    parts, depth, quote = [""], 0, ""
    for sign in text:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and not quote and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return None if depth or quote else [part.strip() for part in parts]


def has_place(recipe: WrittenSettings, path: str) -> bool:
    """Whether ``path`` names a setting of ``recipe``, or an argument of the constructor call that a setting is."""
    setting, *rest = path.split(".")
    if setting not in recipe.as_dict():
        return False
    if not rest:
        return True
    call = _call_of(recipe, setting)
    for argument in rest[:-1]:
        inner = call and _named_arguments(setting, call).get(argument)
        call = inner if isinstance(inner, Call) else None
    return call is not None and _takes(setting, call, rest[-1])


def varied(recipe: WrittenSettings, path: str, value: str) -> WrittenSettings:
    """``recipe`` with ``value`` in the place that ``path`` names; see :func:`has_place`.

    Raises:
        UsageError: the setting cannot have this value.
    """
    setting, *rest = path.split(".")
    if not rest:
        return recipe.but(**{setting: _plain(setting, getattr(recipe, setting), value)})
    call = _call_of(recipe, setting)
    assert call is not None
    return recipe.but(**{setting: str(_replaced(setting, call, rest, _argument(value)))})


def _replaced(setting: str, call: Call, path: Sequence[str], value: Any) -> Call:
    first, *rest = path
    if rest:
        inner = _named_arguments(setting, call)[first]
        value = _replaced(setting, inner, rest, value)
    places = list(itertools.islice(_parameters(setting, call), len(call.args)))
    if first in places:
        place = places.index(first)
        return Call(call.name, (*call.args[:place], value, *call.args[place + 1 :]), call.kwargs)
    return Call(call.name, call.args, {**call.kwargs, first: value})


def _call_of(recipe: WrittenSettings, setting: str) -> Call | None:
    """The constructor call that a setting is; None for one that is none, or is chosen to fit the data."""
    text = getattr(recipe, setting)
    return parse_call(text) if setting in CONSTRUCTORS and text != AUTO else None


def _parameters(setting: str, call: Call) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(CONSTRUCTORS[setting](call)).parameters


def _takes(setting: str, call: Call, argument: str) -> bool:
    accepted = _parameters(setting, call)
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    return argument in accepted or anything


def _named_arguments(setting: str, call: Call) -> dict[str, Any]:
    return {**dict(zip(_parameters(setting, call), call.args)), **call.kwargs}


def _plain(setting: str, now: Any, text: str) -> Any:
    """``text`` as the kind of value that the setting has."""
    if isinstance(now, bool):
        words = {"true": True, "false": False}
        if text.casefold() not in words:
            raise UsageError(f"{setting} is True or False, got {text!r}.")
        return words[text.casefold()]
    try:
        return type(now)(text)
    except ValueError as error:
        raise UsageError(f"{setting} must be a {type(now).__name__}, got {text!r}.") from error


def _argument(text: str) -> Any:
    """``text`` as an argument: a plain value, a constructor call, or a bare word, which stands for itself."""
    if text.isidentifier() and text not in ("True", "False", "None"):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return parse_call(text)


def _no_place(recipe: WrittenSettings, path: str) -> str:
    """Why ``path`` names nothing of ``recipe``, and what there is instead."""
    setting, *rest = path.split(".")
    known = list(recipe.as_dict())
    if setting not in known:
        return f"a recipe has no setting {setting!r}.{nearest(setting, known)} Settings: {', '.join(known)}."
    if setting not in CONSTRUCTORS:
        calls = ", ".join(CONSTRUCTORS)
        return f"{setting} has no arguments, so there is no {path}; settings that have: {calls}."
    call = _call_of(recipe, setting)
    if call is None:
        return f"there is no {path}: {setting} is chosen to fit the data. Say which by --{setting}."
    for argument in rest[:-1]:
        inner = _named_arguments(setting, call).get(argument)
        if not isinstance(inner, Call):
            return f"{argument} of {setting} {call} is no constructor call, so there is no {path}."
        call = inner
    accepted = list(_parameters(setting, call))
    hint = nearest(rest[-1], accepted)
    return f"{setting} {call} takes no {rest[-1]!r}.{hint} It takes: {', '.join(accepted) or 'nothing'}."


# -------------------------------------------------------------------------------------------------- names of variations


def _labels(paths: Sequence[str]) -> list[str]:
    """The last part of each path, or the whole of it where two paths end alike."""
    ends = [path.rpartition(".")[2] for path in paths]
    return [path if ends.count(end) > 1 else end for path, end in zip(paths, ends)]


def _slug(text: str) -> str:
    """``text`` with nothing in it that a shell or a file system would take for something else."""
    return re.sub(r"[^\w.=+-]+", "_", text).strip("_")


def _shortened(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
