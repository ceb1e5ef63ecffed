"""Evaluate trained networks: ask each every question, write answers down as they come, go on where it stopped."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cutmix.errors import CutmixError, UsageError, nearest
from cutmix.files import write_atomically
from cutmix.recipes import names
from cutmix.recipes.calls import Call, construct, parse_call
from cutmix.recipes.published import published
from cutmix.recipes.trained import Trained, class_difference, data_of, load_trained
from cutmix.results import code_version, describe_machine

if TYPE_CHECKING:
    from torch import nn

    from cutmix.data import Data
    from cutmix.evaluation.journal import Answer, Journal, Key
    from cutmix.evaluation.progress import Progress
    from cutmix.evaluation.question import Question
    from cutmix.evaluation.subject import Subject

RESULT = "evaluation.json"
FORMAT = 1


# ----------------------------------------------------------------------------------------------- which questions to ask


def questions_of(suite: str = "paper", only: str = "", out_sets: Sequence[str] = ()) -> list[Question]:
    """The questions that a command line names.

    Args:
        suite: ``quick``, ``paper`` or ``full``; counts if ``only`` is empty.
        only: names or constructor calls, parted by commas: ``ood,fgsm`` or ``fgsm(eps=0.01),calibration``.
        out_sets: for questions that take out-sets.

    Raises:
        UsageError: a name, an argument or an out-set that there is not; out-sets that no question takes.
    """
    from cutmix.evaluation.question import SUITES

    if suite not in SUITES:
        raise UsageError(f"unknown suite {suite!r}.{nearest(suite, SUITES)} Known: {', '.join(SUITES)}.")
    known = names.questions()
    if only:
        asked = [construct(call, known, "question") for call in _calls(only)]
    else:
        asked = [question for cls in known.values() if (question := cls.for_suite(suite)) is not None]
        asked.sort(key=lambda question: question.name != "accuracy")  # what is known first is looked at first
    if out_sets:
        takes = [question for question in asked if "out_sets" in {field.name for field in fields(question)}]
        if not takes:
            raise UsageError("out-sets are named, but no question that is asked takes them: add ood to --only.")
        asked = [replace(q, out_sets=tuple(out_sets)) if q in takes else q for q in asked]
    twice = [question for question in asked if sum(other.name == question.name for other in asked) > 1]
    if twice:
        raise UsageError(f"the question {twice[0].name} is asked twice: its numbers would have the same names.")
    return asked


def _calls(text: str) -> list[Call]:
    try:
        parts = ast.parse(f"[{text}]", mode="eval").body
    except SyntaxError as error:
        raise UsageError(f"cannot read {text!r} as questions parted by commas, such as ood,fgsm") from error
    assert isinstance(parts, ast.List)
    return [parse_call(ast.unparse(part)) for part in parts.elts]


# ------------------------------------------------------------------------------------------------- networks and answers


@dataclass(frozen=True)
class Network:
    """A network to evaluate, with what is known of where it comes from."""

    source: str
    trained: Trained
    recipe: dict[str, Any] | None

    @property
    def name(self) -> str:
        """A run's folder without what is above it, or the source as it was written."""
        path = Path(self.source)
        return path.name if path.is_dir() else self.source


def evaluate_networks(
    sources: Sequence[str],
    questions: Sequence[Question],
    out: Path,
    *,
    data: str | None = None,
    data_root: Path | None = None,
    batch_size: int = 128,
    workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    cpu: bool = False,
    best: bool = False,
    model: str = "",
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Ask all networks all questions; write ``evaluation.jsonl`` as it goes and ``evaluation.json`` at the end.

    An evaluation that was broken off goes on where it stopped if it is asked for again with the same settings: answers
    that are there are not asked for again, and long ones go on at the step they had come to.

    Args:
        sources: what :func:`load_trained` takes; ``best`` and ``model`` as there.
        out: the folder to write to.
        data: what to test on; what each network was trained on unless given.
        limit, seed, batch_size, workers: as of :class:`cutmix.evaluation.subject.Subject`.
        cpu: use the CPU even where there is a GPU.
        progress: shows what is done.
        command: noted in the result.

    Returns:
        What ``evaluation.json`` holds.

    Raises:
        UsageError: a network that cannot be loaded or does not fit the data, one given twice, or ``out`` holds an
            evaluation with other settings. All networks are looked at before the first question is asked.
        CutmixError: files that cannot be read or written, or logits that are not finite.
    """
    from cutmix.evaluation.journal import Journal
    from cutmix.evaluation.progress import Progress
    from cutmix.evaluation.subject import Subject
    from cutmix.training.loop import make_accelerator
    from cutmix.training.settings import Settings

    networks = [_network(source, model, best) for source in sources]
    load = _remembering()
    # With a question that needs no labels, those that do are named as missing, and not the whole refused.
    others = not all(question.needs_same_classes for question in questions)
    keys = [
        _key(network, data_of(network.trained, data, data_root, load, other_classes=others)[1]) for network in networks
    ]
    _refuse_the_same(networks, keys)
    accelerator = make_accelerator(Settings(), cpu=cpu)
    first = accelerator.process_index == 0
    progress = progress or Progress(silent=True)
    settings = {"data": data, "limit": limit, "seed": seed, "version": code_version()}
    journal = Journal(out, settings, writes=first)
    accelerator.wait_for_everyone()  # nobody writes before all have read
    entries = []
    for number, (network, key) in enumerate(zip(networks, keys)):
        spec, loaded = data_of(network.trained, data, data_root, load, other_classes=others)
        subject = Subject(
            network.trained.model, loaded, accelerator.device, batch_size, limit, seed, workers, data_root,
            accelerator.process_index, accelerator.num_processes, watch=progress.advance,
            class_names=network.trained.classes,
        )  # fmt: skip
        if number == 0:
            progress.expect(_plan(subject, questions, journal, keys))
        found = _Answers(subject, questions, journal, key)
        _ask_all(found, class_difference(network.trained, loaded), network.name, progress)
        subject.model.cpu()
        entries.append(_entry(network, spec, loaded, found))
    content = {
        "format": FORMAT,
        "command": command,
        "settings": {**settings, "batch_size": batch_size, "questions": [repr(question) for question in questions]},
        "machine": describe_machine(accelerator.device.type),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "questions": [_described(question) for question in questions],
        "networks": entries,
    }
    if first:
        text = json.dumps(content, indent=1, allow_nan=False)
        write_atomically(out / RESULT, lambda file: file.write(text.encode()))
    return content


def _refuse_the_same(networks: Sequence[Network], keys: Sequence[str]) -> None:
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise UsageError(f"{networks[number].source} is the same network as {networks[keys.index(key)].source}.")


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the journal knows of one network's answers to the questions."""

    subject: Subject
    questions: Sequence[Question]
    journal: Journal
    network: str

    @cached_property
    def _keys(self) -> dict[str, Key]:
        # Once: an out-set may lie around the very folder that is written to.
        return {question.name: _answer_key(self.network, question, self.subject) for question in self.questions}

    def key(self, question: Question) -> Key:
        return self._keys[question.name]

    def of(self, question: Question) -> Answer:
        return self.journal.answer(self.key(question))

    @property
    def open_ones(self) -> list[Question]:
        """The questions that are not answered, or could not be asked and may be asked now."""
        answers = [(question, self.of(question)) for question in self.questions]
        return [question for question, answer in answers if answer.seconds is None or answer.is_missing]


def _answer_key(network: str, question: Question, subject: Subject) -> Key:
    from cutmix.evaluation.journal import Key

    return Key(network, " | ".join(filter(None, (repr(question), question.surroundings(subject)))))


def _ask_all(found: _Answers, difference: str, name: str, progress: Progress) -> None:
    """Ask what is open. ``difference`` says why no question that needs the labels can be asked; empty if it can."""
    from cutmix.evaluation.question import ask
    from cutmix.evaluation.values import Missing

    subject, journal, open_ones = found.subject, found.journal, found.open_ones
    subject.wants_features = any(question.wants_features for question in open_ones)
    for question in open_ones:
        key, began = found.key(question), time.monotonic()
        journal.begin(key)
        subject.memory = journal.steps(key)
        progress.begin(question.name, f"{name}: {question.name}", question.passes(subject))
        if difference and question.needs_same_classes:
            journal.add(
                key, question.name, Missing(f"{question.name} needs the network's classes in the data: {difference}")
            )
        else:
            for value_name, value in ask(question, subject):
                journal.add(key, value_name, value)
        seconds = time.monotonic() - began
        journal.done(key, seconds)
        progress.end(f"{name}: {question.name}", seconds)


def _plan(
    subject: Subject, questions: Sequence[Question], journal: Journal, keys: Sequence[str]
) -> Iterator[tuple[str, float]]:
    """(question, passes) of what is still to be done, as if all networks cost what the first one does."""
    for network in keys:
        for question in _Answers(subject, questions, journal, network).open_ones:
            yield question.name, question.passes(subject)


def _network(source: str, model: str, best: bool) -> Network:
    path = Path(source)
    recipe_file = (path if path.is_dir() else path.parent) / "recipe.json"
    recipe = None
    if path.exists() and recipe_file.exists():
        try:
            recipe = dict(json.loads(recipe_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CutmixError(f"cannot read {recipe_file}: {error}.") from error
    return Network(source, load_trained(source, model=model, best=best), recipe)


def _remembering() -> Callable[..., Data]:
    """``load_data`` that keeps the last data set, for networks that are tested on the same one."""
    from cutmix.data import load_data

    return lru_cache(maxsize=1)(load_data)


def _key(network: Network, data: Data) -> str:
    """16 hex digits that stand for the network, and for the images as it gets them.

    Weights alone would not do: they fit networks of other strides, and layer noise has none.
    """
    trained = network.trained
    shown = (data.fingerprint, data.mean, data.std, data.image_size, data.squared)
    digest = blake2b(repr((shown, trained.model_call, trained.regularizer)).encode(), digest_size=8)
    for name, tensor in _weights(trained.model):
        digest.update(name.encode())
        digest.update(tensor)
    return digest.hexdigest()


def _weights(model: nn.Module) -> Iterator[tuple[str, Any]]:
    import torch

    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        yield name, plain.view(torch.uint8).numpy().data


def _entry(network: Network, spec: str, data: Data, found: _Answers) -> dict[str, Any]:
    answers = {question.name: found.of(question) for question in found.questions}
    trained = network.trained
    compared = "number" if trained.classes is None else "name"
    paper = published(network.recipe, spec, data, found.questions)
    parameters = sum(weight.numel() for weight in trained.model.parameters())
    return {
        "name": network.name,
        "source": network.source,
        "checkpoint": trained.source,
        "model": trained.model_call,
        "parameters": parameters,
        "key": found.network,
        "recipe": network.recipe,
        "note": trained.note,
        "classes_compared_by": compared if not class_difference(trained, data) else None,
        "data": {
            "spec": spec,
            "name": data.name,
            "note": data.note,
            "test_images": len(data.test),
            "asked": len(found.subject),
            "classes": data.num_classes,
            "image_size": data.image_size,
            "fingerprint": data.fingerprint,
        },
        "paper": {name: asdict(number) for name, number in paper.items()},
        "seconds": {name: answer.seconds for name, answer in answers.items()},
        "values": {name: value for answer in answers.values() for name, value in answer.values.items()},
    }


def _described(question: Question) -> dict[str, Any]:
    asks = (type(question).__doc__ or "").strip().partition("\n")[0]
    return {
        "name": question.name,
        "call": repr(question),
        "asks": asks,
        "headline": list(question.headline),
        "bars": list(question.bars),
        "about": dict(question.about),
    }
