"""Localization of made-up blobs by a network whose maps are known, by hand; and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from torch import nn

from cutmix.data import ArraySplit, Data, view_boxes
from cutmix.data.boxes import Annotation, collect
from cutmix.errors import UsageError
from cutmix.evaluation import localization
from cutmix.evaluation.localization import Localization
from cutmix.evaluation.question import evaluate
from cutmix.evaluation.subject import Subject
from cutmix.evaluation.values import Missing, Note

SIDE = 12


class Brightness(nn.Module):
    """The map of class 0 is the red of the image, that of class 1 its green: what is bright is the object."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.maps = nn.Identity()
        self.fc = nn.Linear(3, classes, bias=False)
        self.passes = 0
        with torch.no_grad():
            self.fc.weight.copy_(torch.eye(3)[:classes])

    def forward(self, images):
        self.passes += 1
        return self.fc(self.maps(images).mean((2, 3)))


# What is bright in each image: channel, first and last columns and rows, and the true box.
BRIGHT = [
    (0, (2, 5, 3, 9), (2, 3, 6, 10)),  # class 0: found exactly
    (1, (0, 3, 0, 5), (0, 0, 4, 3)),  # class 1: 4x6 against 4x3: half, which is not above one half
    (1, (1, 6, 2, 8), (1, 2, 7, 9)),  # labelled 0 below: a map of class 0 shows nothing, and it is not recognised
    (0, (4, 8, 0, 10), (4, 0, 9, 12)),  # 5x11 against 5x12
]
LABELS = np.array([0, 1, 0, 0])


def made(boxes=None, labels=LABELS) -> Data:
    images = np.zeros((4, SIDE, SIDE, 3), np.uint8)
    for image, (channel, (left, right, top, bottom), _) in zip(images, BRIGHT):
        image[top : bottom + 1, left : right + 1, channel] = 255
    boxes = [np.array([true]) for _, _, true in BRIGHT] if boxes is None else boxes
    read = lambda: collect(Annotation(np.asarray(box, float), (SIDE, SIDE)) for box in boxes)  # noqa: E731
    train = ArraySplit(images, labels)
    half = (0.5, 0.5, 0.5)
    return Data("blobs", ("red", "green"), train, ArraySplit(images, labels, read), half, half, SIDE, flip=True)


def answers(data=None, model=None, limit=None, batch_size=3, **settings):
    question = Localization(**{"examples": 0, **settings})
    found = dict(evaluate(model or Brightness(), [question], data or made(), limit=limit, batch_size=batch_size))
    for name, value in found.items():
        if not isinstance(value, Note | Missing):
            assert any(fnmatch(name, pattern) for pattern in question.about), name
    return found


def test_numbers_by_hand():
    found = answers()
    assert found["localization/gt_known"] == 50.0  # the first and the last; the second only touches one half
    assert found["localization/top1"] == 50.0
    # The whole view is 144 pixels; boxes of 28, 12, 42 and 60.
    assert found["localization/gt_known/full_image"] == found["localization/top1/full_image"] == 0.0
    # One further, boxes are 5x8 of 28, 5x7 of 12, and 6x12 of 60; the third map is flat: a pixel in the corner.
    assert found["localization/max_box_acc"] == 50.0
    assert found["localization/max_box_acc/full_image"] == 0.0
    assert found["localization/max_box_acc_v2"] == pytest.approx((75 + 50 + 50) / 3)
    assert found["localization/max_box_acc_v2/full_image"] == pytest.approx(25 / 3)
    assert found["localization/curve/iou_0.3_full_image"].y == [25.0, 25.0]
    assert max(found["localization/curve/iou_0.5"].y) == found["localization/max_box_acc"]
    assert found["localization/top1"].n == 4
    assert "localization/note" not in found


def test_one_half_counts_where_it_need_not_be_exceeded():
    assert answers(iou=0.499)["localization/gt_known"] == 75.0


def one(red_HW: np.ndarray, true: tuple[int, int, int, int]) -> Data:
    """One test image of the first class, with nothing but red in it, and its box."""
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[0, :, :, 0] = red_HW
    read = lambda: collect([Annotation(np.array([true], float), (SIDE, SIDE))])  # noqa: E731
    return replace(made(), test=ArraySplit(image, np.array([0]), read))


def halo() -> Data:
    """4x7 bright pixels, which the box is around, and five columns beside them of 100 in 255."""
    red_HW = np.zeros((SIDE, SIDE), np.uint8)
    red_HW[3:10, 2:11] = 100
    red_HW[3:10, 2:6] = 255
    return one(red_HW, (2, 3, 6, 10))


def test_the_map_is_cut_at_the_threshold_that_is_asked_for():
    assert answers(halo())["localization/gt_known"] == 0.0  # 28 of 9x7 pixels
    assert answers(halo(), threshold=0.5)["localization/gt_known"] == 100.0


def test_only_v2_may_choose_among_regions():
    # Two regions as bright as each other: 4x6 pixels, and 3x3 whose box, one further, is the true one.
    red_HW = np.zeros((SIDE, SIDE), np.uint8)
    red_HW[0:6, 0:4] = red_HW[8:11, 8:11] = 200
    found = answers(one(red_HW, (8, 8, 12, 12)))
    assert (found["localization/max_box_acc"], found["localization/max_box_acc_v2"]) == (0.0, 100.0)
    assert max(found["localization/curve/iou_0.3"].y) == 0.0


@pytest.mark.parametrize("method", ["cam", "gradcam"])
def test_logits_that_are_not_finite_are_no_answer(method):
    if method == "gradcam":
        pytest.importorskip("pytorch_grad_cam")

    class Broken(Brightness):
        def forward(self, images):
            logits = super().forward(images)
            return logits.masked_fill(torch.arange(len(images))[:, None] == 1, torch.nan)

    # The second image of a batch of four; NaN is no class, though argmax takes it for the first.
    reason = answers(model=Broken(), batch_size=4, method=method)["localization"].reason
    assert "not finite for 1 of 4 images" in reason


def test_what_is_not_recognised_counts_for_gt_known_only():
    data = made(labels=np.array([1, 0, 1, 1]))  # each image's own map is dark, but for a test of the other class
    found = answers(data, cam_class="predicted")
    assert found["localization/top1"] == 25.0  # the third, whose label now is its colour
    assert found["localization/predicted_class"] == 75.0
    assert "localization/gt_known" not in found


def test_any_of_several_true_boxes_will_do():
    boxes = [[true] for _, _, true in BRIGHT]
    boxes[1] = [(8, 8, 10, 10), (0, 0, 4, 6)]
    assert answers(made(boxes))["localization/gt_known"] == 75.0


def test_images_without_a_box_are_left_out_and_counted():
    boxes = [[true] for _, _, true in BRIGHT]
    boxes[1], boxes[3] = [(5, 5, 5, 9)], [(20, 20, 30, 30)]
    found = answers(made(boxes))
    assert found["localization/gt_known"] == 50.0
    assert found["localization/gt_known"].n == 2
    assert "2 boxes were left out" in found["localization/note"].text
    assert "2 of 4 images" in found["localization/note"].text


def test_no_answer_depends_on_the_batch():
    plain = {name: value.as_json() for name, value in answers(batch_size=4).items()}
    assert plain == {name: value.as_json() for name, value in answers(batch_size=1).items()}


@pytest.mark.parametrize("pixels", [1, 2 * SIDE**2, 3 * SIDE**2])
def test_no_answer_depends_on_how_many_maps_are_looked_at_together(pixels, monkeypatch):
    plain = {name: value.as_json() for name, value in answers(batch_size=4).items()}
    monkeypatch.setattr(localization, "AT_ONCE", pixels)
    assert plain == {name: value.as_json() for name, value in answers(batch_size=4).items()}


def test_a_limit_takes_the_boxes_of_its_images():
    for limit in (1, 2, 3):
        found = answers(limit=limit)
        assert found["localization/gt_known"].n == limit
    assert answers(made([np.array([[2, 3, 6, 10]])] * 4), limit=1)["localization/gt_known"] in (0.0, 100.0)


def test_it_costs_one_pass():
    model = Brightness()
    answers(model=model, batch_size=2)
    assert model.passes == 2


def test_the_gallery_shows_both_boxes():
    found = answers(examples=3)
    picture = found["localization/gallery"]
    assert ((picture.pixels_HWC == (225, 0, 0)).all(-1)).any()
    assert ((picture.pixels_HWC == (0, 235, 60)).all(-1)).any()


def test_examples_show_the_true_box_in_red_and_say_how_much_the_networks_has_in_common_with_it():
    data = halo()
    subject = Subject(Brightness(), data, "cpu", workers=0)
    tiles, captions = Localization().examples_of(subject, view_boxes(data), np.array([0]))
    assert captions == ["red 0.44"]  # 28 / 63
    red, green = (np.flatnonzero((tiles[0] == rgb).all(-1).any(0)) for rgb in ((225, 0, 0), (0, 235, 60)))
    assert red.max() < green.max()  # the network's box has five columns more on its right


def test_data_without_boxes_is_named():
    data = made()
    found = answers(replace(data, test=data.train))
    assert "blobs has no boxes" in found["localization"].reason


def test_other_classes_are_refused_unless_only_the_predicted_ones_are_asked_for():
    assert "3 classes apart, blobs has 2" in answers(model=Brightness(3))["localization"].reason
    found = answers(model=Brightness(3), cam_class="predicted")
    assert found["localization/predicted_class"] == 75.0  # of all four the colour's map, the second is one half
    assert isinstance(found["localization/top1"], Missing)


def test_networks_without_maps_are_named():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 2))
    assert "no class activation maps" in answers(model=flat)["localization"].reason


@pytest.mark.parametrize(
    "wrong",
    [{"threshold": 1.0}, {"iou": 1.0}, {"cam_class": "best"}, {"examples": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Localization(**wrong)


def test_a_method_that_is_not_known_is_named():
    assert "Did you mean 'gradcam'" in answers(method="gradcamm")["localization"].reason
