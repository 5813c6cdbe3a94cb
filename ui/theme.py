"""The look: every colour, size and letter of the touchscreen is named here, and nowhere else.

Sizes are in units of the look (``ui.panels``): ``theme.px`` is one unit in pixels, so a .kv says
``12 * theme.px``. Colours change with ``use``, sizes with ``fit``; KV follows both by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kivy.core.text import LabelBase
from kivy.event import EventDispatcher
from kivy.properties import BooleanProperty, ColorProperty, NumericProperty
from kivy.utils import get_color_from_hex

from ui.panels import Panel

FONTS = Path(__file__).parent / "fonts"

_DARK: Mapping[str, str] = {
    "background": "#0d1117",
    "bar": "#0a0e14",
    "card": "#161c26",
    "raised": "#1e2632",
    "pressed": "#2b3646",
    "line": "#2b3646",
    "text": "#f3f6fa",
    "muted": "#9fb0c3",
    "faint": "#5d6d80",
    "insulin": "#58a6ff",
    "basal": "#2f6fb5",
    "primary": "#1f5fae",
    "primary_line": "#3a83d8",
    "primary_deep": "#122845",
    "ink_primary": "#ffffff",
    "in_range": "#3fd68f",
    "high": "#ffb547",
    "low": "#ff6b6b",
    "stop": "#e5484d",
    "stop_pressed": "#b3282d",
    "stop_line": "#ff8a8d",
    "ink_stop": "#ffffff",
    "bench": "#f5c542",
    "bench_dark": "#3a3212",
    "ink_bench": "#0a0e14",
    "attention": "#241d10",
    "alarm_high": "#3b0d10",
    "alarm_high_line": "#e5484d",
    "alarm_high_raised": "#5a1a1e",
    "alarm_medium": "#352405",
    "alarm_medium_line": "#ffb547",
    "alarm_medium_raised": "#553b0c",
    "alarm_low": "#07262d",
    "alarm_low_line": "#35c5db",
    "alarm_low_raised": "#0d3f4a",
    "seen": "#f3f6fa",
    "ink_seen": "#161c26",
}
_LIGHT: Mapping[str, str] = {
    "background": "#eef1f5",
    "bar": "#e2e7ee",
    "card": "#ffffff",
    "raised": "#e6ebf2",
    "pressed": "#ccd6e2",
    "line": "#bcc7d4",
    "text": "#10161f",
    "muted": "#45556a",
    "faint": "#8493a6",
    "insulin": "#0b57b8",
    "basal": "#7fb0e6",
    "primary": "#1558ad",
    "primary_line": "#0d3f80",
    "primary_deep": "#9cc3f0",
    "ink_primary": "#ffffff",
    "in_range": "#0a7040",
    "high": "#8a5200",
    "low": "#b3161c",
    "stop": "#c9252b",
    "stop_pressed": "#96161b",
    "stop_line": "#8d1418",
    "ink_stop": "#ffffff",
    "bench": "#f5c542",
    "bench_dark": "#3a3212",
    "ink_bench": "#1a1503",
    "attention": "#fff1d6",
    "alarm_high": "#ffe3e3",
    "alarm_high_line": "#c9252b",
    "alarm_high_raised": "#f7c6c8",
    "alarm_medium": "#fff0d1",
    "alarm_medium_line": "#b36b00",
    "alarm_medium_raised": "#f6dba5",
    "alarm_low": "#dcf4f8",
    "alarm_low_line": "#0b7687",
    "alarm_low_raised": "#b9e3ea",
    "seen": "#10161f",
    "ink_seen": "#ffffff",
}


class Theme(EventDispatcher):
    """Colours (see the two tables above), sizes in pixels, and the names of the fonts."""

    dark = BooleanProperty(True)
    portrait = BooleanProperty(False)
    px = NumericProperty(1.0)
    """One unit of the look, in pixels."""
    target = NumericProperty(51.0)
    """What a finger needs at least, in pixels: 9 mm on both axes."""

    # The type scale, in pixels.
    dose = NumericProperty(104)
    glucose = NumericProperty(62)
    entry = NumericProperty(96)
    value = NumericProperty(30)
    title = NumericProperty(24)
    button = NumericProperty(21)
    row = NumericProperty(19)
    bar_type = NumericProperty(17)
    caption = NumericProperty(15)

    gap = NumericProperty(10)
    margin = NumericProperty(12)
    card_radius = NumericProperty(14)
    key_radius = NumericProperty(12)
    hair = NumericProperty(1)
    bar_height = NumericProperty(40)
    foot_height = NumericProperty(84)
    stop_width = NumericProperty(120)

    regular = str(FONTS / "Roboto-Regular.ttf")
    medium = str(FONTS / "Roboto-Medium.ttf")
    bold = str(FONTS / "Roboto-Bold.ttf")

    # One property for each colour of the tables: KV can only watch what is declared.
    background = ColorProperty()
    bar = ColorProperty()
    card = ColorProperty()
    raised = ColorProperty()
    pressed = ColorProperty()
    line = ColorProperty()
    text = ColorProperty()
    muted = ColorProperty()
    faint = ColorProperty()
    insulin = ColorProperty()
    basal = ColorProperty()
    primary = ColorProperty()
    primary_line = ColorProperty()
    primary_deep = ColorProperty()
    ink_primary = ColorProperty()
    in_range = ColorProperty()
    high = ColorProperty()
    low = ColorProperty()
    stop = ColorProperty()
    stop_pressed = ColorProperty()
    stop_line = ColorProperty()
    ink_stop = ColorProperty()
    bench = ColorProperty()
    bench_dark = ColorProperty()
    ink_bench = ColorProperty()
    attention = ColorProperty()
    alarm_high = ColorProperty()
    alarm_high_line = ColorProperty()
    alarm_high_raised = ColorProperty()
    alarm_medium = ColorProperty()
    alarm_medium_line = ColorProperty()
    alarm_medium_raised = ColorProperty()
    alarm_low = ColorProperty()
    alarm_low_line = ColorProperty()
    alarm_low_raised = ColorProperty()
    seen = ColorProperty()
    ink_seen = ColorProperty()

    _TYPE_UNITS: Mapping[str, float] = {
        "dose": 104,
        "entry": 96,
        "glucose": 62,
        "value": 30,
        "title": 24,
        "button": 21,
        "row": 19,
        "bar_type": 17,
        "caption": 15,
        "gap": 10,
        "margin": 12,
        "card_radius": 14,
        "key_radius": 12,
        "bar_height": 40,
        "foot_height": 84,
        "stop_width": 120,
    }

    def __init__(self) -> None:
        super().__init__()
        self.use(dark=True)

    def use(self, *, dark: bool) -> None:
        """Take the dark or the light colours."""
        self.dark = dark
        for name, value in (_DARK if dark else _LIGHT).items():
            setattr(self, name, get_color_from_hex(value))

    def fit(self, panel: Panel) -> None:
        """Take the sizes of a panel."""
        self.portrait = panel.portrait
        self.px = panel.px_per_unit
        self.target = panel.target_px
        self.hair = max(1, round(panel.px_per_unit))
        for name, units in self._TYPE_UNITS.items():
            setattr(self, name, round(units * panel.px_per_unit))

    def colour(self, name: str) -> list[float]:
        """Return a colour by its name in the tables; a presenter names colours, never mixes them.

        Raises KeyError for any other name.
        """
        return list(get_color_from_hex((_DARK if self.dark else _LIGHT)[name]))


theme = Theme()
"""The look of this process; .kv files import it."""

# Kivy's own default would be used wherever a widget names no font.
LabelBase.register("Roboto", fn_regular=Theme.regular, fn_bold=Theme.bold)
