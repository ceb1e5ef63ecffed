"""Crops and views against numbers worked out by hand, plain loops and torchvision."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data import (
    ArraySplit,
    Augment,
    CropFlip,
    Data,
    NoAugment,
    PhotoCrop,
    PhotoSplit,
    SquareCrop,
    default_augment,
    prepare_photo,
)
from cutmix.data.transforms import (
    EIGENVALUES,
    EIGENVECTORS,
    Canvas,
    Crops,
    centre_view,
    crop_on_device,
    draw_photo_box,
    normalise,
)
from cutmix.errors import UsageError

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.2, 0.1)


def made_up_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


def as_crops(top: int, left: int, mirror: bool) -> Crops:
    return Crops(np.array([top]), np.array([left]), np.array([mirror]))


def every_way(images: np.ndarray, index: np.ndarray, crops: Crops, padding: int) -> list[np.ndarray]:
    """The crops as the CPU makes them and as a device makes them."""
    on_device = crop_on_device(
        torch.from_numpy(images), torch.from_numpy(index), *(torch.from_numpy(v[index]) for v in crops), padding
    )
    return [Canvas(images, len(index), padding).crop(index, crops), on_device.numpy()]


def test_a_crop_worked_out_by_hand() -> None:
    image = np.zeros((1, 2, 3, 3), dtype=np.uint8)
    image[0, :, :, 0] = [[1, 2, 3], [4, 5, 6]]
    image[0, :, :, 2] = [[7, 8, 9], [10, 11, 12]]
    # Padded by 1, rows 1.. and columns 2..: [2, 3, 0] over [5, 6, 0]; mirrored: [0, 3, 2] over [0, 6, 5].
    for crop in every_way(image, np.array([0]), as_crops(1, 2, mirror=False), 1):
        assert crop[0, :, :, 0].tolist() == [[2, 3, 0], [5, 6, 0]]
        assert crop[0, :, :, 2].tolist() == [[8, 9, 0], [11, 12, 0]]
        assert not crop[0, :, :, 1].any()
    for crop in every_way(image, np.array([0]), as_crops(0, 2, mirror=True), 1):
        assert crop[0, :, :, 0].tolist() == [[0, 0, 0], [0, 3, 2]]


@pytest.mark.parametrize(("height", "width", "padding"), [(4, 6, 2), (5, 3, 1), (6, 6, 0)])
def test_crops_equal_a_plain_loop(height: int, width: int, padding: int) -> None:
    rng = np.random.default_rng(0)
    images = np.stack([made_up_image(height, width, seed) for seed in range(9)])
    crops = CropFlip(padding).draw(9, rng)
    assert 0 < crops.mirror_N.sum() < 9
    index = np.array([8, 0, 3, 3, 5])
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for crop in every_way(images, index, crops, padding):
        for got, row in zip(crop, index):
            top, left = crops.top_N[row], crops.left_N[row]
            expected = padded[row, top : top + height, left : left + width]
            assert np.array_equal(got, expected[:, ::-1] if crops.mirror_N[row] else expected)


def test_a_canvas_keeps_nothing_of_the_batch_before() -> None:
    images = np.stack([made_up_image(4, 4, seed) for seed in range(4)])
    crops = CropFlip(2).draw(4, np.random.default_rng(1))
    canvas = Canvas(images, 3, 2)
    first = canvas.crop(np.array([0, 1, 2]), crops)
    kept = first.copy()
    second = canvas.crop(np.array([3, 2]), crops)
    assert np.array_equal(first, kept)
    assert np.array_equal(second, Canvas(images, 2, 2).crop(np.array([3, 2]), crops))


def test_offsets_are_uniform_and_every_second_image_is_mirrored() -> None:
    crops = CropFlip(padding=2).draw(20_000, np.random.default_rng(0))
    for offsets in (crops.top_N, crops.left_N):
        assert np.bincount(offsets, minlength=5) / 20_000 == pytest.approx([0.2] * 5, abs=0.015)
    assert np.corrcoef(crops.top_N, crops.left_N)[0, 1] == pytest.approx(0, abs=0.03)
    assert crops.mirror_N.mean() == pytest.approx(0.5, abs=0.015)
    assert not CropFlip(padding=2, flip=False).draw(100, np.random.default_rng(0)).mirror_N.any()


def test_normalise_worked_out_by_hand() -> None:
    image = torch.tensor([255, 51, 0], dtype=torch.uint8).view(1, 1, 1, 3)
    # (1 - 0.5) / 0.5, (0.2 - 0.25) / 0.2, (0 - 0.125) / 0.1
    assert normalise(image, MEAN, STD).flatten().tolist() == pytest.approx([1.0, -0.25, -1.25], abs=1e-6)


@pytest.mark.parametrize("width", [1, 5, 28])
def test_normalise_rounds_the_same_wherever_an_image_lies(width: int) -> None:
    images = torch.from_numpy(np.stack([made_up_image(3, width, seed) for seed in range(7)]))
    whole = normalise(images, MEAN, STD)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(normalise(images[row : row + 1], MEAN, STD)[0], whole[row]) for row in range(7))
    expected = (images.permute(0, 3, 1, 2).double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )
    assert torch.allclose(whole.double(), expected, atol=1e-6)


def test_padding_is_black_before_mean_and_std_are_applied() -> None:
    images = np.full((1, 2, 2, 3), 255, dtype=np.uint8)
    crop = Canvas(images, 1, 2).crop(np.array([0]), as_crops(0, 0, mirror=False))
    shown = normalise(torch.from_numpy(crop), MEAN, STD)
    assert shown[0, :, 0, 0].tolist() == pytest.approx([-1.0, -1.25, -1.25])  # -mean / std, not 0


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (100, 40), (300, 224), (224, 224), (33, 1200)])
@pytest.mark.parametrize("size", [224, 160])
def test_the_centre_view_is_torchvisions(width: int, height: int, size: int) -> None:
    from torchvision import transforms

    image = Image.fromarray(made_up_image(height, width))
    official = transforms.Compose([transforms.Resize(round(size * 256 / 224)), transforms.CenterCrop(size)])
    assert np.array_equal(centre_view(image, size), np.asarray(official(image)))


def test_a_small_image_is_looked_at_whole() -> None:
    same = made_up_image(32, 32)
    assert np.array_equal(centre_view(Image.fromarray(same), 32), same)
    large = Image.fromarray(made_up_image(80, 64))
    expected = np.asarray(large.resize((32, 40), Image.Resampling.BILINEAR))[4:36]
    assert np.array_equal(centre_view(large, 32), expected)


def test_prepare_photo_is_the_test_path_for_any_mode() -> None:
    pixels = made_up_image(50, 70)
    expected = normalise(torch.from_numpy(centre_view(Image.fromarray(pixels), 96).copy())[None], MEAN, STD)
    assert expected.shape == (1, 3, 96, 96)
    assert torch.equal(prepare_photo(pixels, 96, MEAN, STD), expected)
    assert torch.equal(prepare_photo(Image.fromarray(pixels), 96, MEAN, STD), expected)
    grey = prepare_photo(made_up_image(50, 70)[..., 0], 32, (0.5,) * 3, (0.5,) * 3)
    assert grey.shape == (1, 3, 32, 32)
    assert torch.equal(grey[0, 0], grey[0, 2])


def test_photo_boxes_follow_the_rules() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([draw_photo_box(300, 400, rng) for _ in range(3000)])
    top, left, height, width = boxes.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    ratio, area = width / height, width * height / (300 * 400)
    assert ratio.min() > 0.73
    assert ratio.max() < 1.37
    assert area.min() > 0.078
    assert area.max() <= 1.0


def test_photo_boxes_are_distributed_as_torchvisions() -> None:
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    blank = torch.zeros(3, 60, 200)
    ours = np.array([draw_photo_box(60, 200, rng) for _ in range(3000)])
    theirs = np.array([RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    assert ours.mean(axis=0) == pytest.approx(theirs.mean(axis=0), rel=0.05)
    assert ours.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.1)


@pytest.mark.parametrize(("height", "width"), [(10, 1000), (1000, 10), (3, 500)])
def test_very_long_photos_fall_back_to_the_middle_as_in_torchvision(height: int, width: int) -> None:
    from torchvision.transforms import RandomResizedCrop

    theirs = RandomResizedCrop.get_params(torch.zeros(3, height, width), [0.08, 1.0], [3 / 4, 4 / 3])
    assert draw_photo_box(height, width, np.random.default_rng(0)) == tuple(theirs)


def test_a_photo_view_is_the_resized_box() -> None:
    from torchvision.transforms import functional

    image = Image.fromarray(made_up_image(90, 120))
    mirrored = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        box, mirror = draw_photo_box(90, 120, rng), bool(rng.random() < 0.5)
        expected = functional.resized_crop(image, *box, [48, 48])
        expected = functional.hflip(expected) if mirror else expected
        assert np.array_equal(PhotoCrop(48).view(image, np.random.default_rng(seed)), np.asarray(expected))
        mirrored.add(mirror)
    assert mirrored == {True, False}


def test_a_photo_that_must_not_be_mirrored_is_not() -> None:
    image = Image.fromarray(made_up_image(90, 120))
    differing = 0
    for seed in range(8):
        free, fixed = (PhotoCrop(16, flip=flip).view(image, np.random.default_rng(seed)) for flip in (True, False))
        if not np.array_equal(free, fixed):
            assert np.array_equal(free[:, ::-1], fixed)
            differing += 1
    assert 0 < differing < 8


def official_colours(image_CHW: np.ndarray, amounts: np.ndarray, order: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """The steps one after the other on [0, 1] values, as the official code's utils.py has them."""

    def grey(image: np.ndarray) -> np.ndarray:
        plane = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        return np.broadcast_to(plane, image.shape)

    for step in order:
        reference = [np.zeros_like(image_CHW), np.full_like(image_CHW, grey(image_CHW).mean()), grey(image_CHW)][step]
        image_CHW = image_CHW + (reference - image_CHW) * amounts[step]
    return image_CHW + (np.array(EIGENVECTORS) * alphas * np.array(EIGENVALUES)).sum(axis=1)[:, None, None]


@pytest.mark.parametrize(
    "augment", [PhotoCrop(8, jitter=0.4, lighting=0.1), PhotoCrop(8, jitter=0.4), PhotoCrop(8, lighting=2.0)]
)
def test_colours_change_as_in_the_official_code(augment: PhotoCrop) -> None:
    views = np.stack([made_up_image(6, 8, seed) for seed in range(12)])
    colours = np.stack([augment.colour(view, np.random.default_rng(row)) for row, view in enumerate(views)])
    ours = normalise(torch.from_numpy(views), MEAN, STD, torch.from_numpy(colours))
    assert ours.is_contiguous(memory_format=torch.channels_last)
    orders = set()
    for row, view in enumerate(views):
        rng = np.random.default_rng(row)
        amounts, order = rng.uniform(-augment.jitter, augment.jitter, 3), rng.permutation(3)
        alphas = rng.normal(0, augment.lighting, 3) if augment.lighting else np.zeros(3)
        expected = official_colours(view.transpose(2, 0, 1) / 255, amounts, order, alphas)
        expected = (expected - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
        assert np.allclose(ours[row].numpy(), expected, atol=1e-4)
        orders.add(tuple(order.tolist()))
    assert len(orders) > 3


def test_colours_are_not_clamped() -> None:
    view = np.full((2, 2, 3), 255, dtype=np.uint8)
    view[0] = 0
    shown = [
        normalise(torch.from_numpy(view)[None], (0, 0, 0), (1, 1, 1), torch.from_numpy(colour)[None])
        for colour in (PhotoCrop(jitter=0.4).colour(view, np.random.default_rng(seed)) for seed in range(20))
    ]
    assert min(float(image.min()) for image in shown) < -0.01
    assert max(float(image.max()) for image in shown) > 1.01


def test_colours_round_the_same_wherever_an_image_lies() -> None:
    views = np.stack([made_up_image(5, 7, seed) for seed in range(6)])
    augment = PhotoCrop(jitter=0.4, lighting=0.1)
    colours = np.stack([augment.colour(view, np.random.default_rng(row)) for row, view in enumerate(views)])
    whole = normalise(torch.from_numpy(views), MEAN, STD, torch.from_numpy(colours))
    for row in range(6):
        alone = normalise(torch.from_numpy(views[row : row + 1]), MEAN, STD, torch.from_numpy(colours[row : row + 1]))
        assert torch.equal(alone[0], whole[row])


def test_augmentations_are_values() -> None:
    assert repr(CropFlip()) == "CropFlip(padding=4, flip=True)"
    assert repr(PhotoCrop()) == "PhotoCrop(size=224, flip=True, jitter=0.0, lighting=0.0)"
    assert repr(NoAugment()) == "NoAugment()"
    for augment in (CropFlip(2, False), PhotoCrop(160, jitter=0.4), SquareCrop(240, 224), NoAugment()):
        assert eval(repr(augment)) == augment
        assert type(augment) in get_args(Augment)
    with pytest.raises(FrozenInstanceError):
        CropFlip().padding = 3  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"jitter": -0.1}, {"lighting": -1.0}])
def test_photo_crops_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        PhotoCrop(**wrong)
    with pytest.raises(UsageError, match="padding is -1"):
        CropFlip(-1)


def test_the_default_is_the_papers() -> None:
    from pathlib import Path

    labels = np.array([0, 1])
    arrays = ArraySplit(np.zeros((2, 32, 32, 3), dtype=np.uint8), labels)
    data = Data("arrays", ("a", "b"), arrays, arrays, MEAN, STD, 32, flip=False)
    assert default_augment(data) == CropFlip(padding=4, flip=False)
    photos = PhotoSplit((Path("a"), Path("b")), labels)
    assert default_augment(Data("photos", ("a", "b"), photos, photos, MEAN, STD, 160, flip=True)) == PhotoCrop(size=160)


def test_a_square_view_ignores_the_aspect() -> None:
    image = Image.fromarray(made_up_image(60, 90))
    square = np.asarray(image.resize((50, 50), Image.Resampling.BILINEAR))
    assert np.array_equal(centre_view(image, 40, squared=50), square[5:45, 5:45])


def test_square_crops_are_windows_of_the_square() -> None:
    image = Image.fromarray(made_up_image(60, 90))
    square = np.asarray(image.resize((50, 50), Image.Resampling.BILINEAR))
    windows = {square[y : y + 44, x : x + 44].tobytes(): (y, x) for y in range(7) for x in range(7)}
    free, fixed = SquareCrop(resize=50, size=44), SquareCrop(resize=50, size=44, flip=False)
    seen, mirrored = set(), 0
    for seed in range(200):
        view, plain = (augment.view(image, np.random.default_rng(seed)) for augment in (free, fixed))
        seen.add(windows[plain.tobytes()])
        mirrored += not np.array_equal(view, plain)
        assert np.array_equal(view, plain) or np.array_equal(view[:, ::-1], plain)
    assert {y for y, _ in seen} == {x for _, x in seen} == set(range(7))
    assert 70 < mirrored < 130


@pytest.mark.parametrize(("resize", "size"), [(256, 0), (224, 256)])
def test_square_crops_that_make_no_sense_are_refused(resize: int, size: int) -> None:
    with pytest.raises(UsageError, match="SquareCrop size"):
        SquareCrop(resize=resize, size=size)
