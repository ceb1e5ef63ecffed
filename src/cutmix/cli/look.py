"""Draw what a network looks at in two pictures and in their Mixup, Cutout and CutMix: figure 1 of the paper.

cutmix look runs/NAME cat.jpg dog.jpg
cutmix look 'torchvision.resnet50(weights="DEFAULT")' bernard.jpg poodle.jpg --classes 247 266 --out figure1.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cutmix.cli.test import add_checkpoint_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_arguments(parser)
    parser.add_argument("images", nargs=2, type=Path, metavar="IMAGE", help="two picture files")
    parser.add_argument("--out", "-o", type=Path, default=Path("look.png"), help="the picture (look.png)")
    parser.add_argument(
        "--classes", nargs=2, default=(), metavar="CLASS", help="whose maps: names or numbers (the likeliest of each)"
    )
    parser.add_argument("--share", type=float, default=0.5, help="of the first picture in the mixed ones (0.5)")
    parser.add_argument("--seed", type=int, default=0, help="places the boxes (0)")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.look import mixed_maps
    from cutmix.recipes.trained import load_trained

    trained = load_trained(args.checkpoint, model=args.model, best=args.best)
    first, second = mixed_maps(
        trained, args.images, args.out, classes=args.classes, share=args.share, seed=args.seed, cpu=args.cpu
    )
    print(f"{args.out}: maps of {first} and {second}")
    return 0
