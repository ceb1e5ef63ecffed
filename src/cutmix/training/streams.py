"""Random streams of a run: each follows from (seed, purpose, epoch, step, rank), so resuming needs no state."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of a run's identity: never reuse or change one."""

    INIT = 101
    MIXING = 102
    LAYERS = 103


def stream(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """A generator for one purpose at one position of the run."""
    return np.random.default_rng([seed, purpose, *position])


def seed_layers(seed: int, purpose: Purpose, *position: int) -> None:
    """Seed torch's global generators, from which initialisation and layer noise (dropout and its kin) draw."""
    # One 64-bit word of the seed sequence: cheaper than building a whole generator in every step.
    word = np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)[0]
    torch.manual_seed(int(word >> np.uint64(1)))
