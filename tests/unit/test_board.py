"""The computer itself: heat stops delivery, a weak supply holds up boluses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.bench import Refusal, VirtualBench
from drivers.board import PiBoard


@pytest.fixture
def bench() -> Iterator[VirtualBench]:
    made = VirtualBench(basal_uu_per_h=0, sensors_ms=50)
    yield made
    made.close()


def codes(bench: VirtualBench) -> list[str]:
    return [one["code"] for one in bench.snapshot()["alarms"]]


def test_sr_61_a_board_that_is_too_hot_stops_delivery_and_keeps_the_account(
    bench: VirtualBench,
) -> None:
    request_id = bench.start_bolus("5")
    bench.run(10)
    bench.plant.set({"board_c": 80}, bench.now_ns)
    bench.run(2)
    dose = bench.dose(request_id)
    assert dose["certainty"] == "exact"
    assert 0 < dose["confirmed_steps"] < dose["programmed_steps"]
    assert "80 C" in dose["why"]
    assert bench.snapshot()["state"] == "suspended"
    assert "A21" in codes(bench)
    with pytest.raises(Refusal, match="the board has 80 C"):
        bench.ask("resume")
    bench.plant.set({"board_c": 60}, bench.now_ns)
    bench.run(2)
    bench.ask("resume")
    assert bench.snapshot()["state"] == "running"


@pytest.mark.parametrize(
    ("fault", "text"), [("throttled", "is throttled"), ("under_voltage", "voltage is too low")]
)
def test_f62_a_weak_supply_holds_up_new_boluses_and_lets_the_running_one_end(
    bench: VirtualBench, fault: str, text: str
) -> None:
    request_id = bench.start_bolus("0.5")
    bench.run(2)
    bench.plant.inject(fault, {}, bench.now_ns)
    bench.run(1)
    with pytest.raises(Refusal, match=text):
        bench.bolus("1")
    bench.run(60)
    assert bench.dose(request_id)["outcome"] == "done"
    assert bench.snapshot()["state"] == "running"
    assert "A22" in codes(bench)
    bench.plant.clear("all", bench.now_ns)
    bench.run(61)
    assert bench.bolus("1")["certainty"] == "exact"


def sysfs(folder: Path, temp: str = "48312", alarm: str = "0", throttled: str = "0") -> Path:
    zone = folder / "class" / "thermal" / "thermal_zone0"
    volt = folder / "class" / "hwmon" / "hwmon1"
    firmware = folder / "devices" / "platform" / "soc" / "soc:firmware"
    for place in (zone, volt, volt.with_name("hwmon0"), firmware):
        place.mkdir(parents=True, exist_ok=True)
    (zone / "temp").write_text(f"{temp}\n")
    (volt.with_name("hwmon0") / "name").write_text("cpu_thermal\n")
    (volt / "name").write_text("rpi_volt\n")
    (volt / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    (firmware / "get_throttled").write_text(f"{throttled}\n")
    return folder


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({}, (48, 0)),
        ({"temp": "80999"}, (80, 0)),
        ({"alarm": "1"}, (48, 1)),
        ({"throttled": "50000"}, (48, 0)),  # was, since the start, and is not now
        ({"throttled": "50005"}, (48, 3)),
        ({"temp": "nonsense", "throttled": ""}, (None, 0)),
    ],
)
def test_f62_what_a_pis_kernel_says_is_read(
    tmp_path: Path, said: dict[str, str], seen: tuple[int | None, int]
) -> None:
    assert PiBoard(sysfs(tmp_path, **said))() == seen


def test_what_a_kernel_does_not_have_is_not_known(tmp_path: Path) -> None:
    assert PiBoard(tmp_path)() == (None, 0)


def test_sr_61_a_pump_that_starts_while_it_is_too_hot_does_not_begin_to_deliver() -> None:
    bench = VirtualBench(basal_uu_per_h=2_000_000, sensors_ms=100)
    bench.run(5)
    bench.stop_pump()
    bench.plant.set({"board_c": 85}, bench.now_ns)
    bench.start_pump()
    bench.run(10)
    assert bench.state == "suspended"
    bench.plant.set({"board_c": 60}, bench.now_ns)
    bench.run(1)
    bench.ask("resume")
    assert bench.state == "running"
    bench.close()
