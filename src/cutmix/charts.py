"""Line and bar charts as SVG: drawn without a library, sharp at any size, and readable without colours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from cutmix.errors import UsageError

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 12, 52
LINE = 20
"""The height of a line of the legend."""
BAR = 16
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555", "#e69f00", "#56b4e9", "#8a6d00")
"""Okabe and Ito's, which people with any colour vision tell apart, in an order that keeps its contrast on white."""
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Line:
    """A named line through points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(lines: Sequence[Line], x_name: str, y_name: str, diagonal: bool = False) -> str:
    """Lines in one frame, as an ``<svg>`` element.

    Args:
        diagonal: also draw where y = x, over the range from 0 to 100.

    Raises:
        UsageError: there is no line, or one without points.
    """
    if not lines or any(len(line.x) == 0 for line in lines):
        raise UsageError("a chart needs at least one line, and every line a point.")
    xs = [0.0, 100.0] if diagonal else [x for line in lines for x in line.x]
    ys = [0.0, 100.0] if diagonal else [y for line in lines for y in line.y]
    frame = _Frame(_ticks(min(xs), max(xs), loose=False), _ticks(min(ys), max(ys), loose=True))
    parts = [*frame.axes(x_name, y_name)]
    if diagonal:
        parts.append(f'<polyline points="{frame.points([0, 100], [0, 100])}" class="ideal"/>')
    for number, line in enumerate(lines):
        style = f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        parts.append(f'<polyline points="{frame.points(line.x, line.y)}" fill="none" stroke-width="2" {style}/>')
        if len(line.x) <= 30:
            at = zip(frame.points(line.x, line.y).split())
            dots = ((point.partition(",")[0], point.partition(",")[2]) for (point,) in at)
            parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{COLOURS[number % len(COLOURS)]}"/>' for x, y in dots]
    parts += _legend([line.name for line in lines])
    label = f"{y_name} over {x_name}: {', '.join(line.name for line in lines)}"
    return _svg(parts, HEIGHT + LINE * len(lines), label)


def bar_chart(labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], x_name: str) -> str:
    """Bars from 0 to the right: a group for each label, a bar for each series, each with its number.

    Raises:
        UsageError: there is nothing to draw, a series has not one value for each label, or a value is negative.
    """
    if not labels or not series or any(len(values) != len(labels) for _, values in series):
        raise UsageError("bars need labels, and every series one value for each of them.")
    if min(min(values) for _, values in series) < 0:
        raise UsageError("bars start at 0; there is a negative value.")
    top = max(max(values) for _, values in series) or 1.0
    left, group = 150, BAR * len(series) + 8
    scale = (WIDTH - left - 60) / top
    parts = []
    for row, label in enumerate(labels):
        middle = row * group + BAR * len(series) / 2 + 4
        parts.append(f'<text x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>')
        for number, (_, values) in enumerate(series):
            y, width = row * group + BAR * number, values[row] * scale
            parts.append(
                f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{BAR - 3}" '
                f'fill="{COLOURS[number % len(COLOURS)]}"/>'
                f'<text x="{left + width + 5:.1f}" y="{y + BAR - 5}" class="tick">{_short(values[row])}</text>'
            )
    height = group * len(labels)
    parts.append(f'<text x="{left}" y="{height + 14}">{escape(x_name)}</text>')
    for number, (name, _) in enumerate(series if len(series) > 1 else []):
        y = height + 28 + LINE * number
        parts.append(
            f'<rect x="{left}" y="{y}" width="22" height="{BAR - 3}" fill="{COLOURS[number % len(COLOURS)]}"/>'
        )
        parts.append(f'<text x="{left + 30}" y="{y + BAR - 5}">{escape(name)}</text>')
    extra = LINE * len(series) if len(series) > 1 else 0
    return _svg(parts, height + 30 + extra, f"{x_name}: {', '.join(labels)}")


@dataclass(frozen=True)
class _Frame:
    """The frame that points are drawn in: its edges are the first and the last tick."""

    x_ticks: Sequence[float]
    y_ticks: Sequence[float]

    def points(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{self._right(a):.1f},{self._down(b):.1f}" for a, b in zip(x, y))

    def axes(self, x_name: str, y_name: str) -> Iterator[str]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for tick in self.y_ticks:
            y = self._down(tick)
            yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="grid"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" class="tick">{_short(tick)}</text>'
        for tick in self.x_ticks:
            x = self._right(tick)
            yield f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle" class="tick">{_short(tick)}</text>'
        middle = (LEFT + right) / 2
        yield f'<text x="{middle}" y="{bottom + 38}" text-anchor="middle">{escape(x_name)}</text>'
        across = (TOP + bottom) / 2
        yield f'<text transform="translate(14 {across}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>'

    def _right(self, x: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def _down(self, y: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def _ticks(low: float, high: float, loose: bool) -> list[float]:
    """Round numbers from ``low`` to ``high``; a loose axis begins at 0 where that costs little room."""
    if loose and 0 < low < 0.4 * high:
        low = 0.0
    if high <= low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = power * next((factor for factor in (1, 2, 2.5, 5) if factor * power >= rough), 10)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _short(number: float) -> str:
    return f"{number:.4g}" if abs(number) < 1000 else f"{number:,.0f}"


def _legend(names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        y = HEIGHT + LINE * number
        style = f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
        yield f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + 34}" y2="{y}" stroke-width="3" {style}/>'
        yield f'<text x="{LEFT + 42}" y="{y + 4}">{escape(name)}</text>'


def _svg(parts: Sequence[str], height: float, label: str) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
