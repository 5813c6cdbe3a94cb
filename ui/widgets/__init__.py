"""Widgets of the look, each with its rule in ``look.kv``. Import them from here."""

from pathlib import Path

from kivy.lang import Builder

from ui.widgets.bar import BarText, Foot, StatusBar
from ui.widgets.buttons import FootButton, HoldButton, Key, RoundButton, StopButton
from ui.widgets.icon import Icon
from ui.widgets.pad import NumberPad
from ui.widgets.plain import BenchMark, Card, ListRow, Surface, Text

__all__ = [
    "BarText",
    "BenchMark",
    "Card",
    "Foot",
    "FootButton",
    "HoldButton",
    "Icon",
    "Key",
    "ListRow",
    "NumberPad",
    "RoundButton",
    "StatusBar",
    "StopButton",
    "Surface",
    "Text",
]

Builder.load_file(str(Path(__file__).with_name("look.kv")))
