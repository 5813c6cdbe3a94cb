"""The body of every screen that is a list: settings, reminders, choices, logs."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page
from ui.presenters.choose import ListPresenter

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class ListingPage(Page):
    """Rows, and a line above them."""

    presenter: ListPresenter

    def pick(self, key: str) -> None:
        """Hand a row to the presenter."""
        self.presenter.pick(key)
        self.presenter.desk.redraw()

    def entered(self) -> None:
        """Begin at the top, or where the chosen row is."""
        rows = self.ids.rows
        rows.to_top()
        rows.rows = self.view.rows
        if self.view.chosen:
            rows.reveal(self.view.chosen)
