"""Numbers as the touchscreen writes them: always with a point, whatever the locale (SR-12)."""

from __future__ import annotations

from appliance.client.words import UU_PER_U, time_words

__all__ = ["DASH", "age", "clock", "count", "rate", "units", "units_bare", "whole_units"]

DASH = "–"
"""Stands where a number is not known."""


def units_bare(amount_uu: int | None) -> str:
    """Write microunits in hundredths of a unit without the unit, rounded towards zero."""
    if amount_uu is None:
        return DASH
    hundredths = abs(amount_uu) // (UU_PER_U // 100)
    sign = "−" if amount_uu < 0 and hundredths else ""
    return f"{sign}{hundredths // 100}.{hundredths % 100:02d}"


def units(amount_uu: int | None) -> str:
    """Write microunits as "2.50 U"."""
    return f"{units_bare(amount_uu)} U"


def whole_units(amount_uu: int | None) -> str:
    """Write what a reservoir holds: whole units, rounded down, and hundredths below ten units."""
    if amount_uu is None:
        return DASH
    return units(amount_uu) if amount_uu < 10 * UU_PER_U else f"{amount_uu // UU_PER_U} U"


def rate(rate_uu_per_h: int | None) -> str:
    """Write a rate in thousandths of a unit an hour, without the unit."""
    if rate_uu_per_h is None:
        return DASH
    thousandths = rate_uu_per_h // (UU_PER_U // 1000)
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def count(number: int | None) -> str:
    """Write a count with thousands apart: "3,531"."""
    return DASH if number is None else f"{number:,}"


def clock(utc_ns: int | None, offset_s: int | None = 0) -> str:
    """Write an instant as local time "14:32"; "--:--" where it is not known."""
    words = time_words(utc_ns, offset_s)
    return words[11:16] if words[:1].isdigit() else "--:--"


def age(seconds: int) -> str:
    """Write how long something lasts, in the two largest units: "1 d 6 h", "1 h 31 min", "40 s"."""
    seconds = max(0, seconds)
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
