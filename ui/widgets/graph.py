"""Graphs, drawn: glucose over boluses over basal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from kivy.clock import Clock
from kivy.core.text import Label as CoreLabel
from kivy.graphics import Color, Mesh, Point, Rectangle
from kivy.graphics.texture import Texture
from kivy.properties import ObjectProperty, StringProperty
from kivy.uix.widget import Widget

from ui.presenters.plot import HIGH_MG_DL, LOW_MG_DL, Dot, Plot
from ui.theme import theme

_DISC_PX = 32


def _disc() -> Texture:
    """Return a white disc with a soft edge: Kivy's points are squares of a texture."""
    middle = (_DISC_PX - 1) / 2
    pixels = bytearray()
    for y in range(_DISC_PX):
        for x in range(_DISC_PX):
            away = ((x - middle) ** 2 + (y - middle) ** 2) ** 0.5
            pixels += bytes((255, 255, 255, round(255 * min(1.0, max(0.0, middle - away)))))
    texture = Texture.create(size=(_DISC_PX, _DISC_PX), colorfmt="rgba")
    texture.blit_buffer(bytes(pixels), colorfmt="rgba", bufferfmt="ubyte")
    return texture


class Drawing(Widget):
    """Something that draws itself anew where its place, its colours or its data change."""

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self.redraw = Clock.create_trigger(self._redraw, -1)
        for each in ("pos", "size"):
            self.fbind(each, self.redraw)
        theme.bind(dark=self.redraw, px=self.redraw)
        self.redraw()

    def _redraw(self, *_: object) -> None:
        self.canvas.clear()
        if self.width > 1 and self.height > 1:
            with self.canvas:
                self.draw()

    def draw(self) -> None:
        """Give the canvas its instructions; called with it open."""
        raise NotImplementedError

    def write(
        self,
        words: str,
        x_px: float,
        y_px: float,
        *,
        tone: str = "muted",
        size_px: float | None = None,
        halign: float = 0.5,
        until_px: float = float("inf"),
    ) -> float | None:
        """Write words with their middle (or left 0, right 1) at a place, inside the widget.

        Returns where they begin; None, and nothing written, where they reach past ``until_px``.
        """
        label = CoreLabel(
            text=words, font_size=size_px or theme.caption * 0.9, font_name=theme.regular
        )
        label.refresh()
        width, height = label.texture.size
        left = float(min(max(self.x, x_px - width * halign), self.right - width))
        if left + width > until_px:
            return None
        Color(*theme.colour(tone))
        Rectangle(
            texture=label.texture,
            pos=(round(left), round(y_px - height / 2)),
            size=label.texture.size,
        )
        return left

    def box(
        self, left: float, low: float, right: float, high: float, tone: str, opacity: float = 1
    ) -> None:
        """Fill a rectangle."""
        red, green, blue, _opaque = theme.colour(tone)
        Color(red, green, blue, opacity)
        Rectangle(pos=(left, low), size=(max(0.0, right - left), max(0.0, high - low)))


class TherapyGraph(Drawing):
    """Glucose with its target above, boluses in the middle, basal below, hours at the foot."""

    plot = ObjectProperty(None, allownone=True)
    empty = StringProperty("")
    """What stands in the place of glucose where there is none."""

    def __init__(self, **words: object) -> None:
        self._texture = _disc()
        super().__init__(**words)
        for each in ("plot", "empty"):
            self.fbind(each, self.redraw)

    def draw(self) -> None:
        """Draw the four parts."""
        plot: Plot | None = self.plot
        if plot is None or not plot.hours:
            return
        unit = theme.px
        left, right = float(self.x + 46 * unit), float(self.right - 6 * unit)
        foot, top = self.y + 24 * unit, self.top - 4 * unit
        readings = bool(plot.glucose or plot.fingers)
        basal_high = foot + (top - foot) * (0.24 if readings else 0.5)
        marks_high = basal_high + 44 * unit

        def at(share: float) -> float:
            return left + (right - left) * share

        for share, words in plot.ticks:
            self.write(words, at(share), self.y + 11 * unit)
            self.box(at(share), foot, at(share) + theme.hair, top, "line", 0.6)
        self._draw_glucose(plot, left, right, marks_high + 6 * unit, top)
        self._draw_boluses(plot, left, right, basal_high + 8 * unit)
        self._draw_basal(plot, left, right, foot, basal_high)

    def _draw_glucose(self, plot: Plot, left: float, right: float, low: float, high: float) -> None:
        span = plot.most_mg_dl - plot.least_mg_dl

        def up(mg_dl: int) -> float:
            return low + (high - low) * (mg_dl - plot.least_mg_dl) / span

        self.box(left, up(LOW_MG_DL), right, up(HIGH_MG_DL), "in_range", 0.12)
        for mg_dl in (LOW_MG_DL, HIGH_MG_DL):
            self.box(left, up(mg_dl), right, up(mg_dl) + theme.hair, "line")
            self.write(str(mg_dl), left - 8 * theme.px, up(mg_dl), halign=1)
        for begin, end in plot.held:
            self.box(
                left + (right - left) * begin, low, left + (right - left) * end, high, "low", 0.1
            )
        if not plot.glucose and not plot.fingers:
            self.write(self.empty, (left + right) / 2, (low + high) / 2, size_px=theme.caption)
        self._dots(plot.glucose, left, right, up, 3.2 * theme.px)
        self._dots(plot.fingers, left, right, up, 5.5 * theme.px)

    def _dots(
        self,
        dots: Sequence[Dot],
        left: float,
        right: float,
        up: Callable[[int], float],
        radius: float,
    ) -> None:
        by_tone: dict[str, list[float]] = defaultdict(list)
        for dot in dots:
            by_tone[dot.tone] += (left + (right - left) * dot.share, up(dot.mg_dl))
        for tone, points in by_tone.items():
            Color(*theme.colour(tone))
            Point(points=points, pointsize=radius, texture=self._texture)

    def _draw_boluses(self, plot: Plot, left: float, right: float, low: float) -> None:
        unit = theme.px
        self.box(left, low - 4 * unit, right, low - 4 * unit + theme.hair, "line")
        free_px = float("inf")
        for mark in sorted(plot.boluses, key=lambda one: one.share, reverse=True):
            x = left + (right - left) * mark.share
            Color(*theme.colour("insulin"))
            corners = ((x - 7 * unit, low + 12 * unit), (x + 7 * unit, low + 12 * unit), (x, low))
            flat = [value for corner in corners for value in (*corner, 0, 0)]
            Mesh(mode="triangles", indices=[0, 1, 2], vertices=flat)
            # From the newest on: an amount that would touch a later one stands in the list alone.
            begin_px = self.write(
                mark.words, x, low + 23 * unit, tone=mark.tone, until_px=free_px - 6 * unit
            )
            if begin_px is not None:
                free_px = begin_px

    def _draw_basal(self, plot: Plot, left: float, right: float, low: float, high: float) -> None:
        self.box(left, low, right, low + theme.hair, "line")
        top_words = f"{plot.most_uu_per_h / 1_000_000:.2f}"
        self.write(top_words, left - 8 * theme.px, high - 6 * theme.px, halign=1)
        self.write("U/h", left - 8 * theme.px, (low + high) / 2 - 4 * theme.px, halign=1)
        for block in plot.basal:
            height = (high - low) * block.rate_uu_per_h / plot.most_uu_per_h
            begin = left + (right - left) * block.begin
            end = left + (right - left) * block.end
            self.box(begin, low, end, low + height, "basal")


__all__ = ["Drawing", "TherapyGraph"]
