"""The fixed-size records on the three motor wires, and nothing else.

`pumpd`, `pump-stepper` and `pump-guard` exchange these over SEQPACKET sockets: one datagram is one
record of ``RECORD_BYTES``. Totals are cumulative, so a record that did not fit into a full socket
is made good by the next one. Times are nanoseconds of the pump's clock; a run is one life of a
stepper.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, fields
from enum import IntEnum
from typing import ClassVar

from appliance.errors import ProtocolFault

_SLOTS = 10
_LAYOUT = struct.Struct(f"<q{_SLOTS}q")
RECORD_BYTES = _LAYOUT.size
NO_LIMIT = 2**62
"""A step count or an instant that is never reached."""


class Role(IntEnum):
    """Who speaks on a wire to the guard."""

    PUMPD = 1
    STEPPER = 2
    VISITOR = 3
    """Asks what the guard remembers, or names a checked row, and leaves: no part of delivery."""


class Motion(IntEnum):
    """What a lease or a programme is for."""

    DOSE = 1
    PRIME = 2
    REWIND = 3


class Direction(IntEnum):
    """Which way the plunger goes; reverse exists for a rewind alone (SR-33)."""

    FORWARD = 1
    REVERSE = -1


class End(IntEnum):
    """Why a programme ended. Everything above ``STOPPED`` is a fault."""

    DONE = 1
    STOPPED = 2
    LATE = 10
    OFTEN_LATE = 11
    STALLED = 12
    DISABLED = 13
    END_STOP = 14
    DRIVER_FAULT = 15
    PIN_FAULT = 16
    WIRE_LOST = 17


class Trip(IntEnum):
    """Why the guard dropped ENABLE for good."""

    NONE = 0
    SILENCE = 1
    ALIVE_LOST = 2
    PUMPD_LOST = 3
    STEPPER_LOST = 4
    EXTRA_EDGES = 5
    MISSING_EDGES = 6
    UNLEASED_EDGES = 7
    BUDGET = 8
    REVERSE = 9
    FEEDBACK = 10
    PIN_FAULT = 11
    RESTARTED = 12
    BAD_RECORD = 13


@dataclass(frozen=True, slots=True)
class Record:
    """Root of the records; ``KIND`` is its number on the wire."""

    KIND: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Hello(Record):
    """Open a wire. To the guard: who I am. Totals are those of ``run``; ``issued_steps`` counts
    from 0.
    """

    KIND: ClassVar[int] = 1
    role: int
    run: int
    issued_steps: int


@dataclass(frozen=True, slots=True)
class Bye(Record):
    """Close a wire on purpose: what follows is a clean end, not a loss."""

    KIND: ClassVar[int] = 2


# ------------------------------------------------------------------ pumpd to stepper


@dataclass(frozen=True, slots=True)
class Lease(Record):
    """Allow ``steps`` more of the motor. Durable before it is sent; to the guard first, then the
    stepper.

    ``stops`` is how many stops the sender knows of: a lease from before a stop is void.
    """

    KIND: ClassVar[int] = 10
    number: int
    motion: int
    direction: int
    steps: int
    stops: int


@dataclass(frozen=True, slots=True)
class Programme(Record):
    """Run ``steps`` at ``rate_uu_per_h`` from ``start_ns`` until ``until_ns``, whichever ends
    first.

    ``carry_high`` and ``carry_low`` hold what is owed already, ``high * 2**62 + low``, in uu * ns *
    ratio_steps per hour. With ``follows`` the programme of that number gives its own carry to this
    one at its end, so nothing is lost between two rates even when `pumpd` is late. ``stops`` as in
    a lease: a programme that crossed a stop on its way does not start.
    """

    KIND: ClassVar[int] = 11
    number: int
    motion: int
    rate_uu_per_h: int
    start_ns: int
    until_ns: int
    steps: int
    carry_high: int
    carry_low: int
    follows: int
    stops: int


@dataclass(frozen=True, slots=True)
class Carry(Record):
    """Give a running programme more to carry: what another one left over."""

    KIND: ClassVar[int] = 12
    number: int
    carry_high: int
    carry_low: int


@dataclass(frozen=True, slots=True)
class Stop(Record):
    """End programme ``number``; when it is 0, all of them, and every lease is void.

    The stepper counts the stops with 0: what was sent before one cannot start after it.
    """

    KIND: ClassVar[int] = 13
    number: int


@dataclass(frozen=True, slots=True)
class TestEdges(Record):
    """Make ``count`` edges with ENABLE off: the read-back loop's test. To guard first, then
    stepper.
    """

    KIND: ClassVar[int] = 14
    count: int


# ------------------------------------------------------------------ stepper to pumpd


@dataclass(frozen=True, slots=True)
class Progress(Record):
    """What the motor has done in this run, and what the loop sees; sent on change and ten times a
    second.
    """

    KIND: ClassVar[int] = 20
    run: int
    issued_steps: int
    lease_number: int
    enabled: int
    end_stop: int
    driver_fault: int
    test_edges: int
    turns: int
    stops: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ProgrammeTotal(Record):
    """What one programme has done; ``shift_ns`` is all the time by which it was put back.

    Number 0 stands for the test edges: ``worst_ns`` is how late the latest of them came.
    """

    KIND: ClassVar[int] = 21
    number: int
    issued_steps: int
    shift_ns: int
    slips: int
    worst_ns: int


@dataclass(frozen=True, slots=True)
class Ended(Record):
    """A programme is over: ``reason`` is an ``End``; its last step is out and its carry stands
    here.

    ``detail`` is the lateness in ns where the reason is lateness.
    """

    KIND: ClassVar[int] = 22
    number: int
    reason: int
    issued_steps: int
    shift_ns: int
    slips: int
    at_ns: int
    carry_high: int
    carry_low: int
    detail: int
    run_issued_steps: int


@dataclass(frozen=True, slots=True)
class Realtime(Record):
    """What the kernel granted: each field is 1 for yes; ``refusal_errno`` is 0 where nothing was
    refused.
    """

    KIND: ClassVar[int] = 23
    fifo: int
    memory_locked: int
    refusal_errno: int
    pid: int


# ------------------------------------------------------------------ stepper and guard


@dataclass(frozen=True, slots=True)
class Beat(Record):
    """Sent every 10 ms while armed and ten times a second at rest; without it ENABLE drops.

    ``wish`` rises with each change of ``want_enable``, so that an answer to an older wish is known
    as such.
    """

    KIND: ClassVar[int] = 30
    run: int
    lease_number: int
    issued_steps: int
    want_enable: int
    armed: int
    wish: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Enable(Record):
    """The guard's answer to ``wish``: ENABLE is on (1) or off (0). No step before it is on."""

    KIND: ClassVar[int] = 31
    on: int
    wish: int


# ------------------------------------------------------------------ pumpd to guard


@dataclass(frozen=True, slots=True)
class Alive(Record):
    """`pumpd` is up and its engine turns; every 100 ms."""

    KIND: ClassVar[int] = 40
    turns: int


@dataclass(frozen=True, slots=True)
class Head(Record):
    """The ledger's last durable row, for the guard's file: 32 hash bytes as four numbers."""

    KIND: ClassVar[int] = 41
    seq: int
    hash_a: int
    hash_b: int
    hash_c: int
    hash_d: int


@dataclass(frozen=True, slots=True)
class LeasesClosed(Record):
    """Every open lease ended when ``issued_steps`` of ``run`` were out: what was left of them is
    void.
    """

    KIND: ClassVar[int] = 42
    run: int
    issued_steps: int


@dataclass(frozen=True, slots=True)
class Signal(Record):
    """The highest active alarm: 0 none, 1 low, 2 medium, 3 high; ``sounding`` is 0 while paused.

    ``urgent`` is 1 where nobody has answered a high one for long: it sounds twice as often.
    """

    KIND: ClassVar[int] = 43
    priority: int
    sounding: int
    urgent: int = 0


@dataclass(frozen=True, slots=True)
class Rearm(Record):
    """Begin ``run``: totals start at 0. Where a trip is latched, only ``acknowledged`` = 1 clears
    it.
    """

    KIND: ClassVar[int] = 44
    run: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class SignalCheck(Record):
    """Show every lamp and sound the buzzer once, for a person to see and hear (SR-53)."""

    KIND: ClassVar[int] = 46


@dataclass(frozen=True, slots=True)
class CheckedRow(Record):
    """A row of the ledger up to which a full check has found every row sound, for the guard's file.

    ``seq`` 0 takes an earlier one back. The guard tells it to whoever says hello.
    """

    KIND: ClassVar[int] = 45
    seq: int
    hash_a: int
    hash_b: int
    hash_c: int
    hash_d: int


# ------------------------------------------------------------------ guard to pumpd


@dataclass(frozen=True, slots=True)
class GuardHello(Record):
    """What the guard remembers: of ``run``, and the last ledger head it was told.

    ``since_start`` is 1 where the guard saw the whole of that run, so that its count closes doses.
    ``lifetime_steps`` is the total of all runs, from the guard's own file; ``fresh`` is 1 where it
    found none. The head that it was told last follows as a ``Head``.
    """

    KIND: ClassVar[int] = 50
    run: int
    counted_steps: int
    doubtful_steps: int
    apart_edges: int
    since_start: int
    trip: int
    lifetime_steps: int
    issued_steps: int
    fresh: int
    pid: int


@dataclass(frozen=True, slots=True)
class LeaseTaken(Record):
    """The guard knows lease ``number``; only now may the stepper have it."""

    KIND: ClassVar[int] = 51
    number: int


@dataclass(frozen=True, slots=True)
class Counted(Record):
    """Edges read back in ``run``: with ENABLE on, after ENABLE went off, and with ENABLE off
    (apart).
    """

    KIND: ClassVar[int] = 52
    run: int
    counted_steps: int
    doubtful_steps: int
    apart_edges: int
    enabled: int
    button: int
    turns: int


@dataclass(frozen=True, slots=True)
class Tripped(Record):
    """ENABLE is off for good: ``trip`` says why, ``detail`` how many steps or ns, ``at_ns``
    when.
    """

    KIND: ClassVar[int] = 53
    trip: int
    detail: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Button(Record):
    """The stop button was pressed; ENABLE is off already."""

    KIND: ClassVar[int] = 54
    at_ns: int


def _leaves(root: type[Record]) -> list[type[Record]]:
    return root.__subclasses__()


_BY_KIND: dict[int, type[Record]] = {kind.KIND: kind for kind in _leaves(Record)}
_WIDTH: dict[int, int] = {kind.KIND: len(fields(kind)) for kind in _BY_KIND.values()}


def encode(record: Record) -> bytes:
    """Return the datagram of ``record``. Raises ProtocolFault for a number over 64 bits."""
    values = astuple(record)
    try:
        return _LAYOUT.pack(record.KIND, *values, *(0,) * (_SLOTS - len(values)))
    except struct.error as error:
        raise ProtocolFault(f"{record} cannot be sent: {error}") from error


def decode(data: bytes) -> Record:
    """Return the record of a datagram. Raises ProtocolFault for any other bytes."""
    if len(data) != RECORD_BYTES:
        raise ProtocolFault(f"a record has {RECORD_BYTES} bytes, not {len(data)}")
    kind, *values = _LAYOUT.unpack(data)
    if kind not in _BY_KIND:
        raise ProtocolFault(f"no record has the number {kind}")
    width = _WIDTH[kind]
    if any(values[width:]):
        raise ProtocolFault(f"record {kind} has {width} fields, and more than that is set")
    return _BY_KIND[kind](*values[:width])


def halves(carry: int) -> tuple[int, int]:
    """Split a carry into the two numbers of a record."""
    return carry >> 62, carry & (2**62 - 1)


def whole(high: int, low: int) -> int:
    """Put the two numbers of a record together again."""
    return (high << 62) | low
