"""Several buttons in a row, of which one is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.properties import NumericProperty, ObjectProperty, StringProperty
from kivy.uix.gridlayout import GridLayout

from ui.presenters.lists import Choice
from ui.widgets.buttons import RoundButton


class Choices(GridLayout):
    """``on_choose`` gets the key of the one that was touched."""

    items = ObjectProperty(())
    """A sequence of ``Choice``; another object at each change."""
    chosen = StringProperty("")
    row_most = NumericProperty(0)
    """How many stand beside each other; 0 for all of them."""

    __events__ = ("on_choose",)

    def __init__(self, **words: object) -> None:
        self._buttons: dict[str, RoundButton] = {}
        super().__init__(**words)
        self.fbind("items", self._refresh)
        self.fbind("chosen", self._refresh)
        self.fbind("row_most", self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        items: Sequence[Choice] = self.items
        if list(self._buttons) != [item.key for item in items]:
            self.clear_widgets()
            self._buttons = {item.key: self._made(item.key) for item in items}
        self.cols = int(self.row_most) or max(1, len(items))
        for item in items:
            button = self._buttons[item.key]
            button.text, button.enabled = item.text, item.enabled
            button.kind = "chosen" if item.key == self.chosen else "plain"

    def _made(self, key: str) -> RoundButton:
        button = RoundButton(again_s=0.1, chooses=True)
        button.bind(on_press=lambda *_: self.dispatch("on_choose", key))
        self.add_widget(button)
        return button

    def on_choose(self, key: str) -> None:
        """Be given the key of the one that was touched."""


__all__ = ["Choices"]
