"""The ledger: what a commit costs, and what ten years of it cost at a start and on a page."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from appliance import pumpd
from appliance.adapters.ledger import SqliteLedger
from appliance.keeper.history import History
from appliance.ports import Entry
from benchmarks.report import Result, not_run, percentile, us
from benchmarks.ten_years import ten_years

_BODY = {
    "number": 1,
    "run": 1,
    "motion": 1,
    "direction": 1,
    "steps": 27,
}


def _entry(number: int) -> Entry:
    return Entry("lease", "boot", number, number, 0, "set", {**_BODY, "number": number})


def _timed(work: Callable[[], object]) -> int:
    begun_ns = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begun_ns


def commit(*, quick: bool) -> list[Result]:
    """One lease row made durable, against the same bytes through bare sqlite3 in WAL + FULL."""
    rounds, rows = (4, 50) if quick else (10, 200)
    ours_ns: list[int] = []
    bare_ns: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder) / "ledger.db")
        ledger.append([_entry(0)])
        (text,) = (
            sqlite3.connect(Path(folder) / "ledger.db")
            .execute("SELECT text FROM entries")
            .fetchone()
        )
        bare = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE rows (seq INTEGER PRIMARY KEY, text TEXT, digest BLOB)")
        insert, digest = "INSERT INTO rows (text, digest) VALUES (?, ?)", bytes(32)
        for _ in range(rounds):
            for number in range(rows):
                ours_ns.append(_timed(partial(ledger.append, [_entry(number)])))
            for _ in range(rows):
                bare_ns.append(_timed(lambda: bare.execute(insert, (text, digest))))
        ledger.close()
        bare.close()
    ours, floor = percentile(ours_ns, 0.5), percentile(bare_ns, 0.5)
    return [
        Result(
            "commit",
            f"commit of one lease row, p50 of {len(ours_ns):,}",
            us(ours),
            "",
            f"{us(floor)} (bare WAL + FULL)",
            f"{ours / floor:.2f}x limit",
            "<= 1.2x limit",
            ours <= 1.2 * floor,
            f"p99 {us(percentile(ours_ns, 0.99))} against {us(percentile(bare_ns, 0.99))}; ours"
            " also checks the row, hashes it and holds it against the chain",
        )
    ]


def syncs(*, quick: bool) -> list[Result]:
    """The syncs that the kernel sees for one row."""
    what, goal = "syncs of the kernel for one lease row", "exactly 1"
    strace = shutil.which("strace")
    if strace is None:
        note = "As root, once: apt-get install strace"
        return [not_run("syncs", what, goal, note)]
    rows = 20 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = [strace, "-f", "-qq", "-o", str(log), "-e", "trace=fsync,fdatasync,write"]
        child = [sys.executable, "-m", "benchmarks.storage", str(Path(folder) / "l.db"), str(rows)]
        done = subprocess.run([*words, *child], check=False, capture_output=True, text=True)
        if done.returncode:
            return [not_run("syncs", what, goal, f"strace may not trace here: {done.stderr[-80:]}")]
        _, _, between = log.read_text().partition("BEGIN-ROWS")
        between, _, _ = between.partition("END-ROWS")
        seen = len(re.findall(r"\b(?:fsync|fdatasync)\(", between))
    return [
        Result(
            "syncs",
            what,
            f"{seen / rows:g}",
            "4 (DELETE + FULL)",
            "1",
            "",
            goal,
            seen == rows,
            f"{seen} syncs for {rows} rows, by strace",
        )
    ]


def start(*, quick: bool) -> list[Result]:
    """Open ten years of rows and fold them into the book, as `pumpd` does before it can move."""
    del quick
    path = ten_years()
    with contextlib.closing(SqliteLedger(path)) as ledger:
        rows, _ = ledger.head()
        (mark,) = ledger._checked("seq = ?", rows - 1_000)  # noqa: SLF001 - one day before
    partly = [_timed(lambda: _start(path, (mark.seq, mark.digest))) for _ in range(5)]
    whole = _timed(lambda: _start(path, None))
    ours = percentile(partly, 0.5)
    return [
        Result(
            "start",
            f"start of a ledger of ten years ({rows:,} rows), from the row checked last",
            us(ours),
            f"{us(whole)} (every row)",
            "",
            f"1/{whole / ours:,.0f} of baseline",
            "< 2 s",
            ours < 2_000_000_000,
            "without a guard that knows a checked row the baseline is what a start takes",
        )
    ]


def _start(path: Path, known: tuple[int, bytes] | None) -> None:
    with contextlib.closing(SqliteLedger(path)) as ledger:
        pumpd.fold(ledger, lambda: known)


def page(*, quick: bool) -> list[Result]:
    """A day of history out of ten years, newest first, as `pump-keeper` serves it."""
    path = ten_years()
    history = History(path)
    times = 5 if quick else 40
    # A writer has the file, as `pumpd` would: else every page opens it anew.
    with contextlib.closing(SqliteLedger(path)), contextlib.closing(sqlite3.connect(path)) as db:
        (last_ns,) = db.execute("SELECT max(utc_ns) FROM entries WHERE kind = 'end'").fetchone()
        since_ns = last_ns - 86_400 * 10**9
        shown = "kind <> 'lease' AND kind <> 'count' AND kind <> 'closed' AND kind <> 'checkpoint'"
        indexed = (
            "SELECT seq, text FROM entries WHERE seq IN (SELECT seq FROM entries"  # noqa: S608
            f" INDEXED BY entries_shown_utc WHERE {shown} AND utc_ns >= ?) ORDER BY seq DESC"
        )
        scan = f"SELECT seq, text FROM entries NOT INDEXED WHERE {shown} AND utc_ns >= ?"  # noqa: S608
        ours_ns, raw_ns, scan_ns = [], [], []
        for turn in range(times):
            ours_ns.append(_timed(lambda: history.page(since_utc_ns=since_ns, limit=500)))
            raw_ns.append(_timed(lambda: db.execute(indexed, (since_ns,)).fetchall()))
            if turn < 2:
                scan_ns.append(_timed(lambda: db.execute(scan, (since_ns,)).fetchall()))
        rows = len(db.execute(indexed, (since_ns,)).fetchall())
        day = "SELECT text FROM entries WHERE seq > (SELECT max(seq) FROM entries) - 486"
        day_ns = percentile([_timed(lambda: db.execute(day).fetchall()) for _ in range(9)], 0.5)
    history.close()
    ours, raw, scanned = (percentile(one, 0.5) for one in (ours_ns, raw_ns, scan_ns))
    return [
        Result(
            "page",
            f"a day's page of history ({rows} doses and events) out of ten years, p50",
            us(ours),
            f"{us(scanned)} (scan)",
            f"{us(raw)} (bare indexed SQL)",
            f"{ours / raw:.1f}x limit, 1/{scanned / ours:,.0f} of baseline",
            "<= 1.5x limit, <= 1/60 of baseline",
            ours <= 1.5 * raw and ours * 60 <= scanned,
            "ours also finds each dose's end, reads both, makes sentences and bounds the answer's"
            f" size; the bare text of all 486 rows of the day: {us(day_ns)}",
        )
    ]


def summary(*, quick: bool) -> list[Result]:
    """Sums of 14 and 90 days."""
    del quick
    goal = ">= 500x faster than a scan, equal to the recount"
    note = "pump-keeper has no daily roll-up yet: there is nothing to measure"
    return [not_run("summary", "sums of 14 and 90 days", goal, note)]


def _append(path: Path, rows: int) -> None:
    ledger = SqliteLedger(path)
    print("BEGIN-ROWS", flush=True)
    for number in range(rows):
        ledger.append([_entry(number)])
    print("END-ROWS", flush=True)
    ledger.close()


if __name__ == "__main__":
    _append(Path(sys.argv[1]), int(sys.argv[2]))
