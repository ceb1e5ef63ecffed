"""Evaluate trained networks: accuracy, calibration, robustness, unknown images, localization; JSON and one HTML page.

cutmix evaluate runs/NAME
cutmix evaluate runs/a-s0 runs/a-s1 runs/b-s0 runs/b-s1 --suite full --out docs/results/a-against-b
cutmix evaluate model_best.pth.tar --data cifar100 --only ood --out-sets uniform gaussian lsun=pictures/LSUN
cutmix evaluate 'torchvision.resnet50(weights="DEFAULT")' --data imagenet --only accuracy,calibration --limit 5000

Interrupted? The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from cutmix.cli.test import add_network_arguments
from cutmix.cli.train import first_process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="run folders, checkpoints, pretrained networks"
    )
    add_network_arguments(parser)
    parser.add_argument(
        "--suite", default="paper", metavar="NAME",
        help="quick (seconds to minutes), paper (what the paper reports; default), or full (everything)",
    )  # fmt: skip
    parser.add_argument(
        "--only", default="", metavar="LIST",
        help="just these questions: ood,fgsm or with arguments 'fgsm(eps=0.01)' (cutmix list questions)",
    )  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="ask about N test images only, drawn by the seed")
    parser.add_argument(
        "--out-sets", nargs="+", default=[], metavar="SET",
        help="for ood: uniform, gaussian, an .npz file, a folder of pictures, a known data set; NAME=SET names it",
    )  # fmt: skip
    parser.add_argument("--data", metavar="DATA", help="data set (default: the one that the run was trained on)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    parser.add_argument("--out", "-o", type=Path, default=Path("evaluation"), metavar="DIR", help="(evaluation)")
    parser.add_argument("--title", default="", help="heading of the page")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="everything drawn follows from it (0)")
    parser.add_argument("--batch-size", "-b", type=int, default=128, metavar="N", help="images at a time (128)")
    parser.add_argument("--workers", "-j", type=int, metavar="N", help="processes that decode photos")


def run(args: argparse.Namespace) -> int:
    from cutmix.evaluation.progress import Progress
    from cutmix.evaluation_page import write_evaluation_page
    from cutmix.recipes.evaluated import evaluate_networks, questions_of

    result = evaluate_networks(
        args.checkpoints,
        questions_of(args.suite, args.only, args.out_sets),
        args.out,
        data=args.data,
        data_root=args.data_root,
        batch_size=args.batch_size,
        workers=args.workers,
        limit=args.limit,
        seed=args.seed,
        cpu=args.cpu,
        best=args.best,
        model=args.model,
        progress=Progress(silent=not first_process()),
        command=shlex.join(["cutmix", *sys.argv[1:]]),
    )
    if first_process():
        for line in summary(result):
            print(line)
        print(write_evaluation_page(args.out, args.title))
    return 0


def summary(result: Mapping[str, Any]) -> Iterator[str]:
    """The headline numbers of each network, and what is missing."""
    patterns = [pattern for question in result["questions"] for pattern in question["headline"]]
    for network in result["networks"]:
        yield f"{network['name']} on {network['data']['name']} (n = {network['data']['asked']:,} test images)"
        for name, value in network["values"].items():
            if value["kind"] == "number" and any(fnmatch(name, pattern) for pattern in patterns):
                ends = value["interval"]
                interval = f"  [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
                yield f"  {name}: {value['value']:.2f} {value['unit']}{interval}".rstrip()
        for name, value in network["values"].items():
            if value["kind"] == "missing":
                yield f"  missing: {name}: {value['reason']}"
