"""Occlusion: holes and curves worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cutmix.errors import UsageError
from cutmix.evaluation.occlusion import Occlusion, centre_box, hole_sides, occlude_boundary, occlude_centre


@pytest.mark.parametrize(
    ("size", "steps", "sides"),
    [(224, 9, [0, 28, 56, 84, 112, 140, 168, 196, 224]), (7, 4, [0, 2, 5, 7]), (3, 9, [0, 1, 2, 3]), (8, 2, [0, 8])],
)
def test_sides(size, steps, sides):
    assert hole_sides(size, steps) == sides


def test_one_side_is_too_few():
    with pytest.raises(UsageError, match="at least 2"):
        hole_sides(8, 1)


@pytest.mark.parametrize("size_HW", [(4, 6), (5, 7), (6, 6), (5, 5)])
def test_the_box_is_in_the_middle_and_grows_to_the_whole_image(size_HW):
    for side in range(max(size_HW) + 1):
        box = centre_box(side, size_HW)
        box.check(size_HW)
        assert box.area == min(side, size_HW[0]) * min(side, size_HW[1])
        assert abs(box.top - (size_HW[0] - box.bottom)) <= 1
        assert abs(box.left - (size_HW[1] - box.right)) <= 1


def test_holes_by_hand():
    images = torch.arange(24.0).view(1, 1, 4, 6)
    hole = occlude_centre(images, 2, fill=-1.0)
    rest = occlude_boundary(images, 2, fill=-1.0)
    inside = torch.zeros(4, 6, dtype=torch.bool)
    inside[1:3, 2:4] = True
    assert torch.equal(hole[0, 0], torch.where(inside, -1.0, images[0, 0]))
    assert torch.equal(rest[0, 0], torch.where(inside, images[0, 0], -1.0))
    assert torch.equal(occlude_centre(images, 0), images)
    assert torch.equal(occlude_boundary(images, 6), images)
    assert occlude_centre(images, 6).abs().sum() == 0
    assert occlude_boundary(images, 0).abs().sum() == 0
    assert images.sum() == 276  # what came is left as it was
    with pytest.raises(UsageError, match="at least 0"):
        occlude_centre(images, -1)


@pytest.fixture
def rings(colours):
    """8x8: a green square of 4 pixels a side within red, and a red one of 6 within blue; both are labelled red."""
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, ..., 0] = 200
    images[0, 2:6, 2:6] = (0, 200, 0)
    images[1, ..., 2] = 200
    images[1, 1:7, 1:7] = (200, 0, 0)
    return lambda **settings: colours(images, [0, 0], **settings)


def test_curves_by_hand(rings):
    # The mean colour of the data, with which holes are filled, is (0.3, 0.5, 0.4) * 255 = (76.5, 127.5, 102).
    #   image 0: 48 red pixels, 16 green ones, all of 200         image 1: 36 red pixels, 28 blue ones
    # Centre, sums of (red, green, blue) over 64 pixels, where a hole of `n` pixels adds n times the mean colour:
    #   side 0: (9600, 3200, 0) red                                (7200, 0, 5600) red
    #   side 2, n = 4: (9906, 2910, 408) red                       (6706, 510, 6008) red
    #   side 4, n = 16: (10824, 2040, 1632) red                    (5224, 2040, 7232) blue
    #   side 6, n = 36: (48 - 20 red: 8354, 4590, 3672) red        (2754, 4590, 9272) blue
    #   side 8: the mean colour alone, which is green.
    # Boundary, what is left:
    #   side 0: green. Side 2, n = 60: (4590, 8450, ...) green     (5390, 7650, 6120) green
    #   side 4, n = 48: (3672, 9320, 4896) green                   (6872, 6120, 4896) red
    #   side 6, n = 28: (20 red: 6142, 6770, 2856) green           (9342, 3570, 2856) red
    #   side 8: red                                                red
    values = dict(Occlusion(steps=5).answer(rings()))
    centre, boundary = values["occlusion/centre"], values["occlusion/boundary"]
    assert list(centre.x) == list(boundary.x) == [0, 2, 4, 6, 8]
    assert centre.y == [0, 0, 50, 50, 100]
    assert boundary.y == [100, 100, 50, 50, 0]
    assert values["occlusion/centre/mean"] == 40
    assert values["occlusion/boundary/mean"] == 60
    assert values["occlusion/centre/mean"].n == 2
    assert set(Occlusion().about) == set(values)


def test_the_fill_is_an_argument(rings):
    # All 20 in normalised values is 0.3 + 20 * 0.25 of red, 0.5 + 20 * 0.2 of green, 0.4 + 20 * 0.5 of blue: blue.
    subject = rings()
    subject.split.labels_N[:] = 2
    assert dict(Occlusion(steps=2, fill=20.0).answer(subject))["occlusion/centre"].y == [100, 0]
    assert dict(Occlusion(steps=2, fill=20.0).answer(subject))["occlusion/boundary"].y == [0, 100]
    assert dict(Occlusion(steps=2).answer(subject))["occlusion/centre"].y == [100, 100]  # the mean colour is green
    assert "20 after normalisation" in Occlusion(fill=20.0).about["occlusion/centre"]
    assert "mean colour" in Occlusion().about["occlusion/centre"]


def test_other_batch_sizes_and_a_limit(rings):
    assert dict(Occlusion(steps=5).answer(rings(batch_size=1)))["occlusion/centre"].y == [0, 0, 50, 50, 100]
    one = dict(Occlusion(steps=5).answer(rings(limit=1)))
    assert one["occlusion/centre/mean"].n == 1
    assert one["occlusion/centre"].y in ([0, 0, 0, 0, 100], [0, 0, 100, 100, 100])


def test_logits_that_are_not_finite_are_no_answer(rings, monkeypatch):
    subject = rings()
    forward = subject.model.forward
    first = torch.tensor([[True], [False]])
    monkeypatch.setattr(subject.model, "forward", lambda images: forward(images).masked_fill(first, torch.nan))
    with pytest.raises(UsageError, match="not finite for 4 of 8 images"):  # two images, two sides of two holes
        list(Occlusion(steps=2).answer(subject))
