"""The battery's gauge: a MAX17048 or an INA219 on I2C, or the bench's.

Each chip gives a percentage and the finest number behind it. ``GaugeOf`` refuses what cannot be
true by itself: no answer, or the same number too many times from a chip that has noise (F63).
What cannot follow from the reading before is judged by the pump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import PinFault, SensorFault
from drivers.bench_wire import POWER_FAILS, Channel
from drivers.gpio import PinFactories, Untyped
from drivers.i2c import open_bus
from drivers.lines import Line

FROZEN_READINGS = 300
"""Five minutes at one a second: cells under load never stand so still."""
_FULL_SLACK_PERCENT = 5
"""So far over 100 a gauge goes after a full charge, within its and the charger's tolerance."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A reading: percent, the chip's finest count, and whether the chip sees that nothing flows."""

    percent: int
    raw: int
    at_rest: bool = False


class Cells(Protocol):
    """A gauge's chip."""

    def read(self) -> Charge:
        """Return the charge now; blocks a few ms, and as long as the bus where it hangs. Raises
        SensorFault.
        """
        ...

    def close(self) -> None:
        """Give the bus back."""
        ...


class GaugeOf:
    """The gauge over a chip that is opened when it is first read, and anew after each fault."""

    def __init__(self, opened: Callable[[], Cells]) -> None:
        self._opened = opened
        self._cells: Cells | None = None
        self._last_raw: int | None = None
        self._repeats = 0

    def read(self) -> int:
        """Return the charge in percent, as the chip says it. Raises PinFault and SensorFault."""
        try:
            if self._cells is None:
                self._cells = self._opened()
            charge = self._cells.read()
        except (PinFault, SensorFault):
            self.close()
            raise
        same = charge.raw == self._last_raw and not charge.at_rest
        self._repeats = self._repeats + 1 if same else 1
        self._last_raw = charge.raw
        if self._repeats >= FROZEN_READINGS:
            raise SensorFault(
                f"the battery's gauge is frozen: {charge.percent} %, to the last digit, "
                f"{self._repeats} times in a row"
            )
        over = 100 < charge.percent <= 100 + _FULL_SLACK_PERCENT
        return 100 if over else charge.percent

    def close(self) -> None:
        """Give the chip back."""
        cells, self._cells = self._cells, None
        if cells is not None:
            cells.close()


# ------------------------------------------------------------------ MAX17048

_VCELL, _SOC, _VERSION = 0x02, 0x04, 0x08
_VERSION_MASK, _VERSION_OF_17048 = 0xFFF0, 0x0010


class Max17048:
    """The MAX17048 at its only address, 0x36: it models one cell, and says its charge itself.

    ``bus`` is smbus2's, or anything with its block call. Registers: Analog Devices (Maxim), data
    sheet 19-6171: VCELL in 78.125 uV, SOC in 1/256 percent, the high byte first.
    """

    def __init__(self, bus: Untyped, address: int) -> None:
        self._bus, self._address = bus, address
        version = self._word(_VERSION)
        if version & _VERSION_MASK != _VERSION_OF_17048:
            raise SensorFault(
                f"the chip at I2C address {address:#04x} says version {version:#06x}, and a "
                "MAX17048 is 0x001x: check battery.kind and battery.i2c_address"
            )

    def read(self) -> Charge:
        volts, soc = self._word(_VCELL), self._word(_SOC)
        return Charge(soc >> 8, volts << 16 | soc)

    def close(self) -> None:
        """Give the bus back."""
        self._bus.close()

    def _word(self, register: int) -> int:
        return _word(self._bus, self._address, register)


# ------------------------------------------------------------------ INA219

_CONFIG, _SHUNT, _BUS = 0x00, 0x01, 0x02
_RESET, _AFTER_RESET = 0x8000, 0x399F
_AVERAGED = 0x3E67
"""32 V, 320 mV, both inputs as the mean of 16 samples, without end."""
_BUS_LSB_MV = 4
_REST_SHUNT = 100
"""Under 1 mV at the shunt (10 mA with 0.1 ohm) the cells neither feed nor are fed."""


class Ina219:
    """The INA219 as on UPS boards: it measures the cells' voltage, which tells the charge roughly.

    Percent lie evenly between ``empty_mv`` and ``full_mv``: under load a cell shows less than it
    has, so the error is to the safe side. Registers: Texas Instruments, SBOS448: bus voltage in
    4 mV above three flags, shunt voltage in 10 uV.
    """

    def __init__(self, bus: Untyped, address: int, *, empty_mv: int, full_mv: int) -> None:
        self._bus, self._address = bus, address
        self._empty_mv, self._full_mv = empty_mv, full_mv
        self._set(_RESET)
        config = self._word(_CONFIG)
        if config != _AFTER_RESET:
            raise SensorFault(
                f"the chip at I2C address {address:#04x} says {config:#06x} after a reset, and an "
                f"INA219 says {_AFTER_RESET:#06x}: check battery.kind and battery.i2c_address"
            )
        self._set(_AVERAGED)

    def read(self) -> Charge:
        config = self._word(_CONFIG)
        if config != _AVERAGED:
            raise SensorFault("the battery's gauge has lost its settings: it was without supply")
        shunt, bus = self._word(_SHUNT), self._word(_BUS)
        bus_mv = (bus >> 3) * _BUS_LSB_MV
        if bus_mv < self._empty_mv // 2:
            raise SensorFault(f"the battery's gauge sees {bus_mv} mV: there is no battery")
        percent = (bus_mv - self._empty_mv) * 100 // (self._full_mv - self._empty_mv)
        signed = shunt - (shunt >> 15 << 16)
        return Charge(max(0, percent), bus << 16 | shunt, abs(signed) < _REST_SHUNT)

    def close(self) -> None:
        """Give the bus back."""
        self._bus.close()

    def _word(self, register: int) -> int:
        return _word(self._bus, self._address, register)

    def _set(self, config: int) -> None:
        try:
            self._bus.write_i2c_block_data(self._address, _CONFIG, list(config.to_bytes(2, "big")))
        except OSError as error:
            raise _no_answer(self._address, error) from error


# ------------------------------------------------------------------ the bench


class BenchCells:
    """The bench's battery, asked over the pins socket or straight from the plant."""

    def __init__(
        self, sample: Callable[[Channel], int | None], close: Callable[[], None] = lambda: None
    ) -> None:
        self._sample, self._close = sample, close

    def read(self) -> Charge:
        percent, cell_uv = self._sample(Channel.BATTERY_PCT), self._sample(Channel.BATTERY_UV)
        if percent is None or cell_uv is None:
            raise SensorFault("the bench's battery has no value")
        return Charge(percent, cell_uv)

    def close(self) -> None:
        """Give the bench's pins back, where they are its own."""
        self._close()


def power_line(
    factory: str, factories: PinFactories, *, pin: int | None
) -> Callable[[], bool] | None:
    """Return what reads whether the supply is failing; None where there is no such line.

    On a Pi the line at ``pin`` is active low, and one that is cut says that the supply fails. The
    bench has its own, without a pin. The reading raises PinFault.
    """
    if factory == "bench":
        sample: Callable[[Channel], int | None] = factories.inputs.sample
        return lambda: bool((sample(Channel.POWER_FLAGS) or 0) & POWER_FAILS)
    if pin is None:
        return None
    return Line(factories, pin, name="the power-fail line").is_active


def gauge_of(
    kind: str,
    bench: Callable[[], Cells],
    *,
    bus: int,
    address: int | None,
    empty_mv: int,
    full_mv: int,
) -> GaugeOf:
    """Return the gauge that the configuration calls ``kind``: "bench", "max17048" or "ina219".

    Nothing is opened before the first reading; ``bench`` opens the bench's.
    """
    if kind == "bench":
        return GaugeOf(bench)
    return GaugeOf(
        lambda: cells_on_i2c(kind, bus=bus, address=address, empty_mv=empty_mv, full_mv=full_mv)
    )


def cells_on_i2c(kind: str, *, bus: int, address: int | None, empty_mv: int, full_mv: int) -> Cells:
    """Open the chip that the configuration calls ``kind``: "max17048" or "ina219".

    ``address`` None is the chip's own: 0x36, or 0x40. Raises SensorFault where it does not answer.
    """
    opened = open_bus(bus, "a gauge on I2C")
    try:
        match kind:
            case "max17048":
                return Max17048(opened, 0x36 if address is None else address)
            case "ina219":
                where = 0x40 if address is None else address
                return Ina219(opened, where, empty_mv=empty_mv, full_mv=full_mv)
            case _:
                raise SensorFault(f"battery.kind = {kind!r} is not max17048 or ina219")
    except SensorFault:
        opened.close()
        raise


def _word(bus: Untyped, address: int, register: int) -> int:
    try:
        high, low = bus.read_i2c_block_data(address, register, 2)
    except OSError as error:
        raise _no_answer(address, error) from error
    return int(high << 8 | low)


def _no_answer(address: int, error: OSError) -> SensorFault:
    return SensorFault(
        f"no battery gauge answers at I2C address {address:#04x} ({error}): check its wires, "
        "battery.i2c_bus and battery.i2c_address"
    )
