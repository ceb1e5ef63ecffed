"""Start a run: make what its recipe names, open its folder, train, and write down the result."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.recipes.build import Parts, build
from cutmix.recipes.calls import parse_call
from cutmix.recipes.recipe import Recipe
from cutmix.training.display import Display, Silent

if TYPE_CHECKING:
    from accelerate import Accelerator

    from cutmix.training.run import Run
    from cutmix.training.state import State


def train(
    recipe: Recipe,
    *,
    name: str = "",
    runs: Path = Path("runs"),
    data_root: Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    cpu: bool = False,
    checkpoint_steps: int = 0,
    tensorboard: bool = False,
    display: Display | None = None,
    command: str = "",
    runs_at_once: int = 1,
) -> dict[str, Any]:
    """Train by ``recipe`` in the folder ``runs/name``; returns the run's result, as ``result.json`` holds it.

    Args:
        name: the run's folder; empty for one made of data, network, mixing, layer noise and seed, with a number if
            it is taken.
        data_root: where data sets lie; None for ``CUTMIX_DATA`` or the user's cache.
        resume: go on with the run in that folder.
        workers: processes that decode photos; None chooses.
        cpu: use the CPU even where there is a GPU.
        checkpoint_steps: also keep the state every so many steps within an epoch.
        tensorboard: also write TensorBoard events.
        command: how the run was started, for its result.
        runs_at_once: how many runs share the machine, for its result.

    Raises:
        UsageError: a setting that is not possible, or a folder that holds another run.
        CutmixError: data or checkpoints that are missing or damaged, a loss that is no number, a full disk.
        Interrupted: the run was asked to stop and has kept its state.
    """
    from cutmix.training.loop import fit, make_accelerator
    from cutmix.training.run import Run

    accelerator = make_accelerator(recipe, cpu=cpu)
    main = accelerator.is_main_process
    shown: Display = display if display is not None and main else Silent()
    with accelerator.main_process_first():  # so that a download happens once
        parts = build(recipe, data_root, shown.looked_at)
    folder = run_folder(runs, name or unused(stem(parts.recipe), runs, resume))
    arch = parse_call(parts.recipe.model).name.casefold()
    run = Run(
        folder,
        parts.recipe.as_dict(),
        parts.data,
        arch=arch,
        resume=resume,
        main=main,
        display=shown,
        tensorboard=tensorboard,
        command=command,
        defaults=Recipe().as_dict(),
        processes=accelerator.num_processes,
        runs_at_once=runs_at_once,
    )
    with closing(run):
        shown.introduce(introduction(parts, folder, accelerator), parts.model, arch)
        state = fit(
            parts.model,
            parts.data,
            mixing=parts.mixing,
            schedule=parts.schedule,
            settings=parts.recipe,
            accelerator=accelerator,
            augment=parts.augment,
            keeper=run,
            display=shown,
            workers=workers,
            checkpoint_steps=checkpoint_steps,
        )
        return finished(run, state, accelerator)


def run_folder(runs: Path, name: str) -> Path:
    """The folder ``runs/name`` that the first process chose: two must not choose two names."""
    from accelerate.utils import broadcast_object_list

    folder = [runs / name]
    broadcast_object_list(folder)
    return folder[0]


def unused(stem: str, runs: Path, resume: bool) -> str:
    """The name ``stem``; with a number behind it if there is such a run in ``runs``, and it is not to be resumed."""
    if resume or not (runs / stem).exists():
        return stem
    return next(name for number in range(2, 10**6) if not (runs / (name := f"{stem}-{number}")).exists())


def finished(run: Run, state: State, accelerator: Accelerator) -> dict[str, Any]:
    """Write down the result of a run that has been trained; returns it, with the run's folder."""
    from cutmix.results import code_version, describe_machine

    result = run.finish(state, device=describe_machine(str(accelerator.device)), version=code_version())
    return {**result, "folder": str(run.folder)}


def introduction(parts: Parts, folder: Path, accelerator: Accelerator) -> str:
    """A few lines that say what is about to happen."""
    data, recipe = parts.data, parts.recipe
    weights = sum(p.numel() for p in parts.model.parameters())
    lines = [
        f"run      {folder}",
        f"data     {data.name}: {len(data.train):,} training and {len(data.test):,} test images, "
        f"{data.num_classes} classes, {data.image_size} px" + (f" ({data.note})" if data.note else ""),
        f"network  {recipe.model}: {weights:,} parameters",
        f"mixing   {recipe.mixing}",
        f"layers   {recipe.regularizer}",
        f"augment  {recipe.augment}",
        device_line(accelerator),
    ]
    return "\n".join(lines)


def device_line(accelerator: Accelerator) -> str:
    """The line of an introduction that says on what is trained."""
    count = accelerator.num_processes
    return f"device   {accelerator.device}" + (f", {count} processes" if count > 1 else "")


def stem(recipe: Recipe) -> str:
    """A folder name made of data, network, mixing, layer noise and seed."""
    parts = [recipe.data.partition(":")[0], Path(recipe.data.partition(":")[2]).name]
    noise = short(recipe.regularizer).removeprefix("noregularizer")
    parts += [short(recipe.model), short(recipe.mixing), noise, f"s{recipe.seed}"]
    return "-".join(part for part in parts if part)


def short(text: str) -> str:
    """A constructor call as a part of a folder's name: its name and its depth, in lower case."""
    call = parse_call(text)
    return call.name.rpartition(".")[2].casefold() + str(call.kwargs.get("depth", ""))
