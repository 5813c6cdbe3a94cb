"""What the programs ask of the world: the contracts that fakes and drivers are both tested against.

Implementations do not repeat these texts. Instants and durations are integer nanoseconds. Nothing
here is called from two threads unless its text says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class ClockQuality(StrEnum):
    """How far the wall clock may be believed. The values are what the ledger keeps."""

    SYNCHRONISED = "synchronised"
    SET = "set"
    NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """One look at both clocks: monotonic time, UTC, the local offset from it, and its quality.

    ``slept_ns``: for how long the computer has slept since it was switched on, in real time.
    """

    mono_ns: int
    utc_ns: int
    offset_s: int
    quality: ClockQuality
    slept_ns: int = 0


class Clock(Protocol):
    """The pump's two clocks. With ``--speed`` both run at that factor, in every program alike."""

    @property
    def speed(self) -> int:
        """The factor, 1 outside a demo. Real durations are multiplied by it once, at the start."""
        ...

    def monotonic_ns(self) -> int:
        """Return the instant for every duration, limit and deadline. Safe from any thread."""
        ...

    def read(self) -> ClockReading:
        """Return both clocks at one instant. Safe from any thread."""
        ...

    def real_timeout_s(self, wake_ns: int) -> float:
        """Return the real seconds from now until ``wake_ns``, never below 0: for ``select``."""
        ...


class StepActuator(Protocol):
    """STEP and DIR of the syringe axis. ENABLE is not here: it is the guard's. ``pump-stepper``
    only.
    """

    def set_direction(self, direction: int) -> None:
        """Point the motor forward (1) or back (-1), and hold the driver's set-up time. Raises
        PinFault.
        """
        ...

    def step(self, count: int = 1) -> int:
        """Issue ``count`` microsteps and return the number issued; more than one only in virtual
        time.

        Blocks until the last edge is out. Refuses an edge closer than the motor's minimum interval
        (SR-23), and any edge over the step budget given to ``allow`` (SR-16). Raises
        ActuatorFault, which carries how many had gone out, or PinFault.
        """
        ...

    def wait_ns(self) -> int:
        """Return the real ns until the motor can take the next edge; 0 where it can now."""
        ...

    def allow(self, steps: int) -> None:
        """Raise the step budget by ``steps``: called once for each lease, with its whole count."""
        ...

    def revoke(self) -> None:
        """Set the step budget to nothing: no edge until the next ``allow``."""
        ...


class InputLine(Protocol):
    """One digital input of the machine."""

    def is_active(self) -> bool:
        """Return whether the line says its name now ("at the end", "in fault", "pressed").

        Never blocks longer than one read of the pin. Raises PinFault.
        """
        ...


class EdgeCounter(Protocol):
    """STEP, read back on a pin of the guard's own."""

    def count(self) -> int:
        """Return the rising edges seen since the counter was built. Raises PinFault."""
        ...


class OutputLine(Protocol):
    """One digital output: ENABLE, ALIVE, a lamp or the buzzer."""

    def set(self, *, active: bool) -> None:
        """Make the line active or not, and read it back where the chip can. Raises PinFault."""
        ...


@dataclass(frozen=True, slots=True)
class ForceReading:
    """The push on the plunger in millinewtons."""

    force_mn: int


class ForceSensor(Protocol):
    """The force sensor behind the plunger. ``pumpd``'s sensor thread only."""

    def read(self) -> ForceReading:
        """Return the force now; blocks at most 50 ms. Raises SensorFault where there is no true
        value.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One row for the ledger, without what the ledger itself adds (sequence number and hash).

    ``body`` holds text, integers, booleans, None, and lists and maps of these; never a float.
    """

    kind: str
    boot_id: str
    mono_ns: int
    utc_ns: int
    offset_s: int
    clock: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the ledger keeps it; ``digest`` is the chain's hash of it and of all before it."""

    seq: int
    entry: Entry
    digest: bytes


class Ledger(Protocol):
    """The one file of truth, append only. One thread, one connection."""

    def head(self) -> tuple[int, bytes]:
        """Return sequence number and digest of the last row; (0, 32 zero bytes) when there is
        none.
        """
        ...

    def append(self, entries: Sequence[Entry]) -> list[Row]:
        """Add the entries in one transaction and return their rows, durable when this returns.

        Raises ValueError, with nothing added, where a request id of an intent is there already.
        Raises LedgerUnknown where the disk failed: call ``settle`` to learn what is true.
        """
        ...

    def settle(self, entries: Sequence[Entry]) -> list[Row] | None:
        """After LedgerUnknown: open the file anew and return the rows of ``entries`` if they are
        kept.

        Returns None where they are not: they may then be appended again. Raises LedgerFault while
        the file cannot be read.
        """
        ...

    def rows(self, after_seq: int = 0) -> Sequence[Row]:
        """Return the rows after ``after_seq`` in order, each checked against the chain. Raises
        BrokenChain.
        """
        ...
