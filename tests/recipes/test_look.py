"""Figures 1 and 4: the pictures are drawn, and what cannot be drawn is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cutmix.cli import main
from cutmix.errors import UsageError
from cutmix.models import ResNet, write_safetensors
from cutmix.recipes.look import boxes_of, class_number, mixtures


@pytest.fixture
def checkpoint(tmp_path) -> str:
    torch.manual_seed(0)
    model = ResNet(depth=8, num_classes=2, bottleneck=False)
    info = {"model": "ResNet(depth=8, bottleneck=False)", "classes": ["cat", "dog"], "image_size": 64}
    constants = {"mean": [0.5] * 3, "std": [0.25] * 3}
    write_safetensors(tmp_path / "net.safetensors", model.state_dict(), {**info, **constants})
    return str(tmp_path / "net.safetensors")


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    for name, colour in (("a.png", (200, 30, 30)), ("b.png", (30, 30, 200))):
        Image.new("RGB", (90, 70), colour).save(tmp_path / name)
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def opened(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_look_draws_both_pictures_and_three_mixtures(checkpoint, pictures, tmp_path, capsys):
    out = tmp_path / "look.png"
    assert main(["look", checkpoint, *pictures, "--classes", "Dog", "0", "--out", str(out), "--cpu"]) == 0
    assert "maps of dog and cat" in capsys.readouterr().out
    height, width = opened(out).shape[:2]
    assert width > 5 * 128
    assert height > 3 * 128


def test_mixtures_are_of_the_first_with_the_second():
    images = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
    mixed, titles = mixtures(images, torch.tensor([1, 0]), 0.75, 3, ("cat", "dog"))
    both, mixup, cutout, cutmix = mixed
    assert torch.equal(both, images)
    assert mixup.unique().tolist() == [0.25]
    assert cutout.shape == cutmix.shape == (1, 3, 8, 8)
    share = float(1 - cutmix.mean())
    assert 0.7 < share < 1
    assert titles == [
        "dog",
        "cat",
        "MixUp: dog 0.75 + cat 0.25",
        "Cutout: dog",
        f"CutMix: dog {share:.2f} + cat {1 - share:.2f}",
    ]
    again, _ = mixtures(images, torch.tensor([1, 0]), 0.75, 3, ("cat", "dog"))
    assert torch.equal(again[3], cutmix)


def test_classes_go_by_name_or_number():
    assert [class_number(text, ("cat", "dog")) for text in ("Dog", "0")] == [1, 0]
    with pytest.raises(UsageError, match="Did you mean 'dog'"):
        class_number("dgo", ("cat", "dog"))
    with pytest.raises(UsageError, match="0 to 1"):
        class_number("2", ("cat", "dog"))


def test_a_share_is_a_share(checkpoint, pictures, tmp_path, capsys):
    assert main(["look", checkpoint, *pictures, "--share", "2", "--out", str(tmp_path / "x.png")]) == 2
    assert "share must lie in [0, 1]" in capsys.readouterr().err


def make_boxed(root) -> None:
    folder = root / "tiny-imagenet-200"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for path in ("train/n01/images/n01_0.JPEG", "train/n02/images/n02_0.JPEG", "val/images/v.JPEG"):
        (folder / path).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / path)
    (folder / "val/val_annotations.txt").write_text("v.JPEG\tn01\t5\t9\t40\t50\n")
    (folder / "wnids.txt").write_text("n01\nn02\n")
    (folder / "words.txt").write_text("n01\tcat\nn02\tdog\n")


def test_boxes_draws_a_row_a_network(checkpoint, tmp_path):
    make_boxed(tmp_path)
    out = tmp_path / "boxes.png"
    arguments = ["--data", "tiny_imagenet", "--data-root", str(tmp_path), "--out", str(out), "--cpu"]
    assert main(["boxes", checkpoint, checkpoint, *arguments]) == 0
    pixels = opened(out)
    rows = np.flatnonzero((pixels == (225, 0, 0)).all(-1).any(1))
    assert (np.diff(rows) > 20).sum() >= 1  # the true box of the same image, in two rows


def test_networks_that_do_not_say_their_data_need_it(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="name a data set with boxes"):
        boxes_of([checkpoint], "", tmp_path / "boxes.png")
    with pytest.raises(UsageError, match="at least 1 image"):
        boxes_of([checkpoint], "tiny_imagenet", tmp_path / "boxes.png", images=0)


def test_boxes_of_which_none_lies_in_a_view_are_named(checkpoint, tmp_path, monkeypatch):
    from cutmix.data.boxes import Boxes

    make_boxed(tmp_path)
    none = Boxes(np.empty((0, 4)), np.empty(0, np.int64), np.full((1, 2), 32), dropped=1)
    monkeypatch.setattr("cutmix.data.view_boxes", lambda data: none)
    with pytest.raises(UsageError, match="no box of tiny_imagenet lies in a view"):
        boxes_of([checkpoint], "tiny_imagenet", tmp_path / "boxes.png", data_root=tmp_path)
