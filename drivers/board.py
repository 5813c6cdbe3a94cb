"""The computer's own temperature and supply: what a Pi's kernel says, or the bench.

The kernel gives the temperature as a thermal zone, under-voltage as an alarm of the sensor
``rpi_volt``, and throttling in the firmware's ``get_throttled`` (bit 2: now). What a kernel does
not have is not known, and says nothing. Paths: to be checked on each board.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drivers.bench_wire import Channel
from drivers.gpio import PinFactories

UNDER_VOLTAGE, THROTTLED = 1, 2
_MILLI = 1_000
_FIRMWARE_UNDER_VOLTAGE, _FIRMWARE_THROTTLED = 1 << 0, 1 << 2

Board = Callable[[], tuple[int | None, int]]
"""Returns whole degrees Celsius (None: not known) and the flags 1 under-voltage, 2 throttled."""


class PiBoard:
    """What the kernel of a Pi says; ``sys`` is ``/sys``, or a copy of it."""

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._zone = sys / "class" / "thermal" / "thermal_zone0" / "temp"
        self._volts = [
            name.parent / "in0_lcrit_alarm"
            for name in sorted((sys / "class" / "hwmon").glob("hwmon*/name"))
            if _text(name) == "rpi_volt"
        ]
        firmware = sys / "devices" / "platform" / "soc" / "soc:firmware" / "get_throttled"
        self._throttled = firmware if firmware.exists() else None

    def __call__(self) -> tuple[int | None, int]:
        """Read everything that there is."""
        milli_c = _number(self._zone, 10)
        flags = 0
        if any(_number(path, 10) for path in self._volts):
            flags |= UNDER_VOLTAGE
        said = _number(self._throttled, 16) if self._throttled else None
        if said is not None:
            flags |= UNDER_VOLTAGE if said & _FIRMWARE_UNDER_VOLTAGE else 0
            flags |= THROTTLED if said & _FIRMWARE_THROTTLED else 0
        return (None if milli_c is None else milli_c // _MILLI), flags


def board_of(factory: str, factories: PinFactories | None) -> Board:
    """Return what reads this machine's board; the bench's raises PinFault where it is gone."""
    if factory != "bench" or factories is None:
        return PiBoard()
    sample: Callable[[Channel], int | None] = factories.inputs.sample

    def bench() -> tuple[int | None, int]:
        milli_c = sample(Channel.BOARD_MILLI_C)
        flags = sample(Channel.POWER_FLAGS) or 0
        return (None if milli_c is None else milli_c // _MILLI), flags & (UNDER_VOLTAGE | THROTTLED)

    return bench


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # a sensor that goes while we look
        return ""


def _number(path: Path, base: int) -> int | None:
    try:
        return int(_text(path), base)
    except ValueError:
        return None
