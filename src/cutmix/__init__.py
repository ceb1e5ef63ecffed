"""CutMix and its peers for PyTorch: train strong image classifiers, and prove that they are strong.

The names below are imported when they are first used, so that the command line can answer without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cutmix.mixing import (
        CenterGaussianCutMix,
        CompleteLabelCutMix,
        Compose,
        CutMix,
        Cutout,
        FeatureCutMix,
        FixedSizeCutMix,
        FMix,
        Hidden,
        ManifoldMixup,
        MixedTarget,
        Mixer,
        MixingCollate,
        MixUp,
        NoMixing,
        OneHotCutMix,
        RandomChoice,
        ResizeMix,
        Scheduled,
        Until,
        mixed_correct,
        mixed_cross_entropy,
    )

__version__ = "0.1.0"
__all__ = [
    "CenterGaussianCutMix",
    "CompleteLabelCutMix",
    "Compose",
    "CutMix",
    "Cutout",
    "FMix",
    "FeatureCutMix",
    "FixedSizeCutMix",
    "Hidden",
    "ManifoldMixup",
    "MixUp",
    "MixedTarget",
    "Mixer",
    "MixingCollate",
    "NoMixing",
    "OneHotCutMix",
    "RandomChoice",
    "ResizeMix",
    "Scheduled",
    "Until",
    "mixed_correct",
    "mixed_cross_entropy",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("cutmix.mixing"), name)
    raise AttributeError(f"module 'cutmix' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
