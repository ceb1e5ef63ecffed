"""Say what is in pictures: the five likeliest classes, and where the network looked, if asked.

cutmix predict --checkpoint runs/NAME photo.jpg
cutmix predict --checkpoint runs/NAME photos/*.jpg --cam looked
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="picture files, or folders of them")
    parser.add_argument("--checkpoint", "-c", required=True, help="a run's folder, a checkpoint, a pretrained network")
    parser.add_argument(
        "--best", action="store_true", help="of a run: the best epoch (chosen on the test set), not the last"
    )
    parser.add_argument("--model", default="", metavar="CALL", help="the network, where the file does not say it")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many classes (5)")
    parser.add_argument("--cam", type=Path, metavar="DIR", help="also draw class activation maps into this folder")
    parser.add_argument("--json", action="store_true", help="print a JSON line a picture")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.trained import load_trained, predict

    trained = load_trained(args.checkpoint, model=args.model, best=args.best)
    failed = 0
    for guess in predict(trained, args.images, top=args.top, cam_folder=args.cam, cpu=args.cpu):
        failed += guess.problem is not None
        if args.json:
            print(json.dumps(guess.as_dict()))
        elif guess.problem is not None:
            print(f"{guess.path}: {guess.problem}")
        else:
            print(f"{guess.path}" + (f"  (drawn: {guess.picture})" if guess.picture else ""))
            for name, probability in guess.classes:
                print(f"  {100 * probability:5.1f} %  {name}")
    return 1 if failed else 0
