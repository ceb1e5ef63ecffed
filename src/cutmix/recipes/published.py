"""The paper's own numbers for its own settings, under the names that an evaluation gives them.

Errors and localization are the claims of the recipes; what follows here is what no claim holds: Yun et al., arXiv
1905.04899, table 11 and appendix table 2. Errors are turned into accuracies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from cutmix.errors import UsageError
from cutmix.recipes import names
from cutmix.recipes.calls import parse_call
from cutmix.recipes.claim import BEST, LAST, Claim, claim_of, recipe_name, table_name
from cutmix.recipes.recipe import Recipe

if TYPE_CHECKING:
    from cutmix.data import Data
    from cutmix.evaluation.question import Question

ACCURACIES = {"top1": "accuracy/top1", "top5": "accuracy/top5"}
EPOCHS = {BEST: ", best epoch", LAST: ", last epoch"}
OUT_COLUMNS = ("tnr95", "auroc", "detection")

FGSM_ACCURACY = {
    "imagenet.resnet50": 8.2,
    "imagenet.resnet50_mixup": 24.4,
    "imagenet.resnet50_cutout": 11.5,
    "imagenet.resnet50_cutmix": 31.0,
}
"""Table 11."""

OUT_SETS = {
    "cifar100.pyramidnet200": {
        "Imagenet": (43.0, 88.9, 81.3),
        "Imagenet_resize": (29.8, 84.2, 77.0),
        "LSUN": (34.6, 86.5, 79.5),
        "LSUN_resize": (34.3, 86.4, 79.0),
        "iSUN": (32.0, 85.1, 77.8),
        "uniform": (0.0, 89.2, 89.2),
        "gaussian": (10.4, 90.7, 89.9),
    },
    "cifar100.pyramidnet200_mixup": {
        "Imagenet": (22.6, 71.6, 69.8),
        "Imagenet_resize": (12.3, 56.8, 61.0),
        "LSUN": (22.9, 76.3, 72.3),
        "LSUN_resize": (13.0, 59.0, 61.8),
        "iSUN": (11.8, 57.0, 61.0),
        "uniform": (0.0, 0.8, 50.0),
        "gaussian": (0.0, 23.4, 50.5),
    },
    "cifar100.pyramidnet200_cutout": {
        "Imagenet": (30.5, 85.6, 79.0),
        "Imagenet_resize": (22.0, 82.8, 77.1),
        "LSUN": (33.2, 85.7, 78.5),
        "LSUN_resize": (23.7, 84.0, 78.4),
        "iSUN": (22.2, 82.8, 76.8),
        "uniform": (0.0, 35.6, 59.1),
        "gaussian": (0.0, 24.3, 50.0),
    },
    "cifar100.pyramidnet200_cutmix": {
        "Imagenet": (57.1, 92.4, 85.0),
        "Imagenet_resize": (55.4, 91.9, 84.5),
        "LSUN": (47.6, 90.3, 82.8),
        "LSUN_resize": (62.8, 93.7, 86.7),
        "iSUN": (60.1, 93.0, 85.7),
        "uniform": (100.0, 99.8, 99.7),
        "gaussian": (100.0, 99.7, 99.0),
    },
}
"""Appendix table 2: recipe -> out-set -> :data:`OUT_COLUMNS`, of the largest softmax probability."""

SMALL = {"cifar10": 32, "cifar100": 32}
"""Pixels a side of the paper's data; 224 for photos."""
FREE = {"seed", "test_every", "accumulation", "amp", "channels_last", "compile", "deterministic", "image_size"}
"""Settings in which a run may differ from the paper's and still be a run of the paper's setting."""


@dataclass(frozen=True)
class Published:
    """One number of the paper, in percent."""

    value: float
    table: str


def published(
    recipe: Mapping[str, Any] | None, spec: str, data: Data, questions: Iterable[Question]
) -> dict[str, Published]:
    """The paper's numbers for a run of one of the paper's settings, under the names of the evaluation's values.

    Args:
        recipe: of the run, with nothing left to choose; None if it is not known.
        spec, data: what is tested on. There are none unless it is what the run was trained on.
        questions: those that are asked; where one is asked otherwise than the paper did, its number is left out.
    """
    if recipe is None or recipe.get("data") != spec:
        return {}
    found = _row_of(recipe, data)
    if found is None:
        return {}
    name, claim = found
    asked = {question.name: question for question in questions}
    return {key: value for question in asked.values() for key, value in _of(name, claim, question)}


def _of(name: str, claim: Claim, question: Question) -> Iterator[tuple[str, Published]]:
    from cutmix.evaluation.fgsm import FGSM
    from cutmix.evaluation.localization import Localization

    table = f"{table_name(claim.tables[0])}{EPOCHS.get(claim.pick, '')}"
    if question.name == "accuracy":
        for metric in claim.values.keys() & ACCURACIES.keys():
            yield ACCURACIES[metric], Published(round(100 - claim.values[metric], 2), table)
    elif question == FGSM() and name in FGSM_ACCURACY:
        yield "fgsm/accuracy", Published(FGSM_ACCURACY[name], table_name("11"))
    elif isinstance(question, Localization) and "top1_loc" in claim.values:
        if (question.threshold, question.iou, question.method) == (Localization.threshold, Localization.iou, "cam"):
            yield "localization/top1", Published(claim.values["top1_loc"], table)
    elif question.name == "ood":
        for out_set, row in OUT_SETS.get(name, {}).items():
            for column, value in zip(OUT_COLUMNS, row):
                yield f"ood/{out_set}/msp/{column}", Published(value, "Appendix table 2")


def _row_of(recipe: Mapping[str, Any], data: Data) -> tuple[str, Claim] | None:
    """The recipe of this package, and its claim, of which this is a run; not what the paper copied from others."""
    for function in names.recipes().values():
        claim = claim_of(function)
        if claim is not None and not claim.copied and _same(function(), recipe, data):
            return recipe_name(function), claim
    return None


def _same(paper: Recipe, recipe: Mapping[str, Any], data: Data) -> bool:
    if recipe.get("data") != paper.data or data.image_size != SMALL.get(paper.data, 224):
        return False
    from cutmix.data import default_augment

    augment = paper.augment or repr(default_augment(data))
    wanted = paper.but(augment=augment).as_dict()
    given = {**recipe, "augment": recipe.get("augment") or augment}
    try:
        return all(_agree(name, value, given.get(name)) for name, value in wanted.items() if name not in FREE)
    except (UsageError, TypeError):  # a name or an argument that this version does not know
        return False


def _agree(name: str, paper: Any, given: Any) -> bool:
    """Whether a setting is the paper's; a call may be written in several ways."""
    from cutmix.recipes.build import make_augment, make_mixing, make_regularizer, make_schedule

    makers = {
        "mixing": make_mixing,
        "regularizer": make_regularizer,
        "augment": make_augment,
        "schedule": make_schedule,
        "model": _network,
    }
    maker = makers.get(name, lambda value: value)
    return paper == given or repr(maker(paper)) == repr(maker(given))


def _network(text: str) -> tuple[str, dict[str, Any]]:
    """The network's name and all its arguments, but for those that follow from the data."""
    from cutmix.recipes.build import model_constructor

    call = parse_call(text)
    bound = signature(model_constructor(call)).bind_partial(*call.args, **call.kwargs)
    bound.apply_defaults()
    return call.name, {name: value for name, value in bound.arguments.items() if name not in ("num_classes", "stem")}
