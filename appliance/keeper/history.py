"""What happened, newest first: pages of a ledger that somebody else writes, or nobody does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

from appliance.adapters.ledger import connect_to_read
from appliance.domain.units import NS_PER_S, format_dose, format_rate
from appliance.errors import LedgerFault

MOST_ROWS = 500
"""The most rows of one page."""

_PAGE_BYTES = 240_000  # of the 256 KiB that a reply may have; its frame needs some
_LEASE_BYTES = 300
_TEXT_CHARS = 400
_OPEN_LEASES = 2  # at most, at any time
_LOOK_ROWS = 100
_LAST = 2**63 - 1

# The words of the migration's indexes, so that SQLite uses them. A closed row is part of its dose.
_SHOWN = "kind <> 'lease' AND kind <> 'count' AND kind <> 'closed' AND kind <> 'checkpoint'"
_PAGE = """
    SELECT seq, text, (SELECT text FROM entries AS e WHERE e.request_id = entries.request_id
        AND CASE e.kind WHEN 'intent' THEN 0 ELSE seq END > 0 AND e.kind = 'closed')
    FROM entries WHERE seq IN (
        SELECT seq FROM entries INDEXED BY {index} WHERE {shown} AND seq < ? {wanted}
        ORDER BY seq DESC LIMIT ?
    ) ORDER BY seq DESC"""
_NO_SENSOR = "AND (kind <> 'glucose' OR json_extract(text, '$.body.reading') <> 'sensor')"
_BY_SEQ = {
    with_sensor: _PAGE.format(index="entries_shown", shown=_SHOWN, wanted=wanted)
    for with_sensor, wanted in ((True, ""), (False, _NO_SENSOR))
}
_BY_UTC = {
    with_sensor: _PAGE.format(
        index="entries_shown_utc", shown=_SHOWN, wanted=f"AND utc_ns >= ? {wanted}"
    )
    for with_sensor, wanted in ((True, ""), (False, _NO_SENSOR))
}
_BY_REQUEST = _PAGE.format(index="entries_request", shown=_SHOWN, wanted="AND request_id = ?")
_BETWEEN = "SELECT seq, text FROM entries WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?"
_LEASES_BEFORE = (
    "SELECT seq FROM entries WHERE seq < ? AND seq > ? AND kind = 'lease' ORDER BY seq DESC LIMIT ?"
)
_LEASED = (
    "SELECT coalesce(sum(json_extract(text, '$.body.steps')), 0) FROM entries"
    " WHERE seq > ? AND seq <= ? AND kind = 'lease'"
)

Fields = dict[str, Any]


class History:
    """Pages of one ledger, which may be at rest or on a read-only disk: it needs no ``pumpd``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # which the connection has open, if it lasts
        self._leased: dict[int, tuple[int, int]] = {}  # open basal: summed up to seq, steps

    def page(
        self,
        since_utc_ns: int | None = None,
        before_seq: int | None = None,
        limit: int = 100,
        *,
        steps: bool = False,
        request_id: str | None = None,
        glucose: bool = False,
    ) -> Fields:
        """Return ``rows``, newest first by sequence number, and ``next_before_seq``.

        Readings of a glucose sensor are left out unless ``glucose`` asks for them.

        ``next_before_seq`` asks for the next page, and is None where nothing older is left. A page
        has at most 240,000 bytes as JSON, so it may be shorter than ``limit``. With ``steps`` each
        dose lists the motor's leases while it ran, as many as fit into one page;
        ``leases_complete`` says whether those are all.

        Raises ValueError for a limit out of range, LedgerFault where the ledger cannot be read.
        """
        if not 1 <= limit <= MOST_ROWS:
            raise ValueError(f"limit = {limit} is out of range: it must be 1 to {MOST_ROWS}")
        before = _LAST if before_seq is None else before_seq
        if request_id is not None:
            sql, wanted = _BY_REQUEST, [before, request_id]
        elif since_utc_ns is not None:
            sql, wanted = _BY_UTC[glucose], [before, since_utc_ns]
        else:
            sql, wanted = _BY_SEQ[glucose], [before]
        try:
            db = self._connected()
            found = db.execute(sql, (*wanted, limit + 1))
            return self._paged(db, found, limit, steps=steps)
        except (sqlite3.Error, ValueError, KeyError) as error:
            self.close()
            raise LedgerFault(f"{self._path} cannot be read: {error}") from error
        finally:
            if self._file is None:
                self.close()

    def close(self) -> None:
        """Close the ledger; the next page opens it again."""
        db, self._db, self._file = self._db, None, None
        if db is not None:
            db.close()

    def _connected(self) -> sqlite3.Connection:
        try:
            status = self._path.stat()
        except OSError as error:
            raise LedgerFault(f"{self._path} cannot be read: {error.strerror}") from error
        if self._db is None or self._file != (status.st_dev, status.st_ino):
            self.close()
            self._leased.clear()
            self._db, lasts = connect_to_read(self._path)
            self._file = (status.st_dev, status.st_ino) if lasts else None
        return self._db

    def _paged(
        self, db: sqlite3.Connection, found: Iterable[Any], limit: int, *, steps: bool
    ) -> Fields:
        rows: list[Fields] = []
        room = _PAGE_BYTES
        for seq, text, end in found:
            ended = json.loads(end) if end else None
            row = self._row(db, seq, json.loads(text), ended)
            room -= len(json.dumps(row))
            if steps and "programmed_uu" in row:
                end_seq = ended["seq"] if ended else _LAST
                most = max(room, 0) // _LEASE_BYTES
                row["leases"], row["leases_complete"] = _leases(db, seq, end_seq, most)
                room -= len(row["leases"]) * _LEASE_BYTES
            # A dose whose leases do not fit here is the first of the next page, and has all of it.
            if rows and (len(rows) == limit or room < 0 or not row.get("leases_complete", True)):
                return {"rows": rows, "next_before_seq": rows[-1]["seq"]}
            rows.append(row)
        return {"rows": rows, "next_before_seq": None}

    def _row(self, db: sqlite3.Connection, seq: int, row: Fields, end: Fields | None) -> Fields:
        body = row["body"]
        shown = {
            "id": str(body.get("request_id") or seq),
            "kind": row["kind"],
            "seq": seq,
            "utc_ns": row["utc_ns"],
            "offset_s": row["offset_s"],
            "clock": row["clock"],
            "local": _local(row["utc_ns"], row["offset_s"]),
        }
        if row["kind"] != "intent":
            shown["text"] = _sentence(row["kind"], body)
            if row["kind"] == "glucose":
                shown |= {"mg_dl": body.get("mg_dl"), "reading": body.get("reading")}
            return shown
        shown["kind"] = body.get("dose")
        shown["rate_uu_per_h"] = body.get("rate_uu_per_h")
        shown["by"] = body.get("by")
        for name in _PARTS:
            if name in body:
                shown[name] = body[name]
        shown["ended_utc_ns"] = end and end["utc_ns"]
        outcome = end["body"] if end else self._so_far(db, seq, body)
        for name in _OUTCOME:
            shown[name] = outcome.get(name)
        shown["why"] = shown["why"] and _cut(shown["why"])
        return shown

    def _so_far(self, db: sqlite3.Connection, seq: int, body: Fields) -> Fields:
        """Return what is certain of a dose that runs; ``pumpd`` knows more."""
        programmed = body.get("programmed_steps")
        return {
            "programmed_uu": body.get("programmed_uu"),
            "programmed_steps": programmed,
            "confirmed_steps": 0,
            "maximum_steps": self._leased_since(db, seq) if programmed is None else programmed,
            "certainty": "open",
        }

    def _leased_since(self, db: sqlite3.Connection, seq: int) -> int:
        """Return the steps of the leases that were open at ``seq`` or came later; read once."""
        upto, steps = self._leased.get(seq, (0, 0))
        if upto == 0:
            upto, steps = seq, sum(lease["steps"] for lease in _open_at(db, seq).values())
        (last,) = db.execute("SELECT max(seq) FROM entries").fetchone()
        (more,) = db.execute(_LEASED, (upto, last)).fetchone()
        self._leased[seq] = (last, steps + more)
        return int(steps + more)


_PARTS = (
    *("whole_uu", "extended_uu", "duration_s", "part_of", "extended_id", "temp"),
    *("correction_uu", "carbs_g"),
)
_OUTCOME = (
    "programmed_uu",
    "programmed_steps",
    "issued_steps",
    "confirmed_steps",
    "maximum_steps",
    "certainty",
    "confirmed_by",
    "outcome",
    "why",
    "shift_ns",
)


def _open_at(db: sqlite3.Connection, seq: int) -> dict[int, Fields]:
    """Return the leases, by number, that were given before row ``seq`` and not counted by then."""
    seqs = db.execute(_LEASES_BEFORE, (seq, seq - _LOOK_ROWS, _OPEN_LEASES)).fetchall()
    leases: dict[int, Fields] = {}
    if seqs:
        for found, text in db.execute(_BETWEEN, (seqs[-1][0] - 1, seq, _LOOK_ROWS)):
            _follow(leases, found, json.loads(text))
    return {n: lease for n, lease in leases.items() if lease["certainty"] == "open"}


def _leases(db: sqlite3.Connection, seq: int, end_seq: int, most: int) -> tuple[list[Fields], bool]:
    """Return the motor's leases between two rows, what came of each, and whether that is all."""
    leases = _open_at(db, seq)
    at = seq
    for found, text in db.execute(_BETWEEN, (seq, end_seq, _LAST)):
        _follow(leases, found, json.loads(text))
        at = found
        if len(leases) > most:
            break
    complete = len(leases) <= most
    own = set(leases)
    waiting = any(lease["certainty"] == "open" for lease in leases.values())
    if complete and waiting and end_seq != _LAST:  # a lease may outlive the dose
        for found, text in db.execute(_BETWEEN, (at, _LAST, _LOOK_ROWS)):
            _follow(leases, found, json.loads(text))
    return [lease for number, lease in leases.items() if number in own][:most], complete


def _follow(leases: dict[int, Fields], seq: int, row: Fields) -> None:
    body = row["body"]
    if row["kind"] == "lease":
        leases[body["number"]] = {
            "number": body["number"],
            "seq": seq,
            "utc_ns": row["utc_ns"],
            "motion": body.get("motion"),
            "direction": body.get("direction"),
            "steps": body["steps"],
            "issued_steps": None,
            "confirmed_steps": 0,
            "maximum_steps": body["steps"],
            "certainty": "open",
            "confirmed_by": None,
        }
    elif row["kind"] == "count" and body["lease"] in leases:
        leases[body["lease"]] |= {
            name: body.get(name)
            for name in (
                "issued_steps",
                "confirmed_steps",
                "maximum_steps",
                "certainty",
                "confirmed_by",
            )
        }


def _local(utc_ns: int, offset_s: int) -> str:
    try:
        local = datetime.fromtimestamp(utc_ns // NS_PER_S, _zone(offset_s))
    except (OverflowError, ValueError):  # a clock may have said anything
        return "not a date"
    return local.isoformat(" ", "seconds")


@lru_cache(maxsize=64)
def _zone(offset_s: int) -> timezone:
    return timezone(timedelta(seconds=offset_s))


def _reasons(body: Mapping[str, Any]) -> str:
    texts = [
        r.get("text", "") if isinstance(r, dict) else str(r) for r in body.get("reasons") or []
    ]
    return f"{body.get('verb')}: " + "; ".join(texts)


def _failed(body: Mapping[str, Any]) -> list[str]:
    return [str(line) for line in body.get("lines") or [] if ": FAILED: " in str(line)]


def _line_words(body: Mapping[str, Any]) -> str:
    def about(uu: int | None) -> str:
        return "an unknown amount" if uu is None else f"about {format_dose(uu)}"

    match body.get("event"):
        case "blocked":
            held = about(body.get("held_uu"))
            return f"blocked: a push of {body.get('force_mn')} mN holds {held} back"
        case "released":
            gone = about(body.get("relieved_uu"))
            return f"released from {body.get('from_mn')} mN: {gone} left at once, and is no dose"
        case event:
            return f"{event}" + (f" (by {body['by']})" if "by" in body else "")


def _signals(body: Mapping[str, Any]) -> str:
    match body.get("event"):
        case "paused":
            return f"the sound was paused (by {body.get('by')})"
        case "checked":
            return f"light and sound checked: {body.get('missing') or 'nothing'} was missing"
        case event:
            who = "nobody looked" if body.get("how") == "assumed" else f"by {body.get('by')}"
            return f"light and sound {event} ({who})"


def _setting(body: Mapping[str, Any]) -> str:
    name, old, new, by = (body.get(key) for key in ("name", "old", "new", "by"))
    profile = str(name).removeprefix("basal.profile.")
    if profile == name and isinstance(new if new is not None else old, dict | list):
        return f"{name} changed (by {by})"
    if profile == name:
        return f"{name}: {old} to {new} (by {by})"
    if new is None:
        return f"basal profile {profile} deleted (by {by})"
    parts = [
        f"{minute // 60:02d}:{minute % 60:02d} {format_rate(int(one.get('rate_uu_per_h') or 0))}"
        for one in new
        for minute in [int(one.get("start_min_of_day") or 0)]
    ]
    return f"basal profile {profile} {'changed' if old else 'kept'} (by {by}): {', '.join(parts)}"


def _temp(body: Mapping[str, Any]) -> str:
    percent = body.get("temp") == "percent"
    value = int(body.get("value") or 0)
    what = f"temporary basal of {f'{value} %' if percent else format_rate(value)}"
    if body.get("event") == "ended":
        return f"{what} ended: {body.get('why')}"
    begun = "goes on" if body.get("event") == "goes_on" else "began"
    minutes = int(body.get("duration_s") or 0) // 60
    by = f" (by {body['by']})" if body.get("by") else ""
    notices = "".join(f"; {one}" for one in body.get("notices") or [])
    return f"{what} for {minutes} min {begun}{by}{notices}"


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "start": lambda b: (
        f"pumpd {b.get('version')} started"
        + ("" if b.get("clean_before") else "; it had not ended cleanly")
    ),
    "run": lambda b: f"run {b.get('run')} of the stepper began",
    "guard": lambda b: f"the guard tripped: {b.get('text')}",
    "self_test": lambda b: (
        "self-test " + ("passed" if b.get("passed") else "FAILED: " + "; ".join(_failed(b)))
    ),
    "end": lambda b: f"ended: {b.get('why')}",
    "state": lambda b: f"{b.get('from')} to {b.get('to')}: {b.get('why')}",
    "setting": _setting,
    "alarm": lambda b: f"{b.get('priority')} {b.get('code')} {b.get('event')}: {b.get('text')}",
    "signals": _signals,
    "line": _line_words,
    "set_change": lambda b: (
        f"cartridge and set: {b.get('event')}"
        + (f" at {b['site']}" if b.get("site") else "")
        + (f" (by {b['by']})" if "by" in b else "")
    ),
    "pin": lambda b: f"PIN {b.get('event')} (by {b.get('by')})",
    "clock": lambda b: f"the wall clock was set by {b.get('step_ns')} ns",
    "sleep": lambda b: str(b.get("text")),
    "slip": lambda b: (
        f"programme {b.get('programme')} came late {b.get('slips')} times, at worst by "
        f"{b.get('worst_ns')} ns; put back by {b.get('shift_ns')} ns in all"
    ),
    "refused": _reasons,
    "temp": _temp,
    "reminder": lambda b: f"a reminder fell due: {b.get('text')}",
    "glucose": lambda b: (
        f"{b.get('mg_dl')} mg/dL by {b.get('source')}"
        + (f", {int(b.get('age_s') or 0) // 60} min old" if int(b.get("age_s") or 0) >= 60 else "")
    ),
    "protection": lambda b: (
        f"protection ({b.get('rule')}): basal {b.get('event')}: {b.get('why')}"
        + (f" (by {b['by']})" if b.get("by") != "pump" else "")
    ),
    "schedule": lambda b: (
        f"the schedule asks for {format_rate(int(b.get('rate_uu_per_h') or 0))} from here on"
    ),
}


def _sentence(kind: str, body: Mapping[str, Any]) -> str:
    """Say a row that is no dose in one line; one of an unknown kind by its fields."""
    say = _SENTENCES.get(kind)
    return _cut(say(body) if say else ", ".join(f"{name} {item}" for name, item in body.items()))


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else text[: _TEXT_CHARS - 3] + "..."
