"""Captions and values under each other, and sentences that fit into their box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kivy.properties import NumericProperty, ObjectProperty
from kivy.uix.boxlayout import BoxLayout

from ui.theme import theme
from ui.widgets.plain import ListRow, Text

_SIZES = (1.0, 0.92, 0.85, 0.78, 0.7, 0.62)


class HasLine(Protocol):
    """What a line is made of; ``tone`` is the name of a colour."""

    @property
    def caption(self) -> str: ...

    @property
    def value(self) -> str: ...

    @property
    def tone(self) -> str: ...


class Lines(BoxLayout):
    """One ``ListRow`` for each of ``lines``; as high as they need."""

    lines = ObjectProperty(())
    line_px = NumericProperty(34)

    def __init__(self, **words: object) -> None:
        words.setdefault("orientation", "vertical")
        words.setdefault("size_hint_y", None)
        super().__init__(**words)
        for each in ("lines", "line_px"):
            self.fbind(each, self._refresh)
        theme.bind(dark=self._refresh, px=self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        lines: Sequence[HasLine] = self.lines
        while len(self.children) > len(lines):
            self.remove_widget(self.children[0])
        while len(self.children) < len(lines):
            self.add_widget(ListRow())
        rows = list(reversed(self.children))
        for row, line in zip(rows, lines, strict=True):
            row.caption, row.value = line.caption, line.value
            row.tone = theme.colour(line.tone)
            row.ruled = row is not rows[-1]
        self.height = self.line_px * theme.px * len(lines)


class Prose(Text):
    """Sentences in a box of a given size: they wrap, and their letters shrink until all fit."""

    def _fit(self, *_: object) -> None:
        self.text_size = (self.width, None)
        for share in _SIZES:
            self.font_size = int(self.size_px * share)
            self.texture_update()
            if self.texture_size[1] <= self.height:
                break
        self.text_size = self.size


__all__ = ["Lines", "Prose"]
