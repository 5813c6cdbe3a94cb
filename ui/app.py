"""The Kivy application around the kiosk: no key leaves it, no settings panel opens."""

from __future__ import annotations

from collections.abc import Callable

from kivy.app import App
from kivy.base import EventLoop
from kivy.clock import Clock, ClockEvent
from kivy.core.window import Window

from ui.frame import Frame
from ui.kiosk import Kiosk

_WATCHDOG_S = 4.0


class Touchscreen(App):
    """Runs a kiosk in the one window of this process."""

    title = "Benchpump  BENCH"
    use_kivy_settings = False

    def __init__(
        self, make: Callable[[], Kiosk], tell: Callable[[str], None] = lambda _text: None
    ) -> None:
        """``make`` builds the kiosk; ``tell`` says a state to the service manager."""
        super().__init__()
        self._make = make
        self._tell = tell
        self._watchdog: ClockEvent | None = None
        self.kiosk: Kiosk | None = None

    def build(self) -> Frame:
        """Make the kiosk and begin to listen to the pump."""
        deafen_keyboard()
        self.kiosk = self._make()
        self.kiosk.start()
        # From Kivy's own clock: a main loop that hangs says nothing, and is started again.
        Clock.schedule_once(lambda _dt: self._tell("READY=1"))
        self._watchdog = Clock.schedule_interval(lambda _dt: self._tell("WATCHDOG=1"), _WATCHDOG_S)
        return self.kiosk.frame

    def open_settings(self, *_: object) -> bool:
        """Open nothing: F1 is no way out, nor into Kivy's configuration (F43)."""
        return False

    def on_stop(self) -> None:
        """Leave the pump."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self.kiosk is not None:
            self.kiosk.close()


def deafen_keyboard() -> None:
    """Have no key do anything: Escape closes an App, F1 opens settings, modules listen (F43)."""

    def swallow(*_: object) -> bool:
        return True

    for event in ("on_keyboard", "on_key_down", "on_key_up", "on_textinput"):
        Window.unbind(**{event: getattr(Window, event)})
        Window.bind(**{event: swallow})
    EventLoop.window = Window
