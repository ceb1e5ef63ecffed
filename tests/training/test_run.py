"""What a run's folder holds besides its checkpoints."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import suppress

import pytest
import torch

from cutmix.data import load_data
from cutmix.errors import CutmixError, UsageError
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.start import train
from cutmix.training.checkpoint import load_checkpoint
from cutmix.training.loop import make_accelerator
from cutmix.training.run import Run, differences
from cutmix.training.settings import Settings
from cutmix.training.state import State


def recipe(data, **changes) -> Recipe:
    small = Recipe(data=f"arrays:{data}", model="ResNet(depth=8, bottleneck=False)", epochs=2, batch_size=16, lr=0.05)
    return small.but(**changes)


def test_tensorboard_events(tiny_arrays, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(recipe(tiny_arrays), name="run", runs=tmp_path, cpu=True, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    metrics = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    scalars = events.Scalars("test_error_top1")
    assert [event.step for event in scalars] == [1, 2]
    assert [event.value for event in scalars] == pytest.approx([m["test_error_top1"] for m in metrics], rel=1e-5)


def test_without_the_extra_tensorboard_is_refused_before_training(tiny_arrays, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"pip install 'cutmix\[tensorboard\]'"):
        train(recipe(tiny_arrays), name="run", runs=tmp_path, cpu=True, tensorboard=True)


def test_metrics_as_a_table(tiny_arrays, tmp_path):
    train(recipe(tiny_arrays), name="run", runs=tmp_path, cpu=True)
    header, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert header.split(",")[:4] == ["epoch", "lr", "train_loss", "train_error"]
    assert [row.split(",")[0] for row in rows] == ["1", "2"]


def test_a_folder_that_cannot_be_made_is_named(tiny_arrays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CutmixError, match="cannot make the run's folder"):
        train(recipe(tiny_arrays), name="run", runs=tmp_path / "file", cpu=True)


def test_the_moving_average_is_what_is_kept_and_tested(tiny_arrays, tmp_path):
    from cutmix.recipes.trained import load_trained, test_trained

    test_trained.__test__ = False  # type: ignore[attr-defined]
    result = train(recipe(tiny_arrays, ema=0.8), name="run", runs=tmp_path, cpu=True)
    checkpoint = load_checkpoint(tmp_path / "run" / "last.pth.tar")
    raw = checkpoint["cutmix"]["run"]["weights"]
    kept = {name.removeprefix("module."): tensor for name, tensor in checkpoint["state_dict"].items()}
    assert list(raw) == list(kept)
    assert not torch.equal(raw["fc.weight"], kept["fc.weight"])
    tested = test_trained(load_trained(str(tmp_path / "run")), cpu=True)
    assert tested.top1 == pytest.approx(result["test_error_top1_last"], abs=1e-4)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert tested.loss == pytest.approx(last["test_loss"], rel=1e-4)


def test_the_best_checkpoint_is_the_best_epochs(tiny_arrays, tmp_path):
    model = torch.nn.Linear(2, 2)
    run = Run(tmp_path / "run", recipe(tiny_arrays).as_dict(), load_data(f"arrays:{tiny_arrays}"), arch="linear")
    state = State(model, torch.optim.SGD(model.parameters(), 0.1), None)
    for epoch, error in enumerate([9.0, 3.5, 4.0, 3.5, 8.0], 1):
        state.epoch = epoch
        state.history.append({"epoch": epoch, "test_error_top1": error, "test_error_top5": error / 2})
        run.save(state, make_accelerator(Settings(), cpu=True))
    best, last = (load_checkpoint(tmp_path / "run" / name) for name in ("best.pth.tar", "last.pth.tar"))
    assert (best["epoch"], best["best_err1"], best["best_err5"]) == (3, 3.5, 1.75)  # counted from 0; ties replace
    assert (last["epoch"], last["best_err1"]) == (4, 3.5)


def test_differences_are_lines():
    assert differences({"lr": 0.1, "seed": 0, "old": 1}, {"lr": 0.2, "seed": 0, "new": 2}) == [
        "lr: 0.1 -> 0.2",
        "old: 1 -> '(not set)'",
        "new: '(not set)' -> 2",
    ]


def test_epochs_that_were_not_tested_leave_empty_cells_and_a_run_resumes(tiny_arrays, tmp_path):
    seldom = recipe(tiny_arrays, epochs=3, test_every=2)
    result = train(seldom, name="run", runs=tmp_path, cpu=True)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["test_error_top1"]) for row in rows] == [False, True, True]
    assert result["best_epoch"] in (2, 3)
    assert train(seldom, name="run", runs=tmp_path, cpu=True, resume=True) == result


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_another_process_trains_in_is_refused_and_left_alone(
    tiny_arrays, tmp_path, elsewhere_locked, resume
):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".last.pth.tar.7.8.tmp").write_bytes(b"that process is writing this")
    with elsewhere_locked(folder / ".lock"):
        with pytest.raises(UsageError, match=f"another process trains in {folder}: wait until"):
            train(recipe(tiny_arrays), name="run", runs=tmp_path, cpu=True, resume=resume)
        assert sorted(path.name for path in folder.iterdir()) == [".last.pth.tar.7.8.tmp", ".lock"]


@pytest.mark.parametrize("changes", [{"epochs": 1}, {"lr": 1e30}])
def test_the_folder_is_let_go_of_however_the_run_went(tiny_arrays, tmp_path, elsewhere_locked, changes):
    with suppress(CutmixError):
        train(recipe(tiny_arrays, **changes), name="run", runs=tmp_path, cpu=True)
    with elsewhere_locked(tmp_path / "run" / ".lock"):  # which waits for it
        pass
    with pytest.raises(UsageError, match="holds a run already"):
        train(recipe(tiny_arrays, **changes), name="run", runs=tmp_path, cpu=True)
    with elsewhere_locked(tmp_path / "run" / ".lock"):
        pass
