"""Out-sets: noise as ODIN draws it, what a spec names, and images that both sets hold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data import ArraySplit, PhotoSplit, load_data
from cutmix.data.chance import generator
from cutmix.data.transforms import centre_view
from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.out_sets import (
    NOISE,
    Noise,
    load_out_set,
    read_images,
    shared_images,
    split_spec,
    usual_out_sets,
)

RNG = partial(generator, 0, 9)


def noise_pixels(name: str, batches=((0, 1), (2,))) -> torch.Tensor:
    images = Noise(NOISE[name], 3, 20, RNG).images((0.0,) * 3, (1.0,) * 3, torch.device("cpu"))
    return torch.cat(list(images.batches([np.array(rows) for rows in batches], 0, 0)))


def test_uniform_noise_fills_0_to_1():
    values = noise_pixels("uniform").flatten()
    assert (values.dtype, len(values)) == (torch.float32, 3 * 3 * 20 * 20)
    assert (values.min() >= 0, values.max() <= 1, values.min() < 0.01, values.max() > 0.99) == (True,) * 4
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.std() == pytest.approx((1 / 12) ** 0.5, abs=0.01)


def test_gaussian_noise_is_clamped_to_0_and_1():
    values = noise_pixels("gaussian").flatten()
    # N(0.5, 1): a share of Phi(-0.5) = 0.3085 lies below 0, as many above 1
    assert (values == 0).float().mean() == pytest.approx(0.3085, abs=0.03)
    assert (values == 1).float().mean() == pytest.approx(0.3085, abs=0.03)
    inside = values[(values > 0) & (values < 1)]
    assert inside.std() == pytest.approx(0.283, abs=0.02)  # nearly even: a normal curve cut at half a deviation


@pytest.mark.parametrize("name", NOISE)
def test_noise_does_not_depend_on_the_batches(name):
    assert torch.equal(noise_pixels(name), noise_pixels(name, [(0,), (1, 2)]))
    assert not torch.equal(*noise_pixels(name)[:2])


def test_noise_is_normalised_as_the_network_wants_it():
    images = Noise(NOISE["uniform"], 1, 4, RNG).images((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), torch.device("cpu"))
    (normalised,) = images.batches([np.array([0])], 0, 0)
    plain = Noise(NOISE["uniform"], 1, 4, RNG).images((0.0,) * 3, (1.0,) * 3, torch.device("cpu"))
    (pixels,) = plain.batches([np.array([0])], 0, 0)
    torch.testing.assert_close(normalised[0, 1], (pixels[0, 1] - 0.2) / 0.25)
    torch.testing.assert_close(normalised[0, 2], (pixels[0, 2] - 0.3) / 2.0)


@pytest.fixture
def data(tiny_arrays):
    return load_data(f"arrays:{tiny_arrays}")


@pytest.fixture
def pictures(tmp_path):
    """A folder with pictures of several sizes, some in folders within."""
    rng = np.random.default_rng(1)
    for name, shape in (("a.png", (30, 40)), ("deep/er/b.png", (12, 12)), ("deep/c.PNG", (25, 13))):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(path)
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path / "pictures"


def load(spec, data, root=None):
    return load_out_set(str(spec), data, 5, RNG, root)


def test_a_folder_gives_every_picture_in_it_as_the_network_sees_it(pictures, data):
    found = load(pictures, data)
    assert (found.name, len(found.images)) == ("pictures", 3)
    assert found.images.images_NHWC.shape == (3, 12, 12, 3)
    assert "cropped" in found.how
    again = load(f"mine=folder:{pictures}", data)
    assert again.name == "mine"
    assert (again.images.images_NHWC == found.images.images_NHWC).all()


def test_photos_are_resized_as_the_data_resizes_its_own(pictures, data):
    found = load(pictures, replace(data, squared=16))
    expected = [
        centre_view(Image.open(path).convert("RGB"), 12, 16) for path in sorted(pictures.rglob("*.[pP][nN][gG]"))
    ]
    assert np.array_equal(found.images.images_NHWC, np.stack(expected))
    assert "ratio ignored" in found.how


def test_photos_stay_files_for_a_network_of_photos(pictures, data):
    found = load(pictures, type("Photos", (), {"image_size": 224, "name": "photos"}))
    assert isinstance(found.images, PhotoSplit)


@pytest.mark.parametrize(("shape", "how"), [((4, 12, 12, 3), ""), ((4, 12, 12), ""), ((4, 28, 28, 1), "resized")])
def test_arrays_of_any_usual_shape(tmp_path, data, shape, how):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "some.npz", images=images, names=np.array(["no", "labels", "are", "needed"]))
    found = load(tmp_path / "some.npz", data)
    assert (found.name, found.images.images_NHWC.shape) == ("some", (4, 12, 12, 3))
    assert found.how.startswith(how)
    assert bool(found.how) == bool(how)
    if not how:
        assert (found.images.images_NHWC[..., 2] == (images if len(shape) == 3 else images[..., 2])).all()


def test_small_images_are_not_enlarged_to_photos(tmp_path):
    np.savez(tmp_path / "some.npz", images=np.zeros((2, 12, 12, 3), np.uint8))
    with pytest.raises(CutmixError, match="enlarged to 224 pixels"):
        load(tmp_path / "some.npz", type("Photos", (), {"image_size": 224, "name": "photos"}))


def test_a_known_set_gives_its_test_images(data):
    found = load("digits", data)
    assert len(found.images) == len(load_data("digits").test)
    assert found.how == "resized from 8x8, bilinear"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 5, 5, 3)), "float64 of shape"),
        (np.zeros((2, 5, 5, 2), np.uint8), r"shape \(2, 5, 5, 2\)"),
        (np.zeros((0, 5, 5, 3), np.uint8), "holds no images"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, images, message):
    np.savez(tmp_path / "bad.npz", images=images)
    with pytest.raises(CutmixError, match=message):
        read_images(tmp_path / "bad.npz")


def test_damaged_and_empty_places_are_refused(tmp_path, data):
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(CutmixError, match=r"bad\.npz: is not a readable \.npz"):
        load(tmp_path / "bad.npz", data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CutmixError, match="holds no pictures"):
        load(tmp_path / "empty", data)


@pytest.mark.parametrize("spec", ["cifr100", "x=nowhere/at/all", "folder:nowhere"])
def test_what_is_not_there_is_refused_with_what_is_accepted(spec):
    with pytest.raises(UsageError, match="Accepted: uniform, gaussian"):
        split_spec(spec)


def test_the_nearest_name_is_suggested():
    with pytest.raises(UsageError, match="Did you mean 'gaussian'"):
        split_spec("gausian")


def test_usual_out_sets_leave_out_the_in_set_and_name_what_is_absent(tmp_path, data, monkeypatch):
    monkeypatch.setattr("cutmix.data.fashion_mnist.DEBIAN", tmp_path / "none")
    (tmp_path / "cifar100").mkdir()
    np.savez(tmp_path / "cifar100/train.npz", images=np.zeros((1, 32, 32, 3), np.uint8))
    there, absent = usual_out_sets(data, tmp_path)
    assert there == ["uniform", "gaussian", "cifar100"]
    assert absent == ["cifar10", "fashion_mnist"]
    in_set = type("Named", (), {"image_size": 32, "name": "cifar100"})
    assert usual_out_sets(in_set, tmp_path)[0] == ["uniform", "gaussian"]
    photos = type("Photos", (), {"image_size": 224, "name": "photos"})
    assert usual_out_sets(photos, tmp_path) == (["uniform", "gaussian"], [])


def test_images_in_both_sets_are_counted(pictures, data):
    test = data.test
    other = ArraySplit(np.concatenate([test.images_NHWC[[4, 9]], 255 - test.images_NHWC[:3]]), np.zeros(5, np.int64))
    assert shared_images(test, other, 12) == 2
    assert shared_images(test, load("uniform", data).images, 12) == 0
    paths = tuple(sorted(path for path in pictures.rglob("*") if path.suffix.lower() == ".png"))
    photos, one = (PhotoSplit(part, np.zeros(len(part), np.int64)) for part in (paths, paths[1:2]))
    assert shared_images(photos, one, 224) == 1
    assert shared_images(photos, load(pictures, data).images, 12) == 3
    squared = load(pictures, replace(data, squared=16)).images
    assert shared_images(photos, squared, 12, 16) == 3
    assert shared_images(photos, squared, 12) == 0
