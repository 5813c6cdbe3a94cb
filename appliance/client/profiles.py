"""Basal profiles from files: TOML or JSON, rates as text, every fault named at once."""

from __future__ import annotations

import tomllib
from typing import Any

from appliance.client import wire
from appliance.client.messages import Segment
from appliance.client.words import parse_minute, parse_rate
from appliance.errors import BadAmount, BadProfile, ProtocolFault

_TOP = {"name", "segments"}
_SEGMENT = {"start", "rate"}
_DEPTH = 8


def read_profile(raw: bytes, *, as_json: bool) -> tuple[str, list[Segment]]:
    """Read ``name = "Day"`` and ``[[segments]]`` with ``start = "06:30"``, ``rate = "0.850"``.

    Whether the profile makes sense (it begins at 00:00, it rises in time, it is under the limits)
    is for the pump to say. Raises BadProfile, whose ``faults`` hold every fault of the file.
    """
    table = _table(raw, as_json=as_json)
    faults = [
        f"{wire.shown(key)} is not a key here (name, segments)" for key in table.keys() - _TOP
    ]
    name, listed = table.get("name"), table.get("segments")
    if not isinstance(name, str):
        faults.append(
            "name is missing" if name is None else f"name = {wire.shown(name)} is not a text"
        )
        name = ""
    segments: list[Segment] = []
    if not isinstance(listed, list) or not listed:
        faults.append("segments: at least one [[segments]] with start and rate is needed")
        listed = []
    for number, entry in enumerate(listed, 1):
        segment, wrong = _segment(f"segment {number}", entry)
        faults += wrong
        if segment is not None:
            segments.append(segment)
    if faults:
        raise BadProfile(sorted(faults) if len(faults) < 2 else faults)
    return name, segments


def _table(raw: bytes, *, as_json: bool) -> dict[str, Any]:
    try:
        table = wire.read_json(raw, _DEPTH) if as_json else tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadProfile([f"byte {error.start} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadProfile([f"not TOML: {error}"]) from None
    except ProtocolFault as fault:
        raise BadProfile([str(fault)]) from None
    if not isinstance(table, dict):
        raise BadProfile(["the file must be an object with name and segments"])
    return table


def _segment(where: str, entry: object) -> tuple[Segment | None, list[str]]:
    if not isinstance(entry, dict):
        return None, [f"{where} is not a table with start and rate"]
    faults = [
        f"{where}: {wire.shown(key)} is not a key (start, rate)" for key in entry.keys() - _SEGMENT
    ]
    read: dict[str, int] = {}
    for key, reader, example in (("start", parse_minute, "06:30"), ("rate", parse_rate, "0.850")):
        text = entry.get(key)
        if isinstance(text, str):
            try:
                read[key] = reader(text)
            except (BadAmount, ProtocolFault) as fault:
                faults.append(f"{where}: {key} = {fault}")
        elif key in entry:
            faults.append(
                f'{where}: {key} = {wire.shown(text)}: write it as a text, {key} = "{example}"'
            )
        else:
            faults.append(f"{where}: {key} is missing")
    if faults:
        return None, faults
    return Segment(start_min_of_day=read["start"], rate_uu_per_h=read["rate"]), []
