"""What there is, a name and a line each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutmix.recipes import names


def rows(what: str, data_root: Path | None = None, *, libraries: bool = False) -> list[tuple[str, str]]:
    """The (name, description) pairs of ``what``: recipes, transfers, methods, regularizers, models, data or questions.

    ``recipes.table`` has the recipes with the paper's numbers.

    Args:
        libraries: for models, also torchvision's and, where it is installed, timm's.
    """
    if what == "recipes":
        return [(name, first_line(function)) for name, function in names.recipes().items()]
    if what == "transfers":
        tasks = [(signature(cls), first_line(cls)) for cls in names.tasks().values()]
        return tasks + [(name, first_line(function)) for name, function in names.transfers().items()]
    if what in ("methods", "regularizers"):
        known = names.mixings() if what == "methods" else names.regularizers()
        return [(signature(cls), first_line(cls)) for name, cls in known.items() if name == cls.__name__]
    if what == "models":
        found = [(signature(cls), first_line(cls)) for cls in names.networks().values()]
        return found + (library_models() if libraries else [("torchvision.NAME, timm.NAME", "cutmix list models")])
    if what == "questions":
        return [(name, f"{signature(cls)}  {first_line(cls)}") for name, cls in names.questions().items()]
    from cutmix.data import list_data

    return [
        (row.name, " ".join(filter(None, (row.about, f"[{row.found}]", row.place)))) for row in list_data(data_root)
    ]


def first_line(thing: Any) -> str:
    """The first line of a docstring."""
    return (thing.__doc__ or "").strip().splitlines()[0]


def signature(cls: type) -> str:
    """A class's constructor call with its defaults."""
    import inspect

    parameters = inspect.signature(cls).parameters.values()
    return f"{cls.__name__}({', '.join(str(p.replace(annotation=p.empty)) for p in parameters)})"


def library_models() -> list[tuple[str, str]]:
    """torchvision's networks, and timm's where it is installed."""
    from importlib.util import find_spec

    from cutmix.models.library import list_timm, list_torchvision

    found = [(f"torchvision.{name}", "") for name in list_torchvision()]
    if find_spec("timm") is not None:
        found += [(f"timm.{name}", "") for name in list_timm("*")]
    return found
