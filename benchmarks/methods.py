"""What does each mixing method add to a training step? ResNet-20, batch 128, CIFAR's shape, against no method.

The methods are found by looking through the folder, each as it is by default. Every contender has a network of its own.
In every round each takes one whole step (mix, forward, backward, optimizer), in an order that changes from round to
round, and is compared with the step without a method of the same round: so a slow moment of the machine hits both.

    python benchmarks/methods.py             20 rounds
    python benchmarks/methods.py --rounds 5  rougher
    python benchmarks/methods.py --only CutMix FeatureCutMix
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from cutmix.mixing import Mixer, Mixing, NoMixing, mixed_cross_entropy
from cutmix.models import ResNet
from cutmix.recipes import names

BASELINE = "NoMixing"
Step = Callable[[torch.Tensor, torch.Tensor], None]


def training_step(mixing: Mixing) -> Step:
    """One step of a ResNet-20 with this method, as the training loop makes it."""
    torch.manual_seed(0)
    model = ResNet(depth=20, bottleneck=False).train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True)
    mixer, rng = Mixer(mixing, model), np.random.default_rng(0)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        with mixer.mix(images, labels, rng, inplace=True, progress=0.5) as mixed:
            mixed_cross_entropy(model(mixed.images), mixed.target).backward()
        optimizer.step()

    return step


def contenders(only: list[str]) -> dict[str, Step]:
    """A step for each method. Regularizers of layers join here: a step of a network that has them, under their name."""
    methods = {cls.__name__: cls for cls in names.mixings().values()}
    chosen = {name: method for name, method in methods.items() if not only or name in (*only, BASELINE)}
    return {name: training_step(method()) for name, method in chosen.items()}


def measure(rounds: int, only: list[str]) -> dict[str, dict[str, float]]:
    """The median milliseconds of a step, and the median of its ratio to the one without a method in its round."""
    steps = contenders(only)
    first = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    images, labels = first.clone(), torch.randint(10, (128,))
    order, shuffle = list(steps), np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):  # two to warm up
        shuffle.shuffle(order)
        for name in order:
            images.copy_(first)
            before = time.perf_counter()
            steps[name](images, labels)
            if number >= 2:
                times[name].append((time.perf_counter() - before) * 1e3)
    return {
        name: {
            "median_ms": median(values),
            "ratio": median(mine / plain for mine, plain in zip(values, times[BASELINE])),
        }
        for name, values in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="steps of each method (default: 20)")
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="these methods, and none")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.threads) < 1:
        parser.error("--rounds and --threads must be 1 or more")
    torch.set_num_threads(arguments.threads)
    assert NoMixing.__name__ == BASELINE
    rows = measure(arguments.rounds, arguments.only)
    if arguments.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    print(f"{'method':<24}{'median ms':>12}{'times none':>12}")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["ratio"]):
        print(f"{name:<24}{row['median_ms']:>12.1f}{row['ratio']:>12.3f}")


if __name__ == "__main__":
    main()
