"""Comparisons: statistics by hand and against scipy, and the table in all its forms."""

from __future__ import annotations

import csv
import io
import json

import pytest
from scipy import stats

from cutmix import comparison
from cutmix.comparison import compare, paired_difference
from cutmix.errors import UsageError
from cutmix.measures import TOP1
from cutmix.results import Record, Summary
from cutmix.runs import SECONDS

CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


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
    best, seconds = TOP1.best, SECONDS
    return {
        "plain": [*records(plain, 4, 5, 9), *records(plain, 3, 5, 8, name=best),
                  *records(plain, 10, 10, 13, name=seconds)],
        "mixed": [*records(mixed, 1, 2, 4.5), *records(mixed, 1, 1, 1, name=best),
                  *records(mixed, 11, 12, 19, name=seconds)],
        "third": [*records(third, 4.25, seeds=[1]), *records(third, 4, name=best, seeds=[1])],
    }  # fmt: skip


def test_rows_by_hand():
    plain, mixed, third = compare(three_groups()).rows
    assert (plain.last.mean, plain.best.mean, plain.difference, plain.overhead) == (6, 16 / 3, None, None)
    assert (mixed.difference.mean, mixed.best.sd) == (-3.5, 0)
    assert (mixed.difference.low, mixed.difference.high) == pytest.approx((-5.6513, -1.3487), abs=1e-4)
    assert (plain.seconds, mixed.seconds, mixed.overhead) == (10, 12, pytest.approx(0.2))
    assert (third.difference.mean, third.difference.low, third.seconds, third.overhead) == (-0.75, None, None, None)


def test_any_group_can_be_the_baseline():
    plain, mixed, third = compare(three_groups(), "mixed").rows
    assert (plain.difference.mean, mixed.difference, third.difference.mean) == (3.5, None, 2.25)
    assert plain.overhead == pytest.approx(10 / 12 - 1)
    with pytest.raises(UsageError, match="no group is called 'mixd'. Did you mean 'mixed'"):
        compare(three_groups(), "mixd")


def test_the_table_in_words():
    header, cells = comparison.table_cells(compare(three_groups()))
    assert header[3:5] == ["difference to plain (95 % interval)", "best epoch, chosen on the test set"]
    assert cells == [
        ["plain", "3", "6.00 ± 2.65", "baseline", "5.33 ± 2.52", "10", ""],
        ["mixed", "3", "2.50 ± 1.80", "-3.50 (-5.65 to -1.35)", "1.00 ± 0.00", "12", "+20.0 %"],
        ["third", "1", "4.25", "-0.75 (one pair: no interval)", "4.00", "", ""],
    ]


def test_a_group_says_how_many_of_its_seeds_are_paired():
    groups = three_groups()
    groups["mixed"] = [record for record in groups["mixed"] if record.seed != 0] + [
        *records({"mixing": CUTMIX}, 1, seeds=[9]), *records({"mixing": CUTMIX}, 1, name=TOP1.best, seeds=[9])
    ]  # fmt: skip
    _, cells = comparison.table_cells(compare(groups))
    assert cells[1][3].endswith(", 2 pairs")


def test_all_forms_hold_the_numbers_and_the_warnings():
    compared = compare(three_groups())
    text = comparison.as_text(compared, ["Beware."])
    assert "mixed  3      2.50 ± 1.80  -3.50 (-5.65 to -1.35)" in text
    assert "* chosen on the test set" in text
    assert "! Beware." in text
    plain, mixed, third = csv.DictReader(io.StringIO(comparison.as_csv(compared, ["Beware."])))
    assert (mixed["name"], mixed["seeds"], float(mixed["difference_mean"])) == ("mixed", "0 1 2", -3.5)
    assert (plain["difference_mean"], third["difference_low"], third["pairs"]) == ("", "", "1")
    assert mixed["warnings"] == "Beware."
    whole = json.loads(comparison.as_json(compared, ["Beware."]))
    assert whole["rows"][1]["difference"]["mean"] == -3.5
    assert whole["rows"][1]["last"]["values"] == [1, 2, 4.5]
    assert (whole["baseline"], whole["warnings"], whole["best_is"]) == ("plain", ["Beware."], "chosen on the test set")


# ---------------------------------------------------------------------------------------------------------- transfers


def two_backbones() -> dict[str, list[Record]]:
    """plain: 40, 44, 47, best 41, 44, 47; mixed: 43, 45.5, 52, best 43, 45.5, 53.5, with seeds in another order."""
    plain, mixed = {"backbone": "plain"}, {"backbone": "mixed"}
    last, best, other = "mean_ap_last", "mean_ap_best", "coco_map_last"
    return {
        "plain": [*records(plain, 7, 8, 9, name=other), *records(plain, 40, 44, 47, name=last),
                  *records(plain, 41, 44, 47, name=best)],
        "mixed": [*records(mixed, 52, 43, 45.5, name=last, seeds=[2, 0, 1]),
                  *records(mixed, 53.5, 43, 45.5, name=best, seeds=[2, 0, 1])],
    }  # fmt: skip


def test_transfers_are_paired_by_seed_and_a_gain_is_positive():
    """Gaps 3, 1.5, 5: mean 9.5 / 3; squares of deviations 6.1667 over 2 are 3.0833, so the half is
    1.7559 / 3 ** 0.5 times Student's 4.3027, which is 4.3621."""
    compared = compare(two_backbones())
    plain, mixed = compared.rows
    assert (compared.measure.name, compared.baseline) == ("mean_ap", "plain")
    assert (mixed.last.mean, mixed.best.mean) == pytest.approx((140.5 / 3, 142 / 3))
    assert (plain.last.mean, plain.best.mean) == pytest.approx((131 / 3, 44))
    gap = mixed.difference
    assert (gap.mean, gap.low, gap.high) == pytest.approx((9.5 / 3, 9.5 / 3 - 4.3621, 9.5 / 3 + 4.3621), abs=1e-4)
    expected = stats.ttest_rel([43, 45.5, 52], [40, 44, 47]).confidence_interval(0.95)
    assert (gap.low, gap.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    text = comparison.as_text(compared, [])
    assert "mixed  3      46.83 ± 4.65  +3.17 (-1.20 to +7.53)" in text
    assert "Mean AP in percent" in text
    assert "positive is better" in text
    assert "error" not in text
    whole = json.loads(comparison.as_json(compared, []))
    assert (whole["measure"], whole["larger_is_better"]) == ("mean_ap", True)


def test_the_papers_numbers_stand_beside_with_their_difference():
    paper = {"plain": {"mean_ap": 76.7, "top1": 1.0}, "mixed": {"cider": 3.0, "mean_ap": 77.6}}
    compared = compare(two_backbones(), paper=lambda recipe: paper[recipe["backbone"]])
    header, cells = comparison.table_cells(compared)
    assert [header[7], cells[0][7], cells[1][7]] == ["the paper", "76.70", "77.60 (+0.90)"]
    assert "The paper's numbers" in comparison.as_text(compared, [])
    other = compare(two_backbones(), "mixed", lambda recipe: paper[recipe["backbone"]])
    assert [row[7] for row in comparison.table_cells(other)[1]] == ["76.70 (-0.90)", "77.60"]
    (_, mixed) = csv.DictReader(io.StringIO(comparison.as_csv(compared, [])))
    assert (mixed["measure"], mixed["paper"]) == ("mean_ap", "77.6")
    alone = compare(two_backbones(), paper=lambda recipe: paper["mixed"] if recipe["backbone"] == "mixed" else {})
    assert [row[7] for row in comparison.table_cells(alone)[1]] == ["", "77.60"]
    notes = [comparison.paper_note(which) for which in (compared, alone)]
    assert ["with the difference to the paper's of plain" in note for note in notes] == [True, False]
    assert "the paper" not in comparison.as_text(compare(two_backbones()), []).lower()


def test_groups_that_are_not_measured_alike_are_refused():
    with pytest.raises(UsageError, match=r"not all of this is measured alike \(top-1 error: plain; mean AP: net\)"):
        compare({"plain": three_groups()["plain"], "net": two_backbones()["plain"]})
