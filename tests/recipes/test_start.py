"""What the folder of a run is called when nobody says it."""

from __future__ import annotations

import pytest

from cutmix.recipes import start, start_transfer
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.transfer_recipe import TransferRecipe


def test_a_name_that_is_taken_gets_a_number_unless_the_run_is_resumed(tmp_path):
    for name in ("net", "net-2", "net-4"):
        (tmp_path / name).mkdir()
    assert start.unused("net", tmp_path, resume=False) == "net-3"
    assert start.unused("net", tmp_path, resume=True) == "net"
    assert start.unused("other", tmp_path, resume=False) == "other"


def test_a_run_is_called_for_what_it_trains():
    recipe = Recipe(data="folder:photos/birds", model="ResNet(depth=20, bottleneck=False)", mixing="CutMix()", seed=3)
    assert start.stem(recipe) == "folder-birds-resnet20-cutmix-s3"
    assert (
        start.stem(recipe.but(data="digits", regularizer="ShakeDrop(last=0.5)"))
        == "digits-resnet20-cutmix-shakedrop-s3"
    )


@pytest.mark.parametrize(
    ("backbone", "known"),
    [("runs/cut-s0/", "cut-s0"), ("runs/cut-s0/best.pth.tar", "cut-s0"), ("weights/net.pth.tar", "net"),
     ("torchvision.resnet50(weights='DEFAULT')", "torchvision.resnet50")],
)  # fmt: skip
def test_a_transfer_is_called_for_task_backbone_and_data(backbone, known):
    recipe = TransferRecipe(task="SSD(size=300)", data="voc:VOCdevkit/VOC2007", backbone=backbone, seed=2)
    assert start_transfer._stem(recipe) == f"ssd-{known}-VOC2007-s2"
