"""Groups of runs compared: means over seeds, paired differences to a baseline with intervals, tables of them.

Reads records and imports no torch. A difference is a group's number minus the baseline's: of errors a negative one is
an improvement, of all else a positive one.
"""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cutmix.errors import UsageError, nearest
from cutmix.measures import Measure, first_known, named, the_same
from cutmix.results import Record, Summary, summarise
from cutmix.runs import SECONDS

CONFIDENCE = 0.95

Paper = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""From a recipe to the numbers that the paper gives for it, by the names of measures."""


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
    """What the runs are compared by, after the last epoch."""
    best: Summary
    """The same of the best epoch, which was chosen on the test set."""
    difference: Difference | None
    """Of the last epochs; None for the baseline itself, and where no seed is shared with it."""
    seconds: float | None
    """Training seconds an epoch: the median of the runs' medians."""
    overhead: float | None
    """``seconds`` over the baseline's, minus 1; None for the baseline."""
    paper: float | None = None
    """What the paper gives for the same recipe."""


@dataclass(frozen=True)
class Comparison:
    """Groups of runs beside each other: what they are compared by, which of them is the baseline, a row for each."""

    measure: Measure
    baseline: str
    rows: list[Row]

    @property
    def paper_baseline(self) -> float | None:
        """What the paper gives for the baseline."""
        return next((row.paper for row in self.rows if row.name == self.baseline), None)


def no_paper(recipe: Mapping[str, Any]) -> Mapping[str, float]:
    """Of no recipe a number is known."""
    return {}


def compare(
    groups: Mapping[str, Sequence[Record]],
    baseline: str = "",
    paper: Paper = no_paper,
    measure: Measure | None = None,
) -> Comparison:
    """A row for each group that has records, in order.

    Args:
        groups: records by the group's name; of one seed the last record counts.
        baseline: the name of the group that the others are compared with; empty for the first.
        paper: tells the paper's numbers for a recipe.
        measure: what the runs are compared by; None for what the records have, of which there may be none yet.

    Raises:
        UsageError: there is no group of that name, or not all groups are measured alike.
    """
    measure = measure or the_same((_measure(records), name) for name, records in groups.items() if records)
    baseline = baseline or next(iter(groups), "")
    if groups and baseline not in groups:
        raise UsageError(f"no group is called {baseline!r}.{nearest(baseline, groups)} Groups: {', '.join(groups)}.")
    last, best = (
        {name: _over_seeds(records, key) for name, records in groups.items()} for key in (measure.last, measure.best)
    )
    seconds = {name: _typical(_over_seeds(records, SECONDS)) for name, records in groups.items()}
    rows = []
    for name in groups:
        ours, theirs, of_best = last[name], last[baseline], best[name]
        if ours is None or of_best is None:
            continue
        other = name != baseline
        difference = paired_difference(ours, theirs) if other and theirs else None
        longer = _ratio(seconds[name], seconds[baseline]) if other else None
        published = _published(groups[name][0], measure, paper)
        rows.append(Row(name, ours, of_best, difference, seconds[name], longer, published))
    return Comparison(measure, baseline, rows)


def _measure(records: Sequence[Record]) -> Measure:
    """What the runs are compared by that left these records."""
    names = [record.name.removesuffix("_last") for record in records if record.name.endswith("_last")]
    return named(first_known(names, otherwise=next(iter(names), "")), records[0].recipe)


def _published(record: Record, measure: Measure, paper: Paper) -> float | None:
    return paper(record.recipe).get(measure.name) if isinstance(record.recipe, Mapping) else None


def _over_seeds(records: Sequence[Record], name: str) -> Summary | None:
    found = summarise([record for record in records if record.name == name], by=("name",))
    return found[0] if found else None


def _typical(summary: Summary | None) -> float | None:
    return statistics.median(summary.values) if summary else None


def _ratio(seconds: float | None, baseline: float | None) -> float | None:
    return seconds / baseline - 1 if seconds and baseline else None


# ------------------------------------------------------------------------------------------------------ tables in words


def table_cells(compared: Comparison) -> tuple[list[str], list[list[str]]]:
    """The header and the cells of the table; the best epoch's number is named for what it is.

    The paper's numbers have a column where there are any.
    """
    header = ["", "seeds", "last epoch", f"difference to {compared.baseline} (95 % interval)",
              "best epoch, chosen on the test set", "seconds an epoch", "overhead"]  # fmt: skip
    cells = [
        [
            row.name,
            str(row.last.n),
            spread(row.last),
            "baseline" if row.name == compared.baseline else _difference_cell(row),
            spread(row.best),
            "" if row.seconds is None else three_digits(row.seconds),
            "" if row.overhead is None else f"{100 * row.overhead:+.1f} %",
        ]
        for row in compared.rows
    ]
    if not _has_paper(compared):
        return header, cells
    return [*header, PAPER], [[*line, _paper_cell(row, compared)] for line, row in zip(cells, compared.rows)]


def _has_paper(compared: Comparison) -> bool:
    return any(row.paper is not None for row in compared.rows)


def _paper_cell(row: Row, compared: Comparison) -> str:
    """``77.60 (+0.90)``: the paper's number, and its difference to the one that the paper gives for the baseline."""
    if row.paper is None:
        return ""
    before = compared.paper_baseline
    gain = "" if before is None or row.name == compared.baseline else f" ({row.paper - before:+.2f})"
    return f"{row.paper:.2f}{gain}"


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


PAPER = "the paper"


def definition(compared: Comparison) -> str:
    """What the table's numbers are."""
    return f"{compared.measure.definition} {paper_note(compared)}".rstrip()


def paper_note(compared: Comparison) -> str:
    """What the paper's numbers in the table are; empty where there are none."""
    known = compared.paper_baseline is not None
    gain = f", with the difference to the paper's of {compared.baseline}" * known
    note = (
        f"The paper's numbers are of the same recipe{gain}; of which epoch, see the recipe. Data and backbone are "
        "known by their folders' names alone."
    )
    return note * _has_paper(compared)


def as_text(compared: Comparison, warnings: Sequence[str]) -> str:
    """The table in columns for a terminal, what its numbers are, and the warnings."""
    header, cells = table_cells(compared)
    header[4] = "best epoch*"
    widths = [max(len(line[column]) for line in [header, *cells]) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [header, *cells]]
    notes = [definition(compared), "* chosen on the test set"]
    return "\n".join([*lines, "", *notes, "", *(f"! {warning}" for warning in warnings)]) + "\n"


CSV_COLUMNS = ("name", "n", "seeds", "last_mean", "last_sd", "difference_mean", "difference_low", "difference_high",
               "pairs", "best_on_test_set_mean", "best_on_test_set_sd", "seconds_an_epoch", "overhead",
               "measure", "paper", "warnings")  # fmt: skip


def as_csv(compared: Comparison, warnings: Sequence[str]) -> str:
    """The numbers, a line a group; the warnings, which hold for all, stand in each line's last column."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in compared.rows:
        gap = row.difference
        writer.writerow(
            [row.name, row.last.n, " ".join(map(str, row.last.seeds)), row.last.mean, row.last.sd,
             *((gap.mean, gap.low, gap.high, len(gap.seeds)) if gap else (None, None, None, None)),
             row.best.mean, row.best.sd, row.seconds, row.overhead, compared.measure.name, row.paper,
             " ".join(warnings)]
        )  # fmt: skip
    return table.getvalue()


def as_json(compared: Comparison, warnings: Sequence[str]) -> str:
    """All of it: the rows with each seed's values, the baseline, what the numbers are, and the warnings."""
    whole = {
        "measure": compared.measure.name,
        "larger_is_better": compared.measure.larger_is_better,
        "baseline": compared.baseline,
        "confidence": CONFIDENCE,
        "definition": definition(compared),
        "best_is": "chosen on the test set",
        "warnings": list(warnings),
        "rows": [asdict(row) for row in compared.rows],
    }
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"
