"""``evaluation.json`` in, one HTML page out: readable by someone who did not run it, offline, on a phone, on paper.

Everything is inside of the file: style, script, pictures, charts, and the JSON itself. Imports no torch.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from cutmix.cautions import FEW_SEEDS
from cutmix.charts import Line, bar_chart, line_chart
from cutmix.errors import CutmixError
from cutmix.files import write_atomically
from cutmix.page import Code, Heading, Items, Text, read_bytes
from cutmix.results import Record, Summary, summarise
from cutmix.runs import setting_names

__all__ = ["write_evaluation_page"]

RESULT, PAGE_NAME = "evaluation.json", "evaluation.html"
FEW_NUMBERS = 12
"""With more numbers than these, a question's list of numbers is folded."""
FEW_CHARTS = 6
LONG = 40
"""A cell with more letters is words, which keep some width on a phone rather than become a tall thin column."""
FEW_ROWS = 20


def write_evaluation_page(folder: Path, title: str = "") -> Path:
    """Write ``folder/evaluation.html`` from the ``evaluation.json`` and the pictures in ``folder``; returns its path.

    Raises:
        CutmixError: there is no result, it cannot be read, or the page cannot be written.
    """
    folder = Path(folder)
    path = folder / RESULT
    text = read_bytes(path).decode()
    try:
        evaluation = Evaluation(folder, json.loads(text))
        heading = title or evaluation.title
        body = "\n".join(block.html() for block in blocks(evaluation, heading))
    except (ValueError, KeyError, TypeError) as error:
        raise CutmixError(f"{path} is not the result of an evaluation ({type(error).__name__}: {error}).") from error
    frame = files("cutmix").joinpath("evaluation_page.html").read_text(encoding="utf-8")
    # What would end the script element early is written as JSON may: with an escape.
    embedded = text.replace("</", "<\\/").replace("<!--", "<\\u0021--")
    for slot, content in (("TITLE", escape(heading)), ("JSON", embedded), ("BODY", body)):
        frame = frame.replace(f"<!--{slot}-->", content, 1)
    page = folder / PAGE_NAME
    write_atomically(page, lambda file: file.write(frame.encode()))
    return page


# ------------------------------------------------------------------------------------------------------ what was found


@dataclass(frozen=True)
class Group:
    """Networks that differ in nothing but the seed, or one network."""

    name: str
    networks: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Evaluation:
    """An ``evaluation.json`` and the folder that it lies in."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def networks(self) -> list[dict[str, Any]]:
        return list(self.content["networks"])

    @property
    def questions(self) -> list[dict[str, Any]]:
        return list(self.content["questions"])

    @property
    def title(self) -> str:
        data = ", ".join(dict.fromkeys(network["data"]["name"] for network in self.networks))
        return f"{', '.join(group.name for group in self.groups)} on {data}"

    @cached_property
    def groups(self) -> list[Group]:
        """The networks by recipe without its seed, in order; one without a recipe is a group of its own."""
        members: dict[str, list[dict[str, Any]]] = {}
        for network in self.networks:
            settings = _settings(network)
            key = json.dumps([settings, network["data"]["spec"]], sort_keys=True) if settings else network["key"]
            members.setdefault(key, []).append(network)
        with_recipe = [group for group in members.values() if group[0]["recipe"]]
        names = dict(zip(map(id, with_recipe), setting_names([_settings(group[0]) or {} for group in with_recipe])))
        named = [(names.get(id(group), group[0]["name"]), group) for group in members.values()]
        if len(named) == 1 and len(self.networks) == 1:
            named = [(self.networks[0]["name"], self.networks)]
        clear = len({name for name, _ in named}) == len(named)
        return [Group(name if clear else f"{name} ({group[0]['name']})", group) for name, group in named]

    def values(self, question: Mapping[str, Any], *kinds: str) -> list[str]:
        """The names of a question's values of these kinds, in order, over all networks."""
        start = question["name"]
        return list(
            dict.fromkeys(
                name
                for network in self.networks
                for name, value in network["values"].items()
                if value["kind"] in kinds and (name == start or name.startswith(f"{start}/"))
            )
        )

    def summary(self, group: Group, name: str) -> Summary | None:
        """A number over a group's seeds; None if no network of it has it."""
        records = [
            Record(name=name, value=value["value"], n=value["n"], seed=(network["recipe"] or {}).get("seed"),
                   recipe=group.name, commit=str(self.content["settings"]["version"]), device=self.content["machine"])
            for network in group.networks
            if (value := _value(network, name, "number")) is not None
        ]  # fmt: skip
        return summarise(records)[0] if records else None

    def about(self, question: Mapping[str, Any], name: str) -> str:
        """A value's definition; an exact name goes before a pattern."""
        about = question["about"]
        patterns = (text for pattern, text in about.items() if fnmatchcase(name, pattern))
        return str(about.get(name) or next(patterns, ""))


def _value(network: Mapping[str, Any], name: str, kind: str) -> Any:
    """A network's value of this name; None if it has none, or names it as missing."""
    value = network["values"].get(name)
    return value if value is not None and value["kind"] == kind else None


def _settings(network: Mapping[str, Any]) -> dict[str, Any] | None:
    recipe = network["recipe"]
    return {key: value for key, value in recipe.items() if key != "seed"} if recipe else None


# --------------------------------------------------------------------------------------------------- parts of the page


def blocks(evaluation: Evaluation, heading: str) -> Iterator[Part]:
    """The page from top to bottom."""
    yield Heading(1, heading)
    yield from _headline(evaluation)
    yield Heading(2, "Read this first")
    yield Items([*cautions(evaluation)])
    yield from _evaluated(evaluation)
    for question in evaluation.questions:
        yield from _answer(evaluation, question)
    yield from _how(evaluation)


def cautions(evaluation: Evaluation) -> Iterator[str]:
    """What a reader should know before believing the numbers: what is missing, drawn, few or not comparable."""
    asked = {(network["data"]["asked"], network["data"]["test_images"]) for network in evaluation.networks}
    for some, whole in sorted(asked):
        if some < whole:
            yield f"Only {some:,} of the {whole:,} test images were asked about, drawn by the seed."
    if len(asked) > 1 or len({network["data"]["fingerprint"] for network in evaluation.networks}) > 1:
        yield "The networks were not asked about the same images, so their numbers cannot be compared."
    few = [
        f"{group.name} (n = {len(group.networks)})" for group in evaluation.groups if len(group.networks) < FEW_SEEDS
    ]
    if len(evaluation.groups) > 1 and few:
        yield f"Fewer than {FEW_SEEDS} seeds are too few to tell a difference from chance: {', '.join(few)}."
    for group in evaluation.groups:
        seeds = [network["recipe"]["seed"] for network in group.networks if "seed" in (network["recipe"] or {})]
        for seed in sorted({seed for seed in seeds if seeds.count(seed) > 1}):
            yield f"{seeds.count(seed)} networks of {group.name} have seed {seed}: only the last of them counts."
    notes: dict[str, list[str]] = {}
    for network in evaluation.networks:
        for text in _told(network):
            notes.setdefault(text, []).append(network["name"])
    for text, names in notes.items():
        yield text if len(names) == len(evaluation.networks) else f"{', '.join(names)}: {text}"
    if str(evaluation.content["settings"]["version"]).endswith(".changed"):
        yield "The code had changes that its commit does not hold."
    yield "An interval in brackets is about the images as a sample. It does not hold the spread over training runs."


def _told(network: Mapping[str, Any]) -> Iterator[str]:
    if network.get("note"):
        yield str(network["note"])
    if network.get("classes_compared_by") == "number":
        yield (
            f"What the network's classes are called is not known: that they are those of {network['data']['name']}, in "
            f"the same order, is taken from their number, {network['data']['classes']:,}."
        )
    if network["data"]["note"]:
        yield f"About the data: {network['data']['note']}."
    for name, value in network["values"].items():
        if value["kind"] == "note":
            yield str(value["text"])
        elif value["kind"] == "missing":
            yield f"Missing: {name}: {value['reason']}"


def _headline(evaluation: Evaluation) -> Iterator[Part]:
    names = [
        name
        for question in evaluation.questions
        for pattern in question["headline"]
        for name in evaluation.values(question, "number")
        if fnmatchcase(name, pattern)
    ]
    if names:
        yield _numbers_table(evaluation, names)
        yield Text(
            "Mean ± standard deviation over training seeds where there are several (n - 1 in the denominator); of a "
            "single network its value, with the 95 % interval where there is one. Definitions stand with each question."
        )


def _numbers_table(evaluation: Evaluation, names: Sequence[str]) -> SortTable:
    published = any(name in network["paper"] for network in evaluation.networks for name in names)
    header = ["", *(group.name for group in evaluation.groups)]
    if published:
        header += [f"{group.name}, the paper" for group in evaluation.groups]
    rows = []
    for name in names:
        cells = [Cell(name), *(_number_cell(evaluation, group, name) for group in evaluation.groups)]
        if published:
            cells += [_paper_cell(group, name) for group in evaluation.groups]
        rows.append([*cells, Cell(_in_short(evaluation, name))])
    return SortTable([*header, "what it is"], rows)


def _in_short(evaluation: Evaluation, name: str) -> str:
    """The first sentence of a value's definition."""
    question = next(q for q in evaluation.questions if name in evaluation.values(q, "number"))
    return evaluation.about(question, name).partition(". ")[0].rstrip(".") + "."


def _number_cell(evaluation: Evaluation, group: Group, name: str) -> Cell:
    summary = evaluation.summary(group, name)
    if summary is None:
        return Cell("")
    value = next(found for network in group.networks if (found := _value(network, name, "number")))
    shown, unit = _shown(summary.mean, value["unit"]), f" {value['unit']}" if value["unit"] else ""
    fewer = f" (n = {summary.n} of {len(group.networks)})" if summary.n < len(group.networks) else ""
    if summary.sd is not None:
        return Cell(f"{shown} ± {_shown(summary.sd, value['unit'])}{unit}{fewer}", summary.mean)
    ends = value["interval"]
    interval = f" [{_shown(ends[0], value['unit'])}, {_shown(ends[1], value['unit'])}]" if ends else ""
    return Cell(f"{shown}{unit}{interval}{fewer}", summary.mean)


def _paper_cell(group: Group, name: str) -> Cell:
    number = group.networks[0]["paper"].get(name)
    return Cell(f"{number['value']:.2f} ({number['table']})", number["value"]) if number else Cell("")


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "%" else f"{value:.4g}"


def _evaluated(evaluation: Evaluation) -> Iterator[Part]:
    yield Heading(2, "What was evaluated")
    header = ["network", "architecture", "weights", "trained with", "seed", "tested on", "test images", "pixels"]
    rows = []
    for network in evaluation.networks:
        recipe, data = network["recipe"] or {}, network["data"]
        rows.append([
            Cell(network["name"]), Cell(network["model"]), _plain_cell(network["parameters"]),
            Cell(str(recipe.get("mixing", "not known"))), _plain_cell(recipe.get("seed", "")), Cell(data["name"]),
            _plain_cell(data["asked"]), Cell(f"{data['image_size']}x{data['image_size']}", data["image_size"]),
        ])  # fmt: skip
    yield SortTable(header, rows)


def _answer(evaluation: Evaluation, question: Mapping[str, Any]) -> Iterator[Part]:
    """A question: what it asks, its charts, tables, pictures and numbers, and how they are defined."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*", question["call"].partition("(")[0])
    yield Heading(2, " ".join([*words[:1], *(word if word.isupper() else word.lower() for word in words[1:])]))
    yield Text(question["asks"])
    charts = [*_bars(evaluation, question), *_charts(evaluation, question)]
    if charts:
        yield Figures(charts[:FEW_CHARTS])
    if charts[FEW_CHARTS:]:
        yield Folded(f"{len(charts) - FEW_CHARTS} more charts", [Figures(charts[FEW_CHARTS:])])
    yield from _galleries(evaluation, question)
    numbers = evaluation.values(question, "number")
    if numbers:
        table = _numbers_table(evaluation, numbers)
        yield table if len(numbers) <= FEW_NUMBERS else Folded(f"All {len(numbers)} numbers", [table])
    for name in evaluation.values(question, "table"):
        yield from _tables(evaluation, question, name)
    known = evaluation.values(question, "number", "curve", "table", "picture")
    definitions = list(dict.fromkeys((evaluation.about(question, name), name) for name in known))
    yield Folded("How each number is defined", [Definitions(_by_text(definitions))])


def _by_text(definitions: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(names, text): names of one definition together."""
    names: dict[str, list[str]] = {}
    for text, name in definitions:
        names.setdefault(text, []).append(name)
    return [(", ".join(members), text) for text, members in names.items()]


def _charts(evaluation: Evaluation, question: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(svg, caption). Of one network, curves that lie together share a chart; of several, one chart a curve."""
    names = evaluation.values(question, "curve")
    alone = len(evaluation.networks) == 1
    charts: dict[tuple[str, ...], list[Line]] = {}
    for name in names:
        for network, label in _labelled(evaluation):
            curve = _value(network, name, "curve")
            if curve is None:
                continue
            place, _, last = name.rpartition("/")
            key = (place if alone else name, curve["x_name"], curve["y_name"])
            charts.setdefault(key, []).append(Line(last if alone else label, curve["x"], curve["y"]))
    for (name, x_name, y_name), lines in charts.items():
        # What is confidence over accuracy, or a rate over a rate, is held against the diagonal.
        diagonal = x_name.endswith("(%)") and y_name.endswith("(%)") and "threshold" not in x_name
        caption = name if not alone or len(lines) > 1 else f"{name}/{lines[0].name}"
        yield line_chart(lines, x_name, y_name, diagonal), caption


def _bars(evaluation: Evaluation, question: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(svg, caption): for each of the question's patterns a bar for each number that all networks have."""
    for pattern in question["bars"]:
        before, _, after = pattern.partition("*")
        names = [
            name
            for name in evaluation.values(question, "number")
            if name.startswith(before) and name.endswith(after) and name.count("/") == pattern.count("/")
            if name not in question["headline"]
            if all(_value(network, name, "number") is not None for network in evaluation.networks)
        ]
        summaries = [[evaluation.summary(group, name) for name in names] for group in evaluation.groups]
        series = [(g.name, [s.mean for s in found if s]) for g, found in zip(evaluation.groups, summaries)]
        if len(names) > 1:
            labels = [name[len(before) : len(name) - len(after)] for name in names]
            unit = evaluation.networks[0]["values"][names[0]]["unit"]
            yield bar_chart(labels, series, f"{pattern} ({unit})" if unit else pattern), pattern


def _labelled(evaluation: Evaluation) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each network with a name for legends: its group's, with the seed where the group has several."""
    for group in evaluation.groups:
        for network in group.networks:
            seed = (network["recipe"] or {}).get("seed")
            yield network, group.name if len(group.networks) == 1 else f"{group.name}, seed {seed}"


def _galleries(evaluation: Evaluation, question: Mapping[str, Any]) -> Iterator[Part]:
    figures = []
    for name in evaluation.values(question, "picture"):
        for network, label in _labelled(evaluation):
            if (picture := _value(network, name, "picture")) is not None:
                caption = picture["caption"] if len(evaluation.networks) == 1 else f"{label}: {picture['caption']}"
                figures.append((_image(evaluation.folder / picture["file"], caption), caption))
    if figures:
        yield Figures(figures)


def _image(path: Path, caption: str) -> str:
    data = base64.b64encode(read_bytes(path)).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}">'


def _tables(evaluation: Evaluation, question: Mapping[str, Any], name: str) -> Iterator[Part]:
    for network, label in _labelled(evaluation):
        if (value := _value(network, name, "table")) is not None:
            table = SortTable(value["columns"], [[_plain_cell(cell) for cell in row] for row in value["rows"]])
            title = name if len(evaluation.networks) == 1 else f"{name}, {label}"
            small = len(value["rows"]) <= FEW_ROWS and len(evaluation.networks) == 1
            if small:
                yield Heading(3, title)
                yield table
            else:
                yield Folded(title, [table])


def _plain_cell(content: Any) -> Cell:
    if content is None or content == "":
        return Cell("")
    if isinstance(content, int) and not isinstance(content, bool):
        return Cell(f"{content:,}", content)
    return Cell(f"{content:.4g}" if isinstance(content, float) else str(content),
                content if isinstance(content, float) else None)  # fmt: skip


def _how(evaluation: Evaluation) -> Iterator[Part]:
    yield Heading(2, "How it was run")
    settings = evaluation.content["settings"]
    if evaluation.content["command"]:
        yield Code([evaluation.content["command"]])
    yield Text(
        f"Machine: {evaluation.content['machine']}. Code: {settings['version']}. Ended: {evaluation.content['date']}. "
        f"Seed of all that is drawn: {settings['seed']}."
    )
    header = ["network", *(f"{question['name']} (s)" for question in evaluation.questions)]
    rows = []
    for network in evaluation.networks:
        seconds = [network["seconds"].get(question["name"]) for question in evaluation.questions]
        rows.append([Cell(network["name"]), *(Cell(f"{s:,.1f}", s) if s is not None else Cell("") for s in seconds)])
    yield SortTable(header, rows)
    yield Text("The first question that needs the network's answers to the test images pays for that pass.")
    yield Code(settings["questions"])
    yield Html('<p><button type="button" id="save">Save the JSON behind this page</button></p>')


# -------------------------------------------------------------------------------------------------- blocks of this page


class Part(Protocol):
    """A part of the page."""

    def html(self) -> str: ...


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number that it is sorted by."""

    text: str
    number: float | None = None

    def html(self) -> str:
        if self.number is not None:
            return f'<td class="number" data-number="{self.number!r}">{escape(self.text)}</td>'
        kind = ' class="words"' if len(self.text) > LONG else ""
        return f"<td{kind}>{escape(self.text)}</td>"


@dataclass(frozen=True)
class SortTable:
    """A table that a click on a column's name sorts; it scrolls in its own frame where it is wider than the page."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def html(self) -> str:
        head = "".join(f'<th><button type="button">{escape(name) or "name"}</button></th>' for name in self.header)
        body = "".join(f"<tr>{''.join(cell.html() for cell in row)}</tr>" for row in self.rows)
        table = f'<table class="sort"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="scroll" tabindex="0">{table}</div>'


@dataclass(frozen=True)
class Figures:
    """(element, caption) side by side; a click shows one large."""

    figures: Sequence[tuple[str, str]]

    def html(self) -> str:
        drawn = "".join(
            f'<figure><button type="button" class="zoom" title="enlarge">{element}</button>'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for element, caption in self.figures
        )
        return f'<div class="figures">{drawn}</div>'


@dataclass(frozen=True)
class Folded:
    """Blocks behind a line that opens them; open on paper."""

    title: str
    blocks: Sequence[Part]

    def html(self) -> str:
        inside = "\n".join(block.html() for block in self.blocks)
        return f"<details><summary>{escape(self.title)}</summary>{inside}</details>"


@dataclass(frozen=True)
class Definitions:
    """(names, what they mean)."""

    entries: Iterable[tuple[str, str]]

    def html(self) -> str:
        inside = "".join(f"<dt>{escape(names)}</dt><dd>{escape(text)}</dd>" for names, text in self.entries)
        return f"<dl>{inside}</dl>"


@dataclass(frozen=True)
class Html:
    """What is HTML already."""

    content: str

    def html(self) -> str:
        return self.content
