"""Run folders in, one page out: ``report.html``, which needs nothing beside it, and ``report.md`` with its pictures.

And, for a comparison, its table as text, CSV, JSON and Markdown, its records, and its curves with bands. Reads what the
runs left, by ``runs.py``, and their pictures; imports no torch.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cutmix.cautions import cautions
from cutmix.comparison import (
    PAPER,
    Comparison,
    Paper,
    as_csv,
    as_json,
    as_text,
    compare,
    definition,
    no_paper,
    paper_note,
    spread,
    table_cells,
    three_digits,
)
from cutmix.errors import CutmixError, UsageError
from cutmix.files import write_atomically
from cutmix.measures import BESIDE, Measure
from cutmix.page import Block, Code, Heading, Items, Pictures, Table, Text, read_bytes, write_page
from cutmix.pictures import bands_picture, runs_picture
from cutmix.results import Record, Summary, read_records, record_lines
from cutmix.runs import (
    WRITTEN,
    Completed,
    Group,
    Run,
    differing,
    find_baseline,
    grouped,
    named_by_recipe,
    read_runs,
    shared_measure,
)

__all__ = ["update_tables", "write_comparison", "write_report"]

FRAME = 4.0  # error curves are shown up to this many times the largest last error: there the methods part
CURVES = "learning_curves.png"
LOSS_OF_MIXED = " It is that of the mixed labels, so methods differ in it by nature."
LARGE = 300_000  # bytes of a picture
JPEG_QUALITY = 88
OF_EVERY_RUN = ("first_batch.png", "curves.png")


def write_report(
    run_folders: Sequence[Path],
    out: Path,
    title: str = "",
    commands: Sequence[str] = (),
    *,
    baseline: str = "",
    compared: Iterable[str] = (),
    completed: Completed = dict,
    paper: Paper = no_paper,
) -> tuple[Path, Path]:
    """Compare runs in ``out/report.html`` and ``out/report.md``; returns both paths.

    Runs whose recipes differ in nothing but the seed are one group.

    Args:
        run_folders: one folder a run, as training leaves it; :func:`cutmix.runs.find_runs` finds them.
        out: folder to write to; made if need be.
        title: heading of the page; empty for one made of the data and what is compared.
        commands: how the runs were made, shown before the commands that the runs themselves noted.
        baseline: the group that the others are compared with, by its name or a run's; empty for the first.
        compared: the settings that are meant to differ between groups, as in :func:`cutmix.cautions.cautions`.
        completed: fills in what a setting is that an older recipe.json lacks.
        paper: tells the paper's numbers for a recipe.

    Raises:
        UsageError: no folders, or one twice, or no such baseline, or runs that are not measured alike.
        CutmixError: a folder does not hold a run, or ``out`` cannot be written.
    """
    groups = grouped(read_runs(run_folders, completed))
    whole = _compared(groups, find_baseline(groups, baseline), paper)
    warnings = cautions(groups, whole.baseline, compared)
    return _write_report(groups, whole, warnings, Path(out), title, commands, paper)


def _compared(groups: Sequence[Group], baseline: str, paper: Paper) -> Comparison:
    measure = shared_measure(groups)  # which names the folders where it is not the same
    return compare({group.name: group.records for group in groups}, baseline, paper, measure)


def _write_report(
    groups: Sequence[Group],
    compared: Comparison,
    warnings: Sequence[str],
    out: Path,
    title: str,
    commands: Sequence[str],
    paper: Paper,
) -> tuple[Path, Path]:
    heading = title or _title(groups)
    blocks: list[Block] = [Heading(1, heading), Heading(2, "Read this first"), Items(warnings)]
    measure = compared.measure
    blocks += [*_results(groups, measure), *_against(compared), *_beside(groups, measure, paper)]
    blocks += [*_curves(groups, measure, out), *_differences(groups), *_first_batches(groups, out)]
    blocks += [*_last_tests(groups, out), *_how(groups, commands), *_same(groups)]
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
    completed: Completed = dict,
    paper: Paper = no_paper,
) -> str:
    """Write all that can be said of the runs into ``out``; returns the table and its warnings as text.

    compare.txt, compare.csv, compare.json, compare.md   the table, and the warnings
    learning_curves.png                                  means over seeds, with bands
    results.jsonl                                        the numbers of each run, from which tables are made again
    report.html, report.md                               the whole page, as :func:`write_report` makes it

    The same runs give the same files. Arguments and errors are those of :func:`write_report`.
    """
    out = Path(out)
    groups = grouped(read_runs(run_folders, completed))
    whole = _compared(groups, find_baseline(groups, baseline), paper)
    warnings = cautions(groups, whole.baseline, compared)
    text = as_text(whole, warnings)
    markdown = f"{_table_block(whole)}\n\n{Items(warnings).markdown()}\n"
    contents = {
        "compare.txt": text.encode(),
        "compare.csv": as_csv(whole, warnings).encode(),
        WRITTEN: as_json(whole, warnings).encode(),
        "compare.md": markdown.encode(),
        "results.jsonl": record_lines(record for group in groups for record in group.records),
    }
    for name, content in contents.items():
        _write(out / name, content)
    _write_report(groups, whole, warnings, out, title, commands, paper)
    return text


# -------------------------------------------------------------------------------------- tables made again from records


TABLE = re.compile(r"(?P<begin><!-- table: (?P<file>[^\s>]+)(?: baseline: (?P<baseline>[^>]*?))? -->\n)(?P<old>.*?)"
                   r"(?P<end><!-- end of table -->)", re.DOTALL)  # fmt: skip


def update_tables(document: Path, paper: Paper = no_paper) -> bool:
    """Make the tables of a Markdown document again from the records that they name; returns whether one changed.

    A table stands between ``<!-- table: cifar10/results.jsonl -->`` and ``<!-- end of table -->``; the file is looked
    for from the document's folder. ``<!-- table: FILE baseline: NoMixing -->`` names the baseline.

    Args:
        paper: tells the paper's numbers for a recipe.

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
        table = records_table(read_records(document.parent / mark["file"]), (mark["baseline"] or "").strip(), paper)
        return f"{mark['begin']}{table}\n{mark['end']}"

    after = TABLE.sub(made, before)
    if after != before:
        _write(document, after.encode())
    return after != before


def records_table(records: Sequence[Record], baseline: str = "", paper: Paper = no_paper) -> str:
    """The Markdown table of the records of a ``results.jsonl``; its baseline is the first recipe if none is named."""
    groups = named_by_recipe(records)
    if not groups:
        raise CutmixError("there are no records to make a table of.")
    return _table_block(compare(groups, baseline, paper))


def _table_block(compared: Comparison) -> str:
    return f"{Table(*table_cells(compared)).markdown()}\n\n{Text(definition(compared)).markdown()}"


# -------------------------------------------------------------------------------------------------- parts of the page


def _title(groups: Sequence[Group]) -> str:
    data = {str(group.settings.get("data")) for group in groups}
    names = ", ".join(group.name for group in groups)
    return f"{data.pop()}: {names}" if len(data) == 1 else names


def _results(groups: Sequence[Group], measure: Measure) -> Iterator[Block]:
    yield Heading(2, f"{measure.title} on the test set")
    rows = []
    for group in groups:
        if group.ended:
            last, best = group.summary(measure.last), group.summary(measure.best)
            rows.append([group.name, str(last.n), spread(last), _seeds(last), spread(best), _seeds(best)])
    header = ["", "seeds", "last epoch", "last, by seed", "best epoch, chosen on the test set", "best, by seed"]
    yield Table(header, rows)
    yield Text(measure.spread)
    images = sorted({run.result["test_images"] for group in groups for run in group.ended})
    if len(images) == 1:
        share = f": one image is {100 / images[0]:.2g} percent" if measure.of_images else ""
        yield Text(f"The test set has {images[0]:,} images{share}.")


def _against(compared: Comparison) -> Iterator[Block]:
    """Each group beside the baseline; nothing where there is none but the baseline."""
    if len(compared.rows) < 2:
        return
    header, rows = table_cells(compared)
    shown = [0, 3, *range(5, len(header))]
    yield Heading(2, f"Against {compared.baseline}")
    yield Table([header[column] for column in shown], [[row[column] for column in shown] for row in rows])
    yield Text(
        f"Differences of the last epoch's {compared.measure.short}, taken seed by seed, and Student's t interval for "
        f"paired samples; {compared.measure.better_sign} is better. Seconds are the median training epoch's, overhead "
        f"is against the baseline's. {paper_note(compared)}".rstrip()
    )


def _beside(groups: Sequence[Group], main: Measure, paper: Paper) -> Iterator[Block]:
    """What else the last test found, in the measures that are known; nothing where there is none."""
    ended = [group for group in groups if group.ended]
    others = [measure for measure in BESIDE if measure.words != main.words]
    found = [measure for measure in others if any(group.has(measure.last) for group in ended)]
    if found:
        yield Heading(2, "Beside it, after the last epoch")
        yield Table(
            ["", *(f"{measure.words} ({measure.unit})" for measure in found)],
            [_beside_row(group, found, main, paper(group.settings)) for group in ended],
        )
        yield Text("Mean ± standard deviation over seeds; n where not all seeds have the number.")


def _beside_row(group: Group, measures: Sequence[Measure], main: Measure, published: Mapping[str, float]) -> list[str]:
    """``62.50 ± 1.41 (the paper: 61.40)`` a measure, with n where not all seeds have it; empty where none has."""
    cells, seeds = [group.name], group.summary(main.last).n
    for measure in measures:
        summary = group.summary(measure.last) if group.has(measure.last) else None
        fewer = f" (n = {summary.n})" if summary and summary.n < seeds else ""
        paper = f" ({PAPER}: {published[measure.name]:.2f})" if measure.name in published else ""
        cells.append(spread(summary) + fewer + paper if summary else "")
    return cells


def _seeds(summary: Summary) -> str:
    return ", ".join(f"{seed}: {value:.2f}" for seed, value in zip(summary.seeds, summary.values))


def _curves(groups: Sequence[Group], measure: Measure, out: Path) -> Iterator[Block]:
    yield Heading(2, "Learning curves")
    runs = {group.name: [run.metrics for run in group.runs] for group in groups}
    loss = out / "train_loss.png"
    runs_picture(runs, "train_loss", loss, "training loss")
    tested = _test_curves(groups, measure, out) if measure.name else []
    note = LOSS_OF_MIXED * any("mixing" in group.settings for group in groups)
    yield Pictures([*tested, (loss, f"Training loss, one line a run.{note}")])


def _test_curves(groups: Sequence[Group], measure: Measure, out: Path) -> list[tuple[Path, str]]:
    """The runs' measure by epoch, with bands and one by one; errors are framed where they come to lie."""
    runs = {group.name: [run.metrics for run in group.runs] for group in groups}
    ended = {group.name: [run.metrics for run in group.ended] for group in groups if group.ended}
    last = [run.result[measure.last] for group in groups for run in group.ended]
    frame = None if measure.larger_is_better else FRAME * max(last, default=0.0) or None
    bands, single = out / CURVES, out / f"{measure.name}.png"
    bands_picture(ended, measure.name, bands, measure.axis, top=frame)
    runs_picture(runs, measure.name, single, measure.axis, top=frame)
    note = "" if measure.larger_is_better else " The first epochs may lie above the frame."
    about = "mean over the runs that ended; the band is ± one standard deviation."
    return [
        (bands, f"{measure.title} on the test set: {about}{note}"),
        (single, f"{measure.title} on the test set, one line a run."),
    ]


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
        path = _copied(picture, out / f"first_batch_{number}.png")
        yield Pictures([(path, f"First training batch, {group.name}, seed {group.runs[0].seed}")])


def _last_tests(groups: Sequence[Group], out: Path) -> Iterator[Block]:
    """The pictures that the last test of a group's first run drew; a classifier's draws none."""
    drawn = [
        (group, run, picture)
        for group in groups
        for run in group.ended[:1]
        for picture in sorted(run.folder.glob("*.png"))
        if picture.name not in OF_EVERY_RUN
    ]
    if drawn:
        yield Heading(2, "What the last test found")
    pictures = []
    for number, (group, run, picture) in enumerate(drawn, 1):
        path = _copied(picture, out / f"last_test_{number}_{picture.name}")
        what = picture.stem.replace("_", " ").capitalize()
        pictures.append((path, f"{what}: {group.name}, seed {run.seed}"))
    if pictures:
        yield Pictures(pictures)


def _copied(picture: Path, path: Path) -> Path:
    """Write the picture to ``path``; a large one, of photos, as a JPEG beside it, which is several times smaller."""
    from PIL import Image

    pixels = read_bytes(picture)
    if len(pixels) > LARGE:
        with Image.open(io.BytesIO(pixels)) as image:
            image.convert("RGB").save(jpeg := io.BytesIO(), "JPEG", quality=JPEG_QUALITY)
        path, pixels = path.with_suffix(".jpg"), jpeg.getvalue()
    _write(path, pixels)
    return path


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
