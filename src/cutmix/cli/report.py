"""Write a report on runs: errors over seeds, learning curves, first batches, commands; one HTML page and Markdown.

cutmix report runs
cutmix report runs/a-s0 runs/a-s1 runs/b-s0 runs/b-s1 --out docs/results/a-against-b
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, or folders of run folders")
    parser.add_argument("--out", "-o", type=Path, default=Path("report"), metavar="DIR", help="where to (report)")
    parser.add_argument("--baseline", default="", metavar="NAME", help="what the others are compared with (the first)")
    parser.add_argument("--title", default="", help="heading of the page")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.recipe import Recipe
    from cutmix.report import find_runs, write_report

    defaults = Recipe().as_dict()
    for path in write_report(find_runs(args.runs), args.out, args.title, baseline=args.baseline, defaults=defaults):
        print(path)
    return 0
