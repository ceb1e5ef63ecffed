"""Starting a transfer and using one: what is refused at once; the folder suffices where the backbone is gone."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.recipes import start_transfer, trained
from cutmix.recipes.predict_boxes import predict_boxes
from cutmix.recipes.start_transfer import build_transfer, load_backbone, load_transferred, transfer
from cutmix.recipes.trained import Trained
from cutmix.recipes.transfer_recipe import TransferRecipe
from cutmix.training.checkpoint import load_checkpoint, save_checkpoint
from cutmix.training.interrupt import Interrupted

MEAN, STD = [0.3, 0.5, 0.6], [0.2, 0.25, 0.3]


@pytest.fixture
def backbone(tmp_path) -> Path:
    """A checkpoint of a ResNet-18 of three classes that was trained with ShakeDrop, which scales what it computes."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        weights = ResNet(depth=18, stem="imagenet", num_classes=3).state_dict()
    about = {
        "model": "ResNet(depth=18, bottleneck=False)",
        "classes": ["a", "b", "c"],
        "image_size": 224,
        "mean": MEAN,
        "std": STD,
        "recipe": {"regularizer": "ShakeDrop(last=0.3)"},
    }
    torch.save({"state_dict": weights, "cutmix": about}, tmp_path / "classifier.pth.tar")
    return tmp_path / "classifier.pth.tar"


def recipe(data: Path, backbone: Path, **changes) -> TransferRecipe:
    settings = {"epochs": 2, "batch_size": 4, "lr": 1e-3, "nesterov": False, "schedule": "Constant()"}
    return TransferRecipe(task="SSD(size=64)", data=f"voc:{data}", backbone=str(backbone), **{**settings, **changes})


def found(folder: Path) -> list[dict[str, torch.Tensor]]:
    image = torch.linspace(0, 1, 3 * 64 * 64).reshape(3, 64, 64)
    with torch.no_grad():
        return load_transferred(folder).network([image])


def test_it_finds_the_same_when_the_backbone_is_gone(tiny_voc, backbone, tmp_path, capsys, assert_same):
    transfer(recipe(tiny_voc, backbone, epochs=1), name="run", runs=tmp_path, cpu=True, workers=0)
    folder = tmp_path / "run"
    kept = load_checkpoint(folder / "last.pth.tar")
    assert kept["cutmix"]["backbone"] == {
        "model": "ResNet(depth=18, bottleneck=False, num_classes=3, stem='imagenet')",
        "regularizer": "ShakeDrop(last=0.3)",
        "source": str(backbone),
    }
    before = found(folder)
    assert len(before[0]["scores"]) > 0
    del kept["cutmix"]["backbone"]  # as older transfers have it: the backbone is loaded
    save_checkpoint(folder / "last.pth.tar", kept, previous=folder / "previous.pth.tar")
    assert_same(found(folder), before)
    backbone.unlink()
    picture = str(next((tiny_voc / "JPEGImages").iterdir()))
    assert main(["transfer", str(folder), "--predict", picture, "--cpu"]) == 2
    assert "no checkpoint or run folder" in capsys.readouterr().err
    (folder / "previous.pth.tar").replace(folder / "last.pth.tar")
    assert_same(found(folder), before)
    assert main(["transfer", str(folder), "--predict", picture, "--cpu"]) == 0


def test_it_goes_on_to_the_last_bit_when_the_backbone_is_gone(tiny_voc, backbone, tmp_path, stop_at, assert_same):
    wanted = recipe(tiny_voc, backbone)
    place = {"runs": tmp_path, "cpu": True, "workers": 0}
    transfer(wanted, name="whole", **place)
    with pytest.raises(Interrupted):
        transfer(wanted, name="stopped", display=stop_at(1, 0), **place)
    backbone.unlink()
    with pytest.raises(UsageError, match=r"lr: 0.001 -> 0.1\n"):
        transfer(wanted.but(lr=0.1), name="stopped", resume=True, **place)
    transfer(wanted, name="stopped", resume=True, **place)
    assert_same(*(load_checkpoint(tmp_path / name / "last.pth.tar") for name in ("whole", "stopped")))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"optimizer": "LBFGS"}, "SGD, Adam"), ({"label_smoothing": 0.1}, "label_smoothing is for classification"),
     ({"head_lr": 3.0}, "head_lr is for classification")],
)  # fmt: skip
def test_what_is_not_possible_is_said_before_anything_is_made(tiny_voc, tmp_path, changes, said):
    runs = tmp_path / "runs"
    with pytest.raises(UsageError, match=said):
        transfer(recipe(tiny_voc, tmp_path / "not looked for").but(**changes), runs=runs, cpu=True)
    assert not runs.exists()


def test_an_optimizer_is_found_whatever_its_case(tiny_voc, backbone):
    assert build_transfer(recipe(tiny_voc, backbone, optimizer="adam")).recipe.optimizer == "Adam"


def test_a_task_wins_over_a_folder_that_holds_no_recipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("ssd").mkdir()
    assert main(["transfer", "ssd"]) == 2
    assert "say what to learn from: --data" in capsys.readouterr().err
    assert main(["transfer", "ssd", "--resume", "--name", "", "--lr", "0.1"]) == 2
    assert "say what to learn from: --data" in capsys.readouterr().err
    Path("ssd", "recipe.json").write_text('{"task": "SDD()"}')
    assert main(["transfer", "ssd"]) == 2
    assert "unknown task 'SDD'" in capsys.readouterr().err
    Path("other").mkdir()
    assert main(["transfer", "other"]) == 2
    assert "other/recipe.json" in capsys.readouterr().err


def test_pictures_of_the_same_name_do_not_overwrite_each_other(tiny_voc, backbone, tmp_path):
    transfer(recipe(tiny_voc, backbone, epochs=1), name="run", runs=tmp_path, cpu=True, workers=0)
    picture = tiny_voc / "JPEGImages" / "p00.png"
    same = [picture, tmp_path / "p00.bmp", tmp_path / "p01.png"]
    for path in same[1:]:
        path.write_bytes(picture.read_bytes())
    guesses = list(predict_boxes(load_transferred(tmp_path / "run"), same, folder=tmp_path / "found", cpu=True))
    names = ["p00-boxes.png", "p00-boxes-2.png", "p01-boxes.png"]
    assert [guess["picture"] for guess in guesses] == [str(tmp_path / "found" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == sorted(names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own, as it compiles
def test_compiled_it_is_trained_the_same(tiny_captions, tmp_path, pretrained, monkeypatch, assert_same):
    """A captioner; detectors are compiled anew for every number of boxes, which takes minutes."""
    compiled, compile = [], nn.Module.compile
    # Its own Python frames are compiled, its kernels are not: no C++ compiler is needed.
    monkeypatch.setattr(nn.Module, "compile", lambda self: (compiled.append(self), compile(self, backend="eager")))
    monkeypatch.setattr("cutmix.transfer.meteor.shutil.which", lambda name: None)
    network = lambda *args: replace(pretrained, network=copy.deepcopy(pretrained.network))  # noqa: E731
    monkeypatch.setattr(start_transfer, "load_backbone", network)
    task = "NIC(size=32, embedding=8, hidden=12, beam=2, min_count=1, max_length=8)"
    wanted = recipe(tiny_captions, tmp_path).but(task=task, data=f"tsv:{tiny_captions}", batch_size=6, epochs=1)
    for name in ("plain", "compiled"):
        transfer(wanted.but(compile=name == "compiled"), name=name, runs=tmp_path, cpu=True, workers=0)
    assert len(compiled) == 1
    plain, other = (load_checkpoint(tmp_path / name / "last.pth.tar")["state_dict"] for name in ("plain", "compiled"))
    assert_same(plain, other)


def test_what_is_kept_downloads_nothing(monkeypatch):
    """Of a call that names a library's trained weights, what is kept is the call without them."""
    network = ResNet(depth=18, stem="imagenet", num_classes=3)
    source = "torchvision.vit_b_16(weights='IMAGENET1K_SWAG_E2E_V1')"
    monkeypatch.setattr(trained, "load_trained", lambda source, model: Trained(network, source, source))
    assert load_backbone(source).model == "torchvision.vit_b_16(image_size=384)"
