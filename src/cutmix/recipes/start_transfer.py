"""Start a transfer: load backbone and data, put the task's network on it, train, write down the result; or use one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import CutmixError, UsageError
from cutmix.recipes import names
from cutmix.recipes.build import (
    LIBRARIES,
    make_model,
    make_regularizer,
    make_schedule,
    model_call,
    seeded_model,
    without_pretrained,
)
from cutmix.recipes.calls import construct, find, parse_call
from cutmix.recipes.start import device_line, finished, run_folder, unused
from cutmix.recipes.transfer_recipe import TransferRecipe
from cutmix.training.display import Console, Display, Silent

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import nn

    from cutmix.training.schedules import Schedule
    from cutmix.transfer.backbone import Pretrained
    from cutmix.transfer.task import Progress, Task, TaskData

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class TransferParts:
    """What a transfer's recipe names, made; ``recipe`` is the same one with nothing left to choose."""

    recipe: TransferRecipe
    task: Task
    data: TaskData
    pretrained: Pretrained
    model: nn.Module
    schedule: Schedule


class TransferConsole(Console):
    """What a transfer shows: as training does, with the numbers of its task."""

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None:
        shown = {k: v for k, v in record.items() if k not in ("epoch", "lr", "seconds", "test_seconds")}
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
        self.say(f"epoch {record['epoch']:>{len(str(epochs))}}/{epochs}  lr {record['lr']:.4g}  {numbers}")


def make_task(text: str) -> Task:
    """The task that a constructor call describes."""
    task: Task = construct(parse_call(text), names.tasks(), "task")
    return task


def load_backbone(source: str, model: str = "", seed: int = 0) -> Pretrained:
    """The classifier to start from, with the mean and std that it was trained with.

    Args:
        source: what ``load_trained`` takes; or a constructor call of a network of ours, whose weights are then drawn
            from ``seed``, as those of a library's network without trained weights are.
        model: the network's constructor call, where a file does not say it.

    Raises:
        UsageError: nothing was named, or there is no such thing.
        CutmixError: weights that are missing, damaged, or of another network.
    """
    from cutmix.data import IMAGENET_MEAN, IMAGENET_STD
    from cutmix.recipes.trained import load_trained
    from cutmix.training.streams import Purpose, seed_layers
    from cutmix.transfer.backbone import Pretrained

    if not source:
        raise UsageError("say what to start from: --backbone CHECKPOINT (a run's folder, a checkpoint, a network)")
    name = parse_call(source).name if not Path(source).exists() and "(" in source else ""
    if name and name.partition(".")[0] not in LIBRARIES:
        call = model_call(source, num_classes=IMAGENET_CLASSES, image_size=224)
        network = seeded_model(call, seed)
        return Pretrained(network, IMAGENET_MEAN, IMAGENET_STD, str(call), str(without_pretrained(call)))
    import torch

    with torch.random.fork_rng(devices=[]):  # a library draws even what it then overwrites
        seed_layers(seed, Purpose.INIT)
        trained = load_trained(source, model=model)
    mean, std = trained.mean or IMAGENET_MEAN, trained.std or IMAGENET_STD
    made_by = str(without_pretrained(parse_call(trained.model_call)))
    return Pretrained(trained.model, mean, std, trained.source, made_by, trained.regularizer)


def kept_backbone(about: Mapping[str, Any]) -> Pretrained | None:
    """The backbone that a transfer's checkpoint tells of, its weights still to be loaded; None if it does not say.

    Args:
        about: what the checkpoint says of itself besides its weights.
    """
    from cutmix.models import regularize
    from cutmix.transfer.backbone import Pretrained

    kept = about.get("backbone") or {"model": ""}
    if not kept["model"]:
        return None
    network = make_model(parse_call(kept["model"]))
    regularize(network, make_regularizer(kept["regularizer"]))
    return Pretrained(network.eval(), tuple(about["mean"]), tuple(about["std"]), **kept)


def build_transfer(
    recipe: TransferRecipe, progress: Progress | None = None, pretrained: Pretrained | None = None
) -> TransferParts:
    """Load the data and the backbone, and make the task's network.

    Args:
        progress: called with (done, all) while the pictures are looked at for the first time.
        pretrained: stands for the recipe's backbone, which is not loaded then.

    Raises:
        UsageError: a name or an argument that there is not, or a backbone that the task cannot use.
        CutmixError: data or weights that are missing or damaged.
    """
    import torch

    from cutmix.training.streams import Purpose, seed_layers
    from cutmix.transfer.fit import OPTIMIZERS, check_settings

    task = make_task(recipe.task)
    schedule = make_schedule(recipe.schedule)
    optimizer = find(recipe.optimizer, dict(zip(OPTIMIZERS, OPTIMIZERS)), "optimizer")
    check_settings(recipe, optimizer)
    if not recipe.data:
        raise UsageError("say what to learn from: --data, e.g. voc:PATH")
    pretrained = pretrained or load_backbone(recipe.backbone, recipe.backbone_model, recipe.seed)
    data = task.load(recipe.data, progress)
    with torch.random.fork_rng(devices=[]):
        seed_layers(recipe.seed, Purpose.INIT, 1)
        model = task.network(pretrained, data)
    complete = recipe.but(task=repr(task), schedule=repr(schedule), optimizer=optimizer)
    return TransferParts(complete, task, data, pretrained, model, schedule)


def transfer(
    recipe: TransferRecipe,
    *,
    name: str = "",
    runs: Path = Path("runs"),
    resume: bool = False,
    workers: int | None = None,
    cpu: bool = False,
    checkpoint_steps: int = 0,
    tensorboard: bool = False,
    display: Display | None = None,
    command: str = "",
    runs_at_once: int = 1,
) -> dict[str, Any]:
    """Fine-tune by ``recipe`` in the folder ``runs/name``; returns the result, as ``result.json`` holds it.

    The arguments are those of :func:`cutmix.recipes.start.train`, and so is what is raised.
    """
    from cutmix.training.loop import make_accelerator
    from cutmix.transfer.fit import fit_transfer
    from cutmix.transfer.run import TransferRun

    accelerator = make_accelerator(recipe, cpu=cpu)
    main = accelerator.is_main_process
    shown: Display = display if display is not None and main else Silent()
    folder = run_folder(runs, name or unused(_stem(recipe), runs, resume))
    with accelerator.main_process_first():
        parts = build_transfer(recipe, shown.looked_at, _resumed_backbone(folder) if resume else None)
    run = TransferRun(
        folder,
        parts.recipe.as_dict(),
        parts.data,
        parts.task,
        pretrained=parts.pretrained,
        arch=parse_call(parts.recipe.task).name.casefold(),
        resume=resume,
        main=main,
        display=shown,
        tensorboard=tensorboard,
        command=command,
        processes=accelerator.num_processes,
        runs_at_once=runs_at_once,
        defaults=TransferRecipe().as_dict(),
    )
    with closing(run):
        shown.introduce(_introduction(parts, folder, accelerator), parts.model, run.arch)
        state = fit_transfer(
            parts.model,
            parts.task,
            parts.data,
            schedule=parts.schedule,
            settings=parts.recipe,
            optimizer=parts.recipe.optimizer,
            accelerator=accelerator,
            keeper=run,
            display=shown,
            workers=workers,
            checkpoint_steps=checkpoint_steps,
        )
        return finished(run, state, accelerator)


def _resumed_backbone(folder: Path) -> Pretrained | None:
    """That of the run to be resumed, whose weights its checkpoint holds; None where there is no such checkpoint yet."""
    import torch

    from cutmix.recipes.trained import read_run

    try:
        _, weights = read_run(folder)
    except CutmixError:  # the run's folder says what is wrong with it
        return None
    with torch.random.fork_rng(devices=[]):
        return kept_backbone(weights.cutmix)


def _introduction(parts: TransferParts, folder: Path, accelerator: Accelerator) -> str:
    data, recipe = parts.data, parts.recipe
    every = sum(p.numel() for p in parts.model.parameters())
    learned = sum(p.numel() for p in parts.model.parameters() if p.requires_grad)
    lines = [
        f"run      {folder}",
        f"data     {data.name}: {len(set(data.train.paths)):,} training and {len(data.test):,} test pictures"
        + (f" ({data.note})" if data.note else ""),
        f"task     {recipe.task}: {every:,} parameters, {learned:,} of them trained",
        f"backbone {parts.pretrained.source}, mean {parts.pretrained.mean}, std {parts.pretrained.std}",
        device_line(accelerator),
    ]
    return "\n".join(lines)


def _stem(recipe: TransferRecipe) -> str:
    """A folder name made of task, backbone, data and seed."""
    source = recipe.backbone.partition("(")[0].rstrip("/")
    known = Path(source).name.partition(".pth")[0]
    if known in ("last", "best", "model_best", "previous"):  # the folder says more than the file
        known = Path(source).parent.name
    data = Path(recipe.data.partition(":")[2]).name
    return "-".join(part for part in (parse_call(recipe.task).name.casefold(), known, data, f"s{recipe.seed}") if part)


@dataclass(frozen=True)
class Transferred:
    """A fine-tuned network, ready for use."""

    network: nn.Module
    task: Task
    classes: tuple[str, ...]


def load_transferred(folder: Path, *, best: bool = False) -> Transferred:
    """The network of a transfer's folder: of its last epoch, or of the best one (chosen on the test set).

    Raises:
        UsageError: the folder holds no transfer, or no checkpoint yet.
        CutmixError: the checkpoint is damaged.
    """
    from dataclasses import make_dataclass

    import torch

    from cutmix.models.checkpoints import load_weights
    from cutmix.recipes.trained import read_run

    path, weights = read_run(folder, best=best)
    about = weights.cutmix
    if "task" not in about:
        raise UsageError(f"{folder} is no transfer; cutmix test and cutmix predict are for classifiers")
    recipe = TransferRecipe().but(**about["recipe"])
    task = make_task(recipe.task)
    classes = tuple(about["classes"])
    with torch.random.fork_rng(devices=[]):
        backbone = kept_backbone(about) or replace(  # transfers did not always say how their backbone is made
            load_backbone(recipe.backbone, recipe.backbone_model, recipe.seed),
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
        )
        network = task.network(backbone, make_dataclass("Known", ["classes", "num_classes"])(classes, len(classes)))
    load_weights(network, weights, source=path)
    return Transferred(network.eval(), task, classes)
