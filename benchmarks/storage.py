"""The ledger: what a commit costs, and what ten years of it cost at a start, on a page, in a report
and in an export.
"""

from __future__ import annotations

import contextlib
import json
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
from appliance.keeper.queries import Queries
from appliance.keeper.report import Report
from appliance.keeper.rollup import Rollup, day_of
from appliance.ports import Entry
from benchmarks.report import Result, not_run, percentile, us
from benchmarks.ten_years import DAYS, summed, ten_years

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
    """Sums of 14 and 90 days out of ten years, against the same sums by a scan of the rows."""
    path, times = ten_years(), 20 if quick else 200
    results = []
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(SqliteLedger(path)) as ledger,
        contextlib.closing(Rollup(Path(folder) / "keeper.db", path)) as rollup,
    ):
        took_ns = _timed(rollup.follow_to_the_end)
        (last,) = ledger._checked("seq = ?", ledger.head()[0])  # noqa: SLF001 - the last row's day
        today = day_of(last.entry.utc_ns, 0) - 1
        queries = Queries(rollup)
        for days in (14, 90):
            ours_ns = []
            for _ in range(times):
                ours_ns.append(_timed(lambda d=days: _asked(rollup, queries, today, d)))  # type: ignore[misc]
            begun_ns = time.perf_counter_ns()
            recount = _recount(path, today - days + 1, today)
            scanned = time.perf_counter_ns() - begun_ns
            steps = rollup.db.execute(
                "SELECT sum(basal_confirmed_steps), sum(bolus_confirmed_steps) FROM days"
                " WHERE day BETWEEN ? AND ?",
                (today - days + 1, today),
            ).fetchone()
            ours, equal = percentile(ours_ns, 0.5), tuple(steps) == recount
            results.append(
                Result(
                    f"summary.{days}",
                    f"sums of {days} days out of ten years, p50",
                    us(ours),
                    f"{us(scanned)} (scan)",
                    "",
                    f"1/{scanned / ours:,.0f} of baseline",
                    ">= 500x faster than a scan, equal to the recount",
                    equal and ours * 500 <= scanned,
                    f"p99 {us(percentile(ours_ns, 0.99))}; the first look at the ledger took"
                    f" {took_ns / 1e9:.0f} s; the recount is {'equal' if equal else 'ANOTHER'}",
                )
            )
    return results


def _asked(rollup: Rollup, queries: Queries, today: int, days: int) -> None:
    """Do what `pump-keeper` does for one question: look for new rows, then sum up."""
    rollup.follow()
    queries.summary(today, days)


def _recount(path: Path, from_day: int, until_day: int) -> tuple[int, int]:
    """Sum basal and boluses up by a scan of every row, and nothing that the roll-up shares."""
    kinds: dict[str, str] = {}
    seen: dict[str, int] = {}
    sums = {"basal": 0, "bolus": 0}
    with contextlib.closing(sqlite3.connect(path)) as db:
        for (text,) in db.execute("SELECT text FROM entries ORDER BY seq"):
            row = json.loads(text)
            body = row["body"]
            if row["kind"] == "intent":
                kinds[str(body["programme"])] = body["dose"]
            elif row["kind"] == "count":
                day = (row["utc_ns"] + row["offset_s"] * 10**9) // (86_400 * 10**9)
                for programme, steps in body["programmes"].items():
                    if from_day <= day <= until_day:
                        sums[kinds[programme]] += steps - seen.get(programme, 0)
                    seen[programme] = steps
    return sums["basal"], sums["bolus"]


def graph(*, quick: bool) -> list[Result]:
    """A day's graph, and 90 days as a list, out of ten years, as a screen asks for them."""
    times = 30 if quick else 300
    with contextlib.closing(summed()) as rollup:
        today, now_ns, queries = _last(rollup), _last_ns(rollup), Queries(rollup)
        readings = _readings(rollup)
        sides = {
            "graph": ("a graph of 24 h", lambda: queries.graph(now_ns, 24)),
            "days": ("90 days as a list", lambda: queries.days(today, 90)),
        }
        results = []
        for name, (what, ask) in sides.items():

            def whole(ask: Callable[[], object] = ask) -> None:
                rollup.follow()
                json.dumps(ask())

            taken = [_timed(whole) for _ in range(times)]
            p99 = percentile(taken, 0.99)
            results.append(
                Result(
                    name,
                    f"{what} out of ten years and {readings:,} readings, with its JSON, p99",
                    us(p99),
                    "",
                    "",
                    "",
                    "< 50 ms",
                    p99 < 50_000_000,
                    f"p50 {us(percentile(taken, 0.5))}",
                )
            )
    return results


def _last(rollup: Rollup) -> int:
    """Return the last whole day."""
    return rollup.last_day() - 1


def _last_ns(rollup: Rollup) -> int:
    (last_ns,) = rollup.db.execute("SELECT max(utc_ns) FROM readings").fetchone()
    return int(last_ns)


def _readings(rollup: Rollup) -> int:
    (readings,) = rollup.db.execute("SELECT count(*) FROM readings").fetchone()
    return int(readings)


def report(*, quick: bool) -> list[Result]:
    """The PDF of 90 days out of ten years."""
    times = 1 if quick else 3
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(summed()) as rollup:
        today, readings = _last(rollup), _readings(rollup)
        path, pages = Path(folder) / "report.pdf", []

        def made() -> None:
            rollup.follow()
            pages.append(Report(rollup, "Benchpump").write(path, today, 90))

        took_ns = percentile([_timed(made) for _ in range(times)], 0.5)
        size_kib = path.stat().st_size // 1_024
    return [
        Result(
            "report",
            f"the PDF of 90 days out of ten years and {readings:,} readings",
            f"{took_ns / 1e9:.1f} s",
            "",
            "",
            "",
            "< 20 s",
            took_ns < 20_000_000_000,
            f"median of {times}; {pages[0]} pages, {size_kib:,} KiB",
        )
    ]


def export(*, quick: bool) -> list[Result]:
    """Everything there is as CSV, JSON, Nightscout's shapes and SQLite, and the memory for it.

    Each export is a program of its own; ten years may need no more than one.
    """
    found = {}
    for days in (365, 365 if quick else DAYS):
        summed(days).close()
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "benchmarks.export_memory", str(days), folder]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            found[days] = json.loads(done.stdout)
    one, ten = found[365], found[max(found)]
    grown_kib = ten["peak_kib"] - ten["before_kib"]
    more_kib = grown_kib - (one["peak_kib"] - one["before_kib"])
    return [
        Result(
            "export",
            f"the whole export of {max(found):,} days and {ten['readings']:,} readings, "
            f"{ten['bytes'] / 1e6:,.0f} MB: memory before, and at most",
            f"{ten['before_kib'] / 1_024:.1f} MiB, {ten['peak_kib'] / 1_024:.1f} MiB",
            f"{one['peak_kib'] / 1_024:.1f} MiB for a year",
            "",
            f"{more_kib / 1_024:+.1f} MiB for ten times the data",
            "constant: <= 4 MiB more for ten times the data",
            more_kib <= 4_096,
            f"{ten['seconds']:.0f} s, in a program that has nothing but the export and its data",
        )
    ]


def _append(path: Path, rows: int) -> None:
    ledger = SqliteLedger(path)
    print("BEGIN-ROWS", flush=True)
    for number in range(rows):
        ledger.append([_entry(number)])
    print("END-ROWS", flush=True)
    ledger.close()


if __name__ == "__main__":
    _append(Path(sys.argv[1]), int(sys.argv[2]))
