"""Mixing regularizers: a batch in, a mixed batch and its target out.

Every method is one file. It draws a plan (``method.py``, ``draws.py``, ``boxes.py``: all the chance), and the plan does
the arithmetic (``plans.py``, ``pixels.py``: none). What comes out is a ``MixedTarget`` (``targets.py``).
"""

from cutmix.mixing.boxes import Box, Geometry, box_around, box_sides
from cutmix.mixing.collate import MixingCollate
from cutmix.mixing.cutmix import CutMix, cutmix_batch
from cutmix.mixing.cutout import Cutout, cutout_batch
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.method import Mixing, Scope
from cutmix.mixing.mixup import MixUp, mixup_batch
from cutmix.mixing.none import NoMixing
from cutmix.mixing.plans import Blend, Erase, Keep, Paste, Plan
from cutmix.mixing.targets import MixedTarget, mixed_correct, mixed_cross_entropy

__all__ = [
    "Blend",
    "Box",
    "CutMix",
    "Cutout",
    "Draws",
    "Erase",
    "Geometry",
    "Keep",
    "MixUp",
    "MixedTarget",
    "Mixing",
    "MixingCollate",
    "NoMixing",
    "Paste",
    "Plan",
    "Rng",
    "Scope",
    "box_around",
    "box_sides",
    "cutmix_batch",
    "cutout_batch",
    "mixed_correct",
    "mixed_cross_entropy",
    "mixup_batch",
]
