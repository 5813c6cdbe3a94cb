"""A blocked line: what its pressure holds back, and how often it may be tried again.

The push on the plunger is friction and pressure; a pressure holds so much fluid as the tubing gives
way. So the push tells, roughly, what a release would let go at once: volume in nL is compliance in
nL/kPa times pressure in kPa, and 1 mN on 1 mm2 is 1 kPa. Air in the line makes it more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.units import NS_PER_MIN

_PI_NUM, _PI_DEN = 355, 113
_UM2_PER_MM2 = 1_000_000
LOCK_AFTER = 3
LOCK_WINDOW_NS = 10 * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of plunger and tubing. ``compliance_nl_per_kpa`` 0: not known, no estimate."""

    bore_um: int
    concentration_u_per_ml: int
    friction_mn: int
    compliance_nl_per_kpa: int

    def held_uu(self, force_mn: int) -> int | None:
        """Return about how much a push of ``force_mn`` holds back; None where nothing is known."""
        if self.compliance_nl_per_kpa == 0:
            return None
        pressing_mn = max(0, force_mn - self.friction_mn)
        # A nanolitre of U-100 is 100 uu.
        top = self.compliance_nl_per_kpa * self.concentration_u_per_ml * pressing_mn
        top *= _UM2_PER_MM2 * 4 * _PI_DEN
        bottom = _PI_NUM * self.bore_um * self.bore_um
        return (2 * top + bottom) // (2 * bottom)


UNKNOWN = Line(1, 1, 0, 0)
"""A line of which nothing is known."""


def too_often(instants_ns: Sequence[int], now_ns: int) -> bool:
    """Say whether delivery was stopped by an alarm three times within 10 min (SR-27)."""
    return sum(now_ns - LOCK_WINDOW_NS < at <= now_ns for at in instants_ns) >= LOCK_AFTER
