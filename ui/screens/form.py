"""The body of every screen with several fields and one pad."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page
from ui.presenters.form import FormPresenter

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class FormPage(Page):
    """Its presenter is one of ``ui.presenters.form``."""

    presenter: FormPresenter

    def select(self, key: str) -> None:
        """Light another field."""
        self.presenter.select(key)
        self.presenter.desk.redraw()

    def choose(self, key: str) -> None:
        """Take a choice."""
        self.presenter.choose(key)
        self.presenter.desk.redraw()
