"""The language as a Kivy property: a change works every ``tr._('...')`` of a .kv out again."""

from __future__ import annotations

from kivy.event import EventDispatcher
from kivy.properties import ObjectProperty

from ui.words import words


class Language(EventDispatcher):
    """``_`` looks a message up. Each change makes another object of it: KV watches that."""

    _ = ObjectProperty(None)

    def __init__(self) -> None:
        super().__init__()
        words.listen(self._changed)
        self._changed()

    def _changed(self) -> None:
        self._ = lambda message: words.text(message)


tr = Language()
"""What .kv files import."""
