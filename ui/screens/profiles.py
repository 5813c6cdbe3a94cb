"""The body of the screen "profiles"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class ProfilesPage(Page):
    """See the presenter of the same name."""
