"""Calibration: bins by hand; torchmetrics' calibration error, scikit-learn's Brier score, log loss, scipy's optimum."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from cutmix.errors import UsageError
from cutmix.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    Calibration,
    brier_score,
    equal_mass_bins,
    equal_width_bins,
    fit_temperature,
    negative_log_likelihood,
)


def made_up(n: int = 300, classes: int = 4, seed: int = 0, sureness: float = 2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    return torch.tensor(sureness * logits, dtype=torch.float32), torch.tensor(labels)


def test_equal_width_bins_by_hand():
    # 4 bins: 0.25 and 0.2 in the first (its upper edge belongs to it), 0.3 in the second, 0.8 and 1.0 in the last
    confidence, hits = np.array([0.25, 0.2, 0.3, 0.8, 1.0]), np.array([True, False, True, False, True])
    bins = equal_width_bins(confidence, hits, 4)
    assert bins.counts_M.tolist() == [2, 1, 2]
    assert bins.confidence_M == pytest.approx([0.225, 0.3, 0.9])
    assert bins.accuracy_M == pytest.approx([0.5, 1.0, 0.5])
    assert bins.expected_error == pytest.approx((2 * 0.275 + 1 * 0.7 + 2 * 0.4) / 5)


def test_equal_mass_bins_by_hand():
    # 7 images in 3 bins: the upper edges are the 3rd, 5th and 7th smallest confidence
    confidence = np.array([0.9, 0.1, 0.5, 0.3, 0.95, 0.2, 0.6])
    hits = np.array([True, False, False, True, True, False, True])
    bins = equal_mass_bins(confidence, hits, 3)
    assert bins.counts_M.tolist() == [3, 2, 2]
    assert bins.confidence_M == pytest.approx([0.2, 0.55, 0.925])
    assert bins.accuracy_M == pytest.approx([1 / 3, 0.5, 1.0])


def test_equal_confidences_share_a_bin_whatever_their_order():
    confidence, hits = np.array([0.4] * 5 + [0.9]), np.array([True, True, False, False, False, True])
    errors = {equal_mass_bins(confidence, hits, 3).expected_error}
    for order in ([4, 3, 2, 1, 0, 5], [5, 0, 2, 4, 1, 3]):
        errors.add(equal_mass_bins(confidence[order], hits[order], 3).expected_error)
    assert len(errors) == 1
    assert errors.pop() == pytest.approx(1 / 6 * 0.1)


def test_equal_mass_is_the_sorted_images_in_equal_parts():
    rng = np.random.default_rng(8)
    confidence, hits = rng.random(120), rng.random(120) < 0.6
    order = np.argsort(confidence)
    parts = [(confidence[rows].mean(), hits[rows].mean()) for rows in order.reshape(15, 8)]
    oracle = np.mean([abs(c - a) for c, a in parts])
    assert equal_mass_bins(confidence, hits, 15).expected_error == pytest.approx(oracle)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("sureness", [0.0, 0.3, 2.0, 500.0])  # all classes alike; unsure; too sure; all but certain
def test_the_calibration_error_is_that_of_torchmetrics(bins, sureness):
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, labels = made_up(classes=7, sureness=sureness)
    probabilities = logits.double().softmax(1).clamp(max=1 - 1e-12)  # torchmetrics gives exactly 1 a bin of its own
    confidence, guesses = probabilities.max(1)
    ours = equal_width_bins(confidence.numpy(), (guesses == labels).numpy(), bins).expected_error
    oracle = multiclass_calibration_error(probabilities, labels, num_classes=7, n_bins=bins, norm="l1")
    assert ours == pytest.approx(float(oracle), abs=1e-6)


@pytest.mark.parametrize("sureness", [0.0, 2.0, 8.0])
def test_brier_and_likelihood_are_those_of_scikit_learn(sureness):
    logits, labels = made_up(sureness=sureness)
    probabilities = logits.double().softmax(1).numpy()
    oracle = brier_score_loss(labels.numpy(), probabilities, labels=range(4), scale_by_half=False)
    assert brier_score(logits, labels) == pytest.approx(oracle)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, probabilities, labels=range(4)))


def test_brier_goes_from_0_to_2():
    certain = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert brier_score(certain, torch.tensor([0, 1])) == 0.0
    assert brier_score(certain, torch.tensor([1, 0])) == 2.0


@pytest.mark.parametrize("sureness", [0.1, 1.0, 7.0])
def test_the_temperature_is_the_optimum_that_scipy_finds(sureness):
    logits, labels = made_up(sureness=sureness)
    oracle = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits / np.exp(log_t), labels), bounds=(-4, 4), method="bounded"
    )
    assert fit_temperature(logits, labels) == pytest.approx(np.exp(oracle.x), rel=1e-3)


def test_the_temperature_of_what_has_no_optimum_is_an_end_of_the_range():
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(right, torch.tensor([0, 1])) == COLDEST
    assert fit_temperature(right, torch.tensor([1, 0])) == HOTTEST


def answer(logits, labels, **arguments):
    subject = SimpleNamespace(logits=lambda: (logits, labels), rng=lambda *position: np.random.default_rng(0))
    return dict(Calibration(**arguments).answer(subject))


def test_the_temperature_is_fitted_on_images_that_are_not_reported_on():
    """With nonsense for the labels of the held-out images only the temperature changes, not what it is tested on."""
    logits, labels = made_up(n=50, sureness=5.0)
    held_out = np.random.default_rng(0).permutation(50)[:15]
    nonsense = labels.clone()
    nonsense[held_out] = (labels[held_out] + 1) % 4
    one, other = answer(logits, labels, held_out=0.3), answer(logits, nonsense, held_out=0.3)
    assert (one["calibration/temperature"].n, one["calibration/scaled/ece"].n) == (15, 35)
    assert one["calibration/ece"].n == 50
    assert one["calibration/temperature"] < other["calibration/temperature"]
    for key in ("ece", "ece_equal_mass", "brier", "nll"):
        assert one[f"calibration/unscaled/{key}"] == other[f"calibration/unscaled/{key}"]


def two_classes(confidences, hits):
    """Logits of two classes, the first of which has these probabilities, and labels: the first class where it hits."""
    first = torch.tensor(confidences, dtype=torch.float64)
    return torch.stack([first.log(), (1 - first).log()], dim=1), 1 - torch.tensor(hits, dtype=torch.int64)


def test_the_question_asks_for_its_own_bins():
    # Two bins of equal width: all images are in the upper one, mean confidence 0.79, four of five right. Two of equal
    # mass: three images at 0.7 of which two are right, and two at 0.925 that are right.
    found = answer(*two_classes([0.6, 0.7, 0.8, 0.9, 0.95], [1, 0, 1, 1, 1]), bins=2)
    assert found["calibration/ece"] == pytest.approx(1.0)
    assert found["calibration/ece_equal_mass"] == pytest.approx(100 * (3 * (0.7 - 2 / 3) + 2 * 0.075) / 5)
    assert found["calibration/bins"].rows == [[5, 79.0, 80.0]]
    assert (found["calibration/reliability"].x, found["calibration/reliability"].y) == (
        pytest.approx([79.0]),
        pytest.approx([80.0]),
    )


def test_scaling_by_hand():
    # All ten are 0.9 sure: odds of 9. Three of the four held out are right: odds of 3, so the temperature is
    # log 9 / log 3 = 2, and the six others, of which three are right, become 0.75 sure.
    held_out, others = np.split(np.random.default_rng(0).permutation(10), [4])
    hits = np.ones(10, dtype=np.int64)
    hits[[held_out[2], *others[:3]]] = 0
    found = answer(*two_classes([0.9] * 10, hits), held_out=0.4)
    assert found["calibration/temperature"] == pytest.approx(2.0)
    assert found["calibration/unscaled/ece"] == pytest.approx(40.0)
    assert found["calibration/scaled/ece"] == pytest.approx(25.0)
    assert found["calibration/scaled/nll"] == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert found["calibration/scaled/brier"] == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2)
    assert found["calibration/scaled/reliability"].x == pytest.approx([75.0])
    assert found["calibration/scaled/reliability"].y == pytest.approx([50.0])


def test_scaling_mends_a_network_that_is_too_sure():
    found = answer(*made_up(n=4000, sureness=6.0))
    assert found["calibration/temperature"] > 2
    assert found["calibration/scaled/ece"] < found["calibration/unscaled/ece"] / 3
    assert found["calibration/scaled/nll"] < found["calibration/unscaled/nll"]


def test_a_network_that_is_always_right_is_told_that_no_temperature_is_best():
    logits = 3 * torch.eye(4).repeat(10, 1)
    found = answer(logits, torch.arange(4).repeat(10))
    assert "the end was the best" in found["calibration/temperature/bound"].text


def test_a_network_that_is_certain_counts_in_the_last_bin():
    found = answer(1e4 * torch.eye(4).repeat(10, 1), torch.tensor([0, 1, 2, 0] * 10))
    assert found["calibration/ece"] == pytest.approx(25.0)
    assert found["calibration/reliability"].x == [100.0]
    assert found["calibration/reliability"].y == [75.0]


def test_bad_input_is_refused():
    with pytest.raises(UsageError, match="too few"):
        answer(*made_up(n=2))
    with pytest.raises(UsageError, match="between 0 and 1"):
        Calibration(held_out=1.0)
    with pytest.raises(UsageError, match="at least 1"):
        Calibration(bins=0)
    with pytest.raises(UsageError, match=r"from 0\.5 to 1\.5"):
        equal_width_bins(np.array([0.5, 1.5]), np.array([True, False]))
    with pytest.raises(UsageError, match="as many of each"):
        equal_mass_bins(np.array([]), np.array([], dtype=bool))
