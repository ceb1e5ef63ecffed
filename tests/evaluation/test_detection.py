"""Detection metrics: by hand, against scikit-learn and pytorch-ood; and what happens when a definition is bent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from cutmix.errors import UsageError
from cutmix.evaluation.detection import detection, roc


def oracle(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """All six from scikit-learn's curves."""
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    scores = np.r_[inside, outside]
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    nearness = np.round(abs(tpr - 0.95), 10)
    nearest = max(tpr[nearness == nearness.min()])
    return {
        "tnr95": 1 - fpr[tpr == nearest].min(),
        "auroc": roc_auc_score(truth, scores),
        "detection": ((tpr + 1 - fpr) / 2).max(),
        "fpr95": fpr[tpr >= 0.95].min(),
        "aupr_in": average_precision_score(truth, scores),
        "aupr_out": average_precision_score(1 - truth, -scores),
    }


def test_all_columns_by_hand():
    # in 4, 3, 3, 1; out 3, 2, 0. From the highest threshold down, (in, out) accepted:
    # (0, 0), 4: (1, 0), 3: (3, 1), 2: (3, 2), 1: (4, 2), 0: (4, 3)
    curve = roc(np.array([3.0, 1.0, 4.0, 3.0]), np.array([0.0, 3.0, 2.0]))
    assert curve.accepted_in_T.tolist() == [0, 1, 3, 3, 4, 4]
    assert curve.accepted_out_T.tolist() == [0, 0, 1, 2, 2, 3]
    found = detection(np.array([3.0, 1.0, 4.0, 3.0]), np.array([0.0, 3.0, 2.0]))
    assert found.tnr95 == pytest.approx(1 / 3)  # 1.0 is nearer to 0.95 than 0.75, and leaves two of three out-images
    assert found.fpr95 == pytest.approx(2 / 3)
    assert found.auroc == pytest.approx(
        (3 + 2.5 + 2.5 + 1) / 12 - 0.0
    )  # 4 beats 3, each 3 beats 2 and ties 1, 1 beats 1
    assert found.detection == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert found.aupr_in == pytest.approx(1 / 4 * 1 + 2 / 4 * 3 / 4 + 1 / 4 * 4 / 6)
    assert found.aupr_out == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 6)


def test_the_nearest_tpr_may_be_below_95_percent_and_fpr95_may_not():
    # 16 in-images: TPR 15/16 = 0.9375 is nearer to 0.95 than 1; the last in-image lies below all ten out-images
    inside, outside = np.r_[np.arange(10, 25), -1.0], np.arange(10) / 10
    found = detection(inside, outside)
    assert (found.tnr95, found.fpr95) == (1.0, 1.0)


def test_of_two_equally_near_tprs_the_larger_one_counts():
    # Of ten in-images nine lie at 2 or above and one at 0: TPR 0.9 and 1 are equally near to 0.95. At 2 one of four
    # out-images is accepted, at 0 three are.
    found = detection(np.r_[np.arange(2.0, 11), 0.0], np.array([5.5, 1.0, 1.0, -1.0]))
    assert (found.tnr95, found.fpr95) == (1 / 4, 3 / 4)


def test_fpr95_is_at_a_tpr_of_exactly_95_percent_where_there_is_one():
    # 19 of twenty in-images lie above the out-images, the last one below two of three.
    found = detection(np.r_[np.arange(1.0, 20), -1.0], np.array([0.0, -0.5, -2.0]))
    assert (found.tnr95, found.fpr95) == (1.0, 0.0)


SETS = {
    "separate": lambda rng: (rng.normal(3, 1, 41), rng.normal(0, 1, 30)),
    "alike": lambda rng: (rng.normal(0, 1, 100), rng.normal(0, 1, 37)),
    "reversed": lambda rng: (rng.normal(-2, 1, 30), rng.normal(1, 1, 90)),
    "many equal": lambda rng: (rng.integers(0, 4, 60) / 1.0, rng.integers(0, 3, 25) / 1.0),
    "all equal": lambda rng: (np.ones(7), np.ones(19)),
    "perfect": lambda rng: (np.ones(7), np.zeros(19)),
    "perfectly wrong": lambda rng: (np.zeros(7), np.ones(19)),
    "one each": lambda rng: (np.array([0.3]), np.array([0.7])),
    "infinite": lambda rng: (np.r_[1e308, rng.normal(size=9)], np.r_[-1e308, rng.normal(size=5)]),
}


@pytest.mark.parametrize("name", SETS)
def test_all_columns_are_those_of_scikit_learn(name):
    inside, outside = SETS[name](np.random.default_rng(11))
    assert detection(inside, outside)._asdict() == pytest.approx(oracle(inside, outside), abs=1e-12)


def test_auroc_aupr_and_fpr_are_those_of_pytorch_ood():
    """Its positives are the out-images and its scores grow outwards; its FPR95 accepts 95 % of the out-images."""
    from pytorch_ood.metrics import OODMetrics
    from torch import tensor

    rng = np.random.default_rng(5)
    inside, outside = rng.normal(1.2, 1, 300), rng.normal(0, 1.4, 200)
    metrics = OODMetrics()
    metrics.update(tensor(np.r_[-inside, -outside]), tensor([0] * 300 + [-1] * 200))
    theirs = metrics.compute()
    ours = detection(inside, outside)
    assert ours.auroc == pytest.approx(float(theirs["AUROC"]), abs=1e-6)
    turned = detection(-outside, -inside)  # what is the positive class to it
    assert turned.fpr95 == pytest.approx(float(theirs["FPR95TPR"]), abs=1e-6)
    assert ours.fpr95 != pytest.approx(turned.fpr95, abs=0.01)


def test_the_useless_score_gives_what_the_docstrings_say():
    found = detection(np.ones(7), np.ones(19))
    assert found == pytest.approx((0.0, 0.5, 0.5, 1.0, 7 / 26, 19 / 26))


def test_a_swapped_positive_class_shows_in_every_column():
    rng = np.random.default_rng(2)
    inside, outside = rng.normal(1, 0.5, 200), rng.normal(0, 1.5, 150)
    right, swapped, turned = detection(inside, outside), detection(outside, inside), detection(-inside, -outside)
    for other in (swapped, turned):
        assert all(abs(a - b) > 0.01 for a, b in zip(right, other))


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
    st.lists(st.integers(-5, 5), min_size=1, max_size=30),
)
def test_what_always_holds(inside, outside):
    found = detection(np.array(inside, float), np.array(outside, float))
    assert all(0 <= value <= 1 for value in found)
    assert found.detection >= 0.5
    stretched = detection(3.0 * np.array(inside) - 7, 3.0 * np.array(outside) - 7)
    assert stretched == found  # only the order counts
    assert found._asdict() == pytest.approx(oracle(np.array(inside, float), np.array(outside, float)), abs=1e-9)


@pytest.mark.parametrize(("inside", "outside"), [([], [1.0]), ([1.0], []), ([np.nan, 1.0], [1.0])])
def test_bad_scores_are_refused(inside, outside):
    with pytest.raises(UsageError):
        detection(np.array(inside), np.array(outside))
