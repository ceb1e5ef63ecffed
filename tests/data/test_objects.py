"""Objects: what is kept, clipped, left out and counted; data that cannot be used is named before training starts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.cli import main
from cutmix.data import BoxSplit, load_boxes, make_boxes
from cutmix.data.objects import CLIPPED, DEGENERATE, OUTSIDE, BoxListing, check_listed, load_listed, within_picture
from cutmix.errors import CutmixError, UsageError


def picture(path: Path, width: int = 40, height: int = 30, level: int = 0) -> Path:
    Image.new("RGB", (width, height), (level, 0, 0)).save(path)
    return path


def listing(tmp_path: Path, **changes) -> BoxListing:
    """Two training pictures and one to test."""
    paths = [picture(tmp_path / f"{number}.png", level=number) for number in range(3)]
    one = make_boxes([[1, 2, 11, 22]], [0])
    settings = {"train": BoxSplit(tuple(paths[:2]), (one, one)), "test": BoxSplit((paths[2],), (one,))}
    return BoxListing("made", tmp_path, ("a", "b"), **{**settings, **changes})


def test_boxes_within_their_picture_by_hand():
    """Of seven boxes three have no area, one lies outside, one reaches over by 5, one by half a pixel."""
    rows = [[3, 3, 3, 9], [9, 9, 5, 12], [40, 0, 50, 10], [30, 10, 45, 20], [-0.5, 0, 10, 10], [0, 0, 40, 30],
            [float("nan"), 0, 5, 5]]  # fmt: skip
    counts: Counter[str] = Counter()
    kept = within_picture(make_boxes(rows, range(7), [False] * 6 + [True]), 40, 30, counts)
    np.testing.assert_array_equal(kept.xyxy_M4, [[30, 10, 40, 20], [0, 0, 10, 10], [0, 0, 40, 30]])
    assert kept.labels_M.tolist() == [3, 4, 5]
    assert counts == {DEGENERATE: 3, OUTSIDE: 1, CLIPPED: 1}


def test_pictures_without_anything_to_learn_are_left_out_of_training_alone(tmp_path):
    empty, hard = make_boxes([], []), make_boxes([[1, 1, 9, 9]], [0], [True])
    base = listing(tmp_path)
    paths = base.train.paths
    extra = picture(tmp_path / "extra.png", level=9)
    train = BoxSplit((*paths, extra), (base.train.boxes[0], empty, hard))
    test = BoxSplit((base.test.paths[0], picture(tmp_path / "more.png", level=8)), (base.test.boxes[0], empty))
    data = load_listed(listing(tmp_path, train=train, test=test))
    assert data.train.paths == (paths[0],)
    assert len(data.test) == 2
    assert "2 training pictures without an object to train on left out" in data.note


def test_unusable_files_are_counted_and_named(tmp_path):
    base = listing(tmp_path, problems=((tmp_path / "x.xml", "has no name"),), sizes={tmp_path / "2.png": (30, 40)})
    whole = base.train.paths[0].read_bytes()
    base.train.paths[0].write_bytes(whole[: len(whole) // 2])
    base.train.paths[1].unlink()
    with pytest.raises(CutmixError) as raised:
        load_listed(base)
    said = str(raised.value)
    assert said.startswith(f"4 problem(s) of {tmp_path}:")
    assert "x.xml: has no name" in said
    assert "1.png: is missing" in said
    assert "2.png: is 40x30 pixels, its annotation is for 30x40" in said
    assert not check_listed(base).ok


def test_a_class_that_is_only_tested_is_refused(tmp_path):
    test = BoxSplit((picture(tmp_path / "t.png"),), (make_boxes([[0, 0, 5, 5]], [1]),))
    with pytest.raises(CutmixError, match=r"tests 1 class\(es\) that no training picture shows: b"):
        load_listed(listing(tmp_path, test=test))


def test_a_part_without_objects_is_refused(tmp_path):
    test = BoxSplit((picture(tmp_path / "t.png"),), (make_boxes([[0, 0, 5, 5]], [0], [True]),))
    with pytest.raises(CutmixError, match="the test part of made has no object"):
        load_listed(listing(tmp_path, test=test))


def test_copies_between_the_parts_are_said(tmp_path):
    base = listing(tmp_path)
    base.test.paths[0].write_bytes(base.train.paths[1].read_bytes())
    assert "1 of 1 test pictures are also train pictures" in load_listed(base).note
    assert check_listed(base).copies == ((base.train.paths[1], base.test.paths[0]),)


def test_the_fingerprint_follows_the_boxes(tmp_path):
    first = load_listed(listing(tmp_path)).fingerprint
    assert load_listed(listing(tmp_path)).fingerprint == first
    moved = BoxSplit((tmp_path / "2.png",), (make_boxes([[1, 2, 12, 22]], [0]),))
    assert load_listed(listing(tmp_path, test=moved)).fingerprint != first


@pytest.mark.parametrize("spec", ["cifar10", "voc:", "folder:x"])
def test_other_data_is_refused(spec):
    with pytest.raises(UsageError, match="voc:PATH or coco:PATH is accepted"):
        load_boxes(spec)


def test_the_check_says_it_all(tmp_path, capsys):
    assert main(["data", "check", f"voc:{tmp_path}"]) == 1
    assert "is no VOC folder" in capsys.readouterr().err
    lines = list(check_listed(listing(tmp_path, note="a note")).lines())
    assert lines[0] == "made: 2 train and 1 test pictures; objects of each class:"
    assert lines[1].split() == ["a", "2", "1"]
    assert lines[-2:] == ["a note", "can be trained on"]
