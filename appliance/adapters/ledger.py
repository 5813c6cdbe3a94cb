"""The ledger: one append-only SQLite file, each row tied to the one before by a hash.

WAL with ``synchronous=FULL``: of all modes tried under simulated power cuts the cheapest that lost
no acknowledged row. One connection writes, ever; everybody else opens with ``connect_to_read``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from appliance.domain.history import (
    APPLICATION_ID,
    GENESIS,
    chained,
    read_text,
    row_text,
)
from appliance.errors import AlreadyRunning, BrokenChain, LedgerFault, LedgerUnknown, NewerLedger
from appliance.ports import Entry, Row

SCHEMA = 1
"""The newest schema this code knows: the number of the last migration."""

CHECKPOINT_PAGES = 1_000
"""So many pages of 4 KiB in the write-ahead log have it copied back: it cannot grow for ever."""

_BUSY_S = 2.0
_BATCH = 1_000
_SCRATCH_BYTES = 4_096
_PAGE_BYTES = 4_096
_DAMAGE = (sqlite3.Error, UnicodeError)  # the second where a name in the schema is damaged
_COMMON = ("lease", "count")
_RARE = "kind <> 'lease' AND kind <> 'count'"
"""What is in the indexes: SQLite uses one only where the query repeats this."""
_ONE_STATEMENT = 3  # rows at most: two counts and a lease
_INSERT = "INSERT INTO entries (seq, text, digest) VALUES (?, ?, ?)"
_INSERTS = [_INSERT + ", (?, ?, ?)" * more for more in range(_ONE_STATEMENT)]
"""The statements for one row, for two and for three."""
# The text as bytes: where it is damaged it must not fail to decode.
_NEXT = "SELECT seq, CAST(text AS BLOB), digest FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"


def connect_to_read(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Open a ledger that somebody else may be writing; return the connection and whether it lasts.

    It does not where the file was found at rest: then it must be opened again for the next look,
    because a writer may have come. Works on a read-only disk too. Raises LedgerFault.
    """
    match [_is_there(Path(f"{path}{suffix}")) for suffix in ("-wal", "-shm")]:
        case [False, _]:  # closed cleanly; without this SQLite would want to make a -wal
            way = "mode=ro&immutable=1"
        case [True, False]:  # a copy, or a disk that cannot be written: nobody has it open
            way = "mode=ro&vfs=unix-none"
        case _:
            way = "mode=ro"
    connection = None
    try:
        connection = _connection(path, way)
        if "unix-none" in way:  # the log's index in our own memory
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except _DAMAGE as error:
        if connection is not None:
            connection.close()
        raise LedgerFault(f"{path} cannot be read: {_why(path, error)}") from error
    return connection, way == "mode=ro"


class LedgerReader:
    """Reads a ledger. Every row is checked against the chain before it is handed out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = connect_to_read(path)[0]

    def head(self) -> tuple[int, bytes]:
        """Return sequence number and digest of the last row; (0, GENESIS) when there is none."""
        return self._last()

    def rows(self, after_seq: int = 0) -> Sequence[Row]:
        """Return the rows after ``after_seq``; ``walk`` hands them out one by one instead."""
        return list(self.walk(after_seq))

    def walk(self, after_seq: int = 0) -> Iterator[Row]:
        """Yield the rows after ``after_seq`` in order, each checked against the chain.

        Reads in batches, so a long walk does not hold the write-ahead log back. Raises BrokenChain.
        """
        for seq, text, digest in self._chain(after_seq, self.digest_of(after_seq)):
            yield _row(seq, text, digest)

    def check_chain(self, from_seq: int = 0, digest: bytes = GENESIS) -> tuple[int, bytes]:
        """Check that row ``from_seq`` has ``digest`` and all rows after it follow; return the head.

        Given a head that was kept elsewhere, it finds a file that was cut, replaced or rolled
        back. Raises BrokenChain with the first row that is missing or wrong.
        """
        if self.digest_of(from_seq) != digest:
            raise BrokenChain(from_seq, f"row {from_seq} is not the one that was seen there before")
        head = (from_seq, digest)
        for seq, _, following in self._chain(from_seq, digest):
            head = (seq, following)
        return head

    def rows_of(self, kind: str, after_seq: int = 0) -> list[Row]:
        """Return the rows of one kind after ``after_seq``, in order.

        Leases and counts are in no index: for them everything after ``after_seq`` is read.
        """
        if kind in _COMMON:
            return self._checked("seq > ? AND kind = ? ORDER BY seq", after_seq, kind)
        return self._checked(f"seq > ? AND kind = ? AND {_RARE} ORDER BY seq", after_seq, kind)

    def last_of(self, kind: str) -> Row | None:
        """Return the last row of one kind, or None."""
        rare = "" if kind in _COMMON else f"AND {_RARE}"
        rows = self._checked(f"kind = ? {rare} ORDER BY seq DESC LIMIT 1", kind)
        return rows[0] if rows else None

    def find_request(self, request_id: str) -> list[Row]:
        """Return every row that names a request, in order: its intent, its end, its refusals."""
        return self._checked("request_id = ? ORDER BY seq", request_id)

    def close(self) -> None:
        """Close the file. Again is harmless."""
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            raise LedgerFault(f"{self._path} is not open")
        return self._db

    def _select(self, sql: str, *parameters: int | str) -> list[Any]:
        db = self._connected()
        try:
            return db.execute(sql, parameters).fetchall()
        except _DAMAGE as error:
            raise LedgerFault(f"{self._path} cannot be read: {error}") from error

    def _last(self) -> tuple[int, bytes]:
        last = "SELECT seq, digest FROM entries ORDER BY seq DESC LIMIT 1"
        for seq, digest in self._select(last):
            if seq < 1 or not isinstance(digest, bytes):
                raise BrokenChain(max(seq, 1), f"the last row says that it is {seq}: damaged")
            return seq, digest
        return 0, GENESIS

    def digest_of(self, seq: int) -> bytes:
        """Return the digest that row ``seq`` keeps. Raises BrokenChain where there is no such."""
        if seq == 0:
            return GENESIS
        for (digest,) in self._select("SELECT digest FROM entries WHERE seq = ?", seq):
            if isinstance(digest, bytes):
                return digest
        raise BrokenChain(seq, f"row {seq} is not there, or has lost its digest")

    def _chain(self, seq: int, digest: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        last, _ = self._last()
        if last < seq:
            raise BrokenChain(seq, f"row {seq} is there, and the last one says that it is {last}")
        while seq < last:
            try:
                batch = self._select(_NEXT, seq, _BATCH)
            except LedgerFault as fault:
                text = f"no row can be read from {seq + 1} on: {fault}"
                raise BrokenChain(seq + 1, text) from fault
            if not batch:
                raise BrokenChain(seq + 1, f"row {seq + 1} is not there, and {last} was the last")
            for found, text, kept in batch:
                digest = _follows(seq + 1, digest, found, text, kept)
                seq += 1
                yield seq, text, digest

    def _checked(self, where: str, *parameters: int | str) -> list[Row]:
        sql = (
            "SELECT seq, CAST(text AS BLOB), digest, "  # noqa: S608 - our own words alone come here
            "(SELECT digest FROM entries AS before WHERE before.seq = entries.seq - 1)"
            f" FROM entries WHERE {where}"
        )
        rows = []
        for seq, text, digest, before in self._select(sql, *parameters):
            _follows(seq, GENESIS if seq == 1 else before, seq, text, digest)
            rows.append(_row(seq, text, digest))
        return rows


class SqliteLedger(LedgerReader):
    """``ports.Ledger`` over one file, which this object alone may write. One thread at a time."""

    def __init__(self, path: Path, *, checkpoint_pages: int = CHECKPOINT_PAGES) -> None:
        """Open the ledger, or make a new one; no other writer gets it until ``close``.

        Raises AlreadyRunning where somebody else writes it, NewerLedger where the schema is newer
        (nothing is written; LedgerReader may read it), LedgerFault where it cannot be opened.
        """
        self._path = path.resolve()  # two links to one file would be two locks
        self._checkpoint_pages = checkpoint_pages
        self._db = None
        self._lock = _locked(Path(f"{self._path}.lock"))
        try:
            self._open(create=True)
            self._seq, self._digest = self._last()
        except BaseException:
            self._drop()
            os.close(self._lock)
            raise

    @property
    def path(self) -> Path:
        """Return where the file is."""
        return self._path

    def head(self) -> tuple[int, bytes]:
        return self._seq, self._digest

    def append(self, entries: Sequence[Entry]) -> list[Row]:
        if self._db is None:
            raise LedgerUnknown(f"{self._path}: what became of the last rows is not settled yet")
        rows = self._following(entries)
        if not rows:
            return []
        try:
            if len(rows) <= _ONE_STATEMENT:  # a transaction by itself, and a third quicker
                values = [one for row, text in rows for one in (row.seq, text, row.digest)]
                self._db.execute(_INSERTS[len(rows) - 1], values)
            else:
                self._db.execute("BEGIN IMMEDIATE")
                for row, text in rows:
                    self._db.execute(_INSERT, (row.seq, text, row.digest))
                self._db.execute("COMMIT")
            for row, _ in rows:
                if row.entry.kind == "intent":
                    self._read_back(row)
        except sqlite3.IntegrityError as error:
            self._refuse(error, entries)
        except (sqlite3.Error, OSError) as error:
            self._drop()
            raise LedgerUnknown(f"{self._path}: {_said(error)}; are the rows kept?") from error
        self._seq, self._digest = rows[-1][0].seq, rows[-1][0].digest
        return [row for row, _ in rows]

    def settle(self, entries: Sequence[Entry]) -> list[Row] | None:
        unsettled = self._db is None
        if unsettled:
            self._open(create=False)
        try:
            return self._settled(entries, self._seq if unsettled else self._seq - len(entries))
        except LedgerFault:
            if unsettled:
                self._drop()
            raise

    def checkpoint(self) -> bool:
        """Copy the write-ahead log into the file and empty it; return whether that was possible.

        It is not while somebody reads. For once a day, or when idle: it syncs twice. Raises
        LedgerUnknown: then ``settle([])``.
        """
        db = self._connected()
        try:
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            self._drop()
            text = f"{self._path}: {_said(error)}, while the log was emptied"
            raise LedgerUnknown(text) from error
        return not busy

    def self_check(self, free_bytes: int = 0) -> list[str]:
        """Return what is wrong with the disk, a sentence each: for the self-test (SR-57).

        Writes a scratch file beside the ledger, syncs it, reads it back from the disk, and wants
        ``free_bytes`` to be free.
        """
        reasons = []
        scratch = Path(f"{self._path}.check")
        pattern = os.urandom(_SCRATCH_BYTES)
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < free_bytes:
                reasons.append(
                    f"{self._path.parent} has {disk.f_bavail * disk.f_frsize} bytes free,"
                    f" and the ledger wants {free_bytes}: make room"
                )
            if _written_and_read(scratch, pattern) != pattern:
                reasons.append(f"{scratch} reads back what was not written: replace the disk")
        except OSError as error:
            reasons.append(f"{scratch} cannot be written and read back: {error.strerror}")
        return reasons

    def close(self) -> None:
        """Empty the write-ahead log into the file, close it, give up the lock. Again is harmless.

        Raises LedgerUnknown where the log could not be emptied; the rows stay in it.
        """
        try:
            if self._db is not None:
                self.checkpoint()
        finally:
            super().close()
            lock, self._lock = self._lock, -1
            if lock >= 0:
                os.close(lock)

    def _following(
        self, entries: Sequence[Entry], seq: int | None = None, digest: bytes | None = None
    ) -> list[tuple[Row, str]]:
        seq = self._seq if seq is None else seq
        digest = self._digest if digest is None else digest
        rows = []
        for entry in entries:
            seq += 1
            text = row_text(seq, entry)
            digest = chained(digest, text)
            rows.append((Row(seq, entry, digest), text))
        return rows

    def _read_back(self, row: Row) -> None:
        """Prove that an intent is found by its request id, before anything moves (SR-34)."""
        found = self._connected().execute(
            "SELECT digest FROM entries WHERE request_id = ? AND kind = 'intent'",
            (row.entry.body.get("request_id"),),
        )
        if found.fetchone() != (row.digest,):
            raise sqlite3.DatabaseError(f"row {row.seq} reads back as another one")

    def _refuse(self, error: sqlite3.IntegrityError, entries: Sequence[Entry]) -> None:
        """Raise what a broken constraint means; nothing of the transaction is kept."""
        db = self._connected()
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error as second:
            self._drop()
            raise LedgerUnknown(f"{self._path}: {_said(second)}") from second
        if error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE":
            ids = ", ".join(str(e.body["request_id"]) for e in entries if e.kind == "intent")
            raise ValueError(f"{ids}: this request has an intent already") from None
        self._drop()
        raise BrokenChain(self._seq + 1, f"{self._path}: {error}: somebody else wrote") from error

    def _drop(self) -> None:
        """Let go of a connection whose file is in doubt: it is never asked, nor synced, again."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # the first error is the one that counts
                db.close()

    def _settled(self, entries: Sequence[Entry], before: int) -> list[Row] | None:
        """Return the rows of ``entries`` if they follow row ``before`` in the file, else None."""
        if before < 0:
            return None
        start = self.digest_of(before)
        if before == self._seq and start != self._digest:
            raise BrokenChain(
                before, f"{self._path}: row {before} was kept, and is another one now"
            )
        rows = [row for row, _ in self._following(entries, before, start)]
        kept = [digest for *_, digest in self._chain(before, start)]
        if kept != [row.digest for row in rows]:
            if kept and before == self._seq:
                text = f"{self._path}: row {before + 1} was written by somebody else"
                raise BrokenChain(before + 1, text)
            return None
        if rows and before == self._seq:
            # After a failed sync the kernel may show bytes that are not on the disk, and say yes to
            # a second sync of them. Copied into the file and synced there, they are.
            if not self.checkpoint():
                raise LedgerFault(f"{self._path} is being read, so the rows cannot be secured yet")
            self._seq, self._digest = rows[-1].seq, rows[-1].digest
        return rows

    def _open(self, *, create: bool) -> None:
        path = self._path
        if self._lock < 0:
            raise LedgerFault(f"{path} was closed: another program may write it now")
        if create and _was_cut_short(path):
            version = 0
        elif _is_there(path):
            probe, _ = connect_to_read(path)
            with contextlib.closing(probe):
                try:
                    version = _version(path, probe)
                except _DAMAGE as error:
                    raise LedgerFault(f"{path} cannot be read: {error}") from error
        elif create:
            version = 0
        else:
            raise LedgerFault(f"{path} is not there any more")
        try:
            self._db = db = _connection(path, "mode=rwc" if create else "mode=rw")
            # A new file has a journal until it is in WAL. EXTRA syncs the folder when that is
            # removed: else it may be back after a power cut, and undo everything since.
            db.execute("PRAGMA synchronous = EXTRA")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {self._checkpoint_pages}")
            if version < SCHEMA:
                # Only now: the import costs 90 ms and 20 MB, and most starts have nothing to do.
                from appliance.adapters.migrations import bring_up

                bring_up(db, path)
            for pragma, wanted in (
                ("journal_mode", "wal"),
                ("synchronous", 2),
                ("wal_autocheckpoint", self._checkpoint_pages),
                ("user_version", SCHEMA),
            ):
                (got,) = db.execute(f"PRAGMA {pragma}").fetchone()
                if got != wanted:
                    raise LedgerFault(f"{path}: {pragma} is {got!r} and must be {wanted!r}")
        except LedgerFault:
            self._drop()
            raise
        except (*_DAMAGE, OSError) as error:
            self._drop()
            raise LedgerFault(f"{path} cannot be opened: {_why(path, error)}") from error


def _connection(path: Path, way: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{way}",
        uri=True,
        isolation_level=None,
        timeout=_BUSY_S,
        check_same_thread=False,  # a ledger may be handed from one thread to another
    )


def _was_cut_short(path: Path) -> bool:
    """Say whether the power went while this file was made: before its first page was whole.

    Opening it to write takes the page back. A journal beside more than that is none of ours.
    """
    beside = [_is_there(Path(f"{path}{suffix}")) for suffix in ("-journal", "-wal")]
    return beside == [True, False] and _is_there(path) and path.stat().st_size <= _PAGE_BYTES


def _is_there(path: Path) -> bool:
    """Say whether a file exists. Raises LedgerFault where the disk does not even tell that."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise LedgerFault(f"{path} cannot be looked up: {error.strerror}") from error
    return True


def _version(path: Path, db: sqlite3.Connection) -> int:
    """Return the schema of an existing file. Raises LedgerFault where it is no ledger of ours."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version > SCHEMA:
        raise NewerLedger(
            f"{path} has schema {version}, and this program knows {SCHEMA}: it is read, never"
            " written. Install the newer version again"
        )
    if tables - {"entries", "_sqlite_migrations"}:
        raise LedgerFault(f"{path} is a database of something else: {', '.join(sorted(tables))}")
    if (version, owner) != (0, 0) and (version < 1 or owner != APPLICATION_ID):
        raise LedgerFault(f"{path}: its header is damaged (schema {version}, mark {owner:#x})")
    if ("entries" in tables) != (version > 0):
        raise LedgerFault(f"{path} has schema {version} and the tables {sorted(tables)}: damaged")
    return int(version)


def _locked(path: Path) -> int:
    """Return the descriptor that holds the lock. Raises AlreadyRunning, which names the holder."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise LedgerFault(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "not known"
        os.close(descriptor)
        raise AlreadyRunning(f"{path} is held by another writer (process {holder})") from None
    with contextlib.suppress(OSError):  # a courtesy to whom the lock refuses; the disk may be full
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _written_and_read(path: Path, pattern: bytes) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, pattern)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
        return os.pread(descriptor, len(pattern) + 1, 0)
    finally:
        os.close(descriptor)
        path.unlink()


def _follows(seq: int, before: bytes, found: int, text: bytes, digest: bytes) -> bytes:
    """Return the digest of row ``seq``. Raises BrokenChain where the row found does not follow."""
    if found != seq:
        raise BrokenChain(seq, f"row {seq} is not there: {found} follows {seq - 1}")
    if not isinstance(before, bytes) or not isinstance(text, bytes):
        raise BrokenChain(seq, f"row {seq} or the one before has lost its text or its digest")
    computed = chained(before, text)
    if computed != digest:
        kept = digest.hex() if isinstance(digest, bytes) else repr(digest)
        raise BrokenChain(
            seq,
            f"row {seq} does not follow from row {seq - 1}: it keeps the digest {kept[:16]},"
            f" and its text gives {computed.hex()[:16]}",
        )
    return computed


def _row(seq: int, text: bytes, digest: bytes) -> Row:
    try:
        fields = read_text(text)
    except ValueError as error:
        raise BrokenChain(seq, f"row {seq}: {error}") from error
    entry = Entry(
        kind=fields["kind"],
        boot_id=fields["boot"],
        mono_ns=fields["mono_ns"],
        utc_ns=fields["utc_ns"],
        offset_s=fields["offset_s"],
        clock=fields["clock"],
        body=fields["body"],
    )
    return Row(seq, entry, digest)


def _said(error: Exception) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


def _why(path: Path, error: Exception | None) -> str:
    """Say why a file does not open; SQLite itself says only that it does not."""
    try:
        if not path.parent.is_dir():
            return f"the directory {path.parent} is not there"
        if not path.exists():
            return f"it is not there ({error})"
        if not path.is_file():
            return "it is not a file"
        if not os.access(path, os.R_OK):
            return "this user may not read it"
    except OSError as second:  # the disk does not even tell that
        return f"{error} ({second.strerror})"
    return str(error)
