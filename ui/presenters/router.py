"""Which screen is shown: what people ask for, and what the pump's state puts before it.

No contact, an alarm that nobody has acknowledged, a pump that cannot start: each takes the screen,
and what was shown before returns when it has gone.
"""

from __future__ import annotations

from collections.abc import Callable

from ui.presenters.alarm import LOW, unanswered
from ui.state import State

HOME = "home"
NO_CONTACT = "no_contact"
ALARM = "alarm"
INHIBITED = "inhibited"
FIRST_START = "first_start"

FORCED = frozenset({NO_CONTACT, ALARM})
LASTING = frozenset({HOME, "stopped", "delivering", INHIBITED, FIRST_START})
"""Screens that are found again after an interruption; what was half entered elsewhere is gone."""


class Router:
    """Holds the screen that was asked for; ``show`` is called when another one is due."""

    def __init__(self, show: Callable[[str, dict[str, object]], None]) -> None:
        self._show = show
        self._wanted: tuple[str, dict[str, object]] = (HOME, {})
        self._shown = ""
        self._forced = NO_CONTACT
        self._inhibited = False
        self._new = False

    def begin(self) -> None:
        """Show the first screen: nothing is known yet."""
        self._shown = NO_CONTACT
        self._show(NO_CONTACT, {})

    def go(self, screen: str, **entered: object) -> None:
        """Ask for a screen."""
        self._wanted = (screen, entered)
        if not self._forced:
            self._shown = screen
            self._show(screen, entered)

    def hear(self, state: State) -> None:
        """Take another state; show another screen where it asks for one."""
        snapshot = state.live
        was_forced, self._forced = self._forced, _forced(state)
        inhibited = snapshot is not None and snapshot.state == INHIBITED
        if inhibited and not self._inhibited:
            self._wanted = (INHIBITED, {})
        if snapshot is not None:
            self._inhibited = inhibited
            new, was_new = snapshot.limits is None, self._new
            if new and not was_new and not inhibited:
                self._wanted = (FIRST_START, {})
            self._new = new
        if self._forced:
            self._turn(self._forced, {})
            return
        screen, entered = self._wanted
        if screen == ALARM and snapshot is not None and not unanswered(snapshot):
            screen, entered = self._wanted = (HOME, {})  # the strip's alarm has its answer
        if was_forced:
            # What was sent before the interruption is found again by its id, never sent again.
            entered = {}
            if screen not in LASTING:
                screen = HOME
            self._wanted = (screen, entered)
        self._turn(screen, entered)

    def _turn(self, screen: str, entered: dict[str, object]) -> None:
        if screen != self._shown:
            self._shown = screen
            self._show(screen, dict(entered))


def _forced(state: State) -> str:
    """Return the screen that the state puts before what was asked for; "" for none."""
    snapshot = state.live
    if snapshot is None:
        return NO_CONTACT
    return ALARM if any(one.priority != LOW for one in unanswered(snapshot)) else ""
