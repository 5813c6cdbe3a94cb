"""Symbols, drawn: no font has them all, and a shape is the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kivy.clock import Clock
from kivy.graphics import Color, Mesh, SmoothEllipse, SmoothLine
from kivy.properties import ColorProperty, NumericProperty, StringProperty
from kivy.uix.widget import Widget

Points = Sequence[tuple[float, float]]

# Each symbol is lines (open, or closed by their first point) in a square from 0 to 1, y upwards.
_ARROW: Points = ((0.1, 0.5), (0.88, 0.5))
_ARROW_HEAD: Points = ((0.6, 0.22), (0.9, 0.5), (0.6, 0.78))
_LINES: Mapping[str, Sequence[Points]] = {
    "erase": (
        ((0.02, 0.5), (0.28, 0.2), (0.98, 0.2), (0.98, 0.8), (0.28, 0.8), (0.02, 0.5)),
        ((0.46, 0.36), (0.74, 0.64)),
        ((0.46, 0.64), (0.74, 0.36)),
    ),
    "flat": (_ARROW, _ARROW_HEAD),
    "rise": (((0.16, 0.16), (0.8, 0.8)), ((0.4, 0.82), (0.82, 0.82), (0.82, 0.4))),
    "fall": (((0.16, 0.84), (0.8, 0.2)), ((0.4, 0.18), (0.82, 0.18), (0.82, 0.6))),
    "up": (((0.5, 0.1), (0.5, 0.88)), ((0.22, 0.6), (0.5, 0.9), (0.78, 0.6))),
    "down": (((0.5, 0.9), (0.5, 0.12)), ((0.22, 0.4), (0.5, 0.1), (0.78, 0.4))),
    "check": (((0.12, 0.5), (0.4, 0.2), (0.9, 0.8)),),
    "cross": (((0.18, 0.18), (0.82, 0.82)), ((0.18, 0.82), (0.82, 0.18))),
    "warning": (((0.5, 0.94), (0.98, 0.08), (0.02, 0.08), (0.5, 0.94)), ((0.5, 0.66), (0.5, 0.38))),
    "note": (((0.5, 0.62), (0.5, 0.26)),),
    "bell": (
        ((0.12, 0.24), (0.88, 0.24), (0.76, 0.4), (0.76, 0.62), (0.62, 0.84), (0.38, 0.84),
         (0.24, 0.62), (0.24, 0.4), (0.12, 0.24)),
        ((0.42, 0.12), (0.58, 0.12)),
    ),
    "lock": (
        ((0.18, 0.1), (0.82, 0.1), (0.82, 0.54), (0.18, 0.54), (0.18, 0.1)),
        ((0.3, 0.54), (0.3, 0.74), (0.42, 0.9), (0.58, 0.9), (0.7, 0.74), (0.7, 0.54)),
    ),
    "drop": (
        ((0.5, 0.96), (0.78, 0.52), (0.82, 0.34), (0.72, 0.16), (0.5, 0.06), (0.28, 0.16),
         (0.18, 0.34), (0.22, 0.52), (0.5, 0.96)),
    ),
    "syringe": (
        ((0.3, 0.22), (0.7, 0.22), (0.7, 0.76), (0.3, 0.76), (0.3, 0.22)),
        ((0.5, 0.22), (0.5, 0.02)),
        ((0.5, 0.56), (0.5, 0.96)),
        ((0.34, 0.96), (0.66, 0.96)),
        ((0.3, 0.56), (0.7, 0.56)),
    ),
    "plug": (
        ((0.3, 0.94), (0.3, 0.66)),
        ((0.7, 0.94), (0.7, 0.66)),
        ((0.16, 0.66), (0.84, 0.66), (0.84, 0.46), (0.66, 0.3), (0.34, 0.3), (0.16, 0.46),
         (0.16, 0.66)),
        ((0.5, 0.3), (0.5, 0.04)),
    ),
    "left": (((0.64, 0.14), (0.3, 0.5), (0.64, 0.86)),),
    "right": (((0.36, 0.14), (0.7, 0.5), (0.36, 0.86)),),
    "plus": (((0.5, 0.12), (0.5, 0.88)), ((0.12, 0.5), (0.88, 0.5))),
    "minus": (((0.12, 0.5), (0.88, 0.5)),),
}  # fmt: skip
_DOTS: Mapping[str, Points] = {"warning": ((0.5, 0.22),), "note": ((0.5, 0.8),)}
_FILLED: Mapping[str, Points] = {"warning": ((0.5, 0.94), (0.98, 0.08), (0.02, 0.08))}
_RINGS = frozenset({"note"})
NAMES = frozenset(_LINES)
"""The symbols there are."""


class Icon(Widget):
    """A symbol by its name, in one colour; ``fill`` is behind what is closed."""

    name = StringProperty("")
    ink = ColorProperty([1, 1, 1, 1])
    fill = ColorProperty([0, 0, 0, 0])
    stroke = NumericProperty(0.075)
    """How thick its lines are, of its side."""

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("name", "ink", "fill", "stroke", "pos", "size"):
            self.fbind(each, self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        if self.name not in _LINES:
            return
        side = min(self.width, self.height)
        left, low = self.center_x - side / 2, self.center_y - side / 2

        def placed(points: Points) -> list[float]:
            return [value for x, y in points for value in (left + x * side, low + y * side)]

        width = max(1.0, self.stroke * side / 2)
        with self.canvas:
            if self.name in _FILLED and self.fill[3]:
                Color(*self.fill)
                corners = placed(_FILLED[self.name])
                flat = [[x, y, 0, 0] for x, y in zip(corners[::2], corners[1::2], strict=True)]
                Mesh(
                    mode="triangle_fan",
                    indices=list(range(len(flat))),
                    vertices=[value for corner in flat for value in corner],
                )
            Color(*self.ink)
            for points in _LINES[self.name]:
                SmoothLine(points=placed(points), width=width, cap="round", joint="round")
            for x, y in _DOTS.get(self.name, ()):
                dot = width * 2.4
                SmoothEllipse(
                    pos=(left + x * side - dot / 2, low + y * side - dot / 2), size=(dot, dot)
                )
            if self.name in _RINGS:
                radius = side / 2 - width
                SmoothLine(circle=(self.center_x, self.center_y, radius), width=width)
