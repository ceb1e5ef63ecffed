"""The settings of a training run that are numbers and switches: everything but the data, the network and the mixing."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from cutmix.errors import UsageError

AMP = ("no", "fp16", "bf16")


def setting(default: Any, help: str) -> Any:
    """A field with the line that ``--help`` prints for it."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained. The defaults are the official code's (paper section 4.1), except the number of epochs.

    ``batch_size`` is the batch of one optimizer step over all processes. ``weight_decay`` acts on every parameter,
    batch norm and biases included, as in the official code.
    """

    epochs: int = setting(30, "epochs to train")
    batch_size: int = setting(128, "images of one optimizer step, over all processes")
    lr: float = setting(0.1, "peak learning rate")
    head_lr: float = setting(1.0, "the last layer (for VGGGAP its new layers) learns at this many times lr")
    momentum: float = setting(0.9, "SGD momentum")
    weight_decay: float = setting(1e-4, "weight decay, on all parameters")
    nesterov: bool = setting(True, "Nesterov momentum")
    schedule: str = setting(
        "Steps()",
        "learning rate over time: Steps(at=(0.5, 0.75), by=0.1), Every(epochs=30), Cosine(floor=0.0), Constant(); "
        "each takes warmup=EPOCHS",
    )
    label_smoothing: float = setting(0.0, "label smoothing, applied once, in the loss")
    clip_norm: float = setting(0.0, "clip the gradient's norm to this; 0 = never")
    test_every: int = setting(1, "test after every so many epochs, and after the last one")
    accumulation: int = setting(1, "split each batch into this many parts to save memory")
    ema: float = setting(0.0, "decay of an exponential moving average of the weights, which is then tested; 0 = none")
    amp: str = setting("no", "mixed precision: no, fp16, bf16")
    channels_last: bool = setting(True, "channels-last memory format")
    compile: bool = setting(False, "torch.compile the network")
    deterministic: bool = setting(True, "deterministic cuDNN algorithms; resuming to the last bit on a GPU needs them")
    seed: int = setting(0, "every draw of the run follows from it")

    def __post_init__(self) -> None:
        at_least_one = ("epochs", "batch_size", "accumulation", "test_every")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("momentum", "weight_decay", "clip_norm", "seed"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.lr < inf:
            raise UsageError(f"lr must be positive and finite, got {self.lr}")
        if not 0 < self.head_lr < inf:
            raise UsageError(f"head_lr must be positive and finite, got {self.head_lr}")
        for name in ("ema", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.nesterov and self.momentum == 0:
            raise UsageError("Nesterov momentum needs a momentum above 0: set momentum or switch nesterov off")
        if self.amp not in AMP:
            raise UsageError(f"amp must be one of {', '.join(AMP)}, got {self.amp!r}")

    def as_dict(self) -> dict[str, Any]:
        """All settings as plain values, in the order of the class."""
        return {f.name: getattr(self, f.name) for f in fields(self)}
