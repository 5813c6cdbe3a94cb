"""The battery: a bolus it may not last for, a supply that fails, a gauge that lies."""

from collections.abc import Iterator
from typing import Any

import pytest
from engine_room import Room

from appliance.cli.reading import battery_words
from appliance.client.messages import BatteryShown
from appliance.domain.battery import Battery, Gauge, energy_reasons, heard, is_low, minutes_text
from appliance.domain.units import NS_PER_MS, NS_PER_S
from appliance.engine.battery import BatteryDesk
from appliance.errors import SensorFault
from appliance.simulate.bench import Refusal, VirtualBench
from drivers.battery import (
    FROZEN_READINGS,
    BenchCells,
    Charge,
    GaugeOf,
    Ina219,
    Max17048,
    power_line,
)
from drivers.bench_wire import Channel
from drivers.mock.mock_bench import MockBench
from drivers.mock.settings import BenchSettings

TEN_WH = Battery(10_000, 5_000)  # 7200 s when full: 72 s a percent
SHORT = Battery(500, 5_000)  # 360 s when full


def bench_with(battery: Battery, **more: Any) -> VirtualBench:
    return VirtualBench(**{"basal_uu_per_h": 0, "sensors_ms": 100, "battery": battery, **more})


@pytest.fixture
def bench() -> Iterator[VirtualBench]:
    made = bench_with(TEN_WH)
    yield made
    made.close()


@pytest.fixture
def short() -> Iterator[VirtualBench]:
    made = bench_with(SHORT)
    yield made
    made.close()


def codes(bench: VirtualBench, *, active: bool = True) -> list[str]:
    return [one["code"] for one in bench.snapshot()["alarms"] if one["active"] == active]


# ------------------------------------------------------------------ SR-60: energy


@pytest.mark.parametrize(
    ("lasts_s", "bolus_s", "refused"),
    [(180, 0, False), (179, 0, True), (280, 100, False), (279, 100, True)],
)
def test_sr_60_a_bolus_needs_its_own_time_and_three_minutes(
    lasts_s: int, bolus_s: int, *, refused: bool
) -> None:
    assert bool(energy_reasons(lasts_s, bolus_s)) == refused


def test_sr_60_the_energy_is_in_whole_seconds_rounded_down() -> None:
    assert TEN_WH.lasts_s(100) == 7_200
    assert TEN_WH.lasts_s(1) == 72
    assert Battery(10_001, 5_000).lasts_s(1) == 72
    assert [minutes_text(one) for one in (0, 59, 60, 125)] == [
        "0:00 min",
        "0:59 min",
        "1:00 min",
        "2:05 min",
    ]


def test_sr_60_a_bolus_that_the_battery_may_not_last_for_is_refused_with_both_times(
    short: VirtualBench,
) -> None:
    short.plant.set({"battery_pct": 92}, short.now_ns)
    short.run(2)
    assert short.snapshot()["battery"] == {"percent": 92, "minutes": 5, "failing": False}
    # 331 s are left; 4 U take 160 s, and 3 min have to be left then.
    with pytest.raises(Refusal, match=r"lasts about 5:31 min, and this bolus needs 5:40 min"):
        short.bolus("4")
    assert short.bolus("0.5")["certainty"] == "exact"


def test_sr_60_an_extended_part_needs_energy_to_its_end(bench: VirtualBench) -> None:
    with pytest.raises(Refusal, match=r"lasts about 120:00 min, and this bolus needs 123:00 min"):
        bench.start_bolus("2", extend="2", over_s=7_200)
    bench.start_bolus("2", extend="2", over_s=3_600)


def test_sr_60_the_battery_is_low_at_twenty_percent_and_says_for_how_long(
    bench: VirtualBench,
) -> None:
    for percent in (95, 88, 81, 74, 67, 60, 53, 46, 39, 32, 25, 21):
        bench.plant.set({"battery_pct": percent}, bench.now_ns)
        bench.run(1.2)
    assert codes(bench) == []
    bench.plant.set({"battery_pct": 20}, bench.now_ns)
    bench.run(1.2)
    assert codes(bench) == ["A23"]
    assert bench.snapshot()["alarms"][0]["text"] == "the battery has 20 %, for about 24:00 min"
    bench.plant.set({"battery_pct": 24}, bench.now_ns)
    bench.run(1.2)
    assert codes(bench) == ["A23"]  # no alarm that comes and goes with a percent
    bench.plant.set({"battery_pct": 25}, bench.now_ns)
    bench.run(1.2)
    assert codes(bench) == []


def test_sr_60_the_battery_is_low_at_three_minutes() -> None:
    assert not is_low(51, 183, was_low=False)
    assert is_low(50, 180, was_low=False)
    assert is_low(80, 299, was_low=True)
    assert not is_low(83, 300, was_low=True)


@pytest.mark.parametrize(
    ("percent", "minutes", "failing", "said"),
    [
        (80, 96, False, "80 %, about 96 min"),
        (80, 96, True, "80 %, about 96 min, THE SUPPLY FAILS"),
        (None, None, True, "THE SUPPLY FAILS"),
        (None, None, False, "not known"),
    ],
)
def test_the_status_says_the_charge_and_for_how_long(
    percent: int | None, minutes: int | None, *, failing: bool, said: str
) -> None:
    shown = BatteryShown(percent=percent, minutes=minutes, failing=failing)
    assert battery_words(shown) == said


# ------------------------------------------------------------------ SR-60: the supply fails


@pytest.mark.parametrize("basal", [0, 2_000_000])
def test_sr_60_when_the_supply_fails_motor_and_ledger_are_at_rest_within_200_ms(basal: int) -> None:
    bench = bench_with(TEN_WH, basal_uu_per_h=basal, sensors_ms=50)
    request_id = "" if basal else bench.start_bolus("5")
    bench.run(20)
    assert bench.pump.look_ms == 50  # which leaves 150 ms for wires and disk
    bench.run_until(lambda: bench.plant.enable, 60)
    failed_ns = bench.now_ns
    bench.plant.inject("power_fail", {"every_ms": 0}, failed_ns)
    bench.run(0.2)
    assert not bench.plant.enable
    moved_steps = bench.truth_steps
    (closed, *_others) = reversed(bench.rows("closed"))
    assert closed.entry.mono_ns - failed_ns <= 200 * NS_PER_MS
    assert not bench.pump.book.open_doses
    assert not bench.pump.book.leases
    if not basal:
        dose = bench.dose(request_id)
        assert (dose["certainty"], dose["outcome"]) == ("exact", "stopped")
        assert "the supply is failing" in dose["why"]
        assert dose["confirmed_steps"] == moved_steps
    bench.run(10)
    assert bench.truth_steps == moved_steps
    assert bench.snapshot()["state"] == "suspended"
    assert codes(bench) == ["A24"]
    bench.close()


def test_sr_60_a_pump_whose_supply_fails_resumes_only_when_it_is_back(bench: VirtualBench) -> None:
    bench.plant.inject("power_fail", {"every_ms": 0}, bench.now_ns)
    bench.run(1)
    bench.ask("alarms.acknowledge", number=None)
    with pytest.raises(Refusal, match="the supply is failing"):
        bench.ask("resume")
    with pytest.raises(Refusal, match="the supply is failing"):
        bench.bolus("1")
    bench.plant.clear("power_fail", bench.now_ns)
    bench.run(0.9)
    assert bench.snapshot()["battery"]["failing"]
    bench.run(0.3)
    assert not bench.snapshot()["battery"]["failing"]
    bench.ask("resume")
    assert bench.bolus("0.2")["certainty"] == "exact"


def test_sr_60_a_pump_that_starts_while_the_supply_fails_does_not_begin_to_deliver() -> None:
    bench = bench_with(TEN_WH, basal_uu_per_h=2_000_000)
    bench.run(5)
    bench.stop_pump()
    bench.plant.inject("power_fail", {"every_ms": 0}, bench.now_ns)
    bench.start_pump()
    bench.run(10)
    assert bench.state == "suspended"
    assert not bench.plant.enable
    bench.close()


# ------------------------------------------------------------------ F63


@pytest.mark.parametrize("every_ms", [20, 130, 400, 900])
def test_f63_a_line_that_flaps_is_one_failure_until_it_has_been_good_for_a_second(
    bench: VirtualBench, every_ms: int
) -> None:
    bench.start_bolus("5")
    bench.run(5)
    bench.plant.inject("power_fail", {"every_ms": every_ms}, bench.now_ns)
    seen = set()
    for _ in range(80):
        bench.run(0.1)
        seen.add(bench.snapshot()["battery"]["failing"])
        if bench.snapshot()["battery"]["failing"]:
            break
    bench.ask("alarms.acknowledge", number=None)
    for _ in range(100):
        bench.run(0.1)
        assert bench.snapshot()["battery"]["failing"]
    raised = [row for row in bench.rows("alarm") if row.entry.body["event"] == "raised"]
    assert [row.entry.body["code"] for row in raised] == ["A24"]
    bench.plant.clear("power_fail", bench.now_ns)
    bench.run(1.3)
    bench.ask("resume")
    assert bench.state == "running"


@pytest.mark.parametrize(
    ("fault", "given", "text"),
    [
        ("battery_drop", {"pct": 50}, "went from 100 % to 50 % at once"),
        ("battery_over", {"pct": 130}, "says 130 %, and it can say 0 to 100"),
    ],
)
def test_f63_a_reading_that_cannot_be_holds_up_new_boluses_and_delivery_goes_on(
    bench: VirtualBench, fault: str, given: dict[str, int], text: str
) -> None:
    bench.run(2)
    request_id = bench.start_bolus("0.5")
    bench.run(2)
    bench.plant.inject(fault, given, bench.now_ns)
    bench.run(1.1)
    with pytest.raises(Refusal, match=text):
        bench.bolus("1")
    assert "A25" not in codes(bench)  # one disturbed reading is no alarm
    bench.run(3)
    assert "A25" in codes(bench)
    assert bench.snapshot()["battery"]["percent"] is None
    bench.run(40)
    assert bench.dose(request_id)["outcome"] == "done"
    assert bench.state == "running"
    bench.plant.clear("all", bench.now_ns)
    bench.run(15)
    assert "A25" not in codes(bench)
    assert bench.bolus("0.2")["certainty"] == "exact"


def test_f63_a_drop_that_stays_is_believed_after_a_minute_and_warned_of_at_once(
    bench: VirtualBench,
) -> None:
    bench.run(2)
    bench.plant.inject("battery_drop", {"pct": 85}, bench.now_ns)
    bench.run(3.5)
    assert set(codes(bench)) == {"A23", "A25"}
    bench.run(62)
    assert codes(bench) == ["A23"]
    assert bench.snapshot()["battery"]["percent"] == 15


def test_f63_a_gauge_that_is_frozen_is_found_out_within_five_minutes() -> None:
    bench = bench_with(TEN_WH, sensors_ms=250)
    bench.run(60)
    assert codes(bench) == []  # a battery that stands still has noise
    bench.plant.inject("battery_frozen", {}, bench.now_ns)
    bench.run(FROZEN_READINGS + 5)
    assert codes(bench) == ["A25"]
    with pytest.raises(Refusal, match="the battery's gauge is frozen"):
        bench.bolus("1")
    bench.plant.clear("all", bench.now_ns)
    bench.run(3)
    assert codes(bench) == []
    bench.close()


def room_with_desk(**facts: Any) -> tuple[Room, BatteryDesk, list[str]]:
    room, stops = Room(**{"battery": TEN_WH, "power_line": True, **facts}), list[str]()
    desk = BatteryDesk(room.c, room.alarms, stops.append)
    room.desks.append(desk)
    return room, desk, stops


def texts_against(desk: BatteryDesk) -> list[str]:
    return [one.code for one in desk.against_bolus()]


def test_f63_a_gauge_and_a_line_that_say_nothing_are_not_taken_for_good() -> None:
    room, desk, stops = room_with_desk()
    assert texts_against(desk) == ["battery_unknown", "power_line_unknown"]
    room.run(9)
    assert room.standing() == []
    room.run(6)
    assert room.standing() == ["Battery not known"]
    desk.hear_gauge(80, "")
    desk.hear_line(failing=False)
    room.turn()
    assert texts_against(desk) == []
    room.run(13)  # the bus hangs
    assert texts_against(desk) == ["battery_unknown"]
    assert stops == []


def test_f63_a_line_that_cannot_be_read_holds_up_boluses_and_is_an_alarm() -> None:
    room, desk, stops = room_with_desk(battery=None)
    desk.hear_line(failing=False)
    room.run(1)
    desk.hear_line(failing=None, text="GPIO26 cannot be read")
    assert texts_against(desk) == ["power_line_unknown"]
    room.run(3)
    assert room.standing() == ["Battery not known"]
    desk.hear_line(failing=False)
    room.run(1)
    assert texts_against(desk) == []
    assert stops == []


def test_a_machine_without_a_battery_hears_of_none() -> None:
    room, desk, stops = room_with_desk(battery=None, power_line=False)
    desk.hear_gauge(3, "")
    desk.hear_line(failing=True)
    room.run(30)
    assert desk.in_snapshot() == {"battery": None}
    assert texts_against(desk) == []
    assert room.standing() == stops == []


def after(gauge: Gauge, *readings: tuple[float, int | None]) -> Gauge:
    for at_s, percent in readings:
        text = "" if percent is not None else "no answer"
        gauge = heard(gauge, TEN_WH, percent, text, now_ns=int(at_s * NS_PER_S))
    return gauge


def test_f63_what_load_and_time_allow_is_believed_and_nothing_else() -> None:
    first = after(Gauge(), (0, 80))
    assert after(first, (1, 70)).percent == 70
    assert after(first, (1, 68)).doubt == "the battery's gauge went from 80 % to 68 % at once"
    assert after(first, (1, 68), (2, 79)).doubt == ""
    assert after(first, (600, 37)).percent == 37  # 10, and 4 times the load's 8.3
    assert after(first, (600, 35)).doubt
    assert after(first, (1, None), (2, 80)) == Gauge(80, 2 * NS_PER_S)
    assert after(first, (1, None), (2, None)).doubt_ns == NS_PER_S


def test_f63_a_gauge_that_jumps_about_is_never_believed() -> None:
    gauge = after(Gauge(), (0, 80))
    for second in range(1, 300):
        gauge = after(gauge, (second, 10 if second % 2 else 40))
        assert gauge.doubt
        assert gauge.worst in (10, 40)


# ------------------------------------------------------------------ the chips


class Bus:
    """An I2C bus with one chip: 16-bit registers, the high byte first."""

    def __init__(self, address: int, registers: dict[int, int]) -> None:
        self.address, self.registers = address, registers
        self.lost = self.closed = False
        self.on_write = lambda register, value: None

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        assert length == 2
        self._there(address)
        return list(self.registers[register].to_bytes(2, "big"))

    def write_i2c_block_data(self, address: int, register: int, data: list[int]) -> None:
        self._there(address)
        self.registers[register] = int.from_bytes(bytes(data), "big")
        self.on_write(register, self.registers[register])

    def _there(self, address: int) -> None:
        if self.lost or address != self.address:
            raise OSError(121, "Remote I/O error")

    def close(self) -> None:
        self.closed = True


def ina219(bus: Bus) -> Ina219:
    def reset(register: int, value: int) -> None:
        if (register, value) == (0, 0x8000):
            bus.registers[0] = 0x399F

    bus.on_write = reset
    return Ina219(bus, 0x40, empty_mv=3_300, full_mv=4_150)


@pytest.mark.parametrize(("soc", "percent"), [(0x6400, 100), (0x63FF, 99), (0x0080, 0)])
def test_sr_60_the_max17048_says_its_charge_in_256ths_of_a_percent(soc: int, percent: int) -> None:
    bus = Bus(0x36, {0x02: 50_000, 0x04: soc, 0x08: 0x0012})
    assert Max17048(bus, 0x36).read() == Charge(percent, 50_000 << 16 | soc)


@pytest.mark.parametrize(
    ("bus_mv", "shunt", "percent", "at_rest"),
    [
        (4_148, 0xF000, 99, False),
        (3_724, 0x0040, 49, True),
        (3_300, 0xFFF0, 0, True),
        (3_000, 0x0400, 0, False),
        (4_400, 0x0400, 129, False),
    ],
)
def test_sr_60_the_ina219_tells_the_charge_by_the_cells_voltage(
    bus_mv: int, shunt: int, percent: int, *, at_rest: bool
) -> None:
    bus = Bus(0x40, {0x00: 0, 0x01: shunt, 0x02: (bus_mv // 4) << 3 | 0b010})
    charge = ina219(bus).read()
    assert (charge.percent, charge.at_rest) == (percent, at_rest)
    assert bus.registers[0] == 0x3E67


def test_f63_a_gauge_that_is_another_chip_lost_or_without_cells_is_named() -> None:
    with pytest.raises(SensorFault, match=r"says version 0x0040, and a MAX17048 is 0x001x"):
        Max17048(Bus(0x36, {0x08: 0x0040}), 0x36)
    with pytest.raises(SensorFault, match="no battery gauge answers at I2C address 0x40"):
        ina219(Bus(0x41, {0x00: 0}))
    bus = Bus(0x40, {0x00: 0, 0x01: 0, 0x02: 0})
    gauge = ina219(bus)
    with pytest.raises(SensorFault, match="sees 0 mV: there is no battery"):
        gauge.read()
    bus.registers[0] = 0x399F
    with pytest.raises(SensorFault, match="it was without supply"):
        gauge.read()


def test_f63_a_gauge_that_was_lost_is_opened_again() -> None:
    bus, opened = Bus(0x36, {0x02: 1, 0x04: 0x3200, 0x08: 0x0012}), []

    def open_it() -> Max17048:
        opened.append(1)
        return Max17048(bus, 0x36)

    gauge = GaugeOf(open_it)
    assert gauge.read() == 50
    bus.lost = True
    for _ in range(2):
        with pytest.raises(SensorFault, match="check its wires"):
            gauge.read()
    bus.lost = False
    assert gauge.read() == 50
    assert len(opened) == 3
    assert bus.closed


def test_f63_a_full_gauge_may_say_a_little_over_100_and_no_more() -> None:
    said = [Charge(101, 1), Charge(105, 2), Charge(106, 3)]

    class Full:
        def read(self) -> Charge:
            return said.pop(0)

        def close(self) -> None:
            pass

    gauge = GaugeOf(Full)
    assert [gauge.read() for _ in range(3)] == [100, 100, 106]


def test_f63_an_ina219_at_rest_is_not_taken_for_frozen_and_one_under_load_is() -> None:
    bus = Bus(0x40, {0x00: 0, 0x01: 0x0005, 0x02: (4_000 // 4) << 3})
    gauge = GaugeOf(lambda: ina219(bus))
    for _ in range(2 * FROZEN_READINGS):
        gauge.read()
    bus.registers[0x01] = 0x0800
    for _ in range(FROZEN_READINGS - 1):
        gauge.read()
    with pytest.raises(SensorFault, match="frozen"):
        gauge.read()


def test_sr_60_a_power_fail_line_that_is_cut_says_that_the_supply_fails() -> None:
    bench = MockBench(BenchSettings(start_ns=0), lambda: 0)
    fails = power_line("lgpio", bench.factories, pin=26)
    assert fails is not None
    assert fails()  # nobody drives it
    bench.factories.inputs.pin(26).drive_high()
    assert not fails()
    assert power_line("lgpio", bench.factories, pin=None) is None
    bench.close()


def test_f63_the_benchs_gauge_has_noise_until_it_is_frozen() -> None:
    bench = MockBench(BenchSettings(start_ns=0), lambda: 0)
    cells = BenchCells(lambda channel: bench.plant.sample(channel, 0))
    assert len({cells.read().raw for _ in range(20)}) > 15
    bench.plant.inject("battery_frozen", {}, 0)
    assert len({cells.read().raw for _ in range(20)}) == 1
    assert bench.plant.sample(Channel.BATTERY_PCT, 0) == 100
    bench.close()
