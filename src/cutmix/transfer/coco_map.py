"""COCO's mean average precision (over IoU 0.50 to 0.95), from faster-coco-eval or pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from cutmix.data import Objects
from cutmix.transfer.average_precision import Detections

SKIPPED = "skipped: needs faster-coco-eval or pycocotools (pip install 'cutmix[detection]')"
NAMES = ("coco_map", "coco_map50", "coco_map75")


def coco_map(found: Sequence[Detections], true: Sequence[Objects], classes: Sequence[str]) -> dict[str, Any]:
    """``coco_map``, ``coco_map50`` and ``coco_map75`` in percent, and ``coco_per_class`` by name.

    Up to 100 detections a picture count. Difficult objects are crowds to COCO: a detection that lies mostly within one
    counts neither way. Classes without an object are left out of the means.

    Returns:
        These numbers, or ``{"coco_map": "skipped: ..."}`` where neither library is installed.
    """
    libraries = _libraries()
    if libraries is None:
        return {"coco_map": SKIPPED}
    coco_class, eval_class = libraries
    with contextlib.redirect_stdout(io.StringIO()):  # both print as they go
        truth = coco_class()
        truth.dataset = _dataset(true, classes)
        truth.createIndex()
        results = _results(found)
        if not results:
            return {**dict.fromkeys(NAMES, 0.0), "coco_per_class": dict.fromkeys(_with_objects(true, classes), 0.0)}
        evaluation = eval_class(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision_TRKAM = evaluation.eval["precision"]
    table = precision_TRKAM[:, :, :, 0, -1]  # all areas, 100 detections
    means = [_mean(table), _mean(table[0]), _mean(table[5])]
    per_class = {name: _mean(table[:, :, k]) for k, name in enumerate(classes)}
    known = _with_objects(true, classes)
    return {**dict(zip(NAMES, means)), "coco_per_class": {name: per_class[name] for name in known}}


def _libraries() -> tuple[Any, Any] | None:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        try:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        except ImportError:
            return None
        return COCO, COCOeval
    return COCO, COCOeval_faster


def _mean(values: Any) -> float:
    known = values[values > -1]
    return 100 * float(known.mean()) if known.size else 0.0


def _with_objects(true: Sequence[Objects], classes: Sequence[str]) -> list[str]:
    labels = {int(label) for boxes in true for label in boxes.labels_M[~boxes.difficult_M]}
    return [name for label, name in enumerate(classes) if label in labels]


def _dataset(true: Sequence[Objects], classes: Sequence[str]) -> dict[str, Any]:
    annotations = [
        {
            "id": 0,
            "image_id": image,
            "category_id": int(label) + 1,
            "bbox": _xywh(edges),
            "area": float((edges[2] - edges[0]) * (edges[3] - edges[1])),
            "iscrowd": int(difficult),
        }
        for image, boxes in enumerate(true, 1)
        for edges, label, difficult in zip(boxes.xyxy_M4, boxes.labels_M, boxes.difficult_M)
    ]
    for number, annotation in enumerate(annotations, 1):  # an id of 0 would be taken for "not matched"
        annotation["id"] = number
    return {
        "info": {},
        "images": [{"id": image} for image in range(1, len(true) + 1)],
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(classes)],
        "annotations": annotations,
    }


def _results(found: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": _xywh(edges), "score": float(score)}
        for image, detections in enumerate(found, 1)
        for edges, label, score in zip(detections.xyxy_D4, detections.labels_D, detections.scores_D)
    ]


def _xywh(edges: Any) -> list[float]:
    x1, y1, x2, y2 = (float(edge) for edge in edges)
    return [x1, y1, x2 - x1, y2 - y1]
