"""The frame around every screen: status bar with BENCH, foot with STOP, in their places."""

from __future__ import annotations

from collections.abc import Callable

from kivy.input import MotionEvent
from kivy.properties import ColorProperty, NumericProperty, ObjectProperty
from kivy.uix.floatlayout import FloatLayout
from kivy.uix.relativelayout import RelativeLayout

from ui.clock import now_s
from ui.fingers import SameFinger, StuckWatch
from ui.panels import Panel
from ui.presenters.bar import BarView
from ui.presenters.desk import FootItem, Presenter, View
from ui.theme import theme


class Page(RelativeLayout):
    """A screen's body. Its .kv reads ``root.view``, which its presenter makes anew at each change.

    ``ground`` names the colour behind the whole screen, bars included, where an alarm has one.
    """

    view = ObjectProperty(None, rebind=True)
    ground = ""

    def __init__(self, presenter: Presenter, **words: object) -> None:
        self.presenter = presenter
        self.frame: Frame | None = None
        super().__init__(view=presenter.view(), **words)

    def press(self, key: str) -> None:
        """Hand a button of the body to the presenter, and draw what comes of it."""
        self.presenter.press(key)
        self.presenter.desk.redraw()

    def key(self, key: str) -> None:
        """Hand a key of the pad to the presenter, and draw what comes of it."""
        if self.frame is not None:
            self.frame.stuck.key(key, now_s())
        self.presenter.key(key)
        self.presenter.desk.redraw()

    def entered(self) -> None:
        """Begin anew: it is about to be shown."""

    def left(self) -> None:
        """Be hidden."""

    def refresh(self) -> None:
        """Ask for the view again; KV redraws what differs."""
        self.view = self.presenter.view()


class Frame(FloatLayout):
    """Holds one page at a time, and decides which touches reach it (``ui.fingers``).

    STOP comes before every rule: a second finger, a stuck one, a screen that has just changed.
    """

    ground = ColorProperty([0, 0, 0, 1])
    edge = ColorProperty([0, 0, 0, 0])
    edge_px = NumericProperty(8)
    shade = NumericProperty(0.0)
    """How much of the light is taken away, 0 to 1."""
    page = ObjectProperty(None, allownone=True)

    def __init__(
        self,
        panel: Panel,
        *,
        stop: Callable[[], None],
        foot: Callable[[str], None],
        strip: Callable[[], None],
    ) -> None:
        self._same_finger = SameFinger(panel.dpi / 25.4)
        self.stuck = StuckWatch()
        self._finger: object = None
        self.touched_s = now_s()
        self.woken_s = now_s()
        self._stop, self._press = stop, foot
        super().__init__()
        self.ids.stop.bind(on_press=lambda *_: self._stop())
        self.ids.bar.bind(on_strip=lambda *_: strip())
        self.ids.foot.bind(on_key=lambda _, key: self._press(key))

    def show(self, page: Page) -> None:
        """Put a page into the frame; the finger that asked for it does nothing more."""
        self.touched_s = now_s()
        self._same_finger.changed(now_s())
        body = self.ids.body
        body.clear_widgets()
        body.add_widget(page)
        self.page = page
        page.frame = self
        self.colour()

    def colour(self) -> None:
        """Take the page's ground, or the theme's."""
        ground = self.page.ground if self.page is not None else ""
        self.ground = theme.colour(ground or "background")
        clear = (0, 0, 0, 0)
        self.edge = theme.colour(f"{ground}_line") if ground else clear
        self.ids.bar.fill = clear if ground else theme.bar
        self.ids.foot.fill = clear if ground else theme.bar

    def draw(self, bar: BarView, view: View) -> None:
        """Show another state of bar and foot."""
        self.ids.bar.view = bar
        self.ids.foot.items = list(view.foot)

    def button(self, key: str) -> object:
        """Return the foot's button of a key. Raises KeyError."""
        return self.ids.foot.button(key)

    def on_touch_down(self, touch: MotionEvent) -> bool:
        """Let a touch through to STOP always, to the rest by the rules."""
        now = now_s()
        self.touched_s = self.woken_s = now
        self.stuck.down(touch.uid, now)
        touch.ud["frame"] = True
        if self.ids.stop.on_touch_down(touch):
            return True
        if self.shade > 0:
            return True  # the touch that wakes the screen presses nothing
        if self._finger is not None or self.stuck.is_stuck(now):
            return True
        if not self._same_finger.passes(now, *touch.pos):
            return True
        self._finger = touch.uid
        self._same_finger.touched(now, *touch.pos)
        for child in self.children:
            if child is not self.ids.stop and child.dispatch("on_touch_down", touch):
                break
        return True

    def on_touch_up(self, touch: MotionEvent) -> bool:
        """Forget the finger; whoever has grabbed the touch gets it by that."""
        if touch.grab_current is None:
            now = now_s()
            self.stuck.up(touch.uid, now)
            self.touched_s = now
            if self._finger == touch.uid:
                self._finger = None
                self._same_finger.touched(now, *touch.pos)
        return bool(super().on_touch_up(touch))


__all__ = ["FootItem", "Frame", "Page"]
