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

MIN_EXTENDED_S = 900
MAX_EXTENDED_S = 28_800


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
class Shape:
    """What a bolus is made of: ``extended_uu`` of its ``amount_uu`` go out over ``duration_s``.

    Normal where nothing is extended, extended where everything is, dual in between.
    """

    amount_uu: int
    extended_uu: int = 0
    duration_s: int = 0
    speed: Speed = Speed.NORMAL

    @property
    def now_uu(self) -> int:
        """Return the part that goes out at once."""
        return self.amount_uu - self.extended_uu

    @property
    def words(self) -> str:
        """Say it in a few words."""
        if not self.extended_uu:
            return format_dose(self.amount_uu)
        over = f"{format_dose(self.extended_uu)} over {self.duration_s // 60} min"
        return f"{format_dose(self.now_uu)} now and {over}" if self.now_uu else over


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


def rate_of_extended(shape: Shape) -> int:
    """Return the rate of the extended part in microunits per hour, rounded down; 0 without one."""
    return shape.extended_uu * 3_600 // shape.duration_s if shape.duration_s else 0


def plan_extended(amount_uu: int, duration_s: int, mechanics: Mechanics) -> BolusPlan:
    """Plan an extended part: its last step falls within ``duration_s``, up to the rate's rounding.

    It takes no carry along: a step more would fall due after its time.
    """
    steps, remainder = mechanics.split(amount_uu)
    rate_uu_per_h = amount_uu * 3_600 // duration_s
    return BolusPlan(amount_uu, steps, remainder, rate_uu_per_h)


def shape_reasons(shape: Shape) -> list[Reason]:
    """List what is wrong with how a bolus is divided, its whole amount apart."""
    reasons = []
    if not shape.extended_uu:
        if shape.duration_s:
            text = f"duration_s = {shape.duration_s}: a bolus of which nothing is extended has none"
            reasons.append(Reason("out_of_range", text, "duration_s", str(shape.duration_s), "0"))
        return reasons
    if not MIN_EXTENDED_S <= shape.duration_s <= MAX_EXTENDED_S:
        allowed = f"{MIN_EXTENDED_S} to {MAX_EXTENDED_S} (15 min to 8 h)"
        text = f"duration_s = {shape.duration_s} is out of range: {allowed}"
        reasons.append(Reason("out_of_range", text, "duration_s", str(shape.duration_s), allowed))
    allowed = f"{MIN_DOSE_UU} to {shape.amount_uu}, in steps of {DOSE_GRID_UU}"
    value = str(shape.extended_uu)
    if shape.now_uu < 0:
        text = (
            f"{format_dose(shape.extended_uu)} to extend is more than the whole bolus of "
            f"{format_dose(shape.amount_uu)}"
        )
        reasons.append(Reason("out_of_range", text, "extended_uu", value, allowed))
    for name, part_uu in (("at once", shape.now_uu), ("extended", shape.extended_uu)):
        if 0 < part_uu < MIN_DOSE_UU:
            text = f"the part {name} is {format_exact(part_uu)}, below {format_dose(MIN_DOSE_UU)}"
            reasons.append(Reason("too_small", text, "extended_uu", value, allowed))
    if shape.extended_uu % DOSE_GRID_UU:
        text = f"extended_uu = {shape.extended_uu} is not a whole hundredth of a unit"
        reasons.append(Reason("off_grid", text, "extended_uu", value, "steps of 0.01 U"))
    return reasons


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


def state_reasons(
    state: PumpState, *, running_bolus: bool, self_test: bool, two_extended: bool = False
) -> list[Reason]:
    """List what the pump's state has against any bolus.

    ``two_extended`` says that this one has an extended part, and that another such part runs.
    """
    reasons = []
    if state is not PumpState.RUNNING:
        reasons.append(
            Reason("state", f"the pump is {state.value}", "state", state.value, "running")
        )
    elif not self_test:
        reasons.append(Reason("self_test", "the self-test has not passed", "state", state.value))
    if running_bolus:
        reasons.append(Reason("busy", "another bolus is being delivered"))
    if two_extended:
        reasons.append(Reason("busy", "another extended bolus runs: stop it, or wait for its end"))
    return reasons


def reservoir_reason(
    amount_uu: int, reservoir_uu: int | None, promised_uu: int = 0
) -> list[Reason]:
    """List a reservoir that holds too little, or of which nothing is known (SR-31).

    ``promised_uu`` is what a running extended bolus has still to take out of it.
    """
    if reservoir_uu is None:
        return [Reason("no_cartridge", "no cartridge is loaded: pumpctl cartridge load AMOUNT")]
    free_uu = max(0, reservoir_uu - promised_uu)
    if amount_uu > free_uu:
        text = f"the reservoir holds {format_dose(reservoir_uu)}"
        if promised_uu:
            text += f", {format_dose(promised_uu)} of it for the extended bolus that runs"
        return [Reason("reservoir", text, "amount_uu", str(amount_uu), f"up to {free_uu}")]
    return []
