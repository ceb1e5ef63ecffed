"""Average precision as PASCAL VOC defines it: the 11-point form of 2007, and the area under the curve from 2010 on.

Rules of the development kit: of all pictures, detections of a class are taken in the order of their scores. Each goes
to the object of its class that it overlaps most in its picture. It is right if their intersection over union is at
least 0.5 and no detection before it was right about that object; a second one is wrong. Detections that go to a
difficult object count neither way, and difficult objects need not be found. (py-faster-rcnn and ssd.pytorch ask for
more than 0.5, not at least; that differs only where it is 0.5 exactly.)

Shapes: D detections of a picture, M objects of a picture, N detections of a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cutmix.data import Objects
from cutmix.errors import UsageError

RECALLS = np.arange(11) / 10  # quotients of whole numbers, as recalls are: three of ten is exactly what 3/10 is


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture: boxes as in :class:`cutmix.data.Objects`, labels from 0, scores."""

    xyxy_D4: np.ndarray
    labels_D: np.ndarray
    scores_D: np.ndarray

    def __len__(self) -> int:
        return len(self.labels_D)


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall of a class as the score falls, with the number of objects that were to be found."""

    recall_N: np.ndarray
    precision_N: np.ndarray
    objects: int

    @property
    def eleven_points(self) -> float:
        """Mean over the recalls 0, 0.1, ..., 1 of the best precision at that recall or a higher one (VOC 2007)."""
        if not self.objects:
            return float("nan")
        best = [self.precision_N[self.recall_N >= recall].max(initial=0.0) for recall in RECALLS]
        return float(np.mean(best))

    @property
    def area(self) -> float:
        """The area under the best precision at each recall or a higher one (VOC from 2010)."""
        if not self.objects:
            return float("nan")
        recall = np.concatenate(([0.0], self.recall_N))
        best = np.maximum.accumulate(self.precision_N[::-1])[::-1]
        return float(np.sum(np.diff(recall) * best))


def curves(
    found: Sequence[Detections], true: Sequence[Objects], num_classes: int, *, min_iou: float = 0.5
) -> list[Curve]:
    """The curve of each class.

    Args:
        found: what was found, a picture each.
        true: what is there, in the same order of pictures.

    Raises:
        UsageError: the two are not of the same number of pictures.
    """
    if len(found) != len(true):
        raise UsageError(f"detections of {len(found)} pictures were given, and the objects of {len(true)}.")
    return [_curve(found, true, label, min_iou) for label in range(num_classes)]


def mean_over_classes(values: Sequence[float]) -> float:
    """The mean over the classes that have objects; 0 if there is none."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else 0.0


def iou_matrix(one_D4: np.ndarray, other_M4: np.ndarray) -> np.ndarray:
    """Intersection over union (D, M) of boxes with float64 arithmetic; 0 where both are empty."""
    one, other = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (one_D4, other_M4))
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _curve(found: Sequence[Detections], true: Sequence[Objects], label: int, min_iou: float) -> Curve:
    scores, hits, counted = [], [], []
    objects = 0
    for detections, boxes in zip(found, true):
        of_class = boxes.where(boxes.labels_M == label)
        objects += int((~of_class.difficult_M).sum())
        rows = np.flatnonzero(detections.labels_D == label)
        rows = rows[np.argsort(-detections.scores_D[rows], kind="stable")]
        hit, counts = _judged(detections.xyxy_D4[rows], of_class, min_iou)
        scores.append(detections.scores_D[rows])
        hits.append(hit)
        counted.append(counts)
    order = np.argsort(-np.concatenate([*scores, np.empty(0)]), kind="stable")
    hit_N, counted_N = (np.concatenate([*parts, np.empty(0, bool)])[order].astype(bool) for parts in (hits, counted))
    right = np.cumsum(hit_N[counted_N])
    return Curve(right / max(objects, 1), right / np.arange(1, len(right) + 1), objects)


def _judged(xyxy_D4: np.ndarray, boxes: Objects, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """(D,) whether each detection, best score first, is right, and whether it counts at all."""
    hit, counts = np.zeros(len(xyxy_D4), bool), np.ones(len(xyxy_D4), bool)
    if not len(boxes):
        return hit, counts
    iou_DM = iou_matrix(xyxy_D4, boxes.xyxy_M4)
    taken = np.zeros(len(boxes), bool)
    for row, nearest in enumerate(iou_DM.argmax(axis=1)):
        if iou_DM[row, nearest] < min_iou:
            continue
        if boxes.difficult_M[nearest]:
            counts[row] = False
        elif not taken[nearest]:
            hit[row] = taken[nearest] = True
    return hit, counts
