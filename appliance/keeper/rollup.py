"""The keeper's own database: what the ledger's rows add up to by day, and what a graph draws.

It holds nothing that the ledger does not: it follows row by row, each once, in one transaction with
the number and the digest of the last row. A ledger that has another row there is another ledger,
and the file is made anew. So it may be deleted at any time, and a crash costs a batch at most.

Steps are placed on the local day of the row that counted them, by the kind of their dose; what a
dose turns out not to have given is taken off the days it was placed on, the newest first.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote

from appliance.adapters.ledger import LedgerReader
from appliance.domain.outcomes import Certainty, DoseKind, Outcome
from appliance.domain.statistics import BANDS_MG_DL, Tally
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.errors import BrokenChain, LedgerFault
from appliance.ports import Row

SCHEMA = 5
"""Raised where what is kept here changes: a file of an older one is made anew."""
BATCH_ROWS = 2_000
DAY_NS = MIN_PER_DAY * NS_PER_MIN

STEP_KINDS = ("basal", "bolus", "correction", "prime", "cannula")
"""What steps are told apart by. A correction is the part of boluses that was not for food."""

_DOSE, _REWIND = 1, 3  # the motions as the ledger keeps them
_NO_DOSE = frozenset({DoseKind.REWIND.value})
_EVENTS = frozenset(
    {"state", "set_change", "line", "temp", "protection", "clock", "sleep", "guard", "start", "end"}
)
_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT;
CREATE TABLE days (
    day INTEGER NOT NULL, ratio_uu INTEGER NOT NULL, ratio_steps INTEGER NOT NULL,
    {steps},
    boluses INTEGER NOT NULL DEFAULT 0, uncertain INTEGER NOT NULL DEFAULT 0,
    alarms INTEGER NOT NULL DEFAULT 0, changes INTEGER NOT NULL DEFAULT 0,
    first_offset_s INTEGER NOT NULL, last_offset_s INTEGER NOT NULL,
    PRIMARY KEY (day, ratio_uu, ratio_steps)
) STRICT, WITHOUT ROWID;
CREATE TABLE glucose_days (
    day INTEGER PRIMARY KEY, slots INTEGER NOT NULL, readings INTEGER NOT NULL,
    sum_mg_dl INTEGER NOT NULL, squares INTEGER NOT NULL,
    low_risk REAL NOT NULL, high_risk REAL NOT NULL,
    {bands}
) STRICT;
CREATE TABLE readings (
    seq INTEGER PRIMARY KEY, utc_ns INTEGER NOT NULL, offset_s INTEGER NOT NULL,
    mg_dl INTEGER NOT NULL, finger INTEGER NOT NULL, source TEXT NOT NULL
) STRICT;
CREATE INDEX readings_utc ON readings (utc_ns, finger, mg_dl, offset_s);
CREATE INDEX readings_finger ON readings (utc_ns) WHERE finger = 1;
CREATE TABLE doses (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, utc_ns INTEGER NOT NULL,
    offset_s INTEGER NOT NULL, end_utc_ns INTEGER, end_seq INTEGER, rate_uu_per_h INTEGER,
    programmed_uu INTEGER, programmed_steps INTEGER, correction_uu INTEGER NOT NULL DEFAULT 0,
    carbs_g INTEGER NOT NULL DEFAULT 0, confirmed_steps INTEGER NOT NULL DEFAULT 0,
    maximum_steps INTEGER NOT NULL DEFAULT 0,
    ratio_uu INTEGER NOT NULL, ratio_steps INTEGER NOT NULL,
    certainty TEXT NOT NULL, outcome TEXT NOT NULL, why TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX doses_utc ON doses (utc_ns);
CREATE INDEX doses_end ON doses (end_seq) WHERE end_seq IS NOT NULL;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY, utc_ns INTEGER NOT NULL, offset_s INTEGER NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX events_utc ON events (utc_ns);
CREATE TABLE settings (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, utc_ns INTEGER NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE TABLE cartridges (
    seq INTEGER PRIMARY KEY, utc_ns INTEGER NOT NULL, filled_uu INTEGER NOT NULL
) STRICT;
""".format(
    steps=", ".join(
        f"{kind}_{bound} INTEGER NOT NULL DEFAULT 0"
        for kind in STEP_KINDS
        for bound in ("confirmed_steps", "maximum_steps")
    ),
    bands=", ".join(f"{band} INTEGER NOT NULL" for band in BANDS_MG_DL),
)
_TALLY = ("readings", "sum_mg_dl", "squares", "low_risk", "high_risk")
_GLUCOSE_DAY = ", ".join(("slots", *_TALLY, *BANDS_MG_DL))

_THERE = "SELECT 1 FROM readings WHERE utc_ns = ? AND finger = 0"

Fields = dict[str, Any]


@dataclass(slots=True)
class Open:
    """A dose that no row has closed: where its steps were placed so far, by day."""

    kind: str
    id: str
    correction_uu: int = 0
    programmed_uu: int = 0
    placed: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """What the fold has to know between two batches; kept with them."""

    ratio_uu: int = 1
    ratio_steps: int = 1
    open: dict[str, Open] = field(default_factory=dict)
    motions: dict[str, int] = field(default_factory=dict)
    leased_confirmed_steps: int = 0
    leased_maximum_steps: int = 0
    reverse_steps: int = 0

    @staticmethod
    def of(text: str) -> State:
        """Read one that ``text`` wrote."""
        raw = json.loads(text)
        raw["open"] = {key: Open(**one) for key, one in raw["open"].items()}
        return State(**raw)

    def text(self) -> str:
        """Write it as text."""
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Followed:
    """How far the database has followed: rows taken in, and rows that the ledger has."""

    seq: int
    head_seq: int

    @property
    def whole(self) -> bool:
        """Say whether nothing is missing."""
        return self.seq >= self.head_seq


def day_of(utc_ns: int, offset_s: int) -> int:
    """Return the local day of an instant, counted from 1970-01-01."""
    return (utc_ns + offset_s * NS_PER_S) // DAY_NS


class Summed(Protocol):
    """What is asked: a connection to the database, its last row, and what the fold knows."""

    @property
    def db(self) -> sqlite3.Connection: ...
    @property
    def seq(self) -> int: ...
    @property
    def state(self) -> State: ...


class Look:
    """A look at the database of a keeper that goes on writing it; a context manager.

    Everything asked in it is of one instant. Raises sqlite3.Error where there is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self.db = sqlite3.connect(f"file:{quote(str(self._path))}?mode=ro", uri=True)
        try:
            self.db.execute("BEGIN")
            kept = dict(self.db.execute("SELECT name, text FROM meta").fetchall())
        except BaseException:
            self.db.close()
            raise
        self.seq = int(kept.get("seq", 0))
        self.state = State.of(kept["state"]) if "state" in kept else State()
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()


class Rollup:
    """The database beside one ledger. One thread at a time."""

    def __init__(self, path: Path, ledger: Path) -> None:
        """Open it, or make it anew where it is none, older, or of another ledger.

        Raises LedgerFault where it can be neither.
        """
        self._path, self._ledger = path, ledger
        try:
            self._db = self._opened()
        except (sqlite3.Error, OSError) as error:
            raise LedgerFault(f"{path} cannot be opened: {error}") from error
        self.seq, self._digest, self._state = self._read_meta()
        self._days: dict[tuple[int, int, int], Fields] = {}
        self._touched: dict[int, Tally] = {}

    @property
    def db(self) -> sqlite3.Connection:
        """Return the connection, to be read."""
        return self._db

    @property
    def has_ledger(self) -> bool:
        """Say whether there is a ledger to follow."""
        return self._ledger.exists()

    @property
    def state(self) -> State:
        """Return what the fold knows: open doses, and the sums of the leases."""
        return self._state

    def last_day(self) -> int:
        """Return the last local day that anything happened on; 0 where nothing did."""
        (day,) = self._db.execute(
            "SELECT max(day) FROM (SELECT max(day) AS day FROM days UNION"
            " SELECT max(day) FROM glucose_days)"
        ).fetchone()
        return int(day or 0)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def follow(self, most_rows: int = BATCH_ROWS) -> Followed:
        """Take in at most ``most_rows`` rows that are new; return how far that leads.

        Raises LedgerFault where the ledger cannot be read, BrokenChain where a row does not follow.
        """
        with closing(LedgerReader(self._ledger)) as reader:
            head_seq, _ = reader.head()
            if self.seq and not self._is_of(reader, head_seq):
                self.start_anew()
            if self.seq >= head_seq:
                return Followed(self.seq, head_seq)
            self._take(reader, min(most_rows, head_seq - self.seq))
        return Followed(self.seq, head_seq)

    def follow_to_the_end(self, ending: Callable[[], bool] = lambda: False) -> Followed:
        """Take in every row that is new, unless ``ending`` says that there is no time."""
        while not (followed := self.follow()).whole and not ending():
            pass
        return followed

    # ------------------------------------------------------------------ the file

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            _set_up(db)
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == SCHEMA:
                db.execute("SELECT count(*) FROM meta").fetchone()
                return db
        except sqlite3.DatabaseError:
            version = -1  # damaged: it holds nothing that the ledger does not
        if version != 0:
            db.close()
            self._unlink()
            db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            _set_up(db)
        db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        return db

    def _unlink(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def start_anew(self) -> None:
        """Make the file anew: it is damaged, or of another ledger."""
        self._db.close()
        self._unlink()
        self._db = self._opened()
        self.seq, self._digest, self._state = self._read_meta()

    def _read_meta(self) -> tuple[int, bytes, State]:
        kept = dict(self._db.execute("SELECT name, text FROM meta").fetchall())
        if "seq" not in kept:
            return 0, b"", State()
        return int(kept["seq"]), bytes.fromhex(kept["digest"]), State.of(kept["state"])

    def _is_of(self, reader: LedgerReader, head_seq: int) -> bool:
        if head_seq < self.seq:
            return False
        try:
            return reader.digest_of(self.seq) == self._digest
        except BrokenChain:
            return False

    # ------------------------------------------------------------------ the fold

    def _take(self, reader: LedgerReader, most_rows: int) -> None:
        before = self._state.text()
        self._days.clear()
        self._touched.clear()
        last: Row | None = None
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for number, row in enumerate(reader.walk(self.seq), start=1):
                self._apply(row)
                last = row
                if number >= most_rows:
                    break
            self._write_days()
            if last is not None:
                meta = [("seq", str(last.seq)), ("digest", last.digest.hex())]
                meta.append(("state", self._state.text()))
                self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the first cause is the one to be told
                self._db.execute("ROLLBACK")
            self._state = State.of(before)
            raise
        if last is not None:
            self.seq, self._digest = last.seq, last.digest

    def _apply(self, row: Row) -> None:
        entry, body = row.entry, row.entry.body
        match entry.kind:
            case "start" if "mechanics" in body:
                mechanics = body["mechanics"]
                self._state.ratio_uu = mechanics["ratio_uu"]
                self._state.ratio_steps = mechanics["ratio_steps"]
            case "run":
                self._state.motions.clear()
            case "intent":
                self._intent(row)
            case "lease":
                self._state.motions[str(body["number"])] = body["motion"]
            case "count":
                self._count(row)
            case "closed":
                self._closed(row)
            case "glucose":
                self._glucose(row)
            case "alarm" if body["event"] == "raised":
                self._day(row)["alarms"] += 1
                self._event(row)
            case "setting" if body["name"] == "cartridge" and body["new"]:
                self._db.execute(
                    "INSERT INTO cartridges VALUES (?, ?, ?)",
                    (row.seq, entry.utc_ns, body["new"]["amount_uu"]),
                )
                self._day(row)["changes"] += 1
            case _:
                pass
        if entry.kind == "setting":
            self._setting(row)
        if entry.kind in _EVENTS:
            self._event(row)

    def _setting(self, row: Row) -> None:
        """Keep what is in force; what has no value any more is not."""
        entry, body = row.entry, row.entry.body
        self._db.execute("DELETE FROM settings WHERE name = ?", (body["name"],))
        if body["new"] is not None:
            self._db.execute(
                "INSERT INTO settings VALUES (?, ?, ?, ?)",
                (body["name"], row.seq, entry.utc_ns, json.dumps(body["new"])),
            )

    def _event(self, row: Row) -> None:
        entry = row.entry
        self._db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            (row.seq, entry.utc_ns, entry.offset_s, entry.kind, json.dumps(dict(entry.body))),
        )

    def _intent(self, row: Row) -> None:
        entry, body = row.entry, row.entry.body
        kind, state = body["dose"], self._state
        if kind in (DoseKind.BOLUS.value, DoseKind.EXTENDED.value) and not body.get("part_of"):
            self._day(row)["boluses"] += 1
        correction_uu = body.get("correction_uu") or 0
        state.open[str(body["programme"])] = Open(
            kind, body["request_id"], correction_uu, body.get("programmed_uu") or 0
        )
        self._db.execute(
            "INSERT INTO doses (seq, id, kind, utc_ns, offset_s, rate_uu_per_h, programmed_uu,"
            " programmed_steps, correction_uu, carbs_g, ratio_uu, ratio_steps, certainty,"
            " outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.seq,
                body["request_id"],
                kind,
                entry.utc_ns,
                entry.offset_s,
                body.get("rate_uu_per_h"),
                body.get("programmed_uu"),
                body.get("programmed_steps"),
                correction_uu,
                body.get("carbs_g") or 0,
                state.ratio_uu,
                state.ratio_steps,
                Certainty.OPEN.value,
                Outcome.OPEN.value,
            ),
        )

    def _count(self, row: Row) -> None:
        body, state = row.entry.body, self._state
        motion = state.motions.pop(str(body["lease"]), _DOSE)
        if motion == _REWIND:  # the syringe is out
            state.reverse_steps += body["maximum_steps"]
            return
        state.leased_confirmed_steps += body["confirmed_steps"]
        state.leased_maximum_steps += body["maximum_steps"]
        for programme, issued in body["programmes"].items():
            one = state.open.get(programme)
            if one is None or one.kind in _NO_DOSE:
                continue
            new = issued - sum(one.placed.values())
            if new > 0:
                self._place(row, one, new, new)

    def _place(self, row: Row, one: Open, confirmed: int, maximum: int) -> None:
        day = day_of(row.entry.utc_ns, row.entry.offset_s)
        sums = self._day(row)
        for name in _columns(one.kind):
            sums[f"{name}_confirmed_steps"] += confirmed
            sums[f"{name}_maximum_steps"] += maximum
        if confirmed:
            key = str(day)
            one.placed[key] = one.placed.get(key, 0) + confirmed

    def _closed(self, row: Row) -> None:
        entry, body, state = row.entry, row.entry.body, self._state
        programme = next(
            (key for key, one in state.open.items() if one.id == body["request_id"]), None
        )
        self._db.execute(
            "UPDATE doses SET end_utc_ns = ?, end_seq = ?, confirmed_steps = ?, maximum_steps = ?,"
            " certainty = ?, outcome = ?, why = ? WHERE id = ?",
            (
                entry.utc_ns,
                row.seq,
                body["confirmed_steps"],
                body["maximum_steps"],
                body["certainty"],
                body["outcome"],
                str(body.get("why") or ""),
                body["request_id"],
            ),
        )
        if body["certainty"] not in (Certainty.EXACT.value, Certainty.OPEN.value):
            self._day(row)["uncertain"] += 1
        if programme is None:
            return
        one = state.open.pop(programme)
        if one.kind in _NO_DOSE:
            return
        placed = sum(one.placed.values())
        low, high = body["confirmed_steps"] - placed, body["maximum_steps"] - placed
        if low > 0 or high > 0:
            self._place(row, one, max(0, low), max(0, high))
        self._take_off(row, one, -low, "confirmed_steps")
        self._take_off(row, one, -high, "maximum_steps")
        if one.correction_uu and one.programmed_uu:
            self._place_correction(row, one, body)

    def _take_off(self, row: Row, one: Open, steps: int, bound: str) -> None:
        """Take steps that were not given off the days on which they stand, the newest first."""
        for key in sorted(one.placed, key=int, reverse=True):
            if steps <= 0:
                return
            part = min(steps, one.placed[key])
            sums = self._day(row, int(key))
            for name in _columns(one.kind):
                sums[f"{name}_{bound}"] -= part
            steps -= part

    def _place_correction(self, row: Row, one: Open, body: Mapping[str, Any]) -> None:
        """Tell the part that was a correction apart, by its share of what was programmed."""
        sums = self._day(row)
        for bound in ("confirmed_steps", "maximum_steps"):
            share = body[bound] * min(one.correction_uu, one.programmed_uu) // one.programmed_uu
            sums[f"correction_{bound}"] += share

    def _glucose(self, row: Row) -> None:
        entry, body = row.entry, row.entry.body
        utc_ns = entry.utc_ns - body["age_s"] * NS_PER_S
        finger = int(body["reading"] == "finger")
        if not finger and self._db.execute(_THERE, (utc_ns,)).fetchone():
            return  # two sources, or one twice: of one instant the first reading counts
        self._db.execute(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?)",
            (row.seq, utc_ns, entry.offset_s, body["mg_dl"], finger, body["source"]),
        )
        if finger:
            return
        day = day_of(utc_ns, entry.offset_s)
        tally = self._touched.get(day)
        if tally is None:
            _, tally = glucose_days(self._db, day, day).get(day, (0, Tally()))
            self._touched[day] = tally
        tally.take(body["mg_dl"])
        self._day(row, day)

    # ------------------------------------------------------------------ the days

    def _day(self, row: Row, day: int | None = None) -> Fields:
        """Return the sums of a day under the mechanics in use; what changes in them is kept."""
        entry, state = row.entry, self._state
        day = day_of(entry.utc_ns, entry.offset_s) if day is None else day
        key = (day, state.ratio_uu, state.ratio_steps)
        sums = self._days.get(key)
        if sums is None:
            cursor = self._db.execute(
                "SELECT * FROM days WHERE day = ? AND ratio_uu = ? AND ratio_steps = ?", key
            )
            found = cursor.fetchone()
            names = [column[0] for column in cursor.description]
            if found is None:
                sums = dict.fromkeys(names, 0)
                sums |= {"day": day, "ratio_uu": state.ratio_uu, "ratio_steps": state.ratio_steps}
                sums["first_offset_s"] = entry.offset_s
            else:
                sums = dict(zip(names, found, strict=True))
            self._days[key] = sums
        sums["last_offset_s"] = entry.offset_s
        return sums

    def _write_days(self) -> None:
        for sums in self._days.values():
            marks = ", ".join("?" * len(sums))
            self._db.execute(
                f"INSERT OR REPLACE INTO days ({', '.join(sums)}) VALUES ({marks})",  # noqa: S608
                tuple(sums.values()),
            )
        for day, tally in self._touched.items():
            values = [day, self._slots(day), *(getattr(tally, name) for name in _TALLY)]
            values += tally.bands.values()
            self._db.execute(
                f"INSERT OR REPLACE INTO glucose_days (day, {_GLUCOSE_DAY})"  # noqa: S608
                f" VALUES ({', '.join('?' * len(values))})",
                values,
            )

    def _slots(self, day: int) -> int:
        """Count the five-minute slots of a local day that have a reading."""
        (slots,) = self._db.execute(
            "SELECT count(DISTINCT utc_ns / 300000000000) FROM readings WHERE finger = 0"
            " AND utc_ns >= ? AND utc_ns < ? AND (utc_ns + offset_s * 1000000000) / ? = ?",
            (day * DAY_NS - DAY_NS, (day + 2) * DAY_NS, DAY_NS, day),
        ).fetchone()
        return int(slots)


def glucose_days(
    db: sqlite3.Connection, from_day: int, until_day: int
) -> dict[int, tuple[int, Tally]]:
    """Return of each local day with readings, both ends included, how many of its five-minute slots
    have one, and what they add up to.
    """
    rows = db.execute(
        f"SELECT day, {_GLUCOSE_DAY} FROM glucose_days WHERE day BETWEEN ? AND ?",  # noqa: S608
        (from_day, until_day),
    )
    found: dict[int, tuple[int, Tally]] = {}
    for day, slots, *sums in rows:
        kept = dict(zip((*_TALLY, *BANDS_MG_DL), sums, strict=True))
        bands = {band: kept.pop(band) for band in BANDS_MG_DL}
        found[day] = slots, Tally(**kept, bands=bands)
    return found


def _set_up(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is followed again


def _columns(kind: str) -> Iterable[str]:
    """Return the columns that the steps of a kind of dose go into."""
    return ("bolus",) if kind == DoseKind.EXTENDED.value else (kind,)


def not_followed(followed: Followed) -> LedgerFault:
    """Return the fault of an answer that has to wait for rows."""
    share = 100 * followed.seq // max(1, followed.head_seq)
    return LedgerFault(f"the keeper has read {share} % of the ledger so far: ask again in a moment")
