"""STEP and DIR on the mock bench: what the axis does, and what it refuses."""

import time
from collections.abc import Callable

import pytest
from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import ActuatorFault, PinFault
from drivers.gpio import PinFactories
from drivers.mock.mock_bench import MockBench, QuietPin
from drivers.mock.settings import BenchSettings, Wire
from drivers.step_dir import StepDirAxis

INTERVAL_NS = 2_000_000


class Turned:
    """A clock that the test turns; each look may cost some time."""

    def __init__(self, look_ns: int = 0) -> None:
        self.ns = 0
        self.look_ns = look_ns

    def __call__(self) -> int:
        self.ns += self.look_ns
        return self.ns


def built(
    clock: Callable[[], int],
    pulse_ns: int = 0,
    wait_until_ns: Callable[[int], None] | None = None,
    *,
    inverted: bool = False,
) -> tuple[StepDirAxis, MockBench]:
    bench = MockBench(BenchSettings(one_shot="none"), clock)
    axis = StepDirAxis(
        bench.factories,
        step=17,
        direction=27,
        now_ns=clock,
        min_interval_ns=INTERVAL_NS,
        pulse_ns=pulse_ns,
        setup_ns=0,
        inverted=inverted,
        wait_until_ns=wait_until_ns,
    )
    bench.plant.drive(Wire.ENABLE_N, 0, clock())
    return axis, bench


def test_sr_19_it_makes_one_rising_edge_for_each_step() -> None:
    clock = Turned()
    axis, bench = built(clock)
    axis.allow(3)
    for _ in range(3):
        clock.ns += INTERVAL_NS
        assert axis.step() == 1
    edges = [(place * INTERVAL_NS, level) for place in (1, 2, 3) for level in (1, 0)]
    assert list(bench.plant.step_trace) == edges
    assert axis.issued_steps == bench.plant.steps_forward == 3


def test_sr_16_without_a_budget_no_edge_goes_out() -> None:
    axis, bench = built(Turned(INTERVAL_NS))
    with pytest.raises(ActuatorFault, match="used up") as caught:
        axis.step()
    axis.allow(2)
    axis.step()
    axis.step()
    with pytest.raises(ActuatorFault, match="used up"):
        axis.step()
    axis.allow(5)
    axis.revoke()
    with pytest.raises(ActuatorFault, match="used up"):
        axis.step()
    assert caught.value.issued_steps == 0
    assert bench.plant.edges_seen == axis.issued_steps == 2


@given(st.lists(st.one_of(st.integers(0, 5), st.sampled_from(["step", "revoke"])), max_size=50))
def test_sr_16_never_more_edges_than_were_allowed(moves: list[int | str]) -> None:
    axis, bench = built(Turned(INTERVAL_NS))
    budget = 0
    for move in moves:
        if isinstance(move, int):
            axis.allow(move)
            budget += move
        elif move == "revoke":
            axis.revoke()
            budget = 0
        elif budget:
            axis.step()
            budget -= 1
        else:
            with pytest.raises(ActuatorFault):
                axis.step()
    assert axis.budget_steps == budget
    assert bench.plant.edges_seen == axis.issued_steps


def test_sr_23_an_edge_closer_than_the_minimum_interval_is_refused() -> None:
    clock = Turned()
    axis, bench = built(clock)
    axis.allow(10)
    axis.step()
    clock.ns += INTERVAL_NS - 1
    with pytest.raises(ActuatorFault, match="1 ns too early"):
        axis.step()
    assert axis.budget_steps == 9  # a refusal costs nothing
    clock.ns += 1
    axis.step()
    assert bench.plant.min_gap_ns == INTERVAL_NS


def test_it_says_how_long_the_motor_must_still_wait() -> None:
    clock = Turned()
    axis, _ = built(clock)
    assert axis.wait_ns() == 0
    axis.allow(1)
    axis.step()
    assert axis.wait_ns() == INTERVAL_NS
    clock.ns += INTERVAL_NS - 1
    assert axis.wait_ns() == 1
    clock.ns += 5
    assert axis.wait_ns() == 0


def test_sr_23_the_interval_counts_from_after_the_edge_so_a_slow_pin_brings_none_closer() -> None:
    clock = Turned(look_ns=300)  # every look at the clock costs time, as a preemption would
    axis, bench = built(clock)
    axis.allow(400)
    for _ in range(20_000):
        clock.ns += 100_000
        try:
            axis.step()
        except ActuatorFault:
            continue
    gap_ns = bench.plant.min_gap_ns
    assert gap_ns is not None
    assert gap_ns >= INTERVAL_NS
    assert bench.plant.steps_forward == 400


def test_step_stays_high_for_its_pulse() -> None:
    clock = Turned(look_ns=70)
    axis, bench = built(clock, pulse_ns=2_000)
    axis.allow(1)
    axis.step()
    (rise_ns, _), (fall_ns, _) = bench.plant.step_trace
    assert 2_000 <= fall_ns - rise_ns <= 2_500


def test_a_clock_that_stands_still_does_not_hold_the_thread() -> None:
    axis, bench = built(Turned(), pulse_ns=2_000)
    axis.allow(1)
    axis.step()
    assert bench.plant.edges_seen == 1


def test_the_direction_is_set_before_the_edge_and_reverse_is_reverse() -> None:
    for inverted in (False, True):
        axis, bench = built(Turned(INTERVAL_NS), inverted=inverted)
        bench.plant.set({"syringe": "out"}, 0)
        assert bench.plant.levels[Wire.DIRECTION] == int(inverted)
        axis.allow(4)
        axis.step()
        axis.set_direction(-1)
        axis.set_direction(-1)
        assert bench.plant.levels[Wire.DIRECTION] == int(not inverted)
        axis.step()
        axis.step()
        axis.set_direction(1)
        axis.step()
        moved = (bench.plant.steps_forward, bench.plant.steps_reverse)
        assert moved == ((2, 2) if not inverted else (2, 2)[::-1])


@pytest.mark.parametrize("direction", [0, 2, -2])
def test_a_direction_is_forward_or_back(direction: int) -> None:
    axis, _ = built(Turned())
    with pytest.raises(ValueError, match="direction"):
        axis.set_direction(direction)


def test_more_than_one_step_a_call_needs_virtual_time() -> None:
    axis, bench = built(Turned())
    axis.allow(5)
    with pytest.raises(ActuatorFault, match="virtual time"):
        axis.step(2)
    assert bench.plant.edges_seen == 0
    assert axis.step(0) == 0


def test_in_virtual_time_a_call_steps_at_the_motors_pace_and_no_further_than_the_budget() -> None:
    clock = Turned()

    def turn_to(until_ns: int) -> None:
        clock.ns = until_ns

    axis, bench = built(clock, wait_until_ns=turn_to)
    axis.allow(7)
    assert axis.step(5) == 5
    assert bench.plant.steps_forward == 5
    assert clock.ns == 4 * INTERVAL_NS
    with pytest.raises(ActuatorFault, match="used up") as caught:
        axis.step(5)
    assert caught.value.issued_steps == 2
    assert bench.plant.steps_forward == 7


def test_f61_a_pin_that_fails_ends_the_budget_so_nothing_is_tried_again() -> None:
    axis, bench = built(Turned(INTERVAL_NS))
    axis.allow(10)
    axis.step()
    bench.plant.inject("pins_denied", {}, 0)
    with pytest.raises(PinFault, match="permission lost"):
        axis.step()
    bench.plant.clear("pins_denied", 0)
    with pytest.raises(ActuatorFault, match="used up"):
        axis.step()
    axis.allow(1)
    axis.step()
    assert bench.plant.edges_seen == axis.issued_steps == 2


def test_f61_a_step_line_that_cannot_be_lowered_has_issued_its_step() -> None:
    clock = Turned(look_ns=INTERVAL_NS)
    axis, bench = built(clock, pulse_ns=1)
    axis.allow(1)
    bench.plant.listener = lambda _: setattr(bench.plant.knobs, "pins_denied", True)
    with pytest.raises(ActuatorFault, match="stays high") as caught:
        axis.step()
    assert caught.value.issued_steps == axis.issued_steps == bench.plant.steps_forward == 1


def test_f61_a_busy_pin_is_named_and_what_was_claimed_is_given_back() -> None:
    clock = Turned()
    bench = MockBench(BenchSettings(), clock)
    bench.plant.inject("pins_busy", {"line": "direction"}, 0)
    for _ in range(2):
        with pytest.raises(PinFault, match="DIR on GPIO27: direction: busy: another program"):
            StepDirAxis(
                bench.factories,
                step=17,
                direction=27,
                now_ns=clock,
                min_interval_ns=1,
                pulse_ns=0,
            )


def test_closed_it_steps_no_more() -> None:
    axis, _ = built(Turned())
    axis.allow(3)
    axis.close()
    with pytest.raises(ActuatorFault, match="used up"):
        axis.step()


def test_a_hundred_thousand_steps_take_little_time_and_no_memory() -> None:
    clock = Turned(INTERVAL_NS)
    axis, bench = built(clock)
    axis.allow(200_000)
    for _ in range(5_000):  # fills the bounded traces
        axis.step()
    kept = len(bench.plant.step_trace)
    began = time.process_time()
    for _ in range(100_000):
        axis.step()
    assert time.process_time() - began < 2.0  # 0.6 s on the slowest machine seen
    assert len(bench.plant.step_trace) == kept
    assert len(bench.factory.pin(17).states) == 1
    assert bench.plant.steps_forward == 105_000


def test_a_step_costs_little_more_than_a_bare_on_and_off() -> None:
    factory = MockFactory(pin_class=QuietPin)
    bare = OutputDevice(5, initial_value=False, pin_factory=factory)
    axis = StepDirAxis(
        PinFactories(outputs=factory, inputs=factory),
        step=17,
        direction=27,
        now_ns=time.monotonic_ns,
        min_interval_ns=0,
        pulse_ns=0,
    )
    bare_s, axis_s = [], []
    for _ in range(9):  # in turns, and the best of each, so that a busy machine hits both
        axis.allow(5_000)
        began = time.process_time()
        for _ in range(5_000):
            bare.on()
            bare.off()
        middle = time.process_time()
        for _ in range(5_000):
            axis.step()
        bare_s.append(middle - began)
        axis_s.append(time.process_time() - middle)
    assert min(axis_s) <= 1.5 * min(bare_s)  # 0.8 to 1.1 as measured
