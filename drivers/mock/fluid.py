"""From the plunger to the balance: compliance, occlusion, leak and air, first order, pure.

What the plunger displaces is stored as pressure in the tubing and runs out through the line, so the
outflow follows the pressure. Between two instants the solution is exact, whatever the step. At any
instant displaced = stored + out + air out + leaked. Time is the fluid's own, in nanoseconds.
"""

from __future__ import annotations

import math
from collections import deque

_NS_PER_S = 1e9
_ATMOSPHERE_KPA = 101.3
_RAMP_PIECES = 64
_NOTHING_NL = 1e-9


class Fluid:
    """The wet side of the bench. All volumes are nanolitres, pressures kPa over the air's."""

    def __init__(
        self, *, compliance_nl_per_kpa: float, resistance_kpa_s_per_nl: float, now_ns: int
    ) -> None:
        self._compliance_nl_per_kpa = compliance_nl_per_kpa
        self._open_nl_per_kpa_s = 1.0 / resistance_kpa_s_per_nl
        self._now_ns = now_ns
        self.displaced_nl = 0.0
        self.stored_nl = 0.0
        self.out_nl = 0.0
        self.air_out_nl = 0.0
        self.leaked_nl = 0.0
        self._bubbles: deque[list[float]] = deque()  # [fluid ahead of it, its volume]
        self._leak_ratio = 0.0
        self._blocked_from = 0.0
        self._blocked_to = 0.0
        self._ramp_from_ns = now_ns
        self._ramp_ns = 0
        self._steady = True
        self._rate_per_ns = 0.0
        self._leaked_share = 0.0
        self._renew()

    # -------------------------------------------------------------- what disturbs it

    def occlude(self, share: float, ramp_ns: int) -> None:
        """Close ``share`` of the line over ``ramp_ns``; 0 opens it, and what is stored goes."""
        self._blocked_from = self._blocked()
        self._blocked_to = share
        self._ramp_from_ns = self._now_ns
        self._ramp_ns = ramp_ns
        self._renew()

    def leak(self, share: float) -> None:
        """Let ``share`` of what leaves the syringe, below 1, go past the open line."""
        self._leak_ratio = share / (1.0 - share)
        self._renew()

    def add_air(self, nl: float, ahead_nl: float) -> None:
        """Put a bubble behind ``ahead_nl`` of fluid: it is soft, and comes out in fluid's place."""
        behind_nl = sum(ahead + air for ahead, air in self._bubbles)
        self._bubbles.append([max(0.0, ahead_nl - behind_nl), nl])
        self._renew()

    # -------------------------------------------------------------- what it does

    def displace(self, nl: float, now_ns: int) -> None:
        """Take in what the plunger displaces at ``now_ns``."""
        self.advance(now_ns)
        self.displaced_nl += nl
        self.stored_nl += nl

    def advance(self, now_ns: int) -> None:
        """Let it flow until ``now_ns``; an instant that is past changes nothing."""
        span_ns = now_ns - self._now_ns
        if span_ns <= 0:
            return
        if self._steady:  # nearly always, and at every step: so it is short
            self._now_ns = now_ns
            if self.stored_nl > _NOTHING_NL:
                gone_nl = -self.stored_nl * math.expm1(self._rate_per_ns * span_ns)
                self.stored_nl -= gone_nl
                leaked_nl = gone_nl * self._leaked_share
                self.leaked_nl += leaked_nl
                self.out_nl += gone_nl - leaked_nl
            return
        ramp_end_ns = self._ramp_from_ns + self._ramp_ns
        while self._now_ns < min(now_ns, ramp_end_ns):
            piece_ns = max(1, self._ramp_ns // _RAMP_PIECES)
            self._flow(min(self._now_ns + piece_ns, now_ns, ramp_end_ns))
        if self._now_ns < now_ns:
            self._flow(now_ns)

    @property
    def pressure_kpa(self) -> float:
        """The pressure in the syringe, at the instant it was last advanced to."""
        return self.stored_nl / self._softness()

    @property
    def air_nl(self) -> float:
        """The air that is still in the line."""
        return sum(bubble[1] for bubble in self._bubbles)

    def _softness(self) -> float:
        if not self._bubbles:
            return self._compliance_nl_per_kpa
        return self._compliance_nl_per_kpa + self.air_nl / _ATMOSPHERE_KPA

    def _blocked(self) -> float:
        done_ns = self._now_ns - self._ramp_from_ns
        if done_ns >= self._ramp_ns:
            return self._blocked_to
        return self._blocked_from + (self._blocked_to - self._blocked_from) * (
            done_ns / self._ramp_ns
        )

    def _flow(self, until_ns: int) -> None:
        """Flow until ``until_ns`` with what is true now, then work out what is true then."""
        span_ns = until_ns - self._now_ns
        self._now_ns = until_ns
        if self.stored_nl > 0.0:
            gone_nl = -self.stored_nl * math.expm1(self._rate_per_ns * span_ns)
            self.stored_nl -= gone_nl
            leaked_nl = gone_nl * self._leaked_share
            self.leaked_nl += leaked_nl
            self._leave(gone_nl - leaked_nl)
        self._renew()

    def _renew(self) -> None:
        """Work out how fast it runs out, and where to; steady is what only a person changes."""
        blocked = self._blocked()
        line = self._open_nl_per_kpa_s * (1.0 - blocked)
        past = self._open_nl_per_kpa_s * self._leak_ratio
        both = line + past
        self._rate_per_ns = -both / self._softness() / _NS_PER_S
        self._leaked_share = past / both if both > 0.0 else 0.0
        ramping = self._now_ns < self._ramp_from_ns + self._ramp_ns
        self._steady = not ramping and not self._bubbles

    def _leave(self, nl: float) -> None:
        while self._bubbles and nl > 0.0:
            ahead_nl, air_nl = self._bubbles[0]
            fluid_nl = min(nl, ahead_nl)
            self.out_nl += fluid_nl
            nl -= fluid_nl
            gas_nl = min(nl, air_nl)
            self.air_out_nl += gas_nl
            nl -= gas_nl
            if gas_nl == air_nl:
                self._bubbles.popleft()
            else:
                self._bubbles[0] = [ahead_nl - fluid_nl, air_nl - gas_nl]
        self.out_nl += nl
