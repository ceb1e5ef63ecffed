"""The paper's numbers: for the paper's settings, and for no others."""

from __future__ import annotations

from statistics import fmean

import pytest

from cutmix.recipes.names import find_recipe
from cutmix.recipes.published import METHODS, OUT_COLUMNS, SETTINGS, Published, published


def recipe(**changes):
    return find_recipe("cifar100.pyramidnet200_cutmix").but(**changes).as_dict()


def test_the_papers_own_recipe_has_the_papers_numbers():
    found = published(recipe())
    assert found["accuracy/top1"] == Published(85.53, "table 5")
    assert found["accuracy/top5"] == Published(97.03, "table 5")
    assert found["ood/LSUN/msp/auroc"] == Published(90.3, "appendix table 2")
    assert found["ood/uniform/msp/detection"] == Published(99.7, "appendix table 2")
    assert published(recipe(mixing="none"))["accuracy/top1"].value == 83.55


@pytest.mark.parametrize(
    "changes",
    [{"epochs": 30}, {"data": "cifar10", "model": "ResNet(depth=20)"}, {"mixing": "CutMix(alpha=0.5)"},
     {"model": "PyramidNet(depth=200, alpha=200)"}, {"mixing": "Mixup(alpha=0.5)"}, {"mixing": "Something()"}],
)  # fmt: skip
def test_another_setting_has_none(changes):
    assert published(recipe(**changes)) == {}


def test_a_network_whose_training_is_not_known_has_none():
    assert published(None) == {}


def test_table_12_is_the_mean_of_appendix_table_2():
    """The paper prints both; the plain means of one are the other."""
    table_12 = {"NoMixing": (26.3, 87.3, 82.0), "Mixup": (11.8, 49.3, 60.9), "Cutout": (18.8, 68.7, 71.3),
                "CutMix": (69.0, 94.4, 89.1)}  # fmt: skip
    rows = SETTINGS[0].out_sets.values()
    for number, method in enumerate(METHODS):
        means = [fmean(row[number][column] for row in rows) for column in range(len(OUT_COLUMNS))]
        assert means == pytest.approx(table_12[method], abs=0.051)
