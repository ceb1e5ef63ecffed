"""What does each method add to a training step? ResNet-20, batch 128, CIFAR's shape, against no method.

The mixing methods and the layer regularizers are found by looking through their folders, each as it is by default.
Every contender has a network of its own. In every round each takes one whole step (mix, forward, backward, optimizer),
in an order that changes from round to round, and is compared with the step without a method of the same round: so a
slow moment of the machine hits both. ``again``, no method a second time, shows how far the ratios can be trusted.

A step takes hundreds of times as long as most methods, and varies by more than they add. So what a method does is timed
by itself too, several times after each of its steps: the draw, the pixels and the target; in a hidden layer, or for all
layers of a regularizer, the way there and back through autograd. Its share of the median step without a method is
the number to go by.

    python benchmarks/methods.py                           20 rounds
    python benchmarks/methods.py --rounds 5 --clock cpu    rougher, on a machine that does other work
    python benchmarks/methods.py --only CutMix ShakeDrop   these alone
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles

import numpy as np
import torch
from torch import Tensor, nn

from cutmix.mixing import Mixer, Mixing, NoMixing, mixed_cross_entropy
from cutmix.mixing.mixer import layer_path
from cutmix.models import NoRegularizer, Regularizer, ResNet, Together, regularize
from cutmix.models.regularizer import NoiseLayer
from cutmix.recipes import names

SHAPE = (128, 3, 32, 32)
BASELINE, AGAIN = "NoMixing", "again"
PROGRESS = 0.5  # of the run: some methods change with it
CALLS = 10  # of what a method does, after each step
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}  # the latter adds up what all threads take
Work = Callable[[Tensor, Tensor], None]


@dataclass
class Contender:
    """A way to train, and what has been measured of it: milliseconds, one number a round."""

    step: Work
    alone: Work
    step_ms: list[float] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A line of the table. ``ratio`` is that of steps, and ``low`` and ``high`` are its quartiles over the rounds."""

    method: str
    step_ms: float
    ratio: float
    low: float
    high: float
    alone_ms: float
    alone_share: float


def contender(mixing: Mixing, regularizer: Regularizer) -> Contender:
    """A ResNet-20 with these, trained as the training loop does it."""
    torch.manual_seed(0)
    model = regularize(ResNet(depth=20, bottleneck=False), regularizer).train().to(memory_format=torch.channels_last)
    noises = [module for module in model.modules() if isinstance(module, NoiseLayer)]
    alone = noise_alone(model, noises) if noises else mixing_alone(mixing, model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True)
    mixer, rng = Mixer(mixing, model), np.random.default_rng(0)

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        with mixer.mix(images, labels, rng, inplace=True, progress=PROGRESS) as mixed:
            mixed_cross_entropy(model(mixed.images), mixed.target).backward()
        optimizer.step()

    return Contender(step, alone)


def mixing_alone(mixing: Mixing, model: nn.Module) -> Work:
    """What a method does to a batch, or to the map of the layer that is drawn."""
    rng, layers = np.random.default_rng(0), mixing.hidden_layers
    outputs = maps(model, [model.get_submodule(layer_path(model, layer)) for layer in layers])
    maps_at = dict(zip(layers, outputs))

    def mix(images: Tensor, labels: Tensor) -> None:
        for plan in mixing.at(PROGRESS).draw(images.shape, rng).steps:
            if plan.layer is None:
                plan.apply(images, inplace=True)
            else:
                output = maps_at[plan.layer]
                plan = plan.for_map(output.shape)
                there_and_back(plan.apply, output)
            plan.targets(labels)

    return mix


def noise_alone(model: nn.Module, noises: Sequence[nn.Module]) -> Work:
    """What the layers of a regularizer do to the maps that they get."""
    outputs = maps(model, noises)

    def noise(images: Tensor, labels: Tensor) -> None:
        for layer, output in zip(noises, outputs):
            there_and_back(layer, output)

    return noise


def maps(model: nn.Module, modules: Sequence[nn.Module]) -> list[Tensor]:
    """The output of each module, as a map that needs a gradient."""
    found: dict[nn.Module, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda module, _, output: found.update({module: output})) for module in modules
    ]
    with torch.no_grad():
        model(torch.randn(SHAPE).contiguous(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    return [found[module].clone().requires_grad_() for module in modules]


def there_and_back(change: Callable[[Tensor], Tensor], output: Tensor) -> None:
    """Change a map and bring a gradient back to it. What a layer did not touch costs nothing."""
    changed = change(output)
    if changed is not output:
        torch.autograd.grad(changed, output, output.detach())


def contenders(only: Sequence[str]) -> dict[str, Contender]:
    """All that are found, or those asked for, and no method twice."""
    mixings = {cls.__name__: cls for cls in names.mixings().values()}
    noises = {cls.__name__: cls for cls in names.regularizers().values() if cls not in (NoRegularizer, Together)}
    unknown = set(only) - set(mixings) - set(noises)
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: there are {', '.join(sorted({*mixings, *noises}))}")
    chosen = {name: contender(NoMixing(), NoRegularizer()) for name in (BASELINE, AGAIN)}
    for name in sorted((set(only) or {*mixings, *noises}) - {BASELINE}):
        parts = (mixings[name](), NoRegularizer()) if name in mixings else (NoMixing(), noises[name]())
        chosen[name] = contender(*parts)
    return chosen


def measure(chosen: dict[str, Contender], rounds: int, clock: Callable[[], float]) -> None:
    """Take turns, two rounds to warm up and then ``rounds``; tell each on standard error. Ctrl-C ends with the last."""
    first, labels = torch.randn(SHAPE).contiguous(memory_format=torch.channels_last), torch.randint(10, SHAPE[:1])
    images, order, shuffle = first.clone(), list(chosen), np.random.default_rng(0)
    for number in range(-1, rounds + 1):
        shuffle.shuffle(order)
        times: dict[str, tuple[float, float]] = {}
        started = time.perf_counter()
        try:
            for name in order:
                images.copy_(first)
                times[name] = (
                    timed(chosen[name].step, images, labels, 1, clock),
                    timed(chosen[name].alone, images, labels, CALLS, clock),
                )
        except KeyboardInterrupt:
            return
        if number > 0:
            for name, (step_ms, alone_ms) in times.items():
                chosen[name].step_ms.append(step_ms)
                chosen[name].alone_ms.append(alone_ms)
        label = f"round {number} of {rounds}" if number > 0 else "to warm up"
        seconds = time.perf_counter() - started
        print(f"{label}: {seconds:.1f} s, no method {times[BASELINE][0]:.0f} ms a step", file=sys.stderr, flush=True)


def timed(work: Work, images: Tensor, labels: Tensor, calls: int, clock: Callable[[], float]) -> float:
    """Milliseconds of a call."""
    before = clock()
    for _ in range(calls):
        work(images, labels)
    return (clock() - before) * 1e3 / calls


def table(chosen: dict[str, Contender]) -> list[Row]:
    """What was measured, the cheapest method first."""
    plain = chosen[BASELINE].step_ms
    rows = []
    for name, one in chosen.items():
        ratios = [mine / theirs for mine, theirs in zip(one.step_ms, plain)]
        low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        alone_ms = median(one.alone_ms)
        rows.append(Row(name, median(one.step_ms), median(ratios), low, high, alone_ms, alone_ms / median(plain)))
    return sorted(rows, key=lambda row: row.alone_share)


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
    chosen = contenders(arguments.only)
    measure(chosen, arguments.rounds, CLOCKS[arguments.clock])
    if not chosen[BASELINE].step_ms:
        raise SystemExit("stopped before the first round was done")
    rows = table(chosen)
    if arguments.json:
        json.dump([asdict(row) for row in rows], sys.stdout, indent=1)
        return
    print(f"{'method':<24}{'step, ms':>10}{'times none':>12}{'quartiles':>18}{'alone, ms':>12}{'of a step':>12}")
    for row in rows:
        spread = f"{row.low:.3f} to {row.high:.3f}"
        print(
            f"{row.method:<24}{row.step_ms:>10.1f}{row.ratio:>12.3f}{spread:>18}"
            f"{row.alone_ms:>12.2f}{row.alone_share:>12.2%}"
        )


if __name__ == "__main__":
    main()
