"""Draw what the mixing methods make of a data set's images, side by side.

cutmix preview cifar10
cutmix preview folder:photos --mixing 'CutMix(alpha=1.0)' --mixing MixUp --out mixed.png
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="?", default="digits", metavar="DATA", help="a data set (digits)")
    parser.add_argument(
        "--mixing",
        action="append",
        metavar="CALL",
        default=[],
        help="a method, any number of times (default: NoMixing, MixUp, Cutout of half the side, CutMix)",
    )
    parser.add_argument("--images", "-n", type=int, default=8, metavar="N", help="how many images (8)")
    parser.add_argument("--seed", type=int, default=0, help="chooses images, boxes and shares (0)")
    parser.add_argument("--out", "-o", type=Path, default=Path("preview.png"), help="the picture (preview.png)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    parser.add_argument("--image-size", type=int, default=0, metavar="N", help="side of the images (the data's own)")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.preview import preview

    preview(
        args.data,
        args.mixing,
        args.out,
        images=args.images,
        seed=args.seed,
        data_root=args.data_root,
        image_size=args.image_size,
    )
    print(args.out)
    return 0
