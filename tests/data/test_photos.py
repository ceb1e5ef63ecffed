"""Whatever a folder holds becomes RGB bytes, or is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cutmix.data import PhotoError, read_photo

GREY_16 = np.array([[0, 129, 257], [32896, 65279, 65535]], dtype=np.uint16)


def pixels(path: Path) -> np.ndarray:
    image = read_photo(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_rgb_passes_unchanged(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert np.array_equal(pixels(saved(tmp_path / "a.png", Image.fromarray(values))), values)


@pytest.mark.parametrize("ending", ["png", "gif", "tif", "bmp", "pgm"])
def test_grey_is_repeated(tmp_path: Path, ending: str) -> None:
    values = np.array([[0, 10, 200], [255, 30, 90]], dtype=np.uint8)
    got = pixels(saved(tmp_path / f"a.{ending}", Image.fromarray(values)))
    assert np.array_equal(got, np.repeat(values[..., None], 3, axis=2))


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    got = pixels(saved(tmp_path / "a.png", Image.fromarray(np.array([[True, False, True]]))))
    assert got[0, :, 1].tolist() == [255, 0, 255]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, ending: str) -> None:
    got = pixels(saved(tmp_path / f"a.{ending}", Image.fromarray(GREY_16)))
    assert got[..., 0].tolist() == [[0, 1, 1], [128, 254, 255]]


def test_32_bits_within_16_are_taken_and_others_named(tmp_path: Path) -> None:
    got = pixels(saved(tmp_path / "a.tif", Image.fromarray(GREY_16.astype(np.int32))))
    assert got[..., 2].tolist() == [[0, 1, 1], [128, 254, 255]]
    with pytest.raises(PhotoError, match="32-bit pixels from 0 to 65536"):
        read_photo(saved(tmp_path / "b.tif", Image.fromarray(np.array([[0, 65536]], dtype=np.int32))))
    with pytest.raises(PhotoError, match="floating-point"):
        read_photo(saved(tmp_path / "c.tif", Image.fromarray(np.array([[0.5, 1.5]], dtype=np.float32))))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    red, green, blue = pixels(saved(tmp_path / "a.jpg", cmyk, quality=95))[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_what_is_transparent_lies_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0] = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]  # a fifth of the colour, four fifths of white
    got = pixels(saved(tmp_path / "a.png", Image.fromarray(rgba)))[0].tolist()
    assert got == [[10, 20, 30], [255, 255, 255], [204, 224, 244]]
    grey = np.array([[[40, 255], [40, 0]]], dtype=np.uint8)
    assert pixels(saved(tmp_path / "b.png", Image.fromarray(grey)))[0].tolist() == [[40] * 3, [255] * 3]


def test_palettes_with_and_without_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 20, 30, 220, 40])
    image.putdata([0, 1])
    assert pixels(saved(tmp_path / "a.png", image))[0].tolist() == [[200, 10, 20], [30, 220, 40]]
    assert pixels(saved(tmp_path / "b.png", image, transparency=0))[0].tolist() == [[255] * 3, [30, 220, 40]]
    assert pixels(saved(tmp_path / "c.png", image, transparency=b"\xff\x00"))[0].tolist() == [[200, 10, 20], [255] * 3]


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    values = np.zeros((20, 40, 3), dtype=np.uint8)
    values[:, :20] = 255  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the left side comes up
    got = pixels(saved(tmp_path / "a.png", Image.fromarray(values), exif=exif))
    assert got.shape == (40, 20, 3)
    assert got[:20].min() == 255
    assert got[20:].max() == 0


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_does_not_matter(tmp_path: Path) -> None:
    values = np.full((8, 8, 3), 77, dtype=np.uint8)
    path = saved(tmp_path / "a.jpg", Image.fromarray(values), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03")
    assert pixels(path).shape == (8, 8, 3)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    path = saved(tmp_path / "a.gif", first, save_all=True, append_images=[second])
    assert pixels(path)[0, 0].tolist() == [255, 0, 0]


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    whole = saved(
        tmp_path / "whole.jpg", Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    )
    wrong = {
        "text.jpg": (b"this is no picture", "is not a picture"),
        "empty.png": (b"", r"is empty \(0 bytes\)"),
        "short.jpg": (whole.read_bytes()[:900], "cannot be decoded .*truncated"),
        "html.png": (b"<html></html>", "is not a picture"),
    }
    for name, (content, reason) in wrong.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PhotoError, match=reason) as caught:
            read_photo(path)
        assert caught.value.path == path
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(PhotoError, match="is missing"):
        read_photo(tmp_path / "nothing.png")


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(PhotoError, match="permission denied"):
        read_photo(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [20, 60])
def test_huge_photos_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (10, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(PhotoError, match="has more pixels"):
        read_photo(path)
