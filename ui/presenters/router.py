"""Which screen is shown: what people ask for, and what the pump's state puts before it.

No contact, an alarm that nobody has acknowledged, a pump that cannot start: each takes the screen,
and what was shown before returns when it has gone.
"""

from __future__ import annotations

from collections.abc import Callable

from ui.state import State

HOME = "home"
NO_CONTACT = "no_contact"
ALARM = "alarm"
INHIBITED = "inhibited"
STOPPED = "stopped"

FORCED = (NO_CONTACT, ALARM, INHIBITED)


class Router:
    """Holds the screen that was asked for; ``show`` is called when another one is due."""

    def __init__(self, show: Callable[[str, dict[str, object]], None]) -> None:
        self._show = show
        self._wanted: tuple[str, dict[str, object]] = (HOME, {})
        self._shown = ""
        self._state = State()

    def begin(self, state: State) -> None:
        """Show the first screen."""
        self._state = state
        self._turn()

    def go(self, screen: str, **entered: object) -> None:
        """Ask for a screen."""
        self._wanted = (screen, entered)
        if self.forced(self._state) == "":
            self._shown = screen
            self._show(screen, entered)

    def hear(self, state: State) -> None:
        """Take another state; show another screen where it asks for one."""
        self._state = state
        self._turn()

    def forced(self, state: State) -> str:
        """Return the screen that the state puts before what was asked for; "" for none."""
        if not state.contact:
            return NO_CONTACT
        return ""

    def _turn(self) -> None:
        forced = self.forced(self._state)
        if forced:
            due, entered = forced, dict[str, object]()
        else:
            due, entered = self._wanted
            if self._shown in FORCED and due not in (HOME, STOPPED):
                due, entered = HOME, {}  # what was half entered when it was interrupted is gone
                self._wanted = (due, entered)
        if due != self._shown:
            self._shown = due
            self._show(due, dict(entered))
