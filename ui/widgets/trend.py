"""The graph of the last hours: basal as a stepped area, boluses as marks with their amounts."""

from __future__ import annotations

from collections.abc import Callable

from kivy.clock import Clock
from kivy.core.text import Label as CoreLabel
from kivy.graphics import Color, Rectangle, SmoothEllipse, Triangle
from kivy.properties import ObjectProperty
from kivy.uix.widget import Widget

from appliance.client.words import NS_PER_S, UU_PER_U
from ui.presenters import numbers
from ui.presenters.home import HIGH_MG_DL, LOW_MG_DL
from ui.presenters.trend import Trend
from ui.theme import theme

_HOUR_NS = 3_600 * NS_PER_S
_LEAST_TOP_UU_PER_H = UU_PER_U
_LABELS = 6
_BASAL_SHARE = 0.3
_GLUCOSE_FOOT_MG_DL, _GLUCOSE_TOP_MG_DL = 40, 240
Across = Callable[[int], float]


class TrendGraph(Widget):
    """Draws a ``Trend`` anew whenever it differs."""

    trend = ObjectProperty(None, allownone=True)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("trend", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(basal=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        trend = self.trend
        if trend is None or trend.to_ns <= trend.from_ns or self.height < 30 * theme.px:
            return
        axis, type_px = 22 * theme.px, theme.px * 13
        low, span_ns = self.y + axis, trend.to_ns - trend.from_ns
        marks = 44 * theme.px
        area = self.height - axis - marks

        def across(utc_ns: int) -> float:
            return float(self.x + self.width * (utc_ns - trend.from_ns) / span_ns)

        share = _BASAL_SHARE if trend.glucose else 1.0
        with self.canvas:
            self._basal(trend, across, low, area * share, type_px)
            if trend.glucose:
                self._glucose(trend, across, low + marks + area * share, area * (1 - share))
            Color(*theme.muted)
            self._hours(trend, type_px)
            self._boluses(trend, across, low + area * share + 2 * theme.px, type_px)

    def _basal(self, trend: Trend, across: Across, low: float, area: float, type_px: float) -> None:
        top = max([_LEAST_TOP_UU_PER_H, *(rate for _start, _end, rate in trend.basal)])
        Color(*theme.line)
        for share in (0.0, 1.0):
            Rectangle(pos=(self.x, low + area * share), size=(self.width, theme.hair))
        Color(*theme.basal[:3], 0.8)
        for start, end, rate in trend.basal:
            Rectangle(
                pos=(across(start), low),
                size=(max(1.0, across(end) - across(start)), area * rate / top),
            )
        Color(*theme.muted)
        self._text(f"{numbers.rate(top)} U/h", self.x, low + area + 1, type_px, edge="left")

    def _boluses(self, trend: Trend, across: Across, foot: float, type_px: float) -> None:
        half = 7 * theme.px
        high = foot + half * 1.7
        free = float("inf")
        for utc_ns, amount_uu in sorted(trend.boluses, reverse=True):
            here = across(utc_ns)
            Color(*theme.insulin)
            Triangle(points=[here, foot, here - half, high, here + half, high])
            Color(*theme.text)
            # From the newest on: an amount that would touch a later one stands in the list alone.
            words, until = numbers.units_bare(amount_uu), free - 6 * theme.px
            begin = self._text(words, here, high + 3 * theme.px, type_px, until=until)
            free = free if begin is None else begin

    def _glucose(self, trend: Trend, across: Across, low: float, area: float) -> None:
        top = max(_GLUCOSE_TOP_MG_DL, *(mg_dl for _at, mg_dl in trend.glucose))
        span = top - _GLUCOSE_FOOT_MG_DL

        def up(mg_dl: int) -> float:
            return float(
                low + area * (max(mg_dl, _GLUCOSE_FOOT_MG_DL) - _GLUCOSE_FOOT_MG_DL) / span
            )

        Color(*theme.in_range[:3], 0.09)
        Rectangle(pos=(self.x, up(LOW_MG_DL)), size=(self.width, up(HIGH_MG_DL) - up(LOW_MG_DL)))
        Color(*theme.muted)
        for level in (LOW_MG_DL, HIGH_MG_DL):
            self._text(str(level), self.x, up(level), 13 * theme.px, edge="left")
        side = 6.4 * theme.px
        for utc_ns, mg_dl in trend.glucose:
            low_, high_ = mg_dl < LOW_MG_DL, mg_dl > HIGH_MG_DL
            Color(*(theme.low if low_ else theme.high if high_ else theme.in_range))
            at = (across(utc_ns) - side / 2, up(mg_dl) - side / 2)
            SmoothEllipse(pos=at, size=(side, side), segments=12)

    def _hours(self, trend: Trend, type_px: float) -> None:
        hours = (trend.to_ns - trend.from_ns) // _HOUR_NS
        every = max(1, -(-hours // _LABELS))
        local_ns = trend.offset_s * NS_PER_S
        first = -(-(trend.from_ns + local_ns) // (every * _HOUR_NS)) * every
        for hour in range(first, (trend.to_ns + local_ns) // _HOUR_NS + 1, every):
            at_ns = hour * _HOUR_NS - local_ns
            share = (at_ns - trend.from_ns) / (trend.to_ns - trend.from_ns)
            self._text(f"{hour % 24:02d}", self.x + self.width * share, self.y, type_px)

    def _text(
        self,
        text: str,
        middle: float,
        low: float,
        type_px: float,
        edge: str = "",
        until: float = float("inf"),
    ) -> float | None:
        """Write words; return where they begin. None, and nothing written, past ``until``."""
        label = CoreLabel(text=text, font_size=type_px, font_name=theme.regular)
        label.refresh()
        wide, high = label.texture.size
        left = middle if edge else middle - wide / 2
        left = float(min(max(self.x, left), self.right - wide))
        if left + wide > until:
            return None
        Rectangle(texture=label.texture, pos=(left, low), size=(wide, high))
        return left
