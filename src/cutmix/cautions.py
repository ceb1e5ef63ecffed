"""What a reader should know before believing a comparison, in plain language. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cutmix.comparison import compare
from cutmix.runs import Group, differing, find_baseline, shared_measure

FEW_SEEDS = 3
MANY_INTERVALS = 4


def cautions(groups: Sequence[Group], baseline: str = "", compared: Iterable[str] = ()) -> list[str]:
    """What to be wary of, a text each.

    Args:
        baseline: the group that the others are compared with; empty for the first.
        compared: the settings that are meant to differ; none given, more than one that differs is warned of.
    """
    baseline = find_baseline(groups, baseline)
    about_seeds, about_runs = _about_seeds(groups), _about_runs(groups)
    chosen = [shared_measure(groups).chosen_on_test] if any(group.ended for group in groups) else []
    return [*about_seeds, *_about_settings(groups, set(compared)), *_about_intervals(groups, baseline), *about_runs,
            *chosen]  # fmt: skip


def _about_seeds(groups: Sequence[Group]) -> Iterator[str]:
    counts = {group.name: len({run.seed for run in group.ended}) for group in groups}
    few = [f"{name} (n = {count})" for name, count in counts.items() if count < FEW_SEEDS]
    if few:
        yield (
            f"Fewer than {FEW_SEEDS} seeds are too few to tell a difference from chance: {', '.join(few)}. "
            "Run the same recipe with more seeds."
        )
    for group in groups:
        again = [str(seed) for seed, times in Counter(run.seed for run in group.ended).items() if times > 1]
        if again:
            yield f"{group.name} has more than one run with seed {', '.join(again)}; only the last of them is counted."
    seeds = {group.name: sorted({str(run.seed) for run in group.ended}) for group in groups}
    if len({tuple(names) for names in seeds.values()}) > 1:
        listed = "; ".join(f"{name}: {', '.join(names) or 'none'}" for name, names in seeds.items())
        yield (
            f"The groups were not run with the same seeds ({listed}). Differences are over the seeds that a group "
            "shares with the baseline."
        )


def _about_settings(groups: Sequence[Group], compared: set[str]) -> Iterator[str]:
    settings = differing([group.settings for group in groups])
    unexpected = [name for name in settings if name not in compared]
    noun = shared_measure(groups).short
    if len(settings) < 2:  # that one is what is compared
        return
    if compared and unexpected:
        yield (
            f"The groups also differ in {', '.join(unexpected)}, which is not what is compared "
            f"({', '.join(sorted(compared))}), so a difference in {noun} cannot be put down to that."
        )
    elif not compared:
        yield (
            f"The groups differ in {len(settings)} settings ({', '.join(settings)}), so a difference in {noun} "
            "cannot be put down to one of them."
        )


def _about_intervals(groups: Sequence[Group], baseline: str) -> Iterator[str]:
    rows = compare({group.name: group.records for group in groups}, baseline).rows
    if rows and baseline not in [row.name for row in rows]:
        yield f"No run of the baseline {baseline} has ended, so there are no differences."
    intervals = [(row.name, row.difference) for row in rows if row.difference and row.difference.low is not None]
    for name, difference in intervals:
        if difference.may_be_nothing:
            yield (
                f"{name} and {baseline} differ by {difference.mean:+.2f}, and the interval ({difference.low:+.2f} to "
                f"{difference.high:+.2f}) includes 0: that may be chance."
            )
    if len(intervals) >= MANY_INTERVALS:
        yield (
            f"Each of the {len(intervals)} intervals holds with 95 % for itself; that all of them hold at once is "
            "less sure."
        )


def _about_runs(groups: Sequence[Group]) -> Iterator[str]:
    runs = [run for group in groups for run in group.runs]
    open_runs = [run.folder.name for run in runs if not run.result]
    if open_runs:
        yield f"Not ended, and not in the table: {', '.join(open_runs)}."
    ended = [run.result for run in runs if run.result]
    if len({result["test_images"] for result in ended}) > 1:
        yield "The runs were tested on different numbers of images, so their numbers cannot be compared."
    if _differs(ended, "fingerprint") or _differs(ended, "train_images"):
        yield "The runs were not all trained and tested on the same images, so their numbers cannot be compared."
    for key, what in (("version", "the code"), ("torch", "torch")):
        if versions := _differs(ended, key):
            yield f"The runs were made with different versions of {what}: {', '.join(versions)}."
    if any(result["version"].endswith(".changed") for result in ended):
        yield "Some runs were made with changes to the code that its commit does not hold."
    if counts := _differs(ended, "processes"):
        yield f"The runs were trained by different numbers of processes ({', '.join(counts)}), which draw differently."
    if _differs(ended, "device"):
        yield "The runs were made on different machines, so their times cannot be compared."
    most = max((result.get("runs_at_once", 1) for result in ended), default=1)
    if most > 1:
        yield f"Up to {most} runs went on at once on the machine, so their times are no measure of speed."


def _differs(results: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The different values of ``key`` in the results that have it, if there is more than one."""
    values = list(dict.fromkeys(str(result[key]) for result in results if key in result))
    return values if len(values) > 1 else []
