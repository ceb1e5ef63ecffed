"""Run folders in, one page out: ``report.html``, which needs nothing beside it, and ``report.md`` with its pictures.

And, for a comparison, its table as text, CSV, JSON and Markdown, its records, and its curves with bands. Reads what the
runs left, by ``comparison.py``, and first_batch.png; imports no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cutmix.comparison import (
    BEST,
    DEFINITION,
    LAST,
    WRITTEN,
    Group,
    Row,
    Run,
    as_csv,
    as_json,
    as_text,
    cautions,
    compare,
    differing,
    find_baseline,
    find_runs,
    grouped,
    named_by_recipe,
    read_runs,
    spread,
    table_cells,
    three_digits,
)
from cutmix.errors import CutmixError, UsageError
from cutmix.files import write_atomically
from cutmix.page import Block, Code, Heading, Items, Pictures, Table, Text, read_bytes, write_page
from cutmix.pictures import bands_picture, runs_picture
from cutmix.results import Record, Summary, read_records, record_lines

__all__ = ["find_runs", "update_tables", "write_comparison", "write_report"]

FRAME = 4.0  # error curves are shown up to this many times the largest last error: there the methods part
CURVES = "learning_curves.png"


def write_report(
    run_folders: Sequence[Path],
    out: Path,
    title: str = "",
    commands: Sequence[str] = (),
    *,
    baseline: str = "",
    compared: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> tuple[Path, Path]:
    """Compare runs in ``out/report.html`` and ``out/report.md``; returns both paths.

    Runs whose recipes differ in nothing but the seed are one group.

    Args:
        run_folders: one folder a run, as training leaves it; :func:`find_runs` finds them.
        out: folder to write to; made if need be.
        title: heading of the page; empty for one made of the data and what is compared.
        commands: how the runs were made, shown before the commands that the runs themselves noted.
        baseline: the group that the others are compared with, by its name or a run's; empty for the first.
        compared: the settings that are meant to differ between groups, as in :func:`cutmix.comparison.cautions`.
        defaults: what a setting is that an older recipe.json lacks.

    Raises:
        UsageError: no folders, or one twice, or no such baseline.
        CutmixError: a folder does not hold a run, or ``out`` cannot be written.
    """
    groups = grouped(read_runs(run_folders, defaults))
    return _write_report(groups, Path(out), title, commands, find_baseline(groups, baseline), compared)


def _write_report(
    groups: Sequence[Group], out: Path, title: str, commands: Sequence[str], baseline: str, compared: Iterable[str]
) -> tuple[Path, Path]:
    heading = title or _title(groups)
    blocks: list[Block] = [Heading(1, heading), *_results(groups, baseline, compared), *_curves(groups, out)]
    blocks += [*_differences(groups), *_first_batches(groups, out), *_how(groups, commands), *_same(groups)]
    page, document = out / "report.html", out / "report.md"
    write_page(blocks, heading, page, document)
    return page, document


def write_comparison(
    run_folders: Sequence[Path],
    out: Path,
    title: str = "",
    commands: Sequence[str] = (),
    *,
    baseline: str = "",
    compared: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> str:
    """Write all that can be said of the runs into ``out``; returns the table and its warnings as text.

    compare.txt, compare.csv, compare.json, compare.md   the table, and the warnings
    learning_curves.png                                  means over seeds, with bands
    results.jsonl                                        the numbers of each run, from which tables are made again
    report.html, report.md                               the whole page, as :func:`write_report` makes it

    The same runs give the same files. Arguments and errors are those of :func:`write_report`.
    """
    compared, out = list(compared), Path(out)
    groups = grouped(read_runs(run_folders, defaults))
    baseline = find_baseline(groups, baseline)
    rows = compare({group.name: group.records for group in groups}, baseline)
    warnings = cautions(groups, baseline, compared)
    text = as_text(rows, baseline, warnings)
    markdown = f"{_table_block(rows, baseline)}\n\n{Items(warnings).markdown()}\n"
    contents = {
        "compare.txt": text.encode(),
        "compare.csv": as_csv(rows, warnings).encode(),
        WRITTEN: as_json(rows, baseline, warnings).encode(),
        "compare.md": markdown.encode(),
        "results.jsonl": record_lines(record for group in groups for record in group.records),
    }
    for name, content in contents.items():
        _write(out / name, content)
    _write_report(groups, out, title, commands, baseline, compared)
    return text


# -------------------------------------------------------------------------------------- tables made again from records


TABLE = re.compile(r"(?P<begin><!-- table: (?P<file>[^\s>]+)(?: baseline: (?P<baseline>[^>]*?))? -->\n)(?P<old>.*?)"
                   r"(?P<end><!-- end of table -->)", re.DOTALL)  # fmt: skip


def update_tables(document: Path) -> bool:
    """Make the tables of a Markdown document again from the records that they name; returns whether one changed.

    A table stands between ``<!-- table: cifar10/results.jsonl -->`` and ``<!-- end of table -->``; the file is looked
    for from the document's folder. ``<!-- table: FILE baseline: NoMixing -->`` names the baseline.

    Raises:
        UsageError: the document has no such mark, or one without its end.
        CutmixError: the document or the records cannot be read.
    """
    before = read_bytes(document).decode()
    marks, found = before.count("<!-- table:"), len(TABLE.findall(before))
    if not marks or marks != found:
        raise UsageError(
            f"{document} has {marks} marks <!-- table: FILE -->, {found} of them with an <!-- end of table -->: "
            "there must be one at least, and each must have its end."
        )

    def made(mark: re.Match[str]) -> str:
        table = records_table(read_records(document.parent / mark["file"]), (mark["baseline"] or "").strip())
        return f"{mark['begin']}{table}\n{mark['end']}"

    after = TABLE.sub(made, before)
    if after != before:
        _write(document, after.encode())
    return after != before


def records_table(records: Sequence[Record], baseline: str = "") -> str:
    """The Markdown table of the records of a ``results.jsonl``; its baseline is the first recipe if none is named."""
    groups = named_by_recipe(records)
    if not groups:
        raise CutmixError("there are no records to make a table of.")
    return _table_block(compare(groups, baseline), baseline or next(iter(groups)))


def _table_block(rows: Sequence[Row], baseline: str) -> str:
    return f"{Table(*table_cells(rows, baseline)).markdown()}\n\n{Text(DEFINITION).markdown()}"


# -------------------------------------------------------------------------------------------------- parts of the page


def _title(groups: Sequence[Group]) -> str:
    data = {str(group.settings.get("data")) for group in groups}
    names = ", ".join(group.name for group in groups)
    return f"{data.pop()}: {names}" if len(data) == 1 else names


def _results(groups: Sequence[Group], baseline: str, compared: Iterable[str]) -> Iterator[Block]:
    yield Heading(2, "Read this first")
    yield Items(cautions(groups, baseline, compared))
    yield Heading(2, "Test error")
    rows = []
    for group in groups:
        if group.ended:
            last, best = group.summary(LAST), group.summary(BEST)
            rows.append([group.name, str(last.n), spread(last), _seeds(last), spread(best), _seeds(best)])
    header = ["", "seeds", "last epoch", "last, by seed", "best epoch, chosen on the test set", "best, by seed"]
    yield Table(header, rows)
    yield Text("Top-1 error in percent, mean ± standard deviation over seeds (n - 1 in the denominator).")
    images = sorted({run.result["test_images"] for group in groups for run in group.ended})
    if len(images) == 1:
        yield Text(f"The test set has {images[0]:,} images: one image is {100 / images[0]:.2g} percent.")
    yield from _against(groups, baseline)


def _against(groups: Sequence[Group], baseline: str) -> Iterator[Block]:
    """Each group beside the baseline; nothing where there is none but the baseline."""
    compared = compare({group.name: group.records for group in groups}, baseline)
    if len(compared) < 2:
        return
    header, rows = table_cells(compared, baseline)
    shown = [0, 3, 5, 6]
    yield Heading(2, f"Against {baseline}")
    yield Table([header[column] for column in shown], [[row[column] for column in shown] for row in rows])
    yield Text(
        "Differences of the last epoch's error, taken seed by seed, and Student's t interval for paired samples; "
        "negative is better. Seconds are the median training epoch's, overhead is against the baseline's."
    )


def _seeds(summary: Summary) -> str:
    return ", ".join(f"{seed}: {value:.2f}" for seed, value in zip(summary.seeds, summary.values))


def _curves(groups: Sequence[Group], out: Path) -> Iterator[Block]:
    yield Heading(2, "Learning curves")
    runs = {group.name: [run.metrics for run in group.runs] for group in groups}
    last = [run.result[LAST] for group in groups for run in group.ended]
    top = FRAME * max(last, default=0.0)
    frame = top or None
    bands, error, loss = out / CURVES, out / "test_error_top1.png", out / "train_loss.png"
    name, key = "top-1 error on the test set (%)", "test_error_top1"
    ended = {group.name: [run.metrics for run in group.ended] for group in groups if group.ended}
    bands_picture(ended, key, bands, name, top=frame)
    runs_picture(runs, key, error, name, top=frame)
    runs_picture(runs, "train_loss", loss, "training loss")
    yield Pictures(
        [
            (
                bands,
                "Top-1 error on the test set: mean over the runs that ended; the band is ± one standard deviation. "
                "The first epochs may lie above the frame.",
            ),
            (error, "Top-1 error on the test set, one line a run."),
            (loss, "Training loss, one line a run. It is that of the mixed labels, so methods differ in it by nature."),
        ]
    )


def _differences(groups: Sequence[Group]) -> Iterator[Block]:
    settings = differing([group.settings for group in groups])
    if settings:
        yield Heading(2, "What differs")
        rows = [[g.name, *(_value(g.settings.get(name, "(not set)")) for name in settings)] for g in groups]
        yield Table(["", *settings], rows)


def _same(groups: Sequence[Group]) -> Iterator[Block]:
    yield Heading(2, "What is the same in all runs")
    settings = differing([group.settings for group in groups])
    same = {name: value for name, value in groups[0].settings.items() if name not in settings}
    yield Table(["setting", "value"], [[name, _value(value)] for name, value in same.items()])


def _value(value: Any) -> str:
    return "(empty)" if value == "" else str(value)


def _first_batches(groups: Sequence[Group], out: Path) -> Iterator[Block]:
    drawn = [(group, group.runs[0].folder / "first_batch.png") for group in groups]
    drawn = [(group, picture) for group, picture in drawn if picture.exists()]
    if drawn:
        yield Heading(2, "What the networks were shown first")
    for number, (group, picture) in enumerate(drawn, 1):
        path = out / f"first_batch_{number}.png"
        _write(path, read_bytes(picture))
        yield Pictures([(path, f"First training batch, {group.name}, seed {group.runs[0].seed}")])


def _how(groups: Sequence[Group], commands: Sequence[str]) -> Iterator[Block]:
    yield Heading(2, "How it was run")
    runs = [(group, run) for group in groups for run in group.runs]
    yield Table(
        ["run", "group", "seed", "epochs", "seconds an epoch (median)", "training images a second (median)"],
        [[run.folder.name, group.name, str(run.seed), str(len(run.metrics)), _median(run, "seconds"),
          _median(run, "images_per_second")] for group, run in runs],
    )  # fmt: skip
    for name, key in (("Machine", "device"), ("Code", "version")):
        values = list(dict.fromkeys(run.result[key] for _, run in runs if run.result))
        if values:
            yield Text(f"{name}: {'; '.join(values)}.")
    noted = [str(run.result["command"]) for _, run in runs if run.result.get("command")]
    if lines := list(dict.fromkeys([*commands, *noted])):
        yield Code(lines)


def _median(run: Run, key: str) -> str:
    median = run.median(key)
    return "" if median is None else three_digits(median)


# ---------------------------------------------------------------------------------------------------------------- files


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))
