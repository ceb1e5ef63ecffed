"""Transfers in a comparison: planned, refused, done in a process of their own, and once all of it for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.recipes import child, compare, kinds
from cutmix.recipes.compare import Circumstances, Job, Status, prepare
from cutmix.recipes.plan import Named, PlannedRun, parse_variation, plan
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.transfer_recipe import TransferRecipe

BACKBONES = ("ResNet(depth=18, stem='imagenet')", "torchvision.shufflenet_v2_x0_5")


def tiny(data: Path, **changes) -> TransferRecipe:
    settings = {"task": "SSD(size=64, norm='trained')", "backbone": BACKBONES[1], "epochs": 2, "batch_size": 4}
    return TransferRecipe(data=f"voc:{data}", lr=1e-3, **{**settings, **changes})


def planned(data: Path, *vary: str, seeds=(0,), **changes) -> list[PlannedRun]:
    named = Named("boxes", "boxes.json", tiny(data, **changes))
    return plan([named], seeds=seeds, variations=[parse_variation(text) for text in vary])


def test_data_and_network_are_looked_at_and_nothing_is_left_to_choose(tiny_voc, tmp_path):
    runs = tmp_path / "runs"
    asked = planned(tiny_voc, seeds=[0, 3])
    jobs = prepare(asked, runs)
    assert [job.run.recipe.seed for job in jobs] == [0, 3]
    assert "metric='voc07'" in jobs[0].run.recipe.task
    folder = runs / jobs[1].run.name
    folder.mkdir(parents=True)
    kept = {name: value for name, value in jobs[1].run.recipe.as_dict().items() if name != "optimizer"}  # it is older
    (folder / "recipe.json").write_text(json.dumps(kept))
    assert [job.status for job in prepare(asked, runs)] == [Status.MISSING, Status.STARTED]
    (folder / "recipe.json").write_text(json.dumps({**kept, "backbone": "other.pth.tar"}))
    with pytest.raises(UsageError, match="boxes-s3: backbone: 'other.pth.tar' -> 'torchvision.shuffle"):
        prepare(asked, runs)


def test_what_is_not_measured_alike_is_refused_before_anything_runs(tiny_voc, tiny_arrays, tmp_path):
    net = Named("net", "net", Recipe(data=f"arrays:{tiny_arrays}", model="ResNet(depth=8, bottleneck=False)"))
    boxes = Named("boxes", "boxes", tiny(tiny_voc))
    with pytest.raises(UsageError, match=r"top-1 error: net; mean AP \(VOC 2007, 11 points\): boxes\)"):
        prepare(plan([net, boxes], seeds=[0]), tmp_path / "runs")
    with pytest.raises(UsageError, match=r"11 points\): boxes-metric=voc07; mean AP \(VOC 2010, area\): boxes-metric="):
        prepare(planned(tiny_voc, "task.metric=voc07,voc"), tmp_path / "runs")
    with pytest.raises(UsageError, match="say where a transfer's data lie by --data"):
        prepare(planned(tiny_voc), tmp_path / "runs", tmp_path)


def test_a_transfer_is_done_as_a_job_says_and_reports_its_numbers(tiny_voc, tmp_path):
    (prepared,) = prepare(planned(tiny_voc, seeds=[3], epochs=1), tmp_path)
    message = json.loads(json.dumps(compare.job_message(prepared, Circumstances(tmp_path, cpu=True), 2)))
    reporter = child.reporter_of(message["recipe"])
    assert child.reporter_of({"mixing": "CutMix()"}) is child.Reporter
    with (tmp_path / "said").open("w+") as said, (tmp_path / "log").open("w+") as log:
        result = child.run_job(message, reporter(said, log))
        said.seek(0)
        positions = [json.loads(line)["position"] for line in said]
    assert (positions[0], positions[-1]) == (0.5, 1)
    assert (result["runs_at_once"], result["measure"]) == (2, "mean_ap")
    command = "cutmix transfer boxes.json --seed 3"
    assert result["command"] == f"{command} --name boxes-s3 --runs {tmp_path} --cpu"
    assert kinds.read(tmp_path / "boxes-s3" / "recipe.json") == prepared.run.recipe
    line = (tmp_path / "log").read_text().splitlines()[-1]
    assert line.startswith("epoch 1/1")
    assert "mean_ap_voc07" in line


def test_a_run_is_asked_for_by_the_command_of_a_transfer(tiny_voc, tmp_path):
    (run,) = planned(tiny_voc, "backbone=runs/cut-s0", seeds=[1])
    assert run.name == "boxes-backbone=runs_cut-s0-s1"
    words = compare.command(run, Circumstances(tmp_path))
    assert words.startswith("cutmix transfer boxes.json ")
    assert "--backbone runs/cut-s0" in words
    assert "data_root" not in compare.job_message(Job(run, Status.MISSING), Circumstances(tmp_path), 1)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # several processes, each of which imports torch
def test_two_backbones_by_two_seeds_are_run_compared_and_found_done(tiny_voc, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("boxes.json").write_text(json.dumps(tiny(tiny_voc).as_dict()))
    words = ["compare", "boxes.json", "--vary", f"backbone={','.join(BACKBONES)}", "--seeds", "2", "--cpu"]
    assert main([*words, "--epochs", "3", "--test-every", "1", "--jobs", "2"]) == 0
    out, error = capfd.readouterr()
    assert error.count(" % after the last epoch") == error.count(": mean AP ") == 4
    names = [f"boxes-backbone={name}" for name in ("ResNet_depth=18_stem=_imagenet", "torchvision.shufflenet_v2_x0_5")]
    results = [[json.loads(Path(f"runs/{name}-s{seed}/result.json").read_text()) for seed in (0, 1)] for name in names]
    last = [[result["mean_ap_last"] for result in group] for group in results]
    whole = json.loads(Path("comparison/compare.json").read_text())
    assert [row["last"]["values"] for row in whole["rows"]] == last
    assert whole["rows"][1]["difference"]["mean"] == pytest.approx((sum(last[1]) - sum(last[0])) / 2)
    assert all(result["mean_ap_best"] >= result["mean_ap_last"] for group in results for result in group)
    assert "error" not in out
    page = Path("comparison/report.md").read_text()
    assert page.count("_detections.png)") == 2
    before = [Path(f"runs/{names[0]}-s0/result.json").stat().st_mtime_ns]
    assert main([*words, "--epochs", "3", "--test-every", "1"]) == 0
    assert "4 of 4 runs were done already" in capfd.readouterr().err
    assert before == [Path(f"runs/{names[0]}-s0/result.json").stat().st_mtime_ns]
