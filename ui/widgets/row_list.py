"""A list of any length: as many widgets as fit, moved under a finger; whole rows when it rests."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.clock import Clock
from kivy.input import MotionEvent
from kivy.properties import (
    BooleanProperty,
    ColorProperty,
    NumericProperty,
    ObjectProperty,
    StringProperty,
)
from kivy.uix.stencilview import StencilView
from kivy.uix.widget import Widget

from ui.clock import now_s
from ui.fingers import BUTTON_AGAIN_S, Gate
from ui.presenters.lists import Row
from ui.theme import theme
from ui.widgets.buttons import Touchable

_DRAG_MM = 3.0
_REST_SHARE_PER_S = 0.004
"""What is left of a throw's speed after a second."""
_SLOWEST_ROWS_PER_S = 1.5
_AHEAD_ROWS = 30
"""So many rows before its end a list asks for more."""


class RowLine(Touchable):
    """One row on the screen. Its list takes the touches, since a drag begins on a row as well."""

    lead = StringProperty("")
    text = StringProperty("")
    value = StringProperty("")
    key = StringProperty("")
    tone = ColorProperty()
    fill = ColorProperty([0, 0, 0, 0])
    chosen = BooleanProperty(False)
    heading = BooleanProperty(False)
    lead_px = NumericProperty(0)

    def show(self, row: Row | None, chosen: str) -> None:
        """Show another row, or none."""
        self.opacity = 0 if row is None else 1
        if row is None:
            self.key = self.text = self.value = self.lead = ""
            self.enabled = self.chosen = False
            self.fill = [0, 0, 0, 0]
            return
        self.key, self.lead, self.text, self.value = row.key, row.lead, row.text, row.value
        self.heading, self.enabled = row.heading, not row.heading
        self.chosen = bool(row.key) and row.key == chosen
        self.tone = theme.colour(row.tone)
        self.fill = theme.colour(row.ground) if row.ground else [0, 0, 0, 0]


class RowList(StencilView):
    """Rows that are dragged and picked: ``on_pick`` gets the key of the one that was touched.

    ``on_more`` fires when the end of what it has comes near. At rest no row is cut.
    """

    rows = ObjectProperty(())
    """A sequence of ``Row``; another object at each change."""
    chosen = StringProperty("")
    lead_px = NumericProperty(0)
    """How wide the leads are; 0 where the rows have none."""
    offset = NumericProperty(0.0)
    """How many rows it is scrolled down; not whole while it moves."""

    __events__ = ("on_pick", "on_more")

    def __init__(self, **words: object) -> None:
        self._lines: list[RowLine] = []
        self._gate = Gate(BUTTON_AGAIN_S)
        self._speed = 0.0
        self._held: tuple[float, float] | None = None
        self._asked_at = -1
        super().__init__(**words)
        self._drawing = Clock.create_trigger(self._draw, -1)
        self._moving = Clock.create_trigger(self._move, 0, interval=True)
        for each in ("pos", "size", "rows", "chosen", "offset", "lead_px"):
            self.fbind(each, self._drawing)
        theme.bind(dark=self._drawing, target=self._drawing)
        self._drawing()

    # --- what is shown ------------------------------------------------------------------------

    @property
    def fitting(self) -> int:
        """How many rows are seen at once."""
        return max(1, int(self.height // theme.target))

    @property
    def row_px(self) -> float:
        """How high a row is: as many whole ones as fit, each at least a finger high."""
        return float(self.height / self.fitting)

    @property
    def most(self) -> float:
        """How far it can be scrolled."""
        return float(max(0, len(self.rows) - self.fitting))

    def to_top(self) -> None:
        """Go back to its beginning."""
        self._moving.cancel()
        self._speed, self.offset = 0.0, 0.0

    def reveal(self, key: str) -> None:
        """Scroll so that the row of a key is seen, where there is one."""
        for index, row in enumerate(self.rows):
            if row.key == key and not self.offset <= index <= self.offset + self.fitting - 1:
                self.offset = float(min(self.most, max(0, index - self.fitting // 2)))

    def _draw(self, *_: object) -> None:
        rows: Sequence[Row] = self.rows
        if self.height < 1 or self.width < 1:
            return
        self.offset = min(max(0.0, self.offset), self.most)
        count = self.fitting + 1
        while len(self._lines) < count:
            self._lines.append(RowLine())
            self.add_widget(self._lines[-1])
        while len(self._lines) > count:
            self.remove_widget(self._lines.pop())
        first, high = int(self.offset), self.row_px
        for index in range(first, first + count):
            line = self._lines[index % count]  # a row keeps its widget while it moves
            inside = index < len(rows) and index - self.offset < self.fitting
            line.show(rows[index] if inside else None, self.chosen)
            line.lead_px = self.lead_px
            line.size = self.width, high
            line.pos = self.x, self.top - (index - self.offset + 1) * high
        if len(rows) - first < self.fitting + _AHEAD_ROWS and len(rows) != self._asked_at:
            self._asked_at = len(rows)
            self.dispatch("on_more")

    # --- fingers ------------------------------------------------------------------------------

    def on_touch_down(self, touch: MotionEvent) -> bool:
        """Take a finger: it may drag, or pick."""
        if not self.collide_point(*touch.pos):
            return False
        self._moving.cancel()
        touch.grab(self)
        touch.ud["row_list"] = (touch.y, self.offset, False)
        self._held = (now_s(), self.offset)
        self._speed = 0.0
        line = self._line_at(*touch.pos)
        if line is not None and line.enabled:
            line.down = True
        return True

    def on_touch_move(self, touch: MotionEvent) -> bool:
        """Have the rows follow the finger, once it has left where it came down."""
        if touch.grab_current is not self:
            return False
        began_px, began_offset, dragged = touch.ud["row_list"]
        if not dragged and abs(touch.y - began_px) < _DRAG_MM * theme.target / 9:
            return True
        touch.ud["row_list"] = (began_px, began_offset, True)
        self._let_up()
        self.offset = min(max(0.0, began_offset + (touch.y - began_px) / self.row_px), self.most)
        self._measure()
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """Pick the row under the finger, or let the rows run out."""
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        _, _, dragged = touch.ud["row_list"]
        self._let_up()
        if dragged:
            self._measure()
            self._moving()
            return True
        line = self._line_at(*touch.pos)
        if line is not None and line.enabled and self._gate.passes(now_s()):
            self.dispatch("on_pick", line.key)
        self._moving()
        return True

    def _measure(self) -> None:
        now, offset = now_s(), float(self.offset)
        if self._held is not None:
            then, before = self._held
            if now - then < 0.02:
                return
            self._speed = (offset - before) / (now - then) if now - then < 0.2 else 0.0
        self._held = (now, offset)

    def _move(self, dt_s: float) -> None:
        if abs(self._speed) > _SLOWEST_ROWS_PER_S and 0 < self.offset < self.most:
            self.offset = min(max(0.0, self.offset + self._speed * dt_s), self.most)
            self._speed *= _REST_SHARE_PER_S**dt_s
            return
        whole = float(round(self.offset))
        step = 8 * dt_s
        if abs(whole - self.offset) <= step:
            self.offset = whole
            self._moving.cancel()
        else:
            self.offset += step if whole > self.offset else -step

    def _let_up(self) -> None:
        for line in self._lines:
            line.down = False

    def _line_at(self, x_px: float, y_px: float) -> RowLine | None:
        return next((one for one in self._lines if one.key and one.collide_point(x_px, y_px)), None)

    def on_pick(self, key: str) -> None:
        """Be given the key of a row that was touched."""

    def on_more(self) -> None:
        """Be asked for what comes after the last row."""


class ScrollMark(Widget):
    """Where in the list it is: a thin bar at its side, nothing where all is seen."""

    source = ObjectProperty(None, allownone=True)
    shown = BooleanProperty(False)
    share = NumericProperty(0.0)
    """How far the list is scrolled, 0 to 1."""
    mark_px = NumericProperty(0.0)

    def on_source(self, _: object, source: RowList) -> None:
        """Follow a list."""
        for each in ("offset", "rows", "size"):
            source.fbind(each, self._follow)
        self.fbind("height", self._follow)
        self._follow()

    def _follow(self, *_: object) -> None:
        rows: RowList = self.source
        self.shown = rows.most > 0
        self.share = rows.offset / rows.most if rows.most else 0.0
        part = rows.fitting / max(1, len(rows.rows))
        self.mark_px = max(24 * theme.px, self.height * min(1.0, part))


__all__ = ["RowLine", "RowList", "ScrollMark"]
