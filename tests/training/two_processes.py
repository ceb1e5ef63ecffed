"""Run by test_distributed.py under torchrun: trains a network without batch norm, and writes what came out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from cutmix.data import load_data
from cutmix.mixing import NoMixing
from cutmix.recipes import start
from cutmix.recipes.recipe import Recipe
from cutmix.training.display import Silent, StepInfo
from cutmix.training.interrupt import Interrupted
from cutmix.training.loop import fit, make_accelerator
from cutmix.training.schedules import Constant
from cutmix.training.settings import Settings


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def train(folder: Path) -> dict:
    """48 images in batches of 9: steps of 9 and a last one of 3, which two processes split unevenly."""
    torch.set_num_threads(1)
    settings = Settings(epochs=2, batch_size=9, lr=0.1)
    accelerator = make_accelerator(settings, cpu=True)
    model = network()
    state = fit(
        model,
        load_data(f"arrays:{folder}"),
        mixing=NoMixing(),
        schedule=Constant(),
        settings=settings,
        accelerator=accelerator,
    )
    record = {k: v for k, v in state.history[-1].items() if k not in ("seconds", "test_seconds", "images_per_second")}
    weights = accelerator.unwrap_model(state.model).state_dict()
    return {
        "weights": weights,
        "record": record,
        "processes": accelerator.num_processes,
        "main": accelerator.is_main_process,
    }


class StopAt(Silent):
    """Sends SIGTERM to this process, the first of the two, at one step."""

    def wants_step(self, step: int, steps: int) -> bool:
        return True

    def step(self, info: StepInfo) -> None:
        if (info.epoch, info.step) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)


def stop_and_resume(folder: Path, runs: Path) -> None:
    """The same run twice, with batch norm, mixed layers and an average: whole, and stopped and resumed."""
    recipe = Recipe(
        data=f"arrays:{folder}",
        model="ResNet(depth=8, bottleneck=False)",
        mixing="RandomChoice(mixings=(CutMix(prob=0.5), FeatureCutMix(layers=(1, 2, 3))))",
        epochs=2,
        batch_size=10,
        lr=0.05,
        ema=0.8,
    )
    start.train(recipe, name="whole", runs=runs, cpu=True)
    try:
        start.train(recipe, name="stopped", runs=runs, cpu=True, display=StopAt())
    except Interrupted:
        start.train(recipe, name="stopped", runs=runs, cpu=True, resume=True)


if __name__ == "__main__":
    out = train(Path(sys.argv[1]))
    if out["main"]:
        torch.save(out, sys.argv[2])
    stop_and_resume(Path(sys.argv[1]), Path(sys.argv[3]))
    torch.distributed.destroy_process_group()
