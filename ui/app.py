"""The Kivy application around the kiosk: no key leaves it, no settings panel opens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kivy.app import App
from kivy.base import EventLoop
from kivy.clock import Clock
from kivy.core.window import Window

from ui.clock import now_s
from ui.flood import Floodgate
from ui.frame import Frame
from ui.kiosk import Kiosk


class Service(Protocol):
    """The service manager, as far as it is told anything."""

    watchdog_us: int

    def say(self, text: str) -> None:
        """Tell it a state."""
        ...


class Touchscreen(App):
    """Runs a kiosk in the one window of this process."""

    use_kivy_settings = False

    def __init__(self, make: Callable[[], Kiosk], service: Service) -> None:
        super().__init__(title="Benchpump, BENCH use only")
        self._make = make
        self._service = service
        self.kiosk: Kiosk | None = None

    def build(self) -> Frame:
        """Make the kiosk and begin to listen to the pump."""
        deafen_keyboard()
        self.kiosk = self._make()
        EventLoop.dispatch_input = calm_input(self.kiosk.frame)
        self.kiosk.start()
        self.kiosk.frame.bind(page=self._name_window)
        self._name_window()
        return self.kiosk.frame

    def _name_window(self, *_: object) -> None:
        """Have a list of windows say which screen is shown."""
        if self.kiosk is not None:
            self.title = f"Benchpump, BENCH use only: {self.kiosk.screen}"

    def on_start(self) -> None:
        """Tell the service manager, now and for as long as this loop turns."""
        Window.bind(on_flip=self._ready)
        if self._service.watchdog_us:
            every_s = self._service.watchdog_us / 1e6 / 3
            Clock.schedule_interval(lambda _dt: self._service.say("WATCHDOG=1"), every_s)

    def _ready(self, *_: object) -> None:
        """The first frame is up."""
        Window.unbind(on_flip=self._ready)
        self._service.say("READY=1")

    def open_settings(self, *_: object) -> bool:
        """Open nothing: F1 is no way out, nor into Kivy's configuration (F43)."""
        return False

    def on_stop(self) -> None:
        """Leave the pump."""
        if self.kiosk is not None:
            self.kiosk.close()


def calm_input(frame: Frame) -> Callable[[], None]:
    """Return what takes the place of Kivy's own reading of input: the same, through a floodgate.

    Kivy's queue has no bound, and it looks through all of it for each event: ten thousand touches a
    second would leave no time to draw, to beat, or to see STOP. Its post-processing (double and
    triple taps) is left out: a tap here is judged by ``ui.fingers``.
    """

    def is_stop(share_x: float, share_y: float) -> bool:
        return bool(frame.ids.stop.reaches(share_x * Window.width, share_y * Window.height))

    gate = Floodgate(is_stop)

    def dispatch_input() -> None:
        for provider in EventLoop.input_providers:
            provider.update(dispatch_fn=gate.take)
        events, refused = gate.drain()
        if refused:
            frame.stuck.flooded(now_s())
        for kind, touch in events:
            EventLoop.post_dispatch_input(kind, touch)

    return dispatch_input


def deafen_keyboard() -> None:
    """Have no key do anything: Escape closes an App, F1 opens settings, modules listen (F43)."""

    def swallow(*_: object) -> bool:
        return True

    for event in ("on_keyboard", "on_key_down", "on_key_up", "on_textinput"):
        Window.unbind(**{event: getattr(Window, event)})
        Window.bind(**{event: swallow})
    EventLoop.window = Window
