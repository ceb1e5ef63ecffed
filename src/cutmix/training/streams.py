"""Random streams of a run: each follows from (seed, purpose, epoch, step, rank), so resuming needs no state."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from cutmix.data.chance import generator


class Purpose(IntEnum):
    """What a stream is for, beside the purposes of ``cutmix.data.chance``. The numbers are part of a run's identity."""

    INIT = 101
    MIXING = 102
    LAYERS = 103


def stream(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The generator for one purpose at one position of the run."""
    return generator(seed, purpose, *position)


def seed_layers(seed: int, purpose: Purpose, *position: int) -> None:
    """Seed torch's global generators, from which initialisation and layer noise (dropout and its kin) draw."""
    torch.manual_seed(int(generator(seed, purpose, *position).integers(2**63)))
