"""Units: text to integers and back, exactly, in one place.

Insulin is counted in microunits (``_uu``; 1 U = 1,000,000 uu), so keypad, history and log agree to
the digit. No float takes part anywhere.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NewType

from appliance.errors import BadAmount

MicroUnits = NewType("MicroUnits", int)

UU_PER_U = 1_000_000
NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_MIN = 60 * NS_PER_S
NS_PER_H = 3_600 * NS_PER_S
MIN_PER_DAY = 1_440

_DOSE = re.compile(r"[0-9]{1,2}(\.[0-9]{1,2})?")  # not \d: it takes the digits of every script
_VOLUME = re.compile(r"[0-9]{1,3}(\.[0-9]{1,2})?")
_RATE = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")
_SHOWN = 40


def parse_dose(text: str) -> MicroUnits:
    """Read a dose in units such as "1.25": at most two digits, then at most two decimals.

    Raises BadAmount for anything else (SR-01). Decimal alone would take "1_0", " 1.5 " and "nan".
    """
    return _exact(text, _DOSE, "a dose in units, 0 to 99.99 with at most two decimals")


def parse_reservoir(text: str) -> MicroUnits:
    """Read what a cartridge holds, in units, 0 to 999.99. Raises BadAmount."""
    return _exact(text, _VOLUME, "an amount in units, 0 to 999.99 with at most two decimals")


def parse_rate(text: str) -> MicroUnits:
    """Read a rate in units per hour such as "0.025", in microunits per hour. Raises BadAmount."""
    return _exact(text, _RATE, "a rate in U/h, 0 to 99.999 with at most three decimals")


def format_dose(amount_uu: int) -> str:
    """Write an amount in hundredths of a unit, rounded down: never more than there is."""
    sign = "-" if amount_uu < 0 else ""
    hundredths = abs(amount_uu) // 10_000
    return f"{sign}{hundredths // 100}.{hundredths % 100:02d} U"


def format_rate(rate_uu_per_h: int) -> str:
    """Write a rate in thousandths of a unit per hour, rounded down."""
    thousandths = rate_uu_per_h // 1_000
    return f"{thousandths // 1000}.{thousandths % 1000:03d} U/h"


def format_exact(amount_uu: int) -> str:
    """Write an amount with all six decimals, nothing rounded: "0.050000 U"."""
    sign = "-" if amount_uu < 0 else ""
    whole, part = divmod(abs(amount_uu), UU_PER_U)
    return f"{sign}{whole}.{part:06d} U"


def _exact(text: str, pattern: re.Pattern[str], meaning: str) -> MicroUnits:
    if not pattern.fullmatch(text):
        shown = repr(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")
        raise BadAmount(f"{shown} is not {meaning}")
    return MicroUnits(int(Decimal(text) * UU_PER_U))
