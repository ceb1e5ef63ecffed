"""Test a trained network: its top-1 and top-5 error on a test set.

cutmix test runs/NAME
cutmix test model_best.pth.tar --data cifar100
cutmix test 'torchvision.resnet50(weights="DEFAULT")' --data imagenet
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cutmix.cli.train import first_process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_checkpoint_arguments(parser)
    parser.add_argument("--data", metavar="DATA", help="data set (default: the one that the run was trained on)")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where data sets lie (CUTMIX_DATA, or a cache)")
    parser.add_argument("--batch-size", "-b", type=int, default=128, metavar="N", help="images at a time (128)")
    parser.add_argument("--workers", "-j", type=int, metavar="N", help="processes that decode photos")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """Which trained network is meant."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a run's folder, a checkpoint, or a pretrained network"
    )
    add_network_arguments(parser)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """How a checkpoint is read, and where its network runs."""
    parser.add_argument(
        "--best", action="store_true", help="of a run: the best epoch (chosen on the test set), not the last"
    )
    parser.add_argument("--model", default="", metavar="CALL", help="the network, where the file does not say it")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")


def run(args: argparse.Namespace) -> int:
    from cutmix.recipes.trained import load_trained, test_trained

    trained = load_trained(args.checkpoint, model=args.model, best=args.best)
    errors = test_trained(
        trained, args.data, args.data_root, batch_size=args.batch_size, workers=args.workers, cpu=args.cpu
    )
    if not first_process():
        return 0
    if args.json:
        result: dict[str, object] = {"checkpoint": trained.source, "model": trained.model_call, "data": errors.data}
        result |= {"test_error_top1": errors.top1, "test_error_top5": errors.top5, "test_loss": errors.loss}
        print(json.dumps({**result, "n": errors.images}))
        return 0
    print(f"{trained.source}\n{trained.model_call} on {errors.data}")
    print(
        f"test error: top-1 {errors.top1:.2f} %, top-5 {errors.top5:.2f} %, loss {errors.loss:.4f} "
        f"(n = {errors.images:,} images)"
    )
    return 0
