"""A ledger of ten years, 486 rows a day, as the pump would have written it: made once, and kept.

With readings it also has those of a sensor, 288 a day: a million.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Iterator
from heapq import merge
from math import pi, sin
from pathlib import Path
from typing import Any
from uuid import UUID

from appliance.adapters.ledger import SqliteLedger
from appliance.domain.glucose import EVERY_NS
from appliance.domain.history import GENESIS, chained, row_text
from appliance.engine.book import Book
from appliance.keeper.rollup import Rollup
from appliance.ports import Entry, Row

DAYS = 3_652
BOLUSES_A_DAY = 6
SEGMENTS_A_DAY = 5
LEASES_A_DAY = 232
CHECKPOINT_ROWS = 1_000
LEASE_STEPS = 27

_NS_PER_DAY = 86_400 * 10**9
_UTC0_NS = 1_790_000_000 * 10**9
_BOOT = "00000000-0000-4000-8000-000000000001"
_VERSION = 1
"""Raised where what is made here changes, so that a kept file of an older kind is made anew."""


def ten_years(days: int = DAYS, *, readings: bool = False) -> Path:
    """Return the path of the kept ledger of ``days`` days; make it first where there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "benchpump"
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"ledger-{days}-days{'-readings' if readings else ''}-{_VERSION}.db"
    if not path.exists():
        fresh = path.with_suffix(".new")
        for old in cache.glob(f"{fresh.name}*"):
            old.unlink()
        _write(fresh, days, readings=readings)
        fresh.replace(path)
    return path


def summed(days: int = DAYS) -> Rollup:
    """Return the sums of a ledger with readings, followed to its end; kept beside it."""
    path = ten_years(days, readings=True)
    rollup = Rollup(path.with_name(f"sums-{path.name}"), path)
    rollup.follow_to_the_end()
    return rollup


def _write(path: Path, days: int, *, readings: bool) -> None:
    SqliteLedger(path).close()  # the schema
    Path(f"{path}.lock").unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (trigger,) = db.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'entries_in_order'"
        ).fetchone()
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        db.execute("DROP TRIGGER entries_in_order")  # it asks for the last row at each insert
        insert = "INSERT INTO entries (seq, text, digest) VALUES (?, ?, ?)"
        db.executemany(insert, _rows(days, readings=readings))
        db.execute(trigger)
        db.execute("COMMIT")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rows(days: int, *, readings: bool) -> Iterator[tuple[int, str, bytes]]:
    """Yield every row's number, text and digest. The book takes each in, as the pump's does."""
    book, digest, last_checkpoint = Book(), GENESIS, 0
    entries = _entries(days)
    if readings:
        entries = merge(entries, _readings(days), key=lambda one: one.mono_ns)
    for entry in entries:
        for one in (entry, None):
            if one is None:
                if book.seq - last_checkpoint < CHECKPOINT_ROWS:
                    break
                last_checkpoint = book.seq
                one = _entry(entry.mono_ns, "checkpoint", book.body())
            seq = book.seq + 1
            text = row_text(seq, one)
            digest = chained(digest, text)
            book.apply(Row(seq, one, digest))
            yield seq, text, digest


def _entry(mono_ns: int, kind: str, body: dict[str, Any]) -> Entry:
    return Entry(kind, _BOOT, mono_ns, _UTC0_NS + mono_ns, 0, "synchronised", body)


def _readings(days: int) -> Iterator[Entry]:
    """Yield a reading every five minutes: waves of a day and of three meals, and noise."""
    dice = random.Random(1)  # noqa: S311 - the same file every time
    for number in range(1, days * _NS_PER_DAY // EVERY_NS):
        turn = 2 * pi * (number * EVERY_NS % _NS_PER_DAY) / _NS_PER_DAY
        value = 130 + 20 * sin(turn) + 45 * sin(3 * turn) + dice.gauss(0, 18)
        mg_dl = round(min(400, max(40, value)))
        body = {"reading": "sensor", "source": "bench", "id": str(number), "mg_dl": mg_dl}
        yield _entry(number * EVERY_NS, "glucose", {**body, "age_s": 0, "by": "uid 1000"})


def _entries(days: int) -> Iterator[Entry]:
    yield _entry(0, "start", {"version": "0", "clean_before": True, "checks": []})
    yield _entry(0, "run", {"run": 1})
    yield _entry(0, "state", {"from": "stopped", "to": "running", "why": "resume"})
    ids = iter(range(1, 2**62))
    lease = 0
    doses = BOLUSES_A_DAY + SEGMENTS_A_DAY
    for day in range(days):
        for part in range(doses):
            at_ns = day * _NS_PER_DAY + part * _NS_PER_DAY // doses
            number = next(ids)
            bolus = part < BOLUSES_A_DAY
            request_id = str(UUID(int=number))
            share = LEASES_A_DAY // doses + (part < LEASES_A_DAY % doses)
            steps = share * LEASE_STEPS
            uu = steps * 5_890_141 // 3_200
            programmed = {"programmed_uu": uu, "programmed_steps": steps} if bolus else None
            yield _entry(
                at_ns,
                "intent",
                {
                    "request_id": request_id,
                    "dose": "bolus" if bolus else "basal",
                    **(programmed or {"programmed_uu": None, "programmed_steps": None}),
                    "rate_uu_per_h": 90_000_000 if bolus else 900_000,
                    "programme": number,
                    "run": 1,
                    "by": 1000,
                },
            )
            for at in range(share):
                lease += 1
                lease_ns = at_ns + at * (_NS_PER_DAY // doses // (share + 1))
                yield _entry(
                    lease_ns,
                    "lease",
                    {
                        "number": lease,
                        "run": 1,
                        "motion": 1,
                        "direction": 1,
                        "steps": LEASE_STEPS,
                    },
                )
                yield _entry(
                    lease_ns,
                    "count",
                    {
                        "lease": lease,
                        "run": 1,
                        "issued_steps": LEASE_STEPS,
                        "confirmed_steps": LEASE_STEPS,
                        "maximum_steps": LEASE_STEPS,
                        "certainty": "exact",
                        "confirmed_by": "count",
                        "programmes": {str(number): (at + 1) * LEASE_STEPS},
                    },
                )
            yield _entry(
                at_ns + _NS_PER_DAY // doses - 1,
                "closed",
                {
                    "request_id": request_id,
                    "outcome": "done",
                    "why": "done",
                    **(programmed or {"programmed_uu": None, "programmed_steps": None}),
                    "issued_steps": steps,
                    "confirmed_steps": steps,
                    "maximum_steps": steps,
                    "certainty": "exact",
                    "confirmed_by": "count",
                    "shift_ns": 0,
                },
            )
    yield _entry(days * _NS_PER_DAY, "end", {"why": "the benchmark's ledger is complete"})
