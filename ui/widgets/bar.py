"""The frame's two bars: status on top, the foot's buttons below."""

from __future__ import annotations

from kivy.core.text import Label as CoreLabel
from kivy.properties import ColorProperty, ListProperty, ObjectProperty, StringProperty
from kivy.uix.boxlayout import BoxLayout

from ui.presenters.bar import BarView
from ui.presenters.desk import FootItem
from ui.theme import theme
from ui.widgets.buttons import FootButton, RoundButton, StopButton

_ROW_MOST = 3
_BENCH_UNITS = 80


class BarText(BoxLayout):
    """A caption and its value, as wide as they need."""

    caption = StringProperty("")
    value = StringProperty("")
    tone = ColorProperty()


class StatusBar(BoxLayout):
    """Time, BENCH, title; then what a glance is for. Upright it has two lines."""

    view = ObjectProperty(None, allownone=True)
    fill = ColorProperty()

    __events__ = ("on_strip",)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self.bind(width=self._captions)

    def on_view(self, _: object, view: BarView) -> None:
        """Show another view."""
        self.ids.time.text = view.time
        self.ids.title.text = view.title
        self.ids.title.color = theme.colour(view.title_tone)
        strip = self.ids.strip
        strip.text, strip.enabled = view.strip, bool(view.strip)
        strip.opacity = float(strip.enabled)
        self.ids.title.opacity = 1.0 - strip.opacity
        items = self.ids.glance
        while len(items.children) > len(view.items):
            items.remove_widget(items.children[0])
        while len(items.children) < len(view.items):
            items.add_widget(BarText())
        for widget, item in zip(reversed(items.children), view.items, strict=True):
            widget.value, widget.tone = item.value, theme.colour(item.tone)
        self._captions()

    def _captions(self, *_: object) -> None:
        """Show every caption where there is room for all, else those that do not give way."""
        if self.view is None:
            return
        items = self.ids.glance
        measured = CoreLabel(font_name=theme.medium, font_size=theme.bar_type)
        words = "".join(item.caption + item.value for item in self.view.items)
        room = self.width - self.padding[0] - self.padding[2] - items.spacing * len(items.children)
        if not theme.portrait:  # time, BENCH and title stand in the same line
            room -= measured.get_extents(self.view.time + self.view.title)[0]
            room -= _BENCH_UNITS * theme.px + 4 * items.spacing
        narrow = measured.get_extents(words)[0] > room
        for widget, item in zip(reversed(items.children), self.view.items, strict=True):
            widget.caption = "" if narrow and item.spare else item.caption

    def on_strip(self) -> None:
        """Have the strip of a low alarm touched."""


class Foot(BoxLayout):
    """The foot's buttons, beside the place that STOP always has; ``on_key`` gets a button's key.

    Upright three fit into a row, STOP's place is the third of the last one, and a button that is
    wider than the others has a row of its own above them.
    """

    items = ListProperty([])
    fill = ColorProperty()

    __events__ = ("on_key",)

    def __init__(self, **words: object) -> None:
        self._shape: list[tuple[str, str, float]] = []
        super().__init__(**words)
        self._buttons: dict[str, RoundButton | StopButton] = {}
        theme.bind(portrait=self._anew)

    def on_items(self, _: object, items: list[FootItem]) -> None:
        """Show other buttons; those that stay keep their widget, so a finger on one stays."""
        if [(item.key, item.kind, item.share) for item in items] != self._shape:
            self._anew()
            return
        self._refresh()

    def button(self, key: str) -> RoundButton | StopButton:
        """Return the button of a key. Raises KeyError."""
        return self._buttons[key]

    def _refresh(self) -> None:
        for item in self.items:
            button = self._buttons[item.key]
            button.text = item.text
            button.enabled = item.enabled

    def _anew(self, *_: object) -> None:
        self._shape = [(item.key, item.kind, item.share) for item in self.items]
        self.clear_widgets()
        self._buttons = {}
        rows = self._rows()
        for row in rows:
            line = BoxLayout(spacing=theme.gap)
            for item in row:
                line.add_widget(self._made(item))
            if row is rows[-1]:
                if theme.portrait:  # a wide button has the width that the others leave
                    for _place in range(int(_ROW_MOST - 1 - sum(item.share for item in row))):
                        line.add_widget(BoxLayout())
                line.add_widget(BoxLayout(size_hint_x=None, width=theme.stop_width))
            self.add_widget(line)
        height = theme.foot_height - 2 * theme.gap
        self.height = len(rows) * height + (len(rows) + 1) * theme.gap
        self._refresh()

    def _rows(self) -> list[list[FootItem]]:
        items = list(self.items)
        if not theme.portrait or len(items) < _ROW_MOST:
            return [items]
        wide = [item for item in items if item.share > 1]
        rows, last = [[item] for item in wide], [item for item in items if item.share <= 1]
        while len(last) > _ROW_MOST - 1:
            rows.append(last[:_ROW_MOST])
            last = last[_ROW_MOST:]
        return [*rows, last]

    def _made(self, item: FootItem) -> RoundButton | StopButton:
        button: RoundButton | StopButton
        if item.kind == "stop":
            button = StopButton(text=item.text)
        else:
            button = FootButton(text=item.text, kind=item.kind, key=item.key)
        button.size_hint_x = item.share
        button.bind(on_press=lambda *_: self.dispatch("on_key", item.key))
        self._buttons[item.key] = button
        return button

    def on_key(self, key: str) -> None:
        """Be given a button's key."""
