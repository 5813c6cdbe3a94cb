"""Fields of a form: each a card with its digits, the one that takes the keys lit by its edge."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.properties import BooleanProperty, ColorProperty, ObjectProperty, StringProperty
from kivy.uix.gridlayout import GridLayout

from ui.presenters.form import FieldView
from ui.theme import theme
from ui.widgets.buttons import Touchable
from ui.widgets.plain import Surface

_IN_A_COLUMN = 3


class FormField(Touchable, Surface):
    """One field. A touch lights it; the lit one has a bar at its side as well as an edge."""

    key = StringProperty("")
    caption = StringProperty("")
    text = StringProperty("")
    unit = StringProperty("")
    tone = ColorProperty()
    chosen = BooleanProperty(False)
    stacked = BooleanProperty(False)
    """Whether the caption stands above the digits, where there is no room beside them."""


class Fields(GridLayout):
    """``on_select`` gets the key of the field that was touched. More than three stand in pairs."""

    fields = ObjectProperty(())
    """A sequence of ``FieldView``; another object at each change."""

    __events__ = ("on_select",)

    def __init__(self, **words: object) -> None:
        words.setdefault("cols", 1)
        super().__init__(**words)
        self.fbind("fields", self._refresh)
        theme.bind(dark=self._refresh)
        self._refresh()

    def _refresh(self, *_: object) -> None:
        fields: Sequence[FieldView] = self.fields
        cards: list[FormField] = list(reversed(self.children))
        if [card.key for card in cards] != [field.key for field in fields]:
            self.clear_widgets()
            cards = [self._made(field.key) for field in fields]
        self.cols = 1 if len(fields) <= _IN_A_COLUMN else 2
        for card, field in zip(cards, fields, strict=True):
            card.caption, card.text, card.unit = field.caption, field.digits, field.unit
            card.stacked = self.cols > 1
            card.tone, card.chosen = theme.colour(field.tone), field.chosen

    def _made(self, key: str) -> FormField:
        card = FormField(key=key, again_s=0.1, chooses=True)
        card.bind(on_press=lambda *_: self.dispatch("on_select", key))
        self.add_widget(card)
        return card

    def on_select(self, key: str) -> None:
        """Be given the key of the field that was touched."""


__all__ = ["Fields", "FormField"]
