"""The official commands: flags, defaults, printed lines, and the files that they leave."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from cutmix.cli.official import OfficialDisplay, recipe_of, test_main, test_parser, train_main, train_parser
from cutmix.training.display import BatchTested
from cutmix.training.measure import Errors

test_main.__test__ = False  # type: ignore[attr-defined]
test_parser.__test__ = False  # type: ignore[attr-defined]

CIFAR = """--net_type pyramidnet --dataset cifar100 --depth 200 --alpha 240 --batch_size 64 --lr 0.25
    --expname PyraNet200 --epochs 300 --beta 1.0 --cutmix_prob 0.5 --no-verbose"""
IMAGENET = """--net_type resnet --dataset imagenet --batch_size 256 --lr 0.1 --depth 50 --epochs 300 --expname ResNet50
    -j 40 --beta 1.0 --cutmix_prob 1.0 --no-verbose"""


def parsed(line: str):
    return recipe_of(train_parser().parse_args(shlex.split(line)))


def test_the_cifar_command_word_for_word():
    recipe = parsed(CIFAR)
    assert recipe.data == "cifar100"
    assert recipe.model == "PyramidNet(depth=200, alpha=240, bottleneck=True, stem='cifar')"
    assert recipe.mixing == "CutMix(alpha=1.0, prob=0.5)"
    assert recipe.augment == "CropFlip(padding=4)"
    assert recipe.schedule == "Steps()"
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (300, 64, 0.25, 1e-4)
    assert recipe.nesterov
    assert recipe.momentum == 0.9


def test_the_imagenet_command_word_for_word():
    recipe = parsed(IMAGENET)
    assert recipe.model == "ResNet(depth=50, bottleneck=True, stem='imagenet')"
    assert recipe.mixing == "CutMix(alpha=1.0, prob=1.0)"
    assert recipe.augment == "PhotoCrop(size=224, jitter=0.4, lighting=0.1)"
    assert recipe.schedule == "Every(epochs=75)"
    assert (recipe.epochs, recipe.batch_size, recipe.lr) == (300, 256, 0.1)


def test_the_official_defaults():
    args = train_parser().parse_args([])
    assert (args.net_type, args.workers, args.epochs, args.batch_size, args.lr) == ("pyramidnet", 4, 90, 128, 0.1)
    assert (args.momentum, args.weight_decay, args.print_freq, args.depth) == (0.9, 1e-4, 1, 32)
    assert (args.bottleneck, args.dataset, args.verbose, args.alpha) == (True, "imagenet", True, 300)
    assert (args.expname, args.beta, args.cutmix_prob) == ("TEST", 0, 0)


@pytest.mark.parametrize("off", ["--beta 1", "--cutmix_prob 0.5", ""])
def test_mixing_is_off_unless_both_flags_are_given(off):
    assert parsed(f"--dataset cifar10 {off}").mixing == "NoMixing"


def test_imagenet_decays_every_30_epochs_unless_there_are_300():
    assert parsed("--epochs 200").schedule == "Every(epochs=30)"


def test_short_flags_and_spellings():
    args = train_parser().parse_args(shlex.split("-b 8 -p 5 -j 2 --learning-rate 0.3 --wd 0.5 --no-bottleneck"))
    assert (args.batch_size, args.print_freq, args.workers, args.lr) == (8, 5, 2, 0.3)
    assert (args.weight_decay, args.bottleneck) == (0.5, False)


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """Ten classes of 32x32 images, 24 to train and 15 to test, where ``cifar10`` is looked for."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "cifar10"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in (("train", 24), ("test", 15)):
        images = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"{split}.npz", images=images, labels=np.arange(n) % 10, classes=np.array(list("abcdefghij")))
    return tmp_path / "data"


SMALL = "--net_type resnet --dataset cifar10 --depth 8 --no-bottleneck --batch_size 10 --epochs 2 --cpu"


def test_training_and_testing_print_the_official_lines(root, tmp_path, capsys):
    command = f"{SMALL} --expname small --beta 1.0 --cutmix_prob 0.5 --print-freq 2 --data-root {root}"
    assert train_main(command.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    number = r"\d+\.\d{%d}"
    meter = rf"{number % 4} \({number % 4}\)\t"
    time = rf"{number % 3} \({number % 3}\)\t"
    errors = rf"Loss {meter}Top 1-err {meter}Top 5-err {meter[:-2]}"
    wanted = [
        r"=> creating model 'resnet'",
        r"the number of model parameters: \d+",
        rf"Epoch: \[0/2\]\[0/3\]\tLR: 0\.100000\tTime {time}Data {time}{errors}",
        rf"Epoch: \[1/2\]\[2/3\]\tLR: 0\.010000\tTime {time}Data {time}{errors}",
        rf"Test \(on val set\): \[0/2\]\[0/2\]\tTime {time}{errors}",
        rf"\* Epoch: \[0/2\]\t Top 1-err {number % 3}  Top 5-err {number % 3}\t Train Loss {number % 3}",
        rf"\* Epoch: \[1/2\]\t Top 1-err {number % 3}  Top 5-err {number % 3}\t Test Loss {number % 3}",
        r"Current best accuracy \(top-1 and 5 error\): [\d.]+ [\d.]+",
        r"Best accuracy \(top-1 and 5 error\): [\d.]+ [\d.]+",
    ]
    for pattern in wanted:
        assert any(re.fullmatch(pattern, line) for line in lines), pattern
    assert not any(re.match(r"Epoch: \[0/2\]\[1/3\]", line) for line in lines)  # print-freq 2
    assert not any(line.endswith("\t") for line in lines)
    order = ["Epoch: [0/2][0/3]", "Train Loss", "Test (on val set): [0/2]", "Test Loss", "Current best", "Epoch: [1/2]"]
    places = [next(n for n, line in enumerate(lines) if part in line) for part in order]
    assert places == sorted(places)

    best = tmp_path / "runs" / "small" / "model_best.pth.tar"
    checkpoint = torch.load(best, weights_only=True)
    assert {"epoch", "arch", "state_dict", "best_err1", "best_err5", "optimizer"} <= set(checkpoint)
    assert all(key.startswith("module.") for key in checkpoint["state_dict"])
    assert checkpoint["arch"] == "resnet"

    tested = "--net_type resnet --dataset cifar10 --depth 8 --no-bottleneck --batch_size 4 --cpu --no-verbose"
    assert test_main(f"{tested} --pretrained {best} --data-root {root}".split()) == 0
    out = capsys.readouterr().out
    assert f"=> loaded checkpoint '{best}'" in out
    last = re.fullmatch(r"Accuracy \(top-1 and 5 error\): ([\d.]+) ([\d.]+)", out.splitlines()[-1])
    assert last
    assert float(last[1]) == pytest.approx(checkpoint["best_err1"], abs=1e-4)
    assert float(last[2]) == pytest.approx(checkpoint["best_err5"], abs=1e-4)


def test_an_official_run_is_resumed(root, capsys):
    assert train_main(f"{SMALL} --expname once --no-verbose --data-root {root}".split()) == 0
    assert train_main(f"{SMALL} --expname once --no-verbose --data-root {root}".split()) == 2
    assert "holds a run already. Add --resume" in capsys.readouterr().err
    assert train_main(f"{SMALL} --expname once --no-verbose --data-root {root} --resume".split()) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("Best accuracy")


def test_the_best_of_earlier_epochs_is_remembered_on_resume(capsys):
    display = OfficialDisplay(verbose=False, print_freq=1)
    record = {"epoch": 3, "test_error_top1": 40.0, "test_error_top5": 9.0, "test_loss": 1.0}
    display.epoch(record, {"test_error_top1": 30.0, "test_error_top5": 8.0}, 3)
    assert capsys.readouterr().out.splitlines()[-1] == "Current best accuracy (top-1 and 5 error): 30.0 8.0"


def test_the_time_of_a_test_does_not_count_the_training_before_it(capsys):
    display = OfficialDisplay(verbose=True, print_freq=1)
    display.tested -= 1000  # as after long training
    display.trained(0, 2, Errors(1.0, 50.0, 5.0, 10))
    display.test_step(BatchTested(0, 2, 0, 1, torch.tensor([2.0, 1.0, 2.0, 2.0])))
    time = re.search(r"Time (\S+)", capsys.readouterr().out.splitlines()[-1])
    assert float(time[1]) < 10


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("--dataset cifar9", "unknown dataset: cifar9; there are cifar10, cifar100, imagenet", 2),
        ("--dataset cifar10 --net_type vgg", "unknown network architecture: vgg; there are resnet and pyramidnet", 2),
        (f"{SMALL} --momentum -1", "momentum must not be negative", 2),
    ],
)
def test_misuse_is_explained(root, capsys, line, said, code):
    assert train_main([*line.split(), "--data-root", str(root)]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 2


def test_a_missing_checkpoint_is_named(root, capsys):
    assert test_main(["--dataset", "cifar10", "--depth", "11", "--alpha", "4", "--data-root", str(root)]) == 2
    assert "there is no checkpoint or run folder /set/your/model/path" in capsys.readouterr().err


def test_a_checkpoint_of_another_network_is_refused(root, tmp_path, capsys):
    assert train_main(f"{SMALL} --expname small --no-verbose --data-root {root}".split()) == 0
    wrong = f"--net_type resnet --dataset cifar10 --depth 14 --no-bottleneck --cpu --data-root {root}"
    assert test_main([*wrong.split(), "--pretrained", str(tmp_path / "runs" / "small" / "last.pth.tar")]) == 1
    err = capsys.readouterr().err
    assert "layer1.1" in err
    assert len(err.splitlines()) <= 8


def test_the_scripts_at_the_root_are_thin():
    for script in ("train.py", "test.py"):
        text = (Path(__file__).parents[2] / script).read_text()
        assert len(text.splitlines()) < 12
        assert f"from cutmix.cli.official import {script[:-3]}_main" in text
