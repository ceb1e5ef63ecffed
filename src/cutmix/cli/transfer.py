"""Put a trained network to other work, detection (SSD, Faster R-CNN) or captioning (NIC): train that, and test it.

  cutmix transfer ssd --backbone runs/NAME --data voc:VOCdevkit
  cutmix transfer faster-rcnn --backbone "torchvision.resnet50(weights='DEFAULT')" --data coco:coco
  cutmix transfer detection.ssd300_cutmix --backbone model_best.pth.tar
  cutmix transfer caption --backbone runs/NAME --data tsv:captions.tsv
  cutmix transfer runs/NAME --resume
  cutmix transfer runs/NAME --predict photo.jpg --out found

Several devices: torchrun --nproc_per_node 2 -m cutmix transfer ...
"""

from __future__ import annotations

import argparse
import atexit
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from cutmix.cli.train import (
    add_recipe_arguments,
    add_run_arguments,
    first_process,
    given_settings,
    leave_processes,
)
from cutmix.recipes.transfer_recipe import TransferRecipe

FIRST = ("backbone", "backbone_model", "data", "task")
DEFAULTS = dict.fromkeys(("data", "backbone", "backbone_model"), "none")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a task (ssd, faster-rcnn, caption), a recipe's name, a recipe.json, or a transfer's folder",
    )
    add_run_arguments(parser.add_argument_group("the run"), named_for="task, backbone")
    use = parser.add_argument_group("use of a transfer that has been trained")
    use.add_argument("--predict", nargs="+", type=Path, metavar="IMAGE", help="what is in pictures, or folders of them")
    use.add_argument("--best", action="store_true", help="the best epoch (chosen on the test set), not the last")
    use.add_argument("--out", type=Path, metavar="DIR", help="also draw what was found into this folder")
    use.add_argument("--captions", type=int, metavar="N", help="how many captions of a picture to tell (5)")
    use.add_argument("--score", type=float, metavar="P", help="lowest score to be shown (0.5)")
    recipe = parser.add_argument_group("the recipe (these change WHAT's)")
    add_recipe_arguments(recipe, recipe=TransferRecipe, first=FIRST, defaults=DEFAULTS)


def read_recipe(args: argparse.Namespace) -> TransferRecipe:
    """The recipe that the command line asks for."""
    from cutmix.recipes.names import find_transfer

    recipe = TransferRecipe.read(Path(args.what)) if is_path(args.what) else find_transfer(args.what)
    return recipe.but(**given_settings(args, TransferRecipe))


def is_path(what: str) -> bool:
    """Whether a file or a folder is meant: a folder that is called as a task is, and holds no recipe, is not."""
    from cutmix.recipes.names import is_task

    path = Path(what)
    return path.exists() and (path.is_file() or (path / "recipe.json").exists() or not is_task(what))


def check_flags(args: argparse.Namespace) -> None:
    """Refuse flags that nothing would come of: those of training with --predict, and those of --predict without it."""
    from cutmix.errors import UsageError

    training = [*given_settings(args, TransferRecipe), *(name for name in ("resume", "name") if getattr(args, name))]
    using = [name for name in ("out", "captions", "score") if getattr(args, name) is not None]
    using = [*(["best"] if args.best else []), *using]
    idle, why = (training, "is for training") if args.predict else (using, "goes with --predict IMAGE")
    if idle:
        raise UsageError(f"{', '.join('--' + name.replace('_', '-') for name in idle)} {why}")


def run(args: argparse.Namespace) -> int:
    from cutmix.errors import UsageError

    check_flags(args)
    if args.checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must not be negative, got {args.checkpoint_steps}")
    if args.predict:
        return predict(args)
    recipe = read_recipe(args)
    if args.resume and not args.name and is_path(args.what) and Path(args.what).is_dir():
        args.runs, args.name = Path(args.what).parent, Path(args.what).name

    from cutmix.recipes.start_transfer import TransferConsole, transfer
    from cutmix.training.display import Silent

    atexit.register(leave_processes)
    result = transfer(
        recipe,
        name=args.name,
        runs=args.runs,
        resume=args.resume,
        workers=args.workers,
        cpu=args.cpu,
        checkpoint_steps=args.checkpoint_steps,
        tensorboard=args.tensorboard,
        display=Silent() if args.quiet else TransferConsole(),
        command=shlex.join(["cutmix", *sys.argv[1:]]),
    )
    if first_process():
        print_result(result)
    return 0


def print_result(result: dict[str, Any]) -> None:
    """The last epoch's measure first; the best beside it, named for what it is."""
    measure = result["measure"]
    print(
        f"{measure} after the last epoch ({result['epochs']}): {result[f'{measure}_last']:.2f}  "
        f"(n = {result['test_images']:,} pictures)\n"
        f"best epoch ({result['best_epoch']}, chosen on the test set, so optimistic): {result[f'{measure}_best']:.2f}"
    )
    for name, value in result["test"].items():
        if name not in (measure, "per_class", "coco_per_class"):
            print(f"{name}: {f'{value:.2f}' if isinstance(value, float) else value}")
    for name, values in result["test"].get("per_class", {}).items():
        print(f"  {name}: " + ", ".join(f"{form} {value:.4g}" for form, value in values.items()))
    print(f"{result['folder']}: test.json, first_batch.png, curves.png, metrics.csv, last.pth.tar, best.pth.tar")


def predict(args: argparse.Namespace) -> int:
    """Print what is in pictures, a JSON line each."""
    from cutmix.errors import UsageError
    from cutmix.recipes.predict_boxes import predict_boxes
    from cutmix.recipes.predict_captions import predict_captions
    from cutmix.recipes.start_transfer import load_transferred
    from cutmix.transfer.nic import NIC

    transferred = load_transferred(Path(args.what), best=args.best)
    captions = isinstance(transferred.task, NIC)
    if getattr(args, other := "score" if captions else "captions") is not None:
        raise UsageError(f"--{other} is not for {type(transferred.task).__name__}")
    given = {name: value for name, value in (("top", args.captions), ("least", args.score)) if value is not None}
    use = predict_captions if captions else predict_boxes
    guesses: Any = use(transferred, args.predict, folder=args.out, cpu=args.cpu, **given)
    failed = 0
    for guess in guesses:
        failed += "problem" in guess
        print(json.dumps(guess))
    return 1 if failed else 0
