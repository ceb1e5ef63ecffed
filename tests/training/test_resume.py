"""A run that was stopped and resumed ends with the weights of one that never stopped, to the last bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train
from cutmix.training.checkpoint import load_checkpoint
from cutmix.training.display import Silent, StepInfo
from cutmix.training.interrupt import Interrupted

TIMES = ("seconds", "test_seconds", "images_per_second")


def recipe(data: Path, **changes) -> Recipe:
    settings = {
        "data": f"arrays:{data}",
        "model": "ResNet(depth=8, bottleneck=False)",
        "mixing": "CutMix(alpha=1.0, prob=0.5, scope='per_sample')",
        "epochs": 4,
        "batch_size": 10,  # 5 steps an epoch, the last one of 8 images
        "lr": 0.05,
        "schedule": "Cosine(warmup=1)",
    }
    return Recipe().but(**{**settings, **changes})


def flags(recipe: Recipe) -> list[str]:
    plain = {"data", "model", "mixing", "epochs", "batch_size", "lr", "schedule", "ema"}
    return [word for name in sorted(plain) for word in (f"--{name.replace('_', '-')}", str(getattr(recipe, name)))]


def assert_same_run(one: Path, other: Path) -> None:
    """All but the times is equal: weights, optimizer, averages, history."""
    assert_same(load_checkpoint(one / "last.pth.tar"), load_checkpoint(other / "last.pth.tar"))
    assert_same(load_checkpoint(one / "best.pth.tar"), load_checkpoint(other / "best.pth.tar"))


def assert_same(one, other, where: str = "checkpoint") -> None:
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            if key not in TIMES:
                assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other)):
            assert_same(a, b, f"{where}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_points_and_resumed(tiny_arrays, tmp_path, seed):
    wanted = recipe(tiny_arrays, epochs=12, ema=0.9 if seed == 2 else 0.0)
    script = Path(__file__).with_name("kill_and_resume.py")
    arguments = ["train", "--runs", str(tmp_path), "--checkpoint-steps", "2", "--quiet", "--cpu", *flags(wanted)]
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(seed), "4", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout.splitlines()[-1])
    states = [tuple(state) for state in story["resumed_at"]]
    assert len(set(states)) == 4, states
    assert any(step for _, step in states), states  # at least one of them within an epoch
    assert states[-1] < (12, 0)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


class StopAt(Silent):
    """Sends a signal to this process at one step."""

    def __init__(self, epoch: int, step: int, signum: int) -> None:
        self.at, self.signum = (epoch, step), signum

    def wants_step(self, step: int, steps: int) -> bool:
        return True

    def step(self, info: StepInfo) -> None:
        if (info.epoch, info.step) == self.at:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize(
    ("epoch", "step", "signum"), [(0, 0, signal.SIGTERM), (1, 3, signal.SIGINT), (2, 4, signal.SIGTERM)]
)
def test_signals_save_and_say_how_to_go_on(tiny_arrays, tmp_path, epoch, step, signum):
    wanted = recipe(tiny_arrays, ema=0.0 if epoch == 0 else 0.9)
    train(wanted, name="whole", runs=tmp_path, cpu=True)
    with pytest.raises(Interrupted, match=f"go on with: cutmix train {tmp_path}/stopped --resume") as stopped:
        train(wanted, name="stopped", runs=tmp_path, cpu=True, display=StopAt(epoch, step, signum))
    assert stopped.value.signum == signum
    position = load_checkpoint(tmp_path / "stopped" / "last.pth.tar")["cutmix"]["run"]
    assert (position["epoch"], position["step"]) == ((epoch, step + 1) if step < 4 else (epoch + 1, 0))
    train(wanted, name="stopped", runs=tmp_path, cpu=True, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.0, "nesterov": False},
        {"accumulation": 3, "clip_norm": 0.5, "channels_last": False},
        {"amp": "bf16", "ema": 0.7, "mixing": "MixUp(prob=0.6)"},
        {"head_lr": 7.0, "schedule": "Every(epochs=1)"},
    ],
)
def test_every_kind_of_training_resumes(tiny_arrays, tmp_path, changes):
    wanted = recipe(tiny_arrays, epochs=2, **changes)
    train(wanted, name="whole", runs=tmp_path, cpu=True)
    with pytest.raises(Interrupted):
        train(wanted, name="stopped", runs=tmp_path, cpu=True, display=StopAt(1, 2, signal.SIGTERM))
    train(wanted, name="stopped", runs=tmp_path, cpu=True, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_damaged_last_checkpoint_is_passed_over(tiny_arrays, tmp_path):
    wanted = recipe(tiny_arrays, epochs=3)
    train(wanted, name="whole", runs=tmp_path, cpu=True)
    with pytest.raises(Interrupted):
        train(wanted, name="hurt", runs=tmp_path, cpu=True, display=StopAt(2, 1, signal.SIGTERM))
    last = tmp_path / "hurt" / "last.pth.tar"
    last.write_bytes(last.read_bytes()[:1000])
    train(wanted, name="hurt", runs=tmp_path, cpu=True, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "hurt")


def test_resuming_a_finished_run_changes_nothing(tiny_arrays, tmp_path):
    wanted = recipe(tiny_arrays, epochs=2)
    first = train(wanted, name="run", runs=tmp_path, cpu=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    again = train(wanted, name="run", runs=tmp_path, cpu=True, resume=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert again == first


def test_a_run_killed_before_its_result_was_written_gets_it(tiny_arrays, tmp_path):
    wanted = recipe(tiny_arrays, epochs=2)
    first = train(wanted, name="run", runs=tmp_path, cpu=True)
    for name in ("result.json", "metrics.jsonl", "metrics.csv", "last.safetensors", "curves.png"):
        (tmp_path / "run" / name).unlink()
    assert train(wanted, name="run", runs=tmp_path, cpu=True, resume=True) == first
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_another_recipe_is_refused_with_a_readable_difference(tiny_arrays, tmp_path):
    train(recipe(tiny_arrays, epochs=1), name="run", runs=tmp_path, cpu=True)
    with pytest.raises(UsageError, match=r"lr: 0\.05 -> 0\.1\n  seed: 0 -> 3"):
        train(recipe(tiny_arrays, epochs=1, lr=0.1, seed=3), name="run", runs=tmp_path, cpu=True, resume=True)


def test_a_run_is_not_overwritten(tiny_arrays, tmp_path):
    train(recipe(tiny_arrays, epochs=1), name="run", runs=tmp_path, cpu=True)
    with pytest.raises(UsageError, match="holds a run already. Add --resume"):
        train(recipe(tiny_arrays, epochs=1), name="run", runs=tmp_path, cpu=True)


def test_other_data_is_refused(tiny_arrays, tmp_path):
    import numpy as np

    wanted = recipe(tiny_arrays)
    with pytest.raises(Interrupted):
        train(wanted, name="run", runs=tmp_path, cpu=True, display=StopAt(0, 2, signal.SIGTERM))
    with np.load(tiny_arrays / "train.npz") as old:
        fewer = {name: old[name][:45] if name != "classes" else old[name] for name in old.files}
    np.savez(tiny_arrays / "train.npz", **fewer)
    with pytest.raises(UsageError, match="its train images was 48, is 45"):
        train(wanted, name="run", runs=tmp_path, cpu=True, resume=True)


def test_the_folder_alone_resumes(tiny_arrays, tmp_path, capsys):
    with pytest.raises(Interrupted):
        train(recipe(tiny_arrays), name="run", runs=tmp_path, cpu=True, display=StopAt(1, 1, signal.SIGTERM))
    assert main(["train", str(tmp_path / "run"), "--resume", "--cpu", "--quiet"]) == 0
    assert "after the last epoch (4)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "regularizer", ["ShakeDrop()", "DropBlock(block_size=2, keep_prob=0.7)", "StochasticDepth(scope='per_sample')"]
)
def test_a_run_with_layer_noise_and_a_policy_resumes(tiny_arrays, tmp_path, regularizer):
    augment = "CropFlip(padding=1, policy=TrivialAugment())"
    wanted = recipe(tiny_arrays, epochs=2, regularizer=regularizer, augment=augment)
    train(wanted, name="whole", runs=tmp_path, cpu=True, workers=0)
    with pytest.raises(Interrupted):
        train(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, display=StopAt(1, 2, signal.SIGTERM))
    train(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_a_run_of_before_a_setting_was_there_resumes_at_its_default(tiny_arrays, tmp_path):
    with pytest.raises(Interrupted):
        train(recipe(tiny_arrays, epochs=2), name="run", runs=tmp_path, cpu=True, display=StopAt(0, 2, signal.SIGTERM))
    file = tmp_path / "run" / "recipe.json"
    older = json.loads(file.read_text())
    assert older.pop("regularizer") == "NoRegularizer()"
    file.write_text(json.dumps(older))
    with pytest.raises(UsageError, match=r"regularizer: 'NoRegularizer\(\)' -> .ShakeDrop\(last=0\.5, "):
        train(
            recipe(tiny_arrays, epochs=2, regularizer="ShakeDrop()"), name="run", runs=tmp_path, cpu=True, resume=True
        )
    assert train(Recipe.read(tmp_path / "run"), name="run", runs=tmp_path, cpu=True, resume=True)["epochs"] == 2
