"""Widgets of the look, each with its rule in ``look.kv``. Import them from here."""

from pathlib import Path

from kivy.lang import Builder

from ui.widgets.bar import BarText, Foot, StatusBar
from ui.widgets.buttons import (
    FootButton,
    HoldButton,
    Key,
    RoundButton,
    StopButton,
    Touchable,
    TouchCard,
)
from ui.widgets.curve import DayCurve
from ui.widgets.icon import Icon
from ui.widgets.pad import NumberPad
from ui.widgets.plain import BenchMark, Card, ListRow, Surface, Text
from ui.widgets.ring import Ring
from ui.widgets.rows import Rows
from ui.widgets.trend import TrendGraph

__all__ = [
    "BarText",
    "BenchMark",
    "Card",
    "DayCurve",
    "Foot",
    "FootButton",
    "HoldButton",
    "Icon",
    "Key",
    "ListRow",
    "NumberPad",
    "Ring",
    "RoundButton",
    "Rows",
    "StatusBar",
    "StopButton",
    "Surface",
    "Text",
    "TouchCard",
    "Touchable",
    "TrendGraph",
]

Builder.load_file(str(Path(__file__).with_name("look.kv")))
