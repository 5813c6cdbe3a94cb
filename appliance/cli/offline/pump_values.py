"""What the calculator takes from a pump: the segment in force, and what is on board."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.cli.session import Session
from appliance.client.messages import Basal, SegmentShown, Snapshot
from appliance.domain.basal import ns_of_local_day
from appliance.domain.units import NS_PER_MIN

NEEDED: Mapping[str, str] = {
    "ratio_mg_per_u": "--ratio",
    "sensitivity_mg_dl_per_u": "--sensitivity",
    "target_mg_dl": "--target",
    "bolus_iob_uu": "--iob",
}
"""What a calculation needs, with the option that gives it."""

_OF_SEGMENT = {  # input -> key of a segment
    "ratio_mg_per_u": "carb_ratio_mg_per_u",
    "sensitivity_mg_dl_per_u": "sensitivity_mg_dl_per_u",
    "target_mg_dl": "target_mg_dl",
}


def values_of_pump(session: Session) -> dict[str, int]:
    """Return what the pump says of the calculator's inputs; what it does not say is not there.

    Raises NoPump, and what else its client may.
    """
    with session.pump() as pump:
        snapshot, basal = pump.status(), pump.basal()
    values = _on_board(snapshot.raw.get("iob_uu"))
    segment = _segment(snapshot, basal)
    if segment is None:
        return values
    values["basal_uu_per_h"] = segment.rate_uu_per_h
    for name, key in _OF_SEGMENT.items():
        said = segment.raw.get(key)
        if type(said) is int:
            values[name] = said
    return values


def _on_board(said: object) -> dict[str, int]:
    """Read ``iob_uu``: an object with ``bolus`` and ``basal``, in microunits."""
    if not isinstance(said, dict):
        return {}
    bolus, basal = said.get("bolus"), said.get("basal")
    if type(bolus) is not int or type(basal) is not int:
        return {}
    return {"bolus_iob_uu": bolus, "basal_iob_uu": basal}


def _segment(snapshot: Snapshot, basal: Basal) -> SegmentShown | None:
    """Return the segment that the pump's local time selects; None without clock or profile."""
    clock = snapshot.clock
    if clock is None or basal.active is None:
        return None
    minute = ns_of_local_day(clock.utc_ns, clock.offset_s) // NS_PER_MIN
    segments = basal.profiles.get(basal.active, [])
    begun = [one for one in segments if one.start_min_of_day <= minute]
    return max(begun, key=lambda one: one.start_min_of_day, default=None)
