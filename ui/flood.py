"""Touches that come faster than fingers do: a bounded queue before every screen (F37).

A panel whose controller goes mad, or a pointer that a program drives, may send ten thousand touches
a second. What no hand could do is not let in, and is told to the rule of stuck touches; STOP is let
in all the same. Nothing here knows Kivy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

MOST_DOWN = 10
"""So many fingers may lie on the screen: a person has no more."""
MOST_BEGUN = 32
"""So many touches may begin between two frames; a hand makes one or two."""

Event = tuple[str, "Touch"]


class Touch(Protocol):
    """What is asked of a touch: its place as shares of the window, and that it is one."""

    sx: float
    sy: float
    is_touch: bool


class Floodgate:
    """What waits for the next frame. It holds at most ``MOST_WAITING`` events, whatever comes."""

    def __init__(self, is_stop: Callable[[float, float], bool]) -> None:
        """``is_stop`` says of a place, in shares of the window, whether STOP is there."""
        self._is_stop = is_stop
        self._waiting: list[Event] = []
        self._down: set[Touch] = set()
        self._moved: set[Touch] = set()
        self._begun = 0
        self._stop_waits = False
        self._refused = 0

    def take(self, kind: str, touch: Touch) -> None:
        """Take an event of an input provider: "begin", "update" or "end" of a touch."""
        if not touch.is_touch:
            return  # a pointer that hovers presses nothing
        if kind == "begin":
            self._begin(touch)
        elif touch in self._down:
            if kind == "end":
                self._down.discard(touch)
            elif touch in self._moved:
                return  # the touch itself holds its newest place
            self._moved.add(touch)
            self._waiting.append((kind, touch))

    def _begin(self, touch: Touch) -> None:
        fits = self._begun < MOST_BEGUN and len(self._down) < MOST_DOWN
        if fits:
            self._begun += 1
            self._down.add(touch)
            self._waiting.append(("begin", touch))
            return
        self._refused += 1
        # One touch on STOP is enough for one frame; it acts as it begins, so its end can follow.
        if not self._stop_waits and self._is_stop(touch.sx, touch.sy):
            self._stop_waits = True
            self._waiting += [("begin", touch), ("end", touch)]

    def drain(self) -> tuple[list[Event], int]:
        """Return what is let in by now, in its order, and how many touches were refused."""
        events, refused = self._waiting, self._refused
        self._waiting, self._moved = [], set()
        self._begun, self._refused, self._stop_waits = 0, 0, False
        return events, refused


MOST_WAITING = 3 * (MOST_BEGUN + MOST_DOWN) + 2
"""Of each touch its begin, one move and its end; and STOP."""

__all__ = ["MOST_BEGUN", "MOST_DOWN", "MOST_WAITING", "Floodgate", "Touch"]
