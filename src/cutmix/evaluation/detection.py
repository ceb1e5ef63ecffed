"""How well a score tells two sets of images apart: the paper's three columns, and the two that others print.

Everywhere here images of the in-set are the positives, and a larger score means "more like the in-set": an image is
accepted if its score is at least a threshold. True positive rate (TPR) = the share of in-images accepted, false
positive rate (FPR) = that of out-images accepted, TNR = 1 - FPR. Images of equal score are accepted together.

Shapes: N images of the in-set, M of the out-set, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cutmix.errors import UsageError

WANTED_TPR = 0.95


class Detection(NamedTuple):
    """All in [0, 1]. The first three are the paper's table 12 (definitions: Lee et al. 2018, ``calculate_log``)."""

    tnr95: float
    """TNR at the threshold whose TPR is nearest 0.95 (of two equally near ones that with the larger TPR)."""
    auroc: float
    """Area under TPR over FPR: the chance that an in-image scores above an out-image, equal scores counting half."""
    detection: float
    """Detection accuracy: the largest (TPR + TNR) / 2 of any threshold; at least one half."""
    fpr95: float
    """FPR at the largest threshold whose TPR is at least 0.95."""
    aupr_in: float
    """Average precision with the in-set as positives; a useless score gives N / (N + M)."""
    aupr_out: float
    """Average precision with the out-set as positives, found by the smallest scores; a useless score: M / (N + M)."""


@dataclass(frozen=True)
class Roc:
    """In-images and out-images accepted at every threshold, from none (infinite) to all, (T,) each."""

    accepted_in_T: NDArray[np.int64]
    accepted_out_T: NDArray[np.int64]

    @property
    def tpr_T(self) -> NDArray[np.float64]:
        return self.accepted_in_T / self.accepted_in_T[-1]

    @property
    def fpr_T(self) -> NDArray[np.float64]:
        return self.accepted_out_T / self.accepted_out_T[-1]


def roc(in_scores_N: NDArray[np.floating], out_scores_M: NDArray[np.floating]) -> Roc:
    """What each threshold accepts.

    Raises:
        UsageError: one of the sets is empty, or a score is not a number.
    """
    if len(in_scores_N) == 0 or len(out_scores_M) == 0:
        raise UsageError(f"{len(in_scores_N)} in-scores and {len(out_scores_M)} out-scores: one of each is needed.")
    scores = np.concatenate([in_scores_N, out_scores_M])
    if np.isnan(scores).any():
        raise UsageError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are not numbers.")
    is_in = np.arange(len(scores)) < len(in_scores_N)
    order = np.argsort(-scores, kind="stable")
    last_of_equals = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    accepted_in = np.concatenate([[0], np.cumsum(is_in[order])[last_of_equals]])
    accepted_out = np.concatenate([[0], np.cumsum(~is_in[order])[last_of_equals]])
    return Roc(accepted_in, accepted_out)


def detection(in_scores_N: NDArray[np.floating], out_scores_M: NDArray[np.floating]) -> Detection:
    """How well the scores tell the in-set (larger) from the out-set. Raises as :func:`roc`."""
    curve = roc(in_scores_N, out_scores_M)
    tpr_T, fpr_T = curve.tpr_T, curve.fpr_T
    nearness_T = np.abs(tpr_T - WANTED_TPR)
    nearest = np.flatnonzero(nearness_T <= nearness_T.min() + 1e-12)[-1]
    nearest = np.flatnonzero(tpr_T == tpr_T[nearest])[0]  # of the thresholds with this TPR, the one that rejects most
    refused_in_T, refused_out_T = _refused(curve.accepted_in_T), _refused(curve.accepted_out_T)
    return Detection(
        tnr95=float((len(out_scores_M) - curve.accepted_out_T[nearest]) / len(out_scores_M)),
        auroc=float((np.diff(fpr_T) * (tpr_T[1:] + tpr_T[:-1]) / 2).sum()),
        detection=float(((tpr_T + 1 - fpr_T) / 2).max()),
        fpr95=float(fpr_T[np.flatnonzero(tpr_T >= WANTED_TPR)[0]]),
        aupr_in=_average_precision(curve.accepted_in_T, curve.accepted_out_T),
        aupr_out=_average_precision(refused_out_T, refused_in_T),
    )


def _refused(accepted_T: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many are refused, from the lowest threshold (none) to the highest (all)."""
    return (accepted_T[-1] - accepted_T)[::-1]


def _average_precision(found_T: NDArray[np.int64], false_T: NDArray[np.int64]) -> float:
    """The precision at each threshold, weighted by how much recall it adds; nothing is interpolated."""
    precision = found_T[1:] / (found_T[1:] + false_T[1:])
    return float((np.diff(found_T) * precision).sum() / found_T[-1])
