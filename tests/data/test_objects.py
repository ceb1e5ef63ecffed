"""Objects: what is kept, clipped, left out and counted; data that cannot be used is named before training starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.cli import main
from cutmix.data import BoxData, BoxSplit, load_boxes, make_boxes
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


def test_a_picture_with_one_object_to_train_on_is_trained_on(tmp_path):
    """The difficult one beside it stays with it."""
    both = make_boxes([[1, 1, 9, 9], [2, 3, 8, 9]], [0, 0], [True, False])
    base = listing(tmp_path)
    data = load_listed(listing(tmp_path, train=BoxSplit(base.train.paths, (both, base.train.boxes[1]))))
    assert data.train.paths == base.train.paths
    assert data.train.boxes[0].difficult_M.tolist() == [True, False]
    assert data.train.counts(2) == [2, 0]


def test_objects_and_pictures_are_picked_with_all_that_belongs_to_them():
    boxes = make_boxes([[0, 0, 1, 2], [0, 0, 3, 4], [0, 0, 5, 6]], [7, 8, 9], [True, False, True])
    kept = boxes.where(np.array([False, True, True]))
    assert kept.xyxy_M4.tolist() == [[0, 0, 3, 4], [0, 0, 5, 6]]
    assert (kept.labels_M.tolist(), kept.difficult_M.tolist()) == ([8, 9], [False, True])
    picked = BoxSplit((Path("a"), Path("b"), Path("c")), (boxes, kept, make_boxes([], []))).subset([2, 0])
    assert picked.paths == (Path("c"), Path("a"))
    assert [len(of_picture) for of_picture in picked.boxes] == [0, 3]


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


def test_the_fingerprint_follows_everything_that_is_learned_from():
    """Other labels, difficult ones, class names, file names, and a picture moved from one part to the other."""
    row, a, b, c = [[0, 0, 5, 6]], Path("a"), Path("b"), Path("c")
    box, label, difficult = make_boxes(row, [0]), make_boxes(row, [1]), make_boxes(row, [0], [True])
    whole = BoxData("", ("x", "y"), BoxSplit((a, b), (box, box)), BoxSplit((c,), (box,)))
    others = [
        replace(whole, test=BoxSplit((c,), (label,))),
        replace(whole, test=BoxSplit((c,), (difficult,))),
        replace(whole, classes=("x", "z")),
        replace(whole, test=BoxSplit((Path("d"),), (box,))),
        replace(whole, train=BoxSplit((a,), (box,)), test=BoxSplit((b, c), (box, box))),
    ]
    assert len({data.fingerprint for data in (whole, *others)}) == 6
    assert replace(whole, name="else", note="a note").fingerprint == whole.fingerprint


@pytest.mark.parametrize("spec", ["cifar10", "voc:", "folder:x"])
def test_other_data_is_refused(spec):
    with pytest.raises(UsageError, match="voc:PATH or coco:PATH is accepted"):
        load_boxes(spec)


def test_test_pictures_without_an_object_are_counted(tmp_path):
    """One of two; what training pictures are empty is no matter of these."""
    nothing, one = make_boxes([], []), make_boxes([[1, 2, 11, 22]], [0])
    base = listing(tmp_path)
    extra = [picture(tmp_path / f"extra{number}.png", level=9 + number) for number in range(3)]
    train = BoxSplit((*base.train.paths, *extra[:2]), (one, one, nothing, nothing))
    test = BoxSplit((*base.test.paths, extra[2]), (one, nothing))
    check = check_listed(listing(tmp_path, train=train, test=test))
    assert (check.empty, check.pictures) == (1, (4, 2))
    assert "1 test picture(s) show no object" in list(check.lines())


def test_the_check_says_it_all(tmp_path, capsys):
    assert main(["data", "check", f"voc:{tmp_path}"]) == 1
    assert "is no VOC folder" in capsys.readouterr().err
    lines = list(check_listed(listing(tmp_path, note="a note")).lines())
    assert lines[0] == "made: 2 train and 1 test pictures; objects of each class:"
    assert lines[1].split() == ["a", "2", "1"]
    assert lines[-2:] == ["a note", "can be trained on"]
