"""A ring that fills clockwise from the top: how much of a dose is confirmed."""

from __future__ import annotations

from kivy.clock import Clock
from kivy.graphics import Color, SmoothLine
from kivy.properties import ColorProperty, NumericProperty
from kivy.uix.floatlayout import FloatLayout

from ui.theme import theme

_FULL_DEGREES = 360


class Ring(FloatLayout):
    """``share`` (0 to 1) of it is drawn in ``tone``."""

    share = NumericProperty(0.0)
    tone = ColorProperty()
    thick = NumericProperty(22)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        with self.canvas.before:
            self._ground = Color()
            self._circle = SmoothLine(close=True)
            self._ink = Color()
            self._arc = SmoothLine(cap="round")
        self._drawing = Clock.create_trigger(self._draw, -1)
        for each in ("share", "tone", "thick", "pos", "size"):
            self.fbind(each, self._drawing)
        theme.bind(raised=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        radius = max(1.0, min(self.width, self.height) / 2 - self.thick / 2)
        self._ground.rgba = theme.raised
        self._circle.width = self._arc.width = self.thick / 2
        self._circle.circle = (self.center_x, self.center_y, radius)
        self._ink.rgba = self.tone if self.share > 0 else (0, 0, 0, 0)
        end = min(1.0, self.share) * _FULL_DEGREES
        self._arc.circle = (self.center_x, self.center_y, radius, 0, max(1.0, end))
