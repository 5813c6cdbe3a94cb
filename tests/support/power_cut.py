"""A disk that remembers what it was told, in order, so that a power cut can be anywhere in it.

SQLite writes through it by way of apsw, and our own ledger writes through SQLite: the ledger's code
is the product's, only its connection is another. Every write is split into sectors. What was synced
is on the disk; of what was not, a cut keeps any part.
"""

import random
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

SECTOR = 512
_TORN = 0.02  # of the sectors that a cut catches half written


@dataclass(frozen=True, slots=True)
class Write:
    """A piece of one sector, in the file's cache and not yet on the disk."""

    name: str
    offset: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """A file cut to a size; the file system's own journal keeps these in order."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Create:
    """A new name in the folder."""

    name: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """A name taken out of the folder; ``durable`` where the folder was synced as well."""

    name: str
    durable: bool


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything before it on this file is on the disk now, if the disk is honest."""

    name: str


Operation = Write | Truncate | Create | Unlink | Sync


@dataclass
class Disk:
    """The files as programs see them, and everything that was done to get there."""

    files: dict[str, bytearray] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def do(self, operation: Operation) -> None:
        """Do it to what programs see, and remember it."""
        self.operations.append(operation)
        apply(self.files, operation)


def apply(files: dict[str, bytearray], operation: Operation) -> None:
    """Do one operation to a set of files. A write to a name that is gone is lost with it."""
    match operation:
        case Create(name):
            files.setdefault(name, bytearray())
        case Unlink(name):
            files.pop(name, None)
        case Truncate(name, size) if name in files:
            raw = files[name]
            del raw[size:]
            raw.extend(bytes(size - len(raw)))
        case Write(name, offset, raw) if name in files:
            kept = files[name]
            kept.extend(bytes(max(0, offset + len(raw) - len(kept))))
            kept[offset : offset + len(raw)] = raw


class Platter:
    """What is really on the disk while operations are gone through, one after the other."""

    def __init__(self, files: dict[str, bytes], *, honest: bool = True) -> None:
        self._durable = {name: bytearray(raw) for name, raw in files.items()}
        self._pending: list[Operation] = []
        self._honest = honest

    def take(self, operation: Operation) -> None:
        """Take the next operation; only a sync, if it is honest, puts anything on the disk."""
        match operation:
            case Sync(name):
                if self._honest:
                    self._settle(name)
            case Unlink(name, durable=True):
                self._pending.append(operation)
                if self._honest:
                    self._settle(name, folder_only=True)
            case _:
                self._pending.append(operation)

    def _settle(self, name: str, *, folder_only: bool = False) -> None:
        """Put on the disk what waits for ``name``: its folder entries, and with them its bytes."""
        left = []
        for one in self._pending:
            of_folder = isinstance(one, Create | Unlink)
            if one.name == name and (of_folder or not folder_only):
                apply(self._durable, one)
            else:
                left.append(one)
        self._pending = left

    def cut(self, rng: random.Random) -> dict[str, bytes]:
        """Return the files as the power finds them when it comes back.

        Of the folder's entries and truncations a first part is kept, in order; of the sectors any
        subset, some of them half.
        """
        files = {name: bytearray(raw) for name, raw in self._durable.items()}
        ordered = sum(not isinstance(one, Write) for one in self._pending)
        kept_entries = rng.randint(0, ordered)
        share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for one in self._pending:
            if isinstance(one, Write):
                if rng.random() < share:
                    apply(files, one)
                elif share and rng.random() < _TORN:
                    apply(
                        files, Write(one.name, one.offset, one.raw[: rng.randrange(len(one.raw))])
                    )
            elif kept_entries:
                kept_entries -= 1
                apply(files, one)
        return {name: bytes(raw) for name, raw in files.items()}


class _File:
    """One open file of SQLite's; it has no shared memory, so the log's index is in the heap."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name = disk, name

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's names
        return bytes(self._disk.files[self._name][offset : offset + amount])

    def xWrite(self, raw: bytes, offset: int) -> None:  # noqa: N802
        at = 0
        while at < len(raw):
            size = min(len(raw) - at, SECTOR - (offset + at) % SECTOR)
            self._disk.do(Write(self._name, offset + at, bytes(raw[at : at + size])))
            at += size

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.do(Truncate(self._name, size))

    def xSync(self, _flags: int) -> None:  # noqa: N802
        self._disk.do(Sync(self._name))

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._disk.files[self._name])

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0  # not even that a sector is written whole

    def xLock(self, _level: int) -> None:  # noqa: N802
        pass  # the ledger's own lock is real, and there is one connection

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, _operation: int, _pointer: int) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        pass


class PowerCutVfs(apsw.VFS):
    """SQLite's file system over a ``Disk``; names are those of the files, without their folder."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.disk, self.name = disk, name
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        short = Path(path).name
        if short not in self.disk.files:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(short)
            self.disk.do(Create(short))
        return _File(self.disk, short)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: FBT001, N802
        self.disk.do(Unlink(Path(name).name, durable=bool(sync_folder)))

    def xAccess(self, name: str, _flags: int) -> bool:  # noqa: N802
        return Path(name).name in self.disk.files

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class _Cursor:
    """The answer to one statement, as ``sqlite3`` would give it."""

    def __init__(
        self, rows: list[tuple[Any, ...]], names: Sequence[str], lastrowid: int, rowcount: int
    ) -> None:
        self._rows = deque(rows)
        self.lastrowid, self.rowcount = lastrowid, rowcount
        self.description = [(name,) for name in names] or None

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.popleft() if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows, self._rows = list(self._rows), deque()
        return rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


class Connection:
    """As much of ``sqlite3.Connection`` as the ledger and its migrations use, over apsw."""

    def __init__(self, vfs: PowerCutVfs, path: Path, way: str) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._db = apsw.Connection(f"file:{quote(str(path))}?{way}", flags=flags, vfs=vfs.name)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")  # there is no memory to share here
        self.isolation_level = None

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        cursor = self._db.cursor()
        names: list[str] = []

        def begins(cursor: apsw.Cursor, _sql: str, _parameters: object) -> bool:
            names[:] = [one[0] for one in cursor.get_description()]
            return True

        cursor.exec_trace = begins  # once it is over, a cursor without rows no longer knows
        try:
            rows = cursor.execute(sql, parameters).fetchall()
            return _Cursor(rows, names, self._db.last_insert_rowid(), self._db.changes())
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.in_transaction)

    def close(self) -> None:
        self._db.close()
