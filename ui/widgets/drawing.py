"""Pictures of what to do with cartridge and set, drawn: no photograph says it as plainly.

Each scene is drawn in a box 1.5 wide and 1 high, y upwards; ``share`` moves what moves in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kivy.clock import Clock
from kivy.graphics import Color, Mesh, SmoothEllipse, SmoothLine, SmoothRoundedRectangle
from kivy.properties import ListProperty, NumericProperty, StringProperty
from kivy.uix.widget import Widget

from ui.presenters.cartridge import BEAKER, SITES, site_words
from ui.theme import theme
from ui.widgets.buttons import Touchable

Point = tuple[float, float]

_WIDE = 1.5
_THICK = 0.016


class Pen:
    """Draws on the canvas that is open, in the box's own measure."""

    def __init__(self, left_px: float, low_px: float, unit_px: float) -> None:
        self._left_px, self._low_px, self._unit_px = left_px, low_px, unit_px

    def at(self, points: Sequence[Point]) -> list[float]:
        """Return points in pixels, flat."""
        return [
            value
            for x, y in points
            for value in (self._left_px + x * self._unit_px, self._low_px + y * self._unit_px)
        ]

    def line(self, ink: str, points: Sequence[Point], thick: float = _THICK) -> None:
        """Draw a line through points."""
        Color(*theme.colour(ink))
        width = max(1.0, thick * self._unit_px / 2)
        SmoothLine(points=self.at(points), width=width, cap="round", joint="round")

    def box(self, ink: str, fill: str, low: Point, high: Point, round_: float = 0.03) -> None:
        """Draw a filled box with an edge; ``ink`` "" for no edge."""
        (x, y), (right, top) = low, high
        edge = _THICK if ink else 0.0
        if ink:
            Color(*theme.colour(ink))
            self._rounded(x, y, right - x, top - y, round_)
        if right - x > 2 * edge and top - y > 2 * edge:
            Color(*theme.colour(fill))
            inner = max(0.001, round_ - edge)
            self._rounded(x + edge, y + edge, right - x - 2 * edge, top - y - 2 * edge, inner)

    def _rounded(self, x: float, y: float, width: float, height: float, round_: float) -> None:
        left_px, low_px = self.at([(x, y)])
        unit = self._unit_px
        SmoothRoundedRectangle(
            pos=(left_px, low_px), size=(width * unit, height * unit), radius=[round_ * unit]
        )

    def dot(self, ink: str, centre: Point, radius: float) -> None:
        """Draw a filled circle."""
        Color(*theme.colour(ink))
        left_px, low_px = self.at([(centre[0] - radius, centre[1] - radius)])
        side_px = 2 * radius * self._unit_px
        SmoothEllipse(pos=(left_px, low_px), size=(side_px, side_px))

    def drop(self, ink: str, at: Point, size: float) -> None:
        """Draw a drop that hangs with its tip at a point."""
        x, y = at
        self.dot(ink, (x, y - size), size * 0.5)
        Color(*theme.colour(ink))
        corners = [(x, y), (x - size * 0.46, y - size * 0.82), (x + size * 0.46, y - size * 0.82)]
        flat = self.at(corners)
        vertices = [value for i in range(3) for value in (flat[2 * i], flat[2 * i + 1], 0, 0)]
        Mesh(mode="triangles", indices=[0, 1, 2], vertices=vertices)

    def arrow(self, ink: str, start: Point, end: Point) -> None:
        """Draw an arrow, straight up, down, left or right."""
        self.line(ink, [start, end], 0.026)
        (x, y), (from_x, from_y) = end, start
        back, side = 0.07, 0.055
        if x == from_x:
            sign = 1 if y > from_y else -1
            head = [(x - side, y - sign * back), (x, y), (x + side, y - sign * back)]
        else:
            sign = 1 if x > from_x else -1
            head = [(x - sign * back, y - side), (x, y), (x - sign * back, y + side)]
        self.line(ink, head, 0.026)


def _pump(pen: Pen, carriage: float) -> None:
    """Draw the pump's trough from the side; the carriage is at 0 (back) to 1 (forward)."""
    pen.box("line", "raised", (0.06, 0.16), (1.1, 0.34), 0.04)
    for foot in (0.16, 0.94):
        pen.box("", "line", (foot, 0.1), (foot + 0.08, 0.17), 0.01)
    pen.line("muted", [(0.14, 0.28), (0.62, 0.28)], 0.014)
    x = 0.16 + 0.3 * carriage
    pen.box("muted", "pressed", (x, 0.24), (x + 0.09, 0.6), 0.02)


def _syringe(pen: Pen, x: float, y: float, full: float) -> None:
    """Draw a lying syringe whose barrel begins at ``x``; ``full`` is how much is in it, 0 to 1."""
    length, half = 0.44, 0.085
    piston = x + 0.02 + (length - 0.04) * (1 - full)
    pen.line("muted", [(x - 0.12 - 0.3 * full, y), (piston, y)], 0.03)
    end = x - 0.12 - 0.3 * full
    pen.line("muted", [(end, y - 0.07), (end, y + 0.07)], 0.03)
    pen.box("text", "card", (x, y - half), (x + length, y + half), 0.02)
    if full > 0.02:
        pen.box(
            "", "insulin", (piston, y - half + 0.018), (x + length - 0.018, y + half - 0.018), 0.006
        )
    pen.line("text", [(piston, y - half + 0.02), (piston, y + half - 0.02)], 0.03)
    pen.line("text", [(x, y - 0.13), (x, y + 0.13)], 0.024)
    pen.line("text", [(x + length, y), (x + length + 0.07, y)], 0.034)
    for mark in range(1, 5):
        at = x + length * mark / 5
        pen.line("muted", [(at, y + half - 0.06), (at, y + half - 0.015)], 0.01)


def _rest(pen: Pen, _share: float) -> None:
    _pump(pen, 0.42)
    _syringe(pen, 0.6, 0.46, 0.7)


def _take_out(pen: Pen, _share: float) -> None:
    _pump(pen, 0.9)
    _syringe(pen, 0.6, 0.72, 0.12)
    pen.arrow("high", (1.28, 0.5), (1.28, 0.86))


def _rewind(pen: Pen, share: float) -> None:
    _pump(pen, 0.9 * (1 - share))
    pen.arrow("insulin", (0.62, 0.72), (0.24, 0.72))


def _put_in(pen: Pen, _share: float) -> None:
    _pump(pen, 0.0)
    _syringe(pen, 0.66, 0.72, 0.96)
    pen.arrow("insulin", (1.3, 0.86), (1.3, 0.5))


_TUBE: Sequence[Point] = (
    *((1.11, 0.46), (1.18, 0.46), (1.25, 0.48), (1.3, 0.53), (1.34, 0.56)),
    *((1.38, 0.55), (1.4, 0.51), (1.4, 0.44), (1.4, 0.38)),
)


def _along(points: Sequence[Point], share: float) -> list[Point]:
    count = max(2, round(len(points) * min(1.0, share)))
    return list(points[:count])


def _prime(pen: Pen, share: float) -> None:
    _pump(pen, 0.25)
    _syringe(pen, 0.6, 0.46, 0.84 - 0.1 * share)
    pen.line("line", _TUBE, 0.034)
    if share:
        pen.line("insulin", _along(_TUBE, share * 2), 0.022)
    pen.box("muted", "card", (1.3, 0.08), (1.49, 0.28), 0.02)
    pen.box("", "insulin", (1.318, 0.098), (1.472, 0.12 + 0.08 * share), 0.006)
    pen.drop("insulin", (1.4, 0.36), 0.045)


def _cannula(pen: Pen, share: float) -> None:
    pen.box("line", "raised", (0.1, 0.06), (1.4, 0.36), 0.04)
    pen.line("muted", [(0.14, 0.27), (1.36, 0.27)], 0.01)
    pen.box("text", "card", (0.44, 0.36), (1.06, 0.45), 0.03)
    pen.box("text", "pressed", (0.62, 0.44), (0.88, 0.62), 0.06)
    tube = [(0.3, 0.86), (0.34, 0.74), (0.42, 0.62), (0.52, 0.55), (0.62, 0.53)]
    pen.line("line", tube, 0.034)
    pen.line("insulin", tube, 0.02)
    pen.line("text", [(0.75, 0.36), (0.75, 0.16)], 0.034)
    if share:
        pen.line("insulin", [(0.75, 0.44), (0.75, 0.44 - 0.27 * share)], 0.018)
    pen.drop("insulin", (0.75, 0.15), 0.045)
    pen.arrow("insulin", (1.2, 0.86), (1.2, 0.52))


_SCENES: Mapping[str, Callable[[Pen, float], None]] = {
    "rest": _rest,
    "take_out": _take_out,
    "rewind": _rewind,
    "put_in": _put_in,
    "prime": _prime,
    "cannula": _cannula,
}
SCENES = frozenset(_SCENES)
"""The pictures there are."""


class Drawing(Widget):
    """One scene by its name."""

    name = StringProperty("")
    share = NumericProperty(0.0)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("name", "share", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(dark=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        scene = _SCENES.get(self.name)
        if scene is None:
            return
        unit_px = min(self.width / _WIDE, self.height)
        left_px = self.center_x - unit_px * _WIDE / 2
        with self.canvas:
            scene(Pen(left_px, self.center_y - unit_px / 2, unit_px), self.share)


class Tank(Widget):
    """A standing syringe, filled to ``share``: what a cartridge still holds."""

    share = NumericProperty(0.0)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("share", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(dark=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        unit_px = min(self.width / 0.5, self.height)
        with self.canvas:
            pen = Pen(self.center_x - unit_px * 0.25, self.center_y - unit_px / 2, unit_px)
            full = min(1.0, max(0.0, self.share))
            piston = 0.2 + 0.5 * full
            pen.line("muted", [(0.25, piston), (0.25, 0.74 + 0.22 * full)], 0.03)
            pen.line("muted", [(0.16, 0.74 + 0.22 * full), (0.34, 0.74 + 0.22 * full)], 0.03)
            pen.box("text", "card", (0.13, 0.18), (0.37, 0.72), 0.02)
            if full > 0.02:
                pen.box("", "insulin", (0.15, 0.2), (0.35, piston), 0.006)
            pen.line("text", [(0.15, piston), (0.35, piston)], 0.03)
            pen.line("text", [(0.07, 0.72), (0.43, 0.72)], 0.024)
            pen.line("text", [(0.25, 0.18), (0.25, 0.08)], 0.034)
            for mark in range(1, 6):
                at = 0.2 + 0.5 * mark / 6
                pen.line("muted", [(0.3, at), (0.345, at)], 0.01)


# The outline of a body from the front: its left half; the right one is its mirror.
_BODY: Sequence[Point] = (
    *((0.5, 0.985), (0.452, 0.975), (0.43, 0.93), (0.44, 0.88), (0.462, 0.855), (0.455, 0.825)),
    *((0.38, 0.795), (0.31, 0.775), (0.275, 0.73), (0.25, 0.62), (0.215, 0.5), (0.185, 0.41)),
    *((0.2, 0.375), (0.235, 0.385), (0.275, 0.49), (0.32, 0.61), (0.345, 0.68), (0.35, 0.6)),
    *((0.342, 0.5), (0.33, 0.42), (0.335, 0.28), (0.36, 0.14), (0.365, 0.03), (0.42, 0.02)),
    *((0.44, 0.04), (0.455, 0.18), (0.485, 0.36), (0.5, 0.39)),
)


class Spot(Touchable):
    """One place on the map."""

    chosen = NumericProperty(0)
    key = StringProperty("")
    text = StringProperty("")
    rank = NumericProperty(0)
    """How lately it was used: 1 is the last time, 0 not lately."""

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("chosen", "rank", "down", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(dark=self._drawing)

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        radius_px = self.width / 2 - 2 * theme.px
        x, y = self.center
        with self.canvas:
            Color(*theme.colour("primary" if self.chosen else "raised"))
            SmoothEllipse(pos=(x - radius_px, y - radius_px), size=(2 * radius_px, 2 * radius_px))
            Color(*theme.colour("insulin" if self.chosen or not self.rank else "high"))
            width = (3.0 if self.chosen else 1.4) * theme.hair
            SmoothLine(circle=(x, y, radius_px), width=width)
            if self.rank:  # a ring for each change since: one ring is the last place
                for ring in range(int(self.rank)):
                    inner = radius_px * (0.72 - 0.22 * ring)
                    SmoothLine(circle=(x, y, inner), width=1.2 * theme.hair)


class SiteMap(Widget):
    """A body from the front with the places of a set, and a beaker for a bench."""

    site = StringProperty("")
    used = ListProperty([])
    """Where it was the last times, newest first."""

    __events__ = ("on_spot",)

    def __init__(self, **words: object) -> None:
        self._spots: dict[str, Spot] = {}
        super().__init__(**words)
        for key, _x, _y in (*SITES, (BEAKER, 0.0, 0.0)):
            spot = Spot(key=key, size_hint=(None, None))
            spot.bind(on_press=lambda one: self.dispatch("on_spot", one.key))
            self._spots[key] = spot
            self.add_widget(spot)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("site", "used", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(dark=self._drawing, target=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.before.clear()
        high = self.height
        wide = max(high * 0.96, theme.target / 0.168)  # places beside each other are fingers apart
        left = self.center_x - wide / 2 - 0.4 * theme.target

        def place(x: float, y: float) -> Point:
            return left + x * wide, self.y + y * high

        half = [place(x, y) for x, y in _BODY]
        other = [place(1 - x, y) for x, y in reversed(_BODY)]
        with self.canvas.before:
            Color(*theme.colour("muted"))
            points = [value for point in (*half, *other) for value in point]
            SmoothLine(points=points, width=1.3 * theme.px, joint="round", close=True)
            at_x, at_y = left + wide * 0.82 + theme.target * 0.75, self.y + high * 0.2
            pen = Pen(at_x - 0.5 * theme.target, at_y - 0.5 * theme.target, theme.target)
            pen.box("muted", "card", (-0.12, -0.3), (1.12, 0.9), 0.06)
            pen.box("", "insulin", (-0.08, -0.26), (1.08, 0.1), 0.03)
        used = list(self.used)
        centres = {key: place(x, y) for key, x, y in SITES}
        centres[BEAKER] = at_x, at_y + 0.25 * theme.target
        for key, spot in self._spots.items():
            spot.size = theme.target, theme.target
            spot.center = centres[key]
            spot.text = site_words(key)
            spot.chosen = int(key == self.site)
            spot.rank = used.index(key) + 1 if key in used else 0

    def on_spot(self, key: str) -> None:
        """Be given the key of the place that was touched."""


__all__ = ["SCENES", "Drawing", "SiteMap", "Spot", "Tank"]
