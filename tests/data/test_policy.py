"""Every policy against torchvision's transform under the same seed, and in both pipelines."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from cutmix.data import (
    ArraySplit,
    AutoAugment,
    CropFlip,
    Data,
    PhotoCrop,
    PhotoSplit,
    Policy,
    RandAugment,
    TrivialAugment,
    train_batches,
)
from cutmix.data.chance import CROP, PHOTO, POLICY, epoch_order, generator
from cutmix.data.transforms import Canvas, normalise
from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.build import make_augment

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.2, 0.1)
PAIRS: list[tuple[Policy, Callable[[], Any]]] = [
    (AutoAugment(), lambda: transforms.AutoAugment(transforms.AutoAugmentPolicy.IMAGENET)),
    (AutoAugment("cifar10"), lambda: transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)),
    (AutoAugment(policy="svhn"), lambda: transforms.AutoAugment(transforms.AutoAugmentPolicy.SVHN)),
    (RandAugment(), lambda: transforms.RandAugment(num_ops=2, magnitude=9)),
    (RandAugment(3, 4, 11), lambda: transforms.RandAugment(3, 4, 11)),
    (TrivialAugment(), transforms.TrivialAugmentWide),
    (TrivialAugment(7), lambda: transforms.TrivialAugmentWide(7)),
]
pairs = pytest.mark.parametrize(("policy", "theirs"), PAIRS)


def picture(seed: int, height: int = 12, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def directly(transform: Any, pixels_HWC: np.ndarray, seed: int) -> np.ndarray:
    """What torchvision makes of the picture under torch's global seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return np.asarray(transform(Image.fromarray(pixels_HWC)))


@pytest.fixture
def arrays() -> Data:
    images = np.stack([picture(number) for number in range(10)])
    split = ArraySplit(images, np.arange(10) % 2)
    return Data("made-up", ("a", "b"), split, split, MEAN, STD, 12, flip=True)


@pytest.fixture
def photos(tmp_path: Path) -> Data:
    paths = []
    for number in range(6):
        Image.fromarray(picture(number, 30 + number, 25)).save(tmp_path / f"{number}.png")
        paths.append(tmp_path / f"{number}.png")
    split = PhotoSplit(tuple(paths), np.arange(6) % 2)
    return Data("photos", ("a", "b"), split, split, MEAN, STD, 16, flip=True)


def test_all_policies_are_found_and_tested():
    assert set(names.policies().values()) == {type(policy) for policy, _ in PAIRS}


@pairs
def test_it_is_torchvisions_under_the_same_seed(policy, theirs):
    transform = theirs()
    changed = 0
    for seed in range(60):
        pixels = picture(seed, 9, 14)
        ours = np.asarray(policy.one(Image.fromarray(pixels), seed))
        assert np.array_equal(ours, directly(transform, pixels, seed))
        changed += not np.array_equal(ours, pixels)
    assert changed > 20


@pairs
def test_the_outer_random_state_is_left_alone(policy, theirs):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    policy.one(Image.fromarray(picture(1)), 5)
    assert torch.equal(torch.get_rng_state(), before)


@pairs
def test_the_repr_makes_it_again(policy, theirs):
    for augment in (CropFlip(padding=3, policy=policy), PhotoCrop(size=9, policy=policy)):
        assert make_augment(repr(augment)) == augment


@pytest.mark.parametrize("workers", [0, 2])
def test_small_images_are_cropped_then_changed_then_normalised(arrays, workers):
    augment = CropFlip(padding=2, policy=RandAugment(magnitude=20))
    transform = transforms.RandAugment(2, 20)
    crops = augment.draw(10, generator(7, CROP, 1))
    seeds = generator(7, POLICY, 1).integers(2**63, size=10)
    cropped = Canvas(arrays.train.images_NHWC, 10, 2).crop(np.arange(10), crops)
    expected = np.stack([directly(transform, pixels, int(seed)) for pixels, seed in zip(cropped, seeds)])
    expected = normalise(torch.from_numpy(expected), MEAN, STD)[epoch_order(7, 1, 10)]
    batches = train_batches(arrays, batch_size=4, seed=7, augment=augment, workers=workers)
    assert torch.equal(torch.cat([batch.images_BCHW for batch in batches.epoch(1)]), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_photos_are_viewed_then_changed_then_normalised(photos, workers):
    augment = PhotoCrop(size=16, policy=TrivialAugment())
    expected = []
    for row in epoch_order(7, 1, 6).tolist():
        rng = generator(7, PHOTO, 1, row)
        view = PhotoCrop(size=16).view(Image.open(photos.train.paths[row]), rng)
        view = np.ascontiguousarray(view)
        expected.append(directly(transforms.TrivialAugmentWide(), view, int(rng.integers(2**63))))
    batches = train_batches(photos, batch_size=4, seed=7, augment=augment, workers=workers)
    ours = torch.cat([batch.images_BCHW for batch in batches.epoch(1)])
    assert torch.equal(ours, normalise(torch.from_numpy(np.stack(expected)), MEAN, STD))


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_neither_batches_processes_nor_resuming_change_an_image(kind, request):
    data = request.getfixturevalue(kind)
    augment = (CropFlip if kind == "arrays" else PhotoCrop)(policy=AutoAugment("cifar10"))

    def images(batch_size: int, start: int = 0, **place: int) -> torch.Tensor:
        batches = train_batches(data, batch_size=batch_size, seed=3, augment=augment, workers=0, **place)
        return torch.cat([batch.images_BCHW for batch in batches.epoch(2, start)])

    whole = images(len(data.train))
    assert torch.equal(images(2), whole)
    assert torch.equal(images(2, 2), whole[4:])
    assert torch.equal(images(2, rank=1, world_size=2), whole[1::2])


def test_colours_are_drawn_after_the_policy(photos):
    """The mean grey that contrast interpolates towards is that of the view as the policy left it."""
    augment = PhotoCrop(size=16, policy=TrivialAugment(), jitter=0.4)
    row = int(epoch_order(0, 0, 6)[0])
    rng = generator(0, PHOTO, 0, row)
    view = augment.view(Image.open(photos.train.paths[row]), rng)
    colour = torch.from_numpy(augment.colour(view, rng))[None]
    expected = normalise(torch.from_numpy(view.copy())[None], MEAN, STD, colour)
    batch = next(train_batches(photos, batch_size=1, seed=0, augment=augment, workers=0).epoch(0))
    assert torch.equal(batch.images_BCHW, expected)


def test_without_a_policy_the_call_is_written_as_before():
    assert repr(CropFlip(padding=1)) == "CropFlip(padding=1, flip=True)"
    assert repr(PhotoCrop(size=96)) == "PhotoCrop(size=96, flip=True, jitter=0.0, lighting=0.0)"
    assert (
        repr(CropFlip(policy=AutoAugment())) == "CropFlip(padding=4, flip=True, policy=AutoAugment(policy='imagenet'))"
    )
    assert make_augment("CropFlip(policy=None)") == CropFlip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AutoAugment()", "unknown augmentation 'AutoAugment'"),
        ("CropFlip(policy=AutoAugment(policy='cifar100'))", r"must be one of imagenet, cifar10, svhn\. Did you mean"),
        ("CropFlip(policy=RandAugment(magnitude=31))", "magnitude must be from 0 to 30"),
        ("CropFlip(policy=RandAugment(num_ops=0))", "num_ops must be at least 1"),
        ("CropFlip(policy=TrivialAugment(num_magnitude_bins=1))", "at least 2"),
        (
            "CropFlip(policy=RandAugment(magnitude='9'))",
            r"RandAugment\(.*: magnitude must be a whole number \(an int\)",
        ),
        ("CropFlip(policy=PhotoCrop())", r"policy is PhotoCrop\(.*TrivialAugment\(\) or None is accepted"),
        ("PhotoCrop(policy='AutoAugment')", "policy is 'AutoAugment'"),
    ],
)
def test_what_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        make_augment(text)


WRONG_NUMBERS = (9.0, "9", True, math.nan, None)


@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
@pytest.mark.parametrize("name", ["num_ops", "magnitude", "num_magnitude_bins"])
def test_randaugment_takes_whole_numbers_alone(name, wrong):
    said = rf"^RandAugment\(.*{name}={re.escape(repr(wrong))}.*\): {name} must be a whole number \(an int\)\.$"
    with pytest.raises(UsageError, match=said):
        RandAugment(**{name: wrong})


@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
def test_trivialaugment_takes_whole_numbers_alone(wrong):
    said = f"TrivialAugment(num_magnitude_bins={wrong!r}): num_magnitude_bins must be a whole number (an int)."
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        TrivialAugment(wrong)


@pytest.mark.parametrize("wrong", [True, 3, math.nan, None, ("cifar10",), transforms.AutoAugmentPolicy.CIFAR10])
def test_autoaugment_takes_names_alone(wrong):
    said = f"AutoAugment policy={wrong!r} must be one of imagenet, cifar10, svhn."
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        AutoAugment(wrong)


def test_workers_that_there_cannot_be_are_refused(arrays):
    with pytest.raises(UsageError, match="workers is -1"):
        train_batches(arrays, batch_size=2, seed=0, augment=CropFlip(policy=RandAugment()), workers=-1)
