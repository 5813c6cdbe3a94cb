"""The body of the screen "menu"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder
from kivy.uix.widget import Widget

from ui.frame import Page
from ui.theme import theme
from ui.widgets import RoundButton

Builder.load_file(str(Path(__file__).with_suffix(".kv")))

_LEAST_PLACES = 9


class MenuPage(Page):
    """Buttons in a grid, all of one size."""

    def on_view(self, *_: object) -> None:
        """Show the buttons anew; they differ with the language alone."""
        if "grid" not in self.ids:
            return
        grid = self.ids.grid
        grid.clear_widgets()
        for name, words in self.view.buttons:
            button = RoundButton(text=words, key=name, size_px=theme.button)
            button.bind(on_press=lambda *_, name=name: self.press(name))
            grid.add_widget(button)
        for _place in range(_LEAST_PLACES - len(self.view.buttons)):
            grid.add_widget(Widget())

    def entered(self) -> None:
        """Have the buttons there the first time too."""
        self.on_view()
