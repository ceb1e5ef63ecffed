"""Orders, shares of processes, resuming: what a batch holds is a function of (seed, epoch, image) alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data import (
    ArraySplit,
    Batch,
    CropFlip,
    Data,
    NoAugment,
    PhotoCrop,
    PhotoSplit,
    SquareCrop,
    default_workers,
    test_batches,
    train_batches,
)
from cutmix.data.batches import ArrayImages, DeviceImages
from cutmix.data.chance import epoch_order
from cutmix.data.transforms import centre_view
from cutmix.errors import CutmixError, UsageError

from .conftest import make_folder

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.2, 0.1)


def numbered_split(count: int, side: int = 6) -> ArraySplit:
    """Image n is full of n in red, and holds noise in green and blue."""
    images = np.random.default_rng(1).integers(1, 255, (count, side, side, 3), dtype=np.uint8)
    images[..., 0] = np.arange(count)[:, None, None]
    return ArraySplit(images, np.arange(count) % 3)


@pytest.fixture
def arrays() -> Data:
    return Data("made-up", ("a", "b", "c"), numbered_split(23), numbered_split(11), MEAN, STD, 6, flip=True)


@pytest.fixture
def photos(tmp_path: Path) -> Data:
    rng = np.random.default_rng(2)
    paths = []
    for number in range(9):
        path = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (20 + number, 31, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    split = PhotoSplit(tuple(paths), np.arange(9) % 3)
    return Data("photos", ("a", "b", "c"), split, split, MEAN, STD, 16, flip=True)


def numbers(batch: Batch) -> list[int]:
    """Which images a batch of ``numbered_split`` holds (the middle is never padding)."""
    return ((batch.images_BCHW[:, 0, 3, 3] * STD[0] + MEAN[0]) * 255).round().int().tolist()


def same(ours: list[Batch], theirs: list[Batch]) -> bool:
    return len(ours) == len(theirs) and all(
        torch.equal(a.images_BCHW, b.images_BCHW) and torch.equal(a.labels_B, b.labels_B) and a.total == b.total
        for a, b in zip(ours, theirs)
    )


def test_an_epoch_visits_every_image_once_with_its_label(arrays: Data) -> None:
    steps = list(train_batches(arrays, batch_size=8, seed=3).epoch(0))
    seen = [number for batch in steps for number in numbers(batch)]
    assert sorted(seen) == list(range(23))
    assert [len(batch.labels_B) for batch in steps] == [8, 8, 7]
    assert [batch.total for batch in steps] == [8, 8, 7]
    assert [label for batch in steps for label in batch.labels_B.tolist()] == [number % 3 for number in seen]


def test_a_batch_is_normalised_channels_last_float(arrays: Data) -> None:
    batch = next(train_batches(arrays, batch_size=8, seed=3).epoch(0))
    assert batch.images_BCHW.shape == (8, 3, 6, 6)
    assert batch.images_BCHW.dtype == torch.float32
    assert batch.labels_B.dtype == torch.int64
    assert batch.images_BCHW.is_contiguous(memory_format=torch.channels_last)


def test_the_order_comes_from_seed_and_epoch() -> None:
    orders = [epoch_order(seed, epoch, 50).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(1, 1, 50).tolist() == orders[3]


def test_epochs_differ_in_order_and_in_crops(arrays: Data) -> None:
    batches = train_batches(arrays, batch_size=23, seed=3)
    first, second = next(batches.epoch(0)), next(batches.epoch(1))
    assert numbers(first) != numbers(second)
    sorted_first = first.images_BCHW[np.argsort(numbers(first))]
    sorted_second = second.images_BCHW[np.argsort(numbers(second))]
    assert not torch.equal(sorted_first, sorted_second)


def test_photos_are_cropped_anew_in_every_epoch(photos: Data) -> None:
    batches = train_batches(photos, batch_size=9, seed=3, workers=0)
    first, second = (next(batches.epoch(epoch)).images_BCHW[epoch_order(3, epoch, 9).argsort()] for epoch in (0, 1))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_epoch_can_be_asked_for_again_in_any_order_and_side_by_side(arrays: Data) -> None:
    batches = train_batches(arrays, batch_size=5, seed=3)
    alone = {epoch: list(batches.epoch(epoch)) for epoch in (2, 0)}
    pairs = list(zip(batches.epoch(0), batches.epoch(2)))
    assert same([pair[0] for pair in pairs], alone[0])
    assert same([pair[1] for pair in pairs], alone[2])


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_starting_late_gives_the_tail(kind: str, request: pytest.FixtureRequest) -> None:
    data: Data = request.getfixturevalue(kind)
    batches = train_batches(data, batch_size=2, seed=3, workers=0)
    whole = list(batches.epoch(1))
    assert len(whole) == batches.steps_per_epoch
    assert same(list(batches.epoch(1, start_step=3)), whole[3:])
    assert list(batches.epoch(1, start_step=batches.steps_per_epoch)) == []


def test_skipped_photos_are_not_decoded(photos: Data) -> None:
    batches = train_batches(photos, batch_size=3, seed=0, workers=0)
    skipped = epoch_order(0, 0, 9)[:3]
    for row in skipped:
        photos.train.paths[row].write_bytes(b"damaged")  # type: ignore[union-attr]
    assert len(list(batches.epoch(0, start_step=1))) == 2


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_batch_size_does_not_change_an_image(kind: str, request: pytest.FixtureRequest) -> None:
    data: Data = request.getfixturevalue(kind)
    small = torch.cat([b.images_BCHW for b in train_batches(data, batch_size=2, seed=3, workers=0).epoch(1)])
    large = torch.cat([b.images_BCHW for b in train_batches(data, batch_size=7, seed=3, workers=0).epoch(1)])
    assert torch.equal(small, large)


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_processes_share_each_batch_by_stride(kind: str, request: pytest.FixtureRequest) -> None:
    data: Data = request.getfixturevalue(kind)

    def batches(rank: int, world_size: int) -> list[Batch]:
        return list(train_batches(data, batch_size=6, seed=3, workers=0, rank=rank, world_size=world_size).epoch(1))

    whole, even, odd = batches(0, 1), batches(0, 2), batches(1, 2)
    assert len(whole) == len(even) == len(odd)
    for all_rows, first, second in zip(whole, even, odd):
        assert first.total == second.total == all_rows.total == len(all_rows.labels_B)
        for rank, part in enumerate((first, second)):
            assert torch.equal(part.images_BCHW, all_rows.images_BCHW[rank::2])
            assert torch.equal(part.labels_B, all_rows.labels_B[rank::2])


def test_a_last_batch_that_cannot_be_shared_is_dropped_everywhere(arrays: Data) -> None:
    def steps(batch_size: int, world_size: int) -> set[int]:
        made = [
            train_batches(arrays, batch_size=batch_size, seed=0, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        assert all(len(list(batches.epoch(0))) == batches.steps_per_epoch for batches in made)
        return {batches.steps_per_epoch for batches in made}

    assert steps(7, 1) == {4}  # 23 = 3 * 7 + 2
    assert steps(7, 2) == {4}
    assert steps(7, 3) == {3}
    assert steps(23, 1) == {1}


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 4), (2, 4), (3, 5), (3, 100)])
def test_tests_see_every_image_once_in_order(arrays: Data, world_size: int, batch_size: int) -> None:
    seen: list[int] = []
    for rank in range(world_size):
        batches = test_batches(arrays, batch_size=batch_size, rank=rank, world_size=world_size)
        mine = [number for batch in batches for number in numbers(batch)]
        assert mine == sorted(mine)
        assert batches.steps == len(batches) == len(list(batches))
        assert all(len(batch.labels_B) > 0 for batch in batches)
        seen += mine
    assert sorted(seen) == list(range(11))


@pytest.mark.parametrize(
    ("count", "world_size", "batch_size", "totals"),
    [
        (11, 3, 5, [5, 6]),
        (11, 3, 4, [4, 4, 3]),
        (9, 2, 4, [4, 5]),
        (8, 2, 4, [4, 4]),
        (3, 2, 8, [3]),
        (9, 1, 4, [4, 4, 1]),
    ],
)
def test_tests_have_as_many_batches_in_every_process(
    arrays: Data, count: int, world_size: int, batch_size: int, totals: list[int]
) -> None:
    split = arrays.test.subset(range(count))
    for rank in range(world_size):
        batches = test_batches(arrays, split, batch_size=batch_size, rank=rank, world_size=world_size)
        assert [batch.total for batch in batches] == totals
        assert [len(batch.labels_B) for batch in batches] == [len(range(rank, total, world_size)) for total in totals]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_a_process_without_an_image_gets_an_empty_batch(
    kind: str, workers: int, request: pytest.FixtureRequest
) -> None:
    data: Data = request.getfixturevalue(kind)
    (batch,) = test_batches(data, data.test.subset([4]), batch_size=8, workers=workers, rank=1, world_size=2)
    assert batch.images_BCHW.shape == (0, 3, data.image_size, data.image_size)
    assert (batch.labels_B.shape, batch.labels_B.dtype, batch.total) == ((0,), torch.int64, 1)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).eval()
    logits_BK = network(batch.images_BCHW)
    assert logits_BK.shape == (0, 4)
    assert logits_BK.topk(3, dim=1).indices.shape == (0, 3)
    assert torch.nn.functional.cross_entropy(logits_BK, batch.labels_B, reduction="sum").item() == 0


def test_test_images_are_the_normalised_images(arrays: Data) -> None:
    (batch,) = test_batches(arrays, batch_size=20)
    images = torch.from_numpy(arrays.test.images_NHWC).permute(0, 3, 1, 2).double() / 255  # type: ignore[union-attr]
    expected = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.allclose(batch.images_BCHW.double(), expected, atol=1e-6)
    assert torch.equal(batch.labels_B, torch.from_numpy(arrays.test.labels_N))


def test_another_split_is_prepared_as_the_test_is(arrays: Data) -> None:
    seen = [number for batch in test_batches(arrays, arrays.train, batch_size=10) for number in numbers(batch)]
    assert seen == list(range(23))


@pytest.mark.parametrize("augment", [CropFlip(padding=2), CropFlip(padding=0, flip=False), NoAugment()])
def test_the_device_path_gives_the_same_bits(arrays: Data, augment: CropFlip | NoAugment) -> None:
    images = arrays.train.images_NHWC  # type: ignore[union-attr]
    rows = [np.array([4, 0, 22]), np.array([7, 7]), np.array([], dtype=np.int64)]
    on_cpu = ArrayImages(images, augment, MEAN, STD).batches(rows, 5, 2)
    on_device = DeviceImages(torch.from_numpy(images), augment, MEAN, STD).batches(rows, 5, 2)
    pairs = list(zip(on_cpu, on_device, strict=True))
    assert len(pairs) == 3
    assert all(torch.equal(a, b) and a.stride() == b.stride() for a, b in pairs)


@pytest.mark.parametrize(
    "augment", [PhotoCrop(16), PhotoCrop(12, jitter=0.4, lighting=0.1), SquareCrop(20, 16), NoAugment()]
)
def test_workers_change_nothing(photos: Data, augment: PhotoCrop | SquareCrop | NoAugment) -> None:
    def epoch(workers: int) -> list[Batch]:
        return list(train_batches(photos, batch_size=4, seed=3, augment=augment, workers=workers).epoch(1))

    assert same(epoch(0), epoch(2))


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_no_global_generator_is_touched(kind: str, request: pytest.FixtureRequest) -> None:
    import random

    data: Data = request.getfixturevalue(kind)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    list(train_batches(data, batch_size=4, seed=3, workers=0).epoch(1))
    list(test_batches(data, batch_size=4, workers=0))
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_decoded_is_named(photos: Data, workers: int) -> None:
    damaged = photos.train.paths[5]  # type: ignore[union-attr]
    damaged.write_bytes(b"damaged")
    with pytest.raises(CutmixError, match=r"5\.png: is not a picture") as caught:
        list(train_batches(photos, batch_size=4, seed=3, workers=workers).epoch(0))
    assert len(str(caught.value).splitlines()) == 1


def test_a_photo_test_is_the_centre_view(photos: Data) -> None:
    batch = next(iter(test_batches(photos, batch_size=3, workers=0)))
    assert batch.images_BCHW.shape == (3, 3, 16, 16)
    assert batch.images_BCHW.is_contiguous(memory_format=torch.channels_last)
    first = test_batches(replace(photos, image_size=20), batch_size=1, workers=0)
    shown = next(iter(first)).images_BCHW[0].permute(1, 2, 0) * torch.tensor(STD) + torch.tensor(MEAN)
    pixels = photos.test.pictures([0])[0][
        :, 6:26
    ]  # the short side fits; of 31 columns 20 from (31 - 20) / 2 = 5.5 -> 6
    assert np.array_equal((shown * 255).round().numpy().astype(np.uint8), pixels)


def test_squared_tests_ignore_the_aspect(photos: Data) -> None:
    batch = next(iter(test_batches(replace(photos, squared=20), batch_size=1, workers=0)))
    shown = batch.images_BCHW[0].permute(1, 2, 0) * torch.tensor(STD) + torch.tensor(MEAN)
    expected = centre_view(Image.fromarray(photos.test.pictures([0])[0]), 16, squared=20)
    assert np.array_equal((shown * 255).round().numpy().astype(np.uint8), expected)
    with pytest.raises(UsageError, match="squared is 12"):
        replace(photos, squared=12)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda data: train_batches(data, batch_size=0, seed=0), "batch_size is 0"),
        (lambda data: train_batches(data, batch_size=1, seed=0, world_size=2), "batch_size is 1"),
        (lambda data: train_batches(data, batch_size=2, seed=0, rank=2, world_size=2), "rank 2 of 2"),
        (lambda data: train_batches(data, batch_size=2, seed=-1), "seed is -1"),
        (lambda data: train_batches(data, batch_size=2, seed=0, augment=PhotoCrop()), "is for photos"),
        (lambda data: train_batches(data, batch_size=99, seed=0, world_size=24), "do not give each of 24"),
        (lambda data: train_batches(data, batch_size=2, seed=0).epoch(-1), "epochs count from 0"),
        (lambda data: train_batches(data, batch_size=2, seed=0).epoch(0, start_step=13), "steps from 0 to 12"),
        (lambda data: test_batches(data, batch_size=0), "batch_size is 0"),
    ],
)
def test_misuse_is_named(arrays: Data, ask: Callable[[Data], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ask(arrays)


def test_photos_refuse_what_is_for_arrays(photos: Data) -> None:
    with pytest.raises(UsageError, match="is for small images"):
        train_batches(photos, batch_size=2, seed=0, augment=CropFlip())
    with pytest.raises(UsageError, match="workers is -1"):
        train_batches(photos, batch_size=2, seed=0, workers=-1)


def test_workers_follow_the_cores() -> None:
    assert 1 <= default_workers() <= 8


def started_epoch(folder: Path) -> subprocess.Popen[str]:
    """A process group in the middle of an epoch that two workers decode for it."""
    script = Path(__file__).with_name("photo_epoch.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.fixture
def epoch_of_photos(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    make_folder(tmp_path)
    process = started_epoch(tmp_path / "pets")
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_outlive_a_signal_to_the_group(epoch_of_photos: subprocess.Popen[str], number: signal.Signals) -> None:
    os.killpg(epoch_of_photos.pid, number)
    said, _ = epoch_of_photos.communicate(timeout=60)
    assert said == f"signal {int(number)}\n12 images\n"
    assert epoch_of_photos.returncode == 0


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
def test_workers_end_when_the_main_process_is_killed(epoch_of_photos: subprocess.Popen[str]) -> None:
    os.kill(epoch_of_photos.pid, signal.SIGKILL)
    # The workers hold the pipe, too: it ends when the last of them has.
    said, _ = epoch_of_photos.communicate(timeout=60)
    assert said == ""
