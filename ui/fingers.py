"""Which touches count: rules of time and place, without Kivy, so that a test turns the clock.

The times are SR-06's and SR-11's. Between the two bounds of a key the project is free; the middle
is taken. Nothing here holds for STOP, which counts at every touch.
"""

from __future__ import annotations

from collections import deque

from appliance.client.messages import TouchStuck

KEY_AGAIN_S = 0.085
"""A key pressed again before this is one touch that bounced: 50 ms is, 120 ms is not (SR-06)."""
BUTTON_AGAIN_S = 0.6
"""A button that does something, pressed again before this, is a double tap (F36)."""
SAME_FINGER_S = 0.6
SAME_FINGER_MM = 14.0
"""After a screen changed, a touch so soon and so near is the finger that changed it (SR-07)."""
CONFIRM_DEAF_S = 0.5
"""A button that confirms ignores touches for so long after it appeared (SR-06)."""
ALARM_DEAF_S = 1.0
"""Buttons of an alarm ignore touches for so long after it appeared."""
STUCK_S = 10.0
"""A touch held for longer is stuck (SR-11)."""
REPEATS_PER_MIN = 100
"""One key pressed more often in a minute is stuck (SR-11)."""
CALM_S = 3.0
"""Entry comes back when nothing has been touched for so long after a stuck touch."""


class Gate:
    """One button's memory: of touches too close together only the first counts."""

    def __init__(self, again_s: float) -> None:
        self._again_s = again_s
        self._counted_s: float | None = None

    def passes(self, now_s: float) -> bool:
        """Return whether a touch at ``now_s`` counts."""
        if self._counted_s is not None and now_s - self._counted_s < self._again_s:
            return False
        self._counted_s = now_s
        return True


class SameFinger:
    """Knows where the touch was that changed the screen."""

    def __init__(self, px_per_mm: float) -> None:
        self._reach_px = SAME_FINGER_MM * px_per_mm
        self._touch: tuple[float, float, float] | None = None
        self._changed_s = float("-inf")

    def touched(self, now_s: float, x_px: float, y_px: float) -> None:
        """Note a touch that counts."""
        self._touch = (now_s, x_px, y_px)

    def changed(self, now_s: float) -> None:
        """Note that another screen is shown from now on."""
        self._changed_s = now_s

    def passes(self, now_s: float, x_px: float, y_px: float) -> bool:
        """Return whether a touch is another one than that which changed the screen."""
        if self._touch is None or now_s - self._changed_s >= SAME_FINGER_S:
            return True
        touched_s, last_x_px, last_y_px = self._touch
        if touched_s > self._changed_s:
            return True
        far = (x_px - last_x_px) ** 2 + (y_px - last_y_px) ** 2
        return far > self._reach_px**2


class StuckWatch:
    """Sees a touch that does not end and a key that repeats like no finger does (SR-11)."""

    def __init__(self) -> None:
        self._down_s: dict[object, float] = {}
        self._presses: dict[object, deque[float]] = {}
        self._stuck_since_s: float | None = None
        self._cause: TouchStuck = "no"
        self._last_s = float("-inf")

    def down(self, touch: object, now_s: float) -> None:
        """Note a finger that came down."""
        self._down_s[touch] = now_s
        self._last_s = now_s

    def up(self, touch: object, now_s: float) -> None:
        """Note that it left."""
        self._down_s.pop(touch, None)
        self._last_s = now_s

    def key(self, key: object, now_s: float) -> None:
        """Note that a key was pressed."""
        presses = self._presses.setdefault(key, deque())
        presses.append(now_s)
        while now_s - presses[0] > 60.0:
            presses.popleft()
        if len(presses) > REPEATS_PER_MIN:
            self._stuck_since_s, self._cause = now_s, "repeats"

    def flooded(self, now_s: float) -> None:
        """Note that more touches came than a hand can make: these are no fingers (F37, F38)."""
        self._stuck_since_s, self._cause = now_s, "repeats"

    def is_stuck(self, now_s: float) -> bool:
        """Return whether entry is off: from a stuck touch until all has been calm."""
        return self.stuck(now_s) != "no"

    def stuck(self, now_s: float) -> TouchStuck:
        """Return why entry is off: a touch is held, or a key repeats; "no" where it is not."""
        if any(now_s - since_s > STUCK_S for since_s in self._down_s.values()):
            self._stuck_since_s, self._cause = now_s, "held"
        if self._stuck_since_s is None:
            return "no"
        if self._down_s or now_s - max(self._stuck_since_s, self._last_s) < CALM_S:
            return self._cause
        self._stuck_since_s, self._cause = None, "no"
        self._presses.clear()
        return "no"
