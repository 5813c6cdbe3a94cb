"""The faults of the bench, F53 to F65: each does what its row says, and clearing it ends it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bench_wire import Channel
from drivers.mock.faults import FAULTS, BadFault, Knobs, described
from drivers.mock.plant import Plant
from drivers.mock.settings import BenchSettings, Wire

MS = 1_000_000
S = 1_000_000_000


def enabled(one_shot: str = "none") -> Plant:
    plant = Plant(BenchSettings(one_shot=one_shot))
    plant.drive(Wire.ENABLE_N, 0, 0)
    return plant


def run(plant: Plant, steps: int, start_ns: int = MS) -> int:
    for place in range(steps):
        at_ns = start_ns + place * 4 * MS
        plant.drive(Wire.STEP, 1, at_ns)
        plant.drive(Wire.STEP, 0, at_ns + 2_000)
    return start_ns + steps * 4 * MS


def read_back(plant: Plant) -> int:
    return plant.rises[Wire.READBACK]


# ------------------------------------------------------------------ the table


def test_every_row_from_f53_to_f65_but_the_encoder_has_a_fault() -> None:
    rows = {fault.row for fault in FAULTS.values()}
    assert rows == {f"F{number}" for number in range(53, 66)} - {"F56"}  # there is no encoder


def test_every_fault_can_be_injected_as_it_stands_and_cleared_without_a_trace() -> None:
    for name, fault in FAULTS.items():
        plant = enabled()
        before = (dict(plant.levels), plant.enable)
        plant.inject(name, {}, MS)
        assert (name in plant.active) is not fault.once
        plant.clear("all", 2 * MS)
        assert plant.active == {}
        if not fault.once:
            assert plant.knobs == Knobs(), name
            assert (dict(plant.levels), plant.enable) == before, name


def test_every_parameter_refuses_what_is_out_of_range_with_field_value_and_range() -> None:
    for name, fault in FAULTS.items():
        for parameter in fault.parameters:
            for value in (None, "no such word", 10**12, -(10**12), float("nan"), True, [], {}):
                plant = enabled()
                with pytest.raises(BadFault) as caught:
                    plant.inject(name, {parameter: value}, 0)
                assert caught.value.field == f"{name}.{parameter}"
                assert plant.active == {}
                assert plant.knobs == Knobs()


@pytest.mark.parametrize("name", ["", "no_such", None, 3, ["stall"]])
def test_a_name_that_is_no_fault_is_refused_with_the_list(name: object) -> None:
    with pytest.raises(BadFault, match="occlusion"):
        enabled().inject(name, {}, 0)
    with pytest.raises(BadFault, match="occlusion"):
        enabled().clear(name, 0)


def test_a_parameter_that_a_fault_does_not_have_is_refused() -> None:
    with pytest.raises(BadFault, match="a parameter of stall"):
        enabled().inject("stall", {"ms": 3}, 0)


def test_the_table_describes_itself() -> None:
    occlusion = next(row for row in described() if row["name"] == "occlusion")
    assert occlusion["row"] == "F59"
    assert occlusion["parameters"]["ramp_s"] == {"valid": "a number from 0 to 86400", "default": 0}


@given(st.lists(st.tuples(st.sampled_from(sorted(FAULTS)), st.booleans()), max_size=12))
def test_faults_in_any_order_leave_nothing_once_all_are_cleared(
    moves: list[tuple[str, bool]],
) -> None:
    plant = enabled()
    at_ns = 0
    for name, begins in moves:
        at_ns = run(plant, 3, at_ns + MS)
        if begins:
            plant.inject(name, {}, at_ns)
        else:
            plant.clear(name, at_ns)
    plant.clear("all", at_ns)
    moved = plant.steps_forward
    plant.drive(Wire.STEP, 0, at_ns + MS)
    run(plant, 5, at_ns + S)
    assert plant.steps_forward == moved + 5
    assert plant.levels[Wire.DRIVER_FAULT_N] == 1


def test_of_two_faults_on_one_thing_the_one_that_is_left_still_holds() -> None:
    plant = enabled()
    plant.inject("force_nan", {}, 0)
    plant.inject("force_saturated", {}, 0)
    plant.clear("force_saturated", 0)
    assert plant.sample(Channel.FORCE_COUNTS, 0) is None


# ------------------------------------------------------------------ STEP and its read-back


@pytest.mark.parametrize(("level", "seen"), [("low", 10), ("high", 11)])
def test_f53_a_stuck_step_line_moves_nothing_and_shows_nothing(level: str, seen: int) -> None:
    plant = enabled()
    after_ns = run(plant, 10)
    plant.inject("step_stuck", {"level": level}, after_ns)
    after_ns = run(plant, 10, after_ns + MS)
    assert (plant.edges_sent, plant.edges_seen, read_back(plant)) == (20, seen, seen)
    assert plant.steps_forward == seen
    plant.clear("step_stuck", after_ns)
    run(plant, 10, after_ns + MS)
    assert plant.edges_seen == seen + 10


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("readback_miss", {}, 29),
        ("readback_miss", {"edges": 7}, 23),
        ("readback_miss_every", {}, 27),
        ("readback_dead", {}, 0),
        ("readback_extra", {}, 31),
        ("readback_extra", {"edges": 5}, 35),
        ("readback_extra_every", {}, 33),
        ("readback_extra_every", {"nth": 1}, 60),
    ],
)
def test_f54_f55_the_read_back_misses_or_adds_edges_and_the_motor_moves_all(
    name: str, given: dict[str, int], shown: int
) -> None:
    plant = enabled()
    plant.inject(name, given, 0)
    run(plant, 30)
    assert read_back(plant) == shown
    assert plant.steps_forward == 30


def test_f54_missing_the_next_edges_ends_by_itself() -> None:
    plant = enabled()
    plant.inject("readback_miss", {"edges": 2}, 0)
    run(plant, 1)
    assert "readback_miss" in plant.active
    run(plant, 5, S)
    assert plant.active == {}
    assert read_back(plant) == 4


# ------------------------------------------------------------------ end stop


def at_the_end(plant: Plant, at_ns: int) -> None:
    plant.set({"syringe": "out", "carriage_steps": 0}, at_ns)


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_f57_a_bounce_begins_and_ends_active_within_its_time(tenths_ms: int, seed: int) -> None:
    changes: list[tuple[int, int]] = []
    plant = Plant(BenchSettings(seed=seed))
    plant.inject("end_stop_bounce", {"ms": tenths_ms / 10}, 0)
    plant.listener = lambda wire: changes.append((at_ns, plant.levels[wire]))
    at_ns = MS
    at_the_end(plant, at_ns)
    while plant.next_event_ns <= S:
        at_ns = plant.next_event_ns
        plant.advance(at_ns)
    levels = [level for _, level in changes]
    assert levels[0] == levels[-1] == 0
    assert len(levels) >= 3
    assert levels == [place % 2 for place in range(len(levels))]
    assert changes[-1][0] - MS <= tenths_ms * 100_000


@pytest.mark.parametrize(
    ("name", "given", "mid_travel", "at_end"),
    [
        ("end_stop_stuck", {"at": "on"}, 0, 0),
        ("end_stop_stuck", {"at": "off"}, 1, 1),
        ("end_stop_open", {}, 0, 0),
    ],
)
def test_f57_a_stuck_switch_and_a_cut_wire(
    name: str, given: dict[str, str], mid_travel: int, at_end: int
) -> None:
    plant = enabled()
    plant.inject(name, given, 0)
    assert plant.levels[Wire.END_STOP_N] == mid_travel
    at_the_end(plant, MS)
    assert plant.levels[Wire.END_STOP_N] == at_end
    plant.clear(name, 2 * MS)
    assert plant.levels[Wire.END_STOP_N] == 0


# ------------------------------------------------------------------ force


def counts(plant: Plant, number: int, at_ns: int = 0) -> list[int | None]:
    return [plant.sample(Channel.FORCE_COUNTS, at_ns + place) for place in range(number)]


def test_f58_a_healthy_sensor_is_noisy_and_about_right() -> None:
    seen = [count for count in counts(enabled(), 200) if count is not None]
    assert len(seen) == 200
    assert len(set(seen)) > 20
    assert sum(seen) / 200 == pytest.approx(1_000, abs=10)  # the friction, 1 mN a count


def test_f58_each_broken_sensor_is_broken_in_its_way() -> None:
    plant = enabled()
    last = counts(plant, 5)[-1]
    plant.inject("force_frozen", {}, 0)
    assert counts(plant, 5) == [last] * 5
    plant.inject("force_disconnected", {}, 0)
    assert counts(plant, 2) == [None, None]
    plant.inject("force_nan", {}, 0)
    assert counts(plant, 2) == [None, None]
    plant.inject("force_saturated", {"at": "low"}, 0)
    assert counts(plant, 2) == [-(2**23)] * 2
    plant.clear("all", 0)
    plant.inject("force_scale", {"factor": 10}, 0)
    assert counts(plant, 1)[0] == pytest.approx(10_000, abs=1_500)
    plant.clear("all", 0)
    plant.inject("force_drift", {"mn_per_min": 60_000}, 0)
    assert counts(plant, 1, at_ns=10 * S)[0] == pytest.approx(11_000, abs=200)


def test_f59_a_spike_passes() -> None:
    plant = enabled()
    plant.inject("force_spike", {"mn": 30_000, "ms": 100}, S)
    assert plant.force_mn(S + 99 * MS) == pytest.approx(31_000)
    assert plant.force_mn(S + 100 * MS) == pytest.approx(1_000)
    assert plant.active == {}


# ------------------------------------------------------------------ driver and ENABLE


@pytest.mark.parametrize("name", ["driver_fault", "driver_hot"])
def test_f60_a_driver_in_fault_says_so_and_does_not_move(name: str) -> None:
    plant = enabled()
    plant.inject(name, {}, 0)
    run(plant, 5)
    assert plant.levels[Wire.DRIVER_FAULT_N] == 0
    assert (plant.steps_forward, plant.missed_edges) == (0, 5)
    assert plant.sample(Channel.BOARD_MILLI_C, S) == (85_000 if name == "driver_hot" else 45_000)


def test_f60_a_stalled_motor_says_nothing() -> None:
    plant = enabled()
    plant.inject("stall", {}, 0)
    run(plant, 5)
    assert plant.levels[Wire.DRIVER_FAULT_N] == 1
    assert (plant.steps_forward, plant.missed_edges, read_back(plant)) == (0, 5, 5)


@pytest.mark.parametrize(
    ("says", "while_on", "while_off"),
    [("on", 0, 0), ("off", 1, 1), ("inverted", 1, 0), ("open", 0, 0)],
)
def test_f60_the_enable_feedback_lies(says: str, while_on: int, while_off: int) -> None:
    plant = enabled()
    plant.inject("enable_feedback", {"says": says}, 0)
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == while_on
    plant.drive(Wire.ENABLE_N, 1, MS)
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == while_off


def test_f65_kept_outputs_leave_enable_to_the_one_shot() -> None:
    plant = enabled("present")
    plant.drive(Wire.ALIVE, 1, 0)
    plant.inject("outputs_kept", {}, MS)
    plant.drive(Wire.ENABLE_N, None, 2 * MS)
    assert plant.enable
    plant.advance(S)
    assert not plant.enable


@pytest.mark.parametrize(("stays", "enable"), [("open", True), ("closed", False)])
def test_f65_a_broken_one_shot_does_not_follow_alive(stays: str, *, enable: bool) -> None:
    plant = enabled("present")
    plant.drive(Wire.ALIVE, 1, 0)
    plant.inject("one_shot", {"stays": stays}, MS)
    plant.drive(Wire.ALIVE, 0, 2 * MS)
    plant.advance(10 * S)
    assert plant.enable is enable


# ------------------------------------------------------------------ the rest


def test_f62_f63_power_and_battery_show_what_was_set() -> None:
    plant = enabled()
    plant.inject("throttled", {}, 0)
    plant.inject("under_voltage", {}, 0)
    assert plant.sample(Channel.POWER_FLAGS, 0) == 3
    plant.inject("power_fail", {"every_ms": 20}, 0)
    flags = [plant.sample(Channel.POWER_FLAGS, at_ms * MS) for at_ms in (0, 19, 20, 39, 40)]
    assert flags == [7, 7, 3, 3, 7]
    plant.inject("battery_drop", {"pct": 30}, 0)
    assert plant.sample(Channel.BATTERY_PCT, 0) == 70
    plant.inject("battery_frozen", {}, 0)
    plant.set({"battery_pct": 10}, 0)
    assert plant.sample(Channel.BATTERY_PCT, 0) == 70
    plant.inject("battery_over", {"pct": 130}, 0)
    assert plant.sample(Channel.BATTERY_PCT, 0) == 130


def test_f64_a_dead_buzzer_or_lamp_draws_no_current_and_leaves_no_trace() -> None:
    plant = enabled()
    for wire in (Wire.BUZZER, Wire.LAMP_HIGH, Wire.LAMP_LOW):
        plant.drive(wire, 1, 0)
    assert plant.sample(Channel.ALARM_FEEDBACK, 0) == 0b1011
    plant.inject("buzzer_dead", {}, 1)
    plant.inject("lamp_dead", {"lamp": "low"}, 2)
    assert plant.sample(Channel.ALARM_FEEDBACK, 0) == 0b0010
    assert plant.traces(9)["signals"]["buzzer"] == [[0, True], [1, False]]


@pytest.mark.parametrize(("stays", "level"), [("pressed", 0), ("released", 1), ("open", 0)])
def test_a_stop_button_that_stays(stays: str, level: int) -> None:
    plant = enabled()
    plant.inject("stop_button", {"stays": stays}, 0)
    plant.press("stop", 10, 0)
    assert plant.levels[Wire.STOP_BUTTON_N] == level
