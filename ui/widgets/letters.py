"""Letters to touch: thirty keys in their order, as many in a row as a finger's width allows."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.properties import ObjectProperty
from kivy.uix.gridlayout import GridLayout

from ui.theme import theme
from ui.widgets.buttons import Key

_WIDE_COLUMNS, _NARROW_COLUMNS = 10, 6


class LetterPad(GridLayout):
    """``keys`` are pairs of key and words; ``on_key`` gets the key that was touched."""

    keys = ObjectProperty(())

    __events__ = ("on_key",)

    def __init__(self, **words: object) -> None:
        self._made: list[Key] = []
        super().__init__(**words)
        self.fbind("keys", self._refresh)
        theme.bind(portrait=self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        keys: Sequence[tuple[str, str]] = self.keys
        self.cols = _NARROW_COLUMNS if theme.portrait else _WIDE_COLUMNS
        while len(self._made) > len(keys):
            self.remove_widget(self._made.pop())
        while len(self._made) < len(keys):
            place = Key()
            place.bind(on_press=lambda key: self.dispatch("on_key", key.key))
            self._made.append(place)
            self.add_widget(place)
        for place, (key, text) in zip(self._made, keys, strict=True):
            place.key, place.text = key, text
            place.icon = "erase" if key == "erase" else ""
            place.size_px = theme.title if len(text) < 2 else theme.row

    def on_key(self, key: str) -> None:
        """Be given the key that was touched."""


__all__ = ["LetterPad"]
