"""What detectors come to that never look at the picture: mean AP (VOC 2007) of the same answer for every test picture.

    python docs/results/bccd/trivial.py voc:bccd

`one training picture`: its boxes, with a score of 1 each; of all training pictures the one whose boxes fit the test
pictures best, which is chosen on the test set. `grid`: of each class boxes of its median width and height, side by
side over the whole picture and shifted by half a box.
"""

from __future__ import annotations

import sys

import numpy as np

from cutmix.data import BoxData, load_boxes
from cutmix.transfer.average_precision import Detections, curves, mean_over_classes


def main(spec: str) -> None:
    data = load_boxes(spec)
    constant = [Detections(boxes.xyxy_M4, boxes.labels_M, np.ones(len(boxes))) for boxes in data.train.boxes]
    by_class = max((scores(answer, data) for answer in constant), key=mean_over_classes)
    show("one training picture", by_class, data)
    show("grid", scores(grid(data), data), data)


def scores(answer: Detections, data: BoxData) -> list[float]:
    """The 11-point AP of each class if every test picture gets this answer."""
    of_class = curves([answer] * len(data.test), data.test.boxes, data.num_classes)
    return [100 * curve.eleven_points for curve in of_class]


def grid(data: BoxData) -> Detections:
    """Boxes of each class's median size over the extent of the training boxes."""
    xyxy_M4 = np.concatenate([boxes.xyxy_M4 for boxes in data.train.boxes])
    labels_M = np.concatenate([boxes.labels_M for boxes in data.train.boxes])
    right, bottom = xyxy_M4[:, 2:].max(0)
    found, labels = [], []
    for label in range(data.num_classes):
        width, height = np.median(xyxy_M4[labels_M == label, 2:] - xyxy_M4[labels_M == label, :2], axis=0)
        lefts, tops = np.arange(0, right - width + 1, width / 2), np.arange(0, bottom - height + 1, height / 2)
        places = [(left, top, left + width, top + height) for left in lefts for top in tops]
        found += places
        labels += [label] * len(places)
    return Detections(np.array(found), np.array(labels), np.ones(len(found)))


def show(name: str, by_class: list[float], data: BoxData) -> None:
    parts = ", ".join(f"{known} {value:.2f}" for known, value in zip(data.classes, by_class))
    print(f"{name}: mean AP {mean_over_classes(by_class):.2f} ({parts})")


if __name__ == "__main__":
    main(sys.argv[1])
