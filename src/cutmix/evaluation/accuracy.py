"""How often is the network right? Top-1 and top-5 accuracy with their intervals, by class, and what is taken for what.

Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cutmix.errors import UsageError
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing, Number, Table, Value

TOP = 5
MATRIX_CLASSES = 100
"""With more classes than this the confusion matrix is left out: a million cells are no table."""
PAIRS = 20


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share ``hits / n``: (low, high), both in [0, 1].

    It holds its confidence well at shares near 0 and 1 too, where hits plus and minus two deviations does not.

    Raises:
        UsageError: not 0 <= hits <= n with n of at least 1, or a confidence outside (0, 1).
    """
    if n < 1 or not 0 <= hits <= n or not 0 < confidence < 1:
        raise UsageError(f"{hits} of {n} is no share, or {confidence} no confidence between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, scale = hits / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z / scale * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding must not leave 0 or 1 where the share lies there.
    return (0.0 if hits == 0 else middle - half, 1.0 if hits == n else middle + half)


def label_ranks(logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many classes each image's label comes after, (N,), from 0 (it has the largest logit) to K - 1.

    Of equal logits the class with the smaller index comes first, as in ``numpy.argmax``: a network that says the same
    of every class is right about the first one only.
    """
    own_N1 = np.take_along_axis(logits_NK, labels_N[:, None], axis=1)
    before_NK = np.arange(logits_NK.shape[1]) < labels_N[:, None]
    return ((logits_NK > own_N1) | ((logits_NK == own_N1) & before_NK)).sum(1)


def confusion_matrix(labels_N: NDArray[np.int64], guesses_N: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (K, K): row = the image's class, column = the class it was taken for."""
    pairs_N = np.asarray(labels_N) * classes + np.asarray(guesses_N)
    return np.bincount(pairs_N, minlength=classes * classes).reshape(classes, classes)


def rate(hits: int, n: int) -> Number:
    """``hits`` of ``n`` in percent, with Wilson's 95 % interval."""
    low, high = wilson_interval(hits, n)
    return Number(100 * hits / n, n, "%", (100 * low, 100 * high))


@dataclass(frozen=True)
class Accuracy(Question):
    """Is the label the likeliest class, or among the five likeliest?"""

    name: ClassVar[str] = "accuracy"
    suites: ClassVar[frozenset[str]] = frozenset({"quick", "paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("accuracy/top1", "accuracy/top5")

    @property
    def about(self) -> Mapping[str, str]:
        return {
            "accuracy/top1": "Images whose label is the class with the largest logit, in percent of all images. "
            "In brackets Wilson's 95 % interval for the images as a sample; it does not contain the spread over seeds.",
            "accuracy/top5": "Images whose label is among the five classes with the largest logits, in percent.",
            "accuracy/class_mean": "The mean over classes of the percentage of the class's images that are recognised: "
            "each class counts the same, however many images it has.",
            "accuracy/per_class": "For each class: its images, how many percent of them are recognised, with Wilson's "
            "95 % interval, and the other class that they are most often taken for.",
            "accuracy/confusion": "Counts of images: the row is the label, the column what it was taken for.",
            "accuracy/confused": f"The {PAIRS} most frequent mistakes: images of one class taken for another.",
        }

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        logits_NK, labels_N = (part.numpy() for part in subject.logits())
        classes = subject.data.classes
        ranks_N = label_ranks(logits_NK, labels_N)
        yield "accuracy/top1", rate(int((ranks_N == 0).sum()), len(subject))
        if len(classes) > TOP:
            yield "accuracy/top5", rate(int((ranks_N < TOP).sum()), len(subject))
        else:
            yield "accuracy/top5", Missing(f"with {len(classes)} classes every image would be among the first five.")
        counts_KK = confusion_matrix(labels_N, logits_NK.argmax(1), len(classes))
        images_K, hits_K = counts_KK.sum(1), counts_KK.diagonal()
        there = images_K > 0
        yield "accuracy/class_mean", Number(100 * (hits_K[there] / images_K[there]).mean(), len(subject), "%")
        yield "accuracy/per_class", per_class_table(counts_KK, classes)
        yield "accuracy/confused", pairs_table(counts_KK, classes)
        if len(classes) <= MATRIX_CLASSES:
            rows = [[name, *row] for name, row in zip(classes, counts_KK.tolist())]
            yield "accuracy/confusion", Table(["label", *classes], rows)
        else:
            yield (
                "accuracy/confusion",
                Missing(f"left out with more than {MATRIX_CLASSES} classes; see the most frequent mistakes."),
            )


def per_class_table(counts_KK: NDArray[np.int64], classes: Sequence[str]) -> Table:
    """A row for each class: images, recognised in percent, the interval's ends, and what it is mostly taken for."""
    rows: list[list[str | float | int | None]] = []
    for label, (name, row_K) in enumerate(zip(classes, counts_KK)):
        images, hits = int(row_K.sum()), int(row_K[label])
        if images == 0:
            rows.append([name, 0, None, None, None, ""])
            continue
        low, high = wilson_interval(hits, images)
        others_K = np.where(np.arange(len(classes)) == label, -1, row_K)
        mostly = classes[int(others_K.argmax())] if others_K.max() > 0 else ""
        rows.append([name, images, *(round(100 * share, 2) for share in (hits / images, low, high)), mostly])
    return Table(["class", "images", "recognised (%)", "low (%)", "high (%)", "mostly taken for"], rows)


def pairs_table(counts_KK: NDArray[np.int64], classes: Sequence[str]) -> Table:
    """The most frequent mistakes, most frequent first; of equally frequent ones the first in the classes' order."""
    wrong_KK = counts_KK * (1 - np.eye(len(classes), dtype=np.int64))
    order = np.argsort(-wrong_KK, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(place, len(classes)) for place in order.tolist() if wrong_KK.flat[place] > 0]
    images_K = counts_KK.sum(1)
    rows = [
        [classes[a], classes[b], int(counts_KK[a, b]), round(100 * float(counts_KK[a, b] / images_K[a]), 2)]
        for a, b in pairs
    ]
    return Table(["class", "taken for", "images", "of the class (%)"], rows)
