"""``pumpctl hardware check`` on the bench: what is right, and each wire that is not."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.demo import _CONFIGURATION
from drivers.battery import BenchCells, gauge_of
from drivers.bench_pins import BenchFactory
from drivers.check import HardwareCheck, Look, Wiring
from drivers.gpio import PinFactories
from drivers.mock.mock_bench import MockBench
from drivers.mock.running import BenchProcess
from drivers.mock.settings import DEFAULT_PINS, BenchSettings

ROOT = Path(__file__).parents[2]


class Clock:
    """Real time: the bench's one-shot is real too."""

    @staticmethod
    def now_ns() -> int:
        import time

        return time.monotonic_ns()

    @staticmethod
    def sleep_ns(duration_ns: int) -> None:
        import time

        time.sleep(duration_ns / 1e9)


class Hand:
    """A person who looks, and does what is asked for, at the simulated bench."""

    def __init__(self, bench: BenchProcess, *, sees: bool = True) -> None:
        self.bench, self.sees = bench, sees
        self.moved: list[int] = []
        self._carriage = bench.control.call("status")["carriage_steps"]

    def confirms(self, question: str) -> bool:
        now = self.bench.control.call("status")
        if "carriage" in question:
            self.moved.append(now["carriage_steps"] - self._carriage)
            self._carriage = now["carriage_steps"]
            return self.moved[-1] != 0
        name = question.split()[1]
        wire = {"red": "lamp_high", "yellow": "lamp_medium", "cyan": "lamp_low"}.get(name, name)
        return self.sees and bool(now["signals"][wire])

    def is_told(self, text: str) -> None:
        if "stop button" in text:
            self.bench.control.call("press", button="stop", ms=400)
        elif "end stop" in text:
            self.bench.control.call("inject", name="end_stop_stuck", at="on")
        elif "Let go" in text:
            self.bench.control.call("clear", name="all")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BenchProcess]:
    with BenchProcess(tmp_path, ["--seed", "7"]) as running:
        running.control.call("set", syringe="out", carriage_steps=40_000)
        yield running


def looks(bench: BenchProcess, person: Hand, *, jog: bool = True) -> dict[str, Look]:
    factory = BenchFactory(bench.pins_socket, "a check", Clock.now_ns)
    pins = PinFactories(factory, factory, factory.fileno(), factory.poll)
    checking = HardwareCheck(
        pins,
        Wiring(
            **{wire.value: pin for wire, pin in DEFAULT_PINS.items()},
            direction_inverted=False,
            min_interval_us=2_000,
            step_pulse_us=2,
            has_readback=True,
            has_one_shot=True,
            has_stop_button=True,
        ),
        person,
        now_ns=Clock.now_ns,
        sleep_ns=Clock.sleep_ns,
        patience_ns=20_000_000_000,
    )
    try:
        return {one.name: one for one in checking.looks(jog=jog)}
    finally:
        checking.close()
        pins.close()


def test_a_machine_that_is_wired_right_passes_every_look(bench: BenchProcess) -> None:
    hand = Hand(bench)
    found = looks(bench, hand)
    assert {name: one.text for name, one in found.items() if not one.ok} == {}
    assert len(found) == 16
    assert hand.moved == [200, -200]
    now = bench.control.call("status")
    assert not now["enable"]
    assert now["missed_edges"] == 0


@pytest.mark.parametrize(
    ("fault", "parameters", "wrong"),
    [
        ("readback_dead", {}, "read-back"),
        ("lamp_dead", {"lamp": "high"}, "red lamp"),
        ("buzzer_dead", {}, "buzzer"),
        ("driver_fault", {}, "driver fault"),
    ],
)
def test_f64_a_wire_that_is_wrong_is_named_and_nothing_moves(
    bench: BenchProcess, fault: str, parameters: dict[str, object], wrong: str
) -> None:
    bench.control.call("inject", name=fault, **parameters)
    found = looks(bench, Hand(bench))
    assert not found[wrong].ok
    assert not found["motor"].ok
    assert bench.control.call("status")["steps_forward"] == 0


def test_without_a_one_shot_it_is_said(tmp_path: Path) -> None:
    with BenchProcess(tmp_path, ["--seed", "7", "--one-shot", "none"]) as bench:
        found = looks(bench, Hand(bench), jog=False)
    assert found["one-shot"].text == "stays on without ALIVE: the one-shot"


def test_sr_62_it_touches_nothing_while_a_guard_holds_a_line(tmp_path: Path) -> None:
    for name in ("state", "run"):
        (tmp_path / name).mkdir()
    path = tmp_path / "benchpump.toml"
    path.write_text(_CONFIGURATION.format(state=f'"{tmp_path}/state"', runtime=f'"{tmp_path}/run"'))
    words = [sys.executable, "-P", "-m", "appliance.cli", "hardware", "check", "--json"]
    with BenchProcess(tmp_path / "run") as bench:
        os.symlink(bench.pins_socket, tmp_path / "run" / "pins.sock")
        holder = BenchFactory(bench.pins_socket, "pump-guard", Clock.now_ns)
        holder.pin(22).function = "output"
        done = subprocess.run(
            [*words, f"--config={path}", "--no-jog"],
            cwd=ROOT,
            input="",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        holder.close()
    assert done.returncode == 1
    assert "busy" in done.stderr
    assert "systemctl stop pumpd pump-guard" in done.stderr


def test_the_verb_says_every_look_as_json(tmp_path: Path) -> None:
    for name in ("state", "run"):
        (tmp_path / name).mkdir()
    path = tmp_path / "benchpump.toml"
    text = _CONFIGURATION.format(state=f'"{tmp_path}/state"', runtime=f'"{tmp_path}/run"')
    path.write_text(text.replace("stop_button = true", "stop_button = false"))
    with BenchProcess(tmp_path / "run") as bench:
        os.symlink(bench.pins_socket, tmp_path / "run" / "pins.sock")
        bench.control.call("inject", name="readback_dead")
        bench.control.call("inject", name="end_stop_stuck", at="on")
        done = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "appliance.cli", "hardware", "check", "--json"),
                *(f"--config={path}", "--no-jog", "--patience=1"),
            ],
            cwd=ROOT,
            input="y\ny\nn\ny\n",
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert not found["ok"]
    wrong = {one["name"] for one in found["looks"] if not one["ok"]}
    assert {"read-back", "end stop", "cyan lamp"} <= wrong


def test_the_supplys_line_and_the_batterys_gauge_are_looked_at_where_there_are_some(
    bench: BenchProcess,
) -> None:
    factory = BenchFactory(bench.pins_socket, "a check", Clock.now_ns)
    pins = PinFactories(factory, factory, factory.fileno(), factory.poll)
    gauge = gauge_of(
        "bench",
        lambda: BenchCells(factory.sample),
        bus=1,
        address=None,
        empty_mv=3_300,
        full_mv=4_150,
    )
    wiring = Wiring(
        **{wire.value: pin for wire, pin in DEFAULT_PINS.items()},
        direction_inverted=False,
        min_interval_us=2_000,
        step_pulse_us=2,
        has_readback=False,
        has_one_shot=True,
        has_stop_button=False,
    )
    checking = HardwareCheck(
        pins,
        wiring,
        Hand(bench),
        now_ns=Clock.now_ns,
        sleep_ns=Clock.sleep_ns,
        patience_ns=20_000_000_000,
        gauge=gauge,
    )
    try:
        found = {one.name: one for one in itertools.islice(checking.looks(jog=False), 3)}
        assert found["battery"] == Look("battery", ok=True, text="its gauge says 100 %")
        bench.control.call("inject", name="battery_over", pct=130)
        again = {one.name: one for one in itertools.islice(checking.looks(jog=False), 3)}
        assert again["battery"] == Look("battery", ok=False, text="its gauge says 130 %")
    finally:
        checking.close()
        pins.close()


def test_a_power_fail_line_whose_wire_is_cut_is_not_right() -> None:
    mock = MockBench(BenchSettings(start_ns=0), lambda: 0)
    wiring = Wiring(
        **{wire.value: pin for wire, pin in DEFAULT_PINS.items()},
        direction_inverted=False,
        min_interval_us=2_000,
        step_pulse_us=0,
        has_readback=False,
        has_one_shot=False,
        has_stop_button=False,
        power_fail_n=26,
    )
    checking = HardwareCheck(
        mock.factories,
        wiring,
        Hand.__new__(Hand),
        now_ns=lambda: 0,
        sleep_ns=lambda _ns: None,
        patience_ns=0,
    )
    found = {one.name: one for one in itertools.islice(checking.looks(jog=False), 3)}
    assert not found["power-fail line"].ok
    assert "wire is cut" in found["power-fail line"].text
    checking.close()
    mock.close()
