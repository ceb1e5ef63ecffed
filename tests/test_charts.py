"""Charts: well-formed, inside of their frame, with every name and number that they show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from cutmix.charts import Line, bar_chart, line_chart
from cutmix.errors import UsageError


def test_a_line_lies_where_its_points_are():
    svg = line_chart([Line("one <net>", [0, 5, 10], [20.0, 40.0, 30.0])], "side & depth", "error (%)")
    root = ElementTree.fromstring(svg)
    (line,) = [element for element in root if element.tag == "polyline"]
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert (x0, x2) == (62.0, 624.0)  # the frame's edges
    assert x1 == pytest.approx((x0 + x2) / 2)
    assert y1 < y2 < y0  # more is higher
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.1)
    texts = [element.text for element in root.iter("text")]
    assert {"one <net>", "side & depth", "error (%)"} <= set(texts)


def test_every_point_lies_inside():
    svg = line_chart([Line("a", [-3.7, 1e4], [1e-3, -2e3]), Line("b", [0.0], [7.7])], "x", "y")
    view = [float(number) for number in ElementTree.fromstring(svg).get("viewBox").split()]
    for points in re.findall(r'points="([^"]*)"', svg):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= view[2]
            assert 0 <= y <= view[3]


@pytest.mark.parametrize("y", [[0.0, 0.0], [50.0, 50.0], [1e-9, 2e-9], [0.0, 1e7]])
def test_flat_tiny_and_huge_lines_can_be_drawn(y):
    assert "nan" not in line_chart([Line("a", [1, 1], y)], "x", "y")


def test_the_diagonal_goes_from_corner_to_corner():
    svg = line_chart([Line("a", [40.0], [60.0])], "confidence (%)", "accuracy (%)", diagonal=True)
    assert re.search(r'points="62\.0,348\.0 624\.0,12\.0" class="ideal"', svg)


def test_bars_are_as_long_as_their_numbers():
    svg = bar_chart(["fog", "frost"], [("a", [30.0, 15.0]), ("b", [0.0, 60.0])], "error (%)")
    root = ElementTree.fromstring(svg)
    widths = [float(element.get("width")) for element in root if element.tag == "rect"][:4]
    assert widths == pytest.approx([widths[3] / 2, 0, widths[3] / 4, widths[3]], abs=0.1)
    assert {"fog", "frost", "30", "15", "0", "60", "a", "b"} <= {element.text for element in root.iter("text")}


@pytest.mark.parametrize(
    ("draw", "arguments"),
    [
        (line_chart, ([], "x", "y")),
        (line_chart, ([Line("a", [], [])], "x", "y")),
        (bar_chart, ([], [], "x")),
        (bar_chart, (["a"], [("s", [1.0, 2.0])], "x")),
        (bar_chart, (["a"], [("s", [-1.0])], "x")),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, arguments):
    with pytest.raises(UsageError):
        draw(*arguments)
