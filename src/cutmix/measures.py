"""What runs are compared by: each measure with its words and its unit, and whether small or large is better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cutmix.errors import UsageError

UNITS = {"%": "in percent", "× 100": "times 100"}
"""A unit as an axis has it -> as a sentence has it."""


@dataclass(frozen=True)
class Measure:
    """One number that a test gives. Errors are better when small; what a transfer's task measures, when large."""

    name: str
    """As the record of an epoch has it: ``test_error_top1``. A result has it with ``_last`` and ``_best`` behind it."""
    words: str
    noun: str = ""
    """A shorter word, for where it is clear which is meant; empty for the same words."""
    unit: str = "%"
    larger_is_better: bool = True
    of_images: bool = False
    """It is a share of the test images, so that each of them counts 100 / n."""

    @property
    def last(self) -> str:
        """The name of the number after the last epoch."""
        return f"{self.name}_last"

    @property
    def best(self) -> str:
        """The name of the best epoch's number."""
        return f"{self.name}_best"

    @property
    def short(self) -> str:
        return self.noun or self.words

    @property
    def title(self) -> str:
        """The words at the beginning of a sentence."""
        return self.words[0].upper() + self.words[1:]

    @property
    def axis(self) -> str:
        """The name of a chart's axis, where there is no room for what stands in brackets."""
        return f"{self.words.partition(' (')[0]} on the test set" + (f" ({self.unit})" if self.unit else "")

    @property
    def spread(self) -> str:
        """What a table's ``mean ± deviation`` is."""
        unit = f" {UNITS[self.unit]}" if self.unit else ""
        return f"{self.title}{unit}, mean ± standard deviation over seeds (n - 1 in the denominator)."

    @property
    def better_sign(self) -> str:
        """The sign of a difference that is an improvement."""
        return "positive" if self.larger_is_better else "negative"

    @property
    def definition(self) -> str:
        """What the numbers of a comparison's table are."""
        if not self.name:
            return "No run has been tested yet, so there are no numbers."
        return (
            f"{self.spread} Differences are of the last epoch, seed by seed, with Student's t interval; "
            f"{self.better_sign} is better. Seconds are the median training epoch's."
        )

    @property
    def chosen_on_test(self) -> str:
        """What is to be known of the best epoch's number."""
        extreme, wrong = ("highest", "high") if self.larger_is_better else ("lowest", "low")
        return (
            f"The best epoch is the one with the {extreme} {self.short} on the test set itself, so that {self.short} "
            f"is too {wrong} for what it claims. The last epoch's is the one to compare."
        )


TOP1 = Measure("test_error_top1", "top-1 error", noun="error", larger_is_better=False, of_images=True)
COMPARED_BY = (TOP1, Measure("mean_ap", "mean AP"), Measure("cider", "CIDEr", unit="× 100"))
"""By these epochs are compared."""
UNTESTED = Measure("", "number", unit="")
"""Stands for what runs are compared by that have not been tested yet."""
BESIDE = (
    replace(TOP1, name="test_error_top5", words="top-5 error"),
    Measure("mean_ap_voc07", "mean AP (VOC 2007, 11 points)"),
    Measure("mean_ap_voc", "mean AP (VOC 2010, area)"),
    Measure("coco_map", "COCO mAP"),
    Measure("coco_map50", "COCO mAP at IoU 0.5"),
    Measure("coco_map75", "COCO mAP at IoU 0.75"),
    *(Measure(f"bleu{n}", f"BLEU-{n}", unit="× 100") for n in (1, 2, 3, 4)),
    Measure("meteor", "METEOR", unit="× 100"),
    Measure("rouge_l", "ROUGE-L", unit="× 100"),
)
"""These are told beside them."""
KNOWN = {measure.name: measure for measure in (*COMPARED_BY, *BESIDE)}
METRIC = re.compile(r"\bmetric='(\w+)'")


def named(name: str, recipe: Any = None) -> Measure:
    """The measure of this name; one that is not known goes by its name, and is better when it is large.

    Args:
        recipe: a run's settings. Where its task says by which ``metric`` it measures, that is a measure of its own.
    """
    measure = KNOWN.get(name, Measure(name, name, unit=""))
    metric = METRIC.search(str(recipe.get("task", ""))) if isinstance(recipe, Mapping) else None
    exact = KNOWN.get(f"{name}_{metric[1]}") if metric else None
    return replace(measure, words=exact.words, noun=measure.short) if exact else measure


def of_result(result: Mapping[str, Any], recipe: Any = None) -> Measure:
    """What a run's result says that its epochs are compared by; a classifier's does not say, and means the error."""
    return named(result.get("measure", TOP1.name), recipe)


def first_known(names: Iterable[str], otherwise: str = "") -> str:
    """Which of ``names`` it is that epochs are compared by; ``otherwise`` where none of them is known for that."""
    names = set(names)
    return next((measure.name for measure in COMPARED_BY if measure.name in names), otherwise)


def the_same(found: Iterable[tuple[Measure, object]]) -> Measure:
    """The one measure of all that is ``found``: measures, each with the name of what is measured by it.

    Raises:
        UsageError: there are several; the message names the first of each kind.
    """
    kinds: dict[Measure, object] = {}
    for measure, what in found:
        kinds.setdefault(measure, what)
    if len(kinds) > 1:
        listed = "; ".join(f"{measure.words}: {what}" for measure, what in kinds.items())
        raise UsageError(
            f"not all of this is measured alike ({listed}), so it has no place in one table: compare each kind by "
            "itself."
        )
    return next(iter(kinds), UNTESTED)
