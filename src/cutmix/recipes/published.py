"""The paper's own numbers for its own settings, under the names that an evaluation gives them.

Source: Yun et al., arXiv 1905.04899: tables 3, 5, 6, 7, 11 and appendix table 2. Errors are turned into accuracies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cutmix.errors import UsageError
from cutmix.recipes.calls import parse_call

METHODS = ("NoMixing", "Mixup", "Cutout", "CutMix")
"""The columns of the tables below."""
OUT_COLUMNS = ("tnr95", "auroc", "detection")


@dataclass(frozen=True)
class Setting:
    """What the paper trained, for each of :data:`METHODS`: 300 epochs everywhere."""

    data: str
    network: str
    arguments: Mapping[str, int]
    errors: Mapping[str, tuple[tuple[float | None, ...], str]]
    """An accuracy's name -> (the error in percent of each method, the table)."""
    fgsm: tuple[float, ...] = ()
    out_sets: Mapping[str, tuple[tuple[float, float, float], ...]] | None = None


SETTINGS = (
    Setting(
        "cifar100",
        "PyramidNet",
        {"depth": 200, "alpha": 240},
        {
            "accuracy/top1": ((16.45, 15.63, 16.53, 14.47), "table 5"),
            "accuracy/top5": ((3.69, 3.99, 3.65, 2.97), "table 5"),
        },
        out_sets={
            "Imagenet": ((43.0, 88.9, 81.3), (22.6, 71.6, 69.8), (30.5, 85.6, 79.0), (57.1, 92.4, 85.0)),
            "Imagenet_resize": ((29.8, 84.2, 77.0), (12.3, 56.8, 61.0), (22.0, 82.8, 77.1), (55.4, 91.9, 84.5)),
            "LSUN": ((34.6, 86.5, 79.5), (22.9, 76.3, 72.3), (33.2, 85.7, 78.5), (47.6, 90.3, 82.8)),
            "LSUN_resize": ((34.3, 86.4, 79.0), (13.0, 59.0, 61.8), (23.7, 84.0, 78.4), (62.8, 93.7, 86.7)),
            "iSUN": ((32.0, 85.1, 77.8), (11.8, 57.0, 61.0), (22.2, 82.8, 76.8), (60.1, 93.0, 85.7)),
            "uniform": ((0.0, 89.2, 89.2), (0.0, 0.8, 50.0), (0.0, 35.6, 59.1), (100.0, 99.8, 99.7)),
            "gaussian": ((10.4, 90.7, 89.9), (0.0, 23.4, 50.5), (0.0, 24.3, 50.0), (100.0, 99.7, 99.0)),
        },
    ),
    Setting(
        "cifar100",
        "PyramidNet",
        {"depth": 110, "alpha": 64},
        {
            "accuracy/top1": ((19.85, None, None, 17.97), "table 6"),
            "accuracy/top5": ((4.66, None, None, 3.83), "table 6"),
        },
    ),
    Setting(
        "cifar100",
        "ResNet",
        {"depth": 110},
        {
            "accuracy/top1": ((23.14, None, None, 20.11), "table 6"),
            "accuracy/top5": ((5.95, None, None, 4.43), "table 6"),
        },
    ),
    Setting(
        "cifar10",
        "PyramidNet",
        {"depth": 200, "alpha": 240},
        {"accuracy/top1": ((3.85, 3.09, 3.10, 2.88), "table 7")},
    ),
    Setting(
        "imagenet",
        "ResNet",
        {"depth": 50},
        {
            "accuracy/top1": ((23.68, 22.58, 22.93, 21.40), "table 3"),
            "accuracy/top5": ((7.05, 6.40, 6.66, 5.92), "table 3"),
        },
        fgsm=(8.2, 24.4, 11.5, 31.0),
    ),
)


@dataclass(frozen=True)
class Published:
    """One number of the paper, in percent."""

    value: float
    table: str


def published(recipe: Mapping[str, Any] | None) -> dict[str, Published]:
    """The paper's numbers for a recipe that is the paper's setting: data, network, method, epochs. Else none."""
    if recipe is None or recipe.get("epochs") != 300:
        return {}
    try:
        network, mixing = parse_call(str(recipe.get("model"))), parse_call(str(recipe.get("mixing")))
    except UsageError:
        return {}
    name = "NoMixing" if mixing.name == "none" else mixing.name
    if name not in METHODS or mixing.kwargs.get("alpha", 1.0) != 1.0:
        return {}
    found = (
        setting
        for setting in SETTINGS
        if setting.data == recipe.get("data")
        and setting.network == network.name
        and all(network.kwargs.get(key) == value for key, value in setting.arguments.items())
    )
    return {key: value for setting in found for key, value in _of(setting, METHODS.index(name))}


def _of(setting: Setting, method: int) -> Iterator[tuple[str, Published]]:
    for name, (errors, table) in setting.errors.items():
        error = errors[method]
        if error is not None:
            yield name, Published(round(100 - error, 2), table)
    if setting.fgsm:
        yield "fgsm/accuracy", Published(setting.fgsm[method], "table 11")
    for out_set, rows in (setting.out_sets or {}).items():
        for column, value in zip(OUT_COLUMNS, rows[method]):
            yield f"ood/{out_set}/msp/{column}", Published(value, "appendix table 2")
