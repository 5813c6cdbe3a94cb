"""What is only looked at: text, surfaces, cards, rows, the BENCH mark."""

from __future__ import annotations

from kivy.clock import Clock
from kivy.graphics import Color, Mesh
from kivy.properties import BooleanProperty, ColorProperty, NumericProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.label import Label
from kivy.uix.widget import Widget

from ui.theme import theme

_SMALLEST = 0.62


class Text(Label):
    """Words in one colour. ``size_px`` is its letter; with ``fit`` one line shrinks to its width.

    Without ``fit`` it wraps at its width and takes the height that it needs, where ``grow`` is set.
    """

    size_px = NumericProperty(19)
    wide = NumericProperty(0)
    """How wide its one line is at its full size."""
    fit = BooleanProperty(True)
    grow = BooleanProperty(False)
    shortens = BooleanProperty(False)
    """Whether one line that is too long ends in dots: the whole stands elsewhere."""

    def __init__(self, **words: object) -> None:
        self._fitting = Clock.create_trigger(self._fit, -1)
        super().__init__(**words)
        self.fbind("text", self._fitting)
        self.fbind("size", self._fitting)
        self.fbind("size_px", self._fitting)
        self.fbind("font_name", self._fitting)
        self.fbind("markup", self._fitting)
        self._fitting()

    def _fit(self, *_: object) -> None:
        if not self.fit:
            self.font_size = self.size_px
            self.text_size = (self.width, None)
            return
        self.shorten = False
        self.text_size = (None, None)
        self.font_size = self.size_px
        room = self.width - self.padding[0] - self.padding[2]
        self.texture_update()
        wide = self.texture_size[0] - self.padding[0] - self.padding[2]
        self.wide = self.texture_size[0]
        if self.text and wide > room > 0:
            least = self.size_px * _SMALLEST
            self.font_size = max(least, int(self.size_px * room / wide))
            self.texture_update()
            while self._letters > room and self.font_size > least:  # letters do not scale evenly
                self.font_size = max(least, self.font_size - 1)
                self.texture_update()
            self.shorten = self.shortens
        self.text_size = self.size

    @property
    def _letters(self) -> float:
        """How wide its one line is now."""
        return float(self.texture_size[0] - self.padding[0] - self.padding[2])


class Surface(Widget):
    """A round rectangle: ``fill`` within a hair line of ``edge``."""

    fill = ColorProperty([0, 0, 0, 0])
    edge = ColorProperty([0, 0, 0, 0])
    radius = NumericProperty(12)
    edge_px = NumericProperty(1)


class Card(Surface, BoxLayout):
    """A surface that holds things under each other."""


class ListRow(BoxLayout):
    """A caption on the left, its value on the right, a hair line below."""

    caption = StringProperty("")
    note = StringProperty("")
    value = StringProperty("")
    tone = ColorProperty()
    ruled = BooleanProperty(True)


class BenchMark(Widget):
    """The word BENCH in a hatched frame: on every screen, always in the same place."""

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        with self.canvas:
            self._dark = Color()
            self._stripes = Mesh(mode="triangles")
        self._drawing = Clock.create_trigger(self._hatch, -1)
        self.bind(pos=self._drawing, size=self._drawing)
        theme.bind(bench_dark=self._drawing)
        self._drawing()

    def _hatch(self, *_: object) -> None:
        """Lay slanted stripes over the frame; the rule draws frame and inside around them."""
        self._dark.rgba = theme.bench_dark
        step, corners = 8 * theme.px, []
        x, top, bottom = self.x, self.top, self.y
        while x < self.right:
            corners += [(x, bottom), (x + step / 2, bottom), (x + step, top), (x + step / 2, top)]
            x += step
        limit = self.right
        vertices = [value for x, y in corners for value in (min(x, limit), y, 0, 0)]
        self._stripes.vertices = vertices
        self._stripes.indices = [
            first + corner for first in range(0, len(corners), 4) for corner in (0, 1, 2, 0, 2, 3)
        ]
