"""The touchscreen's own time: Kivy's clock, which never jumps."""

from __future__ import annotations

from kivy.clock import Clock


def now_s() -> float:
    """Return seconds on a clock that only rises; its zero means nothing."""
    return float(Clock.time())
