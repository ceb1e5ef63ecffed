"""The table of recipes."""

from __future__ import annotations

import json

import pytest

from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.claim import Claim
from cutmix.recipes.table import Row, as_text, recipe_rows

GE = Claim(tables=("3",), row="ResNet-50 + GE", values={"top1": 21.88}, copied=True, note="none")
CUTMIX = Claim(tables=("5", "8"), row="CutMix", values={"top1": 14.47, "top5": 2.97})
ROWS = [
    Row("", GE, "ResNet-50 + GE: no recipe."),
    Row("a.long_name_of_a_recipe", CUTMIX, "Mixes boxes of other images into half of the batches."),
    Row("b.own", None, "Own photos."),
]


def test_every_recipe_is_a_row_and_every_row_without_one_says_why():
    rows = recipe_rows()
    assert {row.name for row in rows if row.name} == {*names.recipes(), *names.transfers()}
    without = [row for row in rows if not row.name]
    assert [row.claim.row for row in without if "3" in row.claim.tables] == ["ResNet-50 + GE", "ResNet-101 + GE"]
    assert all("no recipe, since" in row.about for row in without)


def test_rows_come_in_the_order_in_which_they_are_written():
    found = [row.name for row in recipe_rows("8")]
    assert found[:3] == [
        "cifar100.pyramidnet200",
        "cifar100.pyramidnet200_cutmix",
        "cifar100_ablations.center_gaussian",
    ]


def test_rows_are_chosen_by_table_and_by_text():
    assert {row.name.partition(".")[0] for row in recipe_rows("none")} >= {"small", "strong", "own"}
    assert [row.name for row in recipe_rows("5", "shakedrop")] == [
        "cifar100.pyramidnet200_shakedrop",
        "cifar100.pyramidnet200_cutmix_shakedrop",
    ]
    assert [row.claim.row for row in recipe_rows(text="GE")] == ["ResNet-50 + GE", "ResNet-101 + GE"]
    assert recipe_rows(text="no such name") == []


def test_a_table_that_there_is_not_gets_the_nearest():
    with pytest.raises(
        UsageError, match=r"no recipe stands in table 'fig33'\. Did you mean 'fig3'\? There are: 3, 4, "
    ):
        recipe_rows("fig33")


def test_text_that_is_not_wrapped_has_a_line_a_row():
    lines = as_text(ROWS).splitlines()
    assert lines[:4] == [
        "recipe                   table  paper         what it is",
        "(no recipe)              3      21.88*        ResNet-50 + GE: no recipe.",
        "a.long_name_of_a_recipe  5, 8   14.47 / 2.97  Mixes boxes of other images into half of the batches.",
        "b.own                                         Own photos.",
    ]
    assert len(lines) == 6  # with an empty line and what the numbers are


def test_the_last_column_is_wrapped_beside_the_others():
    lines = as_text(ROWS, 90).splitlines()
    assert lines[2:4] == [
        "a.long_name_of_a_recipe  5, 8   14.47 / 2.97  Mixes boxes of other images into half of the",
        "                                              batches.",
    ]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_asked(width):
    columns = zip(*(row.cells()[:3] for row in recipe_rows()))
    names_fit = sum(max(map(len, column)) + 2 for column in columns)
    text = as_text(recipe_rows(), width)
    assert all(len(line) <= max(width, names_fit + 30) for line in text.splitlines())
    assert all(line == line.rstrip() for line in text.splitlines())


def test_without_room_the_last_column_comes_below():
    assert as_text(ROWS, 70).splitlines()[4:6] == [
        "a.long_name_of_a_recipe  5, 8   14.47 / 2.97",
        "    Mixes boxes of other images into half of the batches.",
    ]


def test_json_has_the_claim_the_command_and_all_settings():
    (row,) = recipe_rows(text="cifar100.resnet110_cutmix")
    found = json.loads(json.dumps(row.as_dict()))
    assert found["command"] == "cutmix train cifar100.resnet110_cutmix"
    assert found["paper"] == {
        "tables": ["6"],
        "row": "ResNet-110 + CutMix",
        "values": {"top1": 20.11, "top5": 4.43},
        "pick": "best",
        "runs": 3,
        "copied": False,
    }
    assert found["settings"] == names.find_recipe("cifar100.resnet110_cutmix").as_dict()
    assert "issue 10 of clovaai/CutMix-PyTorch" in found["about"]
    assert Row("", GE, "no").as_dict()["settings"] is None


def test_transfers_stand_in_table_10_with_what_they_are_compared_by():
    rows = [row.cells()[:3] for row in recipe_rows("10")]
    assert len(rows) == 12
    assert rows[3] == ("captioning.nic_cutmix", "10, A1", "cider 77.6, ...")
    assert rows[7] == ("detection.ssd300_cutmix", "10", "mean_ap 77.6")
    assert rows[10] == ("detection.faster_rcnn_cutout", "10", "mean_ap 75.0")
    assert [row.name for row in recipe_rows("A1")] == [name for name, *_ in rows[:4]]
    (row,) = recipe_rows(text="ssd300_mixup")
    found = json.loads(json.dumps(row.as_dict()))
    assert (found["command"], found["paper"]["values"]) == ("cutmix transfer detection.ssd300_mixup", {"mean_ap": 76.6})
    assert found["settings"]["backbone"] == "resnet50_mixup/model_best.pth.tar"
