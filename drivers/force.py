"""The force sensor behind the plunger: a load-cell ADC on I2C, an MCP3008, or the bench's.

Each gives raw counts; ``CountedForce`` turns them into millinewtons and refuses what cannot be
true: no answer, a number at the end of the ADC's range, the same count too many times from a sensor
that has noise (F58). A drift or a wrong scale cannot be seen from here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Protocol

from gpiozero import MCP3008
from gpiozero.exc import GPIOZeroError, SPISoftwareFallback

from appliance.errors import PinFault, SensorFault
from appliance.ports import ForceReading
from drivers.bench_wire import Channel
from drivers.gpio import NowNs, PinFactories, Untyped, pin_faults
from drivers.i2c import open_bus

FROZEN_READINGS = 16
"""A load cell at 24 bits never repeats itself so often."""


class Counts(Protocol):
    """An ADC: whatever gives raw counts."""

    lowest: int
    highest: int

    def read(self) -> int:
        """Return the next raw count; blocks at most 50 ms. Raises SensorFault."""
        ...

    def close(self) -> None:
        """Give the ADC back."""
        ...


class CountedForce:
    """``ports.ForceSensor`` over an ADC: (count - ``zero_counts``) * ``un_per_count`` micronewtons.

    ``frozen_readings`` equal counts in a row are a fault; 0 for an ADC too coarse to show noise.
    """

    def __init__(
        self,
        counts: Counts,
        *,
        zero_counts: int,
        un_per_count: int,
        frozen_readings: int = FROZEN_READINGS,
    ) -> None:
        if un_per_count == 0:
            raise SensorFault("force.un_per_count = 0 makes every force nothing: calibrate it")
        self._counts = counts
        self._zero_counts = zero_counts
        self._un_per_count = un_per_count
        self._frozen_readings = frozen_readings
        self._last_count: int | None = None
        self._repeats = 0

    def read(self) -> ForceReading:
        count = self._counts.read()
        if not self._counts.lowest < count < self._counts.highest:
            raise SensorFault(
                f"the force sensor is saturated: {count} counts is an end of its range, "
                f"{self._counts.lowest} to {self._counts.highest}"
            )
        self._repeats = self._repeats + 1 if count == self._last_count else 1
        self._last_count = count
        if 0 < self._frozen_readings <= self._repeats:
            raise SensorFault(
                f"the force sensor is frozen: {count} counts, {self._repeats} times in a row"
            )
        return ForceReading((count - self._zero_counts) * self._un_per_count // 1_000)

    def close(self) -> None:
        """Give the ADC back."""
        self._counts.close()


# ------------------------------------------------------------------ NAU7802

_PU_CTRL, _CTRL1, _CTRL2, _ADCO_B2, _ADC, _PGA_PWR = 0x00, 0x01, 0x02, 0x12, 0x15, 0x1C
_RESET, _POWER_DIGITAL, _POWER_ANALOG, _POWER_READY = 0x01, 0x02, 0x04, 0x08
_CONVERT, _READY, _OWN_SUPPLY = 0x10, 0x20, 0x80
_SUPPLY_3V3_GAIN_128 = 0b00_100_111
_RATE_80_HZ = 0b0_011_0000
_CALIBRATE, _CALIBRATION_FAILED = 0x04, 0x08
_CHOPPER_OFF = 0x30
_PGA_CAPACITOR = 0x80
_START_NS = 2_000_000_000
_SAMPLE_NS = 50_000_000
_MAX_LOOKS = 20_000  # a look is an I2C transfer: some 300 us
_SIGN_BIT = 1 << 23


class Nau7802:
    """The NAU7802 at ``address``: gain 128, 80 samples/s, calibrated at the start.

    ``bus`` is smbus2's, or anything with its byte calls. Registers: Nuvoton's data sheet, 1.7.
    """

    lowest = -_SIGN_BIT
    highest = _SIGN_BIT - 1

    def __init__(self, bus: Untyped, address: int, now_ns: NowNs) -> None:
        self._bus = bus
        self._address = address
        self._now_ns = now_ns
        try:
            self._start()
        except OSError as error:
            raise SensorFault(
                f"no force sensor answers at I2C address {address:#04x} ({error}): check its wires "
                "and force.i2c_bus"
            ) from error

    def read(self) -> int:
        try:
            if not self._until(lambda: bool(self._get(_PU_CTRL) & _READY), _SAMPLE_NS):
                raise SensorFault("the force sensor has no new sample within 50 ms")
            high, middle, low = self._bus.read_i2c_block_data(self._address, _ADCO_B2, 3)
        except OSError as error:
            raise SensorFault(f"the force sensor does not answer: {error}") from error
        count = high << 16 | middle << 8 | low
        return int(count - (count & _SIGN_BIT) * 2)

    def close(self) -> None:
        """Give the bus back."""
        self._bus.close()

    def _start(self) -> None:
        self._put(_PU_CTRL, _RESET)
        self._put(_PU_CTRL, _POWER_DIGITAL)
        if not self._until(lambda: bool(self._get(_PU_CTRL) & _POWER_READY), _START_NS):
            raise SensorFault("the force sensor does not power up")
        self._put(_PU_CTRL, _POWER_DIGITAL | _POWER_ANALOG | _OWN_SUPPLY)
        self._put(_CTRL1, _SUPPLY_3V3_GAIN_128)
        self._put(_CTRL2, _RATE_80_HZ)
        self._put(_ADC, _CHOPPER_OFF)
        self._put(_PGA_PWR, _PGA_CAPACITOR)
        self._put(_CTRL2, _RATE_80_HZ | _CALIBRATE)
        if not self._until(lambda: not self._get(_CTRL2) & _CALIBRATE, _START_NS):
            raise SensorFault("the force sensor does not finish its calibration")
        if self._get(_CTRL2) & _CALIBRATION_FAILED:
            raise SensorFault("the force sensor's own calibration failed: check the load cell")
        self._put(_PU_CTRL, _POWER_DIGITAL | _POWER_ANALOG | _OWN_SUPPLY | _CONVERT)

    def _until(self, true: Callable[[], bool], within_ns: int) -> bool:
        end_ns = self._now_ns() + within_ns
        for _ in range(_MAX_LOOKS):
            if true():
                return True
            if self._now_ns() >= end_ns:
                break
        return False

    def _get(self, register: int) -> int:
        return int(self._bus.read_byte_data(self._address, register))

    def _put(self, register: int, data: int) -> None:
        self._bus.write_byte_data(self._address, register, data)


# ------------------------------------------------------------------ MCP3008


class Mcp3008:
    """One channel of an MCP3008 through gpiozero: 10 bits, too coarse to show noise."""

    lowest = 0
    highest = 1023

    def __init__(self, channel: int, factories: PinFactories) -> None:
        with pin_faults(f"MCP3008 channel {channel}"), warnings.catch_warnings():
            # Without its SPI device gpiozero would take four plain pins, with a warning only.
            warnings.simplefilter("error", SPISoftwareFallback)
            self._adc: Untyped = MCP3008(channel=channel, pin_factory=factories.outputs)

    def read(self) -> int:
        try:
            return int(self._adc.raw_value)
        except (GPIOZeroError, OSError, RuntimeError, ValueError) as error:
            raise SensorFault(f"the MCP3008 does not answer: {error}") from error

    def close(self) -> None:
        """Give the SPI lines back."""
        self._adc.close()


# ------------------------------------------------------------------ the bench


class BenchCounts:
    """The bench's load cell, asked over the pins socket."""

    lowest = -_SIGN_BIT
    highest = _SIGN_BIT - 1

    def __init__(self, sample: Callable[[Channel], int | None]) -> None:
        self._sample = sample

    def read(self) -> int:
        try:
            count = self._sample(Channel.FORCE_COUNTS)
        except PinFault as fault:
            raise SensorFault(f"the bench's force sensor does not answer: {fault}") from fault
        if count is None:
            raise SensorFault("the bench's force sensor has no true value")
        return count

    def close(self) -> None:
        """Nothing to give back: the pins own the socket."""


def force_sensor(
    kind: str,
    factories: PinFactories,
    *,
    now_ns: NowNs,
    zero_counts: int,
    un_per_count: int,
    i2c_bus: int = 1,
    i2c_address: int = 0x2A,
    channel: int = 0,
) -> CountedForce | None:
    """Build the force sensor that the configuration calls ``kind``; None for "none".

    ``kind`` is "none", "bench", "i2c" or "mcp3008". Raises SensorFault where it does not answer,
    and PinFault where its pins cannot be had.
    """
    counts: Counts
    frozen_readings = FROZEN_READINGS
    match kind:
        case "none":
            return None
        case "bench":
            counts = BenchCounts(factories.inputs.sample)
        case "i2c":
            counts = Nau7802(open_bus(i2c_bus, 'force.kind = "i2c"'), i2c_address, now_ns)
        case "mcp3008":
            counts = Mcp3008(channel, factories)
            frozen_readings = 0
        case _:
            raise SensorFault(f"force.kind = {kind!r} is not none, bench, i2c or mcp3008")
    return CountedForce(
        counts,
        zero_counts=zero_counts,
        un_per_count=un_per_count,
        frozen_readings=frozen_readings,
    )
