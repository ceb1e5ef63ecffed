"""Folders of pictures: splits, small and large ones, and everything that may lie around in them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cutmix.data import ArraySplit, PhotoSplit, load_data
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD, list_folder
from cutmix.errors import CutmixError

from .conftest import write_picture


def make(root: Path, counts: dict[str, int], side: int | None = None) -> Path:
    """Pictures of growing width, or squares of one side, in folders as named."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            width, height = (side, side) if side else (70 + number, 20)
            write_picture(root / name / f"{number}.png", width, height, seed=100 * place + number)
    return root


def test_a_split_is_drawn_and_noted(tmp_path: Path) -> None:
    folder = make(tmp_path / "pets", {"dog": 10, "cat": 5})
    data = load_data(f"folder:{folder}")
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    assert np.bincount(data.train.labels_N).tolist() == [4, 8]
    assert np.bincount(data.test.labels_N).tolist() == [1, 2]
    assert data.note == "3 of 15 pictures drawn for testing by their file names, stratified, with seed 0"
    assert isinstance(data.train, PhotoSplit)
    assert isinstance(data.test, PhotoSplit)
    assert not set(data.train.paths) & set(data.test.paths)
    for split in (data.train, data.test):
        assert [path.parent.name for path in split.paths] == [data.classes[label] for label in split.labels_N]


def test_the_seed_draws_the_split(tmp_path: Path) -> None:
    folder = make(tmp_path, {"dog": 20, "cat": 20})
    tests = [load_data(f"folder:{folder}", seed=seed).test.paths for seed in (0, 0, 1)]  # type: ignore[union-attr]
    assert tests[0] == tests[1] != tests[2]


def test_a_picture_that_is_added_or_renamed_leaves_the_others_where_they_are(tmp_path: Path) -> None:
    folder = make(tmp_path / "pets", {"dog": 24, "cat": 20})

    def tested(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in list_folder(folder).test.paths}

    before = tested(folder)
    write_picture(folder / "dog" / "00.png", 70, 20)  # the first of the listing
    assert tested(folder) - {"dog/00.png"} <= before
    assert len(before - tested(folder)) <= 1
    (folder / "dog" / "00.png").unlink()
    (folder / "dog").rename(folder / "a wolf")  # the label changes, the names in the class folder do not
    moved = folder.rename(tmp_path / "moved")
    assert {name.replace("a wolf", "dog") for name in tested(moved)} == before


def test_a_fingerprint_follows_the_split_and_not_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "pets", {"dog": 10, "cat": 10})
    first, other = (load_data(f"folder:{folder}", seed=seed).fingerprint for seed in (0, 1))
    assert first != other
    moved = folder.rename(tmp_path / "moved")
    assert load_data(f"folder:{moved}").fingerprint == first
    monkeypatch.chdir(moved)
    assert load_data("folder:.").fingerprint == first


@pytest.mark.parametrize("name", ["val", "test", "valid"])
def test_train_and_a_test_folder_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    make(tmp_path / "train", {"a": 3, "b": 2})
    make(tmp_path / name, {"a": 1, "b": 2})
    data = load_data(f"folder:{tmp_path}")
    assert data.train.labels_N.tolist() == [0, 0, 0, 1, 1]
    assert data.test.labels_N.tolist() == [0, 1, 1]
    assert f"tested on the folder {name}" in data.note


def test_of_val_and_test_the_first_is_used_and_said(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        make(tmp_path / part, {"a": count, "b": count})
    data = load_data(f"folder:{tmp_path}")
    assert len(data.test) == 2
    assert "tested on the folder val; test not used" in data.note


def test_of_train_alone_a_part_is_drawn(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": 5, "b": 5})
    data = load_data(f"folder:{tmp_path}")
    assert data.classes == ("a", "b")
    assert (len(data.train), len(data.test)) == (8, 2)


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": 2, "b": 2})
    make(tmp_path / "val", {"a": 1, "c": 1})
    with pytest.raises(CutmixError, match=r"val has classes that .*train has not: c \(1\)"):
        load_data(f"folder:{tmp_path}")


def test_a_class_that_is_only_trained_is_noted(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": 2, "b": 2, "c": 2})
    make(tmp_path / "val", {"a": 1, "b": 0})
    data = load_data(f"folder:{tmp_path}")
    assert data.num_classes == 3
    assert "2 of 3 classes have no test picture (b, c)" in data.note
    single = make(tmp_path / "other", {"a": 5, "b": 1})
    assert "1 of 2 classes have no test picture (b)" in load_data(f"folder:{single}").note


def test_small_squares_are_read_into_memory(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": 5, "b": 5}, side=12)
    data = load_data(f"folder:{folder}")
    listing = list_folder(folder)
    for split, listed in ((data.train, listing.train), (data.test, listing.test)):
        assert isinstance(split, ArraySplit)
        assert all(
            np.array_equal(*pair) for pair in zip(split.images_NHWC, listed.pictures(range(len(listed))), strict=True)
        )
    assert data.image_size == 12
    assert data.mean == pytest.approx(data.train.images_NHWC.mean(axis=(0, 1, 2)) / 255, abs=1e-4)  # type: ignore[union-attr]
    assert data.std == pytest.approx(data.train.images_NHWC.std(axis=(0, 1, 2)) / 255, abs=1e-4)  # type: ignore[union-attr]
    assert load_data(f"folder:{folder}", image_size=20).train.pictures([0])[0].shape == (20, 20, 3)


def test_small_squares_are_photos_for_a_large_network(tmp_path: Path) -> None:
    data = load_data(f"folder:{make(tmp_path, {'a': 2, 'b': 2}, side=12)}", image_size=96)
    assert isinstance(data.train, PhotoSplit)
    assert data.image_size == 96


@pytest.mark.parametrize("kind", ["large", "oblong", "of two sizes"])
def test_other_pictures_are_photos(tmp_path: Path, kind: str) -> None:
    folder = make(tmp_path, {"a": 2, "b": 2}, side=65 if kind == "large" else 12)
    if kind == "oblong":
        for path in folder.rglob("*.png"):
            write_picture(path, 12, 10)
    if kind == "of two sizes":
        write_picture(folder / "a" / "0.png", 11, 11)
    data = load_data(f"folder:{folder}")
    assert isinstance(data.train, PhotoSplit)
    assert (data.image_size, data.mean, data.std) == (224, IMAGENET_MEAN, IMAGENET_STD)


def test_odd_files_are_passed_over_and_inner_folders_are_not(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": 2, "b": 2})
    write_picture(folder / "a" / "inner" / "deep.PNG", 70, 30)
    for odd in (".hidden.png", "notes.txt", "a/.DS_Store", "a/Thumbs.db", "b/.inner/x.png"):
        (folder / odd).parent.mkdir(exist_ok=True)
        (folder / odd).write_bytes(b"odd")
    listing = list_folder(folder)
    assert sorted(path.relative_to(folder).as_posix() for path in listing.paths) == [
        "a/0.png",
        "a/1.png",
        "a/inner/deep.PNG",
        "b/0.png",
        "b/1.png",
    ]
    assert {path.relative_to(folder).as_posix() for path in listing.ignored} == {"a/Thumbs.db", "notes.txt"}
    assert load_data(f"folder:{folder}").num_classes == 2


def test_everything_that_cannot_be_used_is_named_at_once(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": 9, "b": 2, "empty": 0})
    for number in range(7):
        (folder / "a" / f"{number}.png").write_bytes(b"" if number else b"text")
    with pytest.raises(CutmixError) as caught:
        load_data(f"folder:{folder}")
    message = str(caught.value)
    assert message.startswith(f"8 of 11 pictures in {folder} cannot be used:")
    assert f"{folder / 'empty'}: is a class folder without a picture" in message
    assert f"{folder / 'a'}/" in message
    assert "... and 3 more" in message
    assert len(message.splitlines()) == 8


def test_test_pictures_that_are_trained_on_are_noted(tmp_path: Path) -> None:
    make(tmp_path / "train", {"a": 2, "b": 2})
    make(tmp_path / "val", {"a": 1, "b": 1})
    (tmp_path / "val/b/copy.png").write_bytes((tmp_path / "train/a/1.png").read_bytes())
    (tmp_path / "val/b/0.png").unlink()
    (tmp_path / "val/a/0.png").unlink()
    write_picture(tmp_path / "val/a/0.png", 99, 20)
    assert "1 of 2 test pictures are also train pictures" in load_data(f"folder:{tmp_path}").note


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "holds no pictures in class folders"),
        ({"a": 3}, r"holds one class folder \(a\)"),
        ({"a": 0, "b": 0}, "no pictures"),
    ],
)
def test_a_folder_without_two_classes_is_explained(tmp_path: Path, counts: dict, message: str) -> None:
    with pytest.raises(CutmixError, match=message):
        load_data(f"folder:{make(tmp_path, counts)}")


def test_a_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(CutmixError, match=f"{path} is not a folder"):
            load_data(f"folder:{path}")


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path, {"a": 2, "b": 2})
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CutmixError, match=r"b may not be listed \(Permission denied\)"):
        list_folder(folder)


def test_links_are_followed(tmp_path: Path) -> None:
    folder = make(tmp_path / "real", {"a": 2, "b": 2})
    (tmp_path / "linked").mkdir()
    for name in "ab":
        (tmp_path / "linked" / name).symlink_to(folder / name)
    (tmp_path / "linked" / "a" / "broken.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(CutmixError, match=r"broken\.png: is missing"):
        load_data(f"folder:{tmp_path / 'linked'}")
    (tmp_path / "linked" / "a" / "broken.png").unlink()
    assert len(load_data(f"folder:{tmp_path / 'linked'}").train) == 2
