"""Reads a ledger without any of the code that wrote it, and says whether all of it is there.

What holds in a whole ledger: rows are numbered 1, 2, 3...; a row's digest is the SHA-256 of the
digest before it (32 zero bytes before row 1) and of its text; the text is a JSON object without
floats or doubled keys, and the columns say what it says; no request has two intents or two ends; a
count closes a lease, once, within it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

_MARKS, _SCHEMAS = (0x42504C47,), (1,)
_FIELDS = {
    "body": dict,
    "boot": str,
    "clock": str,
    "kind": str,
    "mono_ns": int,
    "offset_s": int,
    "seq": int,
    "utc_ns": int,
}
_ROWS = (
    "SELECT seq, CAST(text AS BLOB), digest, kind, utc_ns, request_id"
    " FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
)
_PLAIN = "SELECT seq, CAST(text AS BLOB), digest FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
_BATCH = 5_000  # a read that never ends would hold the writer's log back
_MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the reader saw. Steps are sums over all motion forward, ``reverse_`` ones over rewinds.

    ``rows`` and ``head`` (the digest, in hex) are of the rows that hold; ``first_bad_seq`` is the
    first that does not. ``maximum_steps`` counts each of the ``open_leases`` in full.
    """

    ok: bool
    rows: int
    head: str
    confirmed_steps: int
    maximum_steps: int
    reverse_confirmed_steps: int
    reverse_maximum_steps: int
    open_leases: int
    first_bad_seq: int | None
    reasons: tuple[str, ...]


def verify(path: Path, progress: Callable[[int], None] | None = None) -> Verdict:
    """Read the whole ledger at ``path``, which somebody else may be writing.

    ``progress`` is told the rows read, now and then. Raises OSError where the file cannot be
    opened; whatever else is wrong with it is in the verdict.
    """
    wal = Path(f"{path}-wal")
    at_rest = not wal.exists()
    verdict = _verify(path, progress)
    if not verdict.ok and at_rest and wal.exists():  # a writer came while it was read as immutable
        verdict = _verify(path, progress)
    return verdict


def _verify(path: Path, progress: Callable[[int], None] | None) -> Verdict:
    reader = _Reader()
    with path.open("rb") as file:
        header = file.read(16)
    if header != b"SQLite format 3\0":
        what = "does not begin as a SQLite database" if header else "is empty"
        reader.note(f"the file is no ledger: it {what}")
        return reader.verdict()
    if Path(f"{path}-shm").exists() and not Path(f"{path}-wal").exists():
        reader.note("its -wal file has been taken away, and the newest rows may be gone with it")
    try:
        with closing(_open(path)) as db:
            reader.read(db, progress)
    except (sqlite3.Error, UnicodeError) as error:  # the second from a damaged schema
        reader.note(f"no row can be read from {reader.rows + 1} on: {error}", reader.rows + 1)
    return reader.verdict()


def _open(path: Path) -> sqlite3.Connection:
    """Open the file so that nothing of it, nor beside it, is changed."""
    wal, shm = (Path(f"{path}{suffix}").exists() for suffix in ("-wal", "-shm"))
    # At rest it is immutable. A log without its index is a copy's, or on a disk that is read-only:
    # nobody has it open, and the index is made in memory. Else there is a writer, to read beside.
    way = "" if wal and shm else "&vfs=unix-none" if wal else "&immutable=1"
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{way}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    db.text_factory = bytes  # damaged text must not fail to decode
    if wal and not shm:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
    return db


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a whole number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("its text has a key twice")
    return table


_decode = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=_refuse_float, parse_constant=_refuse_float
).decode


class _Reader:
    def __init__(self) -> None:
        self.rows = 0
        self.reasons: list[str] = []
        self._digest = bytes(32)
        self._first_bad_seq: int | None = None
        self._intents: set[str] = set()
        self._ends: set[str] = set()
        self._last_lease = 0
        self._leased: dict[int, tuple[int, int]] = {}  # number of an open one: direction, steps
        self._confirmed = {1: 0, -1: 0}
        self._maximum = {1: 0, -1: 0}

    def note(self, reason: str, seq: int | None = None) -> None:
        """Note a reason not to trust the ledger; after twenty, only that there are more."""
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(reason)
        elif len(self.reasons) == _MOST_REASONS:
            self.reasons.append("and more")
        if seq is not None and self._first_bad_seq is None:
            self._first_bad_seq = seq

    def read(self, db: sqlite3.Connection, progress: Callable[[int], None] | None) -> None:
        """Walk the chain; a break in it ends the walk, since nothing after it can be trusted."""
        for pragma, known in (("application_id", _MARKS), ("user_version", _SCHEMAS)):
            (got,) = db.execute(f"PRAGMA {pragma}").fetchone()
            if got not in known:
                self.note(f"its {pragma} is {got}, and this reader knows {known}")
        seq = -1
        while seq < self.rows:
            seq = self.rows
            try:
                whole = all(self._take(*found) for found in db.execute(_ROWS, (seq, _BATCH)))
            except sqlite3.Error:
                # The columns of a row whose text is damaged cannot be computed, and its error comes
                # in place of the row before it: without them both can be read.
                plain = db.execute(_PLAIN, (self.rows, _BATCH))
                whole = all(self._take(*found) for found in plain)
                if whole:
                    raise
            if not whole:
                return
            if progress is not None:
                progress(self.rows)
        for (finding,) in db.execute(f"PRAGMA integrity_check({_MOST_REASONS})"):
            if finding != b"ok":
                self.note(f"SQLite: {finding.decode('utf-8', 'replace')}")

    def _take(self, found: object, text: object, digest: object, *columns: object) -> bool:
        """Take the next row; False where it does not follow. Its columns may be left out."""
        try:
            row = self._row(self.rows + 1, found, text, digest, *columns)
        except (ValueError, RecursionError) as error:
            self.note(f"row {self.rows + 1}: {error}", self.rows + 1)
            return False
        try:
            self._account(row["kind"], row["body"])
        except ValueError as error:
            self.note(f"row {self.rows} ({row['kind']}): {error}", self.rows)
        return True

    def verdict(self) -> Verdict:
        """Return what was seen so far."""
        maximum = dict(self._maximum)
        for direction, steps in self._leased.values():
            maximum[direction] += steps
        return Verdict(
            ok=not self.reasons,
            rows=self.rows,
            head=self._digest.hex(),
            confirmed_steps=self._confirmed[1],
            maximum_steps=maximum[1],
            reverse_confirmed_steps=self._confirmed[-1],
            reverse_maximum_steps=maximum[-1],
            open_leases=len(self._leased),
            first_bad_seq=self._first_bad_seq,
            reasons=tuple(self.reasons),
        )

    def _row(
        self, seq: int, found: object, text: object, digest: object, *columns: object
    ) -> dict[str, Any]:
        if found != seq:
            raise ValueError(f"it is not there; the next one is {found}")
        if not isinstance(text, bytes) or not isinstance(digest, bytes):
            raise ValueError("its text or its digest is not there")
        computed = hashlib.sha256(self._digest + text).digest()
        if computed != digest:
            raise ValueError(
                f"it does not follow from the row before: it keeps the digest {digest.hex()[:16]},"
                f" its text gives {computed.hex()[:16]}, and the text is {text[:200]!r}"
            )
        row = _decode(text.decode("ascii"))
        if not isinstance(row, dict) or {k: type(v) for k, v in row.items()} != _FIELDS:
            raise ValueError(f"its text has not the fields of a row: {text[:200]!r}")
        request_id = row["body"].get("request_id")
        told = (row["kind"].encode(), row["utc_ns"], request_id and str(request_id).encode())
        if row["seq"] != seq or (columns and columns != told):
            raise ValueError(f"its columns say {columns}, and its text {(row['seq'], *told)}")
        self.rows, self._digest = seq, digest
        return row

    def _account(self, kind: str, body: dict[str, Any]) -> None:
        match kind:
            case "intent" | "closed":
                request_id = body.get("request_id")
                if not isinstance(request_id, str):
                    raise ValueError("it names no request")
                if kind == "closed" and request_id not in self._intents:
                    raise ValueError(f"request {request_id} ends without an intent")
                seen = self._intents if kind == "intent" else self._ends
                if request_id in seen:
                    raise ValueError(f"request {request_id} has one already")
                seen.add(request_id)
            case "lease":
                number, steps, direction = (
                    _whole(body, k) for k in ("number", "steps", "direction")
                )
                if number <= self._last_lease:
                    raise ValueError(f"lease {number} comes after lease {self._last_lease}")
                if steps < 1 or direction not in (1, -1):
                    raise ValueError(f"lease {number} is of {steps} steps in direction {direction}")
                self._last_lease = number
                self._leased[number] = (direction, steps)
            case "count":
                self._count(body)

    def _count(self, body: dict[str, Any]) -> None:
        number = _whole(body, "lease")
        if number not in self._leased:
            raise ValueError(f"lease {number} is not open: never given, or counted already")
        confirmed, maximum = _whole(body, "confirmed_steps"), _whole(body, "maximum_steps")
        issued = 0 if body.get("issued_steps") is None else _whole(body, "issued_steps")
        direction, steps = self._leased.pop(number)
        self._confirmed[direction] += confirmed
        self._maximum[direction] += maximum
        possible = 0 <= issued <= steps and 0 <= confirmed <= min(steps, maximum)
        # More than was leased can have been counted; then it is not exact.
        if not possible or (maximum > steps and body.get("certainty") != "uncertain"):
            raise ValueError(
                f"of the {steps} steps of lease {number} it says issued {issued},"
                f" confirmed {confirmed}, maximum {maximum}"
            )


def _whole(body: dict[str, Any], key: str) -> int:
    number = body.get(key)
    if type(number) is not int:
        raise ValueError(f"{key} = {number!r} is not a whole number")
    return number
