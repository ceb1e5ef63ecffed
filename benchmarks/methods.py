"""What does each method add to a training step? ResNet-20, batch 128, CIFAR's shape, against no method.

Mixing methods and layer regularizers are found by looking through their folders, each as it is by default. Every
contender has a network of its own. In every round each takes one whole step (mix, forward, backward, optimizer), in an
order that changes from round to round, and is compared with the step without a method of the same round: so a slow
moment of the machine hits both. What mixing on images costs is far below the spread of a step, so it is timed alone as
well (draw, pixels, targets; many times), as a share of the median step without a method.

    python benchmarks/methods.py             20 rounds
    python benchmarks/methods.py --rounds 5 --clock cpu   rougher, on a machine that does other work
    python benchmarks/methods.py --only CutMix FeatureCutMix ShakeDrop
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles

import numpy as np
import torch

from cutmix.errors import UsageError
from cutmix.mixing import Mixer, Mixing, NoMixing, mixed_cross_entropy
from cutmix.models import NoRegularizer, Regularizer, ResNet, regularize
from cutmix.recipes import names

BASELINE = "NoMixing"
ALONE = 200  # times that mixing on images is timed by itself
Step = Callable[[torch.Tensor, torch.Tensor], None]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def training_step(mixing: Mixing, regularizer: Regularizer) -> Step:
    """One step of a ResNet-20 with these methods, as the training loop makes it."""
    torch.manual_seed(0)
    model = ResNet(depth=20, bottleneck=False).train().to(memory_format=torch.channels_last)
    regularize(model, regularizer)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True)
    mixer, rng = Mixer(mixing, model), np.random.default_rng(0)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        with mixer.mix(images, labels, rng, inplace=True, progress=0.5) as mixed:
            mixed_cross_entropy(model(mixed.images), mixed.target).backward()
        optimizer.step()

    return step


def methods(only: list[str]) -> dict[str, Mixing | Regularizer]:
    """One of each class, by name; no method at all is always among them."""
    classes = {cls.__name__: cls for cls in (*names.mixings().values(), *names.regularizers().values())}
    del classes[NoRegularizer.__name__]
    made = {}
    for name, method in classes.items():
        if not only or name in (*only, BASELINE):
            try:
                made[name] = method()
            except UsageError:  # it is made of others, and of none by default
                continue
    return made


def contender(method: Mixing | Regularizer) -> Step:
    """A step with this method, and with nothing else."""
    if isinstance(method, Mixing):
        return training_step(method, NoRegularizer())
    return training_step(NoMixing(), method)


def measure(rounds: int, only: list[str], clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """For each method, of whole steps: the median milliseconds, and the median and quartiles of the ratio to the one
    without a method in its round. For those that mix images also ``alone``: their own milliseconds over that step's."""
    found = methods(only)
    steps = {name: contender(method) for name, method in found.items()}
    first = torch.randn(128, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    images, labels = first.clone(), torch.randint(10, (128,))
    order, shuffle = list(steps), np.random.default_rng(0)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):  # two to warm up
        print(f"round {number + 1} of {rounds + 2}", file=sys.stderr, flush=True)
        shuffle.shuffle(order)
        for name in order:
            images.copy_(first)
            before = clock()
            steps[name](images, labels)
            if number >= 2:
                times[name].append((clock() - before) * 1e3)
    rows = {}
    for name, values in times.items():
        ratios = [mine / plain for mine, plain in zip(values, times[BASELINE])]
        low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        rows[name] = {"median_ms": median(values), "ratio": middle, "low": low, "high": high}
        method = found[name]
        if isinstance(method, Mixing) and not method.hidden_layers:
            own = mixing_alone(method, first, labels, clock)
            rows[name]["alone"] = own / median(times[BASELINE])
    return rows


def mixing_alone(mixing: Mixing, first: torch.Tensor, labels: torch.Tensor, clock: Callable[[], float]) -> float:
    """The mean milliseconds of mixing one batch in place, and of making its targets."""
    images, rng, method = first.clone(), np.random.default_rng(0), mixing.at(0.5)
    before = clock()
    for _ in range(ALONE):
        method(images, labels, rng, inplace=True)
    return (clock() - before) * 1e3 / ALONE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="steps of each method (default: 20)")
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="these methods, and none")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="wall, or the process's CPU time")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.threads) < 1:
        parser.error("--rounds and --threads must be 1 or more")
    torch.set_num_threads(arguments.threads)
    assert NoMixing.__name__ == BASELINE
    rows = measure(arguments.rounds, arguments.only, CLOCKS[arguments.clock])
    if arguments.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    print(f"{'method':<24}{'step, ms':>10}{'times none':>12}{'quartiles':>16}{'mixing alone':>14}")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["ratio"]):
        alone = f"{100 * row['alone']:.2f} %" if "alone" in row else ""
        spread = f"{row['low']:.3f}-{row['high']:.3f}"
        print(f"{name:<24}{row['median_ms']:>10.1f}{row['ratio']:>12.3f}{spread:>16}{alone:>14}")


if __name__ == "__main__":
    main()
