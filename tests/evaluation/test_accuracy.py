"""Accuracy: counts by hand, scipy's Wilson interval, scikit-learn's top-k and confusion matrix."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import top_k_accuracy_score

from cutmix.errors import UsageError
from cutmix.evaluation.accuracy import Accuracy, confusion_matrix, label_ranks, wilson_interval


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (3, 10), (0, 50), (50, 50), (9_876, 10_000)])
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_wilson_interval_is_that_of_scipy(hits, n, confidence):
    oracle = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(hits, n, confidence) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "n", "confidence"), [(0, 0, 0.95), (4, 3, 0.95), (-1, 3, 0.95), (1, 3, 1.0)])
def test_what_is_no_share_is_refused(hits, n, confidence):
    with pytest.raises(UsageError):
        wilson_interval(hits, n, confidence)


def test_ranks_by_hand_with_ties():
    logits = np.array([[1.0, 3.0, 2.0], [3.0, 3.0, 1.0], [3.0, 3.0, 1.0], [0.0, 0.0, 0.0]], dtype=np.float32)
    assert label_ranks(logits, np.array([0, 0, 1, 2])).tolist() == [2, 0, 1, 2]


def test_ranks_give_scikit_learns_top_k():
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(200, 7)).astype(np.float32), rng.integers(0, 7, 200)
    for k in (1, 2, 5):
        oracle = top_k_accuracy_score(labels, logits, k=k, labels=np.arange(7))
        assert (label_ranks(logits, labels) < k).mean() == pytest.approx(oracle)


def test_confusion_matrix_is_that_of_scikit_learn():
    rng = np.random.default_rng(4)
    labels, guesses = rng.integers(0, 5, 300), rng.integers(0, 4, 300)  # class 4 is never guessed
    matrix = confusion_matrix(labels, guesses, 6)  # and class 5 is in neither
    assert (matrix == sklearn_confusion(labels, guesses, labels=np.arange(6))).all()


def answer(logits, labels, classes):
    """The answer for made-up logits."""
    logits = torch.tensor(logits, dtype=torch.float32)

    class Made(SimpleNamespace):
        def __len__(self):
            return len(logits)

    subject = Made(logits=lambda: (logits, torch.tensor(labels)), data=SimpleNamespace(classes=classes))
    return dict(Accuracy().answer(subject))


def test_the_answer_by_hand():
    # six classes; class 0 three times (recognised once, twice taken for 2), class 1 once (never: fifth guess)
    logits = np.zeros((4, 6))
    logits[0, 0], logits[1, 2], logits[2, 2] = 5, 5, 5
    logits[3] = [9, 0, 8, 7, 6, -1]
    found = answer(logits, [0, 0, 0, 1], tuple("abcdef"))
    assert (found["accuracy/top1"], found["accuracy/top1"].n) == (25.0, 4)
    # Wilson's interval at 95 %: z = 1.96, z * z / n = 0.960. The middle is (0.25 + 0.480) / 1.960 = 0.372, half the
    # width 1.96 / 1.960 * sqrt(0.25 * 0.75 / 4 + 0.960 / 16) = 0.327.
    assert found["accuracy/top1"].interval == pytest.approx((4.559, 69.936), abs=1e-3)
    assert found["accuracy/top5"] == 100.0
    assert found["accuracy/class_mean"] == pytest.approx(100 * (1 / 3 + 0) / 2)  # classes without images do not count
    assert found["accuracy/confused"].rows == [["a", "c", 2, 66.67], ["b", "a", 1, 100.0]]
    assert found["accuracy/per_class"].rows[:3] == [
        ["a", 3, 33.33, 6.15, 79.23, "c"],  # middle 0.427, half 0.365
        ["b", 1, 0.0, 0.0, 79.35, "a"],  # from 0 to 3.841 / 4.841
        ["c", 0, None, None, None, ""],
    ]
    assert [row[5] for row in found["accuracy/per_class"].rows[3:]] == ["", "", ""]
    assert found["accuracy/confusion"].rows[0] == ["a", 1, 0, 2, 0, 0, 0]


def test_a_network_that_says_the_same_of_every_class_is_not_called_right():
    found = answer(np.zeros((6, 6)), list(range(6)), tuple("abcdef"))
    assert found["accuracy/top1"] == pytest.approx(100 / 6)
    assert found["accuracy/top5"] == pytest.approx(500 / 6)


def test_top_5_of_five_classes_is_not_called_100_percent():
    found = answer(np.eye(5), list(range(5)), tuple("abcde"))
    assert "every image" in found["accuracy/top5"].reason


def test_a_matrix_of_many_classes_is_left_out_and_said_to_be():
    found = answer(np.eye(101), list(range(101)), tuple(map(str, range(101))))
    assert "more than 100 classes" in found["accuracy/confusion"].reason
    assert len(found["accuracy/per_class"].rows) == 101
