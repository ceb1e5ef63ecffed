"""Images per second of whole training steps: this package against a plain loop written as the official code is.

Each variant lives in a process of its own (memory settings and threads are per process) and runs in turn with the
others, a few steps at a time, so that a machine that drifts treats all alike. The plain loop has the official pipeline
(one PIL image at a time in worker processes, contiguous layout, errors read after each step); ours is what ``cutmix
train`` does by default, and its variants. Which operators our step spends its time on is printed at the end.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --network pyramidnet --rounds 5
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

NETWORKS = {
    "resnet": ("ResNet(depth=20, bottleneck=False)", 128, 12),
    "pyramidnet": ("PyramidNet(depth=110, alpha=64)", 64, 2),
}
VARIANTS = {
    "plain": "the official way: PIL pipeline in 4 workers, contiguous, numbers read every step",
    "plain, 2 workers": "the same with a worker a core",
    "ours": "cutmix train by default: arrays, channels_last, memory kept",
    "ours, contiguous": "without channels_last",
    "ours, no memory kept": "without the C library's thresholds",
    "ours, compiled": "--compile",
}
IMAGES = 5000


def made_up_data() -> Any:
    """CIFAR's shape, random pixels: the speed does not depend on what they show."""
    import numpy as np

    from cutmix.data import ArraySplit, Data

    rng = np.random.default_rng(0)

    def split(n: int) -> ArraySplit:
        return ArraySplit(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, n))

    stats = {"mean": (0.4914, 0.4824, 0.4467), "std": (0.2471, 0.2435, 0.2616)}
    return Data(
        "made up", tuple(map(str, range(10))), split(IMAGES), split(10), **stats, image_size=32, flip=True, note=""
    )


def network(name: str) -> Any:
    from cutmix.recipes.build import make_model, model_call

    return make_model(model_call(NETWORKS[name][0], num_classes=10, image_size=32))


def plain_steps(name: str, workers: int) -> Iterator[None]:
    """The official training loop, step by step (clovaai/CutMix-PyTorch train.py, with today's names for np.int)."""
    import numpy as np
    import torch
    from PIL import Image
    from torch import nn
    from torchvision import transforms

    data = made_up_data()
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.mean, data.std),
        ]
    )

    class Images(torch.utils.data.Dataset):  # as torchvision.datasets.CIFAR10
        def __len__(self) -> int:
            return len(data.train)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return transform(Image.fromarray(data.train.images_NHWC[index])), int(data.train.labels_N[index])

    batch_size = NETWORKS[name][1]
    loader = torch.utils.data.DataLoader(
        Images(), batch_size=batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    model = network(name)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
    criterion = nn.CrossEntropyLoss()
    model.train()
    while True:
        for images, target in loader:
            r = np.random.rand(1)
            lam, target_b = 1.0, target
            if r < 0.5:
                lam = np.random.beta(1.0, 1.0)
                order = torch.randperm(images.size(0))
                target_b = target[order]
                cut = np.sqrt(1.0 - lam)
                width, height = int(32 * cut), int(32 * cut)
                cx, cy = np.random.randint(32), np.random.randint(32)
                x1, x2 = np.clip([cx - width // 2, cx + width // 2], 0, 32)
                y1, y2 = np.clip([cy - height // 2, cy + height // 2], 0, 32)
                images[:, :, x1:x2, y1:y2] = images[order, :, x1:x2, y1:y2]
                lam = 1 - ((x2 - x1) * (y2 - y1) / 1024)
            output = model(images)
            loss = criterion(output, target) * lam + criterion(output, target_b) * (1.0 - lam)
            hits = output.data.topk(5, 1)[1].t().eq(target.view(1, -1))
            [100.0 * (1 - hits[:k].reshape(-1).float().sum().item() / len(target)) for k in (1, 5)]
            loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def our_steps(name: str, variant: str) -> Iterator[None]:
    """What ``cutmix train`` does, stepped by its own loop."""
    import torch

    from cutmix.mixing import CutMix
    from cutmix.training import loop
    from cutmix.training.display import Silent
    from cutmix.training.schedules import Constant
    from cutmix.training.settings import Settings

    if "no memory" in variant:
        loop.keep_large_blocks = lambda: False
    settings = Settings(
        epochs=10**6,
        batch_size=NETWORKS[name][1],
        channels_last="contiguous" not in variant,
        compile="compiled" in variant,
    )
    fit = loop.Fit(
        network(name),
        made_up_data(),
        mixing=CutMix(prob=0.5),
        schedule=Constant(),
        settings=settings,
        accelerator=loop.make_accelerator(settings, cpu=True),
        display=Silent(),
    )
    state = fit.state
    state.model.train()
    for epoch in itertools.count():
        state.epoch, state.step = epoch, 0
        state.sums_S4 = torch.zeros(fit.train.steps_per_epoch, 4)
        for batch in map(fit.laid_out, fit.train.epoch(epoch)):
            state.sums_S4[state.step] = fit.train_step(batch, 0.1)
            state.step += 1
            fit.look(0.1, len(batch.labels_B), 0.0, 0.0)
            yield


def serve(name: str, variant: str, threads: int) -> None:
    """In a child: warm up, then run as many steps as each line of input asks for, and print their seconds."""
    import torch

    torch.set_num_threads(threads)
    workers = {"plain": 4, "plain, 2 workers": 2}.get(variant)
    steps = our_steps(name, variant) if workers is None else plain_steps(name, workers)
    for _ in range(3):
        next(steps)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            next(steps)
        print(time.perf_counter() - started, flush=True)


def parts(name: str) -> list[tuple[str, float]]:
    """The share of each kind of operator in our default step, from torch's profiler."""
    import torch

    steps = our_steps(name, "ours")
    for _ in range(3):
        next(steps)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            next(steps)
    kinds = {
        "convolution": ("conv",),
        "batch norm": ("batch_norm",),
        "activation": ("relu", "clamp", "threshold"),
        "addition": ("add",),
        "pooling": ("pool", "mean"),
    }
    found = dict.fromkeys([*kinds, "all else"], 0.0)
    for event in profile.key_averages():
        kind = next((k for k, words in kinds.items() if any(word in event.key for word in words)), "all else")
        found[kind] += event.self_cpu_time_total
    total = sum(found.values())
    return [(kind, value / total) for kind, value in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="all")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), metavar="VARIANT")
    parser.add_argument("--rounds", type=int, default=7, help="rounds over all variants (7)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch threads (all cores)")
    parser.add_argument("--json", action="store_true", help="print a JSON line a variant")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(*args.serve, args.threads)
        return
    import torch

    from cutmix.results import describe_machine

    torch.set_num_threads(args.threads)
    print(f"{describe_machine()}, torch {torch.__version__}")
    for name in NETWORKS if args.network == "all" else [args.network]:
        call, batch_size, count = NETWORKS[name]
        print(f"\n{call}, batches of {batch_size}, {count} steps a round, {args.rounds} rounds")
        seconds = measure(name, args.variants, args.rounds, count, args.threads)
        for variant, times in seconds.items():
            middle = statistics.median(times)
            ratio = statistics.median(a / b for a, b in zip(seconds[args.variants[0]], times))
            row = {
                "network": name,
                "variant": variant,
                "ms_per_step": 1000 * middle / count,
                "min_ms": 1000 * min(times) / count,
                "images_per_second": batch_size * count / middle,
                "speed_against_first": ratio,
            }
            if args.json:
                print(json.dumps(row))
            else:
                print(
                    f"  {variant:<22} {row['ms_per_step']:7.1f} ms/step (min {row['min_ms']:7.1f})"
                    f"  {row['images_per_second']:7.1f} images/s   x {ratio:.2f}   {VARIANTS[variant]}"
                )
        shares = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in parts(name))
        print(f"  where our step's time goes: {shares}")


def measure(name: str, variants: list[str], rounds: int, count: int, threads: int) -> dict[str, list[float]]:
    """Seconds of ``count`` steps, by variant, a value a round; the variants take turns.

    A variant whose turn it is not is stopped with all its workers, so that none prefetches at another one's cost.
    """
    children = {}
    for variant in variants:
        command = [sys.executable, __file__, "--threads", str(threads), "--serve", name, variant]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert child.stdout is not None
        if child.stdout.readline().strip() != "ready":
            raise SystemExit(f"the variant {variant!r} did not start")
        os.killpg(child.pid, signal.SIGSTOP)
        children[variant] = child
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, child in children.items():
            assert child.stdin is not None
            assert child.stdout is not None
            os.killpg(child.pid, signal.SIGCONT)
            child.stdin.write(f"{count}\n")
            child.stdin.flush()
            seconds[variant].append(float(child.stdout.readline()))
            os.killpg(child.pid, signal.SIGSTOP)
    for child in children.values():
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return seconds


if __name__ == "__main__":
    main()
