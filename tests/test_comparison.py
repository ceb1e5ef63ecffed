"""Comparisons: statistics by hand and against scipy, names of groups, warnings that come when they should."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from scipy import stats

from cutmix import comparison
from cutmix.comparison import (
    cautions,
    compare,
    differing,
    find_baseline,
    find_runs,
    grouped,
    paired_difference,
    read_runs,
)
from cutmix.errors import CutmixError, UsageError
from cutmix.results import Record, Summary

CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


def groups_of(*folders: Path) -> list[comparison.Group]:
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
    ],
)
def test_names_of_groups(recipes, names):
    assert comparison.setting_names(recipes) == names


def test_what_differs():
    assert differing([{"a": 1, "b": 2}, {"a": 1, "b": 2}]) == []
    assert differing([{"b": 2, "a": 1}, {"a": 1, "b": 3, "c": 0}, {"a": 1, "b": 2}]) == ["b", "c"]


# ---------------------------------------------------------------------------------------------------------- cautions


def told(groups: list[comparison.Group]) -> list[str]:
    """The cautions but for the last one, which is always there."""
    *others, always = cautions(groups)
    assert "lowest error on the test set itself" in always
    return others


def test_nothing_is_said_of_a_clean_comparison(tmp_path, make_comparison):
    assert told(groups_of(*make_comparison(tmp_path))) == []


def test_too_few_seeds(tmp_path, make_comparison):
    runs = make_comparison(tmp_path)
    (caution,) = [text for text in told(groups_of(*runs[:5])) if "Fewer" in text]
    assert "CutMix (n = 2)" in caution
    assert "NoMixing" not in caution


def test_a_seed_run_again_is_not_one_more_seed(tmp_path, make_run, make_comparison):
    runs = make_comparison(tmp_path)
    groups = groups_of(*runs[:5], make_run(tmp_path / "again", 2.0, seed=1, mixing=CUTMIX))
    assert any("CutMix (n = 2)" in text for text in told(groups))


def test_seeds_that_are_not_the_same(tmp_path, make_run, make_comparison):
    runs = make_comparison(tmp_path)
    other = make_run(tmp_path / "other", 2.0, seed=7, mixing=CUTMIX)
    assert told(groups_of(*runs[:5], other)) == [
        "The groups were not run with the same seeds (NoMixing: 0, 1, 2; CutMix: 0, 1, 7). Differences are over the "
        "seeds that a group shares with the baseline."
    ]


def test_a_seed_run_twice_counts_once(tmp_path, make_run, make_comparison):
    runs = make_comparison(tmp_path)
    groups = groups_of(*runs, make_run(tmp_path / "again", 2.4, seed=1, mixing=CUTMIX))
    assert told(groups) == ["CutMix has more than one run with seed 1; only the last of them is counted."]
    assert groups[1].summary(comparison.LAST).values == (1.0, 2.4, 4.5)


def test_more_than_one_difference(tmp_path, make_run, make_comparison):
    runs = make_comparison(tmp_path)
    longer = [
        make_run(tmp_path / f"longer{s}", last, s, mixing=CUTMIX, epochs=9) for s, last in enumerate([1.0, 2.0, 4.5])
    ]
    (caution,) = told(groups_of(*runs[:3], *longer))
    assert caution.startswith("The groups differ in 2 settings (epochs, mixing), so a difference in error cannot")


def test_an_interval_that_includes_zero(tmp_path, make_run):
    """-3, -3 and -6: mean -4, deviation the root of 3, so that half the interval is Student's 4.30265."""
    plain = [make_run(tmp_path / f"plain{s}", last, s) for s, last in enumerate([4.0, 5.0, 9.0])]
    mixed = [make_run(tmp_path / f"mixed{s}", last, s, mixing=CUTMIX) for s, last in enumerate([1.0, 2.0, 3.0])]
    assert told(groups_of(*plain, *mixed)) == [
        "CutMix and NoMixing differ by -4.00, and the interval (-8.30 to +0.30) includes 0: that may be chance."
    ]


def test_settings_that_were_meant_to_differ_are_not_warned_of(tmp_path, make_run):
    def run(name, **settings):
        return [make_run(tmp_path / f"{name}{s}", 3.0 + s, s, **settings) for s in range(3)]

    runs = [*run("a"), *run("b", mixing=CUTMIX, lr=0.3), *run("c", mixing=CUTMIX, lr=0.1)]
    groups = groups_of(*runs)
    words = "The groups also differ in lr, which is not what is compared (mixing)"
    assert not any("differ in" in text for text in cautions(groups, compared=["lr", "mixing"]))
    assert any(text.startswith(words) for text in cautions(groups, compared=["mixing"]))
    only_epochs = groups_of(*run("d"), *run("e", epochs=9))
    assert not any("differ in" in text for text in cautions(only_epochs, compared=["mixing"]))  # one thing is compared


def test_many_intervals_do_not_all_hold_at_once(tmp_path, make_run):
    groups = [make_run(tmp_path / f"{lr}-{s}", 5 - lr + s, s, lr=lr) for lr in range(5) for s in range(3)]
    assert any(text.startswith("Each of the 4 intervals") for text in told(groups_of(*groups)))
    assert not any(text.startswith("Each of the") for text in told(groups_of(*groups[:12])))


def test_a_baseline_that_has_not_ended(tmp_path, make_comparison):
    runs = make_comparison(tmp_path)
    for run in runs[:3]:
        (run / "result.json").unlink()
    assert "No run of the baseline NoMixing has ended, so there are no differences." in told(groups_of(*runs))


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("fingerprint", ["aa", "bb"], "not all trained and tested on the same images"),
        ("train_images", [100, 90], "not all trained and tested on the same images"),
        ("processes", [1, 2], "different numbers of processes (1, 2)"),
        ("torch", ["2.6", "2.7"], "different versions of torch: 2.6, 2.7"),
        ("runs_at_once", [1, 2], "Up to 2 runs went on at once"),
    ],
)
def test_circumstances_that_differ(tmp_path, make_run, make_comparison, key, values, words):
    runs = make_comparison(tmp_path)

    def write(run, value):
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, key: value}))

    for run in runs:
        write(run, values[0])
    assert told(groups_of(*runs)) == []
    write(runs[4], values[1])
    (text,) = told(groups_of(*runs))
    assert words in text


def test_tests_versions_and_machines_that_differ(tmp_path, make_comparison):
    changes = [{"test_images": 100}, {"version": "0.1.0+g9.changed"}, {"device": "cuda, A GPU"}]
    runs = make_comparison(tmp_path)
    for run, change in zip(runs, changes):
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, **change}))
    assert told(groups_of(*runs)) == [
        "The runs were tested on different numbers of images, so their errors cannot be compared.",
        "The runs were made with different versions of the code: 0.1.0+g123, 0.1.0+g9.changed.",
        "Some runs were made with changes to the code that its commit does not hold.",
        "The runs were made on different machines, so their times cannot be compared.",
    ]


# --------------------------------------------------------------------------------------------------------- statistics


def summary(**values: float) -> Summary:
    """A summary of the values of seeds s0, s1, ..."""
    seeds = tuple(int(name[1:]) for name in values)
    return Summary({}, 0.0, None, len(values), tuple(values.values()), seeds)


def test_a_paired_interval_is_that_of_scipy():
    ours, theirs = [23.1, 24.7, 22.2, 23.9, 25.05], [24.0, 24.9, 23.7, 23.8, 26.5]
    difference = paired_difference(
        summary(**{f"s{n}": value for n, value in enumerate(ours)}),
        summary(**{f"s{n}": value for n, value in reversed(list(enumerate(theirs)))}),  # matched by seed, not by place
    )
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert difference.mean == pytest.approx(sum(ours) / 5 - sum(theirs) / 5)
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert difference.seeds == (0, 1, 2, 3, 4)


def test_only_shared_seeds_are_paired():
    """Seeds 1 and 4: 2 - 5 and 7 - 9, mean -2.5, deviation 0.7071, so half the interval is 0.5 times 12.7062."""
    difference = paired_difference(summary(s0=100.0, s1=2.0, s4=7.0), summary(s4=9.0, s1=5.0, s2=50.0))
    assert difference.seeds == (1, 4)
    assert (difference.mean, difference.low, difference.high) == pytest.approx((-2.5, -8.8531, 3.8531), abs=1e-4)
    assert difference.may_be_nothing


def test_one_pair_has_no_interval_and_none_no_difference():
    one = paired_difference(summary(s0=1.0, s1=2.0), summary(s1=2.3))
    assert str(one) == "-0.30 (one pair: no interval)"
    assert one.may_be_nothing
    assert paired_difference(summary(s0=1.0), summary(s1=2.3)) is None


def records(recipe: dict, *values: float, name: str = "test_error_top1_last", seeds=(0, 1, 2)) -> list[Record]:
    settings = {"n": 2000, "commit": "c", "device": "d", "name": name}
    return [Record(value=v, seed=s, recipe={**recipe, "seed": s}, **settings) for v, s in zip(values, seeds)]


def three_groups() -> dict[str, list[Record]]:
    """plain: 4, 5, 9; mixed: 1, 2, 4.5; one seed of another; seconds 10, 10, 13 and 11, 12, 19."""
    plain, mixed, third = {"mixing": "NoMixing()"}, {"mixing": CUTMIX}, {"mixing": "MixUp()"}
    best, seconds = comparison.BEST, comparison.SECONDS
    return {
        "plain": [*records(plain, 4, 5, 9), *records(plain, 3, 5, 8, name=best),
                  *records(plain, 10, 10, 13, name=seconds)],
        "mixed": [*records(mixed, 1, 2, 4.5), *records(mixed, 1, 1, 1, name=best),
                  *records(mixed, 11, 12, 19, name=seconds)],
        "third": [*records(third, 4.25, seeds=[1]), *records(third, 4, name=best, seeds=[1])],
    }  # fmt: skip


def test_rows_by_hand():
    plain, mixed, third = compare(three_groups())
    assert (plain.last.mean, plain.best.mean, plain.difference, plain.overhead) == (6, 16 / 3, None, None)
    assert (mixed.difference.mean, mixed.best.sd) == (-3.5, 0)
    assert (mixed.difference.low, mixed.difference.high) == pytest.approx((-5.6513, -1.3487), abs=1e-4)
    assert (plain.seconds, mixed.seconds, mixed.overhead) == (10, 12, pytest.approx(0.2))
    assert (third.difference.mean, third.difference.low, third.seconds, third.overhead) == (-0.75, None, None, None)


def test_any_group_can_be_the_baseline():
    plain, mixed, third = compare(three_groups(), "mixed")
    assert (plain.difference.mean, mixed.difference, third.difference.mean) == (3.5, None, 2.25)
    assert plain.overhead == pytest.approx(10 / 12 - 1)
    with pytest.raises(UsageError, match="no group is called 'mixd'. Did you mean 'mixed'"):
        compare(three_groups(), "mixd")


def test_the_table_in_words():
    header, cells = comparison.table_cells(compare(three_groups()), "plain")
    assert header[3:5] == ["difference to plain (95 % interval)", "best epoch, chosen on the test set"]
    assert cells == [
        ["plain", "3", "6.00 ± 2.65", "baseline", "5.33 ± 2.52", "10", ""],
        ["mixed", "3", "2.50 ± 1.80", "-3.50 (-5.65 to -1.35)", "1.00 ± 0.00", "12", "+20.0 %"],
        ["third", "1", "4.25", "-0.75 (one pair: no interval)", "4.00", "", ""],
    ]


def test_a_group_says_how_many_of_its_seeds_are_paired():
    groups = three_groups()
    groups["mixed"] = [record for record in groups["mixed"] if record.seed != 0] + [
        *records({"mixing": CUTMIX}, 1, seeds=[9]), *records({"mixing": CUTMIX}, 1, name=comparison.BEST, seeds=[9])
    ]  # fmt: skip
    _, cells = comparison.table_cells(compare(groups), "plain")
    assert cells[1][3].endswith(", 2 pairs")


def test_all_forms_hold_the_numbers_and_the_warnings():
    rows = compare(three_groups())
    text = comparison.as_text(rows, "plain", ["Beware."])
    assert "mixed  3      2.50 ± 1.80  -3.50 (-5.65 to -1.35)" in text
    assert "* chosen on the test set" in text
    assert "! Beware." in text
    plain, mixed, third = csv.DictReader(io.StringIO(comparison.as_csv(rows, ["Beware."])))
    assert (mixed["name"], mixed["seeds"], float(mixed["difference_mean"])) == ("mixed", "0 1 2", -3.5)
    assert (plain["difference_mean"], third["difference_low"], third["pairs"]) == ("", "", "1")
    assert mixed["warnings"] == "Beware."
    whole = json.loads(comparison.as_json(rows, "plain", ["Beware."]))
    assert whole["rows"][1]["difference"]["mean"] == -3.5
    assert whole["rows"][1]["last"]["values"] == [1, 2, 4.5]
    assert (whole["baseline"], whole["warnings"], whole["best_is"]) == ("plain", ["Beware."], "chosen on the test set")


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
        read_runs([run], {"lr": 0.1})


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl"])
def test_damaged_numbers_are_named_with_the_way_to_get_them_back(tmp_path, make_run, name):
    run = make_run(tmp_path / "run")
    (run / name).write_text((run / name).read_text()[:-20])
    remedy = f"delete {run / 'result.json'}, then cutmix train {run} --resume writes it again"
    with pytest.raises(CutmixError, match=f"cannot read {run / name}: .*{remedy}"):
        read_runs([run])


def test_a_setting_that_an_older_recipe_lacks_is_the_default(tmp_path, make_run):
    runs = [make_run(tmp_path / "old"), make_run(tmp_path / "new", seed=1, test_every=1)]
    assert len(grouped(read_runs(runs))) == 2
    assert len(grouped(read_runs(runs, {"test_every": 1}))) == 1
    assert len(grouped(read_runs(runs, {"test_every": 2}))) == 2


def test_a_baseline_is_found_by_its_name_or_by_a_run_s(tmp_path, make_run):
    groups = groups_of(
        make_run(tmp_path / "plain-s0"), make_run(tmp_path / "cut-s1", seed=1, mixing=CUTMIX),
        make_run(tmp_path / "CutMix-s0", mixing="MixUp()")
    )  # fmt: skip
    names = {wanted: find_baseline(groups, wanted) for wanted in ("", "MixUp", "cut", "cut-s1", "CutMix")}
    assert names == {"": "NoMixing", "MixUp": "MixUp", "cut": "CutMix", "cut-s1": "CutMix", "CutMix": "CutMix"}
    with pytest.raises(UsageError, match="no group of runs is called 'Cutmx'. Did you mean 'CutMix'"):
        find_baseline(groups, "Cutmx")


def test_what_a_comparison_wrote_is_no_run_and_no_mistake(tmp_path, make_run):
    run = make_run(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "compare").mkdir()
    with pytest.raises(UsageError, match="there is no run in .*compare"):
        find_runs((tmp_path / "runs").iterdir())
    (tmp_path / "runs" / "compare" / "compare.json").write_text("{}")
    assert find_runs((tmp_path / "runs").iterdir()) == [run]


def test_groups_of_one_method_are_named_by_the_arguments_that_differ():
    calls = ["CutMix(alpha=0.2, prob=0.5, scope='per_batch')", "CutMix(alpha=1.0, prob=0.5, scope='per_batch')",
             "NoMixing()", "Twice(CutMix(prob=0.5), 3)", "Twice(CutMix(prob=0.5), 4)"]  # fmt: skip
    names = ["CutMix(alpha=0.2)", "CutMix(alpha=1.0)", "NoMixing", "Twice(3)", "Twice(4)"]
    assert comparison.setting_names([{"mixing": call} for call in calls]) == names
