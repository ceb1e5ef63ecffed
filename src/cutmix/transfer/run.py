"""A transfer's folder: that of a training run, with the last test's findings and pictures in it.

test.json    what the last test found, class by class
first_batch.png, curves.png, and the task's own pictures of the last test (detections.png, precision_recall.png)
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from cutmix.files import write_atomically
from cutmix.training.run import Run
from cutmix.transfer.backbone import Pretrained
from cutmix.transfer.task import PictureBatch, Task, TaskData, Tested

TEST = "test.json"


class TransferRun(Run):
    """Keeps a transfer in its folder. Only the first process writes."""

    command_name = "cutmix transfer"

    def __init__(
        self,
        folder: Path,
        recipe: dict[str, Any],
        data: TaskData,
        task: Task,
        *,
        pretrained: Pretrained,
        **others: Any,
    ) -> None:
        """Open the folder of a transfer, new or to be resumed; the arguments are those of :class:`Run`.

        Args:
            pretrained: what was started from; checkpoints say how its network is made.
        """
        self.task, self.pretrained = task, pretrained
        super().__init__(folder, recipe, data, **others)  # type: ignore[arg-type]

    @property
    def train_images(self) -> int:
        """How many different pictures are trained on; a row may be less than a picture, such as one of its captions."""
        return len(set(self.data.train.paths))  # type: ignore[union-attr]

    def first_batch(self, images: Any, target: Any) -> None:
        """Draw the first batch with what the network is to learn of it."""
        batch: PictureBatch = images
        self.task.draw_batch(batch, self.data, self.folder / "first_batch.png", f"First batch of {self.folder.name}")

    def tested(self, tested: Tested) -> None:
        """Write what the last test found."""
        text = json.dumps({**tested.measures, **tested.details}, indent=2) + "\n"
        write_atomically(self.folder / TEST, lambda file: file.write(text.encode()))
        for name, draw in tested.drawings.items():
            draw(self.folder / name)

    def _measured(self, last: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
        names = [name for name in last if name.startswith(self.task.measure)]
        numbers = {
            f"{name}_{which}": record[name] for which, record in (("last", last), ("best", best)) for name in names
        }
        found = self.folder / TEST  # of the process that writes
        return {
            "measure": self.task.measure,
            **numbers,
            "test": json.loads(found.read_text()) if found.exists() else {},
        }

    def _about(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "arch": self.arch,
            "task": self.recipe["task"],
            "data": self.recipe["data"],
            "classes": list(self.data.classes),
            "mean": list(self.pretrained.mean),
            "std": list(self.pretrained.std),
            "backbone": {name: getattr(self.pretrained, name) for name in ("model", "regularizer", "source")},
            "train_images": self.train_images,
            "fingerprint": self.data.fingerprint,
            "processes": self.processes,
            "command": self.command,
        }

    def _draw_curves(self, history: list[dict[str, Any]]) -> None:
        from cutmix.transfer.curves import transfer_curves_picture

        transfer_curves_picture(
            history,
            self.folder / "curves.png",
            losses=self.task.losses,
            measure=self.task.measure,
            title=self.folder.name,
        )
        self._drawn = time.monotonic()
