"""COCO's mean AP: both libraries give the same; its edges; and what is said where neither is there."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cutmix.data import make_boxes
from cutmix.transfer.average_precision import Detections
from cutmix.transfer.coco_map import SKIPPED, coco_map

CLASSES = ("cat", "dog", "eel")


def some_case():
    rng = np.random.default_rng(3)
    found, true = [], []
    for _ in range(10):
        corner = rng.uniform(0, 50, (6, 2))
        edges = np.concatenate((corner, corner + rng.uniform(10, 40, (6, 2))), axis=1)
        labels = rng.integers(0, 2, 6)
        true.append(make_boxes(edges, labels, rng.random(6) < 0.2))
        found.append(Detections(edges + rng.normal(0, 2, edges.shape), labels, rng.random(6)))
    return found, true


def test_both_libraries_agree(monkeypatch, capsys):
    found, true = some_case()
    faster = coco_map(found, true, CLASSES)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    slower = coco_map(found, true, CLASSES)
    assert 10 < faster["coco_map"] < faster["coco_map50"] < 100
    assert set(faster["coco_per_class"]) == {"cat", "dog"}  # there is no eel
    for name in ("coco_map", "coco_map50", "coco_map75"):
        assert faster[name] == pytest.approx(slower[name], abs=1e-6)
    assert faster["coco_per_class"] == pytest.approx(slower["coco_per_class"], abs=1e-6)
    assert capsys.readouterr().out == ""


def test_perfect_shifted_and_nothing():
    """A box of 10x10 found a tenth too low has an IoU of 9/11: right at 0.50 to 0.80, seven of ten thresholds."""
    true = [make_boxes([[0, 0, 10, 10]], [1])]

    def one(low: float) -> dict:
        return coco_map([Detections(np.array([[0, low, 10, 10 + low]]), np.array([1]), np.array([0.6]))], true, CLASSES)

    assert one(0)["coco_map"] == pytest.approx(100)
    assert one(1)["coco_map"] == pytest.approx(70)
    none = coco_map([Detections(np.empty((0, 4)), np.empty(0, int), np.empty(0))], true, CLASSES)
    assert none == {"coco_map": 0.0, "coco_map50": 0.0, "coco_map75": 0.0, "coco_per_class": {"dog": 0.0}}


def one_found(rows) -> Detections:
    """rows: (x1, y1, x2, y2, label, score)."""
    table = np.array(rows, np.float64)
    return Detections(table[:, :4], table[:, 4].astype(int), table[:, 5])


def test_each_threshold_and_each_class_by_hand():
    """Boxes of a height of 10 found 3 and 2 too low: IoUs of 7/13 (right at 0.50 alone) and 8/12 (at 0.50 to 0.65).

    A perfect cat, a dog of one threshold in ten, an eel of four; at 0.75 the cat alone is right. The cat's area is not
    among those that are small to COCO (32x32).
    """
    true = [make_boxes([[100, 0, 150, 40], [20, 0, 24, 10], [40, 0, 44, 10]], [0, 1, 2])]
    rows = [(100, 0, 150, 40, 0, 0.7), (20, 3, 24, 13, 1, 0.8), (40, 2, 44, 12, 2, 0.9)]
    scores = coco_map([one_found(rows)], true, CLASSES)
    assert scores.pop("coco_per_class") == pytest.approx({"cat": 100, "dog": 10, "eel": 40})
    assert scores == pytest.approx({"coco_map": 50, "coco_map50": 100, "coco_map75": 100 / 3})


def test_what_lies_within_a_difficult_object_counts_neither_way():
    """A surer detection in a crowd ten times its size; outside of it, the same is wrong and halves the precision."""
    true = [make_boxes([[0, 0, 4, 10], [20, 0, 40, 20], [70, 0, 80, 9]], [1, 1, 2], [False, True, True])]
    right = (0, 0, 4, 10, 1, 0.5)
    within, outside = (
        coco_map([one_found([right, (x, 5, x + 4, 15, 1, 0.9)])], true, CLASSES)["coco_per_class"] for x in (25, 60)
    )
    assert within == pytest.approx({"dog": 100})  # nobody is asked for the eel
    assert outside == pytest.approx({"dog": 50})


def test_more_than_ten_objects_of_a_picture_can_be_found():
    edges = [[10.0 * k, 0, 10 * k + 4, 10] for k in range(12)]
    rows = [(*box, 0, 0.5 + k / 100) for k, box in enumerate(edges)]
    assert coco_map([one_found(rows)], [make_boxes(edges, [0] * 12)], CLASSES)["coco_map"] == pytest.approx(100)


def test_the_surest_detections_are_judged_first():
    """A wrong one at 0.3 harms a right one at 0.2 by half, and does no harm to one at 0.8."""
    true = [make_boxes([[0, 0, 4, 10]], [1])]
    for sure, expected in ((0.8, 100), (0.2, 50)):
        rows = [(30, 0, 34, 10, 1, 0.3), (0, 0, 4, 10, 1, sure)]
        assert coco_map([one_found(rows)], true, CLASSES)["coco_map"] == pytest.approx(expected)


def test_without_a_library_it_is_named_as_skipped(monkeypatch):
    for name in ("faster_coco_eval", "pycocotools", "pycocotools.coco"):
        monkeypatch.setitem(sys.modules, name, None)
    assert coco_map(*some_case(), CLASSES) == {"coco_map": SKIPPED}
    assert "cutmix[detection]" in SKIPPED
