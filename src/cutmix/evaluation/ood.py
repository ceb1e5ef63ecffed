"""Does the network notice images that it was not trained for? In-set against out-sets, by several scores.

The paper's appendix E.2 is the score ``msp`` and the columns TNR at 95 % TPR, AUROC and detection accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import ClassVar, TypeAlias

import numpy as np

from cutmix.data import Split
from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.detection import Detection, detection, roc
from cutmix.evaluation.ood_scores import Energy, Mahalanobis, MaxLogit, MaxSoftmax, Neighbours, Odin, Score, Scores
from cutmix.evaluation.out_sets import (
    OutSet,
    fingerprint_of_spec,
    load_out_set,
    shared_images,
    split_spec,
    usual_out_sets,
)
from cutmix.evaluation.question import Question
from cutmix.evaluation.subject import Outputs, Subject
from cutmix.evaluation.values import Cell, Curve, Missing, Note, Number, Table, Value

LOGIT_SCORES: tuple[Score, ...] = (MaxSoftmax(), MaxLogit(), Energy())
ALL_SCORES: tuple[Score, ...] = (*LOGIT_SCORES, Odin(), Mahalanobis(), Neighbours())
ROC_POINTS = 200

COLUMNS = {
    "tnr95": "TNR at 95 % TPR: out-images refused at the threshold at which nearest to 95 % of the in-images are "
    "accepted; higher is better",
    "auroc": "AUROC: the chance that an in-image scores above an out-image, equal scores counting half; 50 is a guess",
    "detection": "Detection accuracy: the mean of in-images accepted and out-images refused at the best threshold; at "
    "least 50",
    "fpr95": "FPR at 95 % TPR: out-images accepted at the strictest threshold that accepts at least 95 % of the "
    "in-images; lower is better",
    "aupr_in": "Average precision with in-images as positives; a useless score gives their share of all images",
    "aupr_out": "Average precision with out-images as positives, smallest scores first; a useless score gives their "
    "share of all images",
}
HEADINGS = ("TNR at 95 % TPR", "AUROC", "detection accuracy", "FPR at 95 % TPR", "AUPR in", "AUPR out")

Found: TypeAlias = dict[tuple[str, str], tuple[Detection, int]]
"""(out-set, score) -> its numbers, and the images of the out-set."""


@dataclass(frozen=True)
class OutOfDistribution(Question):
    """Do images from elsewhere get lower scores than the test images?

    Args:
        out_sets: ``uniform``, ``gaussian``, an ``.npz`` file, a folder of pictures, ``arrays:FOLDER`` or a known data
            set (its test images), each with ``NAME=`` before it if wished. None named: the two noises, and the known
            small data sets that are there.
        scores: how images are scored.
        train_images: how many training images, drawn by the seed, the scores see that look at training images.
    """

    name: ClassVar[str] = "ood"
    suites: ClassVar[frozenset[str]] = frozenset({"quick", "paper", "full"})
    headline: ClassVar[tuple[str, ...]] = ("ood/mean/msp/tnr95", "ood/mean/msp/auroc", "ood/mean/msp/detection")
    bars: ClassVar[tuple[str, ...]] = ("ood/*/msp/auroc",)
    out_sets: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ALL_SCORES
    train_images: int = 10_000

    def __post_init__(self) -> None:
        names = [split_spec(spec)[0] for spec in self.out_sets]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise UsageError(f"two out-sets are called {twice[0]!r}: name one of them, {twice[0]}-2=PATH.")
        taken = [name for name in names if name in ("", "mean", "all") or "/" in name]
        if taken:
            raise UsageError(
                f"an out-set cannot be called {taken[0]!r}: name it otherwise, NAME=PATH, without a slash."
            )
        if self.train_images < 1 or not self.scores:
            raise UsageError("at least one training image and one score are needed.")

    @classmethod
    def for_suite(cls, suite: str) -> Question | None:
        """All scores in the full suite, else those that need nothing but logits."""
        if suite not in cls.suites:
            return None
        return cls() if suite == "full" else cls(scores=LOGIT_SCORES)

    @property
    def wants_features(self) -> bool:
        return any(score.wants_features for score in self.scores)

    @property
    def about(self) -> Mapping[str, str]:
        positive = "In-set: the test images; they are the positive class. Out-set and score: as the number is named."
        scores = {score.name: score.about for score in self.scores}
        seen = f" (at most {self.train_images:,} training images, drawn by the seed)"
        told = {s.name: scores[s.name] + (seen if s.wants_training else "") for s in self.scores}
        numbers = {
            f"ood/*/{score}/{column}": f"{text}; in percent. {positive} Score {score}: {how}."
            for score, how in told.items()
            for column, text in COLUMNS.items()
        }
        return {
            **{
                f"ood/mean/{score}/{column}": f"{text}; the unweighted mean over the out-sets that were there, as the "
                f"paper's table 12 is over its seven. Only means over the same out-sets can be compared. Score {score}."
                for score in told
                for column, text in COLUMNS.items()
            },
            **numbers,
            "ood/*/roc/*": f"In-images accepted over out-images accepted, for every threshold. {positive}",
            "ood/all": f"All numbers of this question, in percent. {positive}",
        }

    def surroundings(self, subject: Subject) -> str:
        specs, _ = self._specs(subject)
        return " ".join(f"{split_spec(spec)[0]}:{fingerprint_of_spec(spec, subject.data_root)}" for spec in specs)

    def passes(self, subject: Subject) -> float:
        specs, _ = self._specs(subject)
        training = min(self.train_images, len(subject.data.train)) / len(subject)
        each = 1 + sum(score.cost for score in self.scores)
        # Out-sets count as being as large as the in-set: they are not opened for an estimate.
        return each * (1 + len(specs)) + training * any(score.wants_training for score in self.scores)

    def answer(self, subject: Subject) -> Iterator[tuple[str, Value]]:
        specs, absent = self._specs(subject)
        for name in absent:
            yield f"ood/{name}", Missing(f"{name} was not found; cutmix list data says where it is looked for.")
        scorers, in_scores = {}, {}
        inside, train = subject.outputs(self.wants_features), self._training(subject)
        for score in self.scores:
            try:
                scorers[score.name] = score.scorer(subject, train)
                in_scores[score.name] = scorers[score.name](subject.split, inside)
            except UsageError as error:
                yield f"ood/{score.name}", Missing(f"the score {score.name}: {error}")
        found: Found = {}
        for spec in specs:
            try:
                out = self._load(spec, subject)
                outputs = subject.outputs_of(out.images, features=self.wants_features)
            except CutmixError as error:  # no such images, one that cannot be read, or logits that are not finite
                yield f"ood/{split_spec(spec)[0]}", Missing(str(error))
                continue
            yield from _notes(subject, out)
            for key, in_scores_N in in_scores.items():
                out_scores_M = scorers[key](out.images, outputs)
                found[out.name, key] = detection(in_scores_N, out_scores_M), len(out_scores_M)
                yield from _numbers(f"ood/{out.name}/{key}", found[out.name, key][0], len(subject) + len(out_scores_M))
                yield f"ood/{out.name}/roc/{key}", roc_curve(in_scores_N, out_scores_M)
        yield from _means(found, list(in_scores), len(subject))
        yield "ood/all", _table(found, subject)

    def _specs(self, subject: Subject) -> tuple[list[str], list[str]]:
        if self.out_sets:
            return list(self.out_sets), []
        return usual_out_sets(subject.data, subject.data_root)

    def _training(self, subject: Subject) -> Outputs | None:
        if not any(score.wants_training for score in self.scores):
            return None
        drawn = subject.drawn(subject.data.train, self.train_images, self.name, "train")
        return subject.outputs_of(drawn, features=True)

    def _load(self, spec: str, subject: Subject) -> OutSet:
        """The out-set; with a limit on the in-set, as many of its images are drawn."""
        name, _ = split_spec(spec)
        rng = partial(subject.rng, self.name, name)

        def keep(split: Split) -> Split:
            return subject.drawn(split, subject.limit, self.name, name)

        return load_out_set(spec, subject.data, len(subject), rng, subject.data_root, keep)


def roc_curve(in_scores_N: Scores, out_scores_M: Scores) -> Curve:
    """The ROC curve in percent, thinned to some 200 points where it has more."""
    curve = roc(in_scores_N, out_scores_M)
    count = len(curve.accepted_in_T)
    rows = np.unique(np.linspace(0, count - 1, min(count, ROC_POINTS)).round().astype(np.int64))
    x, y = (100 * curve.fpr_T[rows]).tolist(), (100 * curve.tpr_T[rows]).tolist()
    return Curve(x, y, "out-images accepted (%)", "in-images accepted (%)")


def _numbers(prefix: str, numbers: Detection, n: int) -> Iterator[tuple[str, Value]]:
    for column, value in numbers._asdict().items():
        yield f"{prefix}/{column}", Number(100 * value, n, "%")


def _means(found: Found, scores: list[str], inside: int) -> Iterator[tuple[str, Value]]:
    for score in scores:
        of_score = [result for (_, key), result in found.items() if key == score]
        if len(of_score) > 1:
            mean = Detection(*(fmean(column) for column in zip(*(numbers for numbers, _ in of_score))))
            yield from _numbers(f"ood/mean/{score}", mean, inside + sum(count for _, count in of_score))


def _notes(subject: Subject, out: OutSet) -> Iterator[tuple[str, Value]]:
    if out.how:
        yield f"ood/{out.name}/fitted", Note(f"The images of {out.name} were made to fit: {out.how}.")
    shared = shared_images(subject.split, out.images, subject.data.image_size, subject.data.squared)
    if shared:
        yield (
            f"ood/{out.name}/shared",
            Note(
                f"{shared:,} of the {len(out.images):,} images of the out-set {out.name} are also in the in-set "
                f"{subject.data.name}: no score can tell them apart, and the numbers are too low for it."
            ),
        )


def _table(found: Found, subject: Subject) -> Table:
    rows: list[list[Cell]] = [
        [subject.data.name, name, score, len(subject), count, *(round(100 * value, 2) for value in numbers)]
        for (name, score), (numbers, count) in found.items()
    ]
    columns = ["in-set (positive)", "out-set", "score", "in-images", "out-images", *(f"{h} (%)" for h in HEADINGS)]
    return Table(columns, rows)
