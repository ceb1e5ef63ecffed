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
    mixed labels, and the number of images, of this process. ``measure`` is the number that epochs are compared by.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: AveragedModel | None
    epoch: int = 0
    step: int = 0
    sums_S4: Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    measure: str = "test_error_top1"
    larger_is_better: bool = False

    @property
    def best(self) -> dict[str, Any] | None:
        """The record of the best tested epoch, by ``measure``; of equal ones the last, as the official code."""
        tested = [record for record in reversed(self.history) if self.measure in record]
        sign = -1 if self.larger_is_better else 1
        return min(tested, key=lambda record: sign * record[self.measure], default=None)

    def to_checkpoint(self, accelerator: Accelerator, about: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint in the official dictionary's keys, with all else under ``cutmix``. Every process must call it.

        Args:
            about: what a reader needs besides the weights: recipe, model, classes, mean, std, image_size.
        """
        from cutmix.models.checkpoints import official_checkpoint

        weights, optimizer = self._gathered(accelerator)
        run: dict[str, Any] = {"epoch": self.epoch, "step": self.step, "history": self.history}
        if accelerator.scaler is not None:  # of fp16
            run["scaler"] = accelerator.scaler.state_dict()
        if self.sums_S4 is not None:
            run["sums"] = accelerator.reduce(self.sums_S4, "sum").cpu()
        tested: dict[str, Any] = weights
        if self.ema is not None:  # the official `state_dict` is the one whose error is reported
            run["weights"] = weights
            run["averaged"] = self.ema.n_averaged.cpu()
            tested = {name: tensor.cpu() for name, tensor in self.ema.module.state_dict().items()}
        best = {"test_error_top1": 100.0, "test_error_top5": 100.0} | (self.best or {})
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
        run = checkpoint["cutmix"].get("run")
        if run is None:
            raise CutmixError("the checkpoint holds weights only, no run to resume; give it to --init")
        tested = {name.removeprefix("module."): tensor for name, tensor in checkpoint["state_dict"].items()}
        self._scatter(run.get("weights", tested), checkpoint["optimizer"], accelerator)
        if self.ema is not None:
            self.ema.module.load_state_dict(tested)
            self.ema.n_averaged.copy_(run["averaged"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(run["scaler"])
        self.epoch, self.step, self.history = run["epoch"], run["step"], list(run["history"])
        self.sums_S4 = None
        if "sums" in run:  # sums over all processes: the first one carries them on
            sums = run["sums"].to(accelerator.device)
            self.sums_S4 = sums if accelerator.is_main_process else torch.zeros_like(sums)

    @property
    def _plain_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer inside of Accelerate's, which must not take what a checkpoint does for training steps."""
        return getattr(self.optimizer, "optimizer", self.optimizer)

    def _gathered(self, accelerator: Accelerator) -> tuple[dict[str, Any], dict[str, Any]]:
        """The whole weights and the whole state of the optimizer, on the CPU, however many processes hold them."""
        if _is_split(accelerator):
            from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            return get_state_dict(self.model, self._plain_optimizer, options=options)
        weights = accelerator.unwrap_model(self.model).state_dict()
        return {name: tensor.cpu() for name, tensor in weights.items()}, self._plain_optimizer.state_dict()

    def _scatter(self, weights: dict[str, Any], optimizer: dict[str, Any], accelerator: Accelerator) -> None:
        """The opposite of :meth:`_gathered`."""
        if _is_split(accelerator):
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

            options = StateDictOptions(full_state_dict=True, strict=True)
            set_state_dict(
                self.model,
                self._plain_optimizer,
                model_state_dict=weights,
                optim_state_dict=optimizer,
                options=options,
            )
            return
        accelerator.unwrap_model(self.model).load_state_dict(weights)
        self._plain_optimizer.load_state_dict(optimizer)


def _is_split(accelerator: Accelerator) -> bool:
    """Whether no process holds the whole network."""
    from accelerate import DistributedType

    return accelerator.distributed_type == DistributedType.FSDP
