"""Milliseconds to prepare a training batch: this package against the official code's way, on one thread.

Small images (CIFAR's size): crop with a padding of 4, flip, normalise. Ours; the official way (one PIL image at a
time through torchvision's transforms, no workers); a plain batch form; and the floor, a bare copy of a finished batch.
With a policy (AutoAugment, RandAugment, TrivialAugment) every image goes through PIL: ours without workers, and
torchvision's RandAugment in the official way.
Photos (made-up JPEGs of 500x375): decode, random resized crop, flip, normalise; ours against torchvision's ImageFolder.
All take turns in one process, so that a machine that drifts treats all alike. Random pixels: no data set is needed.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --rounds 50 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cutmix.data import (
    ArraySplit,
    AutoAugment,
    CropFlip,
    Data,
    PhotoCrop,
    PhotoSplit,
    RandAugment,
    TrivialAugment,
    train_batches,
)

MEAN, STD = (0.4914, 0.4824, 0.4467), (0.2471, 0.2435, 0.2616)
IMAGES, PHOTOS = 20_000, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[128, 64], help="batches of small images (128 64)"
    )
    parser.add_argument("--rounds", type=int, default=40, help="rounds over all ways (40)")
    parser.add_argument("--photo-rounds", type=int, default=6, help="rounds over all ways with photos (6)")
    parser.add_argument("--json", action="store_true", help="print a JSON line a way")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = small_data()
    for batch_size in args.batch_sizes:
        show(
            f"small images, 32x32, batches of {batch_size}",
            batch_size,
            array_ways(data, batch_size),
            args.rounds,
            args.json,
        )
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        show(
            f"photos, 500x375 -> 224, batches of {PHOTOS}",
            PHOTOS,
            photo_ways(Path(folder)),
            args.photo_rounds,
            args.json,
        )


def show(title: str, batch_size: int, ways: dict[str, Callable[[], Any]], rounds: int, as_json: bool) -> None:
    """Time the ways in turn and print a line each; ratios are medians over rounds, against the last way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    if not as_json:
        print(f"\n{title}, one thread, {rounds} rounds")
    base = list(seconds)[-1]
    for name, times in seconds.items():
        milliseconds = 1000 * statistics.median(times)
        ratio = statistics.median(ours / theirs for ours, theirs in zip(times, seconds[base]))
        row = {
            "what": title,
            "way": name,
            "ms_per_batch": milliseconds,
            "min_ms": 1000 * min(times),
            "us_per_image": 1000 * milliseconds / batch_size,
            "times_the_last": ratio,
        }
        if as_json:
            print(json.dumps(row))
        else:
            print(
                f"  {name:<42} {milliseconds:9.3f} ms (min {row['min_ms']:9.3f})"
                f"  {row['us_per_image']:9.1f} us/image   x {ratio:.2f}"
            )


def small_data() -> Data:
    """CIFAR's shape, random pixels: the speed does not depend on what they show."""
    rng = np.random.default_rng(0)
    split = ArraySplit(rng.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, IMAGES))
    return Data("made up", tuple("0123456789"), split, split.subset(range(10)), MEAN, STD, 32, flip=True)


def array_ways(data: Data, batch_size: int) -> dict[str, Callable[[], Any]]:
    """Each way to make the next training batch, the bare copy last."""
    assert isinstance(data.train, ArraySplit)
    ours = endless(train_batches(data, batch_size=batch_size, seed=0).epoch)
    policies = {
        f"ours, with {policy}": endless(
            train_batches(data, batch_size=batch_size, seed=0, augment=CropFlip(policy=policy), workers=0).epoch
        )
        for policy in (AutoAugment("cifar10"), RandAugment(), TrivialAugment())
    }
    direct = policy_transform()
    images = data.train.images_NHWC
    rng = np.random.default_rng(0)
    finished = torch.randn(batch_size, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    official = official_transform()
    return {
        "official: an image at a time through PIL": lambda: official_batch(images, rows(rng, batch_size), official),
        "official, with torchvision's RandAugment": lambda: official_batch(images, rows(rng, batch_size), direct),
        **{name: partial(next, batches) for name, batches in policies.items()},
        "plain batch form": lambda: plain_batch(images[rows(rng, batch_size)], rng),
        "ours": lambda: next(ours),
        "bare copy of a finished batch": finished.clone,
    }


def official_transform() -> Callable[[Any], torch.Tensor]:
    """The transforms of the official code (clovaai/CutMix-PyTorch train.py)."""
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def policy_transform() -> Callable[[Any], torch.Tensor]:
    """The official transforms with RandAugment where torchvision's references have it."""
    from torchvision import transforms

    official = official_transform()
    return transforms.Compose(
        [*official.transforms[:2], transforms.RandAugment(), *official.transforms[2:]]  # type: ignore[attr-defined]
    )


def official_batch(images: np.ndarray, index: np.ndarray, transform: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """What torchvision's CIFAR10 and a DataLoader without workers do."""
    from PIL import Image

    return torch.stack([transform(Image.fromarray(images[row])) for row in index])


def plain_batch(images_BHWC: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """The same for a whole batch as one writes it without measuring: pad, slice an image at a time, then arithmetic."""
    batch, height, width, _ = images_BHWC.shape
    padded = np.pad(images_BHWC, ((0, 0), (4, 4), (4, 4), (0, 0)))
    out = np.empty_like(images_BHWC)
    for image, whole, top, left, flip in zip(out, padded, *rng.integers(0, 9, (2, batch)), rng.random(batch) < 0.5):
        crop = whole[top : top + height, left : left + width]
        image[:] = crop[:, ::-1] if flip else crop
    floats = out.astype(np.float32) / np.float32(255)
    normal = (floats - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(normal).permute(0, 3, 1, 2).contiguous()


def write_photos(folder: Path) -> None:
    """JPEGs of 500x375 with detail at every scale, in two class folders under train."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        place = folder / "train" / str(number % 2)
        place.mkdir(parents=True, exist_ok=True)
        layers = [
            rng.integers(0, 256, (375 // scale + 1, 500 // scale + 1, 3), dtype=np.uint8) for scale in (4, 16, 64)
        ]
        large = [
            np.asarray(Image.fromarray(layer).resize((500, 375), Image.Resampling.BICUBIC), float) for layer in layers
        ]
        Image.fromarray(np.mean(large, axis=0).astype(np.uint8)).save(place / f"{number}.jpg", quality=90)


def photo_ways(folder: Path) -> dict[str, Callable[[], Any]]:
    """Each way to make a batch of photos, the official one last."""
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    official = datasets.ImageFolder(str(folder / "train"), transform)
    paths, labels = zip(*official.samples)
    split = PhotoSplit(tuple(map(Path, paths)), np.array(labels, dtype=np.int64))
    data = Data("photos", ("0", "1"), split, split, MEAN, STD, 224, flip=True)

    def ours(augment: PhotoCrop) -> Callable[[], Any]:
        batches = endless(train_batches(data, batch_size=PHOTOS, seed=0, augment=augment, workers=0).epoch)
        return lambda: next(batches)

    return {
        "ours, with RandAugment": ours(PhotoCrop(policy=RandAugment())),
        "ours, with jitter 0.4 and lighting 0.1": ours(PhotoCrop(jitter=0.4, lighting=0.1)),
        "ours": ours(PhotoCrop()),
        "torchvision's ImageFolder": lambda: torch.stack([official[row][0] for row in range(PHOTOS)]),
    }


def endless(epoch: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    """The batches of epoch after epoch, each begun as training begins it."""
    number = 0
    while True:
        yield from epoch(number)
        number += 1


def rows(rng: np.random.Generator, batch_size: int) -> np.ndarray:
    """The images of a shuffled batch."""
    return rng.integers(0, IMAGES, batch_size)


if __name__ == "__main__":
    main()
