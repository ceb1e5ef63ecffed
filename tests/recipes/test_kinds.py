"""The two kinds of recipes: which one it is, by its settings and by its name."""

from __future__ import annotations

import json

import pytest

from cutmix.errors import UsageError
from cutmix.measures import TOP1
from cutmix.recipes import kinds, names
from cutmix.recipes.recipe import Recipe
from cutmix.recipes.transfer_recipe import TransferRecipe


def test_a_recipe_with_a_task_is_a_transfers():
    assert kinds.from_settings({"task": "SSD()", "lr": 0.3}) == TransferRecipe(task="SSD()", lr=0.3)
    assert kinds.from_settings({"mixing": "MixUp()", "lr": 0.3}) == Recipe(mixing="MixUp()", lr=0.3)


def test_what_an_older_recipe_lacks_is_its_own_kinds_default():
    transfer = kinds.completed({"task": "SSD()", "lr": 0.3})
    assert (transfer["optimizer"], transfer["lr"], "mixing" in transfer) == ("SGD", 0.3, False)
    classifier = kinds.completed({"lr": 0.3})
    assert (classifier["mixing"], "optimizer" in classifier) == ("NoMixing()", False)


def test_recipes_of_both_kinds_are_found_by_name_and_read_from_files(tmp_path):
    assert kinds.find("small.digits") == names.find_recipe("small.digits")
    assert kinds.find("detection.small_ssd") == names.find_transfer("detection.small_ssd")
    assert kinds.find("faster-rcnn") == names.find_transfer("faster-rcnn")
    with pytest.raises(UsageError, match="'detection.smal_ssd'.*Did you mean 'detection.small_ssd'"):
        kinds.find("detection.smal_ssd")
    for recipe in (Recipe(lr=0.3), TransferRecipe(lr=0.4)):
        (tmp_path / "recipe.json").write_text(json.dumps(recipe.as_dict()))
        assert kinds.read(tmp_path / "recipe.json") == recipe
    (tmp_path / "recipe.json").write_text("[1]")
    with pytest.raises(UsageError, match="a JSON object was expected, this is a list"):
        kinds.read(tmp_path / "recipe.json")


def test_each_is_measured_by_its_own():
    measures = [kinds.measure(kinds.find(name)).name for name in ("small.digits", "detection.small_ssd", "nic")]
    assert measures == ["test_error_top1", "mean_ap", "cider"]
    assert kinds.measure(Recipe()) is TOP1
    assert [kinds.verb(recipe) for recipe in (Recipe(), TransferRecipe())] == ["train", "transfer"]
