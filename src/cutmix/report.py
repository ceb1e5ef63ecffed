"""Run folders in, one page out: ``report.html``, which needs nothing beside it, and ``report.md`` with its pictures.

Reads what the runs left (recipe.json, metrics.jsonl, result.json, first_batch.png) and imports no torch.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any

from cutmix.errors import CutmixError, UsageError
from cutmix.files import write_atomically
from cutmix.page import PAGE, Block, Code, Heading, Items, Pictures, Table, Text, file_bytes
from cutmix.pictures import runs_picture
from cutmix.results import Record, Summary, summarise

__all__ = ["find_runs", "write_report"]

LAST, BEST = "test_error_top1_last", "test_error_top1_best"
FEW_SEEDS = 3
FRAME = 4.0  # error curves are shown up to this many times the largest last error: there the methods part


def write_report(
    run_folders: Sequence[Path], out: Path, title: str = "", commands: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Compare runs in ``out/report.html`` and ``out/report.md``; returns both paths.

    Runs whose recipes differ in nothing but the seed are one group.

    Args:
        run_folders: one folder a run, as training leaves it; :func:`find_runs` finds them.
        out: folder to write to; made if need be.
        title: heading of the page; empty for one made of the data and what is compared.
        commands: how the runs were made, shown before the commands that the runs themselves noted.

    Raises:
        UsageError: no folders, or one twice.
        CutmixError: a folder does not hold a run, or ``out`` cannot be written.
    """
    folders = [Path(folder) for folder in run_folders]
    if not folders:
        raise UsageError("a report needs at least one run folder, and got none.")
    repeated = [folder for folder, times in Counter(folder.resolve() for folder in folders).items() if times > 1]
    if repeated:
        raise UsageError(f"the run {repeated[0]} was given twice: it would count as two runs.")
    groups = grouped([read_run(folder) for folder in folders])
    heading, out = title or _title(groups), Path(out)
    blocks: list[Block] = [Heading(1, heading), *_results(groups), *_curves(groups, out), *_differences(groups)]
    blocks += [*_first_batches(groups, out), *_how(groups, commands), *_same(groups)]
    page, document = out / "report.html", out / "report.md"
    html = PAGE.format(title=escape(heading), body="\n".join(block.html() for block in blocks))
    markdown = "\n\n".join(block.markdown() for block in blocks) + "\n"
    write_atomically(page, lambda file: file.write(html.encode()))
    write_atomically(document, lambda file: file.write(markdown.encode()))
    return page, document


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run folders among ``paths`` and directly within them, in order of their names; each once.

    Raises:
        UsageError: there is no run in one of the paths.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        runs = [path] if (path / "recipe.json").exists() else sorted(file.parent for file in path.glob("*/recipe.json"))
        if not runs:
            raise UsageError(f"there is no run in {path}: a run's folder holds a recipe.json.")
        found.update(dict.fromkeys(runs))
    return list(found)


# ------------------------------------------------------------------------------------------------------ runs and groups


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

    def record(self, name: str) -> Record:
        """The number ``name`` of the result, as a record."""
        return Record(name=name, value=self.result[name], n=self.result["test_images"], seed=self.seed,
                      recipe=self.recipe, commit=self.result["version"], device=self.result["device"])  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed."""

    name: str
    settings: dict[str, Any]
    runs: list[Run]

    @property
    def ended(self) -> list[Run]:
        return [run for run in self.runs if run.result]

    def summary(self, name: str) -> Summary:
        """Mean and deviation over seeds, of the runs that have ended; a seed that was run twice counts once."""
        (summary,) = summarise([run.record(name) for run in self.ended])
        return summary


def read_run(folder: Path) -> Run:
    """Raises CutmixError, which names the file, if the folder does not hold a run."""
    recipe = _parsed(folder / "recipe.json")
    if not recipe:
        raise CutmixError(f"{folder} does not hold a run: it has no recipe.json.")
    (result,) = _parsed(folder / "result.json") or [{}]
    missing = [name for name in (LAST, BEST, "test_images", "version", "device") if result and name not in result]
    if missing:
        raise CutmixError(
            f"{folder / 'result.json'} lacks {', '.join(missing)}: it is not the result of a training run."
        )
    return Run(folder, recipe[0], _parsed(folder / "metrics.jsonl"), result)


def _parsed(path: Path) -> list[dict[str, Any]]:
    """The JSON objects in a file: one a line in a .jsonl, else one; none if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
        return [dict(json.loads(part)) for part in (text.splitlines() if path.suffix == ".jsonl" else [text])]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise CutmixError(f"cannot read {path}: {error}.") from error


def grouped(runs: Sequence[Run]) -> list[Group]:
    """The runs by recipe without the seed, in order of appearance, named by what tells the groups apart."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps(run.settings, sort_keys=True), []).append(run)
    recipes = [group[0].settings for group in members.values()]
    return [Group(*group) for group in zip(setting_names(recipes), recipes, members.values())]


def differing(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """The settings that are not the same in all ``recipes``, in alphabetical order."""
    names = sorted({name for recipe in recipes for name in recipe})
    return [name for name in names if any(recipe.get(name) != recipes[0].get(name) for recipe in recipes)]


def setting_names(recipes: Sequence[dict[str, Any]]) -> list[str]:
    """``CutMix``, or ``CutMix(alpha=0.5)`` if another is CutMix too, or ``epochs=30, mixing=CutMix`` if both differ."""
    settings = differing(recipes) or ["mixing"]
    for form in (lambda value: str(value).partition("(")[0], str):
        names = [
            ", ".join(form(recipe.get(s)) if len(settings) == 1 else f"{s}={form(recipe.get(s))}" for s in settings)
            for recipe in recipes
        ]
        if len(set(names)) == len(names):
            break
    return names


def _title(groups: Sequence[Group]) -> str:
    data = {str(group.settings.get("data")) for group in groups}
    names = ", ".join(group.name for group in groups)
    return f"{data.pop()}: {names}" if len(data) == 1 else names


# ------------------------------------------------------------------------------------------------------------ cautions


def cautions(groups: Sequence[Group]) -> list[str]:
    """What a reader should know before believing the table, in plain language."""
    return [*_about_seeds(groups), *_about_differences(groups), *_about_runs(groups), CHOSEN_ON_TEST]


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
        yield f"The groups were not run with the same seeds ({listed})."


def _about_differences(groups: Sequence[Group]) -> Iterator[str]:
    settings = differing([group.settings for group in groups])
    if len(settings) > 1:
        yield (
            f"The groups differ in {len(settings)} settings ({', '.join(settings)}), so a difference in error cannot "
            "be put down to one of them."
        )
    summaries = [(group.name, group.summary(LAST)) for group in groups if group.ended]
    for (one, first), (other, second) in combinations(summaries, 2):
        spread = max(first.sd or 0.0, second.sd or 0.0)
        gap = abs(first.mean - second.mean)
        if gap < spread:
            yield (
                f"{one} and {other} differ by {gap:.2f}, less than the runs of one of them differ among themselves "
                f"(standard deviation {spread:.2f}): that may be chance."
            )


def _about_runs(groups: Sequence[Group]) -> Iterator[str]:
    runs = [run for group in groups for run in group.runs]
    open_runs = [run.folder.name for run in runs if not run.result]
    if open_runs:
        yield f"Not ended, and not in the table: {', '.join(open_runs)}."
    ended = [run.result for run in runs if run.result]
    if len({result["test_images"] for result in ended}) > 1:
        yield "The runs were tested on different numbers of images, so their errors cannot be compared."
    versions = list(dict.fromkeys(result["version"] for result in ended))
    if len(versions) > 1:
        yield f"The runs were made with different versions of the code: {', '.join(versions)}."
    if any(version.endswith(".changed") for version in versions):
        yield "Some runs were made with changes to the code that its commit does not hold."
    if len({result["device"] for result in ended}) > 1:
        yield "The runs were made on different machines, so their times cannot be compared."


# -------------------------------------------------------------------------------------------------- parts of the page


def _results(groups: Sequence[Group]) -> Iterator[Block]:
    yield Heading(2, "Read this first")
    yield Items(cautions(groups))
    yield Heading(2, "Test error")
    rows = []
    for group in groups:
        if group.ended:
            last, best = group.summary(LAST), group.summary(BEST)
            rows.append([group.name, str(last.n), _spread(last), _seeds(last), _spread(best), _seeds(best)])
    header = ["", "seeds", "last epoch", "last, by seed", "best epoch, chosen on the test set", "best, by seed"]
    yield Table(header, rows)
    yield Text("Top-1 error in percent, mean ± standard deviation over seeds (n - 1 in the denominator).")
    images = sorted({run.result["test_images"] for group in groups for run in group.ended})
    if len(images) == 1:
        yield Text(f"The test set has {images[0]:,} images: one image is {100 / images[0]:.2g} percent.")


def _spread(summary: Summary) -> str:
    return f"{summary.mean:.2f}" if summary.sd is None else f"{summary.mean:.2f} ± {summary.sd:.2f}"


def _seeds(summary: Summary) -> str:
    return ", ".join(f"{seed}: {value:.2f}" for seed, value in zip(summary.seeds, summary.values))


def _curves(groups: Sequence[Group], out: Path) -> Iterator[Block]:
    yield Heading(2, "Learning curves")
    runs = {group.name: [run.metrics for run in group.runs] for group in groups}
    last = [run.result[LAST] for group in groups for run in group.ended]
    top = FRAME * max(last, default=0.0)
    error, loss = out / "test_error_top1.png", out / "train_loss.png"
    runs_picture(runs, "test_error_top1", error, "top-1 error on the test set (%)", top=top or None)
    runs_picture(runs, "train_loss", loss, "training loss")
    yield Pictures(
        [
            (error, "Top-1 error on the test set, one line a run. The first epochs may lie above the frame."),
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
        _copy(picture, path)
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
    values = [record[key] for record in run.metrics if key in record]
    if not values:
        return ""
    median = statistics.median(values)
    return f"{median:,.0f}" if median >= 100 else f"{median:.3g}"


# ---------------------------------------------------------------------------------------------------------------- files


def _copy(source: Path, path: Path) -> None:
    content = file_bytes(source)
    write_atomically(path, lambda file: file.write(content))
