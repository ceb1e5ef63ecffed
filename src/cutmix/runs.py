"""Runs as they lie in their folders: read, grouped by what their recipes share, and named by what tells them apart.

Reads what runs left (recipe.json, metrics.jsonl, result.json) and imports no torch.
"""

from __future__ import annotations

import ast
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cutmix.errors import CutmixError, UsageError, nearest
from cutmix.measures import BESIDE, Measure, first_known, named, of_result, the_same
from cutmix.results import Record, Summary, summarise

SECONDS = "train_seconds_an_epoch_median"
WRITTEN = "compare.json"
PAGES = (WRITTEN, "report.html", "evaluation.json")
"""By one of these a folder is known that a comparison, a report or an evaluation was written to."""

Completed = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From a recipe as a folder has it to the whole one, with the defaults of settings that an older one lacks."""
# ------------------------------------------------------------------------------------------------------ runs and groups


def find_runs(paths: Iterable[Path]) -> list[Path]:
    """The run folders among ``paths`` and directly within them, in order of their names; each once.

    Folders that a comparison, a report or an evaluation was written to are passed over: ``runs/*`` may hold one.

    Raises:
        UsageError: there is no run in one of the paths.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        runs = [path] if (path / "recipe.json").exists() else sorted(file.parent for file in path.glob("*/recipe.json"))
        if not runs and not any((path / page).exists() for page in PAGES):
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

    @property
    def measure(self) -> Measure | None:
        """What the run's epochs are compared by; None where it was never tested."""
        if self.result:
            return of_result(self.result, self.recipe)
        name = first_known(key for record in self.metrics for key in record)
        return named(name, self.recipe) if name else None

    def has(self, name: str) -> bool:
        """Whether the result has the number ``name``."""
        return name in self._numbers()

    def record(self, name: str) -> Record:
        """The number ``name`` of the result, as a record."""
        return self._record(name, self._numbers()[name], self.result["test_images"])

    def records(self) -> list[Record]:
        """What the tests found, first what epochs are compared by, and the seconds that the run trained an epoch.

        None for a run that has not ended.
        """
        if self.measure is None or not self.result:
            return []
        numbers = self._numbers()
        measures = [self.measure, *(beside for beside in BESIDE if beside.name != self.measure.name)]
        found = [self.record(name) for m in measures for name in (m.last, m.best) if name in numbers]
        seconds = self.median("seconds")
        return found if seconds is None else [*found, self._record(SECONDS, seconds, len(self.metrics))]

    def _numbers(self) -> dict[str, float]:
        """The result's finite numbers, with those that only the last test has."""
        tested = {f"{name}_last": value for name, value in (self.result.get("test") or {}).items()}
        return {name: value for name, value in {**tested, **self.result}.items() if _is_number(value)}

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

    def has(self, name: str) -> bool:
        """Whether one of the runs that have ended has the number ``name``."""
        return any(run.has(name) for run in self.ended)

    def summary(self, name: str) -> Summary:
        """Mean and deviation over seeds, of the runs that :meth:`has` it; a seed that was run twice counts once."""
        (summary,) = summarise([run.record(name) for run in self.ended if run.has(name)])
        return summary


def read_runs(folders: Iterable[Path], completed: Completed = dict) -> list[Run]:
    """What the runs left in ``folders``.

    Args:
        completed: fills in what a setting is that an older recipe.json lacks.

    Raises:
        UsageError: no folders, or one twice.
        CutmixError: a folder does not hold a run, or not the numbers of one; names the file.
    """
    folders = [Path(folder) for folder in folders]
    if not folders:
        raise UsageError("a comparison needs at least one run folder, and got none.")
    repeated = [folder for folder, times in Counter(folder.resolve() for folder in folders).items() if times > 1]
    if repeated:
        raise UsageError(f"the run {repeated[0]} was given twice: it would count as two runs.")
    return [_read_run(folder, completed) for folder in folders]


def _read_run(folder: Path, completed: Completed) -> Run:
    recipe = _parsed(folder / "recipe.json")
    if not any(recipe):
        raise CutmixError(f"{folder} does not hold a run: it has no recipe.json, or an empty one.")
    command = "cutmix transfer" if "task" in recipe[0] else "cutmix train"
    (result,) = _parsed(folder / "result.json", command) or [{}]
    measure = of_result(result)
    needed = (measure.last, measure.best, "test_images", "version", "device")
    missing = [name for name in needed if result and name not in result]
    if missing:
        raise CutmixError(
            f"{folder / 'result.json'} lacks {', '.join(missing)}: it is not the result of a training run."
        )
    broken = [f"{name} is {result[name]}" for name in needed[:2] if result and not _is_number(result[name])]
    if broken:
        raise CutmixError(
            f"in {folder / 'result.json'} {' and '.join(broken)}, and only finite numbers can be compared: leave that "
            "run out."
        )
    return Run(folder, completed(recipe[0]), _parsed(folder / "metrics.jsonl", command), result)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _parsed(path: Path, command: str = "") -> list[dict[str, Any]]:
    """The JSON objects in a file: one a line in a .jsonl, else one; none if there is no file.

    Args:
        command: what writes the file again, from the run's checkpoint; empty for a file that nothing does.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = [json.loads(part) for part in (text.splitlines() if path.suffix == ".jsonl" else [text])]
        if not all(isinstance(part, dict) for part in found):
            raise ValueError("it holds no JSON object")
        return found
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        again = f"delete {path.with_name('result.json')}, then {command} {path.parent} --resume writes it again"
        remedy = f" Its numbers are in the run's checkpoint too: {again}." if command else ""
        raise CutmixError(f"cannot read {path}: {error}.{remedy}") from error


def grouped(runs: Sequence[Run]) -> list[Group]:
    """The runs by recipe without the seed, in order of appearance, named by what tells the groups apart."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(json.dumps(run.settings, sort_keys=True), []).append(run)
    recipes = [group[0].settings for group in members.values()]
    return [Group(*group) for group in zip(setting_names(recipes), recipes, members.values())]


def shared_measure(groups: Sequence[Group]) -> Measure:
    """What all of the runs are compared by.

    Raises:
        UsageError: not all are compared by the same; the message names a run of each kind.
    """
    return the_same((run.measure, run.folder) for group in groups for run in group.runs if run.measure)


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
    """``CutMix``, or ``CutMix(alpha=0.5)`` if another is CutMix too, or ``epochs=30, mixing=CutMix`` if both differ.

    Of transfers with several kinds of tasks, settings that go with these are not said.
    """
    method = "backbone" if any("backbone" in recipe for recipe in recipes) else "mixing"
    settings = _telling(recipes, differing(recipes)) or [method]
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


def _telling(recipes: Sequence[Mapping[str, Any]], settings: Sequence[str]) -> list[str]:
    """``settings`` without those that go with the kind of task: where all SSD runs have 15 epochs, "SSD" says so."""
    if "task" not in settings:
        return list(settings)

    def goes_with_the_task(setting: str) -> bool:
        of_task: dict[str, Any] = {}
        tasks = _without_arguments([recipe.get("task") for recipe in recipes])
        return all(of_task.setdefault(task, r.get(setting)) == r.get(setting) for task, r in zip(tasks, recipes))

    return [setting for setting in settings if setting in ("task", "backbone") or not goes_with_the_task(setting)]


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
