"""The official repository's two commands, flag for flag and line for line, on top of this package.

Flags, defaults and printed lines are those of clovaai/CutMix-PyTorch (``train.py``, ``test.py``). Three things differ:
training errors are weighted by both labels of a mixed image, where the official code counts the first one only; the run
can be resumed; and it follows from a seed. "Accuracy" in the printed lines means error, as it does there.
"""

from __future__ import annotations

import argparse
import atexit
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.cli import Parser, guarded
from cutmix.cli.train import first_process, leave_processes
from cutmix.errors import UsageError
from cutmix.recipes.recipe import Recipe
from cutmix.training.display import BatchTested, Silent, StepInfo

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cutmix.training.measure import Errors

DATASETS = ("cifar10", "cifar100", "imagenet")
OFFICIAL_NAMES = {"last.pth.tar": "checkpoint.pth.tar", "best.pth.tar": "model_best.pth.tar"}


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that both official commands share."""
    add = parser.add_argument
    add("--net_type", default="pyramidnet", metavar="NET", help="pyramidnet or resnet (pyramidnet)")
    add("-j", "--workers", default=4, type=int, metavar="N", help="data loading workers (4)")
    add("--epochs", default=90, type=int, metavar="N", help="epochs to train (90)")
    add("-b", "--batch_size", default=128, type=int, metavar="N", help="batch size over all processes (128)")
    add("--print-freq", "-p", default=1, type=int, metavar="N", help="steps between printed lines (1)")
    add("--depth", default=32, type=int, help="depth of the network (32)")
    add("--no-bottleneck", dest="bottleneck", action="store_false", help="basic blocks instead of bottlenecks (CIFAR)")
    add("--dataset", default="imagenet", help="cifar10, cifar100 or imagenet (imagenet)")
    add("--no-verbose", dest="verbose", action="store_false", help="print a line an epoch only")
    add("--alpha", default=300, type=float, help="widening of PyramidNet, not the mixing's parameter (300)")
    add("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    add("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    add("--debug", action="store_true", help="show the traceback of an error")


def train_parser() -> Parser:
    """The flags of the official ``train.py``, and ``--data-root``, ``--resume``, ``--seed`` on top."""
    parser = Parser(prog="train.py", description="Train with CutMix by the official command line.", allow_abbrev=False)
    add_common_flags(parser)
    add = parser.add_argument
    add("--lr", "--learning-rate", default=0.1, type=float, metavar="LR", help="initial learning rate (0.1)")
    add("--momentum", default=0.9, type=float, metavar="M", help="momentum (0.9)")
    add("--weight-decay", "--wd", default=1e-4, type=float, metavar="W", help="weight decay (1e-4)")
    add("--expname", default="TEST", help="the run is kept in runs/EXPNAME (TEST)")
    add("--beta", default=0, type=float, help="the paper's alpha, of Beta(alpha, alpha); 0 = no CutMix (0)")
    add("--cutmix_prob", default=0, type=float, help="share of the batches that are mixed (0)")
    add("--resume", action="store_true", help="go on with runs/EXPNAME")
    add("--seed", default=0, type=int, help="every draw of the run follows from it (0)")
    return parser


def test_parser() -> Parser:
    """The flags of the official ``test.py``, and ``--data-root`` on top."""
    parser = Parser(prog="test.py", description="Test a checkpoint by the official command line.", allow_abbrev=False)
    add_common_flags(parser)
    parser.add_argument("--pretrained", default="/set/your/model/path", metavar="PATH", help="the checkpoint")
    return parser


def network(args: argparse.Namespace) -> str:
    """The constructor call of the network that the flags describe."""
    if args.dataset not in DATASETS:
        raise UsageError(f"unknown dataset: {args.dataset}; there are {', '.join(DATASETS)}")
    stem = "imagenet" if args.dataset == "imagenet" else "cifar"
    if args.net_type == "resnet":
        return f"ResNet(depth={args.depth}, bottleneck={args.bottleneck}, stem={stem!r})"
    if args.net_type == "pyramidnet":
        alpha = int(args.alpha) if args.alpha == int(args.alpha) else args.alpha
        return f"PyramidNet(depth={args.depth}, alpha={alpha}, bottleneck={args.bottleneck}, stem={stem!r})"
    raise UsageError(f"unknown network architecture: {args.net_type}; there are resnet and pyramidnet")


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe that the flags of ``train.py`` describe."""
    on_imagenet = args.dataset == "imagenet"
    mixing = (
        f"CutMix(alpha={args.beta}, prob={args.cutmix_prob})" if args.beta > 0 and args.cutmix_prob > 0 else "NoMixing"
    )
    return Recipe(
        data=args.dataset,
        model=network(args),
        mixing=mixing,
        augment="PhotoCrop(size=224, jitter=0.4, lighting=0.1)" if on_imagenet else "CropFlip(padding=4)",
        schedule=f"Every(epochs={75 if args.epochs == 300 else 30})" if on_imagenet else "Steps()",
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        momentum=args.momentum,
        weight_decay=args.weight_decay,
        nesterov=args.momentum > 0,
        seed=args.seed,
    )


class Average:
    """A running mean, printed as ``last (mean)``."""

    def __init__(self, digits: int) -> None:
        self.digits, self.last, self.sum, self.count = digits, 0.0, 0.0, 0

    def add(self, value: float, count: int = 1) -> None:
        self.last, self.sum, self.count = value, self.sum + value * count, self.count + count

    def __str__(self) -> str:
        return f"{self.last:.{self.digits}f} ({self.sum / self.count:.{self.digits}f})"


class Meters:
    """The official meters of one epoch, and the part of a line that shows them."""

    def __init__(self, *times: str) -> None:
        self.times = {name: Average(3) for name in times}
        self.numbers = {name: Average(4) for name in ("Loss", "Top 1-err", "Top 5-err")}

    def add(self, images: int, *values: float) -> None:
        """The times of a batch, then its loss and its two errors."""
        for meter, value in zip(self.times.values(), values):
            meter.add(value)
        for meter, value in zip(self.numbers.values(), values[len(self.times) :]):
            meter.add(value, images)

    def __str__(self) -> str:
        return "\t".join(f"{name} {meter}" for name, meter in {**self.times, **self.numbers}.items())


class OfficialDisplay(Silent):
    """Prints the lines of the official code."""

    def __init__(self, verbose: bool, print_freq: int, folder: Path | None = None) -> None:
        self.verbose, self.print_freq, self.folder = verbose, max(print_freq, 1), folder
        self.start_epoch()

    def start_epoch(self) -> None:
        self.train_meters, self.test_meters = Meters("Time", "Data"), Meters("Time")
        self.tested = time.perf_counter()

    def introduce(self, text: str, model: nn.Module, arch: str) -> None:
        if self.folder is not None:
            link_official_names(self.folder)
        print(f"=> creating model '{arch}'")
        print_network(model)

    def wants_step(self, step: int, steps: int) -> bool:
        return self.verbose

    def step(self, info: StepInfo) -> None:
        self.train_meters.add(
            info.images, info.step_seconds, info.data_seconds, info.loss, info.error_top1, info.error_top5
        )
        if info.step % self.print_freq == 0:
            where = f"Epoch: [{info.epoch}/{info.epochs}][{info.step}/{info.steps}]"
            print(f"{where}\tLR: {info.lr:.6f}\t{self.train_meters}", flush=True)

    def test_step(self, info: BatchTested) -> None:
        if self.verbose:
            self.print_test(f"[{info.epoch}/{info.epochs}][{info.step}/{info.steps}]", info.step, info.sums_4)

    def print_test(self, where: str, step: int, sums_4: Tensor) -> None:
        """One line of a test, if it is due."""
        loss, top1, top5, images = sums_4.tolist()
        now = time.perf_counter()
        errors = (100 * (images - top1) / images, 100 * (images - top5) / images)
        self.test_meters.add(int(images), now - self.tested, loss / images, *errors)
        self.tested = now
        if step % self.print_freq == 0:
            print(f"Test (on val set): {where}\t{self.test_meters}", flush=True)

    def trained(self, epoch: int, epochs: int, errors: Errors) -> None:
        print_summary(epoch, epochs, errors.top1, errors.top5, "Train Loss", errors.loss)
        self.tested = time.perf_counter()

    def epoch(self, record: dict[str, Any], best: dict[str, Any], epochs: int) -> None:
        errors = (record["test_error_top1"], record["test_error_top5"])
        print_summary(record["epoch"] - 1, epochs, *errors, "Test Loss", record["test_loss"])
        print(
            "Current best accuracy (top-1 and 5 error):", best["test_error_top1"], best["test_error_top5"], flush=True
        )
        self.start_epoch()


def print_network(model: nn.Module) -> None:
    """The network and its size."""
    print(model)
    print("the number of model parameters:", sum(p.numel() for p in model.parameters()), flush=True)


def print_summary(epoch: int, epochs: int, top1: float, top5: float, name: str, loss: float) -> None:
    """The line after an epoch's training, and after its test."""
    where = f"* Epoch: [{epoch}/{epochs}]\t "
    print(f"{where}Top 1-err {top1:.3f}  Top 5-err {top5:.3f}\t {name} {loss:.3f}", flush=True)


def train_main(argv: Sequence[str] | None = None) -> int:
    """The official ``train.py``; returns the exit code."""
    args = train_parser().parse_args(argv)
    return guarded(lambda: run_training(args), args.debug)


def run_training(args: argparse.Namespace) -> int:
    """Train by the flags of ``train.py``."""
    recipe = recipe_of(args)
    from cutmix.recipes.start import train

    atexit.register(leave_processes)
    result = train(
        recipe,
        name=args.expname,
        data_root=args.data_root,
        resume=args.resume,
        workers=args.workers,
        cpu=args.cpu,
        display=OfficialDisplay(args.verbose, args.print_freq, Path("runs") / args.expname),
        command=shlex.join(["python", *sys.argv]),
    )
    if first_process():
        print("Best accuracy (top-1 and 5 error):", result["test_error_top1_best"], result["test_error_top5_best"])
    return 0


def link_official_names(folder: Path) -> None:
    """Let the official names of the two checkpoints lead to ours, where the file system has links."""
    for ours, official in OFFICIAL_NAMES.items():
        link = folder / official
        if not link.is_symlink() and not link.exists():
            try:
                link.symlink_to(ours)
            except OSError:
                return


def test_main(argv: Sequence[str] | None = None) -> int:
    """The official ``test.py``; returns the exit code."""
    args = test_parser().parse_args(argv)
    return guarded(lambda: run_test(args), args.debug)


def run_test(args: argparse.Namespace) -> int:
    """Test by the flags of ``test.py``."""
    from cutmix.recipes.build import model_call
    from cutmix.recipes.trained import load_trained, test_trained

    classes, size = {"cifar10": (10, 32), "cifar100": (100, 32)}.get(args.dataset, (1000, 224))
    call = str(model_call(network(args), num_classes=classes, image_size=size))
    print(f"=> creating model '{args.net_type}'")
    print(f"=> loading checkpoint '{args.pretrained}'")
    trained = load_trained(args.pretrained, model=call)
    print(f"=> loaded checkpoint '{args.pretrained}'")
    print_network(trained.model)
    display = OfficialDisplay(args.verbose, args.print_freq)

    def watch(step: int, steps: int, sums_4: Tensor) -> None:
        if args.verbose:
            display.print_test(f"[{step}/{steps}]", step, sums_4)

    errors = test_trained(
        trained,
        args.dataset,
        args.data_root,
        batch_size=args.batch_size,
        workers=args.workers,
        cpu=args.cpu,
        watch=watch,
    )
    print("Accuracy (top-1 and 5 error):", errors.top1, errors.top5)
    return 0
