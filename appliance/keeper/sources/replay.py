"""A file, replayed: CSV or Nightscout's JSON, at its own pace or faster.

Its first reading is of the instant at which the replay began, and the others follow as far apart as
they are in the file, divided by ``speed``. Where it began is kept, so a restart goes on.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.domain.units import NS_PER_MS, NS_PER_S
from appliance.errors import BadConfiguration
from appliance.keeper.sources import Found, Options, Place

_TIMES = ("time", "timestamp", "datestring", "date")
_VALUES = ("mg_dl", "glucose", "sgv", "value")


def read_readings(text: str, source: str) -> list[tuple[int, int]]:
    """Return (instant in ns, mg/dL) of a CSV or of Nightscout entries, in order of time.

    A CSV has a header with a column of times (ISO 8601, or milliseconds since 1970) and one of
    mg/dL. Raises BadConfiguration with the first line that cannot be read.
    """
    try:
        rows = _entries(text) if text.lstrip()[:1] in ("[", "{") else _table(text)
    except (ValueError, KeyError, TypeError) as error:
        raise BadConfiguration(source, [str(error)]) from error
    if not rows:
        raise BadConfiguration(source, ["has no reading of a sensor"])
    return sorted(rows)


def _table(text: str) -> list[tuple[int, int]]:
    reader = csv.DictReader(io.StringIO(text))
    names = {name.strip().lower(): name for name in reader.fieldnames or ()}
    time = next((names[one] for one in _TIMES if one in names), None)
    value = next((names[one] for one in _VALUES if one in names), None)
    if time is None or value is None:
        raise ValueError(f"line 1: needs a column {_TIMES[0]} and a column {_VALUES[0]}")
    rows = []
    for row in reader:
        try:
            rows.append((_instant(row[time]), _mg_dl(row[value])))
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {reader.line_num}: {error}") from None
    return rows


def _entries(text: str) -> list[tuple[int, int]]:
    listed = json.loads(text)
    if isinstance(listed, dict):
        listed = listed.get("entries", [listed])
    rows = []
    for number, one in enumerate(listed, start=1):
        if not isinstance(one, dict) or one.get("type", "sgv") != "sgv":
            continue
        try:
            at = one["date"] if "date" in one else one["dateString"]
            rows.append((_instant(at), _mg_dl(one["sgv"])))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"entry {number}: {error}") from None
    return rows


def _instant(raw: object) -> int:
    if isinstance(raw, (int, float)) or (isinstance(raw, str) and raw.strip().isdigit()):
        return int(raw) * NS_PER_MS
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no time")
    seen = datetime.fromisoformat(raw.strip())
    seen = seen.replace(tzinfo=UTC) if seen.tzinfo is None else seen
    return int(seen.timestamp() * 1_000) * NS_PER_MS


def _mg_dl(raw: object) -> int:
    value = round(float(raw))  # type: ignore[arg-type]
    if not 20 <= value <= 600:
        raise ValueError(f"glucose = {value} mg/dL is out of range: 20 to 600")
    return value


class Replay:
    """The source of the kind ``file``: options ``path``, ``speed`` (1 to 1000)."""

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        path, self._speed = Path(taken.text("path")), taken.whole("speed", 1, 1, 1_000)
        taken.end()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise BadConfiguration(str(path), [f"cannot be read: {error}"]) from error
        self._rows = read_readings(text, str(path))
        self._clock = place.clock
        self._mark = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._began_ns = self._beginning(place.state / f"source-{place.name}.json")
        self._next = 0

    def _beginning(self, kept: Path) -> int:
        try:
            raw = json.loads(kept.read_text(encoding="utf-8"))
            if (raw["mark"], raw["speed"]) == (self._mark, self._speed):
                return int(raw["began_utc_ns"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # there was none, or one of another file: this is where it begins
        began_ns = self._clock.read().utc_ns
        fresh = kept.with_suffix(".new")
        raw = {"mark": self._mark, "speed": self._speed, "began_utc_ns": began_ns}
        fresh.write_text(json.dumps(raw), encoding="utf-8")
        fresh.replace(kept)
        return began_ns

    def poll(self) -> Sequence[Found]:
        now_ns = self._clock.read().utc_ns
        found = []
        while self._next < len(self._rows) and self._at_ns(self._next) <= now_ns:
            id_ = f"{self._mark}-{self._began_ns // NS_PER_S}-{self._next}"
            found.append(Found(id_, self._rows[self._next][1], self._at_ns(self._next)))
            self._next += 1
        return found

    def pause_s(self) -> float:
        return 1.0 if self._next < len(self._rows) else 60.0

    def _at_ns(self, number: int) -> int:
        return self._began_ns + (self._rows[number][0] - self._rows[0][0]) // self._speed
