"""Compare recipes over several seeds: run what is missing, then say what the differences are worth.

  cutmix compare small.cifar10_resnet20 small.cifar10_resnet20_cutmix --seeds 5
  cutmix compare small.cifar10_resnet20_cutmix --vary 'mixing.alpha=0.2,0.5,1.0' --seeds 3 --jobs 2
  cutmix compare detection.small_ssd --data voc:PATH --vary 'backbone=runs/plain-s0,runs/cutmix-s0' --seeds 3
  cutmix compare runs/* --out docs/results/NAME
  cutmix compare --update docs/results/README.md

What is done is skipped, what was killed is gone on with: the same command again finishes what it began. From existing
run folders, nothing is run. --update makes the tables of a document again from the results.jsonl that they name.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from cutmix.cli.train import add_recipe_arguments, given_settings
from cutmix.cli.transfer import DEFAULTS, FIRST
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.transfer_recipe import TransferRecipe

KINDS = (Recipe, TransferRecipe)
SEEDS = "5"
RUNNING = ("seeds", "vary", "runs", "jobs", "dry_run", "data_root", "workers", "cpu", "checkpoint_steps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipes",
        nargs="*",
        metavar="RECIPE",
        help="recipes' names or recipe.json files; or run folders, or folders of run folders",
    )
    run = parser.add_argument_group("what is run (each run in runs/RECIPE[-VARIATION]-sSEED)")
    run.add_argument("--seeds", metavar="N", help=f"how many, or a list such as 0,3,7 (default: {SEEDS}, being 0-4)")
    run.add_argument(
        "--vary",
        action="append",
        metavar="PATH=VALUES",
        help="values that a setting or an argument of one takes in turn: lr=0.05,0.1 or mixing.alpha=0.2,0.5; several "
        "times for a grid; a recipe that has no such argument stays as it is",
    )
    run.add_argument("--runs", type=Path, metavar="DIR", help="where runs are kept (runs)")
    run.add_argument("--jobs", type=int, metavar="N", help="runs that go on at a time, threads shared equally (1)")
    run.add_argument("--dry-run", action="store_true", default=None, help="print what would be run, and stop")
    run.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    run.add_argument("--workers", "-j", type=int, metavar="N", help="processes of each run that decode photos")
    run.add_argument("--cpu", action="store_true", default=None, help="use the CPU even where there is a GPU")
    run.add_argument("--checkpoint-steps", type=int, metavar="N", help="save every N steps too, not only each epoch")
    out = parser.add_argument_group("what is made of it")
    out.add_argument("--baseline", default="", metavar="NAME", help="what the others are compared with (the first)")
    out.add_argument("--out", "-o", type=Path, default=Path("comparison"), metavar="DIR", help="where to (comparison)")
    out.add_argument("--title", default="", help="heading of the page")
    out.add_argument("--quiet", "-q", action="store_true", help="print the result only")
    out.add_argument("--update", type=Path, metavar="FILE", help="make the tables of this Markdown file again")
    add_recipe_arguments(parser.add_argument_group("the recipes (these change all of them)"), without=("seed",))
    of_both = [f.name for f in fields(Recipe)]
    add_recipe_arguments(
        parser.add_argument_group("the recipes of transfers (so do these)"),
        of_both, recipe=TransferRecipe, first=FIRST, defaults=DEFAULTS,
    )  # fmt: skip
    parser.set_defaults(seed=None)


def run(args: argparse.Namespace) -> int:
    from cutmix.errors import UsageError

    if args.update is not None:
        return update(args)
    if not args.recipes:
        raise UsageError("say what to compare: recipes (cutmix list recipes), or run folders such as runs/*.")
    folders = [Path(word).is_dir() for word in args.recipes]
    if not any(folders):
        return run_and_compare(args)
    if not all(folders):
        other = args.recipes[folders.index(False)]
        raise UsageError(f"{other} is no folder: compare either run folders or recipes (a run's is its recipe.json).")
    given = [f"--{name.replace('_', '-')}" for name in given_to_run(args)]
    if given:
        raise UsageError(f"{given[0]} is for recipes that are to be run, and these are run folders.")
    print_comparison(args, list(map(Path, args.recipes)))
    return 0


def given_to_run(args: argparse.Namespace) -> list[str]:
    """The arguments given that only mean something where runs are to be made."""
    return [*(name for name in RUNNING if getattr(args, name) is not None), *given_settings(args, *KINDS)]


def update(args: argparse.Namespace) -> int:
    from cutmix.errors import UsageError
    from cutmix.recipes.transfer_claims import paper_numbers
    from cutmix.report import update_tables

    if args.recipes or given_to_run(args):
        raise UsageError("--update makes the tables of a document again, and runs or compares nothing else.")
    print(f"{args.update}: {'changed' if update_tables(args.update, paper_numbers) else 'as it was'}")
    return 0


def run_and_compare(args: argparse.Namespace) -> int:
    from cutmix.recipes import compare
    from cutmix.recipes.plan import parse_seeds, parse_variation, plan
    from cutmix.recipes.progress import Progress, Unseen
    from cutmix.training.display import Console, Silent

    variations = [parse_variation(text) for text in args.vary or []]
    planned = plan(
        [named(word) for word in args.recipes],
        seeds=parse_seeds(args.seeds or SEEDS),
        variations=variations,
        changes=given_settings(args, *KINDS),
    )
    circumstances = compare.Circumstances(
        args.runs or Path("runs"), args.data_root, args.workers, bool(args.cpu), args.checkpoint_steps or 0
    )
    looking = Silent() if args.quiet else Console()
    jobs = compare.prepare(planned, circumstances.runs, args.data_root, looking.looked_at)
    looking.close()
    at_once = 1 if args.jobs is None else args.jobs
    if args.dry_run:
        print(compare.describe(jobs, at_once))
        return 0
    refuse_before_running(args, {circumstances.runs / job.run.name: job.run.recipe.as_dict() for job in jobs})
    watcher = Unseen() if args.quiet else Progress()
    failures = compare.run_jobs(jobs, circumstances, at_once=at_once, watcher=watcher)
    compared = {"mixing", "backbone", *(variation.path.partition(".")[0] for variation in variations)}
    begun = [circumstances.runs / job.run.name for job in jobs]
    ended = [folder for folder in begun if compare.status(folder) is compare.Status.ENDED]
    if ended:
        print_comparison(args, [folder for folder in begun if (folder / "recipe.json").exists()], compared)
    for failure in failures:
        print(f"cutmix: {failure.name} failed: {failure.error}", file=sys.stderr)
    return 1 if failures else 0


def refuse_before_running(args: argparse.Namespace, recipes: dict[Path, dict[str, Any]]) -> None:
    """Find the mistakes that would only be seen at the end: a baseline that there is not, an --out that is a file."""
    from cutmix.errors import UsageError
    from cutmix.runs import Run, find_baseline, grouped

    find_baseline(grouped([Run(folder, recipe, [], {}) for folder, recipe in recipes.items()]), args.baseline)
    there = next(path for path in (args.out.absolute(), *args.out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(f"cannot write to {args.out}: {there} is no folder that can be written to.")


def named(word: str) -> Any:
    """The recipe that a word of the command line stands for, and the name that its runs get."""
    from cutmix.recipes import kinds
    from cutmix.recipes.plan import Named

    path = Path(word)
    if path.is_file():
        own = path.parent.resolve().name if path.name == "recipe.json" else path.stem
        return Named(own, word, kinds.read(path))
    return Named(word, word, kinds.find(word))


def print_comparison(args: argparse.Namespace, folders: list[Path], compared: Any = ()) -> None:
    from cutmix.recipes.kinds import completed
    from cutmix.recipes.transfer_claims import paper_numbers
    from cutmix.report import write_comparison
    from cutmix.runs import find_runs

    text = write_comparison(
        find_runs(folders),
        args.out,
        args.title,
        [shlex.join(["cutmix", *sys.argv[1:]])],
        baseline=args.baseline,
        compared=compared,
        completed=completed,
        paper=paper_numbers,
    )
    print(text)
    print(f"{args.out}: report.html, compare.txt, .csv, .json, .md, learning_curves.png, results.jsonl")
