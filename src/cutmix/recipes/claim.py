"""What the paper says of a recipe, as data: the rows of its tables, their numbers, and how these were made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, TypeVar

from cutmix.measures import first_known

BEST, LAST, UNSAID = "best", "last", ""
ERRORS = {"top1": "top-1 error", "top5": "top-5 error"}
"""The metrics of most tables; any other goes by its own name."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Numbers that were published for a row. Standing alone in a file of recipes, it is a row that has no recipe.

    Raises:
        ValueError: no table is named, or ``pick`` is none of what there is.
    """

    tables: tuple[str, ...]
    """Where the row stands: the paper's tables ("5"), figures ("fig3"), or "readme" (of the official repository)."""
    row: str
    """The row's name there."""
    values: dict[str, float]
    """The numbers by metric, in the table's unit (errors in percent); none where the paper only draws a curve."""
    pick: str = BEST
    """The epoch whose number is given: the "best" on the test set, or the "last" one; empty where it is not said."""
    runs: int = 0
    """How many runs the number is a mean of; 0 where it is not said."""
    copied: bool = False
    """The paper took the number from another paper, and trained nothing itself."""
    note: str = ""
    """For a row without recipe: why there is none."""

    def __post_init__(self) -> None:
        if not self.tables:
            raise ValueError(f"the claim of {self.row!r} names no table")
        if self.pick not in (BEST, LAST, UNSAID):
            raise ValueError(f"pick is {self.pick!r}; {BEST!r}, {LAST!r} and {UNSAID!r} are accepted")

    @property
    def short(self) -> str:
        """The errors, other metrics with their names; ``*`` where they are copied, ``-`` where only a curve is.

        Of more than two, the one that runs are compared by.
        """
        numbers = {name: f"{value:.2f}" if name in ERRORS else f"{name} {value}" for name, value in self.values.items()}
        if len(numbers) > 2 and (main := first_known(numbers)):
            return f"{numbers[main]}, ..."
        return " / ".join(numbers.values()) + "*" * self.copied or "-"

    @property
    def sentence(self) -> str:
        """The whole claim in a sentence."""
        where = " and ".join(table_name(table) for table in self.tables)
        if not self.values:
            return f"{where}, {self.row}: drawn as a curve, no number is printed."
        numbers = ", ".join(
            f"{ERRORS[name]} {value:.2f} %" if name in ERRORS else f"{name} {value}"
            for name, value in self.values.items()
        )
        if self.copied:
            made = "copied from the method's own paper, trained with that paper's settings"
        else:
            made = {
                BEST: "best epoch on the test set",
                LAST: "last epoch",
                UNSAID: "of which epoch is not said",
            }[self.pick]
            made += f", mean of {self.runs} runs" if self.runs > 1 else ""
        return f"{where}, {self.row}: {numbers} ({made})."


def table_name(table: str) -> str:
    """A table as the text speaks of it: "Table 5", "Figure 3", "Official README"."""
    if table == "readme":
        return "Official README"
    return f"Figure {table[3:]}" if table.startswith("fig") else f"Table {table}"


def claims(
    *tables: str, row: str, pick: str = BEST, runs: int = 0, copied: bool = False, **values: float
) -> Callable[[F], F]:
    """Attach the published numbers ``values`` of ``row`` in ``tables`` to a recipe.

    They and the command are added to its docstring, so that ``help()`` shows them and they are written down once.
    """
    claim = Claim(tables=tables, row=row, values=values, pick=pick, runs=runs, copied=copied)

    def attach(function: F) -> F:
        function.__dict__["claim"] = claim
        about = cleandoc(function.__doc__ or "")
        function.__doc__ = f"{about}\n\n{claim.sentence}\n\n    {command(function)}\n"
        return function

    return attach


def claim_of(function: Callable[..., Any]) -> Claim | None:
    """What was published of a recipe; None for a recipe that is no row of the paper."""
    claim: Claim | None = function.__dict__.get("claim")
    return claim


def recipe_name(function: Callable[..., Any]) -> str:
    """``file.function``, as the command line takes it."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def command(function: Callable[..., Any]) -> str:
    """The command that trains by this recipe."""
    verb = "transfer" if function.__annotations__.get("return") == "TransferRecipe" else "train"
    return f"cutmix {verb} {recipe_name(function)}"
