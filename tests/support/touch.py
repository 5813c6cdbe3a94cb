"""Fingers on the real touchscreen, offscreen: one window a process, frames in place of sleeping.

Every touch goes through Kivy's own input; every wait turns frames until something is so, with a
deadline that fails loudly. ``Finger`` may be given the time, to test bounds to the millisecond.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ui.environment import prepare
from ui.panels import PANELS, Panel

# The window cannot change its size offscreen: it holds the largest panel, each in its lower left.
WINDOW = Panel(
    "all of them",
    max(panel.width_px for panel in PANELS.values()),
    max(panel.height_px for panel in PANELS.values()),
    154.0,
    246.0,
)
os.environ.pop("DISPLAY", None)
prepare(WINDOW, "offscreen", home=Path(tempfile.mkdtemp(prefix="kivy-")))

from kivy.config import Config  # noqa: E402

Config.set("graphics", "maxfps", "120")  # a frame that is waited for comes soon

from kivy.base import EventLoop  # noqa: E402
from kivy.clock import Clock  # noqa: E402
from kivy.core.window import Window  # noqa: E402
from kivy.graphics.opengl import glFinish  # noqa: E402
from kivy.input.provider import MotionEventProvider  # noqa: E402
from kivy.lang import Builder  # noqa: E402
from kivy.uix.widget import Widget  # noqa: E402

from appliance.client import Places, Snapshot  # noqa: E402
from ui.app import deafen_keyboard  # noqa: E402
from ui.kiosk import Kiosk  # noqa: E402
from ui.pictures import save_picture  # noqa: E402
from ui.system import System  # noqa: E402
from ui.tour import Fingertip  # noqa: E402
from ui.widgets import HoldButton, Text  # noqa: E402
from ui.widgets.buttons import Touchable  # noqa: E402

EventLoop.ensure_window()
deafen_keyboard()


class Time:
    """Kivy's clock, which a test may set forward: rules of fingers are in parts of a second."""

    def __init__(self) -> None:
        self._real = Clock.time
        self._ahead_s = 0.0
        self._held_s: float | None = None
        Clock.time = self

    def __call__(self) -> float:
        return (self._real() if self._held_s is None else self._held_s) + self._ahead_s

    @property
    def is_held(self) -> bool:
        return self._held_s is not None

    def forward(self, seconds: float) -> None:
        self._ahead_s += seconds

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have time stand still but for ``forward``; frames follow each other without a pause."""
        self._held_s, pace = self._real(), Clock._max_fps
        Clock._max_fps = 0
        try:
            yield
        finally:
            self._held_s, Clock._max_fps = None, pace


TIME = Time()
ROLES = frozenset({"observe", "operate", "settings", "bench"})


def frames(count: int = 1) -> None:
    """Turn Kivy's loop: clock, input, layout, picture. While time is held nothing is painted."""
    for _ in range(count):
        if TIME.is_held:
            Clock.tick()
            EventLoop.dispatch_input()
            Builder.sync()
            Clock.tick_draw()
            Builder.sync()
        else:
            EventLoop.idle()
        glFinish()  # software GL queues frames without bound; one that waits for all of them stalls


class Finger:
    """One touch, from down to up, at a place in the window."""

    def __init__(self, x_px: float, y_px: float) -> None:
        self._touch = Fingertip(x_px, y_px)

    def down(self) -> Finger:
        EventLoop.post_dispatch_input("begin", self._touch)
        frames()
        return self

    def move(self, x_px: float, y_px: float) -> Finger:
        self._touch.move({"x": x_px / (Window.width - 1), "y": y_px / (Window.height - 1)})
        EventLoop.post_dispatch_input("update", self._touch)
        frames()
        return self

    def up(self) -> None:
        EventLoop.post_dispatch_input("end", self._touch)
        frames()


class Flood(MotionEventProvider):
    """An input that has gone mad: so many touches a frame, anywhere but on STOP; then one there."""

    def __init__(self, a_frame: int, stop: Widget, *, ends: bool) -> None:
        super().__init__("mad", "")
        self._a_frame, self._ends = a_frame, ends
        self._stop = stop.to_window(*stop.center)
        self._edge_x_px = stop.to_window(stop.x - stop.width, 0)[0]
        self._dice = random.Random(37)  # noqa: S311
        self.on_stop = False

    def start(self) -> None:
        """It has begun already."""

    def stop(self) -> None:
        """Nothing is left open."""

    def update(self, dispatch_fn: Callable[[str, Fingertip], None]) -> None:
        for number in range(self._a_frame):
            place = self._dice.uniform(0, self._edge_x_px), self._dice.uniform(0, Window.height)
            if self.on_stop and number == self._a_frame // 2:
                self.on_stop, place = False, self._stop
            touch = Fingertip(*place)
            dispatch_fn("begin", touch)
            dispatch_fn("update", touch)
            if self._ends:
                dispatch_fn("end", touch)

    @contextmanager
    def rages(self) -> Iterator[None]:
        """Let it loose for a while, through the kiosk's own way of reading input."""
        EventLoop.add_input_provider(self)
        try:
            yield
        finally:
            EventLoop.remove_input_provider(self)


def everything(root: Widget) -> Iterator[Widget]:
    """Yield every widget below ``root`` that can be seen, front to back or not."""
    for child in root.children:
        if child.opacity:
            yield child
            yield from everything(child)


class Hands:
    """A person in front of a kiosk: reads, touches, waits."""

    def __init__(self, kiosk: Kiosk) -> None:
        self.kiosk = kiosk

    # --- reading ------------------------------------------------------------------------------

    def texts(self) -> list[str]:
        """Every text on the screen."""
        shown = [getattr(one, "text", "") for one in everything(self.kiosk.frame)]
        return [text for text in shown if text]

    def reads(self, part: str) -> bool:
        """Whether some text holds ``part``."""
        return any(part in text for text in self.texts())

    def screen(self) -> str:
        return self.kiosk.screen

    def picture(self, path: Path) -> Path:
        """Write what is on the screen now as a PNG."""
        frames(2)
        save_picture(path, self.kiosk.panel.width_px, self.kiosk.panel.height_px)
        return path

    # --- touching -----------------------------------------------------------------------------

    def buttons(self) -> list[Touchable]:
        """Everything that can be touched now."""
        return [one for one in everything(self.kiosk.frame) if isinstance(one, Touchable)]

    def button(self, text: str) -> Touchable:
        """The one button with exactly this text, or this key of the foot or pad."""
        found = [
            one
            for one in self.buttons()
            if text in (getattr(one, "text", ""), getattr(one, "key", ""))
        ]
        assert found, f"no button {text!r} on {self.screen()}: {self.texts()}"
        return found[0]

    def finger_on(self, target: str | Widget) -> Finger:
        widget = self.button(target) if isinstance(target, str) else target
        return Finger(*widget.to_window(*widget.center))

    def tap(self, target: str | Widget) -> None:
        """Touch and leave, as soon as the rules of double taps let it count as a tap of its own."""
        self.finger_on(target).down().up()

    def hold(self, target: str | Widget, until: Callable[[], Any], limit_s: float = 10) -> None:
        """Hold a button until something is so, then let go."""
        finger = self.finger_on(target).down()
        try:
            self.sees(until, f"while holding {target!r}", limit_s)
        finally:
            finger.up()

    def hear(self, snapshot: Snapshot, roles: frozenset[str] = ROLES) -> None:
        """Give the kiosk a snapshot, as its watching thread would."""
        self.kiosk._heard(snapshot, roles)
        frames()

    def answers_alarms(self) -> set[str]:
        """Touch "I have seen it" until no alarm has the screen; return what stood there."""
        texts: set[str] = set()
        while self.screen() == "alarm":
            texts |= set(self.texts())
            self.settles()
            number = self.kiosk.page.view.number
            self.tap("I have seen it")
            self.sees(
                lambda number=number: (
                    self.screen() != "alarm" or self.kiosk.page.view.number != number
                ),
                "the alarm is answered",
            )
        return texts

    # --- waiting ------------------------------------------------------------------------------

    def sees(self, is_so: Callable[[], Any], what: str = "", limit_s: float = 20) -> Any:
        """Turn frames until ``is_so`` is true, and return it."""
        deadline_s = time.monotonic() + limit_s
        while not (found := is_so()):
            if time.monotonic() > deadline_s:
                pytest.fail(f"not within {limit_s} s: {what}; on {self.screen()}: {self.texts()}")
            frames()
        return found

    def sees_screen(self, screen: str, limit_s: float = 20) -> None:
        self.sees(lambda: self.screen() == screen, f"the screen {screen!r}", limit_s)

    def sees_text(self, part: str, limit_s: float = 20) -> None:
        self.sees(lambda: self.reads(part), f"the text {part!r}", limit_s)

    def later(self, seconds: float) -> None:
        """Let so much of the touchscreen's time pass at once; the pump's contact does not age."""
        TIME.forward(seconds)
        state = self.kiosk.state
        self.kiosk.state = replace(state, heard_s=state.heard_s + seconds)
        frames()

    def settles(self) -> None:
        """Let every finger count again: a new screen is deaf to the one that led to it."""
        self.later(1.01)


@contextmanager
def kiosk_on(
    places: Places,
    panel: Panel = PANELS["7-inch"],
    *,
    start: bool = True,
    is_seen: Callable[[], bool] = lambda: True,
    system: System | None = None,
) -> Iterator[Hands]:
    """A kiosk in the one window of this process, speaking with the pump of ``places``.

    Without ``start`` it speaks with nobody, and ``Hands.hear`` gives it a snapshot.
    """
    for old in Window.children[:]:
        Window.remove_widget(old)
    kiosk = Kiosk(places, panel, is_seen=is_seen, system=system)
    kiosk.frame.size_hint = None, None
    kiosk.frame.size = panel.width_px, panel.height_px
    Window.add_widget(kiosk.frame)
    if start:
        kiosk.start()
    frames(3)
    try:
        yield Hands(kiosk)
    finally:
        kiosk.close()
        Window.remove_widget(kiosk.frame)
        frames(2)


def places_of_a_bolus(snapshot: Snapshot, folder: Path) -> dict[str, tuple[float, float]]:
    """Return where the buttons lie, from the upper left: the way from home to a bolus and back.

    They are seen on a kiosk of the 7-inch panel, whose pump is as ``snapshot`` says; ``folder`` is
    an empty one.
    """
    found: dict[str, tuple[float, float]] = {}

    def note(hands: Hands, name: str, widget: Widget) -> None:
        x_px, y_px = widget.to_window(*widget.center)
        found[name] = (x_px, hands.kiosk.panel.height_px - y_px)

    with TIME.held(), kiosk_on(Places(folder, folder), start=False) as hands:
        hands.hear(snapshot)
        frames(3)
        note(hands, "bolus", hands.button("bolus"))
        hands.kiosk.go("bolus")
        frames(3)
        for key in (*"0123456789.", "review", "home"):
            note(hands, key, hands.button(key))
        hands.kiosk.go("review", amount_uu=450_000)
        frames(3)
        note(hands, "hold", hands.button("Hold to deliver"))
    return found


__all__ = [
    "Clock",
    "Finger",
    "Flood",
    "Hands",
    "HoldButton",
    "Text",
    "frames",
    "kiosk_on",
    "places_of_a_bolus",
]
