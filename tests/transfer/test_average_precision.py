"""Average precision by hand at cases that matter, and against pycocotools with VOC's recalls on random detections."""

from __future__ import annotations

import numpy as np
import pytest

from cutmix.data import Objects, make_boxes
from cutmix.errors import UsageError
from cutmix.transfer.average_precision import Detections, curves, iou_matrix, mean_over_classes


def found(rows) -> Detections:
    """rows: (x1, y1, x2, y2, label, score)."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4].astype(int), table[:, 5])


NOTHING = make_boxes([], [])
ONE = make_boxes([[0, 0, 10, 10]], [0])


def test_iou_by_hand():
    """2x3 and 4x2 boxes that share 1x2: 2 / (6 + 8 - 2)."""
    one, other = np.array([[1, 1, 3, 4]]), np.array([[2, 2, 6, 4], [8, 8, 9, 9], [5, 5, 5, 9]])
    np.testing.assert_allclose(iou_matrix(one, other), [[2 / 12, 0, 0]])


def test_a_curve_by_hand():
    """Four objects; right, wrong, right, right, wrong: precision 1, 1/2, 2/3, 3/4, 3/5.

    The recalls are 1/4, 1/4, 2/4, 3/4, 3/4. The best precision from a recall on is 1 up to 1/4, and 3/4 up to 3/4.
    Area: 1/4 * 1 + 2/4 * 3/4 = 0.625. Of the eleven points 0, 0.1 and 0.2 have 1; 0.3 to 0.7 have 3/4; the others 0.
    """
    true = make_boxes([[k, 0, k + 10, 10] for k in (0, 20, 40, 60)], [0] * 4)
    rows = [(0, 0, 10, 10, 0, 0.9), (80, 0, 90, 10, 0, 0.8), (20, 0, 30, 9, 0, 0.7), (41, 0, 50, 10, 0, 0.6)]
    (curve,) = curves([found([*rows, (80, 20, 90, 30, 0, 0.1)])], [true], 1)
    np.testing.assert_allclose(curve.precision_N, [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    np.testing.assert_allclose(curve.recall_N, [0.25, 0.25, 0.5, 0.75, 0.75])
    assert curve.area == pytest.approx(0.625)
    assert curve.eleven_points == pytest.approx((3 + 5 * 0.75) / 11)


def test_three_tenths_reach_a_recall_of_0_3():
    """In floating point 3/10 and 3 * 0.1 differ, and so do 0.3 and what ``linspace`` makes of it."""
    true = make_boxes([[k, 0, k + 5, 5] for k in range(0, 100, 10)], [0] * 10)
    (curve,) = curves([found([(k, 0, k + 5, 5, 0, 0.5) for k in range(0, 30, 10)])], [true], 1)
    assert curve.eleven_points == pytest.approx(4 / 11)


def test_the_second_detection_of_an_object_is_wrong():
    twice = found([(0, 0, 10, 10, 0, 0.4), (0, 0, 10, 9, 0, 0.9)])
    (curve,) = curves([twice], [ONE], 1)
    np.testing.assert_allclose(curve.precision_N, [1, 0.5])


def test_a_detection_goes_to_the_object_that_it_overlaps_most_even_if_that_is_taken():
    """The development kit's rule; COCO would give it to the free one, which it overlaps by 0.6."""
    true = make_boxes([[0, 0, 10, 10], [0, 0, 10, 6]], [0, 0])
    (curve,) = curves([found([(0, 0, 10, 10, 0, 0.9), (0, 0, 10, 9.9, 0, 0.8)])], [true], 1)
    np.testing.assert_allclose(curve.precision_N, [1, 0.5])
    assert curve.recall_N[-1] == 0.5


def test_difficult_objects_count_neither_way():
    true = Objects(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32), np.zeros(2, int), np.array([True, False]))
    rows = [(0, 0, 10, 10, 0, 0.9), (0, 0, 10, 9, 0, 0.8), (20, 0, 30, 10, 0, 0.7)]
    (curve,) = curves([found(rows)], [true], 1)
    assert curve.objects == 1
    np.testing.assert_allclose(curve.precision_N, [1.0])


@pytest.mark.parametrize(("height", "right"), [(5, 1.0), (4.9, 0.0)])
def test_an_iou_of_one_half_is_enough(height, right):
    (curve,) = curves([found([(0, 0, 10, height, 0, 0.9)])], [ONE], 1)
    assert curve.area == right


def test_classes_and_pictures_are_kept_apart():
    detections = [found([(0, 0, 10, 10, 1, 0.9)]), found([(0, 0, 10, 10, 0, 0.8)])]
    by_class = curves(detections, [ONE, make_boxes([[0, 0, 10, 10]], [1])], 2)
    assert [curve.area for curve in by_class] == [0.0, 0.0]


def test_detections_of_all_pictures_are_taken_in_the_order_of_their_scores():
    """Right at 0.9 and wrong at 0.4 in one picture, right at 0.6 in the other: right, right, wrong."""
    one, other = found([(0, 0, 10, 10, 0, 0.9), (50, 0, 60, 10, 0, 0.4)]), found([(0, 0, 10, 10, 0, 0.6)])
    (curve,) = curves([one, other], [ONE, ONE], 1)
    np.testing.assert_allclose(curve.precision_N, [1, 1, 2 / 3])
    np.testing.assert_allclose(curve.recall_N, [1 / 2, 1, 1])


def test_equal_scores_keep_the_order_in_which_they_were_given():
    """Wrong and right in one picture, right in the next."""
    one, other = found([(50, 0, 60, 10, 0, 0.5), (0, 0, 10, 10, 0, 0.5)]), found([(0, 0, 10, 10, 0, 0.5)])
    (curve,) = curves([one, other], [ONE, ONE], 1)
    np.testing.assert_allclose(curve.precision_N, [0, 1 / 2, 2 / 3])


def test_nothing_found_is_zero_and_nothing_there_is_left_out_of_the_mean():
    by_class = curves([found([(0, 0, 9, 9, 1, 0.5)]), found([])], [NOTHING, ONE], 2)
    assert by_class[0].area == by_class[0].eleven_points == 0.0
    assert np.isnan(by_class[1].area)
    assert np.isnan(by_class[1].eleven_points)
    assert mean_over_classes([0.3, float("nan"), 0.5]) == pytest.approx(0.4)
    assert mean_over_classes([float("nan")]) == 0.0


def test_other_numbers_of_pictures_are_refused():
    with pytest.raises(UsageError, match="detections of 1 pictures were given, and the objects of 2"):
        curves([found([])], [ONE, ONE], 1)


def random_case(seed: int) -> tuple[list[Detections], list[Objects]]:
    """Boxes on a grid, so that VOC's and COCO's matching agree; copies, misses, strays; some objects difficult."""
    rng = np.random.default_rng(seed)
    every_found, every_true = [], []
    for _ in range(12):
        corners = np.array([(40 * k, 40 * row) for k in range(4) for row in range(2)], float)
        corners = corners[rng.random(8) < 0.7]
        true = np.concatenate((corners, corners + rng.uniform(15, 30, corners.shape)), axis=1).astype(np.float32)
        difficult = rng.random(len(true)) < 0.25
        copies = np.concatenate((true, true[~difficult], rng.uniform(0, 60, (3, 1)) + np.array([0, 0, 9, 7])))
        moved = copies + rng.normal(0, 2.0, copies.shape)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        keep = rng.random(len(moved)) < 0.8
        scores = rng.permutation(len(moved))[keep] / 100 + rng.random() / 1000
        every_found.append(Detections(moved[keep], np.zeros(keep.sum(), int), scores))
        every_true.append(Objects(true, np.zeros(len(true), np.int64), difficult))
    return every_found, every_true


def by_pycocotools(every_found: list[Detections], every_true: list[Objects], recalls: np.ndarray) -> float:
    """AP at IoU 0.5 at these recalls. A difficult object is one outside of the areas that count, which is ignored."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def boxes(rows):
        return [[float(x1), float(y1), float(x2 - x1), float(y2 - y1)] for x1, y1, x2, y2 in rows]

    truth = COCO()
    annotations = [
        {"image_id": image, "category_id": 1, "bbox": box, "iscrowd": 0, "area": 1e9 if hard else box[2] * box[3]}
        for image, true in enumerate(every_true, 1)
        for box, hard in zip(boxes(true.xyxy_M4), true.difficult_M)
    ]
    truth.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(every_true) + 1)],
        "categories": [{"id": 1}],
        "annotations": [{**annotation, "id": number} for number, annotation in enumerate(annotations, 1)],
    }
    truth.createIndex()
    results = [
        {"image_id": image, "category_id": 1, "bbox": box, "score": float(score)}
        for image, detections in enumerate(every_found, 1)
        for box, score in zip(boxes(detections.xyxy_D4), detections.scores_D)
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.params.iouThrs, evaluation.params.recThrs = np.array([0.5]), recalls
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e8]], ["all"]
    evaluation.params.maxDets = [1000]
    evaluation.evaluate()
    evaluation.accumulate()
    return float(evaluation.eval["precision"].mean())


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools_at_the_recalls_of_voc(seed, capsys):
    """The area under a curve that steps at 1/n, 2/n, ... is the mean of its heights there."""
    every_found, every_true = random_case(seed)
    (curve,) = curves(every_found, every_true, 1)
    steps = np.arange(1, curve.objects + 1) / curve.objects
    assert 0.2 < curve.area < 0.95
    assert curve.area == pytest.approx(by_pycocotools(every_found, every_true, steps - 1e-9), abs=1e-9)
    eleven = by_pycocotools(every_found, every_true, np.arange(11) / 10 - 1e-9)
    assert curve.eleven_points == pytest.approx(eleven, abs=1e-9)
