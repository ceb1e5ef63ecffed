"""Recipes of transfers: each can be read back, names a task that there is, and claims what the paper has."""

from __future__ import annotations

import json

import pytest

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.claim import claim_of
from cutmix.recipes.start_transfer import load_backbone, make_task
from cutmix.recipes.transfer_recipe import TransferRecipe

# Mean AP and, as the table prints it, the difference to the baseline.
TABLE_10 = {
    "ssd300": (76.7, ""), "ssd300_mixup": (76.6, "-0.1"), "ssd300_cutout": (76.8, "+0.1"),
    "ssd300_cutmix": (77.6, "+0.9"), "faster_rcnn": (75.6, ""), "faster_rcnn_mixup": (73.9, "-1.7"),
    "faster_rcnn_cutout": (75.0, "-0.6"), "faster_rcnn_cutmix": (76.7, "+1.1"),
}  # fmt: skip

# bleu1 to bleu4, METEOR, ROUGE, CIDEr: arXiv 1905.04899v2, table A1.
TABLE_A1 = {
    "nic": (61.4, 43.8, 31.4, 22.9, 22.8, 44.7, 71.2),
    "nic_mixup": (61.6, 44.1, 31.6, 23.2, 22.9, 47.9, 72.2),
    "nic_cutout": (63.0, 45.3, 32.6, 24.0, 22.6, 48.2, 74.1),
    "nic_cutmix": (64.2, 46.3, 33.6, 24.9, 23.1, 49.0, 77.6),
}


@pytest.mark.parametrize("name", list(names.transfers()))
def test_every_transfer_can_be_made_and_read_back(name, tmp_path):
    recipe = names.find_transfer(name)
    make_task(recipe.task)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.as_dict()))
    assert TransferRecipe.read(tmp_path) == recipe


@pytest.mark.parametrize(("name", "number", "gain"), [(name, *cell) for name, cell in TABLE_10.items()])
def test_each_detection_cell_of_table_10_has_a_recipe_with_its_number(name, number, gain):
    function = names.transfers()[f"detection.{name}"]
    claim = claim_of(function)
    assert (claim.tables, claim.pick, claim.values) == (("10",), "", {"mean_ap": number})
    about = function.__doc__.splitlines()[0]
    assert f"({gain})" in about if gain else "baseline pretraining" in about
    baseline = claim_of(names.transfers()[f"detection.{name.partition('_cut')[0].removesuffix('_mixup')}"])
    assert f"{number - baseline.values['mean_ap']:+.1f}" == (gain or "+0.0")
    method = {"cutmix": "CutMix", "cutout": "Cutout", "mixup": "Mixup"}.get(name.rpartition("_")[2], "baseline")
    assert claim.row == f"{'SSD' if name.startswith('ssd') else 'Faster R-CNN'}, {method}"
    recipe = function()
    assert recipe.backbone == f"resnet50_{method.casefold()}/model_best.pth.tar"
    usual = make_task(recipe.task).usual
    assert {setting: getattr(recipe, setting) for setting in usual} == usual
    assert round(recipe.epochs * 16551 / recipe.batch_size, -4) == 120_000


@pytest.mark.parametrize(("name", "numbers"), TABLE_A1.items())
def test_each_row_of_table_a1_has_a_recipe_with_its_numbers(name, numbers):
    function = names.transfers()[f"captioning.{name}"]
    claim = claim_of(function)
    assert claim is not None
    scores = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider")
    assert claim.values == dict(zip(scores, numbers))
    said = (function.__doc__ or "").splitlines()
    assert f"Table 10 and Table A1, {claim.row}: bleu1 {numbers[0]:g}" in said[2]
    assert said[2].endswith("(of which epoch is not said).")
    assert f"    cutmix transfer captioning.{name}" in said
    recipe = function()
    task = make_task(recipe.task)
    assert {setting: getattr(recipe, setting) for setting in task.usual} == task.usual
    assert (task.beam, task.norm, task.per, task.fine_tune) == (20, "trained", "position", False)


def test_a_task_alone_is_its_protocol():
    assert names.find_transfer("faster-rcnn").task == "FasterRCNN()"
    caption = names.find_transfer("caption")
    assert (caption.task, caption.batch_size, caption.lr, caption.optimizer) == ("NIC()", 20, 1e-3, "Adam")
    assert names.find_transfer("nic") == caption
    recipe = names.find_transfer("ssd")
    assert (recipe.task, recipe.batch_size, recipe.lr, recipe.nesterov) == ("SSD()", 32, 1e-3, False)
    with pytest.raises(UsageError, match="Did you mean 'ssd'"):
        names.find_transfer("sdd")


def test_tasks_and_transfers_are_listed(capsys):
    assert main(["list", "transfers"]) == 0
    said = capsys.readouterr().out
    assert "SSD(" in said
    assert "detection.ssd300_cutmix" in said


def test_random_weights_follow_from_the_seed():
    import torch

    call = "ResNet(depth=18, stem='imagenet')"
    one, same, other = (load_backbone(call, seed=seed).network.conv1.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    one, same = (load_backbone("torchvision.shufflenet_v2_x0_5", seed=3).network.conv1[0].weight for _ in range(2))
    assert torch.equal(one, same)


@pytest.mark.parametrize(
    ("source", "said"), [("", "--backbone CHECKPOINT"), ("nowhere.pth", "no checkpoint or run folder")]
)
def test_a_backbone_that_there_is_not(source, said):
    with pytest.raises(UsageError, match=said):
        load_backbone(source)
