"""What holds for every data set. They are found by looking into the folder: a new one is held without being listed."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cutmix.data
from cutmix.data import ArraySplit, Data, Split, check_data, list_data, load_data, test_batches, train_batches
from cutmix.data.find import KNOWN, PATH_KINDS
from cutmix.data.known import KnownSet
from cutmix.errors import CutmixError

SETS: dict[str, KnownSet] = {
    entry.name: entry
    for module in pkgutil.iter_modules(cutmix.data.__path__)
    for entry in getattr(importlib.import_module(f"cutmix.data.{module.name}"), "SETS", ())
}
EVERY = [*SETS, *PATH_KINDS]


@pytest.fixture(params=EVERY)
def loaded(request: pytest.FixtureRequest, makers: dict, tmp_path: Path) -> tuple[str, Path, Data]:
    """(spec, root, data) of each set, read from a made-up copy."""
    assert request.param in makers, f"conftest.py has no made-up copy of {request.param}"
    spec = makers[request.param](tmp_path)
    return spec, tmp_path, load_data(spec, tmp_path)


def parts(data: Data) -> tuple[Split, Split]:
    return data.train, data.test


def test_every_set_in_the_folder_can_be_asked_for() -> None:
    assert SETS
    assert KNOWN == SETS


def test_labels_name_classes(loaded: tuple[str, Path, Data]) -> None:
    _, _, data = loaded
    assert data.num_classes == len(data.classes) == len(set(data.classes)) >= 2
    assert all(isinstance(name, str) and name for name in data.classes)
    for split in parts(data):
        assert len(split) > 0
        assert split.labels_N.dtype == np.int64
        assert split.labels_N.shape == (len(split),)
        assert set(split.labels_N.tolist()) <= set(range(data.num_classes))


def test_pictures_are_rgb_bytes(loaded: tuple[str, Path, Data]) -> None:
    _, _, data = loaded
    for split in parts(data):
        pictures = split.pictures(range(len(split)))
        assert len(pictures) == len(split)
        assert all(picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 for picture in pictures)
        assert max(int(picture.max()) for picture in pictures) > 200


def test_a_subset_keeps_pictures_with_their_labels(loaded: tuple[str, Path, Data]) -> None:
    _, _, data = loaded
    for split in parts(data):
        part = split.subset([1, 0])
        assert part.labels_N.tolist() == split.labels_N[[1, 0]].tolist()
        assert all(np.array_equal(*pair) for pair in zip(part.pictures([0, 1]), split.pictures([1, 0]), strict=True))


def test_loading_again_gives_the_same(loaded: tuple[str, Path, Data]) -> None:
    spec, root, data = loaded
    again = load_data(spec, root)
    assert (again.classes, again.mean, again.std, again.note) == (data.classes, data.mean, data.std, data.note)
    assert again.fingerprint == data.fingerprint
    for ours, theirs in zip(parts(data), parts(again)):
        assert ours.labels_N.tolist() == theirs.labels_N.tolist()
        rows = range(len(ours))
        assert all(np.array_equal(*pair) for pair in zip(ours.pictures(rows), theirs.pictures(rows), strict=True))


def test_constants_are_in_units_of_one(loaded: tuple[str, Path, Data]) -> None:
    _, _, data = loaded
    assert all(0 < value < 1 for value in (*data.mean, *data.std))
    assert len(data.mean) == len(data.std) == 3


def test_batches_have_the_side_of_the_network(loaded: tuple[str, Path, Data]) -> None:
    spec, root, own = loaded
    for data in (own, load_data(spec, root, image_size=16)):
        side = data.image_size
        batch = next(train_batches(data, batch_size=2, seed=0, workers=0).epoch(0))
        assert batch.images_BCHW.shape == (2, 3, side, side)
        assert batch.images_BCHW.dtype == torch.float32
        shown = next(iter(test_batches(data, batch_size=2, workers=0)))
        assert shown.images_BCHW.shape == (2, 3, side, side)
        assert shown.labels_B.tolist() == data.test.labels_N[:2].tolist()
    assert data.image_size == 16


def test_a_check_counts_what_is_loaded(loaded: tuple[str, Path, Data]) -> None:
    spec, root, data = loaded
    check = check_data(spec, root)
    assert check.ok
    assert check.classes == data.classes
    assert check.train_counts == tuple(np.bincount(data.train.labels_N, minlength=data.num_classes))
    assert check.test_counts == tuple(np.bincount(data.test.labels_N, minlength=data.num_classes))


def test_the_list_says_whether_it_is_there(
    loaded: tuple[str, Path, Data], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spec, root, _ = loaded
    name = spec.partition(":")[0]
    here = {row.name.partition(":")[0]: row for row in list_data(root)}[name]
    elsewhere = {row.name.partition(":")[0]: row for row in list_data(tmp_path_factory.mktemp("other"))}[name]
    expected = {"found": "not found", "bundled": "bundled", "give a path": "give a path"}
    assert expected[here.found] == elsewhere.found
    assert here.about
    assert "\n" not in here.about


def test_a_missing_set_is_named_with_its_places(
    loaded: tuple[str, Path, Data], tmp_path_factory: pytest.TempPathFactory
) -> None:
    spec, _, _ = loaded
    empty = tmp_path_factory.mktemp("other")
    entry = SETS.get(spec)
    places = entry.places(empty) if entry else []
    if places:
        with pytest.raises(CutmixError, match="was not found") as caught:
            load_data(spec, empty)
        assert all(str(place) in str(caught.value) for place in places)
    else:
        assert entry is None or len(load_data(spec, empty).train) > 0


def test_truncated_files_are_refused(loaded: tuple[str, Path, Data]) -> None:
    spec, root, data = loaded
    files = [path for path in root.rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if files:
        with pytest.raises(CutmixError, match=str(root)):
            list(test_batches(load_data(spec, root), batch_size=2, workers=0))
    else:
        assert isinstance(data.train, ArraySplit)


def test_importing_is_light() -> None:
    """Slow libraries are imported where they are used."""
    command = "import sys, cutmix.data; print([m for m in ('torchvision', 'PIL', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
