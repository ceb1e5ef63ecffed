"""Small things that many tests need."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Several OpenMP threads in several test processes get in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture
def tiny_arrays(tmp_path: Path) -> Path:
    """A folder of `arrays:` data: 3 classes of 12x12 images that a network can tell apart, 48 to train, 18 to test."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, n in (("train", 48), ("test", 18)):
        labels = np.arange(n) % 3
        images = rng.integers(0, 60, (n, 12, 12, 3), dtype=np.uint8)
        for image, label in zip(images, labels):
            image[:, :, label] += 150
        np.savez(folder / f"{split}.npz", images=images, labels=labels, classes=np.array(["red", "green", "blue"]))
    return folder


@pytest.fixture
def elsewhere_locked() -> Callable[[Path], AbstractContextManager[subprocess.Popen[str]]]:
    """A context in which another process holds the lock on a file, as a run does on its folder's."""

    @contextmanager
    def locked(path: Path) -> Iterator[subprocess.Popen[str]]:
        code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, "-S", "-c", code, str(path)], **pipes) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield process
            finally:
                process.kill()

    return locked


RESULT = {"test_images": 2000, "version": "0.1.0+g123", "device": "cpu, 2 threads, A CPU", "best_epoch": 1}
CUTMIX = "CutMix(alpha=1.0, prob=0.5)"


def _make_run(folder: Path, last: float = 5.0, seed: int = 0, result: dict | None = None, **settings) -> Path:
    """A run's folder as training leaves it, of two epochs."""
    folder.mkdir(parents=True)
    recipe = {"data": "digits", "mixing": "NoMixing()", "epochs": 2, "seed": seed, "init": "", **settings}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    epochs = [
        {"epoch": 1, "train_loss": 2.0, "test_error_top1": last - 1, "seconds": 3.0, "images_per_second": 1500.0},
        {"epoch": 2, "train_loss": 1.0, "test_error_top1": last, "seconds": 5.0, "images_per_second": 2501.0},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    numbers = {"test_error_top1_last": last, "test_error_top1_best": last - 1, "command": f"cutmix train --seed {seed}"}
    (folder / "result.json").write_text(json.dumps({**RESULT, **numbers, **(result or {})}))
    from PIL import Image

    Image.fromarray(np.full((5, 7, 3), seed, np.uint8)).save(folder / "first_batch.png")
    return folder


TRANSFER = {
    "data": "voc:squares", "task": "SSD(metric='voc07', size=64)", "backbone": "plain.pth.tar", "epochs": 4, "lr": 0.02
}  # fmt: skip


def _make_transfer(folder: Path, scores: tuple[float, float] = (31.0, 43.0), seed: int = 0, measure: str = "mean_ap",
                   test: dict | None = None, **settings) -> Path:  # fmt: skip
    """A transfer's folder of four epochs, tested after the second and the fourth: two scores, the larger the better."""
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps({**TRANSFER, "seed": seed, **settings}))
    epochs = [{"epoch": n, "train_loss": 9.0 - n, "seconds": 2.0 + n, "images_per_second": 50.0} for n in (1, 2, 3, 4)]
    epochs[1][measure], epochs[3][measure] = scores
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    best = max(scores)
    result = {
        "measure": measure,
        f"{measure}_last": scores[1],
        f"{measure}_best": best,
        "test": {measure: scores[1], **(test or {})},
        "command": f"cutmix transfer ssd --seed {seed}",
    }
    about = {**RESULT, "test_images": 72, "best_epoch": 2 + 2 * scores.index(best)}
    (folder / "result.json").write_text(json.dumps({**about, **result}))
    from PIL import Image

    for name in ("first_batch", "curves", "detections", "precision_recall"):
        Image.fromarray(np.full((5, 7, 3), len(name), np.uint8)).save(folder / f"{name}.png")
    return folder


def _make_transfers(folder: Path) -> list[Path]:
    """Three seeds of a plain backbone (last 40, 44, 47) and three of another (43, 45.5, 52), in another order."""
    plain, mixed = {0: (41.0, 40.0), 1: (30.0, 44.0), 2: (20.0, 47.0)}, {2: (53.5, 52.0), 0: (11.0, 43.0), 1: (9, 45.5)}
    runs = [_make_transfer(folder / f"plain{seed}", scores, seed) for seed, scores in plain.items()]
    other = {"backbone": "cut.pth.tar"}
    return runs + [_make_transfer(folder / f"mixed{seed}", scores, seed, **other) for seed, scores in mixed.items()]


def _make_comparison(folder: Path) -> list[Path]:
    """Three seeds without mixing (4, 5, 9) and three with (1, 2, 4.5)."""
    plain = [_make_run(folder / f"plain{s}", last, s) for s, last in enumerate([4.0, 5.0, 9.0])]
    return plain + [_make_run(folder / f"mixed{s}", last, s, mixing=CUTMIX) for s, last in enumerate([1.0, 2.0, 4.5])]


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Writes the folder of a made-up run."""
    return _make_run


@pytest.fixture
def make_comparison() -> Callable[[Path], list[Path]]:
    """Writes the folders of two made-up groups of three runs."""
    return _make_comparison


@pytest.fixture
def make_transfer() -> Callable[..., Path]:
    """Writes the folder of a made-up transfer."""
    return _make_transfer


@pytest.fixture
def make_transfers() -> Callable[[Path], list[Path]]:
    """Writes the folders of two made-up groups of three transfers."""
    return _make_transfers
