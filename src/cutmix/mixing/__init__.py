"""Mixing regularizers: a batch in, a mixed batch and its target out.

Every method is one file, and is found by looking through this folder. It draws a plan (``method.py``, ``draws.py``,
``boxes.py``: all the chance), and the plan does the arithmetic (``plans.py``, ``pixels.py``: none). What comes out is a
``MixedTarget`` (``targets.py``). In a network's hidden layers it is done through a ``Mixer`` (``mixer.py``).
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from cutmix.mixing.boxes import Box, Geometry, box_around, box_sides
from cutmix.mixing.collate import MixingCollate
from cutmix.mixing.compose import Compose
from cutmix.mixing.cutmix import BoxMixing, CutMix, cutmix_batch
from cutmix.mixing.cutmix_variants import CenterGaussianCutMix, CompleteLabelCutMix, FixedSizeCutMix, OneHotCutMix
from cutmix.mixing.cutout import Cutout, cutout_batch
from cutmix.mixing.draws import Draws, Rng
from cutmix.mixing.fmix import FMix
from cutmix.mixing.hidden import FeatureCutMix, Hidden, ManifoldMixup
from cutmix.mixing.method import Mixing, Scope
from cutmix.mixing.mixer import MixedPart, Mixer
from cutmix.mixing.mixup import MixUp, mixup_batch
from cutmix.mixing.none import NoMixing
from cutmix.mixing.plans import Blend, Chain, Erase, Keep, Paste, Plan, Weigh
from cutmix.mixing.random_choice import RandomChoice
from cutmix.mixing.resizemix import ResizeMix
from cutmix.mixing.scheduled import Scheduled
from cutmix.mixing.targets import MixedTarget, mixed_correct, mixed_cross_entropy
from cutmix.mixing.until import Until

__all__ = [
    "Blend",
    "Box",
    "BoxMixing",
    "CenterGaussianCutMix",
    "Chain",
    "CompleteLabelCutMix",
    "Compose",
    "CutMix",
    "Cutout",
    "Draws",
    "Erase",
    "FMix",
    "FeatureCutMix",
    "FixedSizeCutMix",
    "Geometry",
    "Hidden",
    "Keep",
    "ManifoldMixup",
    "MixUp",
    "MixedPart",
    "MixedTarget",
    "Mixer",
    "Mixing",
    "MixingCollate",
    "NoMixing",
    "OneHotCutMix",
    "Paste",
    "Plan",
    "RandomChoice",
    "ResizeMix",
    "Rng",
    "Scheduled",
    "Scope",
    "Until",
    "Weigh",
    "box_around",
    "box_sides",
    "cutmix_batch",
    "cutout_batch",
    "mixed_correct",
    "mixed_cross_entropy",
    "mixup_batch",
]


def __getattr__(name: str) -> Any:
    """A method whose file is in this folder, and which the list above does not name."""
    if name[:1].isupper():
        for module in iter_modules(__path__):
            found = getattr(import_module(f"{__name__}.{module.name}"), name, None)
            if isinstance(found, type) and issubclass(found, Mixing):
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
