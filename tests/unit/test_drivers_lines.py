"""Inputs, outputs, the edge counter and the assemblies on the mock bench; SR-28's filter."""

import pytest
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import PinFault
from drivers.assembly import GuardHardware, StepperHardware, guard_hardware, stepper_hardware
from drivers.edge_counter import EdgeCounter
from drivers.gpio import PinFactories
from drivers.lines import RELEASE_NS, EndStopFilter, Line, Output
from drivers.mock.mock_bench import MockBench
from drivers.mock.settings import BenchSettings, Wire

MS = 1_000_000


def plain() -> PinFactories:
    factory = MockFactory()
    return PinFactories(outputs=factory, inputs=factory)


class Turned:
    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize(
    ("active_low", "cut_is_active", "pull", "when_cut"),
    [
        (True, True, "down", True),
        (True, False, "up", False),
        (False, True, "up", True),
        (False, False, "down", False),
    ],
)
def test_a_cut_wire_reads_as_was_chosen(
    pull: str, *, active_low: bool, cut_is_active: bool, when_cut: bool
) -> None:
    pins = plain()
    line = Line(pins, 24, name="switch", active_low=active_low, cut_is_active=cut_is_active)
    pin = pins.inputs.pin(24)
    assert pin.pull == pull
    assert line.is_active() is when_cut
    pin.drive_high()
    assert line.is_active() is not active_low
    pin.drive_low()
    assert line.is_active() is active_low


def test_an_output_is_inactive_from_its_first_instant_on() -> None:
    for active_low in (False, True):
        pins = plain()
        pin = pins.outputs.pin(22)
        if active_low:
            pin.drive_high()  # the resistor's level
        pin.clear_states()
        output = Output(pins, 22, name="ENABLE", active_low=active_low)
        output.set(active=True)
        output.set(active=False)
        levels = [seen.state for seen in pin.states]
        assert levels == ([True, False, True] if active_low else [False, True, False])


def test_an_output_that_does_not_follow_is_a_fault_that_names_it() -> None:
    pins = plain()
    output = Output(pins, 22, name="ENABLE", active_low=True)
    pins.outputs.pin(22)._change_state = lambda _: False
    with pytest.raises(PinFault, match="ENABLE on GPIO22 reads True after it was set to 0"):
        output.set(active=True)


def test_a_pin_of_two_devices_in_one_program_is_busy() -> None:
    pins = plain()
    first = Output(pins, 22, name="ENABLE")
    with pytest.raises(PinFault, match="buzzer on GPIO22: busy in this program"):
        Output(pins, 22, name="buzzer")
    first.close()
    Output(pins, 22, name="buzzer")


@pytest.mark.parametrize("pin", [2, 3])
def test_a_pin_with_a_resistor_of_its_own_cannot_have_the_other_pull(pin: int) -> None:
    with pytest.raises(PinFault, match=f"end stop on GPIO{pin}"):
        Line(plain(), pin, name="end stop")


def test_the_edge_counter_counts_rising_edges_alone() -> None:
    pins = plain()
    counter = EdgeCounter(pins, 5)
    pin = pins.inputs.pin(5)
    for _ in range(7):
        pin.drive_high()
        pin.drive_low()
    pin.drive_high()
    assert counter.count() == 8
    with pytest.raises(PinFault, match="STEP read-back on GPIO5: busy in this program"):
        EdgeCounter(pins, 5)
    counter.close()
    EdgeCounter(pins, 5).close()


# ------------------------------------------------------------------ SR-28


def test_sr28_the_first_active_sample_counts_at_once() -> None:
    end_stop = EndStopFilter()
    assert end_stop.sample(active=False, now_ns=0) is False
    assert end_stop.sample(active=True, now_ns=1) is True


def test_sr28_release_needs_5_ms_without_an_active_sample() -> None:
    end_stop = EndStopFilter()
    end_stop.sample(active=True, now_ns=0)
    assert end_stop.sample(active=False, now_ns=MS) is True
    assert end_stop.sample(active=False, now_ns=MS + RELEASE_NS - 1) is True
    assert end_stop.sample(active=True, now_ns=MS + RELEASE_NS) is True
    assert end_stop.sample(active=False, now_ns=10 * MS) is True
    assert end_stop.sample(active=False, now_ns=10 * MS + RELEASE_NS) is False


@given(
    bounces_us=st.lists(
        st.tuples(st.integers(100, 20_000), st.integers(100, 4_800)), min_size=1, max_size=20
    ),
    sample_us=st.sampled_from([20, 50, 100]),
)
def test_sr28_a_bounce_of_a_tenth_to_twenty_ms_is_one_closing_and_one_release(
    bounces_us: list[tuple[int, int]], sample_us: int
) -> None:
    end_stop = EndStopFilter()
    raw = [False] * 3
    for closed_us, open_us in bounces_us:
        raw += [True] * (closed_us // sample_us) + [False] * (open_us // sample_us)
    raw += [False] * (10_000 // sample_us)
    seen = [
        end_stop.sample(active=active, now_ns=place * sample_us * 1_000)
        for place, active in enumerate(raw)
    ]
    last_active = len(raw) - 1 - raw[::-1].index(True)
    released = last_active + 1 + 5_000 // sample_us
    assert seen == [3 <= place < released for place in range(len(raw))]


@given(st.lists(st.tuples(st.integers(1, 6 * MS), st.booleans()), max_size=80))
def test_sr28_active_exactly_while_an_active_sample_is_not_5_ms_of_silence_ago(
    samples: list[tuple[int, bool]],
) -> None:
    end_stop = EndStopFilter()
    at_ns, expected, clear_since = 0, False, None
    for gap_ns, active in samples:
        at_ns += gap_ns
        if active:
            expected, clear_since = True, None
        else:
            clear_since = at_ns if clear_since is None else clear_since
            expected = expected and at_ns - clear_since < RELEASE_NS
        assert end_stop.sample(active=active, now_ns=at_ns) is expected


# ------------------------------------------------------------------ assemblies


def stepper(bench: MockBench) -> StepperHardware:
    return stepper_hardware(
        bench.factories,
        step=17,
        direction=27,
        end_stop_n=24,
        driver_fault_n=25,
        direction_inverted=False,
        min_interval_us=2_000,
        step_pulse_us=0,
        now_ns=bench.now_ns,
    )


def guard(bench: MockBench, **declared_away: None) -> GuardHardware:
    pins: dict[str, int | None] = {
        "enable_n": 22,
        "alive": 23,
        "readback": 5,
        "enable_feedback_n": 6,
        "stop_button_n": 13,
        "buzzer": 12,
        "lamp_high": 16,
        "lamp_medium": 20,
        "lamp_low": 21,
    }
    return guard_hardware(bench.factories, **(pins | declared_away))


def test_stepper_and_guard_work_one_bench_together() -> None:
    clock = Turned()
    bench = MockBench(BenchSettings(), clock)
    motor, watch = stepper(bench), guard(bench)
    assert not watch.enable_feedback.is_active()
    watch.alive.set(active=True)
    watch.enable.set(active=True)
    assert watch.enable_feedback.is_active()
    motor.axis.allow(10)
    for _ in range(10):
        clock.ns += 3 * MS
        motor.axis.step()
    assert watch.counter is not None
    assert watch.counter.count() == bench.plant.steps_forward == 10
    clock.ns += 60 * MS
    watch.poll()
    assert not watch.enable_feedback.is_active()
    lines = (motor.end_stop, motor.driver_fault, watch.stop_button)
    assert [line.is_active() for line in lines if line is not None] == [False] * 3
    bench.plant.inject("driver_fault", {}, clock.ns)
    bench.plant.press("stop", 50, clock.ns)
    bench.plant.inject("end_stop_open", {}, clock.ns)
    assert [line.is_active() for line in lines if line is not None] == [True] * 3
    watch.lamps.high.set(active=True)
    watch.buzzer.set(active=True)
    assert bench.plant.status(clock.ns)["signals"] == {
        "buzzer": True,
        "lamp_high": True,
        "lamp_medium": False,
        "lamp_low": False,
    }
    watch.close()
    motor.close()
    assert not any(bench.plant.status(clock.ns)["signals"].values())


def test_sr28_the_steppers_end_stop_comes_without_its_bounces() -> None:
    clock = Turned()
    bench = MockBench(BenchSettings(one_shot="none"), clock)
    motor = stepper(bench)
    bench.plant.inject("end_stop_bounce", {"ms": 4}, 0)
    bench.plant.set({"syringe": "out", "carriage_steps": 0}, 0)
    seen = []
    for _ in range(300):  # a look every 0.1 ms
        clock.ns += MS // 10
        seen.append(motor.end_stop.is_active())
    first = seen.index(True)
    assert first < 40
    assert all(seen[first:])
    bench.plant.set({"carriage_steps": 1}, clock.ns)
    for _ in range(300):
        clock.ns += MS // 10
        seen.append(motor.end_stop.is_active())
    assert seen.index(False) >= 300 + 49  # 5 ms after the first open look at the earliest
    assert not any(seen[300 + 40 + 55 :])  # 4 ms of bouncing, then 5 ms
    motor.close()


def test_enable_is_off_when_built_and_given_back_first() -> None:
    clock = Turned()
    bench = MockBench(BenchSettings(one_shot="none"), clock)
    watch = guard(bench)
    assert list(bench.plant.enable_trace) == []
    watch.enable.set(active=True)
    watch.lamps.low.set(active=True)
    seen: list[Wire] = []
    drive = bench.plant.drive

    def noting(wire: Wire, level: int | None, at_ns: int) -> None:
        seen.append(wire)
        drive(wire, level, at_ns)

    bench.plant.drive = noting
    watch.close()
    assert seen[0] is Wire.ENABLE_N
    assert not bench.plant.enable


def test_what_is_declared_away_is_not_claimed() -> None:
    bench = MockBench(BenchSettings(), Turned())
    bench.plant.inject("pins_busy", {"line": "readback"}, 0)
    watch = guard(bench, readback=None, stop_button_n=None)
    assert (watch.counter, watch.stop_button) == (None, None)


@pytest.mark.parametrize("line", ["enable_n", "readback", "lamp_low", "enable_feedback_n"])
def test_f61_a_guard_that_cannot_have_one_line_has_none(line: str) -> None:
    bench = MockBench(BenchSettings(), Turned())
    bench.plant.inject("pins_busy", {"line": line}, 0)
    with pytest.raises(PinFault, match=f"{line}: busy: another program"):
        guard(bench)
    bench.plant.clear("all", 0)
    guard(bench).close()


def test_f61_a_missing_chip_is_named() -> None:
    bench = MockBench(BenchSettings(), Turned())
    bench.plant.inject("chip_missing", {}, 0)
    with pytest.raises(PinFault, match="STEP on GPIO17: step: no_chip"):
        stepper(bench)
