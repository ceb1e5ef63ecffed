"""Corrupted images: equal to the library's own, the same for the same seed, and read from the published layouts."""

from __future__ import annotations

import pickle
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.data.splits import ArraySplit, PhotoSplit
from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.corrupted_images import (
    CORRUPTIONS,
    EXTRA,
    ArrayFolder,
    Generated,
    PhotoFolder,
    ViewedImages,
    corrupt,
    folder_source,
    import_library,
)

ALL = (*CORRUPTIONS, *EXTRA)


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("imagecorruptions")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Smooth, with noise, and no pixel at the border of the range."""
    rows, columns = np.mgrid[:32, :40]
    smooth = np.stack([100 + 3 * rows, 120 + 2 * columns, 200 - rows - columns], axis=2)
    return (smooth + np.random.default_rng(0).integers(-20, 20, smooth.shape)).astype(np.uint8)


def test_the_names_are_the_librarys(library):
    assert library.get_corruption_names("common") == list(CORRUPTIONS)
    assert library.get_corruption_names("validation") == list(EXTRA)


@pytest.mark.parametrize("corruption", ALL)
def test_equal_to_the_library_called_with_the_same_seed(library, image, corruption):
    severity = 1 + len(corruption) % 5
    before = np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    ours = corrupt(image, corruption, severity, seed=2**32 - 7)
    assert np.random.get_state()[1].tolist() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    state = np.random.get_state()
    try:
        np.random.seed(2**32 - 7)
        seed = {"seed": 2**32 - 7} if corruption in ("glass_blur", "impulse_noise") else {}
        theirs = library.corrupt(image, severity=severity, corruption_name=corruption, **seed)
    finally:
        np.random.set_state(state)
    assert np.array_equal(ours, theirs)
    assert ours.shape == image.shape
    assert ours.dtype == np.uint8
    assert not np.array_equal(ours, image)


def test_nothing_but_the_seed_decides(library, image):
    drawn = [name for name in ALL if not np.array_equal(corrupt(image, name, 2, 1), corrupt(image, name, 2, 2))]
    assert set(ALL) - set(drawn) == {
        "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression", "gaussian_blur",
        "saturate",
    }  # fmt: skip
    once = [corrupt(image, name, 2, 5) for name in drawn]
    np.random.random(3)  # whatever else has been drawn
    assert all(np.array_equal(first, corrupt(image, name, 2, 5)) for first, name in zip(once, drawn))


def test_the_stream_is_put_back_when_the_library_fails(library, image, monkeypatch):
    def fails(*args, **kwargs):
        np.random.random(5)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(library, "corrupt", fails)
    before = np.random.get_state()[1].tolist()
    with pytest.raises(RuntimeError, match="out of memory"):
        corrupt(image, "fog", 1, 0)
    assert np.random.get_state()[1].tolist() == before


def test_without_a_drop_of_spatter_the_image_stays(library):
    # The library divides by the largest drop. Where none has fallen, as with this seed, it gives a black image.
    image, dry = np.full((32, 32, 3), 90, np.uint8), 35
    state = np.random.get_state()
    try:
        np.random.seed(dry)
        with np.errstate(invalid="ignore"):
            assert library.corrupt(image, severity=1, corruption_name="spatter").max() == 0
    finally:
        np.random.set_state(state)
    assert np.array_equal(corrupt(image, "spatter", 1, dry), image)


@pytest.mark.parametrize(("name", "severity"), [("fog", 0), ("fog", 6), ("rain", 1)])
def test_corruptions_that_there_are_not_are_refused(image, name, severity):
    with pytest.raises(UsageError, match="there is no corruption"):
        corrupt(image, name, severity, 0)


def test_small_images_are_refused(image):
    with pytest.raises(UsageError, match="28x40; the corruptions need at least 32"):
        corrupt(image[:28], "fog", 1, 0)


def test_another_package_of_that_name_is_refused(monkeypatch):
    old = types.ModuleType("imagecorruptions")
    old.corruptions = types.SimpleNamespace(glass_blur=lambda x, severity=1: x)
    monkeypatch.setitem(sys.modules, "imagecorruptions", old)
    with pytest.raises(UsageError, match="not that of imagecorruptions-imaug"):
        import_library()


# ------------------------------------------------------------------------------------------------------------- sources


def test_generated_images_hang_on_nothing_but_their_seed(library, image):
    split = ArraySplit(np.stack([image[:, :32], image[:, 8:], image[:, 4:36]]), np.array([2, 0, 1]))
    source = Generated(split, 32, lambda corruption, severity: np.array([severity, 5, len(corruption)]))
    view, labels = source.images("snow", 2)
    assert labels.tolist() == [2, 0, 1]
    assert np.array_equal(view(2), corrupt(split.images_NHWC[2], "snow", 2, 4))
    assert np.array_equal(pickle.loads(pickle.dumps(view))(0), corrupt(split.images_NHWC[0], "snow", 2, 2))


def test_photos_are_corrupted_as_the_network_sees_them(library, tmp_path):
    from cutmix.data.transforms import centre_view

    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8))
    picture.save(tmp_path / "photo.png")
    split = PhotoSplit((tmp_path / "photo.png",), np.array([4]))
    for squared in (0, 80):
        source = Generated(split, 72, lambda *key: np.array([9]), squared)
        view, _ = source.images("fog", 1)
        assert np.array_equal(view(0), corrupt(centre_view(picture, 72, squared), "fog", 1, 9))


@pytest.fixture
def cifar_c(tmp_path):
    """Six test images of 8x8 in two corruptions: pixel (0, 0) says which, of which severity."""
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    for number, name in enumerate(("fog", "speckle_noise")):
        images = np.zeros((30, 8, 8, 3), np.uint8)
        images[:, 0, 0, 0] = 100 * number + np.repeat([1, 2, 3, 4, 5], 6)
        images[:, 0, 0, 1] = np.tile(np.arange(6), 5)
        np.save(folder / f"{name}.npy", images)
    np.save(folder / "labels.npy", np.tile(np.array([0, 2, 1, 2, 0, 1], dtype=np.uint8), 5))
    return folder


CLASSES = ("ant", "bee", "cat")


def test_arrays_are_five_severities_one_after_the_other(cifar_c):
    source = folder_source(cifar_c, ArraySplit(np.zeros((1, 8, 8, 3), np.uint8), np.array([0])), 8, CLASSES)
    assert isinstance(source, ArrayFolder)
    assert source.corruptions == ("fog", "speckle_noise")
    assert source.where == "read from CIFAR-10-C"
    for number, name in enumerate(source.corruptions):
        for severity in (1, 3, 5):
            view, labels = source.images(name, severity)
            assert labels.tolist() == [0, 2, 1, 2, 0, 1]
            assert labels.dtype == np.int64
            assert view(4)[0, 0].tolist() == [100 * number + severity, 4, 0]


def test_arrays_have_labels_of_each_severity(cifar_c):
    labels = np.load(cifar_c / "labels.npy")
    labels[12:18] = [1, 1, 0, 2, 2, 0]
    np.save(cifar_c / "labels.npy", labels)
    source = ArrayFolder(cifar_c, 8, CLASSES)
    assert source.images("fog", 3)[1].tolist() == [1, 1, 0, 2, 2, 0]
    assert source.images("fog", 4)[1].tolist() == [0, 2, 1, 2, 0, 1]


def test_arrays_that_do_not_fit_are_refused(cifar_c):
    with pytest.raises(UsageError, match=r"that of the alphabet; the network's are bee, ant, cat"):
        ArrayFolder(cifar_c, 8, ("bee", "ant", "cat"))
    with pytest.raises(CutmixError, match="from 0 to 1 are accepted"):
        ArrayFolder(cifar_c, 8, ("ant", "bee"))
    labels = np.load(cifar_c / "labels.npy")
    for wrong in (labels[:0], labels[:-1], labels.astype(float)):
        np.save(cifar_c / "labels.npy", wrong)
        with pytest.raises(CutmixError, match="five times as many as test images"):
            ArrayFolder(cifar_c, 8, CLASSES)
    np.save(cifar_c / "labels.npy", labels)
    with pytest.raises(CutmixError, match=r"uint8 \(30, 32, 32, 3\) is accepted"):
        ArrayFolder(cifar_c, 32, CLASSES).images("fog", 1)
    (cifar_c / "fog.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(CutmixError, match="cannot be read as an array"):
        ArrayFolder(cifar_c, 8, CLASSES).images("fog", 1)
    (cifar_c / "labels.npy").unlink()
    with pytest.raises(CutmixError, match=r"labels.npy: cannot be read"):
        ArrayFolder(cifar_c, 8, CLASSES)
    (cifar_c / "fog.npy").unlink()
    (cifar_c / "speckle_noise.npy").unlink()
    with pytest.raises(CutmixError, match="holds no corruption"):
        ArrayFolder(cifar_c, 8, CLASSES)


@pytest.fixture
def imagenet_c(tmp_path):
    """Two classes, two photos each, in one corruption of an archive's folder and one beside it."""
    folder = tmp_path / "ImageNet-C"
    for place, red in (("weather/fog", 0), ("contrast", 100)):
        for severity in (1, 2, 3, 4, 5):
            for wnid, green in (("n01", 10), ("n02", 20)):
                for photo in (1, 2):
                    path = folder / place / str(severity) / wnid / f"{photo}.JPEG"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    colour = np.array([red + severity, green, photo], np.uint8)
                    Image.fromarray(np.broadcast_to(colour, (72, 72, 3)).copy()).save(path, "PNG")
    return folder


def test_photos_lie_in_corruption_severity_class(imagenet_c, tmp_path):
    # The label is that of the class folder's name among the test images, here the other way round.
    tests = PhotoSplit((tmp_path / "val/n01/a.JPEG", tmp_path / "val/n02/b.JPEG"), np.array([1, 0]))
    source = folder_source(imagenet_c, tests, 72, CLASSES)
    assert isinstance(source, PhotoFolder)
    assert source.corruptions == ("fog", "contrast")
    view, labels = source.images("fog", 3)
    assert labels.tolist() == [1, 1, 0, 0]
    assert view(3)[0, 0].tolist() == [3, 20, 2]
    assert source.images("contrast", 5)[0](0)[0, 0].tolist() == [105, 10, 1]
    with pytest.raises(UsageError, match=r"n02 is not a class of the network's data; 1 such"):
        PhotoFolder(imagenet_c, 72, {"n01": 0}).images("fog", 1)
    with pytest.raises(UsageError, match="small images in memory"):
        folder_source(imagenet_c, ArraySplit(np.zeros((1, 8, 8, 3), np.uint8), np.array([0])), 8, CLASSES)
    with pytest.raises(UsageError, match="there is no folder"):
        folder_source(tmp_path / "elsewhere", tests, 72, CLASSES)
    with pytest.raises(CutmixError, match="holds no corruption"):
        folder_source(tmp_path / "ImageNet-C" / "contrast", tests, 72, CLASSES)


def test_photos_that_are_cropped_already_are_not_cropped_again(imagenet_c, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (72, 72, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(imagenet_c / "contrast/1/n01/1.JPEG", "PNG")
    labels = {"n01": 0, "n02": 1}
    assert np.array_equal(PhotoFolder(imagenet_c, 72, labels).images("contrast", 1)[0](0), pixels)
    assert PhotoFolder(imagenet_c, 48, labels).images("contrast", 1)[0](0).shape == (48, 48, 3)


def test_stored_photos_of_another_size_are_resized_as_tests_are(imagenet_c, tmp_path):
    from cutmix.data.transforms import centre_view

    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(imagenet_c / "contrast/1/n01/1.JPEG", "PNG")
    tests = PhotoSplit((tmp_path / "val/n01/a.JPEG", tmp_path / "val/n02/b.JPEG"), np.array([1, 0]))
    for squared in (0, 80):
        view, _ = folder_source(imagenet_c, tests, 72, CLASSES, squared).images("contrast", 1)
        assert np.array_equal(view(0), centre_view(Image.fromarray(pixels), 72, squared))


# ------------------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_normalised_views(workers, cifar_c):
    view, _ = ArrayFolder(cifar_c, 8, CLASSES).images("fog", 4)
    images = ViewedImages(view, 8, (0.5, 0.25, 0.0), (0.5, 0.1, 1.0), workers, torch.device("cpu"))
    state = torch.random.get_rng_state()
    first, second = images.batches([np.array([3, 1]), np.array([5])], 0, 0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.shape == (2, 3, 8, 8)
    expected = [(4 / 255 - 0.5) / 0.5, (3 / 255 - 0.25) / 0.1, 0]
    assert first[0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert second[0, 1, 0, 0].item() == pytest.approx((5 / 255 - 0.25) / 0.1)


def test_worker_processes_give_what_this_one_gives(library):
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8)
    source = Generated(ArraySplit(images, np.array([0, 1])), 96, lambda corruption, severity: np.array([7, 8]))
    view, _ = source.images("frost", 2)
    viewed = ViewedImages(view, 96, (0.0,) * 3, (1.0,) * 3, 2, torch.device("cpu"))
    for row, batch in enumerate(viewed.batches([np.array([0]), np.array([1])], 0, 0)):
        assert np.array_equal((batch[0] * 255).round().byte().permute(1, 2, 0), view(row))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_cannot_be_read_is_named(imagenet_c, workers):
    (imagenet_c / "contrast/1/n02/1.JPEG").write_bytes(b"no photo")
    view, _ = PhotoFolder(imagenet_c, 72, {"n01": 0, "n02": 1}).images("contrast", 1)
    images = ViewedImages(view, 72, (0.5,) * 3, (0.5,) * 3, workers, torch.device("cpu"))
    with pytest.raises(CutmixError, match=r"n02/1.JPEG: is not a picture"):
        list(images.batches([np.arange(4)], 0, 0))


def test_workers_start_though_opencv_has_threads_and_leave_it_as_it_was(imagenet_c):
    """A child that changes the number of threads of a pool it inherited waits for threads that did not come along."""
    cv2 = pytest.importorskip("cv2")
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (900, 900), interpolation=cv2.INTER_AREA)
        view, _ = PhotoFolder(imagenet_c, 72, {"n01": 0, "n02": 1}).images("contrast", 1)
        images = ViewedImages(view, 72, (0.5,) * 3, (0.5,) * 3, 1, torch.device("cpu"))
        assert sum(len(batch) for batch in images.batches([np.arange(2), np.arange(2, 4)], 0, 0)) == 4
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
