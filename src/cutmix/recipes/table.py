"""The recipes as a table: each with the row of the paper that it stands for, and the paper's numbers."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import dataclass
from typing import Any

from cutmix.errors import UsageError, nearest
from cutmix.recipes import names
from cutmix.recipes.claim import Claim, claim_of, command
from cutmix.recipes.listing import first_line

NONE = "none"
"""The table of what stands in no table."""
HEADER = ("recipe", "table", "paper", "what it is")
LEGEND = (
    "paper: errors in % as published, top-1 / top-5 (the best epoch on the test set), or others by name; * copied by "
    "the paper from another one; - drawn, not printed. All of a recipe: cutmix list recipes --filter NAME --json"
)
NARROW = 40
"""Columns below which the last column gets lines of its own."""


@dataclass(frozen=True)
class Row:
    """A recipe with its claim, or, without a name, a row of the paper that has no recipe."""

    name: str
    claim: Claim | None
    about: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Where it stands; ``none`` for a recipe that is no row of the paper."""
        return self.claim.tables if self.claim else (NONE,)

    def cells(self) -> tuple[str, str, str, str]:
        """What the text table shows."""
        if self.claim is None:
            return self.name, "", "", self.about
        return self.name or "(no recipe)", ", ".join(self.claim.tables), self.claim.short, self.about

    def as_dict(self) -> dict[str, Any]:
        """Everything about it, as plain values."""
        claim = self.claim
        paper = claim and {
            "tables": list(claim.tables),
            "row": claim.row,
            "values": claim.values,
            "pick": claim.pick,
            "runs": claim.runs or None,
            "copied": claim.copied,
        }
        if not self.name:
            return {"name": None, "command": None, "about": self.about, "paper": paper, "settings": None}
        function = {**names.recipes(), **names.transfers()}[self.name]
        return {
            "name": self.name,
            "command": command(function),
            "about": inspect.cleandoc(function.__doc__ or ""),
            "paper": paper,
            "settings": function().as_dict(),
        }


def recipe_rows(table: str = "", text: str = "") -> list[Row]:
    """Every recipe, and every row of the paper that has none, by file and in the file's order.

    Args:
        table: only those of this table: "5", "fig3", "readme", or "none" for recipes that are no row of the paper.
        text: only those with this text in their name, or in the row's.

    Raises:
        UsageError: no recipe stands in such a table.
    """
    rows = [row for module in names.modules("cutmix.recipes") for row in _rows_of(module)]
    if table:
        known = sorted({known for row in rows for known in row.tables}, key=_order)
        if table not in known:
            raise UsageError(
                f"no recipe stands in table {table!r}.{nearest(table, known)} There are: {', '.join(known)}."
            )
        rows = [row for row in rows if table in row.tables]
    return [row for row in rows if text in row.name or (row.claim is not None and text in row.claim.row)]


def _rows_of(module: Any) -> list[Row]:
    """A file's recipes and its claims without a recipe, in the order in which they are written."""
    known = {**names.recipes_of(module), **names.recipes_of(module, "TransferRecipe")}
    found = []
    for name, member in vars(module).items():
        if isinstance(member, Claim):
            found.append(Row("", member, f"{member.row}: no recipe, since {member.note}."))
        elif (full := f"{module.__name__.rpartition('.')[2]}.{name}") in known:
            found.append(Row(full, claim_of(member), first_line(member)))
    return found


def _order(table: str) -> tuple[bool, int, str]:
    """Tables by number, then the rest."""
    return (not table.isdigit(), int(table) if table.isdigit() else 0, table)


def as_text(rows: list[Row], width: int | None = None) -> str:
    """The rows as a table of text, wrapped to ``width`` columns; None leaves each row on its line."""
    cells = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = []
    for *start, about in cells:
        left = "  ".join(text.ljust(size) for text, size in zip(start, widths))
        lines += _wrapped(left, about, width)
    return "\n".join([*lines, "", *(textwrap.wrap(LEGEND, width) if width else [LEGEND])])


def _wrapped(left: str, about: str, width: int | None) -> list[str]:
    """``about`` beside ``left``, or below it where too little room is left."""
    if width is None:
        return [f"{left}  {about}"]
    room = width - len(left) - 2
    if room < NARROW:
        return [left.rstrip(), *textwrap.wrap(about, width, initial_indent="    ", subsequent_indent="    ")]
    first, *more = textwrap.wrap(about, room)
    return [f"{left}  {first}", *(" " * (len(left) + 2) + line for line in more)]
