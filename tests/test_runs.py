"""Runs as they lie in their folders: grouped, named by what differs, and read with what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutmix import runs
from cutmix.errors import CutmixError, UsageError
from cutmix.runs import Group, differing, find_baseline, find_runs, grouped, read_runs

CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


def groups_of(*folders: Path) -> list[Group]:
    return grouped(read_runs(folders))


# ------------------------------------------------------------------------------------------------------------ groups


def test_groups_are_recipes_without_the_seed_named_by_what_differs(tmp_path, make_run):
    groups = groups_of(
        make_run(tmp_path / "a", seed=0), make_run(tmp_path / "b", mixing=CUTMIX), make_run(tmp_path / "c", seed=1)
    )
    assert [(group.name, [run.seed for run in group.runs]) for group in groups] == [
        ("NoMixing", [0, 1]),
        ("CutMix", [0]),
    ]
    assert "seed" not in groups[0].settings


def test_the_order_of_settings_does_not_matter(tmp_path, make_run):
    run = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", seed=1)
    settings = json.loads((other / "recipe.json").read_text())
    (other / "recipe.json").write_text(json.dumps(dict(reversed(settings.items()))))
    assert len(groups_of(run, other)) == 1


@pytest.mark.parametrize(
    ("recipes", "names"),
    [
        ([{"mixing": CUTMIX}], ["CutMix"]),
        ([{"mixing": CUTMIX}, {"mixing": "CutMix(alpha=0.3)"}], [CUTMIX, "CutMix(alpha=0.3)"]),
        ([{"mixing": "A()", "lr": 0.1}, {"mixing": "A()", "lr": 0.2}], ["0.1", "0.2"]),
        ([{"mixing": "A()", "lr": 0.1}, {"mixing": "B()", "lr": 0.2}], ["lr=0.1, mixing=A", "lr=0.2, mixing=B"]),
        ([{"mixing": "A()"}, {"mixing": "A()", "lr": 0.2}], ["None", "0.2"]),
        ([{"task": "SSD(size=64)", "lr": 0.1}, {"task": "NIC()", "lr": 0.2}], ["SSD", "NIC"]),
        (
            [{"task": task, "lr": lr, "backbone": place} for task, lr, place in (("S()", 1, "a"), ("F()", 2, "b"))],
            ["backbone=a, task=S", "backbone=b, task=F"],
        ),
        (
            [{"task": task, "lr": lr, "epochs": n} for task, lr, n in (("S()", 1, 5), ("S()", 3, 5), ("F()", 2, 9))],
            ["lr=1, task=S", "lr=3, task=S", "lr=2, task=F"],
        ),
        (
            [{"task": "S(size=64)", "lr": 1}, {"task": "S(size=96)", "lr": 2}],
            ["lr=1, task=S", "lr=2, task=S"],
        ),
    ],
)
def test_names_of_groups(recipes, names):
    assert runs.setting_names(recipes) == names


def test_what_differs():
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 2}]) == []
    assert differing([{"b": 2, "a": 1}, {"a": 1, "b": 3, "c": 0}, {"a": 1, "b": 2}]) == ["b", "c"]


# ------------------------------------------------------------------------------------------------------- run folders


def test_a_run_becomes_records_with_the_seconds_of_its_typical_epoch(tmp_path, make_run):
    (run,) = read_runs([make_run(tmp_path / "run", 5.5, seed=3)])
    found = {record.name: (record.value, record.n, record.seed) for record in run.records()}
    assert found == {
        "test_error_top1_last": (5.5, 2000, 3),
        "test_error_top1_best": (4.5, 2000, 3),
        "train_seconds_an_epoch_median": (4.0, 2, 3),  # of 3 and 5
    }


def test_epochs_that_were_not_tested_are_no_hindrance(tmp_path, make_run):
    run = make_run(tmp_path / "run")
    first, second = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    del first["test_error_top1"]
    (run / "metrics.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    (read,) = read_runs([run])
    assert (read.median("test_error_top1"), read.median("test_loss")) == (5.0, None)


@pytest.mark.parametrize("text", ["", "[]", '{"lr": 0', "{}"])
def test_a_damaged_recipe_is_not_taken_for_one_that_says_nothing(tmp_path, make_run, text):
    run = make_run(tmp_path / "run")
    (run / "recipe.json").write_text(text)
    with pytest.raises(CutmixError, match=r"cannot read .*recipe.json: .*\.$|it has no recipe.json"):
        read_runs([run], lambda recipe: {"lr": 0.1, **recipe})


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl"])
def test_damaged_numbers_are_named_with_the_way_to_get_them_back(tmp_path, make_run, name):
    run = make_run(tmp_path / "run")
    (run / name).write_text((run / name).read_text()[:-20])
    remedy = f"delete {run / 'result.json'}, then cutmix train {run} --resume writes it again"
    with pytest.raises(CutmixError, match=f"cannot read {run / name}: .*{remedy}"):
        read_runs([run])


def test_a_damaged_transfer_is_written_again_by_the_command_of_transfers(tmp_path, make_transfer):
    run = make_transfer(tmp_path / "run")
    (run / "metrics.jsonl").write_text('{"epoch": 1, "tr')
    with pytest.raises(CutmixError, match=f"then cutmix transfer {run} --resume writes it again"):
        read_runs([run])


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "nan"), (None, "None"), (float("inf"), "inf")])
def test_a_run_whose_number_is_none_is_refused_by_its_folder(tmp_path, make_transfer, value, word):
    run = make_transfer(tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "mean_ap_last": value}))
    with pytest.raises(CutmixError, match=f"in {run / 'result.json'} mean_ap_last is {word}, and only finite numbers"):
        read_runs([run])


def test_a_last_test_of_which_nothing_is_known_is_no_hindrance(tmp_path, make_transfer):
    run = make_transfer(tmp_path / "run", (31.0, 43.0))
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "test": None}))
    assert [record.value for record in read_runs([run])[0].records()] == [43.0, 43.0, 4.5]


def test_a_setting_that_an_older_recipe_lacks_is_the_default(tmp_path, make_run):
    runs = [make_run(tmp_path / "old"), make_run(tmp_path / "new", seed=1, test_every=1)]
    assert len(grouped(read_runs(runs))) == 2
    assert len(grouped(read_runs(runs, lambda recipe: {"test_every": 1, **recipe}))) == 1
    assert len(grouped(read_runs(runs, lambda recipe: {"test_every": 2, **recipe}))) == 2


def test_a_baseline_is_found_by_its_name_or_by_a_run_s(tmp_path, make_run):
    groups = groups_of(
        make_run(tmp_path / "plain-s0"), make_run(tmp_path / "cut-s1", seed=1, mixing=CUTMIX),
        make_run(tmp_path / "CutMix-s0", mixing="MixUp()")
    )  # fmt: skip
    names = {wanted: find_baseline(groups, wanted) for wanted in ("", "MixUp", "cut", "cut-s1", "CutMix")}
    assert names == {"": "NoMixing", "MixUp": "MixUp", "cut": "CutMix", "cut-s1": "CutMix", "CutMix": "CutMix"}
    with pytest.raises(UsageError, match="no group of runs is called 'Cutmx'. Did you mean 'CutMix'"):
        find_baseline(groups, "Cutmx")


@pytest.mark.parametrize("page", ["compare.json", "report.html", "evaluation.json"])
def test_what_was_made_of_runs_is_no_run_and_no_mistake(tmp_path, make_run, page):
    run = make_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "compare").mkdir()
    with pytest.raises(UsageError, match="there is no run in .*compare"):
        find_runs((tmp_path / "runs").iterdir())
    (tmp_path / "runs" / "compare" / page).write_text("{}")
    assert find_runs((tmp_path / "runs").iterdir()) == [run]


def test_groups_of_one_method_are_named_by_the_arguments_that_differ():
    calls = ["CutMix(alpha=0.2, prob=0.5, scope='per_batch')", "CutMix(alpha=1.0, prob=0.5, scope='per_batch')",
             "NoMixing()", "Twice(CutMix(prob=0.5), 3)", "Twice(CutMix(prob=0.5), 4)"]  # fmt: skip
    names = ["CutMix(alpha=0.2)", "CutMix(alpha=1.0)", "NoMixing", "Twice(3)", "Twice(4)"]
    assert runs.setting_names([{"mixing": call} for call in calls]) == names


# ---------------------------------------------------------------------------------------------------------- transfers


def test_a_transfer_becomes_records_of_its_measure_and_of_what_is_beside_it(tmp_path, make_transfer):
    test = {"coco_map": 12.5, "people_cider": 3.0, "per_class": {"red": {"voc07": 1.0}}, "meteor": "no library"}
    (run,) = read_runs([make_transfer(tmp_path / "run", (53.5, 52.0), seed=3, test=test)])
    found = [(record.name, record.value, record.n, record.seed) for record in run.records()]
    assert found == [
        ("mean_ap_last", 52.0, 72, 3),
        ("mean_ap_best", 53.5, 72, 3),
        ("coco_map_last", 12.5, 72, 3),
        ("train_seconds_an_epoch_median", 4.5, 4, 3),  # of 3, 4, 5, 6
    ]


def test_transfers_are_named_by_their_backbones(tmp_path, make_transfers):
    groups = groups_of(*make_transfers(tmp_path))
    assert [(group.name, [run.seed for run in group.runs]) for group in groups] == [
        ("plain.pth.tar", [0, 1, 2]),
        ("cut.pth.tar", [2, 0, 1]),
    ]
    assert [group.name for group in groups_of(tmp_path / "plain0")] == ["plain.pth.tar"]


def test_a_run_that_has_not_ended_is_known_by_what_its_epochs_were_tested_for(tmp_path, make_transfer, make_run):
    for folder in (make_transfer(tmp_path / "a", measure="cider"), make_run(tmp_path / "b")):
        (folder / "result.json").unlink()
    words = [run.measure.words for run in read_runs([tmp_path / "a", tmp_path / "b"])]
    assert words == ["CIDEr", "top-1 error"]
    (tmp_path / "a" / "metrics.jsonl").unlink()
    (run,) = read_runs([tmp_path / "a"])
    assert (run.measure, run.records(), runs.shared_measure(grouped([run])).name) == (None, [], "")


def test_runs_that_are_not_measured_alike_are_refused_by_their_folders(tmp_path, make_transfer, make_run):
    boxes, words = make_transfer(tmp_path / "boxes"), make_transfer(tmp_path / "words", measure="cider")
    with pytest.raises(UsageError, match=r"top-1 error: .*/net; mean AP \(VOC 2007, 11 points\): .*/boxes; CIDEr: "):
        runs.shared_measure(groups_of(make_run(tmp_path / "net"), boxes, words))
    area = make_transfer(tmp_path / "area", task="SSD(metric='voc', size=64)")
    with pytest.raises(UsageError, match=r"11 points\): .*/boxes; mean AP \(VOC 2010, area\): .*/area"):
        runs.shared_measure(groups_of(boxes, area))


def test_a_result_that_lacks_its_measure_is_none(tmp_path, make_transfer):
    run = make_transfer(tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "measure": "cider"}))
    with pytest.raises(CutmixError, match="lacks cider_last, cider_best: it is not the result"):
        read_runs([run])
