"""Small made-up detection and captioning data on disk, and a network small enough to train on it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cutmix.training.display import Silent, StepInfo
from cutmix.transfer.backbone import Pretrained

TIMES = ("seconds", "test_seconds", "images_per_second")
COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30), "white": (240, 240, 240)}
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


class TinyNet(nn.Module):
    """A classifier with four stages at strides 4 to 32, as a ResNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, 4, 1, bias=False), nn.BatchNorm2d(6)
        widths = [6, 8, 10, 12, 14]
        for number in range(1, 5):
            narrow, wide, stride = widths[number - 1], widths[number], 1 if number == 1 else 2
            stage = nn.Sequential(
                nn.Conv2d(narrow, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(True)
            )
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(14, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer2(self.layer1(self.bn1(self.conv1(x)).relu()))
        return self.fc(self.layer4(self.layer3(x)).mean((2, 3)))


@pytest.fixture
def tiny_net() -> Callable[[], TinyNet]:
    """Makes the tiny network, each time the same."""
    return make_tiny_net


def make_tiny_net() -> TinyNet:
    """Its batch norms have statistics of their own, so that it matters whether they are used."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = TinyNet()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.5, 1.5)
        return net.eval()


@pytest.fixture
def pretrained() -> Pretrained:
    return Pretrained(make_tiny_net(), MEAN, STD, "tiny")


def voc_xml(objects, size=(64, 48), difficult=()) -> str:
    """objects: (class, xmin, ymin, xmax, ymax) in VOC's counting."""
    text = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    for number, (name, *edges) in enumerate(objects):
        tags = "".join(f"<{tag}>{edge}</{tag}>" for tag, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges))
        hard = int(number in difficult)
        text += f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox>{tags}</bndbox></object>"
    return text + "</annotation>"


def write_voc(folder: Path, lists: dict[str, list[str]], objects: dict[str, list], difficult=None) -> Path:
    """A VOC folder of pictures of 64x48, each object a square of its class's colour."""
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    colours = {"red": (220, 30, 30), "blue": (30, 30, 220)}
    for number, (name, of_picture) in enumerate(objects.items()):
        pixels = np.random.default_rng(number).integers(90, 130, (48, 64, 3), dtype=np.uint8)
        for kind, x1, y1, x2, y2 in of_picture:
            pixels[y1 - 1 : y2, x1 - 1 : x2] = colours.get(kind, (30, 220, 30))
        Image.fromarray(pixels).save(folder / "JPEGImages" / f"{name}.png")
        xml = voc_xml(of_picture, difficult=(difficult or {}).get(name, ()))
        (folder / "Annotations" / f"{name}.xml").write_text(xml)
    for part, names in lists.items():
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(name="write_voc")
def _write_voc() -> Callable[..., Path]:
    return write_voc


@pytest.fixture
def tiny_voc(tmp_path: Path) -> Path:
    """Eight pictures to train on and three to test, one or two squares each; 3 steps of 3, the last of 2."""
    rng = np.random.default_rng(0)
    objects = {}
    for number in range(11):
        x, y = rng.integers(1, 12, 2)
        first = ("red" if number % 2 else "blue", int(x), int(y), int(x) + 20, int(y) + 24)
        second = ("blue", 40, 10, 61, 34)
        objects[f"p{number:02}"] = [first, second] if number % 3 else [first]
    names = list(objects)
    return write_voc(tmp_path / "squares", {"trainval": names[:8], "test": names[8:]}, objects)


@pytest.fixture
def tiny_captions(tmp_path) -> Path:
    """Pictures of one colour above another, two captions each; six to train on, two to test."""
    folder = tmp_path / "squares"
    folder.mkdir()
    lines = []
    pairs = [(top, below) for top in COLOURS for below in COLOURS if top != below][:8]
    for number, (top, below) in enumerate(pairs):
        pixels = np.empty((40, 48, 3), np.uint8)
        pixels[:20], pixels[20:] = COLOURS[top], COLOURS[below]
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png\tA {top} part, above a {below} one.\n{number}.png\tit is {top} over {below}\n")
    (folder / "train.tsv").write_text("".join(lines[:6]))
    (folder / "val.tsv").write_text("".join(lines[6:]))
    return folder


class StopAt(Silent):
    """Sends SIGTERM to this process at one step."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def wants_step(self, step: int, steps: int) -> bool:
        return True

    def step(self, info: StepInfo) -> None:
        if (info.epoch, info.step) == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def assert_same(one, other, where: str = "checkpoint") -> None:
    if isinstance(one, dict):
        assert list(one) == list(other), where
        for key in set(one) - set(TIMES):
            assert_same(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other)):
            assert_same(a, b, f"{where}[{number}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


@pytest.fixture
def stop_at() -> type[StopAt]:
    """A display that stops the run at an epoch and step."""
    return StopAt


@pytest.fixture(name="assert_same")
def _assert_same() -> Callable[..., None]:
    """Compares two checkpoints, all but their times."""
    return assert_same
