"""One contract, two benches: the plant behind MockFactory, and behind bench-sim's socket.

Whatever is promised of axis, lines and counter holds on both, so a unit test on the one says
something of the programs on the other.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance import ports
from appliance.adapters.clock import real_monotonic_ns
from appliance.errors import ActuatorFault, PinFault, SensorFault
from drivers.assembly import GuardHardware, StepperHardware, guard_hardware, stepper_hardware
from drivers.bench_wire import Channel
from drivers.factory import build_factory
from drivers.force import force_sensor
from drivers.gpio import PinFactories
from drivers.mock.faults import BadFault
from drivers.mock.mock_bench import MockBench
from drivers.mock.running import BenchProcess, BenchRefused
from drivers.mock.settings import BenchSettings

INTERVAL_NS = 2_000_000
DEADLINE_S = 5.0


class Bench(ABC):
    """What a test needs of either bench. It is built without a one-shot."""

    @abstractmethod
    def now_ns(self) -> int: ...

    @abstractmethod
    def pass_ns(self, ns: int) -> None:
        """Let time pass, at least so much."""

    @abstractmethod
    def pins(self, owner: str) -> PinFactories: ...

    @abstractmethod
    def end_programs(self) -> None:
        """Let every program end that has pins; theirs are closed."""

    @abstractmethod
    def call(self, method: str, **params: Any) -> Any: ...

    @abstractmethod
    def take_away(self) -> None:
        """Make the bench as gone as it can be."""

    def truth(self) -> dict[str, Any]:
        return dict(self.call("status"))

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition: what is pushed takes its time on a socket."""
        deadline = time.monotonic() + DEADLINE_S
        while not true():
            assert time.monotonic() < deadline, "not within 5 s"
            self.pass_ns(100_000)


class InMemory(Bench):
    def __init__(self) -> None:
        self.ns = 0
        settings = BenchSettings(one_shot="none", motor_min_pulse_ns=0)  # a write takes no time
        self.bench = MockBench(settings, self.now_ns)

    def now_ns(self) -> int:
        return self.ns

    def pass_ns(self, ns: int) -> None:
        self.ns += ns

    def pins(self, owner: str) -> PinFactories:
        return self.bench.factories

    def end_programs(self) -> None:
        pass

    def call(self, method: str, **params: Any) -> Any:
        plant = self.bench.plant
        match method:
            case "status":
                return plant.status(self.ns)
            case "traces":
                return plant.traces(**params)
            case "inject":
                return plant.inject(params.pop("name"), params, self.ns)
            case "clear":
                return plant.clear(params["name"], self.ns)
            case "press":
                return plant.press(params["button"], params["ms"], self.ns)
            case "set":
                return plant.set(params, self.ns)
        raise AssertionError(method)

    def take_away(self) -> None:
        self.call("inject", name="chip_missing")


class OverASocket(Bench):
    def __init__(self, folder: Path) -> None:
        self.bench = BenchProcess(folder, ["--one-shot", "none"])
        self.opened: list[PinFactories] = []

    def now_ns(self) -> int:
        return real_monotonic_ns()

    def pass_ns(self, ns: int) -> None:
        time.sleep(ns / 1e9)

    def pins(self, owner: str) -> PinFactories:
        self.opened.append(
            build_factory(
                "bench", owner=owner, now_ns=self.now_ns, bench_socket=self.bench.pins_socket
            )
        )
        return self.opened[-1]

    def call(self, method: str, **params: Any) -> Any:
        return self.bench.control.call(method, **params)

    def take_away(self) -> None:
        self.bench.kill()

    def end_programs(self) -> None:
        for pins in self.opened:
            pins.close()
        self.opened.clear()

    def close(self) -> None:
        self.end_programs()
        self.bench.close()


@pytest.fixture(params=["in memory", "over a socket"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "in memory":
        yield InMemory()
    else:
        over_a_socket = OverASocket(tmp_path)
        yield over_a_socket
        over_a_socket.close()


def stepper(bench: Bench, min_interval_us: int = INTERVAL_NS // 1_000) -> StepperHardware:
    return stepper_hardware(
        bench.pins("stepper"),
        step=17,
        direction=27,
        end_stop_n=24,
        driver_fault_n=25,
        direction_inverted=False,
        min_interval_us=min_interval_us,
        step_pulse_us=0 if isinstance(bench, InMemory) else 2,
        now_ns=bench.now_ns,
    )


def guard(bench: Bench) -> GuardHardware:
    return guard_hardware(
        bench.pins("guard"),
        enable_n=22,
        alive=23,
        readback=5,
        enable_feedback_n=6,
        stop_button_n=13,
        buzzer=12,
        lamp_high=16,
        lamp_medium=20,
        lamp_low=21,
    )


def test_both_are_what_the_ports_ask_for(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    axis: ports.StepActuator = motor.axis
    inputs: list[ports.InputLine] = [motor.end_stop, motor.driver_fault, watch.enable_feedback]
    outputs: list[ports.OutputLine] = [watch.enable, watch.alive, watch.buzzer, watch.lamps.high]
    counter: ports.EdgeCounter | None = watch.counter
    assert axis is not None
    assert counter is not None
    assert [line.is_active() for line in inputs] == [False] * 3
    for output in outputs:
        output.set(active=False)
    motor.close()
    watch.close()


def test_the_axis_makes_one_rising_edge_for_each_step(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    watch.enable.set(active=True)
    motor.axis.allow(25)
    for _ in range(25):
        bench.pass_ns(INTERVAL_NS)
        assert motor.axis.step() == 1
    counter = watch.counter
    assert counter is not None
    bench.until(lambda: counter.count() == 25)
    trace = bench.call("traces", last=1_000)
    assert [level for _, level in trace["step"]] == [1, 0] * 25
    stamps = [at_ns for at_ns, level in trace["step"] if level]
    assert min(later - at for at, later in pairwise(stamps)) >= INTERVAL_NS
    truth = bench.truth()
    counts = ("steps_forward", "steps_reverse", "edges_seen", "missed_edges", "short_pulses")
    assert [truth[name] for name in counts] == [25, 0, 25, 0, 0]
    assert motor.axis.issued_steps == 25
    motor.close()
    watch.close()


def test_sr16_no_edge_over_the_budget_and_sr23_none_too_early(bench: Bench) -> None:
    motor = stepper(bench, min_interval_us=50_000)
    with pytest.raises(ActuatorFault, match="used up"):
        motor.axis.step()
    motor.axis.allow(2)
    motor.axis.step()
    with pytest.raises(ActuatorFault, match="too early"):
        motor.axis.step()
    bench.pass_ns(50_000_000)
    motor.axis.step()
    bench.pass_ns(50_000_000)
    with pytest.raises(ActuatorFault, match="used up"):
        motor.axis.step()
    bench.until(lambda: bench.truth()["edges_seen"] == 2)
    assert bench.truth()["edges_while_disabled"] == 2
    motor.close()


def test_dir_reverses_and_the_end_stop_says_where_the_carriage_is(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    bench.call("set", syringe="out", carriage_steps=2)
    watch.enable.set(active=True)
    bench.until(watch.enable_feedback.is_active)  # the stepper is told only then
    motor.axis.set_direction(-1)
    motor.axis.allow(10)
    steps = 0
    while not motor.end_stop.is_active():
        bench.pass_ns(INTERVAL_NS)
        motor.axis.step()
        steps += 1
        if steps == 2:
            bench.until(motor.end_stop.is_active)
    assert steps == 2
    motor.axis.set_direction(1)
    bench.pass_ns(INTERVAL_NS)
    motor.axis.step()
    bench.until(lambda: not motor.end_stop.is_active())
    truth = bench.truth()
    assert (truth["steps_forward"], truth["steps_reverse"], truth["carriage_steps"]) == (1, 2, 1)
    motor.close()
    watch.close()


def test_enable_is_what_the_guard_sets_and_off_when_it_lets_go(bench: Bench) -> None:
    watch = guard(bench)
    assert bench.truth()["enable"] is False
    for active in (True, False, True):
        watch.enable.set(active=active)
        bench.until(lambda active=active: watch.enable_feedback.is_active() is active)
        assert bench.truth()["enable"] is active
    watch.close()
    assert bench.truth()["enable"] is False
    assert [on for _, on, _ in bench.call("traces", last=9)["enable"]] == [True, False, True, False]


def test_buzzer_and_lamps_are_heard_and_seen(bench: Bench) -> None:
    watch = guard(bench)
    watch.buzzer.set(active=True)
    watch.lamps.medium.set(active=True)
    lit = {"buzzer": True, "lamp_high": False, "lamp_medium": True, "lamp_low": False}
    bench.until(lambda: bench.truth()["signals"] == lit)
    watch.close()
    assert not any(bench.truth()["signals"].values())


def test_the_stop_button_is_seen_pressed_and_released(bench: Bench) -> None:
    watch = guard(bench)
    button = watch.stop_button
    assert button is not None
    assert not button.is_active()
    bench.call("press", button="stop", ms=60)
    bench.until(button.is_active)
    bench.until(lambda: not button.is_active())
    watch.close()


@pytest.mark.parametrize(
    ("name", "given", "counted"),
    [
        ("readback_miss", {"edges": 3}, 17),
        ("readback_miss_every", {"nth": 10}, 18),
        ("readback_dead", {}, 0),
        ("readback_extra_every", {"nth": 5}, 24),
        ("step_stuck", {"level": "low"}, 0),
    ],
)
def test_f53_to_f55_the_counter_sees_what_the_fault_lets_through(
    bench: Bench, name: str, given: dict[str, Any], counted: int
) -> None:
    motor, watch = stepper(bench), guard(bench)
    counter = watch.counter
    assert counter is not None
    watch.enable.set(active=True)
    bench.call("inject", name=name, **given)
    motor.axis.allow(20)
    for _ in range(20):
        bench.pass_ns(INTERVAL_NS)
        motor.axis.step()
    bench.until(lambda: bench.truth()["edges_sent"] == 20)
    bench.until(lambda: counter.count() == counted)
    assert counter.count() == counted
    assert bench.truth()["steps_forward"] == (0 if name == "step_stuck" else 20)
    motor.close()
    watch.close()


def test_f55_edges_that_are_none_are_counted_at_rest(bench: Bench) -> None:
    watch = guard(bench)
    counter = watch.counter
    assert counter is not None
    bench.call("inject", name="readback_extra", edges=7)
    bench.until(lambda: counter.count() == 7)
    watch.close()


@pytest.mark.parametrize("resting", [0, 1])
def test_a_callback_sees_every_edge_in_its_turn_though_many_come_as_one(
    bench: Bench, resting: int
) -> None:
    step = bench.pins("stepper").outputs.pin(17)
    step.output_with_state(0)
    step.state = resting
    bench.until(lambda: bench.truth()["levels"]["readback"] == resting)
    reader = bench.pins("guard").inputs
    pin = reader.pin(5)
    pin.input_with_pull("down")
    seen: list[int] = []

    def edge(_ticks: Any, level: int) -> None:
        seen.append(int(level))

    pin.edges = "both"
    pin.when_changed = edge
    bench.call("inject", name="readback_extra", edges=3)
    bench.until(lambda: pin.state == resting and len(seen) >= 6)
    assert seen == [1 - resting, resting] * 3
    pin.close()
    step.close()


def test_f57_f60_the_lines_say_what_the_faults_make_of_them(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    cases: list[tuple[str, dict[str, str], ports.InputLine]] = [
        ("end_stop_open", {}, motor.end_stop),
        ("end_stop_stuck", {"at": "on"}, motor.end_stop),
        ("driver_fault", {}, motor.driver_fault),
        ("enable_feedback", {"says": "on"}, watch.enable_feedback),
    ]
    for name, given, line in cases:
        bench.call("inject", name=name, **given)
        bench.until(line.is_active)
        bench.call("clear", name=name)
        bench.until(lambda line=line: not line.is_active())
    motor.close()
    watch.close()


def test_f61_a_busy_line_is_a_pin_fault_that_names_its_holder(bench: Bench) -> None:
    motor = stepper(bench)
    with pytest.raises(PinFault, match=r"STEP on GPIO17.*busy"):
        stepper(bench)
    motor.close()
    stepper(bench).close()


def test_f61_a_line_that_another_program_holds(bench: Bench) -> None:
    bench.call("inject", name="pins_busy", line="readback")
    with pytest.raises(PinFault, match=r"read-back on GPIO5.*busy.*another program"):
        guard(bench)
    bench.call("clear", name="pins_busy")
    guard(bench).close()


def test_f61_a_lost_permission_stops_every_write_and_nothing_is_tried_again(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    watch.enable.set(active=True)
    motor.axis.allow(5)
    motor.axis.step()
    bench.until(lambda: bench.truth()["edges_seen"] == 1)
    bench.call("inject", name="pins_denied")
    bench.pass_ns(INTERVAL_NS)
    with pytest.raises(PinFault, match="permission lost"):
        motor.axis.step()
    with pytest.raises(ActuatorFault, match="used up"):
        motor.axis.step()
    with pytest.raises(PinFault, match="permission lost"):
        watch.enable.set(active=False)
    assert bench.truth()["edges_seen"] == 1
    motor.close()
    watch.close()
    bench.end_programs()
    with pytest.raises(PinFault, match=r"no permission|denied"):
        stepper(bench)
    bench.call("clear", name="pins_denied")
    stepper(bench).close()


def test_a_bench_that_is_gone_is_a_pin_fault_at_once_and_for_good(bench: Bench) -> None:
    motor, watch = stepper(bench), guard(bench)
    force = force_sensor(
        "bench", bench.pins("pumpd"), now_ns=bench.now_ns, zero_counts=0, un_per_count=1_000
    )
    assert force is not None
    force.read()
    counter = watch.counter
    assert counter is not None
    bench.take_away()
    for _ in range(2):
        with pytest.raises(PinFault):
            motor.end_stop.is_active()
        with pytest.raises(PinFault):
            counter.count()
        with pytest.raises(PinFault):
            watch.enable_feedback.is_active()
        with pytest.raises(SensorFault):
            force.read()
    with pytest.raises(PinFault):
        stepper(bench)
    motor.close()
    watch.close()


def test_the_force_is_what_pushes_and_a_broken_sensor_is_a_fault(bench: Bench) -> None:
    pins = bench.pins("pumpd")
    sensor = force_sensor("bench", pins, now_ns=bench.now_ns, zero_counts=0, un_per_count=1_000)
    assert sensor is not None
    readings = [sensor.read().force_mn for _ in range(50)]
    assert sum(readings) / 50 == pytest.approx(1_000, abs=30)
    bench.call("inject", name="force_spike", mn=50_000, ms=60_000)
    assert sensor.read().force_mn == pytest.approx(51_000, abs=150)
    for name in ("force_nan", "force_saturated", "force_frozen"):
        bench.call("inject", name=name)
        with pytest.raises(SensorFault):
            _ = [sensor.read() for _ in range(16)]
        bench.call("clear", name=name)
    bench.call("set", battery_pct=42)
    assert pins.inputs.sample(Channel.BATTERY_PCT) == 42


def test_bad_words_are_refused_with_field_value_and_range(bench: Bench) -> None:
    for method, given, says in (
        ("inject", {"name": "nonsense"}, "occlusion"),
        ("inject", {"name": "occlusion", "ramp_s": -1}, "occlusion.ramp_s = -1"),
        ("clear", {"name": "nonsense"}, "occlusion"),
        ("press", {"button": "go", "ms": 1}, "stop"),
        ("press", {"button": "stop", "ms": 0}, "ms = 0"),
        ("set", {"battery_pct": 101}, "battery_pct = 101"),
    ):
        with pytest.raises((BadFault, BenchRefused), match=says):
            bench.call(method, **given)
    assert bench.truth()["faults"] == {}
