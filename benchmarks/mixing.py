"""What does mixing a batch cost? Ours beside torchvision's and timm's, interleaved in one run, on this machine's CPU.

Every contender gives images and soft labels. Each has a batch of its own, and draws its own mixes: lambda is uniform,
boxes are centred anywhere. In every round each contender has its turn, in an order that changes from round to round:
one call on large images, ten calls in a row on small ones.

    python benchmarks/mixing.py             about two minutes
    python benchmarks/mixing.py --quick     about twenty seconds, rougher
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor

from cutmix.mixing import CutMix, Cutout, Mixing, MixUp

NUM_CLASSES = 100
SHAPES = {"128x3x32x32": (128, 3, 32, 32), "64x3x224x224": (64, 3, 224, 224)}
CALLS = {"128x3x32x32": 10, "64x3x224x224": 1}  # in a row
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
Mix = Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Row:
    """One measured contender; ``ratio`` is its time over ours for the same method, scope and place."""

    method: str
    scope: str
    contender: str
    inplace: bool
    shape: str
    layout: str
    threads: int
    median_ms: float
    ratio: float


def ours(mixing: Mixing, *, inplace: bool) -> Mix:
    """One of our methods, with soft labels as the others give."""
    rng = np.random.default_rng(0)

    def mix(images: Tensor, labels: Tensor) -> object:
        mixed, target = mixing(images, labels, rng, inplace=inplace)
        return mixed, target.soft(NUM_CLASSES)

    return mix


def contenders() -> dict[tuple[str, str, str, bool], Mix]:
    """(method, scope, contender, whether it writes into its input) -> the call."""
    from timm.data import Mixup as TimmMixup
    from torchvision.transforms import v2

    calls: dict[tuple[str, str, str, bool], Mix] = {}
    for method in (CutMix, MixUp, Cutout):
        for scope in ("per_batch", "per_sample"):
            for inplace in (True, False):
                calls[method.__name__, scope, "ours", inplace] = ours(method(scope=scope), inplace=inplace)
    plain = {"label_smoothing": 0.0, "num_classes": NUM_CLASSES}
    for mode, scope in (("batch", "per_batch"), ("elem", "per_sample")):
        name = f"timm Mixup({mode})"
        calls["CutMix", scope, name, True] = TimmMixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode=mode, **plain)
        calls["MixUp", scope, name, True] = TimmMixup(mixup_alpha=1.0, cutmix_alpha=0.0, mode=mode, **plain)
    calls["CutMix", "per_batch", "torchvision v2", False] = v2.CutMix(num_classes=NUM_CLASSES)
    calls["MixUp", "per_batch", "torchvision v2", False] = v2.MixUp(num_classes=NUM_CLASSES)
    return calls


def measure(shape: str, layout: str, threads: int, seconds: float) -> list[Row]:
    """Run all contenders in turns for about ``seconds``, of which the first third warms up."""
    torch.set_num_threads(threads)
    calls = contenders()
    first = torch.randn(SHAPES[shape]).contiguous(memory_format=LAYOUTS[layout])
    labels = torch.randint(NUM_CLASSES, (len(first),))
    batches = {key: first.clone() for key in calls}
    times: dict[tuple[str, str, str, bool], list[float]] = {key: [] for key in calls}
    order, shuffle = list(calls), np.random.default_rng(0)
    started = time.perf_counter()
    while (now := time.perf_counter() - started) < seconds or not times[order[0]]:
        shuffle.shuffle(order)  # type: ignore[arg-type]
        for key in map(tuple, order):
            batches[key].copy_(first)  # blended in place again and again, all images become their mean
            before = time.perf_counter()
            for _ in range(CALLS[shape]):
                calls[key](batches[key], labels)
            elapsed = time.perf_counter() - before
            if now > seconds / 3:
                times[key].append(elapsed / CALLS[shape] * 1e3)
    medians = {key: median(values) for key, values in times.items()}
    return [
        Row(*key, shape, layout, threads, value, value / medians[*key[:2], "ours", key[3]])
        for key, value in medians.items()
    ]


def machine() -> str:
    """One line: the processor, its cores, the versions."""
    try:
        with open("/proc/cpuinfo") as lines:
            model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    import timm
    import torchvision

    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}"
    return (
        f"{model}, {torch.get_num_threads()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"
    )


def table(rows: list[Row]) -> str:
    """Plain text: a line for each method, scope, place and contender; a column for each setting."""
    settings = list(dict.fromkeys((row.shape, row.layout, row.threads) for row in rows))
    cells = {
        (row.method, row.scope, row.inplace, row.contender, row.shape, row.layout, row.threads): row for row in rows
    }
    lines = []
    for shape in dict.fromkeys(shape for shape, _, _ in settings):
        here = [setting for setting in settings if setting[0] == shape]
        heads = [f"{layout}, {threads} thr" for _, layout, threads in here]
        lines += ["", f"{shape}: median ms (times ours)", " " * 44 + "".join(f"{head:>24}" for head in heads)]
        for key in sorted({key[:4] for key in cells}, key=lambda key: (key[:2], not key[2], key[3] != "ours", key[3])):
            method, scope, inplace, contender = key
            name = f"{method} {scope}, {'in place' if inplace else 'new batch'}: {contender}"
            found = [cells[*key, *setting] for setting in here]
            lines.append(f"{name:<52}"[:52] + "".join(f"{row.median_ms:>12.3f} ({row.ratio:5.2f})" for row in found))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rounds of each setting")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads (default: 1 2)")
    parser.add_argument("--layouts", choices=LAYOUTS, nargs="+", default=list(LAYOUTS), help="memory layouts")
    arguments = parser.parse_args()
    if min(arguments.threads) < 1:
        parser.error("--threads must be 1 or more")
    line = machine()
    budget = (
        {"128x3x32x32": 0.7, "64x3x224x224": 4.0} if arguments.quick else {"128x3x32x32": 6.0, "64x3x224x224": 22.0}
    )
    rows = [
        row
        for shape, seconds in budget.items()
        for layout in arguments.layouts
        for threads in arguments.threads
        for row in measure(shape, layout, threads, seconds)
    ]
    if arguments.json:
        json.dump({"machine": line, "rows": [asdict(row) for row in rows]}, sys.stdout, indent=1)
    else:
        print(line)
        print(table(rows))


if __name__ == "__main__":
    main()
