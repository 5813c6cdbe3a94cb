"""The number pad: 789, 456, 123, 0 and erase; the point stands alone, far from 0 (SR-03)."""

from __future__ import annotations

from kivy.properties import BooleanProperty
from kivy.uix.gridlayout import GridLayout
from kivy.uix.widget import Widget

from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Key

ROWS = (("7", "8", "9", "."), ("4", "5", "6", ""), ("1", "2", "3", ""), ("0", "erase", "", "clear"))
"""The places of the keys: four columns, four rows. They are the same on every screen."""


class NumberPad(GridLayout):
    """Sixteen places; ``on_key`` gets "0" to "9", ".", "erase" or "clear"."""

    decimals = BooleanProperty(True)
    """Whether there is a point: a field without decimals hides it."""
    enabled = BooleanProperty(True)

    __events__ = ("on_key",)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self.keys: dict[str, Key] = {}
        for place in (place for row in ROWS for place in row):
            self.add_widget(self._made(place) if place else Widget())
        tr.bind(_=self._named)
        self._named()

    def _made(self, place: str) -> Key:
        key = Key(key=place)
        if place == "erase":
            key.icon = "erase"
        elif place != "clear":
            key.text = place
        key.bind(on_press=lambda *_: self.dispatch("on_key", place))
        self.keys[place] = key
        return key

    def _named(self, *_: object) -> None:
        clear = self.keys["clear"]
        clear.text, clear.size_px = tr._("Clear"), 20 * theme.px

    def on_decimals(self, _: object, decimals: bool) -> None:
        """Show or hide the point."""
        point = self.keys["."]
        point.opacity, point.enabled = float(decimals), decimals and self.enabled

    def on_enabled(self, _: object, enabled: bool) -> None:
        """Take keys, or none."""
        for place, key in self.keys.items():
            key.enabled = enabled and (place != "." or self.decimals)

    def on_key(self, key: str) -> None:
        """Be given a key."""
