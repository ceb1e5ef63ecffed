"""Does the network know how sure it may be? Calibration error, Brier score, likelihood; and temperature scaling.

Definitions: Guo et al. 2017 (arXiv 1706.04599) for the calibration error and temperature scaling, Brier 1950 for his
score. Shapes: N images, K classes, M bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, log
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cutmix.errors import UsageError
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Curve, Note, Number, Table, Value

COLDEST, HOTTEST = 0.01, 100.0
"""The temperatures between which one is looked for."""


@dataclass(frozen=True)
class Bins:
    """Images by confidence: of each bin that has images, their number, mean confidence and share of right ones."""

    counts_M: NDArray[np.int64]
    confidence_M: NDArray[np.float64]
    accuracy_M: NDArray[np.float64]

    @property
    def expected_error(self) -> float:
        """The expected calibration error in [0, 1]: the gap between confidence and accuracy, weighted by images."""
        gaps_M = np.abs(self.accuracy_M - self.confidence_M)
        return float((gaps_M * self.counts_M).sum() / self.counts_M.sum())


def equal_width_bins(confidence_N: NDArray[np.float64], hits_N: NDArray[np.bool_], bins: int = 15) -> Bins:
    """Bins ((m - 1) / M, m / M], as Guo et al. define them; a confidence of 0 belongs to the first.

    Args:
        confidence_N: the likeliest class's probability, in [0, 1].
        hits_N: whether that class is the label.

    Raises:
        UsageError: no images, confidences outside [0, 1], or no bins.
    """
    _require_confidences(confidence_N, hits_N, bins)
    upper_M = np.arange(1, bins + 1) / bins
    return _binned(np.searchsorted(upper_M, confidence_N, side="left"), confidence_N, hits_N)


def equal_mass_bins(confidence_N: NDArray[np.float64], hits_N: NDArray[np.bool_], bins: int = 15) -> Bins:
    """Bins of as many images each as can be (Nguyen and O'Connor 2015): their edges are quantiles of the confidence.

    Equal confidences share a bin, so that the images' order does not matter; then bins may be uneven, or fewer.
    Arguments and errors as :func:`equal_width_bins`.
    """
    _require_confidences(confidence_N, hits_N, bins)
    ranks_M = np.ceil(len(confidence_N) * np.arange(1, bins + 1) / bins).astype(np.int64) - 1
    upper_M = np.unique(np.sort(confidence_N)[ranks_M.clip(0)])
    return _binned(np.searchsorted(upper_M, confidence_N, side="left"), confidence_N, hits_N)


def _binned(bin_N: NDArray[np.int64], confidence_N: NDArray[np.float64], hits_N: NDArray[np.bool_]) -> Bins:
    counts = np.bincount(bin_N)
    there = counts > 0
    confidence = np.bincount(bin_N, weights=confidence_N)[there] / counts[there]
    return Bins(counts[there], confidence, np.bincount(bin_N, weights=hits_N)[there] / counts[there])


def brier_score(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean over images of the summed squared distance between probabilities and the one-hot label: 0 (best) to 2."""
    distance_NK = logits_NK.double().softmax(1) - F.one_hot(labels_N, logits_NK.shape[1])
    return float(distance_NK.square().sum(1).mean())


def negative_log_likelihood(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean cross-entropy in nats, at least 0."""
    return float(F.cross_entropy(logits_NK.double(), labels_N))


def fit_temperature(logits_NK: Tensor, labels_N: Tensor) -> float:
    """The temperature T, in [0.01, 100], at which logits / T have the least cross-entropy (Guo et al. 2017).

    The cross-entropy is convex in 1 / T, so its slope is brought to zero by bisection. At an end of the range there is
    no minimum within: a network that is right about every image wants T = 0.
    """
    logits_NK = logits_NK.double()

    def slope(inverse: float) -> float:
        expected_N = ((inverse * logits_NK).softmax(1) * logits_NK).sum(1)
        return float((expected_N - logits_NK.gather(1, labels_N[:, None])[:, 0]).mean())

    low, high = log(1 / HOTTEST), log(1 / COLDEST)
    if slope(exp(low)) >= 0:
        return HOTTEST
    if slope(exp(high)) <= 0:
        return COLDEST
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(exp(middle)) < 0 else (low, middle)
    return exp(-(low + high) / 2)


@dataclass(frozen=True)
class Calibration(Question):
    """Does a confidence of 80 % mean being right in 80 % of the cases, before and after temperature scaling?

    Args:
        bins: M. 15, as Guo et al. use.
        held_out: the share of the test images on which the temperature is fitted. They are drawn by the seed, and
            what is said of scaled confidences is said of the others. Training images will not do: a network that has
            learned them by heart is surer of them than of any others.
    """

    name: ClassVar[str] = "calibration"
    suites: ClassVar[frozenset[str]] = frozenset({"quick", "full"})
    headline: ClassVar[tuple[str, ...]] = ("calibration/ece", "calibration/scaled/ece")
    bins: int = 15
    held_out: float = 0.2

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise UsageError(f"bins must be at least 1, got {self.bins}")
        if not 0 < self.held_out < 1:
            raise UsageError(f"held_out is a share of the test images between 0 and 1, got {self.held_out}")

    @property
    def about(self) -> Mapping[str, str]:
        fitted = f"{100 * self.held_out:g} %"
        same = "before temperature scaling, on the images that it was not fitted on"
        after = "after temperature scaling, on the images that it was not fitted on"
        measures = {
            "ece": f"Expected calibration error: images in {self.bins} bins of equal width by confidence (the largest "
            "probability); the gap between a bin's mean confidence and its accuracy, weighted by its images; in "
            "percent, 0 is best",
            "ece_equal_mass": f"The same with {self.bins} bins of equally many images",
            "brier": "Brier score: squared distance of the probabilities from the one-hot label, summed over classes; "
            "0 (best) to 2",
            "nll": "Negative log-likelihood: mean cross-entropy in nats; 0 is best",
        }
        return {
            **{f"calibration/{key}": f"{text}." for key, text in measures.items()},
            "calibration/reliability": "Each point is a bin of the expected calibration error: its mean confidence, "
            "and the share of its images that were recognised. Below the diagonal a network is too sure of itself.",
            "calibration/bins": "The numbers behind the reliability diagram.",
            "calibration/temperature": f"By what the logits are divided so that the cross-entropy is least on {fitted} "
            "of the test images, drawn by the seed. Above 1 the network was too sure of itself.",
            **{f"calibration/unscaled/{key}": f"{text}; {same}." for key, text in measures.items()},
            **{f"calibration/scaled/{key}": f"{text}; {after}." for key, text in measures.items()},
            "calibration/scaled/reliability": "The reliability diagram after temperature scaling, on the images that "
            "the temperature was not fitted on.",
        }

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        logits_NK, labels_N = subject.logits()
        yield from self._measures("calibration", logits_NK, labels_N)
        bins = self._bins(logits_NK, labels_N)
        yield "calibration/reliability", _reliability(bins)
        yield "calibration/bins", _bins_table(bins)
        order = torch.from_numpy(subject.rng(self.name, "held_out").permutation(len(labels_N)))
        count = round(self.held_out * len(labels_N))
        if not 0 < count < len(labels_N):
            raise UsageError(f"{len(labels_N)} images are too few to hold {self.held_out} of them out.")
        fitting, rest = order[:count], order[count:]
        temperature = fit_temperature(logits_NK[fitting], labels_N[fitting])
        yield "calibration/temperature", Number(temperature, count)
        if temperature in (COLDEST, HOTTEST):
            yield (
                "calibration/temperature/bound",
                Note(f"The temperature was looked for from {COLDEST} to {HOTTEST}, and the end was the best."),
            )
        yield from self._measures("calibration/unscaled", logits_NK[rest], labels_N[rest])
        yield from self._measures("calibration/scaled", logits_NK[rest] / temperature, labels_N[rest])
        yield "calibration/scaled/reliability", _reliability(self._bins(logits_NK[rest] / temperature, labels_N[rest]))

    def _bins(self, logits_NK: Tensor, labels_N: Tensor) -> Bins:
        return equal_width_bins(*_confidences(logits_NK, labels_N), self.bins)

    def _measures(self, prefix: str, logits_NK: Tensor, labels_N: Tensor) -> Iterator[tuple[str, Value]]:
        n = len(labels_N)
        confidences, hits = _confidences(logits_NK, labels_N)
        for name, bins in (("ece", equal_width_bins), ("ece_equal_mass", equal_mass_bins)):
            yield f"{prefix}/{name}", Number(100 * bins(confidences, hits, self.bins).expected_error, n, "%")
        yield f"{prefix}/brier", Number(brier_score(logits_NK, labels_N), n)
        yield f"{prefix}/nll", Number(negative_log_likelihood(logits_NK, labels_N), n)


def _confidences(logits_NK: Tensor, labels_N: Tensor) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The largest probability of each image, and whether it is the label's."""
    confidence_N, guesses_N = logits_NK.double().softmax(1).max(1)
    return confidence_N.clamp(max=1.0).numpy(), (guesses_N == labels_N).numpy()


def _reliability(bins: Bins) -> Curve:
    x, y = (100 * bins.confidence_M).tolist(), (100 * bins.accuracy_M).tolist()
    return Curve(x, y, "confidence (%)", "accuracy (%)")


def _bins_table(bins: Bins) -> Table:
    numbers = zip(bins.counts_M.tolist(), bins.confidence_M.tolist(), bins.accuracy_M.tolist())
    rows = [[n, round(100 * c, 2), round(100 * a, 2)] for n, c, a in numbers]
    return Table(["images", "mean confidence (%)", "accuracy (%)"], rows)


def _require_confidences(confidence_N: NDArray[np.float64], hits_N: NDArray[np.bool_], bins: int) -> None:
    if len(confidence_N) == 0 or len(confidence_N) != len(hits_N):
        raise UsageError(f"{len(confidence_N)} confidences and {len(hits_N)} hits: as many of each, and one at least.")
    if not (confidence_N.min() >= 0 and confidence_N.max() <= 1):
        raise UsageError(f"confidences go from {confidence_N.min()} to {confidence_N.max()}; 0 to 1 is accepted.")
    if bins < 1:
        raise UsageError(f"bins must be at least 1, got {bins}")
