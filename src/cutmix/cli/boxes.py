"""Draw where networks see the objects of a data set with boxes, against the true boxes: figure 4 of the paper.

cutmix boxes runs/plain runs/mixup runs/cutout runs/cutmix --data cub200 --out figure4.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cutmix.cli.test import add_network_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoints", nargs="+", metavar="CHECKPOINT", help="runs' folders, checkpoints, or pretrained networks"
    )
    add_network_arguments(parser)
    parser.add_argument("--data", default="", metavar="DATA", help="a data set with boxes (what it was trained on)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    parser.add_argument("--images", "-n", type=int, default=8, metavar="N", help="how many test images (8)")
    parser.add_argument(
        "--threshold", type=float, default=0.15, help="foreground is above this share of a map's maximum (0.15)"
    )
    parser.add_argument(
        "--cam-class",
        choices=("true", "predicted"),
        default="true",
        help="whose map; predicted: the network may have other classes than the data (true)",
    )
    parser.add_argument("--out", "-o", type=Path, default=Path("boxes.png"), help="the picture (boxes.png)")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.look import boxes_of

    boxes_of(
        args.checkpoints,
        args.data,
        args.out,
        data_root=args.data_root,
        images=args.images,
        threshold=args.threshold,
        cam_class=args.cam_class,
        model=args.model,
        best=args.best,
        cpu=args.cpu,
    )
    print(args.out)
    return 0
