"""The graph of doses: an amount is written whole, or not at all."""

from itertools import combinations

import pytest
from kivy.core.text import Label
from kivy.graphics import Rectangle
from touch import frames

from ui.presenters.plot import Mark, Plot
from ui.theme import theme
from ui.widgets.graph import TherapyGraph

Box = tuple[float, float, float, float]


def written(plot: Plot) -> list[Box]:
    """Draw a plot as wide as a small screen; return left, low, right and top of its words."""
    graph = TherapyGraph(size=(680, 210), plot=plot)
    frames(2)
    areas = [one for one in graph.canvas.children if isinstance(one, Rectangle) and one.texture]
    return [(*one.pos, one.pos[0] + one.size[0], one.pos[1] + one.size[1]) for one in areas]


def width_px(words: str) -> float:
    label = Label(text=words, font_size=theme.caption * 0.9, font_name=theme.regular)
    label.refresh()
    return float(label.texture.size[0])


def amounts(*marks: tuple[float, str]) -> list[Box]:
    """Return where the amounts of boluses are written: what is there with them alone."""
    without = written(Plot(hours=6))
    return [
        box
        for box in written(Plot(hours=6, boluses=tuple(Mark(*one, "text") for one in marks)))
        if box not in without
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
    found = amounts(*marks)
    for one, other in combinations(found, 2):
        assert one[2] <= other[0] or other[2] <= one[0], f"{one} is on {other}"
    assert [right - left for left, _, right, _ in found] == [width_px(words) for words in seen]
