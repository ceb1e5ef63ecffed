"""The transfer loop: it learns, resumes to the last bit, and leaves what a run leaves."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from cutmix.cli import main
from cutmix.data import load_boxes
from cutmix.errors import CutmixError, UsageError
from cutmix.recipes import start_transfer
from cutmix.recipes.start_transfer import load_transferred, transfer
from cutmix.recipes.transfer_recipe import TransferRecipe
from cutmix.training.checkpoint import load_checkpoint
from cutmix.training.interrupt import Interrupted
from cutmix.training.loop import make_accelerator
from cutmix.training.schedules import Constant
from cutmix.transfer.backbone import Pretrained
from cutmix.transfer.fit import fit_transfer, split_batch
from cutmix.transfer.ssd import SSD
from cutmix.transfer.task import PictureBatch

TASKS = {
    "ssd": "SSD(size=64, norm='trained')",
    "faster_rcnn": "FasterRCNN(size=48, max_size=64, proposals=(20, 10), roi_batch=8, norm='trained')",
}
MEAN_STD = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture(autouse=True)
def _tiny_backbone(monkeypatch, pretrained, tiny_net):
    """The tiny network for every backbone that is asked for."""
    made = lambda *args: Pretrained(tiny_net(), pretrained.mean, pretrained.std, "tiny")  # noqa: E731
    monkeypatch.setattr(start_transfer, "load_backbone", made)


def recipe(data: Path, task: str = "ssd", **changes) -> TransferRecipe:
    settings = {"epochs": 2, "batch_size": 3, "lr": 0.005, "nesterov": False, "schedule": "Cosine(warmup=1)"}
    return TransferRecipe(task=TASKS[task], data=f"voc:{data}", backbone="tiny").but(**{**settings, **changes})


@pytest.mark.parametrize(
    ("task", "changes"),
    [("ssd", {"ema": 0.5}), ("ssd", {"optimizer": "Adam", "accumulation": 2, "lr": 1e-3}), ("faster_rcnn", {})],
)
def test_stopped_within_an_epoch_and_resumed_to_the_last_bit(tiny_voc, tmp_path, task, changes, stop_at, assert_same):
    wanted = recipe(tiny_voc, task, **changes)
    transfer(wanted, name="whole", runs=tmp_path, cpu=True, workers=0)
    with pytest.raises(Interrupted, match=f"go on with: cutmix transfer {tmp_path}/stopped --resume"):
        transfer(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, display=stop_at(1, 0))
    position = load_checkpoint(tmp_path / "stopped" / "last.pth.tar")["cutmix"]["run"]
    assert (position["epoch"], position["step"]) == (1, 1)
    transfer(wanted, name="stopped", runs=tmp_path, cpu=True, workers=0, resume=True)
    for name in ("last.pth.tar", "best.pth.tar"):
        assert_same(load_checkpoint(tmp_path / "whole" / name), load_checkpoint(tmp_path / "stopped" / name))


def test_what_a_transfer_leaves_and_its_use(tiny_voc, tmp_path, capsys):
    """The command line from end to end; then what it found in a picture."""
    words = [
        "transfer",
        "ssd",
        "--data",
        f"voc:{tiny_voc}",
        "--backbone",
        "tiny",
        "--task",
        TASKS["ssd"],
        "--lr",
        "0.005",
    ]
    flags = [
        "--epochs",
        "3",
        "--test-every",
        "2",
        "--batch-size",
        "4",
        "--runs",
        str(tmp_path),
        "--cpu",
        "-j",
        "0",
        "-q",
    ]
    assert main([*words, *flags, "--name", "run"]) == 0
    assert "mean_ap after the last epoch (3)" in capsys.readouterr().out
    folder = tmp_path / "run"
    left = {path.name for path in folder.iterdir() if path.name != ".lock"}
    assert left == {
        "recipe.json", "metrics.jsonl", "metrics.csv", "result.json", "test.json", "last.pth.tar", "best.pth.tar",
        "previous.pth.tar", "last.safetensors", "best.safetensors", "curves.png", "first_batch.png", "detections.png",
        "precision_recall.png",
    }  # fmt: skip
    result = json.loads((folder / "result.json").read_text())
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [("mean_ap" in record) for record in history] == [False, True, True]
    assert result["mean_ap_last"] == history[-1]["mean_ap"]
    assert result["mean_ap_best"] == max(history[1]["mean_ap"], history[2]["mean_ap"])
    assert set(result["test"]["per_class"]) == {"blue", "red"}
    assert (result["test_images"], result["train_images"], result["measure"]) == (3, 8, "mean_ap")
    parts = history[0]["train_bbox_regression"] + history[0]["train_classification"]
    assert history[0]["train_loss"] == pytest.approx(parts, rel=1e-5)

    picture = next((tiny_voc / "JPEGImages").iterdir())
    predict = ["--predict", str(picture), str(tmp_path / "run" / "recipe.json"), "--score", "0", "--cpu"]
    assert main(["transfer", str(folder), *predict, "--out", str(tmp_path / "found")]) == 1  # one is no picture
    good, bad = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert Path(good["picture"]).exists()
    assert all(entry["class"] in ("red", "blue") and len(entry["box"]) == 4 for entry in good["found"])
    assert "not a picture" in bad["problem"]
    assert main(["transfer", str(folder), "--predict", str(picture), "--captions", "2", "--cpu"]) == 2
    assert "--captions is not for SSD" in capsys.readouterr().err
    assert main(["test", str(folder)]) == 2
    assert "is a transfer (SSD(" in capsys.readouterr().err
    trained = load_transferred(folder)
    weights = load_checkpoint(folder / "last.pth.tar")["state_dict"]
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, weights[f"module.{name}"]), name


def test_it_learns(tiny_voc, pretrained):
    """The loss of a tiny network on eight pictures falls by a third; the best epoch has the highest mean AP."""
    task, data = SSD(size=64, norm="trained", expand=1.0), load_boxes(f"voc:{tiny_voc}")
    settings = recipe(tiny_voc, epochs=8, batch_size=4, lr=0.01, test_every=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = task.network(pretrained, data)
    state = fit_transfer(
        network, task, data, schedule=Constant(), settings=settings, accelerator=make_accelerator(settings, cpu=True),
        workers=0,
    )  # fmt: skip
    losses = [record["train_loss"] for record in state.history]
    assert losses[-1] < losses[0] * 2 / 3
    assert [("mean_ap" in record) for record in state.history] == [False, False, True, False, False, True, False, True]
    assert state.best["mean_ap"] == max(record.get("mean_ap", -1) for record in state.history)


def test_the_layers_draw_anew_in_each_step_from_the_seed(tiny_voc, pretrained):
    """What torch's generator gives within the network: six numbers in two epochs of three steps, no two the same."""

    def drawn(seed: int) -> list[float]:
        data, settings = load_boxes(f"voc:{tiny_voc}"), recipe(tiny_voc, seed=seed, test_every=2)
        task, found = SSD(size=64), []
        network = task.network(Pretrained(copy.deepcopy(pretrained.network), *MEAN_STD, "tiny"), data)
        network.register_forward_pre_hook(
            lambda module, inputs: found.append(float(torch.rand(1))) if module.training else None
        )
        fit_transfer(network, task, data, schedule=Constant(), settings=settings, workers=0,
                     accelerator=make_accelerator(settings, cpu=True))  # fmt: skip
        return found

    first = drawn(1)
    assert len(set(first)) == 6
    assert drawn(1) == first
    assert not set(drawn(2)) & set(first)


def test_new_layers_follow_from_the_seed(tiny_voc):
    one, same, other = (
        start_transfer.build_transfer(recipe(tiny_voc, seed=seed)).model.state_dict() for seed in (1, 1, 2)
    )
    name = "head.classification_head.module_list.0.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_an_infinite_loss_stops_the_run(tiny_voc, tmp_path):
    with pytest.raises(CutmixError, match="the training loss at step"):
        transfer(recipe(tiny_voc, lr=1e12), name="run", runs=tmp_path, cpu=True, workers=0)


def test_another_recipe_is_refused(tiny_voc, tmp_path, stop_at):
    with pytest.raises(Interrupted):
        transfer(recipe(tiny_voc), name="run", runs=tmp_path, cpu=True, workers=0, display=stop_at(0, 0))
    with pytest.raises(UsageError, match=r"lr: 0.005 -> 0.1\nGo on with its own by: cutmix transfer"):
        transfer(recipe(tiny_voc, lr=0.1), name="run", runs=tmp_path, cpu=True, workers=0, resume=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"task": "SDD()"}, "unknown task 'SDD'. Did you mean 'SSD'"),
     ({"data": "cifar10"}, "voc:PATH or coco:PATH is accepted")],
)  # fmt: skip
def test_what_is_not_possible_is_said_before_training(tiny_voc, tmp_path, changes, said):
    with pytest.raises(UsageError, match=said):
        transfer(recipe(tiny_voc).but(**changes), name="run", runs=tmp_path, cpu=True, workers=0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [(["--best"], "--best goes with --predict IMAGE"),
     (["--score", "0", "--out", "x"], "--out, --score goes with --predict IMAGE"),
     (["--predict", "a.png", "--lr", "0.1", "--resume"], "--lr, --resume is for training")],
)  # fmt: skip
def test_flags_that_nothing_would_come_of_are_refused(flags, said, tmp_path, capsys):
    """``--best`` without ``--predict`` would start a training of its own."""
    assert main(["transfer", str(tmp_path / "run"), *flags]) == 2
    assert said in capsys.readouterr().err


def test_a_batch_in_parts():
    batch = PictureBatch([torch.zeros(1)] * 5, [{}] * 5, list(range(5)), 5)
    assert [part.rows for part in split_batch(batch, 2)] == [[0, 1, 2], [3, 4]]
    assert [part.rows for part in split_batch(batch, 9)] == [[0], [1], [2], [3], [4]]
