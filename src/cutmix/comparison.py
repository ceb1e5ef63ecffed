"""Runs compared: errors over seeds, paired differences to a baseline with intervals, and what to be wary of.

Reads what runs left (recipe.json, metrics.jsonl, result.json) and imports no torch. Errors are in percent; a difference
is a group's error minus the baseline's, so that a negative one is an improvement.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cutmix.errors import CutmixError, UsageError, nearest
from cutmix.results import Record, Summary, summarise

__all__ = ["Difference", "Group", "Row", "Run", "cautions", "compare", "find_baseline", "find_runs", "grouped",
           "named_by_recipe", "paired_difference", "read_runs"]  # fmt: skip

LAST, BEST = "test_error_top1_last", "test_error_top1_best"
SECONDS = "train_seconds_an_epoch_median"
ALSO_RECORDED = ("test_error_top5_last", "test_error_top5_best")
FEW_SEEDS = 3
MANY_INTERVALS = 4
CONFIDENCE = 0.95
WRITTEN = "compare.json"  # by this a folder that a comparison was written to is known


# ------------------------------------------------------------------------------------------------------ runs and groups


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run folders among ``paths`` and directly within them, in order of their names; each once.

    Folders that a comparison was written to are passed over, so that ``runs/*`` may hold one.

    Raises:
        UsageError: there is no run in one of the paths.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        runs = [path] if (path / "recipe.json").exists() else sorted(file.parent for file in path.glob("*/recipe.json"))
        if not runs and not (path / WRITTEN).exists():
            raise UsageError(f"there is no run in {path}: a run's folder holds a recipe.json.")
        found.update(dict.fromkeys(runs))
    return list(found)


@dataclass(frozen=True)
class Run:
    """What one run left in its folder. ``result`` is empty for a run that has not ended."""

    folder: Path
    recipe: dict[str, Any]
    metrics: list[dict[str, Any]]
    result: dict[str, Any]

    @property
    def seed(self) -> Any:
        return self.recipe.get("seed")

    @property
    def settings(self) -> dict[str, Any]:
        """The recipe without the seed."""
        return {name: value for name, value in self.recipe.items() if name != "seed"}

    def median(self, key: str) -> float | None:
        """The median over epochs of a number of the metrics; None if no epoch has it."""
        values = [record[key] for record in self.metrics if record.get(key) is not None]
        return statistics.median(values) if values else None

    def record(self, name: str) -> Record:
        """The number ``name`` of the result, as a record."""
        return self._record(name, self.result[name], self.result["test_images"])

    def records(self) -> list[Record]:
        """The run's errors, and the seconds that it trained an epoch; none for a run that has not ended."""
        if not self.result:
            return []
        found = [self.record(name) for name in (LAST, BEST, *ALSO_RECORDED) if name in self.result]
        seconds = self.median("seconds")
        return found if seconds is None else [*found, self._record(SECONDS, seconds, len(self.metrics))]

    def _record(self, name: str, value: float, n: int) -> Record:
        ended = datetime.fromtimestamp((self.folder / "result.json").stat().st_mtime, UTC)
        return Record(name=name, value=value, n=n, seed=self.seed, recipe=self.recipe, commit=self.result["version"],
                      device=self.result["device"], torch=self.result.get("torch", ""),
                      date=ended.isoformat(timespec="seconds"))  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed."""

    name: str
    settings: dict[str, Any]
    runs: list[Run]

    @property
    def ended(self) -> list[Run]:
        return [run for run in self.runs if run.result]

    @property
    def records(self) -> list[Record]:
        return [record for run in self.runs for record in run.records()]

    def summary(self, name: str) -> Summary:
        """Mean and deviation over seeds, of the runs that have ended; a seed that was run twice counts once."""
        (summary,) = summarise([run.record(name) for run in self.ended])
        return summary


def read_runs(folders: Iterable[Path], defaults: Mapping[str, Any] | None = None) -> list[Run]:
    """What the runs left in ``folders``.

    Args:
        defaults: what a setting is that an older recipe.json lacks.

    Raises:
        UsageError: no folders, or one twice.
        CutmixError: a folder does not hold a run; names the file.
    """
    folders = [Path(folder) for folder in folders]
    if not folders:
        raise UsageError("a comparison needs at least one run folder, and got none.")
    repeated = [folder for folder, times in Counter(folder.resolve() for folder in folders).items() if times > 1]
    if repeated:
        raise UsageError(f"the run {repeated[0]} was given twice: it would count as two runs.")
    return [_read_run(folder, defaults or {}) for folder in folders]


def _read_run(folder: Path, defaults: Mapping[str, Any]) -> Run:
    recipe = _parsed(folder / "recipe.json")
    if not any(recipe):
        raise CutmixError(f"{folder} does not hold a run: it has no recipe.json, or an empty one.")
    (result,) = _parsed(folder / "result.json") or [{}]
    missing = [name for name in (LAST, BEST, "test_images", "version", "device") if result and name not in result]
    if missing:
        raise CutmixError(
            f"{folder / 'result.json'} lacks {', '.join(missing)}: it is not the result of a training run."
        )
    return Run(folder, {**defaults, **recipe[0]}, _parsed(folder / "metrics.jsonl"), result)


def _parsed(path: Path) -> list[dict[str, Any]]:
    """The JSON objects in a file: one a line in a .jsonl, else one; none if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
        found = [json.loads(part) for part in (text.splitlines() if path.suffix == ".jsonl" else [text])]
        if not all(isinstance(part, dict) for part in found):
            raise ValueError("it holds no JSON object")
        return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        again = f"delete {path.with_name('result.json')}, then cutmix train {path.parent} --resume writes it again"
        remedy = "" if path.name == "recipe.json" else f" Its numbers are in the run's checkpoint too: {again}."
        raise CutmixError(f"cannot read {path}: {error}.{remedy}") from error


def grouped(runs: Sequence[Run]) -> list[Group]:
    """The runs by recipe without the seed, in order of appearance, named by what tells the groups apart."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps(run.settings, sort_keys=True), []).append(run)
    recipes = [group[0].settings for group in members.values()]
    return [Group(*group) for group in zip(setting_names(recipes), recipes, members.values())]


def find_baseline(groups: Sequence[Group], wanted: str = "") -> str:
    """The name of the group that ``wanted`` names: by its own name, or by a run's folder with or without ``-sSEED``.

    Empty for the first group.

    Raises:
        UsageError: there is no such group; the message lists what there is.
    """
    called = {alias: group.name for group in reversed(groups) for alias in _aliases(group)}
    if not wanted:
        return groups[0].name
    if wanted not in called:
        raise UsageError(
            f"no group of runs is called {wanted!r}.{nearest(wanted, called)} "
            f"There are: {', '.join(group.name for group in groups)}."
        )
    return called[wanted]


def _aliases(group: Group) -> list[str]:
    folders = [run.folder.name for run in group.runs]
    return [*folders, *(name.removesuffix(f"-s{run.seed}") for name, run in zip(folders, group.runs)), group.name]


# ------------------------------------------------------------------------------------------------------ names of groups


def differing(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that are not the same in all ``recipes``, in alphabetical order."""
    names = sorted({name for recipe in recipes for name in recipe})
    return [name for name in names if any(recipe.get(name) != recipes[0].get(name) for recipe in recipes)]


def setting_names(recipes: Sequence[Mapping[str, Any]]) -> list[str]:
    """``CutMix``, or ``CutMix(alpha=0.5)`` if another is CutMix too, or ``epochs=30, mixing=CutMix`` if both differ."""
    settings = differing(recipes) or ["mixing"]
    names: list[str] = []
    for form in (_without_arguments, _with_what_differs, lambda values: [str(value) for value in values]):
        columns = [form([recipe.get(setting) for recipe in recipes]) for setting in settings]
        names = [
            values[0] if len(settings) == 1 else ", ".join(f"{s}={value}" for s, value in zip(settings, values))
            for values in zip(*columns)
        ]
        if len(set(names)) == len(names):
            break
    return names


def _without_arguments(values: Sequence[Any]) -> list[str]:
    return [str(value).partition("(")[0] for value in values]


def _with_what_differs(values: Sequence[Any]) -> list[str]:
    """Constructor calls with those arguments only that are not the same in all calls of the same name."""
    calls = [_arguments(str(value)) for value in values]
    texts = []
    for name, arguments in calls:
        peers = [others for other, others in calls if other == name]
        shown = [text for key, text in arguments.items() if any(peer.get(key) != text for peer in peers)]
        texts.append(f"{name}({', '.join(shown)})" if shown else name)
    return texts


def _arguments(text: str) -> tuple[str, dict[str, str]]:
    """The name of a constructor call and its arguments as they are written; all is name where it is no call."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return text, {}
    if not isinstance(call, ast.Call):
        return text, {}
    placed = {str(place): ast.unparse(value) for place, value in enumerate(call.args)}
    named = {str(argument.arg): f"{argument.arg}={ast.unparse(argument.value)}" for argument in call.keywords}
    return ast.unparse(call.func), {**placed, **named}


def named_by_recipe(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records by recipe without the seed, under the names that :func:`grouped` gives."""
    members: dict[str, list[Record]] = {}
    recipes: dict[str, Mapping[str, Any]] = {}
    for record in records:
        whole = record.recipe if isinstance(record.recipe, Mapping) else {"mixing": record.recipe}
        recipe = {name: value for name, value in whole.items() if name != "seed"}
        key = json.dumps(recipe, sort_keys=True)
        recipes[key] = recipe
        members.setdefault(key, []).append(record)
    return dict(zip(setting_names(list(recipes.values())), members.values())) if records else {}


# --------------------------------------------------------------------------------------------------------- differences


@dataclass(frozen=True)
class Difference:
    """A number minus the baseline's, taken seed by seed. ``low`` to ``high`` is the interval; None below two pairs."""

    mean: float
    low: float | None
    high: float | None
    seeds: tuple[int | None, ...]

    @property
    def may_be_nothing(self) -> bool:
        """Whether the interval includes 0, or there is none."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:+.2f} (one pair: no interval)"
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def paired_difference(one: Summary, baseline: Summary, confidence: float = CONFIDENCE) -> Difference | None:
    """The mean of (``one`` - ``baseline``) over the seeds that both have, with Student's t interval for paired samples.

    Runs of one seed share their initial weights and the order of their images, so their difference varies less than
    either. None if no seed is shared.
    """
    ours, theirs = dict(zip(one.seeds, one.values)), dict(zip(baseline.seeds, baseline.values))
    seeds = tuple(seed for seed in one.seeds if seed in theirs and seed is not None)
    gaps = [ours[seed] - theirs[seed] for seed in seeds]
    if not gaps:
        return None
    mean = statistics.fmean(gaps)
    if len(gaps) == 1:
        return Difference(mean, None, None, seeds)
    from scipy.special import stdtrit  # scikit-learn brings it

    half = float(stdtrit(len(gaps) - 1, (1 + confidence) / 2)) * statistics.stdev(gaps) / math.sqrt(len(gaps))
    return Difference(mean, mean - half, mean + half, seeds)


@dataclass(frozen=True)
class Row:
    """One group of runs in the table."""

    name: str
    last: Summary
    """Error after the last epoch."""
    best: Summary
    """Error of the best epoch, which was chosen on the test set."""
    difference: Difference | None
    """Of the last errors; None for the baseline itself, and where no seed is shared with it."""
    seconds: float | None
    """Training seconds an epoch: the median of the runs' medians."""
    overhead: float | None
    """``seconds`` over the baseline's, minus 1; None for the baseline."""


def compare(groups: Mapping[str, Sequence[Record]], baseline: str = "") -> list[Row]:
    """A row for each group that has records, in order.

    Args:
        groups: records by the group's name; of one seed the last record counts.
        baseline: the name of the group that the others are compared with; empty for the first.

    Raises:
        UsageError: there is no group of that name.
    """
    baseline = baseline or next(iter(groups), "")
    if groups and baseline not in groups:
        raise UsageError(f"no group is called {baseline!r}.{nearest(baseline, groups)} Groups: {', '.join(groups)}.")
    last, best = ({name: _over_seeds(records, key) for name, records in groups.items()} for key in (LAST, BEST))
    seconds = {name: _typical(_over_seeds(records, SECONDS)) for name, records in groups.items()}
    rows = []
    for name in groups:
        ours, theirs, of_best = last[name], last[baseline], best[name]
        if ours is None or of_best is None:
            continue
        other = name != baseline
        difference = paired_difference(ours, theirs) if other and theirs else None
        longer = _ratio(seconds[name], seconds[baseline]) if other else None
        rows.append(Row(name, ours, of_best, difference, seconds[name], longer))
    return rows


def _over_seeds(records: Sequence[Record], name: str) -> Summary | None:
    found = summarise([record for record in records if record.name == name], by=("name",))
    return found[0] if found else None


def _typical(summary: Summary | None) -> float | None:
    return statistics.median(summary.values) if summary else None


def _ratio(seconds: float | None, baseline: float | None) -> float | None:
    return seconds / baseline - 1 if seconds and baseline else None


# ------------------------------------------------------------------------------------------------------ tables in words


def table_cells(rows: Sequence[Row], baseline: str) -> tuple[list[str], list[list[str]]]:
    """The header and the cells of the table of ``rows``; the best epoch's error is named for what it is."""
    header = ["", "seeds", "last epoch", f"difference to {baseline} (95 % interval)",
              "best epoch, chosen on the test set", "seconds an epoch", "overhead"]  # fmt: skip
    return header, [
        [
            row.name,
            str(row.last.n),
            spread(row.last),
            "baseline" if row.name == baseline else _difference_cell(row),
            spread(row.best),
            "" if row.seconds is None else three_digits(row.seconds),
            "" if row.overhead is None else f"{100 * row.overhead:+.1f} %",
        ]
        for row in rows
    ]


def _difference_cell(row: Row) -> str:
    if row.difference is None:
        return "no seed shared"
    pairs = len(row.difference.seeds)
    return str(row.difference) + (f", {pairs} pairs" if 1 < pairs < row.last.n else "")


def spread(summary: Summary) -> str:
    """Mean and standard deviation, without the latter for a single run."""
    return f"{summary.mean:.2f}" if summary.sd is None else f"{summary.mean:.2f} ± {summary.sd:.2f}"


def three_digits(value: float) -> str:
    """``1,234`` or ``0.0123``."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


DEFINITION = (
    "Top-1 error in percent, mean ± standard deviation over seeds (n - 1 in the denominator). Differences are of the "
    "last epoch, seed by seed, with Student's t interval; negative is better. Seconds are the median training epoch's."
)


def as_text(rows: Sequence[Row], baseline: str, warnings: Sequence[str]) -> str:
    """The table in columns for a terminal, what its numbers are, and the warnings."""
    header, cells = table_cells(rows, baseline)
    header[4] = "best epoch*"
    widths = [max(len(line[column]) for line in [header, *cells]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [header, *cells]]
    notes = [DEFINITION, "* chosen on the test set"]
    return "\n".join([*lines, "", *notes, "", *(f"! {warning}" for warning in warnings)]) + "\n"


CSV_COLUMNS = ("name", "n", "seeds", "last_mean", "last_sd", "difference_mean", "difference_low", "difference_high",
               "pairs", "best_on_test_set_mean", "best_on_test_set_sd", "seconds_an_epoch", "overhead",
               "warnings")  # fmt: skip


def as_csv(rows: Sequence[Row], warnings: Sequence[str]) -> str:
    """The numbers, a line a group; the warnings, which hold for all, stand in each line's last column."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        gap = row.difference
        writer.writerow(
            [row.name, row.last.n, " ".join(map(str, row.last.seeds)), row.last.mean, row.last.sd,
             *((gap.mean, gap.low, gap.high, len(gap.seeds)) if gap else (None, None, None, None)),
             row.best.mean, row.best.sd, row.seconds, row.overhead, " ".join(warnings)]
        )  # fmt: skip
    return table.getvalue()


def as_json(rows: Sequence[Row], baseline: str, warnings: Sequence[str]) -> str:
    """All of it: the rows with each seed's values, the baseline, what the numbers are, and the warnings."""
    whole = {
        "baseline": baseline,
        "confidence": CONFIDENCE,
        "definition": DEFINITION,
        "best_is": "chosen on the test set",
        "warnings": list(warnings),
        "rows": [asdict(row) for row in rows],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


# ------------------------------------------------------------------------------------------------------------ cautions


def cautions(groups: Sequence[Group], baseline: str = "", compared: Iterable[str] = ()) -> list[str]:
    """What a reader should know before believing the table, in plain language.

    Args:
        baseline: the group that the others are compared with; empty for the first.
        compared: the settings that are meant to differ; none given, more than one that differs is warned of.
    """
    baseline = find_baseline(groups, baseline)
    about_seeds, about_runs = _about_seeds(groups), _about_runs(groups)
    return [*about_seeds, *_about_settings(groups, set(compared)), *_about_intervals(groups, baseline), *about_runs,
            CHOSEN_ON_TEST]  # fmt: skip


CHOSEN_ON_TEST = (
    "The best epoch is the one with the lowest error on the test set itself, so that error is too low for what it "
    "claims. The last epoch's is the one to compare."
)


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
    if len(settings) < 2:  # that one is what is compared
        return
    if compared and unexpected:
        yield (
            f"The groups also differ in {', '.join(unexpected)}, which is not what is compared "
            f"({', '.join(sorted(compared))}), so a difference in error cannot be put down to that."
        )
    elif not compared:
        yield (
            f"The groups differ in {len(settings)} settings ({', '.join(settings)}), so a difference in error cannot "
            "be put down to one of them."
        )


def _about_intervals(groups: Sequence[Group], baseline: str) -> Iterator[str]:
    rows = compare({group.name: group.records for group in groups}, baseline)
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
        yield "The runs were tested on different numbers of images, so their errors cannot be compared."
    if _differs(ended, "fingerprint") or _differs(ended, "train_images"):
        yield "The runs were not all trained and tested on the same images, so their errors cannot be compared."
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
