"""The body of the screen "check"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder
from kivy.properties import BooleanProperty, ColorProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from ui.frame import Page

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class Lamp(BoxLayout):
    """A lamp in its colour, with its name below it; filled while it is lit."""

    lit = BooleanProperty(False)
    ink = ColorProperty([1, 1, 1, 1])
    text = StringProperty("")


class CheckPage(Page):
    """See the presenter of the same name."""
