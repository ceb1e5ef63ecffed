"""``cutmix evaluate`` from end to end: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from cutmix.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, made by the command itself."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "tiny").mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 24), ("test", 18)):
        labels = np.arange(n) % 6
        images = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
        np.savez(folder / "tiny" / f"{split}.npz", images=images, labels=labels, classes=np.array(list("abcdef")))
    flags = ["--model", "ResNet(depth=8, bottleneck=False)", "--epochs", "1", "--batch-size", "12", "--cpu"]
    code = main(["train", "--data", f"arrays:{folder / 'tiny'}", *flags, "--runs", str(folder), "--name", "net"])
    assert code == 0
    return folder / "net"


def test_it_prints_the_headline_and_writes_json_and_page(run, tmp_path, capsys):
    arguments = ["--only", "accuracy,calibration,ood(train_images=8)", "--out-sets", "uniform", "bare=gaussian"]
    code = main(["evaluate", str(run), *arguments, "--out", str(tmp_path / "out"), "--cpu", "--title", "Six letters"])
    printed = capsys.readouterr()
    assert code == 0
    assert "net on tiny (n = 18 test images)" in printed.out
    assert "  accuracy/top1: " in printed.out
    assert "  missing: ood/knn: the score knn: the 50-th nearest of 8 training images was asked for." in printed.out
    assert printed.out.rstrip().endswith(str(tmp_path / "out" / "evaluation.html"))
    assert "net: ood: " in printed.err
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert "ood/bare/mahalanobis/auroc" in found["networks"][0]["values"]
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "<h1>Six letters</h1>" in page
    assert "Missing: ood/knn" in page
    assert main(["evaluate", str(run), *arguments, "--out", str(tmp_path / "out"), "--cpu"]) == 0
    assert "net: ood: " not in capsys.readouterr().err  # nothing was asked again


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "papers"], "Did you mean 'paper'"),
        (["--only", "accurcy"], "Did you mean 'accuracy'"),
        (["--only", "ood", "--out-sets", "cifr10"], "Did you mean 'cifar10'"),
        (["--data", "digits"], "tells 6 classes apart, digits has 10"),
        (["--limit", "0", "--only", "accuracy"], "limit is 0"),
    ],
)
def test_what_it_refuses(run, tmp_path, capsys, arguments, message):
    assert main(["evaluate", str(run), *arguments, "--out", str(tmp_path / "out"), "--cpu"]) == 2
    assert message in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]) == 2
    assert "there is no checkpoint or run folder" in capsys.readouterr().err


def test_the_questions_are_listed(capsys):
    assert main(["list", "questions"]) == 0
    assert re.search(r"\n  calibration +Calibration\(bins=15, held_out=0.2\)  ", capsys.readouterr().out)
