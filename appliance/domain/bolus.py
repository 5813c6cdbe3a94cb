"""A bolus: what is asked for, how it is planned in microsteps, and every reason against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.limits import DOSE_GRID_UU, MIN_DOSE_UU, Limits, Reason
from appliance.domain.mechanics import Mechanics
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_H, NS_PER_MIN, NS_PER_S, format_dose, format_exact

SAME_AMOUNT_NS = 15 * NS_PER_MIN


class Speed(StrEnum):
    """How fast a bolus goes out."""

    SLOW = "slow"
    NORMAL = "normal"
    FAST = "fast"


RATE_UU_PER_H: Mapping[Speed, int] = {
    Speed.SLOW: 45_000_000,  # 0.75 U/min
    Speed.NORMAL: 90_000_000,  # 1.5 U/min
    Speed.FAST: 300_000_000,  # 5 U/min
}


@dataclass(frozen=True, slots=True)
class BolusPlan:
    """A bolus in microsteps. ``remainder`` is what is left, in ``uu * ratio_steps``; it is never
    lost.
    """

    amount_uu: int
    steps: int
    remainder: int
    rate_uu_per_h: int

    @property
    def duration_ns(self) -> int:
        """Return how long the motor needs for it at its rate."""
        return self.amount_uu * NS_PER_H // self.rate_uu_per_h


def plan(amount_uu: int, speed: Speed, mechanics: Mechanics, carry: int = 0) -> BolusPlan:
    """Plan a bolus: whole microsteps, rounded down, with ``carry`` from before taken along."""
    steps, remainder = mechanics.split(amount_uu, carry)
    return BolusPlan(amount_uu, steps, remainder, RATE_UU_PER_H[speed])


def amount_reasons(amount_uu: int, limits: Limits, ceiling_uu: int) -> list[Reason]:
    """List what is wrong with an amount as such: its range and its grid (SR-04, SR-13)."""
    most_uu = min(limits.max_bolus_uu, ceiling_uu)
    allowed = f"{format_dose(MIN_DOSE_UU)} to {format_dose(most_uu)}"
    off_grid = amount_uu % DOSE_GRID_UU != 0
    reasons = []
    if amount_uu < MIN_DOSE_UU:
        text = f"amount_uu = {amount_uu} is below the smallest bolus: {allowed}"
        reasons.append(Reason("too_small", text, "amount_uu", str(amount_uu), allowed))
    elif amount_uu > most_uu:
        shown = format_exact(amount_uu) if off_grid else format_dose(amount_uu)
        text = f"{shown} is over the limit for one bolus: {allowed}"
        reasons.append(Reason("too_large", text, "amount_uu", str(amount_uu), allowed))
    if off_grid:
        text = f"amount_uu = {amount_uu} is not a whole hundredth of a unit"
        reasons.append(Reason("off_grid", text, "amount_uu", str(amount_uu), "steps of 0.01 U"))
    return reasons


def again_reason(amount_uu: int, last_uu: int | None, since_ns: int | None) -> list[Reason]:
    """List the same amount within 15 min of the last one: it is to be confirmed twice (SR-10)."""
    if since_ns is None or last_uu != amount_uu or since_ns >= SAME_AMOUNT_NS:
        return []
    minutes, seconds = divmod(since_ns // NS_PER_S, 60)
    text = f"{format_dose(amount_uu)} was begun {minutes} min {seconds} s ago: confirm it again"
    return [Reason("same_amount", text, "again", "false", "true")]


def state_reasons(state: PumpState, *, running_bolus: bool, self_test: bool) -> list[Reason]:
    """List what the pump's state has against any bolus."""
    reasons = []
    if state is not PumpState.RUNNING:
        reasons.append(
            Reason("state", f"the pump is {state.value}", "state", state.value, "running")
        )
    elif not self_test:
        reasons.append(Reason("self_test", "the self-test has not passed", "state", state.value))
    if running_bolus:
        reasons.append(Reason("busy", "another bolus is being delivered"))
    return reasons


def reservoir_reason(amount_uu: int, reservoir_uu: int | None) -> list[Reason]:
    """List a reservoir that holds too little, or of which nothing is known (SR-31)."""
    if reservoir_uu is None:
        return [Reason("no_cartridge", "no cartridge is loaded: pumpctl cartridge load AMOUNT")]
    if amount_uu > reservoir_uu:
        return [
            Reason(
                "reservoir",
                f"the reservoir holds {format_dose(reservoir_uu)}",
                "amount_uu",
                str(amount_uu),
                f"up to {reservoir_uu}",
            )
        ]
    return []
