"""A transfer's folder suffices: used, and resumed, where the backbone that it was started from is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.models import ResNet
from cutmix.recipes import trained
from cutmix.recipes.start_transfer import load_backbone, load_transferred, transfer
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


def test_what_is_kept_downloads_nothing(monkeypatch):
    """Of a call that names a library's trained weights, what is kept is the call without them."""
    network = ResNet(depth=18, stem="imagenet", num_classes=3)
    source = "torchvision.vit_b_16(weights='IMAGENET1K_SWAG_E2E_V1')"
    monkeypatch.setattr(trained, "load_trained", lambda source, model: Trained(network, source, source))
    assert load_backbone(source).model == "torchvision.vit_b_16(image_size=384)"
