"""Train a network: by a recipe, by flags, or by a recipe with some flags changed.

  cutmix train small.digits
  cutmix train --data cifar10 --mixing 'CutMix(alpha=1.0, prob=0.5)' --epochs 30
  cutmix train --data folder:photos
  cutmix train strong.photos_finetune --data folder:photos
  cutmix train cifar100.pyramidnet200_cutmix
  cutmix train runs/NAME/recipe.json --seed 1
  cutmix train runs/NAME --resume

Recipes, among them every row of the paper's tables, with its numbers: cutmix list recipes
Several devices: torchrun --nproc_per_node 2 -m cutmix train RECIPE
"""

from __future__ import annotations

import argparse
import atexit
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cutmix.recipes.own import photos
from cutmix.recipes.recipe import Recipe, WrittenSettings

DEFAULT_MIXING = "CutMix(alpha=1.0, prob=0.5)"
FIRST = ("data", "model", "mixing", "regularizer", "augment", "image_size", "init")  # what most users look for
FITTING = "chosen to fit the data"
DEFAULTS = {"model": FITTING, "augment": FITTING, "init": "none", "mixing": f"{DEFAULT_MIXING}, or the recipe's"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe's name, a recipe.json, or a run's folder")
    run = parser.add_argument_group("the run")
    add_run_arguments(run, named_for="data, network")
    run.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    add_recipe_arguments(parser.add_argument_group("the recipe (these change RECIPE where both are given)"))


def add_run_arguments(run: Any, *, named_for: str) -> None:
    """The flags of whatever trains in a folder of its own, whose name is made of ``named_for``."""
    run.add_argument("--name", default="", help=f"the run's folder under --runs (default: made of {named_for}, ...)")
    run.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are kept (runs)")
    run.add_argument("--resume", action="store_true", help="go on with the run from its last good checkpoint")
    run.add_argument("--workers", "-j", type=int, metavar="N", help="processes that decode photos")
    run.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    run.add_argument(
        "--checkpoint-steps", type=int, default=0, metavar="N", help="save every N steps too, not only each epoch"
    )
    run.add_argument("--tensorboard", action="store_true", help="write TensorBoard events (extra: cutmix[tensorboard])")
    run.add_argument("--quiet", "-q", action="store_true", help="print the result only")


def add_recipe_arguments(
    group: Any,
    without: Sequence[str] = (),
    *,
    recipe: type[WrittenSettings] = Recipe,
    first: Sequence[str] = FIRST,
    defaults: Mapping[str, str] = DEFAULTS,
) -> None:
    """A flag for each setting of a recipe but those in ``without``; those not given are None."""
    for f in sorted(fields(recipe), key=lambda f: f.name not in first):
        if f.name in without:
            continue
        flag = "--" + f.name.replace("_", "-")
        default = defaults.get(f.name, f.default)
        help_text = f"{f.metadata['help']} (default: {default})".replace("%", "%%")
        if isinstance(f.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=help_text)
        else:
            kind = type(f.default)
            group.add_argument(flag, type=kind, default=None, metavar=kind.__name__.upper(), help=help_text)


def given_settings(args: argparse.Namespace, *kinds: type[WrittenSettings]) -> dict[str, Any]:
    """The settings of these kinds of recipes that were given as flags."""
    names = dict.fromkeys(f.name for kind in kinds for f in fields(kind))
    return {name: value for name in names if (value := getattr(args, name)) is not None}


def read_recipe(args: argparse.Namespace) -> Recipe:
    """The recipe that the command line asks for."""
    from cutmix.recipes.names import find_recipe

    if args.recipe is None:
        own = args.data is not None and args.data.startswith("folder:")
        recipe = photos() if own else Recipe(mixing=DEFAULT_MIXING)
    elif Path(args.recipe).exists():
        recipe = Recipe.read(Path(args.recipe))
    else:
        recipe = find_recipe(args.recipe)
    return recipe.but(**given_settings(args, Recipe))


def run(args: argparse.Namespace) -> int:
    from cutmix.errors import UsageError

    if args.recipe is None and args.data is None:
        if not (args.resume and args.name):
            raise UsageError(
                "say what to train: a recipe (cutmix list recipes) or --data, e.g. cutmix train --data folder:PATH"
            )
        args.recipe = str(args.runs / args.name)  # the run's own recipe
    if args.checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must not be negative, got {args.checkpoint_steps}")
    recipe = read_recipe(args)
    if args.resume and not args.name and Path(args.recipe or "").is_dir():
        args.runs, args.name = Path(args.recipe).parent, Path(args.recipe).name

    from cutmix.recipes.start import train
    from cutmix.training.display import Console, Silent

    atexit.register(leave_processes)
    result = train(
        recipe,
        name=args.name,
        runs=args.runs,
        data_root=args.data_root,
        resume=args.resume,
        workers=args.workers,
        cpu=args.cpu,
        checkpoint_steps=args.checkpoint_steps,
        tensorboard=args.tensorboard,
        display=Silent() if args.quiet else Console(),
        command=shlex.join(["cutmix", *sys.argv[1:]]),
    )
    if first_process():
        print_result(result)
    return 0


def leave_processes() -> None:
    """Take leave of the other processes, where there are any."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def first_process() -> bool:
    """Whether this is the one of several processes that speaks."""
    return os.environ.get("RANK", "0") == "0"


def print_result(result: dict[str, Any]) -> None:
    """The last epoch's error first; the best beside it, named for what it is."""
    print(
        f"test error after the last epoch ({result['epochs']}): top-1 {result['test_error_top1_last']:.2f} %, "
        f"top-5 {result['test_error_top5_last']:.2f} %  (n = {result['test_images']:,} images)\n"
        f"best epoch ({result['best_epoch']}, chosen on the test set, so optimistic): "
        f"top-1 {result['test_error_top1_best']:.2f} %\n"
        f"{result['folder']}: first_batch.png, curves.png, metrics.csv, last.pth.tar, best.pth.tar"
    )
