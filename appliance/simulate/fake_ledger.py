"""A ledger in memory, with the same chain as the real one and a disk that fails when told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from appliance.domain.history import GENESIS, chained, read_text, row_text
from appliance.errors import BrokenChain, LedgerFault, LedgerUnknown
from appliance.ports import Entry, Row


class Disk(StrEnum):
    """How the disk behaves. All but WELL make ``append`` raise LedgerUnknown."""

    WELL = "well"
    FULL = "full"
    """Nothing more is kept."""
    LIES = "lies"
    """The next append is kept, and says that it failed; then the disk is well again."""
    GONE = "gone"
    """Nothing is kept, and nothing can be read either."""


class FakeLedger:
    """``ports.Ledger`` and what ``SqliteLedger`` adds to it, over a list."""

    def __init__(self) -> None:
        self.disk = Disk.WELL
        self.appends = 0
        """How often something was made durable: the number of syncs of a real one."""
        self._rows: list[tuple[str, bytes]] = []
        self._requests: set[str] = set()
        self._unsettled = False
        self._base = 0

    def head(self) -> tuple[int, bytes]:
        return self._head(self._base)

    def append(self, entries: Sequence[Entry]) -> list[Row]:
        if self._unsettled:
            raise LedgerUnknown("what became of the last rows is not settled yet")
        rows = self._following(entries, self._base)
        ids = [str(e.body["request_id"]) for e in entries if e.kind == "intent"]
        if not rows:
            return []
        if self.disk in (Disk.FULL, Disk.GONE):
            self._unsettled = True
            raise LedgerUnknown(f"the disk is {self.disk}; are the rows kept?")
        if self._requests.intersection(ids) or len(set(ids)) < len(ids):
            raise ValueError(f"{', '.join(ids)}: this request has an intent already")
        self.appends += 1
        self._requests.update(ids)
        self._rows += [(text, row.digest) for row, text in rows]
        if self.disk is Disk.LIES:
            self.disk = Disk.WELL
            self._unsettled = True
            raise LedgerUnknown("the disk gave an error; are the rows kept?")
        self._base = len(self._rows)
        return [row for row, _ in rows]

    def settle(self, entries: Sequence[Entry]) -> list[Row] | None:
        if self.disk is Disk.GONE:
            raise LedgerFault("the disk is gone")
        before = self._base if self._unsettled else self._base - len(entries)
        self._unsettled = False
        if before < 0:
            return None
        rows = self._following(entries, before)
        if [(text, row.digest) for row, text in rows] != self._rows[before:]:
            return None
        self._base = len(self._rows)
        return [row for row, _ in rows]

    def rows(self, after_seq: int = 0) -> Sequence[Row]:
        return list(self.walk(after_seq))

    def walk(self, after_seq: int = 0) -> Iterator[Row]:
        _, digest = self._head(after_seq)
        for seq, (text, kept) in enumerate(self._rows[after_seq : self._base], after_seq + 1):
            digest = chained(digest, text)
            if digest != kept:
                raise BrokenChain(seq, f"row {seq} does not follow from row {seq - 1}")
            yield self._row(seq)

    def check_chain(self, from_seq: int = 0, digest: bytes = GENESIS) -> tuple[int, bytes]:
        if self._head(from_seq)[1] != digest:
            raise BrokenChain(from_seq, f"row {from_seq} is not the one that was seen there before")
        for row in self.walk(from_seq):
            from_seq, digest = row.seq, row.digest
        return from_seq, digest

    def rows_of(self, kind: str, after_seq: int = 0) -> list[Row]:
        return [row for row in self.walk(after_seq) if row.entry.kind == kind]

    def last_of(self, kind: str) -> Row | None:
        newest_first = (self._row(seq) for seq in range(self._base, 0, -1))
        return next((row for row in newest_first if row.entry.kind == kind), None)

    def find_request(self, request_id: str) -> list[Row]:
        return [row for row in self.walk() if row.entry.body.get("request_id") == request_id]

    def checkpoint(self) -> bool:
        return True

    def self_check(self, free_bytes: int = 0) -> list[str]:
        wrong = f"the disk is {self.disk}; {free_bytes} bytes are wanted"
        return [] if self.disk is Disk.WELL else [wrong]

    def close(self) -> None:
        """Nothing is held; the rows stay, for the engine that starts after a crash."""

    def _head(self, seq: int) -> tuple[int, bytes]:
        if seq > len(self._rows):
            raise BrokenChain(seq, f"row {seq} is not there")
        return seq, self._rows[seq - 1][1] if seq else GENESIS

    def _following(self, entries: Sequence[Entry], seq: int) -> list[tuple[Row, str]]:
        seq, digest = self._head(seq)
        rows = []
        for entry in entries:
            seq += 1
            text = row_text(seq, entry)
            digest = chained(digest, text)
            rows.append((Row(seq, entry, digest), text))
        return rows

    def _row(self, seq: int) -> Row:
        text, digest = self._rows[seq - 1]
        fields = read_text(text)
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
