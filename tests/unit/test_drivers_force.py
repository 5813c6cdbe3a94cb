"""The force sensors: true values, and a fault for everything that cannot be one (F58)."""

from collections.abc import Callable

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockSPIDevice

from appliance.errors import PinFault, SensorFault
from drivers.bench_wire import Channel
from drivers.force import CountedForce, Mcp3008, Nau7802, force_sensor
from drivers.gpio import PinFactories
from drivers.mock.mock_bench import MockBench
from drivers.mock.settings import BenchSettings


class Steady:
    """An ADC that says what the test says."""

    lowest = -(2**23)
    highest = 2**23 - 1

    def __init__(self, *counts: int) -> None:
        self.counts = list(counts)
        self.closed = False

    def read(self) -> int:
        return self.counts.pop(0)

    def close(self) -> None:
        self.closed = True


class Ticking:
    """A clock that moves on at each look."""

    def __init__(self, look_ns: int = 300_000) -> None:
        self.ns = 0
        self.look_ns = look_ns

    def __call__(self) -> int:
        self.ns += self.look_ns
        return self.ns


@pytest.mark.parametrize(
    ("count", "zero", "un_per_count", "force_mn"),
    [(5_100, 100, 1_000, 5_000), (5_100, 100, -250, -1_250), (7, 0, 999, 6), (-7, 0, 999, -7)],
)
def test_counts_become_millinewtons_rounded_down(
    count: int, zero: int, un_per_count: int, force_mn: int
) -> None:
    sensor = CountedForce(Steady(count), zero_counts=zero, un_per_count=un_per_count)
    assert sensor.read().force_mn == force_mn


@pytest.mark.parametrize("count", [2**23 - 1, -(2**23)])
def test_f58_an_end_of_the_range_is_no_force(count: int) -> None:
    sensor = CountedForce(Steady(count), zero_counts=0, un_per_count=1_000)
    with pytest.raises(SensorFault, match="saturated"):
        sensor.read()


def test_f58_a_sensor_that_repeats_itself_is_frozen_until_it_moves() -> None:
    counts = [7] * 5 + [8, 7]
    sensor = CountedForce(Steady(*counts), zero_counts=0, un_per_count=1_000, frozen_readings=4)
    assert [sensor.read().force_mn for _ in range(3)] == [7, 7, 7]
    for times in (4, 5):
        with pytest.raises(SensorFault, match=f"frozen: 7 counts, {times} times"):
            sensor.read()
    assert [sensor.read().force_mn for _ in range(2)] == [8, 7]


def test_a_scale_of_nothing_is_refused() -> None:
    with pytest.raises(SensorFault, match="un_per_count = 0"):
        CountedForce(Steady(), zero_counts=0, un_per_count=0)


# ------------------------------------------------------------------ NAU7802


class Chip:
    """The registers of a NAU7802, as far as the driver uses them, after its data sheet."""

    def __init__(self, address: int = 0x2A) -> None:
        self.address = address
        self.registers = dict.fromkeys(range(0x20), 0)
        self.written: list[tuple[int, int]] = []
        self.counts = [1_234]
        self.powers_up = True
        self.calibration_fails = False
        self.calibrates = 3  # looks until it is done
        self.ready_after = 2
        self.looks = 0
        self.gone = False
        self.closed = False

    def read_byte_data(self, address: int, register: int) -> int:
        self._there(address)
        value = self.registers[register]
        if register == 0x00:
            value |= 0x08 if self.powers_up and value & 0x02 else 0
            if value & 0x10:
                self.looks += 1
                value |= 0x20 if self.looks % (self.ready_after + 1) == 0 else 0
        if register == 0x02 and value & 0x04:
            self.calibrates -= 1
            if self.calibrates <= 0:
                value &= ~0x04
                value |= 0x08 if self.calibration_fails else 0
                self.registers[0x02] = value
        return value

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._there(address)
        self.written.append((register, value))
        self.registers[register] = value

    def read_i2c_block_data(self, address: int, register: int, size: int) -> list[int]:
        self._there(address)
        assert (register, size) == (0x12, 3)
        return list((self.counts.pop(0) & 0xFFFFFF).to_bytes(3, "big"))

    def close(self) -> None:
        self.closed = True

    def _there(self, address: int) -> None:
        if self.gone or address != self.address:
            raise OSError(121, "Remote I/O error")


def test_the_nau7802_is_set_up_in_the_order_of_its_data_sheet() -> None:
    chip = Chip()
    Nau7802(chip, 0x2A, Ticking())
    assert chip.written == [
        (0x00, 0x01),  # reset
        (0x00, 0x02),  # digital part on
        (0x00, 0x86),  # analogue part on, from its own 3.3 V
        (0x01, 0x27),  # 3.3 V, gain 128
        (0x02, 0x30),  # 80 samples/s
        (0x15, 0x30),  # chopper clock off
        (0x1C, 0x80),  # capacitor at the amplifier
        (0x02, 0x34),  # calibrate
        (0x00, 0x96),  # convert
    ]


def test_the_nau7802_gives_signed_counts() -> None:
    chip = Chip()
    adc = Nau7802(chip, 0x2A, Ticking())
    chip.counts = [0, 1, -1, 2**23 - 1, -(2**23)]
    assert [adc.read() for _ in range(5)] == [0, 1, -1, 2**23 - 1, -(2**23)]
    adc.close()
    assert chip.closed


def broken(chip: Chip, change: Callable[[Chip], None]) -> Chip:
    change(chip)
    return chip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda chip: setattr(chip, "gone", True), "no force sensor answers at I2C address 0x2a"),
        (lambda chip: setattr(chip, "powers_up", False), "does not power up"),
        (lambda chip: setattr(chip, "calibrates", 10**9), "does not finish its calibration"),
        (lambda chip: setattr(chip, "calibration_fails", True), "check the load cell"),
    ],
)
def test_a_nau7802_that_does_not_start_says_what_is_wrong(
    change: Callable[[Chip], None], text: str
) -> None:
    with pytest.raises(SensorFault, match=text):
        Nau7802(broken(Chip(), change), 0x2A, Ticking())


def test_f58_a_nau7802_that_goes_away_or_stops_converting_is_a_fault_within_50_ms() -> None:
    chip, clock = Chip(), Ticking()
    adc = Nau7802(chip, 0x2A, clock)
    chip.ready_after = 10**9
    began_ns = clock.ns
    with pytest.raises(SensorFault, match="no new sample within 50 ms"):
        adc.read()
    assert clock.ns - began_ns < 52_000_000
    chip.gone = True
    with pytest.raises(SensorFault, match="does not answer"):
        adc.read()


def test_f58_a_clock_that_stands_still_does_not_hold_the_thread() -> None:
    chip = Chip()
    adc = Nau7802(chip, 0x2A, lambda: 0)
    chip.ready_after = 10**9
    with pytest.raises(SensorFault, match="no new sample"):
        adc.read()


# ------------------------------------------------------------------ MCP3008


class Adc(MockSPIDevice):
    """An MCP3008 with one value on all channels."""

    def __init__(self, raw: int, factory: MockFactory) -> None:
        super().__init__(11, 10, 9, 8, pin_factory=factory)
        self.raw = raw

    def on_bit(self) -> None:
        started = [place for place, bit in enumerate(self.rx_buf) if bit]
        if (
            started and len(self.rx_buf) == started[0] + 5
        ):  # and one for the mode, three for the channel
            self.tx_word(self.raw, 12)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> PinFactories:
    factory = MockFactory()
    # gpiozero's software SPI, which stands in for the chip's here, asks for the default factory.
    monkeypatch.setattr(Device, "pin_factory", factory)
    return PinFactories(outputs=factory, inputs=factory)


@pytest.mark.parametrize(("raw", "force_mn"), [(100, 0), (600, 2_500)])
def test_an_mcp3008_gives_its_ten_bits(pins: PinFactories, raw: int, force_mn: int) -> None:
    with Adc(raw, pins.outputs):
        sensor = force_sensor(
            "mcp3008", pins, now_ns=lambda: 0, zero_counts=100, un_per_count=5_000, channel=2
        )
        assert sensor is not None
        readings = [sensor.read().force_mn for _ in range(40)]  # ten bits may well repeat
        assert readings == [force_mn] * 40
        sensor.close()


@pytest.mark.parametrize("raw", [0, 1_023])
def test_f58_an_mcp3008_at_an_end_of_its_range_is_a_fault(pins: PinFactories, raw: int) -> None:
    with Adc(raw, pins.outputs):
        adc = Mcp3008(0, pins)
        sensor = CountedForce(adc, zero_counts=0, un_per_count=1_000, frozen_readings=0)
        with pytest.raises(SensorFault, match="saturated"):
            sensor.read()
        sensor.close()


def test_an_mcp3008_without_an_spi_device_is_a_fault_and_not_four_plain_pins() -> None:
    class NoSpi(MockFactory):
        def _get_spi_class(self, *_: object, **__: object) -> type:
            raise OSError(2, "No such file or directory: /dev/spidev0.0")

    factory = NoSpi()
    with pytest.raises(PinFault, match="MCP3008 channel 0: failed to initialize hardware SPI"):
        Mcp3008(0, PinFactories(outputs=factory, inputs=factory))


# ------------------------------------------------------------------ the bench, and by name


def bench_force() -> tuple[CountedForce, MockBench]:
    bench = MockBench(BenchSettings(), lambda: 0)
    sensor = force_sensor(
        "bench", bench.factories, now_ns=lambda: 0, zero_counts=0, un_per_count=1_000
    )
    assert sensor is not None
    return sensor, bench


def test_the_benchs_sensor_shows_the_push_on_the_plunger() -> None:
    sensor, bench = bench_force()
    assert sensor.read().force_mn == pytest.approx(1_000, abs=120)
    bench.plant.inject("force_spike", {"mn": 30_000, "ms": 1}, 0)
    assert sensor.read().force_mn == pytest.approx(31_000, abs=120)
    assert bench.factory.sample(Channel.BATTERY_PCT) == 100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("force_disconnected", "no true value"),
        ("force_nan", "no true value"),
        ("force_frozen", "frozen"),
        ("force_saturated", "saturated"),
        ("chip_missing", "does not answer"),
    ],
)
def test_f58_every_broken_sensor_is_a_fault_within_the_frozen_limit(name: str, text: str) -> None:
    sensor, bench = bench_force()
    for _ in range(100):
        sensor.read()
    bench.plant.inject(name, {}, 0)
    with pytest.raises(SensorFault, match=text):
        _ = [sensor.read() for _ in range(17)]
    bench.plant.clear("all", 0)
    sensor.read()


def test_a_sensor_is_named_and_never_found() -> None:
    _, bench = bench_force()
    given = {"now_ns": lambda: 0, "zero_counts": 0, "un_per_count": 1}
    assert force_sensor("none", bench.factories, **given) is None
    with pytest.raises(SensorFault, match="is not none, bench, i2c or mcp3008"):
        force_sensor("guess", bench.factories, **given)
    with pytest.raises(SensorFault, match=r"/dev/i2c-29 cannot be opened"):
        force_sensor("i2c", bench.factories, i2c_bus=29, **given)
