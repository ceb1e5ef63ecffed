"""What ``cutmix data check`` reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cutmix.data import check_data
from cutmix.errors import CutmixError, UsageError

from .conftest import make_arrays, make_imagenet, write_picture


def make_parts(root: Path) -> Path:
    for part in ("train", "val"):
        for name in ("ant", "bee"):
            for number in range(3 if part == "train" else 1):
                write_picture(root / part / name / f"{number}.png", 80, 20 + number, seed=len(part + name))
    return root


def test_a_good_folder_is_counted(tmp_path: Path) -> None:
    check = check_data(f"folder:{make_parts(tmp_path / 'mine')}")
    assert check.ok
    assert (check.train_counts, check.test_counts) == ((3, 3), (1, 1))
    assert list(check.lines()) == [
        "mine: 6 train and 2 test images",
        "  ant        3        1",
        "  bee        3        1",
        "tested on the folder val",
        "can be trained on",
    ]


def test_problems_copies_and_ignored_files_are_reported(tmp_path: Path) -> None:
    make_parts(tmp_path)
    (tmp_path / "train/ant/1.png").write_bytes(b"text")
    (tmp_path / "train/cow").mkdir()
    (tmp_path / "val/bee/same.png").write_bytes((tmp_path / "train/bee/2.png").read_bytes())
    (tmp_path / "val/notes.txt").write_text("notes")
    calls: list[tuple[int, int]] = []
    check = check_data(f"folder:{tmp_path}", progress=lambda done, total: calls.append((done, total)))
    assert not check.ok
    assert check.problems == (
        (tmp_path / "train/cow", "is a class folder without a picture"),
        (tmp_path / "train/ant/1.png", "is not a picture that can be decoded"),
    )
    assert check.copies == ((str(tmp_path / "train/bee/2.png"), str(tmp_path / "val/bee/same.png")),)
    assert check.ignored == (tmp_path / "val/notes.txt",)
    assert calls[-1] == (9, 9)
    lines = list(check.lines())
    assert f"ignored: 1 file(s) that are no pictures in class folders, first {tmp_path / 'val/notes.txt'}" in lines
    assert f"warning: {tmp_path / 'val/bee/same.png'} is the same as {tmp_path / 'train/bee/2.png'}" in lines
    assert f"error: {tmp_path / 'train/ant/1.png'}: is not a picture that can be decoded" in lines
    assert lines[-1] == "2 problem(s) keep it from being trained on"


def test_two_damaged_files_are_not_copies_of_each_other(tmp_path: Path) -> None:
    make_parts(tmp_path)
    for path in ("train/ant/0.png", "val/ant/0.png"):
        (tmp_path / path).write_bytes(b"text")
    check = check_data(f"folder:{tmp_path}")
    assert len(check.problems) == 2
    assert check.copies == ()


def test_every_photo_of_imagenet_is_decoded(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    damaged = tmp_path / "ILSVRC/val/n01443537/val_1.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:500])
    check = check_data("imagenet", tmp_path)
    assert [path for path, _ in check.problems] == [damaged]
    assert "runcated" in check.problems[0][1]


def test_images_in_memory_that_are_on_both_sides_are_found(tmp_path: Path) -> None:
    spec = make_arrays(tmp_path)
    with np.load(tmp_path / "mine/train.npz") as train, np.load(tmp_path / "mine/test.npz") as test:
        images = test["images"].copy()
        images[4] = train["images"][7]
        np.savez(tmp_path / "mine/test.npz", images=images, labels=test["labels"], classes=test["classes"])
    check = check_data(spec)
    assert check.copies == (("train image 7", "test image 4"),)
    assert check.ok


def test_what_is_not_there_or_not_known_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CutmixError, match="is not a folder"):
        check_data(f"folder:{tmp_path / 'nothing'}")
    with pytest.raises(UsageError, match="Unknown data"):
        check_data("nothing", tmp_path)
