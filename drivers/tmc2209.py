"""The TMC2209 over its one-wire UART: current, microsteps, stall. STEP, DIR and ENABLE stay pins.

Register numbers, bits and the formula of the current: the data sheet of the TMC2209 by Analog
Devices (Trinamic), revision 1.09, sections 4 (UART), 5 (registers) and 9 (current).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import PinFault

_SYNC, _TO_HOST, _WRITE = 0x05, 0xFF, 0x80
_GCONF, _GSTAT, _IFCNT, _IOIN = 0x00, 0x01, 0x02, 0x06
_IHOLD_IRUN, _TPOWERDOWN, _TCOOLTHRS, _SGTHRS = 0x10, 0x11, 0x14, 0x40
_CHOPCONF, _DRV_STATUS = 0x6C, 0x6F
_VERSION = 0x21
_GCONF_SET = 0x0000_01C0
"""pdn_disable: the pin is the UART's; mstep_reg_select: microsteps by register; multistep_filt."""
_CHOPCONF_BASE = 0x1000_0053
"""The chip's own chopper settings, with interpolation to 256 microsteps."""
_VSENSE = 1 << 17
_FULL_SCALE_UV = {False: 325_000, True: 180_000}
_INTERNAL_MOHM = 20
_CURRENT_STEPS = 32
_EVERY_SPEED = 0xF_FFFF
_READ_TRIES = 3
_BAUD = 115_200
_ANSWER_S = 0.05

_TROUBLES = {
    1 << 1: "it is too hot and has switched off",
    1 << 2: "phase A is short to ground",
    1 << 3: "phase B is short to ground",
    1 << 4: "phase A is short to the supply",
    1 << 5: "phase B is short to the supply",
}


class Port(Protocol):
    """A serial port: pyserial's, or anything with its three calls."""

    def write(self, data: bytes) -> object:
        """Send the bytes."""
        ...

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer where no more came in time."""
        ...

    def reset_input_buffer(self) -> None:
        """Forget what has come and was not read."""
        ...

    def close(self) -> None:
        """Give the port back."""
        ...


@dataclass(frozen=True, slots=True)
class DriverSettings:
    """What the chip is told. Currents are of a coil, root mean square; ``sense_mohm`` is the
    resistor on the board. ``stall_threshold`` 0 is no stall detection, 255 the most sensitive.
    """

    microsteps: int
    run_ma: int
    hold_ma: int
    sense_mohm: int
    stall_threshold: int


def crc8(data: bytes) -> int:
    """Return the datagram's checksum: x^8 + x^2 + x + 1, the lowest bit of each byte first."""
    crc = 0
    for byte in data:
        for bit in range(8):
            differs = (crc >> 7) ^ (byte >> bit & 1)
            crc = (crc << 1 ^ (0x07 if differs else 0)) & 0xFF
    return crc


def current_scale(run_ma: int, sense_mohm: int) -> tuple[int, bool]:
    """Return the scale (0..31) that gives at most ``run_ma``, and whether the fine range is used.

    The fine range, where it reaches so far, regulates the more exactly. Raises PinFault where the
    chip cannot give so much, or so little.
    """
    most_ma = _current_ma(_CURRENT_STEPS - 1, sense_mohm, fine=False)
    fine = run_ma <= _current_ma(_CURRENT_STEPS - 1, sense_mohm, fine=True)
    scale = _scale_within(run_ma, sense_mohm, fine=fine)
    if run_ma > most_ma or scale < 0:
        least_ma = _current_ma(0, sense_mohm, fine=True)
        raise PinFault(
            f"driver.run_ma = {run_ma} is out of range: with {sense_mohm} mohm the chip gives "
            f"{least_ma} to {most_ma}"
        )
    return scale, fine


def _current_ma(scale: int, sense_mohm: int, *, fine: bool) -> int:
    """I = (scale + 1) / 32 * V / (R + 20 mohm) / sqrt(2), rounded down."""
    ohms_parts = _CURRENT_STEPS * (sense_mohm + _INTERNAL_MOHM)
    return (scale + 1) * _FULL_SCALE_UV[fine] * 7_071 // (10_000 * ohms_parts)


def _scale_within(wanted_ma: int, sense_mohm: int, *, fine: bool) -> int:
    """Return the largest scale that gives at most so much; -1 where none does."""
    scales = range(_CURRENT_STEPS)
    return max(
        (one for one in scales if _current_ma(one, sense_mohm, fine=fine) <= wanted_ma), default=-1
    )


class Tmc2209:
    """One chip at ``address``, 0 to 3 by its pins MS1 and MS2. It counts every write it takes.

    For a program that may wait: a register takes 1 to 3 ms.
    """

    def __init__(self, port: Port, address: int) -> None:
        self._port = port
        self._address = address

    def set_up(self, settings: DriverSettings) -> None:
        """Tell the chip everything, read back what it took, and refuse what it reports as broken.

        Wrong microsteps would make every dose wrong by a factor, so nothing is taken for granted.
        Raises PinFault.
        """
        version = self._read(_IOIN) >> 24
        if version != _VERSION:
            raise PinFault(
                f"the motor driver says version {version:#04x}, and a TMC2209 is {_VERSION:#04x}"
            )
        scale, fine = current_scale(settings.run_ma, settings.sense_mohm)
        hold = max(0, _scale_within(settings.hold_ma, settings.sense_mohm, fine=fine))
        exponent = settings.microsteps.bit_length() - 1
        chopper = _CHOPCONF_BASE | (8 - exponent) << 24 | (_VSENSE if fine else 0)
        before = self._read(_IFCNT) & 0xFF
        writes = {
            _GCONF: _GCONF_SET,
            _GSTAT: 0b111,  # what it remembers of a time before us
            _CHOPCONF: chopper,
            _IHOLD_IRUN: 6 << 16 | scale << 8 | hold,
            _TPOWERDOWN: 20,
            _TCOOLTHRS: _EVERY_SPEED if settings.stall_threshold else 0,
            _SGTHRS: settings.stall_threshold,
        }
        for register, value in writes.items():
            self._write(register, value)
        took = (self._read(_IFCNT) - before) & 0xFF
        if took != len(writes):
            raise PinFault(
                f"the motor driver took {took} of {len(writes)} settings: check its UART wire"
            )
        for register, value in ((_GCONF, _GCONF_SET), (_CHOPCONF, chopper)):
            seen = self._read(register)
            if seen != value:
                raise PinFault(
                    f"the motor driver's register {register:#04x} reads {seen:#x} after "
                    f"{value:#x} was written"
                )
        troubles = self.troubles()
        if troubles:
            raise PinFault(f"the motor driver: {'; '.join(troubles)}")

    def troubles(self) -> list[str]:
        """Return what the chip reports as broken; its pin DIAG says that there is something."""
        status = self._read(_DRV_STATUS)
        return [text for bit, text in _TROUBLES.items() if status & bit]

    def close(self) -> None:
        """Give the port back; the chip keeps its settings for as long as it has a supply."""
        self._port.close()

    def _write(self, register: int, value: int) -> None:
        head = bytes([_SYNC, self._address, register | _WRITE]) + value.to_bytes(4, "big")
        with _wire_faults():
            self._send(head + bytes([crc8(head)]))

    def _read(self, register: int) -> int:
        """A datagram that a disturbance has spoilt is asked for again; a read changes nothing."""
        head = bytes([_SYNC, self._address, register])
        answer = b""
        for _ in range(_READ_TRIES):
            with _wire_faults():
                self._send(head + bytes([crc8(head)]))
                answer = self._port.read(8)
            if (
                answer[:3] == bytes([_SYNC, _TO_HOST, register])
                and len(answer) == 8
                and crc8(answer[:7]) == answer[7]
            ):
                return int.from_bytes(answer[3:7], "big")
        said = answer.hex(" ") or "nothing"
        raise PinFault(
            f"the motor driver at address {self._address} answers {said}: check its supply, its "
            "UART wire, and driver.uart and driver.address"
        )

    def _send(self, datagram: bytes) -> None:
        """One wire for both ways: what is sent is heard, and has to be what was sent."""
        self._port.reset_input_buffer()
        self._port.write(datagram)
        echo = self._port.read(len(datagram))
        if echo != datagram:
            said = echo.hex(" ") or "nothing"
            raise PinFault(
                f"the UART of the motor driver hears {said} of its own {datagram.hex(' ')}: check "
                "its wire"
            )


@contextmanager
def _wire_faults() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PinFault(f"the UART of the motor driver: {error}") from error


def set_up_tmc2209(uart: str, address: int, settings: DriverSettings) -> None:
    """Set the chip at ``uart`` up, and give the port back. Raises PinFault."""
    try:
        serial = importlib.import_module("serial")
    except ImportError as error:
        raise PinFault(
            f"pyserial is not installed ({error}): install the extra instruments"
        ) from error
    with _wire_faults():
        port: Port = serial.Serial(
            uart, _BAUD, timeout=_ANSWER_S, write_timeout=_ANSWER_S, exclusive=True
        )
    chip = Tmc2209(port, address)
    try:
        chip.set_up(settings)
    finally:
        chip.close()
