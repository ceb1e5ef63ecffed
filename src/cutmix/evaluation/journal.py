"""The journal of an evaluation: every value as soon as it is known, so that an interrupted one goes on from there.

``evaluation.jsonl`` begins with the settings; each further line is a value, a step of a long answer (``Subject.once``),
or the note that a question is answered or asked again. Answers are kept by network and question, so that others can be
added later.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cutmix.errors import CutmixError, UsageError
from cutmix.evaluation.values import Missing, Picture, Value
from cutmix.files import write_atomically

JOURNAL = "evaluation.jsonl"
PICTURES = "pictures"


class Key(NamedTuple):
    """Whose answer it is."""

    network: str
    """What stands for the weights and the data that they were asked about."""
    question: str
    """The question's ``repr``, and after a bar what else its answer depends on, if anything."""


@dataclass
class Answer:
    """What is written of one answer: values by name, as JSON, and the steps that a long one remembers."""

    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    """How long it took, once it is whole."""

    @property
    def is_missing(self) -> bool:
        """Whether all that it says is why the question could not be asked, which may have changed since."""
        return bool(self.values) and all(value["kind"] == Missing.kind for value in self.values.values())

    def forget(self) -> None:
        """As if it had not been asked for; its steps stay."""
        self.values.clear()
        self.seconds = None


class Journal:
    """The journal in a folder. One process writes (``writes``), the others read what was there when it was opened.

    Raises:
        UsageError: the folder holds an evaluation with other settings.
        CutmixError: the journal cannot be read or written.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], writes: bool = True) -> None:
        self.folder, self.path, self.writes = folder, folder / JOURNAL, writes
        self._answers: dict[Key, Answer] = {}
        lines = list(self._lines())
        if lines:
            self._require_same(lines[0], settings)
            for line in lines[1:]:
                self._take(line)
        else:
            self._write({"settings": dict(settings)})

    def answer(self, key: Key) -> Answer:
        """What is known of an answer."""
        return self._answers.setdefault(key, Answer())

    def begin(self, key: Key) -> None:
        """Forget the values of an answer that was broken off, or could not be had; its steps stay."""
        answer = self.answer(key)
        if answer.values or answer.seconds is not None:
            self._write({"network": key.network, "question": key.question, "again": True})
            answer.forget()

    def add(self, key: Key, name: str, value: Value) -> None:
        """Write a value down; a picture's pixels become a file."""
        content = value.as_json()
        if isinstance(value, Picture):
            content["file"] = f"{PICTURES}/{_file_name(key, name)}"
            if self.writes:
                write_png(self.folder / content["file"], value.pixels_HWC)
        self.answer(key).values[name] = content
        self._write({"network": key.network, "question": key.question, "name": name, "value": content})

    def done(self, key: Key, seconds: float) -> None:
        """Note that an answer is whole."""
        self.answer(key).seconds = round(seconds, 3)
        self._write({"network": key.network, "question": key.question, "seconds": self.answer(key).seconds})

    def steps(self, key: Key) -> MutableMapping[str, Any]:
        """The memory of a long answer, for :class:`cutmix.evaluation.subject.Subject`."""
        return _Steps(
            self.answer(key).steps,
            lambda step, result: self._write(
                {"network": key.network, "question": key.question, "step": step, "result": result}
            ),
        )

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The whole lines. What an interruption left of one is cut off."""
        try:
            content = self.path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if self.writes and len(whole) < len(content):
                os.truncate(self.path, len(whole))
        except FileNotFoundError:
            return
        except OSError as error:
            raise CutmixError(f"cannot read {self.path}: {error.strerror}.") from error
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                yield dict(json.loads(line))
            except ValueError as error:
                raise CutmixError(f"{self.path}, line {number} cannot be read ({error}): delete the folder.") from error

    def _require_same(self, first: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        before = first.get("settings")
        if not isinstance(before, Mapping):
            raise CutmixError(f"{self.path} is not the journal of an evaluation.")
        names = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
        if names:
            differences = "; ".join(f"{name} was {before.get(name)!r}, is {settings.get(name)!r}" for name in names)
            raise UsageError(
                f"{self.folder} holds an evaluation with other settings ({differences}). "
                "Repeat them, or choose another folder with --out."
            )

    def _take(self, line: Mapping[str, Any]) -> None:
        answer = self.answer(Key(line["network"], line["question"]))
        if "name" in line:
            answer.values[line["name"]] = line["value"]
        elif "again" in line:
            answer.forget()
        elif "step" in line:
            answer.steps[line["step"]] = line["result"]
        else:
            answer.seconds = line["seconds"]

    def _write(self, line: Mapping[str, Any]) -> None:
        if not self.writes:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        except OSError as error:
            raise CutmixError(f"cannot write {self.path}: {error.strerror}.") from error


class _Steps(MutableMapping[str, Any]):
    """A dictionary that writes down what it is told."""

    def __init__(self, known: dict[str, Any], write: Callable[[str, Any], None]) -> None:
        self._known, self._write = known, write

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._write(key, value)
        self._known[key] = value

    def __delitem__(self, key: str) -> None:
        raise TypeError("what was written down is not taken back")

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def write_png(path: Path, pixels_HWC: np.ndarray) -> None:
    """Write uint8 (H, W, 3) as a PNG file, whole or not at all."""
    from PIL import Image

    write_atomically(path, lambda file: Image.fromarray(pixels_HWC).save(file, "PNG", optimize=True))


def _file_name(key: Key, name: str) -> str:
    """A file name that tells answers apart: the value's name, and a hash of whose it is."""
    digest = blake2b("\0".join((*key, name)).encode(), digest_size=4).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{digest}.png"
