"""The command line as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cutmix.cli import main, make_parser

COMMANDS = (
    "train",
    "compare",
    "test",
    "evaluate",
    "predict",
    "look",
    "boxes",
    "transfer",
    "preview",
    "report",
    "list",
    "data",
)
TINY = "--model ResNet(depth=8,bottleneck=False) --epochs 2 --batch-size 16 --lr 0.05 --cpu --quiet"


@pytest.fixture
def run(tiny_arrays, tmp_path, capsys) -> Path:
    """A finished run."""
    assert (
        main(["train", "--data", f"arrays:{tiny_arrays}", *TINY.split(), "--runs", str(tmp_path), "--name", "run"]) == 0
    )
    capsys.readouterr()
    return tmp_path / "run"


def test_help_of_everything_loads_no_torch():
    """In a fresh interpreter, so that what other tests imported does not count."""
    program = f"""
import sys
from cutmix.cli import main
for words in [[]] + [[command] for command in {COMMANDS!r}] + [["data", "check"]]:
    try:
        main([*words, "--help"])
    except SystemExit as done:
        assert done.code == 0, words
heavy = {{"torch", "numpy", "torchvision", "PIL", "matplotlib", "accelerate", "sklearn", "timm"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert f"usage: cutmix {command}" in done.stdout


def test_every_command_has_a_summary_and_an_example():
    _, commands = make_parser()
    assert tuple(commands) == COMMANDS
    for name, parser in commands.items():
        assert parser.description
        assert f"cutmix {name}" in parser.description


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "--epoch", "3"], "unknown argument --epoch. Did you mean '--epochs'?"),
        (["train", "--epochs", "many"], "invalid int value: 'many'"),
        (["list", "recipe"], "Did you mean 'recipes'?"),
    ],
)
def test_wrong_words_get_the_nearest_ones(capsys, words, said):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train"], "say what to train"),
        (["train", "--resume", "--name", "typo"], "typo"),
        (["train", "--data", "digits", "--checkpoint-steps", "-3"], "--checkpoint-steps must not be negative, got -3"),
        (["train", "small.digit"], "Did you mean 'small.digits'?"),
        (["train", "--data", "digits", "--mixing", "CutMax"], "unknown mixing 'CutMax'. Did you mean 'CutMix'?"),
        (["train", "--data", "digits", "--mixing", "CutMix(alpah=1)"], "Did you mean 'alpha'?"),
        (["train", "--data", "digits", "--mixing", "CutMix(alpha=-1)"], "alpha"),
        (["train", "--data", "digits", "--model", "ResNeet"], "Did you mean 'ResNet'?"),
        (["train", "--data", "digits", "--model", "ResNet(depth=3)"], "depth"),
        (["train", "--data", "digits", "--schedule", "Cosin"], "Did you mean 'Cosine'?"),
        (["train", "--data", "digits", "--lr", "-1"], "lr must be positive and finite, got -1.0"),
        (["train", "--data", "digitz"], "Did you mean 'digits'?"),
        (["test", "nowhere.pth.tar"], "there is no checkpoint or run folder nowhere.pth.tar"),
        (["predict", "--checkpoint", "nowhere", "a.png"], "there is no checkpoint"),
        (["preview", "digits", "--images", "0"], "at least 1 image"),
        (["preview", "digits", "--mixing", "Mixup("], "cannot read 'Mixup('"),
    ],
)
def test_misuse_is_one_clear_error_and_exit_code_2(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_missing_data_is_a_failure_and_exit_code_1(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "folder:nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert main(["train", "--data", "imagenet", "--data-root", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="CutMax"):
        main(["train", "--data", "digits", "--mixing", "CutMax", "--debug"])


def test_a_run_leaves_its_whole_story(run):
    for name in (
        "recipe.json",
        "metrics.jsonl",
        "metrics.csv",
        "last.pth.tar",
        "best.pth.tar",
        "last.safetensors",
        "best.safetensors",
        "result.json",
        "first_batch.png",
        "curves.png",
    ):
        assert (run / name).stat().st_size > 0, name
    assert not [p.name for p in run.iterdir() if p.name.endswith(".tmp")]
    recipe = json.loads((run / "recipe.json").read_text())
    assert recipe["model"] == "ResNet(depth=8, bottleneck=False, num_classes=3, stem='cifar')"
    assert recipe["mixing"].startswith("CutMix(alpha=1.0, prob=0.5")
    assert recipe["augment"] == "CropFlip(padding=1, flip=True)"
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    result = json.loads((run / "result.json").read_text())
    assert result["test_error_top1_last"] == records[-1]["test_error_top1"]
    assert result["test_error_top1_best"] == min(record["test_error_top1"] for record in records)
    assert result["best_is"] == "chosen on the test set"
    assert result["test_images"] == 18


def test_the_recipe_file_repeats_the_run(run, tmp_path, capsys):
    assert (
        main(["train", str(run / "recipe.json"), "--runs", str(tmp_path), "--name", "again", "--cpu", "--quiet"]) == 0
    )
    once, again = (
        [
            {k: v for k, v in json.loads(line).items() if k not in ("seconds", "test_seconds", "images_per_second")}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("run", "again")
    )
    assert once == again


def test_the_last_epoch_is_reported_first_and_the_best_named_for_what_it_is(tiny_arrays, tmp_path, capsys):
    assert main(["train", "--data", f"arrays:{tiny_arrays}", *TINY.split(), "--runs", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.index("after the last epoch (2)") < out.index("chosen on the test set")
    assert (tmp_path / "arrays-tiny-resnet8-cutmix-s0").is_dir()
    assert main(["train", "--data", f"arrays:{tiny_arrays}", *TINY.split(), "--runs", str(tmp_path)]) == 0
    assert (tmp_path / "arrays-tiny-resnet8-cutmix-s0-2").is_dir()


def test_testing_a_run_gives_its_own_error(run, capsys):
    for flags, key in ((["--best"], "test_error_top1_best"), ([], "test_error_top1_last")):
        assert main(["test", str(run), *flags, "--json", "--cpu", "--batch-size", "5"]) == 0
        tested = json.loads(capsys.readouterr().out)
        result = json.loads((run / "result.json").read_text())
        assert tested["test_error_top1"] == pytest.approx(result[key], abs=1e-4)
        assert tested["n"] == 18


def test_the_plain_weights_are_tested_as_well(run, capsys):
    assert main(["test", str(run / "last.safetensors"), "--json", "--cpu"]) == 0
    tested = json.loads(capsys.readouterr().out)
    last = json.loads((run / "result.json").read_text())["test_error_top1_last"]
    assert tested["test_error_top1"] == pytest.approx(last, abs=1e-4)


def test_data_with_other_classes_is_refused(run, tmp_path, capsys):
    assert main(["test", str(run), "--data", "digits", "--cpu"]) == 2
    assert "tells 3 classes apart, digits has 10" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    images, labels = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8), np.arange(6) % 3
    for split in ("train", "test"):
        np.savez(other / f"{split}.npz", images=images, labels=labels, classes=np.array(["red", "blue", "green"]))
    assert main(["test", str(run), "--data", f"arrays:{other}", "--cpu"]) == 2
    assert "class 1 is 'blue', the network's is 'green'" in capsys.readouterr().err


def test_predicting_pictures(run, tmp_path, capsys):
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(pictures / "a.png")
    (pictures / "b.jpg").write_text("not a picture")
    code = main(
        ["predict", "-c", str(run), str(pictures), "--top", "2", "--json", "--cam", str(tmp_path / "cam"), "--cpu"]
    )
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert code == 1  # one of them could not be read; the other one was
    assert [guess["class"] for guess in first["classes"]] != []
    assert len(first["classes"]) == 2
    assert first["classes"][0]["probability"] >= first["classes"][1]["probability"]
    assert Path(first["picture"]).stat().st_size > 0
    assert "b.jpg" in second["problem"]


def test_a_preview_cuts_out_half_the_side_unless_told_otherwise(tmp_path, monkeypatch):
    """On 8-pixel digits the 16 pixels of CIFAR would leave nothing to see."""
    from cutmix import pictures

    drawn = []
    monkeypatch.setattr(pictures, "methods_picture", lambda rows, path: drawn.extend(rows))
    assert main(["preview", "digits", "--out", str(tmp_path / "p.png")]) == 0
    assert [name for name, _, _ in drawn] == ["original", "MixUp", "Cutout(size=4)", "CutMix"]
    (_, before, _), (_, after, _) = drawn[0], drawn[2]
    erased = (before != after).any(-1).sum((1, 2))
    assert (erased > 0).all()
    assert (erased <= 16).all()


def test_preview_draws_every_method(tmp_path, capsys):
    out = tmp_path / "p.png"
    assert main(["preview", "digits", "--images", "5", "--out", str(out)]) == 0
    from PIL import Image

    with Image.open(out) as picture:
        assert min(picture.size) > 200


def test_a_report_on_runs(run, tmp_path, capsys):
    assert main(["report", str(run), "--out", str(tmp_path / "report")]) == 0
    page, text = (Path(line) for line in capsys.readouterr().out.splitlines())
    assert "http" not in page.read_text().replace("http://www.w3.org", "")  # opens offline
    assert "chosen on the test set" in text.read_text()


def test_lists(capsys, tmp_path):
    assert main(["list", "--data-root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for text in ("small.digits", "CutMix(alpha=1.0", "ShakeDrop(last=0.5", "PyramidNet(depth=", "cifar100"):
        assert text in out


def test_data_check_counts_and_names_bad_files(tmp_path, capsys):
    from PIL import Image

    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (80, 70), (number * 40, 9, 9)).save(tmp_path / "photos" / name / f"{number}.png")
    assert main(["data", "check", f"folder:{tmp_path / 'photos'}"]) == 0
    capsys.readouterr()
    (tmp_path / "photos" / "cat" / "broken.jpg").write_text("no picture")
    assert main(["data", "check", f"folder:{tmp_path / 'photos'}"]) == 1
    out = capsys.readouterr().out
    assert "broken.jpg" in out
    assert "1 " in out
