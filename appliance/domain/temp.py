"""A temporary basal: a percentage that follows the profile, or a rate that does not, for a while.

15 minutes to 24 hours; 0 to 250 %, or 0 and 0.025 to 35 U/h in steps of 0.001. What it gives is
rounded down and never over the basal limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.domain.basal import MAX_RATE_UU_PER_H, MIN_RATE_UU_PER_H, RATE_GRID_UU_PER_H
from appliance.domain.limits import Reason
from appliance.domain.units import format_rate

MIN_TEMP_S = 900
MAX_TEMP_S = 86_400
MAX_PERCENT = 250
MAX_PRESETS = 12


class TempKind(StrEnum):
    """What the number of a temporary basal means. The values are what the ledger keeps."""

    PERCENT = "percent"
    RATE = "rate"


@dataclass(frozen=True, slots=True)
class Temp:
    """``value`` is a percentage, or a rate in microunits per hour."""

    kind: TempKind
    value: int
    duration_s: int

    def wanted_uu_per_h(self, scheduled_uu_per_h: int) -> int:
        """Return the rate that it asks for while the profile says ``scheduled_uu_per_h``."""
        if self.kind is TempKind.RATE:
            return self.value
        return scheduled_uu_per_h * self.value // 100

    def rate_uu_per_h(self, scheduled_uu_per_h: int, most_uu_per_h: int) -> int:
        """Return the rate that it gives under a basal limit of ``most_uu_per_h``."""
        return min(self.wanted_uu_per_h(scheduled_uu_per_h), most_uu_per_h)

    @property
    def words(self) -> str:
        """Say it as people do: "150 %" or "0.800 U/h"."""
        return f"{self.value} %" if self.kind is TempKind.PERCENT else format_rate(self.value)


def faults_of(temp: Temp) -> list[Reason]:
    """List everything that is out of range; an empty list means it may run."""
    reasons = []
    value = temp.value
    if temp.kind is TempKind.PERCENT:
        if not 0 <= value <= MAX_PERCENT:
            reasons.append(_out("percent", value, f"0 to {MAX_PERCENT}"))
    elif value and not MIN_RATE_UU_PER_H <= value <= MAX_RATE_UU_PER_H:
        allowed = f"0, or {MIN_RATE_UU_PER_H} to {MAX_RATE_UU_PER_H}"
        reasons.append(_out("rate_uu_per_h", value, allowed))
    elif value % RATE_GRID_UU_PER_H:
        allowed = f"a multiple of {RATE_GRID_UU_PER_H} (0.001 U/h)"
        reasons.append(_out("rate_uu_per_h", value, allowed))
    if not MIN_TEMP_S <= temp.duration_s <= MAX_TEMP_S:
        allowed = f"{MIN_TEMP_S} to {MAX_TEMP_S} (15 min to 24 h)"
        reasons.append(_out("duration_s", temp.duration_s, allowed))
    return reasons


def _out(field: str, value: int, allowed: str) -> Reason:
    text = f"{field} = {value} is out of range: {allowed}"
    return Reason("out_of_range", text, field, str(value), allowed)
