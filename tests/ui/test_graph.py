"""The graph of doses: an amount is written whole, or not at all."""

from itertools import combinations

import pytest
from kivy.core.text import Label
from kivy.graphics import Rectangle
from touch import frames

from ui.presenters.plot import Mark, Plot
from ui.presenters.trend import Trend
from ui.theme import theme
from ui.widgets.graph import TherapyGraph
from ui.widgets.trend import TrendGraph

Box = tuple[float, float, float, float]


def written(graph: TherapyGraph | TrendGraph) -> list[Box]:
    """Draw a graph; return left, low, right and top of its words."""
    frames(2)
    areas = [one for one in graph.canvas.children if isinstance(one, Rectangle) and one.texture]
    return [(*one.pos, one.pos[0] + one.size[0], one.pos[1] + one.size[1]) for one in areas]


def width_px(words: str, type_px: float) -> float:
    label = Label(text=words, font_size=type_px, font_name=theme.regular)
    label.refresh()
    return float(label.texture.size[0])


def overlap(found: list[Box]) -> list[tuple[Box, Box]]:
    return [
        (one, other)
        for one, other in combinations(found, 2)
        if one[0] < other[2] and other[0] < one[2]
    ]


@pytest.mark.parametrize(
    ("marks", "seen"),
    [
        ([(0.2, "0.50"), (0.5, "1.00"), (0.8, "2.50")], ["2.50", "1.00", "0.50"]),
        (
            [(0.93, "0.50"), (1.0, "9.03–9.41")],
            ["9.03–9.41"],
        ),  # the edge pushes the last one to the left
        ([(0.5, "0.50"), (0.57, "9.03–9.41")], ["9.03–9.41"]),
        ([(0.57, "9.03–9.41"), (0.5, "0.50")], ["9.03–9.41"]),  # in whichever order they come
        ([(0.50, "1"), (0.52, "2"), (0.60, "3.00")], ["3.00", "2"]),
        ([(0.0, "10.00"), (0.05, "0.10"), (0.5, "4.00")], ["4.00", "0.10"]),
    ],
)
def test_no_amount_is_written_over_another_and_the_newest_is_there(
    marks: list[tuple[float, str]], seen: list[str]
) -> None:
    def at(*boluses: Mark) -> list[Box]:
        return written(TherapyGraph(size=(680, 210), plot=Plot(hours=6, boluses=boluses)))

    without = at()
    found = [box for box in at(*(Mark(*one, "text") for one in marks)) if box not in without]
    assert overlap(found) == []
    type_px = theme.caption * 0.9
    assert [box[2] - box[0] for box in found] == [width_px(words, type_px) for words in seen]


@pytest.mark.parametrize(
    ("boluses", "seen"),
    [
        ([(60, 500_000), (180, 1_000_000), (300, 2_500_000)], ["2.50", "1.00", "0.50"]),
        ([(350, 500_000), (359, 10_000_000)], ["10.00"]),
        ([(200, 500_000), (210, 1_000_000)], ["1.00"]),
    ],
)
def test_on_the_first_screen_as_well(boluses: list[tuple[int, int]], seen: list[str]) -> None:
    minute_ns = 60 * 10**9

    def at(*boluses: tuple[int, int]) -> list[Box]:
        trend = Trend(to_ns=360 * minute_ns, boluses=boluses)
        return written(TrendGraph(size=(680, 210), trend=trend))

    without = at()
    found = at(*((at_min * minute_ns, amount_uu) for at_min, amount_uu in boluses))
    found = [box for box in found if box not in without]
    assert overlap(found) == []
    assert [box[2] - box[0] for box in found] == [width_px(one, 13 * theme.px) for one in seen]
