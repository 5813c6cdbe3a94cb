"""What the parts of the engine share: the instant, the book, the outbox, and how a row gets
written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.domain.battery import Battery
from appliance.domain.limits import Limits
from appliance.domain.mechanics import Mechanics
from appliance.domain.occlusion import UNKNOWN, Line
from appliance.domain.units import NS_PER_H, NS_PER_MS
from appliance.engine.book import Book
from appliance.engine.messages import Effect, Outbox, Write
from appliance.ports import ClockReading, Entry, Row

Then = Callable[[Sequence[Row]], None]


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts of the machine that the engine needs, from the configuration."""

    name: str
    fluid: str
    mechanics: Mechanics
    lease_uu: int
    ceilings: Limits
    hold: str
    readback: bool
    realtime_required: bool
    force_kind: str
    force_required: bool
    force_threshold_mn: int
    stop_button: bool
    min_interval_ns: int
    capacity_uu: int
    bench: bool
    weaker: tuple[str, ...]
    speed: int
    boot_id: str
    version: str
    config_sha256: str
    pids: tuple[tuple[str, int], ...]
    signals: str = "person"
    line: Line = UNKNOWN
    battery: Battery | None = None
    power_line: bool = False
    guarded: frozenset[str] = frozenset()
    zone: str = "UTC"
    zones: frozenset[str] = frozenset({"UTC"})


@dataclass(frozen=True, slots=True)
class Times:
    """The engine's real durations in ns of the pump's clock."""

    settle_ns: int
    give_up_ns: int
    self_test_ns: int
    guard_silent_ns: int
    live_stop_ns: int
    token_ns: int
    publish_ns: int
    ahead_ns: int

    @staticmethod
    def at(speed: int) -> Times:
        """Return them at ``speed``."""
        ms = NS_PER_MS * speed
        return Times(
            settle_ns=300 * ms,
            give_up_ns=1_000 * ms,
            self_test_ns=8_000 * ms,
            guard_silent_ns=1_000 * ms,
            live_stop_ns=3_000 * ms,
            token_ns=30_000 * ms,
            publish_ns=1_000 * ms,
            ahead_ns=5_000 * ms,
        )


class Context:
    """One engine's shared things. Only the engine's thread touches it."""

    def __init__(self, machine: Machine, book: Book, reading: ClockReading) -> None:
        self.machine = machine
        self.times = Times.at(machine.speed)
        self.book = book
        self.reading = reading
        self.now_ns = reading.mono_ns
        self.start_ns = reading.mono_ns
        self.force_mn: int | None = None
        self.uncounted_steps: Callable[[], int] = lambda: self.book.open_lease_steps
        self.out = Outbox()
        self.changed = True
        self.trouble = ""
        self.head = b""
        self._batch = 0
        self._outstanding = 0
        self._next_programme = 0
        self._waiting: dict[int, Then] = {}
        self._limits_read: Mapping[str, Any] | None = None
        self._limits: Limits | None = None

    def add(self, effect: Effect) -> None:
        """Ask for one effect."""
        self.out.add(effect)

    @property
    def utc_ns(self) -> int:
        """Return UTC now, from the last look at both clocks."""
        return self.reading.utc_ns + self.now_ns - self.reading.mono_ns

    def entry(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Return a row for now."""
        return Entry(
            kind,
            self.machine.boot_id,
            self.now_ns,
            self.utc_ns,
            self.reading.offset_s,
            self.reading.quality.value,
            body,
        )

    def write(self, entries: Sequence[Entry], then: Then | None = None) -> int:
        """Have the entries written in one transaction; ``then`` runs when they are durable."""
        self._batch += 1
        self._outstanding += 1
        if then is not None:
            self._waiting[self._batch] = then
        self.add(Write(self._batch, tuple(entries)))
        return self._batch

    def written(self, batch: int, rows: Sequence[Row]) -> None:
        """Take durable rows into the book, then go on with what waited for them."""
        self._outstanding -= 1
        for row in rows:
            self.book.apply(row)
            self.head = row.digest
        self.changed = True
        then = self._waiting.pop(batch, None)
        if then is not None:
            then(rows)

    def forget(self, batch: int) -> Then | None:
        """Drop what waited for a batch that was refused, and return it."""
        self._outstanding -= 1
        return self._waiting.pop(batch, None)

    @property
    def writes_outstanding(self) -> int:
        """Return how many batches are not durable yet."""
        return self._outstanding

    def new_programme(self) -> int:
        """Return a programme number that was never used."""
        self._next_programme = max(self._next_programme + 1, self.book.next_programme)
        return self._next_programme

    @property
    def motor_pace_uu_per_h(self) -> int:
        """Return the rate at which the motor's minimum interval lets it run at most."""
        mechanics = self.machine.mechanics
        interval_ns = self.machine.min_interval_ns * self.machine.speed
        return NS_PER_H * mechanics.ratio_uu // (interval_ns * mechanics.ratio_steps)

    @property
    def reservoir_uu(self) -> int | None:
        """Return what the cartridge holds at least: what was loaded less the most that went out."""
        book = self.book
        loaded_uu = book.loaded_uu
        if loaded_uu is None:
            return None
        steps = book.maximum_steps + self.uncounted_steps() - book.loaded_at_steps
        return max(0, loaded_uu - self.machine.mechanics.uu_of_up(steps))

    @property
    def limits(self) -> Limits | None:
        """Return the limits in force; None where none were ever set, and then nothing is
        delivered.
        """
        raw = self.book.settings.get("limits")
        if raw is not self._limits_read:  # a setting is replaced, never changed
            self._limits_read, self._limits = raw, Limits(**raw) if raw else None
        return self._limits
