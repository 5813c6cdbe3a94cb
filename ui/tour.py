"""A tour in pictures: a person's way through the screens, one story from one stretch of one run.

Without a display the demo shows the touchscreen this way. Every step is a touch on the real screens
over the real pump: a small bolus is given, basal is stopped and resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kivy.base import EventLoop
from kivy.core.window import Window
from kivy.input.motionevent import MotionEvent
from kivy.uix.widget import Widget

from ui.clock import now_s
from ui.fingers import ALARM_DEAF_S
from ui.kiosk import Kiosk
from ui.pictures import save_picture
from ui.widgets import Touchable

_LIMIT_S = 60.0
_SETTLE_FRAMES = 4


class TourTrouble(Exception):
    """Something did not come that the story waits for."""


class Fingertip(MotionEvent):
    """A touch at a place in the window, as an input provider would make it."""

    def __init__(self, x_px: float, y_px: float) -> None:
        across, up = x_px / (Window.width - 1), y_px / (Window.height - 1)
        super().__init__("tour", id(self), {"x": across, "y": up}, is_touch=True)

    def depack(self, args: dict[str, float]) -> None:
        """Take its place."""
        self.profile = ["pos"]
        self.sx, self.sy = args["x"], args["y"]
        super().depack(args)


class Guide:
    """Touches, waits and takes pictures; frames pass meanwhile."""

    def __init__(self, kiosk: Kiosk, folder: Path) -> None:
        self.kiosk = kiosk
        self.pictures: list[Path] = []
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def frames(self, count: int = _SETTLE_FRAMES) -> None:
        """Let frames pass."""
        for _ in range(count):
            EventLoop.idle()

    def wait(self, is_so: Callable[[], object], what: str) -> None:
        """Let frames pass until something is so. Raises TourTrouble after a minute."""
        end_s = now_s() + _LIMIT_S
        while not is_so():
            if now_s() > end_s:
                raise TourTrouble(f"waited {_LIMIT_S:.0f} s for: {what}")
            EventLoop.idle()

    def rest(self) -> None:
        """Wait until every finger counts again: a screen that has changed is deaf for a moment."""
        end_s = now_s() + ALARM_DEAF_S + 0.05
        self.wait(lambda: now_s() > end_s, "a moment")

    def screen(self, name: str) -> None:
        """Wait for a screen, and until it listens."""
        self.wait(lambda: self.kiosk.screen == name, f"the screen {name!r}")
        self.rest()

    def find(self, key: str) -> Touchable:
        """Return the button with this key or text. Raises TourTrouble."""
        for widget in _below(self.kiosk.frame):
            names = (getattr(widget, "key", ""), getattr(widget, "text", ""))
            if isinstance(widget, Touchable) and key in names:
                return widget
        raise TourTrouble(f"no button {key!r} on the screen {self.kiosk.screen!r}")

    def touch(self, key: str | Touchable) -> Fingertip:
        """Put a finger down on a button."""
        button = self.find(key) if isinstance(key, str) else key
        finger = Fingertip(*button.to_window(*button.center))
        EventLoop.post_dispatch_input("begin", finger)
        self.frames(1)
        return finger

    def lift(self, finger: Fingertip) -> None:
        """Take it away."""
        EventLoop.post_dispatch_input("end", finger)
        self.frames(1)

    def tap(self, key: str | Touchable) -> None:
        """Touch a button and leave it."""
        self.lift(self.touch(key))

    def hold(self, key: str | Touchable, until: Callable[[], object]) -> None:
        """Hold a button until something is so."""
        finger = self.touch(key)
        self.wait(until, f"holding {key!r}")
        self.lift(finger)

    def type(self, digits: str) -> None:
        """Type a number, a key after the other."""
        for digit in digits:
            self.tap(digit)
            end_s = now_s() + 0.13
            self.wait(lambda end_s=end_s: now_s() > end_s, "the key")  # type: ignore[misc]

    def picture(self, name: str) -> None:
        """Write what is shown now, numbered in the story's order."""
        self.frames()
        path = self._folder / f"{len(self.pictures) + 1:02d}-{name}.png"
        save_picture(path, self.kiosk.panel.width_px, self.kiosk.panel.height_px)
        self.pictures.append(path)


def bolus(guide: Guide, digits: str) -> None:
    """Give a bolus from the first screen, to its last confirmed step."""
    kiosk = guide.kiosk
    guide.tap("bolus")
    guide.screen("bolus")
    guide.type(digits)
    guide.picture("bolus-amount")
    guide.tap("review")
    guide.screen("review")
    guide.wait(lambda: kiosk.page.view.ready or kiosk.page.view.against, "the review")
    guide.picture("bolus-review")
    if kiosk.page.view.against:
        guide.tap("home")
        guide.screen("home")
        return
    button = kiosk.page.ids.first.__self__
    guide.hold(button, lambda: kiosk.screen == "delivering" or kiosk.page.view.again)
    if kiosk.screen == "review":
        guide.rest()
        guide.picture("bolus-again")
        guide.hold(button, lambda: kiosk.screen == "delivering")
    guide.wait(lambda: kiosk.page.view.share > 0.4 or kiosk.page.view.sentence, "half of it")
    guide.picture("bolus-delivering")
    guide.wait(lambda: kiosk.page.view.sentence, "its end")
    guide.rest()
    guide.picture("bolus-delivered")
    guide.tap("home")
    guide.screen("home")


def story(guide: Guide) -> None:
    """Walk through what a person does in a quarter of an hour. Raises TourTrouble."""
    guide.wait(lambda: guide.kiosk.state.contact, "the pump")
    guide.rest()
    if guide.kiosk.screen != "home":
        guide.picture(guide.kiosk.screen)
        return
    guide.rest()
    guide.picture("home")
    guide.tap("bolus")
    guide.screen("bolus")
    guide.tap("calculator")
    guide.screen("calculator")
    guide.type("45")
    guide.picture("calculator")
    guide.tap("bolus")
    guide.screen("bolus")
    guide.tap("home")
    guide.screen("home")
    bolus(guide, "0.5")
    guide.picture("home-after-bolus")
    guide.tap("basal")
    guide.screen("basal")
    guide.picture("basal")
    guide.tap("home")
    guide.screen("home")
    guide.tap("menu")
    guide.screen("menu")
    guide.picture("menu")
    guide.tap("STOP")
    guide.wait(lambda: guide.kiosk.last_stop and guide.kiosk.last_stop.answered, "the stop")
    guide.rest()
    guide.picture("stopped")
    guide.tap("resume")

    def runs() -> bool:
        snapshot = guide.kiosk.state.live
        return snapshot is not None and snapshot.state == "running"

    guide.wait(runs, "basal")
    guide.rest()
    guide.picture("resumed")
    guide.tap("home")
    guide.screen("home")


def take_tour(kiosk: Kiosk, folder: Path) -> list[Path]:
    """Walk the story in this process's window; return its pictures. Raises TourTrouble."""
    EventLoop.ensure_window()
    Window.add_widget(kiosk.frame)
    kiosk.start()
    guide = Guide(kiosk, folder)
    try:
        guide.frames()
        story(guide)
    finally:
        kiosk.close()
    return guide.pictures


def _below(widget: Widget) -> Iterator[Widget]:
    for child in widget.children:
        if child.opacity:
            yield child
            yield from _below(child)
