"""Write a report on runs: their tests over seeds, learning curves, first batches, commands; one HTML page and Markdown.

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
    from cutmix.recipes.kinds import completed
    from cutmix.recipes.transfer_claims import paper_numbers
    from cutmix.report import write_report
    from cutmix.runs import find_runs

    for path in write_report(
        find_runs(args.runs),
        args.out,
        args.title,
        baseline=args.baseline,
        completed=completed,
        paper=paper_numbers,
    ):
        print(path)
    return 0
