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
    Strip,
    Touchable,
    TouchCard,
)
from ui.widgets.choices import Choices
from ui.widgets.curve import DayCurve
from ui.widgets.drawing import Drawing, SiteMap, Tank
from ui.widgets.fields import Fields, FormField
from ui.widgets.graph import TherapyGraph
from ui.widgets.icon import Icon
from ui.widgets.letters import LetterPad
from ui.widgets.pad import NumberPad
from ui.widgets.plain import BenchMark, Card, ListRow, Surface, Text
from ui.widgets.prose import Prose
from ui.widgets.ring import Ring
from ui.widgets.row_list import RowLine, RowList, ScrollMark
from ui.widgets.rows import Rows
from ui.widgets.trend import TrendGraph

__all__ = [
    "BarText",
    "BenchMark",
    "Card",
    "Choices",
    "DayCurve",
    "Drawing",
    "Fields",
    "Foot",
    "FootButton",
    "FormField",
    "HoldButton",
    "Icon",
    "Key",
    "LetterPad",
    "ListRow",
    "NumberPad",
    "Prose",
    "Ring",
    "RoundButton",
    "RowLine",
    "RowList",
    "Rows",
    "ScrollMark",
    "SiteMap",
    "StatusBar",
    "StopButton",
    "Strip",
    "Surface",
    "Tank",
    "Text",
    "TherapyGraph",
    "TouchCard",
    "Touchable",
    "TrendGraph",
]

for _rules in ("look.kv", "lists.kv"):
    Builder.load_file(str(Path(__file__).with_name(_rules)))
