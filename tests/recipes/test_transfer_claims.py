"""The paper's numbers go to the transfer with the paper's settings, and to no other."""

from __future__ import annotations

import pytest

from cutmix.recipes import names
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.transfer_claims import paper_numbers

# Table 10; of captioning, CIDEr from table A1.
MAIN = {
    "detection.ssd300": ("mean_ap", 76.7),
    "detection.ssd300_mixup": ("mean_ap", 76.6),
    "detection.ssd300_cutout": ("mean_ap", 76.8),
    "detection.ssd300_cutmix": ("mean_ap", 77.6),
    "detection.faster_rcnn": ("mean_ap", 75.6),
    "detection.faster_rcnn_mixup": ("mean_ap", 73.9),
    "detection.faster_rcnn_cutout": ("mean_ap", 75.0),
    "detection.faster_rcnn_cutmix": ("mean_ap", 76.7),
    "captioning.nic": ("cider", 71.2),
    "captioning.nic_mixup": ("cider", 72.2),
    "captioning.nic_cutout": ("cider", 74.1),
    "captioning.nic_cutmix": ("cider", 77.6),
}


@pytest.mark.parametrize(("name", "measure", "number"), [(name, *cell) for name, cell in MAIN.items()])
def test_each_row_has_its_own_number_wherever_its_files_lie(name, measure, number):
    recipe = names.find_transfer(name)
    kind, _, place = recipe.data.partition(":")
    moved = recipe.but(data=f"{kind}:/big/disk/{place}", backbone=f"/weights/{recipe.backbone}", seed=3)
    assert [paper_numbers(asked.as_dict())[measure] for asked in (recipe, moved)] == [number, number]


def test_a_task_that_is_written_out_is_the_same():
    recipe = names.find_transfer("detection.ssd300_cutmix")
    from cutmix.recipes.start_transfer import make_task

    written = recipe.but(task=repr(make_task(recipe.task)), schedule="Steps(by=0.1, at=(0.6667, 0.8333))")
    assert written.task != recipe.task
    assert paper_numbers(written.as_dict()) == {"mean_ap": 77.6}


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 15},
        {"lr": 2e-3},
        {"task": "SSD(size=160)"},
        {"task": "SSD(metric='voc')"},
        {"task": "Gone()"},
        {"backbone": "runs/cutmix-s0"},
        {"backbone": "model_best.pth.tar"},
        {"backbone": "my_resnet50_cutmix/model_best.pth.tar"},
        {"data": "voc:pictures"},
        {"data": "coco:VOCdevkit"},
    ],
)
def test_another_transfer_has_none(changes):
    assert paper_numbers(names.find_transfer("detection.ssd300_cutmix").but(**changes).as_dict()) == {}


def test_neither_has_our_own_nor_a_classifier():
    assert paper_numbers(names.find_transfer("detection.small_ssd").as_dict()) == {}
    assert paper_numbers(Recipe().as_dict()) == {}
