"""What the engine is told, and what it asks of the world: frozen messages, no calls.

The program around the engine turns sockets, threads and the disk into events, and carries out the
effects. The simulator does the same without any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.domain.limits import Reason
from appliance.ports import ClockReading, Entry, Row
from appliance.records import Record

# ------------------------------------------------------------------ answers to clients


@dataclass(frozen=True, slots=True)
class Done:
    """The request was carried out, or accepted durably."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """The request was refused, with every reason; nothing changed."""

    reasons: Sequence[Reason]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the request took effect is not known: ask again with the same id."""

    text: str


Answer = Done | Refused | Unknown

# ------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Event:
    """Root of what the engine is told."""


@dataclass(frozen=True, slots=True)
class ClockRead(Event):
    """Both clocks, at least once a second."""

    reading: ClockReading


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """A client's request, authorised and checked for its form. ``token`` is for the answer."""

    token: int
    connection: int
    uid: int
    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClientGone(Event):
    """A client's connection has ended."""

    connection: int


@dataclass(frozen=True, slots=True)
class Written(Event):
    """A batch of rows is durable."""

    batch: int
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class WriteTrouble(Event):
    """The disk failed at a batch: whether it is kept is unknown, and the ledger is looking it
    up.
    """

    batch: int
    text: str


@dataclass(frozen=True, slots=True)
class WriteRefused(Event):
    """A batch was refused, nothing of it is kept: its request id is in the ledger already."""

    batch: int
    text: str


@dataclass(frozen=True, slots=True)
class Found(Event):
    """The rows of a request that an older part of the ledger keeps; none where it keeps none."""

    token: int
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class NotFound(Event):
    """The ledger could not be read: whether there is such a request is unknown."""

    token: int
    text: str


@dataclass(frozen=True, slots=True)
class FromStepper(Event):
    """A record of the stepper's of ``run``."""

    run: int
    record: Record


@dataclass(frozen=True, slots=True)
class StepperLost(Event):
    """The stepper of ``run`` is gone: its last records came before this."""

    run: int
    text: str


@dataclass(frozen=True, slots=True)
class StopSent(Event):
    """A stop of everything went out, from whatever thread; ``count`` is how many in this run.

    ``why`` is said where a client's request, which follows, is the reason: what has ended and is
    closed before the request is read has ended for that.
    """

    run: int
    count: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class GuardUp(Event):
    """The guard's wire is open; its hello follows."""


@dataclass(frozen=True, slots=True)
class FromGuard(Event):
    """A record of the guard's."""

    record: Record


@dataclass(frozen=True, slots=True)
class HeadChecked(Event):
    """The head that the guard remembers, held against the ledger; ``text`` says what is wrong."""

    ok: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class GuardLost(Event):
    """The guard's wire is gone."""

    text: str


@dataclass(frozen=True, slots=True)
class Force(Event):
    """A force reading in millinewtons; None with ``text`` where there is no true one."""

    force_mn: int | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Feedback(Event):
    """What of buzzer and lamps draws current now: 1 buzzer, 2 high, 4 medium, 8 low."""

    flags: int


@dataclass(frozen=True, slots=True)
class Board(Event):
    """The computer: degrees Celsius (None: not known); 1 under-voltage, 2 throttled."""

    temperature_c: int | None
    flags: int


@dataclass(frozen=True, slots=True)
class BatteryGauge(Event):
    """What the battery's gauge says in percent; None with ``text`` where it says nothing true."""

    percent: int | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class PowerLine(Event):
    """Whether the supply is failing; None with ``text`` where the line cannot be read."""

    failing: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """What the program found when asked for its own part of the self-test."""

    results: Sequence[CheckResult]


@dataclass(frozen=True, slots=True)
class PinDone(Event):
    """What came of a task: "right", "wrong", "missing", "stored", "forgotten", or a fault."""

    token: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Terminate(Event):
    """End cleanly: a signal asks for it."""

    why: str


# ------------------------------------------------------------------ effects


@dataclass(frozen=True, slots=True)
class Effect:
    """Root of what the engine asks for."""


@dataclass(frozen=True, slots=True)
class Write(Effect):
    """Make the entries durable, in one transaction; ``Written`` or a failure answers."""

    batch: int
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Find(Effect):
    """Look a request up in the whole ledger; ``Found`` answers."""

    token: int
    request_id: str


@dataclass(frozen=True, slots=True)
class ToStepper(Effect):
    """Send a record to the stepper."""

    record: Record


@dataclass(frozen=True, slots=True)
class StopAll(Effect):
    """Send the stepper a stop of everything, counted; ``StopSent`` answers."""


@dataclass(frozen=True, slots=True)
class ToGuard(Effect):
    """Send a record to the guard."""

    record: Record


@dataclass(frozen=True, slots=True)
class SpawnStepper(Effect):
    """Start a stepper for ``run``, and end the one before it if it still lives."""

    run: int


@dataclass(frozen=True, slots=True)
class KillStepper(Effect):
    """Have the stepper end, with its leave of the guard if it still can: its run is over."""


@dataclass(frozen=True, slots=True)
class Check(Effect):
    """Run the program's own part of the self-test: disk, watchdog."""


@dataclass(frozen=True, slots=True)
class PinTask(Effect):
    """Have a PIN checked, stored or forgotten ("check", "store", "forget"); ``PinDone`` answers."""

    token: int
    verb: str
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply(Effect):
    """Answer a request."""

    token: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Publish(Effect):
    """A new snapshot for every client."""

    snapshot: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UseZone(Effect):
    """Read the wall clock in another time zone from now on."""

    zone: str


@dataclass(frozen=True, slots=True)
class Ready(Effect):
    """The first self-test has run, whatever its result."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Exit(Effect):
    """Everything is closed: the program may end."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the self-test."""

    name: str
    ok: bool
    text: str = ""


@dataclass(slots=True)
class Outbox:
    """Collects the effects of one turn, in order."""

    effects: list[Effect] = field(default_factory=list)

    def add(self, effect: Effect) -> None:
        """Add one effect."""
        self.effects.append(effect)

    def drain(self) -> list[Effect]:
        """Return what was collected and begin anew."""
        effects, self.effects = self.effects, []
        return effects
