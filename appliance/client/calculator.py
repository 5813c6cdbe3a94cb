"""The bolus calculator for whoever holds a client: what the pump knows, and the sum of it.

It proposes and starts nothing. The arithmetic is the domain's (``docs/calculators.md``).
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.client.messages import Basal, SegmentShown, Snapshot
from appliance.domain.basal import ns_of_local_day
from appliance.domain.calculator import (
    CORRECTION,
    FLOOR,
    FOOD,
    GLUCOSE_MG_DL,
    IOB,
    LIMIT,
    MAX_CARBS_G,
    ROUNDING,
    TREND,
    Inputs,
    Line,
    Sum,
    benchpump,
)
from appliance.domain.calculators import CALCULATORS
from appliance.domain.units import NS_PER_MIN
from appliance.errors import BadInputs

__all__ = [
    "CALCULATORS",
    "CORRECTION",
    "FLOOR",
    "FOOD",
    "GLUCOSE_MG_DL",
    "IOB",
    "LIMIT",
    "MAX_CARBS_G",
    "ROUNDING",
    "TREND",
    "BadInputs",
    "Inputs",
    "Line",
    "Sum",
    "benchpump",
    "known_of",
    "segment_of",
]

_OF_SEGMENT: Mapping[str, str] = {  # input -> key of a segment
    "ratio_mg_per_u": "carb_ratio_mg_per_u",
    "sensitivity_mg_dl_per_u": "sensitivity_mg_dl_per_u",
    "target_mg_dl": "target_mg_dl",
}


def known_of(snapshot: Snapshot, basal: Basal) -> dict[str, int]:
    """Return what the pump says of the calculator's inputs; what it does not say is not there."""
    values = _on_board(snapshot.raw.get("iob_uu"))
    segment = segment_of(snapshot, basal)
    if segment is None:
        return values
    values["basal_uu_per_h"] = segment.rate_uu_per_h
    for name, key in _OF_SEGMENT.items():
        said = segment.raw.get(key)
        if type(said) is int:
            values[name] = said
    return values


def segment_of(snapshot: Snapshot, basal: Basal) -> SegmentShown | None:
    """Return the segment that the pump's local time selects; None without clock or profile."""
    clock = snapshot.clock
    if clock is None or basal.active is None:
        return None
    minute = ns_of_local_day(clock.utc_ns, clock.offset_s) // NS_PER_MIN
    segments = basal.profiles.get(basal.active, [])
    begun = [one for one in segments if one.start_min_of_day <= minute]
    return max(begun, key=lambda one: one.start_min_of_day, default=None)


def _on_board(said: object) -> dict[str, int]:
    """Read ``iob_uu``: an object with ``bolus`` and ``basal``, in microunits."""
    if not isinstance(said, dict):
        return {}
    bolus, basal = said.get("bolus"), said.get("basal")
    if type(bolus) is not int or type(basal) is not int:
        return {}
    return {"bolus_iob_uu": bolus, "basal_iob_uu": basal}
