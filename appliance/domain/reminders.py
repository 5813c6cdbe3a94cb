"""Reminders that a person sets: after a bolus, at meals, for the site, and by the time of day.

Times of day are minutes of the local day. A reminder never stops anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.domain.limits import Reason
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN

MAX_MEALS = 4
MAX_PERSONAL = 8
LONGEST_LOOK_NS = 120 * NS_PER_MIN
"""A time of day that was passed over faster than this was lived through; else the clock was set."""

_DAY_NS = MIN_PER_DAY * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Reminders:
    """What is set. ``glucose_min`` and ``site_days`` 0 are off; lists are empty."""

    glucose_min: int = 0
    site_days: int = 0
    site_at_min: int = 600
    meals: tuple[tuple[int, int], ...] = ()
    personal: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def of(raw: Mapping[str, Any]) -> Reminders:
        """Return the reminders from what a setting holds."""
        meals = tuple((one["from_min"], one["to_min"]) for one in raw.get("meals", ()))
        personal = tuple((one["at_min"], one["name"]) for one in raw.get("personal", ()))
        plain = {name: raw[name] for name in _PLAIN if name in raw}
        return Reminders(**plain, meals=meals, personal=personal)

    def body(self) -> dict[str, Any]:
        """Return them as a setting holds them."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "meals": [{"from_min": start, "to_min": end} for start, end in self.meals],
            "personal": [{"at_min": at, "name": name} for at, name in self.personal],
        }


_PLAIN = ("glucose_min", "site_days", "site_at_min")


def faults_of(reminders: Reminders) -> list[Reason]:
    """List every value that is out of range; an empty list means they may be set."""
    reasons: list[Reason] = []

    def check(name: str, number: int, low: int, high: int, *, off: bool = False) -> None:
        if low <= number <= high or (off and number == 0):
            return
        allowed = f"{low} to {high}" + (", or 0 for off" if off else "")
        text = f"{name} = {number} is out of range: {allowed}"
        reasons.append(Reason("out_of_range", text, name, str(number), allowed))

    check("glucose_min", reminders.glucose_min, 30, 240, off=True)
    check("site_days", reminders.site_days, 1, 7, off=True)
    check("site_at_min", reminders.site_at_min, 0, MIN_PER_DAY - 1)
    check("meals", len(reminders.meals), 0, MAX_MEALS)
    check("personal", len(reminders.personal), 0, MAX_PERSONAL)
    for at, (start, end) in enumerate(reminders.meals):
        check(f"meals[{at}].from_min", start, 0, MIN_PER_DAY - 2)
        check(f"meals[{at}].to_min", end, start + 1, MIN_PER_DAY - 1)
    for at, (minute, _) in enumerate(reminders.personal):
        check(f"personal[{at}].at_min", minute, 0, MIN_PER_DAY - 1)
    return reasons


def passed(before_ns: int, now_ns: int, min_of_day: int) -> int | None:
    """Return the local instant of a time of day that lies after ``before_ns``, up to ``now_ns``.

    None where there is none, or where the clock was set rather than run.
    """
    if not before_ns < now_ns <= before_ns + LONGEST_LOOK_NS:
        return None
    return last_passed(before_ns, now_ns, min_of_day)


def last_passed(before_ns: int, now_ns: int, min_of_day: int) -> int | None:
    """Return the last local instant of a time of day after ``before_ns``, up to ``now_ns``."""
    at_ns = now_ns - now_ns % _DAY_NS + min_of_day * NS_PER_MIN
    if at_ns > now_ns:
        at_ns -= _DAY_NS
    return at_ns if before_ns < at_ns else None


def site_due_ns(changed_local_ns: int, reminders: Reminders) -> int:
    """Return the local instant at which the site is due: so many days on, at the time of day."""
    days_ns = reminders.site_days * _DAY_NS
    return (
        changed_local_ns
        - changed_local_ns % _DAY_NS
        + days_ns
        + (reminders.site_at_min * NS_PER_MIN)
    )


def any_within(instants_ns: Sequence[int], start_ns: int, end_ns: int) -> bool:
    """Say whether one of the instants lies from ``start_ns`` up to ``end_ns``."""
    return any(start_ns <= one < end_ns for one in instants_ns)
