"""What all data of picture files share, whatever belongs to a picture: refusals, copies, the report of a check."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar

from cutmix.data.photo_facts import PhotoFact
from cutmix.errors import CutmixError, UsageError

SHOWN = 5
"""Of many problems, how many an error names."""
Problem = tuple[Path, str]
"""A file, and what is wrong with it."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class PictureSplit:
    """Picture files; a subclass has a tuple with something for each of them, and says what it is called."""

    belonging: ClassVar[str]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, rows: Sequence[int]) -> Self:
        """The pictures at ``rows``, in that order."""
        columns = {name: getattr(self, name) for name in ("paths", self.belonging)}
        return replace(self, **{name: tuple(column[row] for row in rows) for name, column in columns.items()})


class Part(Protocol):
    """A part of a listing."""

    @property
    def paths(self) -> tuple[Path, ...]: ...


def copies(train: Part, test: Part, facts: Sequence[PhotoFact]) -> list[tuple[Path, Path]]:
    """(train picture, test picture) for every test picture that has the bytes of a train picture.

    Args:
        facts: those of the train pictures, then those of the test pictures.
    """
    count = len(train.paths)
    trained = {fact.digest: path for path, fact in zip(train.paths, facts[:count]) if fact.digest}
    tested = zip(test.paths, facts[count:])
    return [(trained[fact.digest], path) for path, fact in tested if fact.digest in trained]


def copies_note(train: Part, test: Part, facts: Sequence[PhotoFact]) -> str:
    """One line for a data set's note about test pictures that are also train pictures, or nothing."""
    count = len(copies(train, test, facts))
    return f"{count} of {len(test.paths)} test pictures are also train pictures" if count else ""


def refuse(wrong: Sequence[Problem], said: str, spec: str = "") -> None:
    """Raise one ``CutmixError`` that names the first few of the problems, if there are any.

    Args:
        said: how many there are, and of what.
        spec: the data as ``cutmix data check`` takes it, where that is known.
    """
    if wrong:
        shown = "".join(f"\n  {path}: {reason}" for path, reason in wrong[:SHOWN])
        rest = f"\n  ... and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        check = f"cutmix data check {spec}".rstrip()
        raise CutmixError(f"{said}:{shown}{rest}\nRepair or remove them; {check} lists them all.")


def list_by_kind(spec: str, kinds: Mapping[str, Callable[[Path], T]], what: str) -> T:
    """What the files of ``KIND:PATH`` say, by the kind's own function.

    Raises:
        UsageError: a kind that is not among ``kinds``; the message says that it is no ``what`` data.
    """
    kind, _, path = spec.partition(":")
    if kind not in kinds or not path:
        raise UsageError(f"{spec!r} is no {what} data; {' or '.join(f'{name}:PATH' for name in kinds)} is accepted.")
    return kinds[kind](Path(path).expanduser())


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """What was found in a data set. ``problems`` keep it from being trained on; the rest is to be known."""

    problems: tuple[Problem, ...] = ()
    copies: tuple[tuple[Path | str, Path | str], ...] = ()
    """(train image, test image) with the same content."""
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it can be trained on."""
        return not self.problems

    def ending(self) -> Iterator[str]:
        """The last lines of the report: copies, problems, and what follows from them."""
        for train_image, test_image in self.copies:
            yield f"warning: {test_image} is the same as {train_image}"
        for path, reason in self.problems:
            yield f"error: {path}: {reason}"
        yield "can be trained on" if self.ok else f"{len(self.problems)} problem(s) keep it from being trained on"
