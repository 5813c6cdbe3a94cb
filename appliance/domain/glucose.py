"""Glucose readings: what one is, how fast they move, how old they may be. Always in mg/dL.

A trend is a least-squares slope of the last quarter of an hour, as Loop takes its momentum: at
least three readings of a sensor, five minutes apart on average.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from appliance.domain.units import NS_PER_MIN
from appliance.errors import BadAmount

LOWEST_MG_DL = 20
HIGHEST_MG_DL = 600
"""What a meter can say; a sensor says 40 to 400."""

STALE_NS = 15 * NS_PER_MIN
"""A reading older than this is not the present: nothing is decided by it."""
LOST_NS = 30 * NS_PER_MIN
"""No reading for this long: the signal is lost."""
EVERY_NS = 5 * NS_PER_MIN
"""How far apart a sensor's readings are."""

_TREND_NS = 15 * NS_PER_MIN
_SLACK_NS = NS_PER_MIN
_LEAST = 3
_MG_DL_PER_MMOL = Decimal("18.018")
_MG_DL = re.compile(r"[0-9]{2,3}")
_MMOL = re.compile(r"[0-9]{1,2}\.[0-9]")


class ReadingKind(StrEnum):
    """Where a reading comes from. The values are what the ledger keeps."""

    SENSOR = "sensor"
    FINGER = "finger"


class SignalState(StrEnum):
    """How far the newest reading of the sensor may be believed."""

    NONE = "none"
    OK = "ok"
    STALE = "stale"
    LOST = "lost"


class Arrow(StrEnum):
    """The trend in words, by the bounds that sensors use (1, 2 and 3 mg/dL a minute)."""

    FALLING_VERY_FAST = "falling very fast"
    FALLING_FAST = "falling fast"
    FALLING = "falling"
    FLAT = "flat"
    RISING = "rising"
    RISING_FAST = "rising fast"
    RISING_VERY_FAST = "rising very fast"


@dataclass(frozen=True, slots=True)
class Reading:
    """One sensor reading at an instant of whatever clock its user counts on."""

    at_ns: int
    mg_dl: int


def state_of(age_ns: int | None) -> SignalState:
    """Return what the age of the newest sensor reading means; None where there is none."""
    if age_ns is None:
        return SignalState.NONE
    if age_ns > LOST_NS:
        return SignalState.LOST
    return SignalState.STALE if age_ns > STALE_NS else SignalState.OK


def slope_mg_dl_per_h(readings: Sequence[Reading]) -> int | None:
    """Return the trend of readings in order of time, rounded to whole mg/dL an hour.

    None where fewer than three lie within the last 15 min, or where they are further apart than
    5 min on average.
    """
    if not readings:
        return None
    last = readings[-1].at_ns
    near = [one for one in readings if last - one.at_ns <= _TREND_NS + _SLACK_NS]
    spread_ns = last - near[0].at_ns
    if len(near) < _LEAST or spread_ns > (len(near) - 1) * (EVERY_NS + _SLACK_NS):
        return None
    minutes = [(one.at_ns - last) / NS_PER_MIN for one in near]
    mean_min = sum(minutes) / len(near)
    mean = sum(one.mg_dl for one in near) / len(near)
    over = sum((at - mean_min) * (one.mg_dl - mean) for at, one in zip(minutes, near, strict=True))
    under = sum((at - mean_min) ** 2 for at in minutes)
    return round(60 * over / under) if under else None


def arrow_of(slope: int | None) -> Arrow | None:
    """Return the arrow of a trend in mg/dL an hour."""
    if slope is None:
        return None
    for bound, falling, rising in (
        (180, Arrow.FALLING_VERY_FAST, Arrow.RISING_VERY_FAST),
        (120, Arrow.FALLING_FAST, Arrow.RISING_FAST),
        (60, Arrow.FALLING, Arrow.RISING),
    ):
        if abs(slope) > bound:
            return falling if slope < 0 else rising
    return Arrow.FLAT


def predicted_mg_dl(mg_dl: int, slope: int, minutes: int) -> int:
    """Return where a straight line of ``slope`` mg/dL an hour leads in ``minutes``."""
    return round(mg_dl + slope * minutes / 60)


def parse_glucose(text: str) -> int:
    """Read "142" as mg/dL, "7.9" as mmol/L (one decimal); return mg/dL. Raises BadAmount."""
    if _MG_DL.fullmatch(text):
        mg_dl = int(text)
    elif _MMOL.fullmatch(text):
        mg_dl = int((Decimal(text) * _MG_DL_PER_MMOL).to_integral_value(ROUND_HALF_UP))
    else:
        raise BadAmount(
            f'{text[:40]!a} is no glucose: whole mg/dL such as "142", or mmol/L such as "7.9"'
        )
    if not LOWEST_MG_DL <= mg_dl <= HIGHEST_MG_DL:
        raise BadAmount(f"glucose = {mg_dl} mg/dL: {LOWEST_MG_DL} to {HIGHEST_MG_DL} is allowed")
    return mg_dl


def format_glucose(mg_dl: int, units: str = "mg/dL") -> str:
    """Write a glucose in "mg/dL" or in "mmol/L" with one decimal (18.018 mg/dL each)."""
    if units == "mmol/L":
        tenth = (Decimal(mg_dl) / _MG_DL_PER_MMOL).quantize(Decimal("0.1"), ROUND_HALF_UP)
        return f"{tenth} mmol/L"
    return f"{mg_dl} mg/dL"
