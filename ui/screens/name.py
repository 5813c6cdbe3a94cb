"""The body of the screen "name"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class NamePage(Page):
    """See the presenter of the same name."""
