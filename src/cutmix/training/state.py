"""The state of a training run: all that a checkpoint holds, so that a resumed run ends as one that never stopped.

There is no random state in it: every draw follows from (seed, epoch, step, rank), see ``streams.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cutmix.errors import CutmixError

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class State:
    """Weights, optimizer and position. ``epoch`` and ``step`` are the ones to do next, counted from 0.

    ``sums_S4`` holds, for each step of the epoch at hand: the summed loss, the top-1 and top-5 hits weighted by the
    mixed labels, and the number of images, of this process.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: AveragedModel | None
    epoch: int = 0
    step: int = 0
    sums_S4: Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def tested_model(self) -> nn.Module:
        """The network whose error is reported: the moving average where there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the epoch with the lowest top-1 test error; of equal ones the last, as the official code."""
        return min(reversed(self.history), key=lambda record: record["test_error_top1"], default=None)

    def to_checkpoint(self, accelerator: Accelerator, about: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint in the official dictionary's keys, with all else under ``cutmix``. Every process must call it.

        Args:
            about: what a reader needs besides the weights: recipe, model, classes, mean, std, image_size.
        """
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

        from cutmix.models.checkpoints import official_checkpoint

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights, optimizer = get_state_dict(self.model, self.optimizer, options=options)
        run: dict[str, Any] = {"epoch": self.epoch, "step": self.step, "history": self.history}
        if self.sums_S4 is not None:
            run["sums"] = accelerator.reduce(self.sums_S4, "sum").cpu()
        tested: dict[str, Any] = weights
        if self.ema is not None:  # the official `state_dict` is the one whose error is reported
            run["weights"] = weights
            run["averaged"] = self.ema.n_averaged.cpu()
            tested = {name: tensor.cpu() for name, tensor in self.ema.module.state_dict().items()}
        best = self.best or {"test_error_top1": 100.0, "test_error_top5": 100.0}
        return official_checkpoint(
            tested,
            epoch=self.epoch - 1,
            arch=about["arch"],
            best_err1=best["test_error_top1"],
            best_err5=best["test_error_top5"],
            optimizer=optimizer,
            extra={**about, "run": run},
        )

    def load_checkpoint(self, checkpoint: dict[str, Any], accelerator: Accelerator) -> None:
        """Continue where ``checkpoint`` (from :meth:`to_checkpoint`) stopped."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

        run = checkpoint["cutmix"].get("run")
        if run is None:
            raise CutmixError("the checkpoint holds weights only, no run to resume; give it to --init")
        tested = {name.removeprefix("module."): tensor for name, tensor in checkpoint["state_dict"].items()}
        options = StateDictOptions(full_state_dict=True, strict=True)
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=run.get("weights", tested),
            optim_state_dict=checkpoint["optimizer"],
            options=options,
        )
        if self.ema is not None:
            self.ema.module.load_state_dict(tested)
            self.ema.n_averaged.copy_(run["averaged"])
        self.epoch, self.step, self.history = run["epoch"], run["step"], list(run["history"])
        self.sums_S4 = None
        if "sums" in run:  # sums over all processes: the first one carries them on
            sums = run["sums"].to(accelerator.device)
            self.sums_S4 = sums if accelerator.is_main_process else torch.zeros_like(sums)
