"""A day of basal as a stepped area: segments over 24 hours, with a mark at the present minute."""

from __future__ import annotations

from kivy.clock import Clock
from kivy.core.text import Label as CoreLabel
from kivy.graphics import Color, Line, Rectangle
from kivy.properties import ListProperty, NumericProperty
from kivy.uix.widget import Widget

from ui.theme import theme

_DAY_MIN = 1_440
_LABEL_H = (0, 6, 12, 18, 24)


class DayCurve(Widget):
    """``segments`` are (minute of the day, rate in uu/h); ``minute`` is now, -1 marks nothing.

    ``lit`` is the number of the segment that is looked at, -1 for none.
    """

    segments = ListProperty([])
    minute = NumericProperty(-1)
    lit = NumericProperty(-1)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("segments", "minute", "lit", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(basal=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self.canvas.clear()
        segments = sorted(self.segments)
        if not segments or self.width < 10:
            return
        axis = theme.caption * 1.5
        top = max(rate for _start, rate in segments) or 1
        scale_y = (self.height - axis - 6 * theme.px) / top

        def across(minute: float) -> float:
            return float(self.x + self.width * minute / _DAY_MIN)

        with self.canvas:
            for place, (start, rate) in enumerate(segments):
                end = segments[place + 1][0] if place + 1 < len(segments) else _DAY_MIN
                Color(*(theme.insulin if place == self.lit else theme.basal))
                Rectangle(
                    pos=(across(start), self.y + axis),
                    size=(across(end) - across(start), rate * scale_y),
                )
            Color(*theme.line)
            Rectangle(pos=(self.x, self.y + axis), size=(self.width, theme.hair))
            Color(*theme.muted)
            for hour in _LABEL_H:
                self._label(f"{hour:02d}", across(hour * 60))
            if self.minute >= 0:
                Color(*theme.text)
                here = across(self.minute)
                Line(points=[here, self.y + axis, here, self.top], width=theme.hair)

    def _label(self, text: str, middle: float) -> None:
        label = CoreLabel(text=text, font_size=theme.caption, font_name=theme.regular)
        label.refresh()
        wide, high = label.texture.size
        left = min(max(self.x, middle - wide / 2), self.right - wide)
        Rectangle(texture=label.texture, pos=(left, self.y), size=(wide, high))
