"""Run by test_resume.py in a process of its own: trains a small network, killed with SIGKILL again and again.

Each run is a forked child, so that torch is loaded once; what it runs is the command line. Prints a JSON object:
the states (epoch, step) at which the run was picked up again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from cutmix.cli import main
from cutmix.recipes import start, trained  # noqa: F401  (loaded before forking, to save each child the time)
from cutmix.training import loop, run  # noqa: F401
from cutmix.training.checkpoint import load_checkpoint


def start_child(arguments: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)
        os._exit(main(arguments))
    return pid


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_after(pid: int, checkpoint: Path, writes: int, delay: float) -> None:
    """Kill the child some time after it has written so many checkpoints, wherever it is by then."""
    seen = checkpoint.stat().st_ino if checkpoint.exists() else 0
    while writes:
        now = checkpoint.stat().st_ino if checkpoint.exists() else 0
        writes -= now != seen
        seen = now
        time.sleep(0.0005)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)


def main_program(folder: Path, seed: int, kills: int, train: list[str]) -> None:
    assert wait(start_child([*train, "--name", "whole"])) == 0
    chance = random.Random(seed)
    checkpoint = folder / "killed" / "last.pth.tar"
    resumed_at = []
    for _ in range(kills):
        pid = start_child([*train, "--name", "killed", "--resume"])
        kill_after(pid, checkpoint, chance.randint(1, 5), chance.uniform(0, 0.1))
        assert wait(pid) == -signal.SIGKILL
        position = load_checkpoint(checkpoint)["cutmix"]["run"]
        resumed_at.append((position["epoch"], position["step"]))
    assert wait(start_child([*train, "--name", "killed", "--resume"])) == 0
    print(json.dumps({"resumed_at": resumed_at}))


if __name__ == "__main__":
    main_program(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
