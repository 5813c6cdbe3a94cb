"""Basal profiles in files: TOML or JSON, and Nightscout's JSON; every fault named at once.

Amounts are read and written as their decimals, never through a float. A carb ratio is in grams a
unit, a sensitivity in mg/dL a unit, a target in mg/dL.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from appliance.client import wire
from appliance.client.messages import FullSegment, SegmentShown
from appliance.client.words import minute_words, parse_minute, parse_rate
from appliance.errors import BadAmount, BadProfile, ProtocolFault

MG_DL_PER_MMOL_L = Decimal("18.018")
"""What Nightscout takes for one mmol/L since version 14; results are rounded to whole mg/dL."""

_TOP = {"name", "segments"}
_DEPTH = 8
_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")
_RATIO = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
_WHOLE = re.compile(r"[0-9]{1,3}")


def parse_ratio(text: str) -> int:
    """Read a carb ratio in g/U such as "12.5", in mg/U. Raises BadAmount."""
    if not _RATIO.fullmatch(text):
        raise BadAmount(f'{wire.shown(text)} is not a carb ratio in g/U such as "12.5"')
    return int(Decimal(text) * 1_000)


def parse_mg_dl(text: str) -> int:
    """Read a whole number of mg/dL. Raises BadAmount."""
    if not _WHOLE.fullmatch(text):
        raise BadAmount(f'{wire.shown(text)} is not a whole number of mg/dL such as "110"')
    return int(text)


_READERS: Mapping[str, tuple[str, Callable[[str], int], str, bool]] = {
    "start": ("start_min_of_day", parse_minute, "06:30", True),
    "rate": ("rate_uu_per_h", parse_rate, "0.850", True),
    "carb_ratio": ("carb_ratio_mg_per_u", parse_ratio, "12.5", False),
    "sensitivity": ("sensitivity_mg_dl_per_u", parse_mg_dl, "50", False),
    "target": ("target_mg_dl", parse_mg_dl, "110", False),
}


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """What a file says: the profile, and notes on what was made of its numbers."""

    name: str
    segments: list[FullSegment]
    notes: tuple[str, ...] = ()


def read_file(raw: bytes, *, as_json: bool, name: str | None = None) -> ProfileFile:
    """Read a profile of Benchpump's own form, or of Nightscout's where the JSON has a ``store``.

    ``name`` chooses one of a store's profiles, else its ``defaultProfile``; of our own form it is
    the name to keep it under. Raises BadProfile, whose ``faults`` hold every fault of the file.
    """
    if as_json:
        table = _read_json(raw)
        if isinstance(table, list) and table:  # as its API answers: the newest record first
            table = table[0]
        if isinstance(table, dict) and "store" in table:
            return _nightscout(table, name)
    own_name, segments = read_profile(raw, as_json=as_json)
    return ProfileFile(name or own_name, segments)


def read_profile(raw: bytes, *, as_json: bool) -> tuple[str, list[FullSegment]]:
    """Read ``name = "Day"`` and ``[[segments]]`` with ``start = "06:30"``, ``rate = "0.850"``, and
    where they are wanted ``carb_ratio``, ``sensitivity`` and ``target``.

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
    segments: list[FullSegment] = []
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
        table = _read_json(raw) if as_json else tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadProfile([f"byte {error.start} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise BadProfile([f"not TOML: {error}"]) from None
    if not isinstance(table, dict):
        raise BadProfile(["the file must be an object with name and segments"])
    return table


def _read_json(raw: bytes) -> object:
    try:
        return wire.read_json(raw, _DEPTH, parse_float=_Number)
    except ProtocolFault as fault:
        raise BadProfile([str(fault)]) from None


class _Number(str):
    """A JSON number with a fraction, kept as its own decimals."""

    __slots__ = ()


def _segment(where: str, entry: object) -> tuple[FullSegment | None, list[str]]:
    if not isinstance(entry, dict):
        return None, [f"{where} is not a table with start and rate"]
    faults = [
        f"{where}: {wire.shown(key)} is not a key ({', '.join(_READERS)})"
        for key in entry.keys() - _READERS.keys()
    ]
    read: dict[str, int] = {}
    for key, (field, reader, example, needed) in _READERS.items():
        text = entry.get(key)
        if isinstance(text, str) and not isinstance(text, _Number):
            try:
                read[field] = reader(text)
            except (BadAmount, ProtocolFault) as fault:
                faults.append(f"{where}: {key} = {fault}")
        elif key in entry:
            faults.append(
                f'{where}: {key} = {wire.shown(text)}: write it as a text, {key} = "{example}"'
            )
        elif needed:
            faults.append(f"{where}: {key} is missing")
    return (None, faults) if faults else (FullSegment(**read), [])


# --- Nightscout -----------------------------------------------------------------------------------


def _nightscout(table: Mapping[str, Any], name: str | None) -> ProfileFile:
    store = table["store"]
    if not isinstance(store, dict) or not store:
        raise BadProfile(["store: an object of profiles by name is needed"])
    chosen = name if name is not None else table.get("defaultProfile")
    if not isinstance(chosen, str) or chosen not in store or not isinstance(store[chosen], dict):
        known = ", ".join(wire.shown(one) for one in store)
        raise BadProfile([f"no profile {wire.shown(chosen)} in this store; it has {known}"])
    return _Store(store[chosen], table.get("units")).read(chosen)


class _Store:
    """One profile of a Nightscout store; it collects faults and notes while it reads."""

    def __init__(self, profile: Mapping[str, Any], units: object) -> None:
        self._profile = profile
        self._mmol = str(profile.get("units", units)).lower().startswith("mmol")
        self._faults: list[str] = []
        self._notes: list[str] = []

    def read(self, name: str) -> ProfileFile:
        rates = self._series("basal", self._rate, needed=True)
        ratios = self._series("carbratio", self._ratio)
        sensitivities = self._series("sens", self._mg_dl)
        lows, highs = (self._series(key, self._mg_dl) for key in ("target_low", "target_high"))
        if self._faults:
            raise BadProfile(self._faults)
        if lows != highs and lows and highs:
            self._notes.append("target: the middle of target_low and target_high is taken")
        series = (rates, ratios, sensitivities, lows, highs)
        starts = sorted({start for one in series for start in one} | ({0} if rates else set()))
        segments = [
            FullSegment(
                start_min_of_day=start,
                rate_uu_per_h=_at(rates, start) or 0,
                carb_ratio_mg_per_u=_at(ratios, start),
                sensitivity_mg_dl_per_u=_at(sensitivities, start),
                target_mg_dl=_middle(_at(lows, start), _at(highs, start)),
            )
            for start in starts
        ]
        return ProfileFile(name, segments, tuple(dict.fromkeys(self._notes)))

    def _series(
        self, key: str, read: Callable[[str, Decimal], int | None], *, needed: bool = False
    ) -> dict[int, int]:
        """Return the numbers of one list by the minute of the day from which each holds."""
        listed, found = self._profile.get(key, []), dict[int, int]()
        if not isinstance(listed, list) or (needed and not listed):
            self._faults.append(f"{key}: a list of entries with time and value is needed")
            return {}
        for number, entry in enumerate(listed, 1):
            where = f"{key} {number}"
            time = entry.get("time") if isinstance(entry, dict) else None
            raw = str(entry.get("value")) if isinstance(entry, dict) else ""
            try:
                minute = parse_minute(time if isinstance(time, str) else "")
            except ProtocolFault:
                self._faults.append(f'{where}: time = {wire.shown(time)}: a text such as "06:30"')
                continue
            if not _DECIMAL.fullmatch(raw):
                self._faults.append(f"{where}: value = {wire.shown(raw)} is not a number")
                continue
            value = read(where, Decimal(raw))
            if value is not None:
                found[minute] = value
        if found and 0 not in found:
            self._faults.append(f"{key}: the first entry starts at 00:00")
        return found

    def _exact(self, where: str, amount: Decimal, unit: int, allowed: str) -> int | None:
        scaled = amount * unit
        if scaled != scaled.to_integral_value():
            self._faults.append(f"{where}: value = {amount}: {allowed}")
            return None
        return int(scaled)

    def _rate(self, where: str, amount: Decimal) -> int | None:
        thousandths = self._exact(where, amount, 1_000, "at most three decimals of U/h")
        return None if thousandths is None else thousandths * 1_000

    def _ratio(self, where: str, amount: Decimal) -> int | None:
        return self._exact(where, amount, 1_000, "at most three decimals of g/U")

    def _mg_dl(self, _where: str, amount: Decimal) -> int:
        exact = amount * MG_DL_PER_MMOL_L if self._mmol else amount
        rounded = exact.to_integral_value(ROUND_HALF_UP)
        if self._mmol:
            self._notes.append(f"mmol/L times {MG_DL_PER_MMOL_L}, rounded to whole mg/dL")
        elif rounded != exact:
            self._notes.append("sensitivities and targets are rounded to whole mg/dL")
        return int(rounded)


def _at(series: Mapping[int, int], minute: int) -> int | None:
    begun = [start for start in series if start <= minute]
    return series[max(begun)] if begun else None


def _middle(low: int | None, high: int | None) -> int | None:
    if low is None or high is None:
        return high if low is None else low
    return (low + high) // 2


# --- writing --------------------------------------------------------------------------------------

Shown = FullSegment | SegmentShown


def toml_of(name: str, segments: Sequence[Shown]) -> str:
    """Write a profile as ``read_profile`` reads it, exactly."""
    lines = [f"name = {json.dumps(name)}"]
    for one in segments:
        lines += ["", "[[segments]]"]
        lines += [f'{key} = "{text}"' for key, text in _texts(one)]
    return "\n".join(lines) + "\n"


def _texts(one: Shown) -> Iterable[tuple[str, str]]:
    yield "start", minute_words(one.start_min_of_day)
    yield "rate", _decimal(one.rate_uu_per_h // 1_000, 1_000)
    if one.carb_ratio_mg_per_u is not None:
        yield "carb_ratio", _decimal(one.carb_ratio_mg_per_u, 1_000)
    if one.sensitivity_mg_dl_per_u is not None:
        yield "sensitivity", str(one.sensitivity_mg_dl_per_u)
    if one.target_mg_dl is not None:
        yield "target", str(one.target_mg_dl)


def _decimal(thousandths: int, unit: int) -> str:
    return f"{thousandths // unit}.{thousandths % unit:03d}"


def nightscout_of(
    profiles: Mapping[str, Sequence[Shown]],
    active: str | None,
    *,
    zone: str = "UTC",
    duration_min: int | None = None,
) -> dict[str, Any]:
    """Return a Nightscout profile record with ``profiles`` in its store, numbers as texts."""
    store = {}
    for name, segments in profiles.items():
        target = _entries(segments, "target")
        store[name] = {
            "basal": _entries(segments, "rate"),
            "carbratio": _entries(segments, "carb_ratio"),
            "sens": _entries(segments, "sensitivity"),
            "target_low": target,
            "target_high": target,
            "units": "mg/dl",
            "timezone": zone,
        }
        if duration_min is not None:
            store[name]["dia"] = str(Decimal(duration_min) / 60)
    return {
        "defaultProfile": active or next(iter(profiles), ""),
        "store": store,
        "units": "mg/dl",
        "bench": True,
    }


def _entries(segments: Sequence[Shown], key: str) -> list[dict[str, str]]:
    """Return an entry for each change of one number; nothing where no segment has it."""
    entries: list[dict[str, str]] = []
    for one in segments:
        text = dict(_texts(one)).get(key)
        if text is not None and (not entries or entries[-1]["value"] != text):
            entries.append(
                {
                    "time": minute_words(one.start_min_of_day),
                    "timeAsSeconds": str(one.start_min_of_day * 60),
                    "value": text,
                }
            )
    return entries
