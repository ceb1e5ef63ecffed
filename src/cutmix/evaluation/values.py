"""What an answer is made of: numbers, curves, tables, pictures, notes, and what could not be had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cutmix.errors import UsageError

Cell: TypeAlias = str | float | int | None


class Number(float):
    """One measured number. It is a ``float``; what it was taken over, and its unit, go with it.

    Args:
        value: finite.
        n: images (or pairs, or other things) that it is taken over.
        unit: ``"%"`` for rates, which are written from 0 to 100; empty for what has no unit.
        interval: its 95 % confidence interval, in the same unit, where there is one.

    Raises:
        UsageError: ``value`` is not finite, or ``n`` is not positive.
    """

    kind: ClassVar[str] = "number"
    n: int
    unit: str
    interval: tuple[float, float] | None

    def __new__(cls, value: float, n: int, unit: str = "", interval: tuple[float, float] | None = None) -> Number:
        number = super().__new__(cls, value)
        if not math.isfinite(number):
            raise UsageError(f"a result is {float(number)}: only finite numbers are recorded.")
        if n < 1:
            raise UsageError(f"a result is over n = {n}: it must be over at least 1.")
        number.n, number.unit, number.interval = int(n), unit, interval
        return number

    def as_json(self) -> dict[str, Any]:
        interval = None if self.interval is None else [float(end) for end in self.interval]
        return {"kind": self.kind, "value": float(self), "n": self.n, "unit": self.unit, "interval": interval}


@dataclass(frozen=True)
class Curve:
    """Points of one line, in order. Curves of equal ``x_name`` and ``y_name`` are drawn into one plot by the page."""

    kind: ClassVar[str] = "curve"
    x: Sequence[float]
    y: Sequence[float]
    x_name: str
    y_name: str

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not all(map(math.isfinite, [*self.x, *self.y])):
            raise UsageError(f"a curve needs as many x as y, all finite; got {self.x} and {self.y}.")

    def as_json(self) -> dict[str, Any]:
        points = {"x": [float(x) for x in self.x], "y": [float(y) for y in self.y]}
        return {"kind": self.kind, **points, "x_name": self.x_name, "y_name": self.y_name}


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers, each as long as ``columns``."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise UsageError(f"a table of {len(self.columns)} columns has a row of {len(wrong[0])}: {wrong[0]}.")

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "columns": list(self.columns), "rows": [list(row) for row in self.rows]}


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels uint8 (H, W, 3), and what they show. Written as a PNG file beside the JSON."""

    kind: ClassVar[str] = "picture"
    pixels_HWC: NDArray[np.uint8]
    caption: str

    def __post_init__(self) -> None:
        pixels = self.pixels_HWC
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise UsageError(f"a picture is {pixels.dtype} of shape {pixels.shape}; uint8 (H, W, 3) is accepted.")

    def as_json(self) -> dict[str, Any]:
        """All but the pixels."""
        return {"kind": self.kind, "caption": self.caption}


@dataclass(frozen=True)
class Missing:
    """What was asked for and could not be had, a data set, an extra, a network's property; and what to do about it."""

    kind: ClassVar[str] = "missing"
    reason: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "reason": self.reason}


@dataclass(frozen=True)
class Note:
    """What a reader should know before believing the numbers whose name begins as the note's."""

    kind: ClassVar[str] = "note"
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text}


Value: TypeAlias = Number | Curve | Table | Picture | Missing | Note

_KINDS: dict[str, type[Any]] = {kind.kind: kind for kind in (Curve, Table, Missing, Note)}


def from_json(content: Mapping[str, Any], pixels_HWC: NDArray[np.uint8] | None = None) -> Value:
    """The value that ``as_json`` wrote; a picture's pixels are handed in."""
    if content["kind"] == Number.kind:
        interval = content["interval"]
        return Number(content["value"], content["n"], content["unit"], None if interval is None else tuple(interval))
    if content["kind"] == Picture.kind:
        if pixels_HWC is None:
            raise UsageError("a picture is read with its pixels")
        return Picture(pixels_HWC, content["caption"])
    kind = _KINDS[content["kind"]]
    value: Value = kind(**{field.name: content[field.name] for field in fields(kind)})
    return value
