"""ImageNet's folders, as they are found on disks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cutmix.data import PhotoSplit, list_data, load_data, train_batches
from cutmix.data.folder import IMAGENET_MEAN, IMAGENET_STD
from cutmix.data.imagenet import readable
from cutmix.errors import CutmixError

from .conftest import make_imagenet


def test_classes_are_the_sorted_folders(tmp_path: Path) -> None:
    data = load_data(make_imagenet(tmp_path), tmp_path)
    assert data.classes == ("n01440764", "n01443537")
    assert isinstance(data.train, PhotoSplit)
    assert [path.parent.name for path in data.train.paths] == ["n01440764"] * 3 + ["n01443537"] * 3
    assert data.train.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.labels_N.tolist() == [0, 0, 1, 1]
    assert (data.mean, data.std, data.image_size) == (IMAGENET_MEAN, IMAGENET_STD, 224)


@pytest.mark.parametrize("place", ["imagenet", "ILSVRC/Data/CLS-LOC", "."])
def test_other_places_are_found(tmp_path: Path, place: str) -> None:
    make_imagenet(tmp_path / "made")
    shutil.copytree(tmp_path / "made" / "ILSVRC", tmp_path / "root" / place, dirs_exist_ok=True)
    assert len(load_data("imagenet", tmp_path / "root").train) == 6
    row = next(row for row in list_data(tmp_path / "root") if row.name == "imagenet")
    assert (row.found, row.place) == ("found", str(tmp_path / "root" / place))


@pytest.mark.parametrize("separator", ["\t", " "])
def test_readable_names_come_from_a_file(tmp_path: Path, separator: str) -> None:
    make_imagenet(tmp_path)
    lines = ["n01440764{}tench, Tinca tinca", "n01443537{}goldfish, Carassius auratus", "n09{}no class", "", "n08"]
    (tmp_path / "ILSVRC" / "words.txt").write_text("\n".join(lines).format(*[separator] * 3))
    assert load_data("imagenet", tmp_path).classes == ("tench", "goldfish")


def test_names_that_two_classes_share_keep_their_id(tmp_path: Path) -> None:
    (tmp_path / "synset_words.txt").write_text("n1 crane\nn2 crane, bird\nn3 tench\n")
    assert readable(["n1", "n2", "n3", "n4"], [tmp_path]) == ("crane (n1)", "crane (n2)", "tench", "n4")


def test_files_are_not_opened_before_their_turn(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    (tmp_path / "ILSVRC/train/n01443537/train_1.JPEG").write_bytes(b"damaged")
    data = load_data("imagenet", tmp_path)
    with pytest.raises(CutmixError, match=r"n01443537/train_1\.JPEG: is not a picture"):
        list(train_batches(data, batch_size=2, seed=0, workers=0).epoch(0))


def test_folders_that_are_not_imagenet_are_named(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    (tmp_path / "ILSVRC/train/n01440764").rename(tmp_path / "ILSVRC/train/cat")
    (tmp_path / "ILSVRC/val/n01440764").rename(tmp_path / "ILSVRC/val/cat")
    with pytest.raises(CutmixError, match="train/cat is not named by a WordNet id"):
        load_data("imagenet", tmp_path)


def test_a_flat_or_missing_validation_folder_is_explained(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    val = tmp_path / "ILSVRC" / "val"
    for path in list(val.rglob("*.JPEG")):
        path.rename(val / f"{path.parent.name}_{path.name}")
    for folder in [path for path in val.iterdir() if path.is_dir()]:
        folder.rmdir()
    with pytest.raises(CutmixError, match="val holds no class folders; move its files"):
        load_data("imagenet", tmp_path)
    shutil.rmtree(val)
    with pytest.raises(CutmixError, match="val is missing"):
        load_data("imagenet", tmp_path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    make_imagenet(tmp_path)
    (tmp_path / "ILSVRC/train/n01500000").mkdir()
    with pytest.raises(CutmixError, match="n01500000 holds no picture"):
        load_data("imagenet", tmp_path)
