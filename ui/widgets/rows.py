"""A list of captions and values that keeps its widgets while the numbers change."""

from __future__ import annotations

from kivy.properties import ListProperty, NumericProperty
from kivy.uix.boxlayout import BoxLayout

from ui.presenters.amount import Row
from ui.theme import theme
from ui.widgets.plain import ListRow


class Rows(BoxLayout):
    """Shows ``rows`` (each a ``Row``) under each other, ``row_px`` high."""

    rows = ListProperty([])
    row_px = NumericProperty(38)

    def on_rows(self, _: object, rows: list[Row]) -> None:
        """Show other rows."""
        while len(self.children) > len(rows):
            self.remove_widget(self.children[0])
        while len(self.children) < len(rows):
            self.add_widget(ListRow())
        last = len(rows) - 1
        for place, (widget, row) in enumerate(zip(reversed(self.children), rows, strict=True)):
            widget.caption, widget.value, widget.note = row.caption, row.value, row.note
            widget.tone = theme.colour(row.tone)
            widget.ruled = place < last
