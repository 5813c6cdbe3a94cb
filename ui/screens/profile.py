"""The body of the screen "profile"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class ProfilePage(Page):
    """See the presenter of the same name."""
