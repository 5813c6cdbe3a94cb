"""The one module that asks for the time or sleeps.

The pump's clock is CLOCK_BOOTTIME: never set, and it goes on while the computer sleeps, so a sleep
is to every program the gap that it is (decision 0062). In a demo with ``--speed`` it is that clock
multiplied from one start instant on, the same in every program. Real durations (beats, watchdogs,
the motor's interval) are multiplied by the speed once, where they are set up, so every core lives
on one clock.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from appliance.errors import BadConfiguration
from appliance.ports import ClockQuality, ClockReading

_BUILT_UTC_NS = 1_790_000_000 * 1_000_000_000
"""September 2026: a wall clock before this is a Pi without a clock chip, not the present (SR-46).
"""
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_CLOCK = time.CLOCK_BOOTTIME
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def real_monotonic_ns() -> int:
    """Return CLOCK_BOOTTIME itself: for pins and the motor, which know no other speed."""
    return time.clock_gettime_ns(_CLOCK)


def real_sleep(seconds: float) -> None:
    """Sleep on real time; only for programs that wait for another program."""
    time.sleep(seconds)


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Start:
    """The instant from which a demo's clock runs at ``speed``; written once, read by every
    program.
    """

    speed: int
    mono_ns: int
    base_ns: int
    utc_ahead_ns: int
    boot_id: str

    def save(self, path: Path) -> None:
        """Write it to ``path`` in one rename."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)), encoding="utf-8")
        fresh.replace(path)

    @staticmethod
    def now(speed: int) -> Start:
        """Return a start at this instant."""
        mono_ns = real_monotonic_ns()
        return Start(speed, mono_ns, mono_ns, 0, boot_id())

    @staticmethod
    def following(path: Path, speed: int) -> Start:
        """Return the start for a demo's folder: its clock goes on from where it was, never back.

        A clock of another boot says nothing about this one: the demo then begins at this instant.
        """
        fresh = Start.now(speed)
        try:
            old = Start.load(path)
        except BadConfiguration:
            return fresh
        elapsed_ns = fresh.mono_ns - old.mono_ns
        return Start(
            speed,
            fresh.mono_ns,
            old.base_ns + elapsed_ns * old.speed,
            old.utc_ahead_ns + elapsed_ns * (old.speed - 1),
            fresh.boot_id,
        )

    @staticmethod
    def load(path: Path) -> Start:
        """Read a start; one of another boot is refused, since its monotonic instant means nothing
        now.
        """
        try:
            start = Start(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise BadConfiguration(str(path), [f"is not a start instant: {error}"]) from error
        if start.boot_id != boot_id():
            raise BadConfiguration(str(path), ["belongs to another boot: start the demo anew"])
        return start


def known_zones() -> frozenset[str]:
    """Return the names of the time zones that this machine has a table of."""
    return frozenset(available_timezones())


class SystemClock:
    """The pump's clock over the machine's. Safe from any thread."""

    def __init__(self, zone: str, start: Start | None = None) -> None:
        self.use_zone(zone)
        self._speed = start.speed if start else 1
        self._mono0_ns = start.mono_ns if start else 0
        self._base_ns = start.base_ns if start else 0
        self._utc_ahead_ns = start.utc_ahead_ns if start else 0

    def use_zone(self, zone: str) -> None:
        """Give local time in another zone. Raises BadConfiguration where there is no such one."""
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise BadConfiguration(
                "pump.zone", [f"{zone!r} is not a time zone: {error}"]
            ) from error

    @property
    def speed(self) -> int:
        return self._speed

    def monotonic_ns(self) -> int:
        return self._base_ns + (time.clock_gettime_ns(_CLOCK) - self._mono0_ns) * self._speed

    def real_timeout_s(self, wake_ns: int) -> float:
        return max(0, wake_ns - self.monotonic_ns()) / (self._speed * 1e9)

    def read(self) -> ClockReading:
        real_ns, wall_ns = real_monotonic_ns(), time.time_ns()
        slept_ns = real_ns - time.monotonic_ns()  # CLOCK_MONOTONIC stands still in a sleep
        elapsed_ns = real_ns - self._mono0_ns
        mono_ns = self._base_ns + elapsed_ns * self._speed
        # What the wall clock was set by since the start is added as it is: only the pace is the
        # demo's.
        utc_ns = wall_ns + self._utc_ahead_ns + elapsed_ns * (self._speed - 1)
        local = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=utc_ns // 1_000)
        offset = local.astimezone(self._zone).utcoffset()
        quality = ClockQuality.NOT_SET
        if utc_ns >= _BUILT_UTC_NS:
            quality = ClockQuality.SYNCHRONISED if _SYNCHRONISED.exists() else ClockQuality.SET
        offset_s = int(offset.total_seconds()) if offset else 0
        return ClockReading(mono_ns, utc_ns, offset_s, quality, slept_ns)
