"""List what there is: recipes with the paper's numbers, transfers, methods, regularizers, networks, data, questions.

cutmix list recipes
cutmix list recipes --table 5
cutmix list recipes --filter resnet50_cutmix --json
cutmix list models --filter resnet
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

WHAT = ("recipes", "transfers", "methods", "regularizers", "models", "data", "questions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=WHAT, help="which list (default: all but the libraries' models)")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only names with this text")
    parser.add_argument(
        "--table",
        default="",
        metavar="TABLE",
        help="only recipes of this table of the paper: 3 to 8, 10, A1, fig3, readme (official code), none (no table's)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON; of recipes it has everything: claims, commands, settings"
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")


def run(args: argparse.Namespace) -> int:
    from cutmix.errors import UsageError

    if args.table and args.what not in (None, "recipes"):
        raise UsageError(f"--table chooses recipes: cutmix list recipes --table {args.table}")
    asked = [args.what] if args.what else ["recipes"] if args.table else list(WHAT)
    if args.json:
        found = {what: as_data(what, args) for what in asked}
        print(json.dumps(found if len(found) > 1 else found[asked[0]], indent=2))
        return 0
    # Lines are wrapped for eyes alone: what is piped on keeps a line a row.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for text in [f"{what}:\n{as_text(what, args, width)}" for what in asked]:
        print(text)
    return 0


def as_data(what: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one list as plain values."""
    if what == "recipes":
        from cutmix.recipes.table import recipe_rows

        return [row.as_dict() for row in recipe_rows(args.table, args.filter)]
    return [{"name": name, "about": about} for name, about in named(what, args)]


def as_text(what: str, args: argparse.Namespace, width: int | None) -> str:
    """The rows of one list as text."""
    if what == "recipes":
        from cutmix.recipes.table import as_text, recipe_rows

        return as_text(recipe_rows(args.table, args.filter), width)
    rows = named(what, args)
    longest = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"  {name:<{longest}}  {about}".rstrip() for name, about in rows)


def named(what: str, args: argparse.Namespace) -> list[tuple[str, str]]:
    """The (name, description) pairs of one list whose name has the filter's text."""
    from cutmix.recipes.listing import rows

    return [row for row in rows(what, args.data_root, libraries=args.what == what) if args.filter in row[0]]
