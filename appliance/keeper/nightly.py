"""What is done each day: the full check of the ledger (SR-41), a backup of it, and what goes.

A start of `pumpd` checks the chain from the row that the full check has passed on. So what rots in
the rows before it is found here. The mark in the guard's file is then taken back, and `pumpd` is
told, which raises an alarm: the next start checks every row, and stays down on the one that is
wrong.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import date
from pathlib import Path

from appliance.adapters.guard_door import name_checked_row
from appliance.adapters.ledger import LedgerReader, connect_to_read
from appliance.errors import BrokenChain, LedgerFault

_log = logging.getLogger("pump-keeper")
_BACKUP = re.compile(r"ledger-([0-9]{4}-[0-9]{2}-[0-9]{2})\.db")
_ROOM = 1.2  # of the ledger's size: what a backup may take, and some
_MB = 1_000_000


def full_check(ledger: Path, guard: Path, report: Callable[[int, str], None]) -> str:
    """Check every row and every page, tell the guard at the socket ``guard`` how far, and return
    what was found.

    ``report`` is told of a row that is wrong, and may raise PumpError. Raises LedgerFault where
    the ledger cannot be read, BrokenChain where a row is wrong, and PumpError where nobody could
    be told.
    """
    broken: BrokenChain | None = None
    row: tuple[int, bytes] | None = None
    try:
        with closing(LedgerReader(ledger)) as reader:
            row = reader.check_chain()
        _check_pages(ledger)
    except BrokenChain as fault:
        broken, row = fault, None
    name_checked_row(guard, row)
    if broken is not None:
        text = f"the ledger is broken at row {broken.seq}: {broken}"
        _log.critical("%s: %s", ledger, text)
        report(broken.seq, text)
        raise broken
    return f"{row[0] if row else 0} rows, every one follows from the last"


def _check_pages(ledger: Path) -> None:
    """Have SQLite look at every page and index; the chain has seen every text before."""
    connection, _ = connect_to_read(ledger)
    with closing(connection):
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(5)")]
    if found != ["ok"]:
        raise BrokenChain(0, f"SQLite finds damage: {'; '.join(found)}")


def back_up(ledger: Path, folder: Path, day: str) -> str:
    """Write the backup of a date, read every row of it back, and only then give it its name.

    Raises OSError, sqlite3.Error or LedgerFault; a backup of that date that was there stays.
    """
    folder.mkdir(mode=0o750, exist_ok=True)
    disk, size = os.statvfs(folder), ledger.stat().st_size
    if disk.f_bavail * disk.f_frsize < size * _ROOM:
        free = disk.f_bavail * disk.f_frsize // _MB
        raise LedgerFault(f"{folder} has {free} MB free, and a backup takes {size // _MB} MB")
    fresh = folder / "ledger.new"
    fresh.unlink(missing_ok=True)
    try:
        connection, _ = connect_to_read(ledger)
        # Not VACUUM INTO: before 3.46 SQLite refuses it from a connection that may only read, for
        # a table with virtual columns and checks. A table without free pages has nothing to gain.
        with closing(connection), closing(sqlite3.connect(fresh)) as copied:
            connection.backup(copied)
            copied.execute("PRAGMA journal_mode = DELETE")  # one file, that any reader opens
        with closing(LedgerReader(fresh)) as copy, closing(LedgerReader(ledger)) as original:
            seq, digest = copy.check_chain()
            if seq and original.digest_of(seq) != digest:
                raise LedgerFault(f"{fresh} ends in another row {seq} than {ledger}")
        os.chmod(fresh, 0o440)
        _sync(fresh)
        fresh.replace(folder / f"ledger-{day}.db")
        _sync(folder)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
    written = (folder / f"ledger-{day}.db").stat().st_size
    return f"{seq} rows in {written / _MB:.1f} MB, read back whole"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_keep(dates: Collection[date], days: int, weeks: int, months: int) -> set[date]:
    """Return which backups stay: the newest ``days``, and the last of each of the newest
    ``weeks`` (by ISO) and ``months`` that have one.
    """
    newest = sorted(dates, reverse=True)
    kept = set(newest[:days])
    last_of_week: dict[tuple[int, int], date] = {}
    last_of_month: dict[tuple[int, int], date] = {}
    for one in newest:
        last_of_week.setdefault(one.isocalendar()[:2], one)
        last_of_month.setdefault((one.year, one.month), one)
    kept |= set(list(last_of_week.values())[:weeks])
    return kept | set(list(last_of_month.values())[:months])


def clear_out(folder: Path, days: int, weeks: int, months: int) -> str:
    """Remove the backups that need not stay; never the newest. Raises OSError.

    The ledger itself, and what people exported, are never touched.
    """
    found: dict[date, Path] = {}
    for path in folder.glob("ledger-*.db") if folder.is_dir() else ():
        match = _BACKUP.fullmatch(path.name)
        with contextlib.suppress(ValueError):
            if match:
                found[date.fromisoformat(match[1])] = path
    kept = to_keep(found, max(1, days), weeks, months)
    for one in set(found) - kept:
        found[one].unlink()
    return f"{len(kept)} backups kept, {len(found) - len(kept)} removed"
