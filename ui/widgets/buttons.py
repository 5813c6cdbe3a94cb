"""What is touched. A touch counts by the rules of ``ui.fingers``; STOP counts always."""

from __future__ import annotations

from collections.abc import Callable

from kivy.clock import Clock
from kivy.graphics import Color, Line, Mesh
from kivy.input import MotionEvent
from kivy.properties import (
    BooleanProperty,
    ColorProperty,
    NumericProperty,
    OptionProperty,
    StringProperty,
)
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from ui.clock import now_s
from ui.fingers import BUTTON_AGAIN_S, CONFIRM_DEAF_S, KEY_AGAIN_S, Gate
from ui.theme import theme
from ui.widgets.plain import Surface


class Touchable(Widget):
    """Something to touch: ``on_press`` fires when the finger leaves it again, still upon it.

    Drawn smaller than 9 mm it is touched within 9 mm. ``deaf_s`` ignores touches for so long after
    it has appeared; ``at_once`` fires when the finger comes down.
    """

    down = BooleanProperty(False)
    enabled = BooleanProperty(True)
    deaf_s = NumericProperty(0)
    at_once = BooleanProperty(False)
    again_s = NumericProperty(BUTTON_AGAIN_S)
    chooses = BooleanProperty(False)
    """Whether it only chooses: pressed twice it is what it was once."""

    __events__ = ("on_press",)

    def __init__(self, **words: object) -> None:
        super().__init__(**words)
        self._gate = Gate(self.again_s)
        self._shown_s = float("-inf")

    def on_parent(self, _: object, parent: object) -> None:
        """Note when it appears."""
        if parent is not None:
            self.appear()

    def appear(self) -> None:
        """Begin to be deaf, where it is deaf at first."""
        self._shown_s = now_s()

    def reaches(self, x_px: float, y_px: float) -> bool:
        """Return whether a touch there is meant for it."""
        more_x = max(0.0, theme.target - self.width) / 2
        more_y = max(0.0, theme.target - self.height) / 2
        return bool(
            self.x - more_x <= x_px <= self.right + more_x
            and self.y - more_y <= y_px <= self.top + more_y
        )

    def on_touch_down(self, touch: MotionEvent) -> bool:
        """Take a finger that counts."""
        if not self.reaches(*touch.pos) or self.opacity == 0:
            return False
        now = now_s()
        if not self.enabled or now - self._shown_s < self.deaf_s or not self._gate.passes(now):
            return True  # meant for this one, so for no other
        touch.grab(self)
        self.down = True
        if self.at_once:
            self.dispatch("on_press")
        return True

    def on_touch_move(self, touch: MotionEvent) -> bool:
        """Let go where the finger slides off; sliding back does not press it again."""
        if touch.grab_current is not self:
            return False
        if not self.reaches(*touch.pos):
            self.down = False
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """Fire where the finger is still upon it, and it is still on the screen."""
        if touch.grab_current is not self:
            return False
        touch.ungrab(self)
        was_down, self.down = self.down, False
        if was_down and self.enabled and not self.at_once and self.is_shown():
            self.dispatch("on_press")
        return True

    def is_shown(self) -> bool:
        """Return whether it is part of what the window shows: an alarm may have taken its place."""
        return self.get_root_window() is not None

    def on_press(self) -> None:
        """Be pressed."""


class RoundButton(Touchable, Surface):
    """A button with words; ``kind`` says what stands behind it."""

    text = StringProperty("")
    key = StringProperty("")
    """What a page or a test finds it by, in every language."""
    kind = OptionProperty("plain", options=["plain", "primary", "seen", "quiet", "chosen"])
    ink = ColorProperty()
    size_px = NumericProperty(21)


class Strip(Touchable, Surface):
    """The strip of an alarm of low priority, in the status bar: a symbol and its name."""

    text = StringProperty("")
    width_px = NumericProperty(200)


class TouchCard(Touchable, BoxLayout):
    """A card that can be touched: it holds what it shows."""


class FootButton(RoundButton):
    """A button of the foot."""


class Key(RoundButton):
    """A key of the pad: it counts when the finger comes down, and again after 85 ms."""

    icon = StringProperty("")

    def __init__(self, **words: object) -> None:
        words.setdefault("again_s", KEY_AGAIN_S)
        words.setdefault("at_once", True)
        super().__init__(**words)


class StopButton(Touchable):
    """STOP: a red octagon, bottom right. It acts when the finger comes down, each time."""

    text = StringProperty("STOP")
    size_px = NumericProperty(25)

    def __init__(self, **words: object) -> None:
        words.setdefault("again_s", 0)
        words.setdefault("at_once", True)
        super().__init__(**words)
        with self.canvas.before:
            self._fill = Color()
            self._shape = Mesh(mode="triangle_fan", indices=list(range(8)))
            self._edge = Color()
            self._line = Line(width=1.1, close=True)
        self._drawing = Clock.create_trigger(self._draw, -1)
        self.bind(pos=self._drawing, size=self._drawing, down=self._drawing)
        theme.bind(stop=self._drawing)
        self._drawing()

    def _draw(self, *_: object) -> None:
        self._fill.rgba = theme.stop_pressed if self.down else theme.stop
        self._edge.rgba = theme.stop_line
        cut = min(16 * theme.px, self.width / 4, self.height / 3)
        left, right, low, high = self.x, self.right, self.y, self.top
        corners = [
            *((left + cut, low), (right - cut, low), (right, low + cut), (right, high - cut)),
            *((right - cut, high), (left + cut, high), (left, high - cut), (left, low + cut)),
        ]
        self._shape.vertices = [value for x, y in corners for value in (x, y, 0, 0)]
        self._line.points = [value for corner in corners for value in corner]


class HoldButton(Touchable, Surface):
    """Hold to confirm: the button fills for ``hold_s``, and only a full one fires ``on_held``.

    Letting go early does nothing and fires ``on_let_go``. For 500 ms after it appeared it is deaf.
    Where it moves under the finger, because the screen was turned or resized, that lets go too, and
    it is deaf again: nobody has aimed at it there (F42).
    """

    text = StringProperty("")
    note = StringProperty("")
    hold_s = NumericProperty(2.0)
    filled = NumericProperty(0.0)
    """How far it is filled, 0 to 1."""

    def __init__(self, **words: object) -> None:
        self.register_event_type("on_held")
        self.register_event_type("on_let_go")
        words.setdefault("deaf_s", CONFIRM_DEAF_S)
        super().__init__(**words)
        self._since_s = 0.0
        self._turn: Callable[[], None] | None = None
        self._beat = Clock.create_trigger(self._fill_up, 0, interval=True)
        self.bind(pos=self._moved, size=self._moved)

    def _moved(self, *_: object) -> None:
        self.down = False
        self.appear()

    def on_down(self, _: object, down: bool) -> None:
        """Begin to fill, or let go."""
        if down:
            self._since_s = now_s()
            self._beat()
            return
        self._beat.cancel()
        let_go = 0 < self.filled < 1
        self.filled = 0
        if let_go:
            self.dispatch("on_let_go")

    def _fill_up(self, _dt: float) -> None:
        if not self.enabled or not self.is_shown():
            self.down = False
            return
        self.filled = min(1.0, (now_s() - self._since_s) / self.hold_s)
        if self.filled == 1:
            self._beat.cancel()
            self.dispatch("on_held")

    def on_held(self) -> None:
        """Be confirmed."""

    def on_let_go(self) -> None:
        """Be let go early."""
