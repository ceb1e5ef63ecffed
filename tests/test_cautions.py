"""Warnings that come when they should, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cutmix.cautions import cautions
from cutmix.measures import TOP1
from cutmix.runs import Group, grouped, read_runs

CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


def groups_of(*folders: Path) -> list[Group]:
    return grouped(read_runs(folders))


def told(groups: list[Group]) -> list[str]:
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
    assert groups[1].summary(TOP1.last).values == (1.0, 2.4, 4.5)


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
        "The runs were tested on different numbers of images, so their numbers cannot be compared.",
        "The runs were made with different versions of the code: 0.1.0+g123, 0.1.0+g9.changed.",
        "Some runs were made with changes to the code that its commit does not hold.",
        "The runs were made on different machines, so their times cannot be compared.",
    ]


def test_nothing_is_called_an_error_of_a_transfer(tmp_path, make_transfer, make_transfers):
    other = make_transfer(tmp_path / "other", backbone="third", lr=0.3)
    said = cautions(groups_of(*make_transfers(tmp_path), other), compared={"backbone"})
    assert "error" not in " ".join(said)
    assert any("differ in lr, which is not what is compared (backbone), so a difference in mean AP" in t for t in said)
    assert any("differ by +3.17, and the interval (-1.20 to +7.53) includes 0" in text for text in said)
    assert "with the highest mean AP on the test set itself, so that mean AP is too high" in said[-1]
