"""A visit to the guard: ask which row of the ledger a full check has passed, or name one."""

from __future__ import annotations

import select
from pathlib import Path

from appliance.adapters.wires import Wire, connect
from appliance.errors import ProtocolFault, WireLost
from appliance.records import Bye, CheckedRow, Hello, Role

_PATIENCE_S = 1.0
_PARTS = (0, 8, 16, 24)


def checked_row(seq: int, digest: bytes) -> CheckedRow:
    """Return the record that names row ``seq`` with its 32 bytes of ``digest``."""
    return CheckedRow(
        seq, *(int.from_bytes(digest[at : at + 8], "big", signed=True) for at in _PARTS)
    )


def digest_of(record: CheckedRow) -> bytes:
    """Return the 32 bytes that the four numbers of a record stand for."""
    parts = (record.hash_a, record.hash_b, record.hash_c, record.hash_d)
    return b"".join(part.to_bytes(8, "big", signed=True) for part in parts)


def ask_for_checked_row(path: Path) -> tuple[int, bytes] | None:
    """Return number and digest of the row that the guard remembers as checked; None where it has
    none. Waits a second at most. Raises WireLost where no guard answers.
    """
    wire = _visit(path)
    try:
        found = _answer(wire)
        wire.send(Bye())
    finally:
        wire.close()
    return (found.seq, digest_of(found)) if found.seq > 0 else None


def name_checked_row(path: Path, row: tuple[int, bytes] | None) -> None:
    """Have the guard remember a row that a full check has passed; None takes an earlier one back.

    Raises WireLost where no guard answers.
    """
    seq, digest = row or (0, bytes(32))
    wire = _visit(path)
    try:
        _answer(wire)
        wire.send_all([checked_row(seq, digest), Bye()])
    finally:
        wire.close()


def _visit(path: Path) -> Wire:
    wire = Wire(connect(path))
    try:
        wire.send(Hello(int(Role.VISITOR), 0, 0))
    except WireLost:
        wire.close()
        raise
    return wire


def _answer(wire: Wire) -> CheckedRow:
    """Return the last record of the guard's greeting."""
    while select.select([wire], [], [], _PATIENCE_S)[0]:
        try:
            records = wire.read()
        except ProtocolFault as fault:
            raise WireLost(str(fault)) from fault
        for record in records:
            if isinstance(record, CheckedRow):
                return record
    raise WireLost("the guard does not answer")
