"""Words to numbers and numbers to words: the same on every face of the pump."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from appliance.client.messages import Dose, Review
from appliance.domain.glucose import format_glucose, parse_glucose
from appliance.domain.units import (
    MIN_PER_DAY,
    NS_PER_S,
    UU_PER_U,
    format_dose,
    format_exact,
    format_rate,
    parse_dose,
    parse_rate,
    parse_reservoir,
)
from appliance.errors import ProtocolFault

__all__ = [
    "BENCH",
    "MIN_PER_DAY",
    "NS_PER_S",
    "SPEEDS",
    "UU_PER_U",
    "format_dose",
    "format_exact",
    "format_glucose",
    "format_rate",
    "in_words",
    "minute_words",
    "parse_ago_s",
    "parse_dose",
    "parse_glucose",
    "parse_minute",
    "parse_rate",
    "parse_reservoir",
    "review_words",
    "share_uu",
    "steps_words",
    "time_words",
]

BENCH = "BENCH"
"""The mark on every screen, report and export: water only, no medical device."""
SPEEDS: Mapping[str, str] = {"slow": "0.75 U/min", "normal": "1.5 U/min", "fast": "5 U/min"}

_MINUTE = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_AGO = re.compile(r"(?:([0-9]{1,3})d)?(?:([0-9]{1,4})h)?(?:([0-9]{1,6})m)?")


def parse_minute(text: str) -> int:
    """Read a time of day such as "06:30" as its minute of the day. Raises ProtocolFault."""
    match = _MINUTE.fullmatch(text)
    if match is None:
        raise ProtocolFault(f'{text[:40]!a} is not a time of day from "00:00" to "23:59"')
    return int(match[1]) * 60 + int(match[2])


def minute_words(min_of_day: int) -> str:
    """Write a minute of the day as "06:30"."""
    return f"{min_of_day // 60:02d}:{min_of_day % 60:02d}"


def parse_ago_s(text: str) -> int:
    """Read how long ago, such as "24h", "90m" or "1d12h", in seconds. Raises ProtocolFault."""
    match = _AGO.fullmatch(text)
    if match is None or not text:
        raise ProtocolFault(f'{text[:40]!a} is not a time such as "24h", "90m", "7d" or "1d12h"')
    days, hours, minutes = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 3_600 + minutes * 60


def in_words(duration_s: int) -> str:
    """Write a duration as "40 s", "1 min 40 s" or "2 h 05 min"."""
    minutes, seconds = divmod(max(0, duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    if minutes:
        return f"{minutes} min {seconds:02d} s" if seconds else f"{minutes} min"
    return f"{seconds} s"


def time_words(utc_ns: int | None, offset_s: int | None = 0) -> str:
    """Write an instant in the pump's local time, to the second; "time not known" without one."""
    if utc_ns is None:
        return "time not known"
    try:
        zone = timezone(timedelta(seconds=offset_s or 0))
        seen = datetime.fromtimestamp(utc_ns // NS_PER_S, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return "time not known"
    return f"{seen:%Y-%m-%d %H:%M:%S}"


def share_uu(steps: int, dose: Dose) -> int | None:
    """Return what ``steps`` of a dose are in microunits: their share of its programmed amount.

    All steps are the whole amount, so equal steps read as equal amounts; a part is rounded down.
    None where no amount was programmed (basal).
    """
    if dose.programmed_uu is None or not dose.programmed_steps:
        return None
    return dose.programmed_uu * steps // dose.programmed_steps


def steps_words(steps: int | None, dose: Dose) -> str:
    """Write steps of a dose with what they are in units, where that is known."""
    if steps is None:
        return "an unknown number of steps"
    share = share_uu(steps, dose)
    return f"{steps} steps" if share is None else f"{format_dose(share)} ({steps} steps)"


def review_words(review: Review, speed: str) -> str:
    """Say what a dose would be, in one line."""
    if review.extended_uu:
        later = f"{format_dose(review.extended_uu)} over {in_words(review.extended_s)}"
        now_uu = review.amount_uu - review.extended_uu
        now = f"{format_dose(now_uu)} now, {SPEEDS[speed]}, and " if now_uu else ""
        whole = f"{format_dose(review.amount_uu)} in all: " if now_uu else ""
        return f"{whole}{now}{later}; {review.programmed_steps} microsteps"
    amount, lasts = format_dose(review.amount_uu), in_words(review.duration_s)
    return f"{amount} now, {SPEEDS[speed]}, about {lasts}; {review.programmed_steps} microsteps"
