"""Seconds that an evaluation takes, against the bare forward loop that anyone would write.

Accuracy of a ResNet-20 on images of CIFAR's size: the bare loop (normalise a batch, run the network, count hits), ours
through a ``Subject`` (``Accuracy()``, with its intervals, classes and confusions), ours with calibration as well, which
reads the same logits; and the bare loop a second time, whose ratio to the first says how far this machine can be
believed. All take turns in one process. Random pixels: the speed does not depend on what they show.

Then localization, with images in memory: ResNet-18 at 224 pixels and ResNet-20 at 64, one bare forward pass against the
maps, boxes and all scores of ``Localization``, and against pytorch-grad-cam's maps alone (the extra ``cutmix[cam]``).
The images are smooth, as photos are: how long regions take to find does depend on the maps.

    python benchmarks/evaluation.py
    python benchmarks/evaluation.py --rounds 20 --clock cpu    # this process's CPU seconds, where others run beside it
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cutmix.data import ArraySplit, Boxes, Data
from cutmix.evaluation.accuracy import Accuracy
from cutmix.evaluation.calibration import Calibration
from cutmix.evaluation.gradcam import library_maps
from cutmix.evaluation.localization import Localization
from cutmix.evaluation.question import Question, evaluate
from cutmix.models import ResNet

MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024, help="test images (1024)")
    parser.add_argument("--batch-size", type=int, default=128, help="images at a time (128)")
    parser.add_argument("--rounds", type=int, default=12, help="rounds over all ways (12)")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="wall, or cpu: what this process used")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--json", action="store_true", help="print a JSON line a way")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    title = f"accuracy, ResNet-20, {args.images} images of 32x32, batches of {args.batch_size}, {args.clock} clock"
    ways = accuracy_ways(args.images, args.batch_size)
    show(title, ways, args.rounds, CLOCKS[args.clock], args.json)
    for model, side, images in (
        (ResNet(depth=18, num_classes=10, stem="imagenet"), 224, args.images // 16),
        (ResNet(depth=20, bottleneck=False, num_classes=10, stem="cifar"), 64, args.images // 4),
    ):
        title = f"localization, {images} images of {side}x{side}, batches of 32, {args.clock} clock"
        ways = localization_ways(model.eval(), side, images)
        show(title, ways, max(1, args.rounds // 3), CLOCKS[args.clock], args.json)


def show(
    title: str, ways: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float], as_json: bool
) -> None:
    """Time the ways in turn and print a line each; ratios are medians over rounds, against the first way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            started = clock()
            way()
            seconds[name].append(clock() - started)
    if not as_json:
        print(f"\n{title}, {rounds} rounds")
    base = next(iter(seconds))
    for name, times in seconds.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(times, seconds[base]))
        row = {"what": title, "way": name, "seconds": statistics.median(times), "min": min(times), "ratio": ratio}
        if as_json:
            print(json.dumps(row))
        else:
            print(f"  {name:<28} {row['seconds']:8.3f} s (min {row['min']:7.3f})   x {ratio:.3f}")


def accuracy_ways(images: int, batch_size: int) -> dict[str, Callable[[], Any]]:
    """The bare loop, ours, and the bare loop again."""
    data = made_up(images)
    model = ResNet(depth=20, bottleneck=False, num_classes=10, stem="cifar").eval()

    def ours(*questions: Question) -> dict[str, Any]:
        return dict(evaluate(model, questions, data, batch_size=batch_size, device="cpu"))

    return {
        "bare loop": lambda: bare_loop(model, data, batch_size),
        "ours": lambda: ours(Accuracy()),
        "ours, with calibration": lambda: ours(Accuracy(), Calibration()),
        "bare loop again": lambda: bare_loop(model, data, batch_size),
    }


def localization_ways(model: nn.Module, side: int, images: int) -> dict[str, Callable[[], Any]]:
    """A forward pass, our localization, Grad-CAM's maps from its library, and the forward pass again."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.integers(0, 256, (images, 3, 7, 7))).float()
    smooth = F.interpolate(coarse, (side, side), mode="bilinear").permute(0, 2, 3, 1).to(torch.uint8).numpy()
    box = np.tile([side * 0.2, side * 0.3, side * 0.7, side * 0.9], (images, 1))
    boxes = Boxes(box, np.arange(images), np.full((images, 2), side, np.int64))
    split = ArraySplit(np.ascontiguousarray(smooth), rng.integers(0, 10, images), lambda: boxes)
    data = Data("made up", tuple("0123456789"), split, split, MEAN, STD, side, flip=True)

    def ours(method: str) -> dict[str, Any]:
        return dict(evaluate(model, [Localization(method=method, examples=0)], data, batch_size=32, device="cpu"))

    def library() -> None:
        mean_3, std_3 = torch.tensor(MEAN), torch.tensor(STD)
        for part, labels_B in zip(torch.from_numpy(smooth).split(32), torch.from_numpy(split.labels_N).split(32)):
            library_maps(model, ((part / 255 - mean_3) / std_3).permute(0, 3, 1, 2), labels_B, "gradcam")

    return {
        "bare forward pass": lambda: bare_loop(model, data, 32),
        "ours: maps, boxes, scores": lambda: ours("cam"),
        "pytorch-grad-cam: maps alone": library,
        "bare forward pass again": lambda: bare_loop(model, data, 32),
    }


@torch.no_grad()
def bare_loop(model: nn.Module, data: Data, batch_size: int) -> float:
    """Top-1 accuracy with as little around the network as can be."""
    assert isinstance(data.test, ArraySplit)
    mean_3, std_3 = torch.tensor(MEAN), torch.tensor(STD)
    images, labels = torch.from_numpy(data.test.images_NHWC), torch.from_numpy(data.test.labels_N)
    hits = 0
    for images_BHWC, labels_B in zip(images.split(batch_size), labels.split(batch_size)):
        batch_BCHW = ((images_BHWC / 255 - mean_3) / std_3).permute(0, 3, 1, 2)
        hits += int((model(batch_BCHW).argmax(1) == labels_B).sum())
    return hits / len(labels)


def made_up(images: int) -> Data:
    """CIFAR's shape, random pixels."""
    rng = np.random.default_rng(0)
    split = ArraySplit(rng.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, images))
    return Data("made up", tuple("0123456789"), split, split, MEAN, STD, 32, flip=True)


if __name__ == "__main__":
    main()
