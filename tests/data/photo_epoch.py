"""Run by test_batches.py: one epoch over the photos of a folder, which waits after its second batch for a signal."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from cutmix.data import load_data, train_batches

came: list[int] = []


def note(number: int, frame: FrameType | None) -> None:
    came.append(number)


def main(folder: str) -> None:
    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    seen = 0
    for batch in train_batches(load_data(f"folder:{folder}", image_size=16), batch_size=1, seed=0, workers=2).epoch(0):
        seen += len(batch.labels_B)
        if seen == 2:  # one of each worker
            print("started", flush=True)
            while not came:
                time.sleep(0.01)
            print(f"signal {came[0]}", flush=True)
    print(f"{seen} images", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
