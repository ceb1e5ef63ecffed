"""Measures: their words, which way is better, and which of them it is."""

from __future__ import annotations

import pytest

from cutmix.errors import UsageError
from cutmix.measures import BESIDE, COMPARED_BY, KNOWN, TOP1, UNTESTED, first_known, named, the_same
from cutmix.recipes.names import tasks


def test_an_error_is_better_when_small():
    assert TOP1.definition == (
        "Top-1 error in percent, mean ± standard deviation over seeds (n - 1 in the denominator). Differences are of "
        "the last epoch, seed by seed, with Student's t interval; negative is better. Seconds are the median training "
        "epoch's."
    )
    assert TOP1.chosen_on_test.startswith(
        "The best epoch is the one with the lowest error on the test set itself, so that error is too low for"
    )
    assert (TOP1.axis, TOP1.last, TOP1.best) == (
        "top-1 error on the test set (%)", "test_error_top1_last", "test_error_top1_best"
    )  # fmt: skip


def test_a_score_is_better_when_large_and_no_error():
    cider = named("cider")
    assert cider.definition.startswith("CIDEr times 100, mean ± ")
    assert "; positive is better." in cider.definition
    assert "with the highest CIDEr on the test set itself, so that CIDEr is too high for" in cider.chosen_on_test
    assert cider.axis == "CIDEr on the test set (× 100)"
    assert "error" not in cider.definition + cider.chosen_on_test


def test_the_measure_of_every_task_is_known_and_better_when_large():
    measures = {task: named(cls.measure) for task, cls in tasks().items()}
    assert {"SSD", "FasterRCNN", "NIC"} <= set(measures)
    assert all(measure in COMPARED_BY and measure.larger_is_better for measure in measures.values())


def test_only_errors_are_better_when_small():
    small = [measure.name for measure in (*COMPARED_BY, *BESIDE) if not measure.larger_is_better]
    assert small == ["test_error_top1", "test_error_top5"]
    assert len(KNOWN) == len(COMPARED_BY) + len(BESIDE)


def test_a_measure_that_is_not_known_goes_by_its_name():
    spice = named("spice")
    assert (spice.words, spice.larger_is_better, spice.axis) == ("spice", True, "spice on the test set")
    assert spice.spread.startswith("Spice, mean ± ")


def test_the_mean_ap_of_two_metrics_is_two_measures():
    old, new = (named("mean_ap", {"task": f"SSD(norm='l2', metric='{metric}')"}) for metric in ("voc07", "voc"))
    assert (old.words, new.words) == ("mean AP (VOC 2007, 11 points)", "mean AP (VOC 2010, area)")
    assert (old.name, old.short, old.axis) == ("mean_ap", "mean AP", "mean AP on the test set (%)")
    assert named("cider", {"task": "NIC(beam=3)"}) == KNOWN["cider"]


def test_what_epochs_are_compared_by_is_found_among_other_numbers():
    assert first_known(["epoch", "bleu1", "cider", "rouge_l"]) == "cider"
    assert first_known(["epoch", "train_loss"]) == ""
    assert first_known(["spice"], otherwise="spice") == "spice"


def test_several_measures_have_no_place_in_one_table():
    assert the_same([(TOP1, "a"), (TOP1, "b")]) is TOP1
    assert the_same([]) is UNTESTED
    with pytest.raises(UsageError, match=r"not all of this is measured alike \(top-1 error: a; CIDEr: b\)"):
        the_same([(TOP1, "a"), (KNOWN["cider"], "b"), (TOP1, "c")])
