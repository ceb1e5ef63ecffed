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


def test_without_a_library_it_is_named_as_skipped(monkeypatch):
    for name in ("faster_coco_eval", "pycocotools", "pycocotools.coco"):
        monkeypatch.setitem(sys.modules, name, None)
    assert coco_map(*some_case(), CLASSES) == {"coco_map": SKIPPED}
    assert "cutmix[detection]" in SKIPPED
