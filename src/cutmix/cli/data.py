"""Look after data sets: find the files that cannot be used, before a training run does.

cutmix data check folder:photos
cutmix data check voc:VOCdevkit
cutmix data check tsv:captions.tsv
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="read every file, and list those that cannot be used", allow_abbrev=False)
    check.add_argument(
        "data",
        metavar="DATA",
        help="a data set: cifar10, folder:PATH, arrays:PATH, voc:PATH, coco:PATH, tsv:PATH, ...",
    )
    check.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    check.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error")


def run(args: argparse.Namespace) -> int:
    from cutmix.data import check_data
    from cutmix.training.display import Console

    display = Console()
    check = check_data(args.data, args.data_root, progress=display.looked_at)
    display.close()
    for line in check.lines():
        print(line)
    return 0 if check.ok else 1
