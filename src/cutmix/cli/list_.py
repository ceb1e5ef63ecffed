"""List what there is: recipes, transfers, mixing methods, networks, data sets.

cutmix list recipes
cutmix list models --filter resnet
"""

from __future__ import annotations

import argparse
from pathlib import Path

WHAT = ("recipes", "transfers", "methods", "models", "data")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=WHAT, help="which list (default: all but the libraries' models)")
    parser.add_argument("--filter", default="", metavar="TEXT", help="only names with this text")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.listing import rows

    for what in [args.what] if args.what else WHAT:
        found = [row for row in rows(what, args.data_root, libraries=args.what == what) if args.filter in row[0]]
        width = max((len(name) for name, _ in found), default=0)
        print(f"{what}:")
        for name, about in found:
            print(f"  {name:<{width}}  {about}".rstrip())
    return 0
