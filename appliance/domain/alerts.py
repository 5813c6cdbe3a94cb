"""Alerts that a person sets: a reservoir that runs low, and a pump that nobody uses."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.domain.basal import Profile
from appliance.domain.limits import Reason
from appliance.domain.units import MIN_PER_DAY, NS_PER_H, NS_PER_MIN, UU_PER_U

VERY_LOW_UU = 5 * UU_PER_U
AUTO_OFF_WARNING_NS = 15 * NS_PER_MIN
STOPPED_REMINDER_NS = 15 * NS_PER_MIN

_HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class Alerts:
    """When to warn. 0 switches an alert off; the reservoir's by units has no off."""

    low_reservoir_uu: int = 20 * UU_PER_U
    low_reservoir_h: int = 0
    auto_off_h: int = 0


def faults_of(alerts: Alerts) -> list[Reason]:
    """List every value that is out of range; an empty list means they may be set."""
    rows = (
        ("low_reservoir_uu", alerts.low_reservoir_uu, 10 * UU_PER_U, 50 * UU_PER_U, False),
        ("low_reservoir_h", alerts.low_reservoir_h, 1, 72, True),
        ("auto_off_h", alerts.auto_off_h, 5, 24, True),
    )
    reasons = []
    for name, number, low, high, may_be_off in rows:
        if low <= number <= high or (may_be_off and number == 0):
            continue
        allowed = f"{low} to {high}" + (", or 0 for off" if may_be_off else "")
        text = f"{name} = {number} is out of range: {allowed}"
        reasons.append(Reason("out_of_range", text, name, str(number), allowed))
    return reasons


def daily_uu(profile: Profile) -> int:
    """Return what a profile delivers in a day, rounded up."""
    starts = [one.start_min_of_day for one in profile.segments]
    ends = [*starts[1:], MIN_PER_DAY]
    per_min = sum(
        one.rate_uu_per_h * (end - one.start_min_of_day)
        for one, end in zip(profile.segments, ends, strict=True)
    )
    return -(-per_min // 60)


def hours_left(reservoir_uu: int, each_day_uu: int) -> int | None:
    """Return for how many whole hours a reservoir lasts at a day's mean rate; None for ever."""
    return reservoir_uu * _HOURS_PER_DAY // each_day_uu if each_day_uu else None


def auto_off_left_ns(idle_ns: int, alerts: Alerts) -> int | None:
    """Return what is left until auto-off after ``idle_ns`` without use; None where it is off."""
    return alerts.auto_off_h * NS_PER_H - idle_ns if alerts.auto_off_h else None
