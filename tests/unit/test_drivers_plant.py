"""The plant: the physics that every other program is judged by."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bench_wire import Channel
from drivers.mock.plant import ONE_SHOT_NS, Plant
from drivers.mock.settings import BenchSettings, Wire

MS = 1_000_000
S = 1_000_000_000
NO_ONE_SHOT = BenchSettings(one_shot="none")


def enabled(settings: BenchSettings = NO_ONE_SHOT) -> Plant:
    plant = Plant(settings)
    plant.drive(Wire.ENABLE_N, 0, 0)
    return plant


def step(plant: Plant, at_ns: int, pulse_ns: int = 2_000) -> None:
    plant.drive(Wire.STEP, 1, at_ns)
    plant.drive(Wire.STEP, 0, at_ns + pulse_ns)


def run(plant: Plant, steps: int, start_ns: int, interval_ns: int = 4 * MS) -> int:
    for place in range(steps):
        step(plant, start_ns + place * interval_ns)
    return start_ns + steps * interval_ns


def adds_up(plant: Plant) -> bool:
    moved = plant.steps_forward + plant.steps_reverse
    return plant.edges_seen == moved + plant.missed_edges + plant.edges_while_disabled


def test_a_step_is_a_rising_edge_while_enable_is_on() -> None:
    plant = enabled()
    step(plant, 1 * MS)
    step(plant, 5 * MS)
    assert (plant.steps_forward, plant.edges_seen, plant.last_step_ns) == (2, 2, 5 * MS)
    assert list(plant.step_trace) == [(MS, 1), (MS + 2_000, 0), (5 * MS, 1), (5 * MS + 2_000, 0)]
    assert plant.min_gap_ns == 4 * MS


def test_an_edge_with_enable_off_moves_nothing_and_is_counted_apart() -> None:
    plant = Plant(NO_ONE_SHOT)
    step(plant, 1 * MS)
    assert (plant.steps_forward, plant.edges_while_disabled) == (0, 1)
    assert plant.rises[Wire.READBACK] == 1


def test_an_edge_closer_than_the_motor_can_is_missed() -> None:
    plant = enabled()
    step(plant, 0)
    step(plant, 499_999)
    step(plant, 999_999)
    assert (plant.steps_forward, plant.missed_edges, plant.min_gap_ns) == (2, 1, 499_999)


def test_dir_gives_the_sign_and_an_inverted_machine_turns_it_round() -> None:
    for inverted, forward in ((False, (1, 0)), (True, (0, 1))):
        plant = enabled(BenchSettings(one_shot="none", direction_inverted=inverted))
        step(plant, MS)
        plant.drive(Wire.DIRECTION, 1, 2 * MS)
        assert (plant.steps_forward, plant.steps_reverse) == forward
        step(plant, 5 * MS)
        assert (plant.steps_forward, plant.steps_reverse) == (1, 1)


def test_a_pulse_shorter_than_the_driver_needs_is_noticed() -> None:
    plant = enabled()
    step(plant, MS, pulse_ns=400)
    step(plant, 5 * MS)
    assert plant.short_pulses == 1


# ------------------------------------------------------------------ one-shot and ENABLE


def test_the_one_shot_closes_50_ms_after_the_last_edge_of_alive() -> None:
    plant = Plant(BenchSettings())
    plant.drive(Wire.ENABLE_N, 0, 0)
    assert not plant.enable  # ALIVE has not moved yet
    for at_ms in range(0, 200, 20):
        plant.drive(Wire.ALIVE, int(at_ms % 40 == 0), at_ms * MS)
    last_ns = 180 * MS
    plant.advance(last_ns + ONE_SHOT_NS - 1)
    assert plant.enable
    assert plant.next_event_ns == last_ns + ONE_SHOT_NS
    plant.advance(last_ns + 80 * MS)
    assert list(plant.enable_trace) == [
        (0, True, "one-shot"),
        (last_ns + ONE_SHOT_NS, False, "one-shot"),
    ]


def test_a_step_behind_the_one_shot_is_refused_though_nobody_has_advanced_the_plant() -> None:
    plant = Plant(BenchSettings())
    plant.drive(Wire.ALIVE, 1, 0)
    plant.drive(Wire.ENABLE_N, 0, 0)
    step(plant, ONE_SHOT_NS - MS)
    step(plant, ONE_SHOT_NS)
    step(plant, ONE_SHOT_NS + 10 * MS)
    assert ONE_SHOT_NS == 50 * MS
    assert (plant.steps_forward, plant.edges_while_disabled) == (1, 2)
    assert list(plant.enable_trace)[-1] == (ONE_SHOT_NS, False, "one-shot")


@given(st.lists(st.integers(1, 120 * MS), min_size=1, max_size=40))
def test_the_gate_is_open_for_exactly_50_ms_after_each_edge(gaps_ns: list[int]) -> None:
    plant = Plant(BenchSettings())
    plant.drive(Wire.ENABLE_N, 0, 0)
    at_ns, level, closings = 0, 0, 0
    for gap_ns in gaps_ns:
        plant.drive(Wire.ALIVE, level := 1 - level, at_ns)
        at_ns += gap_ns
        plant.advance(at_ns)
        closings += gap_ns >= ONE_SHOT_NS
        assert plant.enable == (gap_ns < ONE_SHOT_NS)
    assert sum(not on for _, on, _ in plant.enable_trace) == closings


def test_letting_go_of_enable_disables_it_for_its_resistor_pulls_it_up() -> None:
    plant = enabled()
    plant.drive(Wire.ENABLE_N, None, 7)
    assert not plant.enable
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == 1
    assert list(plant.enable_trace) == [(0, True, "line"), (7, False, "line")]


def test_enable_feedback_is_what_the_driver_sees_behind_the_one_shot() -> None:
    plant = Plant(BenchSettings())
    plant.drive(Wire.ENABLE_N, 0, 0)
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == 1
    plant.drive(Wire.ALIVE, 1, 1)
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == 0
    plant.advance(60 * MS)
    assert plant.levels[Wire.ENABLE_FEEDBACK_N] == 1


def test_a_rotor_without_current_snaps_to_the_nearest_full_step_and_back() -> None:
    plant = enabled(BenchSettings(one_shot="none", hold="off"))
    start = plant.carriage_steps
    run(plant, 9, MS)
    plant.drive(Wire.ENABLE_N, 1, S)
    assert plant.carriage_steps == start + 16  # 9 of 16: the next full step is nearer
    assert plant.steps_forward == 9
    displaced_nl = plant.fluid.displaced_nl
    assert displaced_nl == pytest.approx(16 * plant.settings.nl_per_step)
    plant.drive(Wire.ENABLE_N, 0, 2 * S)
    assert plant.carriage_steps == start + 9
    run(plant, 7, 3 * S)
    assert plant.fluid.displaced_nl == pytest.approx(displaced_nl)  # the plunger was there already
    step(plant, 4 * S)
    assert plant.fluid.displaced_nl == pytest.approx(17 * plant.settings.nl_per_step)


def test_with_reduced_current_nothing_snaps() -> None:
    plant = enabled()
    start = plant.carriage_steps
    run(plant, 9, MS)
    plant.drive(Wire.ENABLE_N, 1, S)
    assert plant.carriage_steps == start + 9


# ------------------------------------------------------------------ travel


def test_the_end_stop_is_high_in_mid_travel_and_low_at_either_end() -> None:
    plant = enabled()
    assert plant.levels[Wire.END_STOP_N] == 1
    plant.set({"syringe": "out", "carriage_steps": 1}, 0)
    assert plant.levels[Wire.END_STOP_N] == 1
    plant.drive(Wire.DIRECTION, 1, 0)
    step(plant, MS)
    assert plant.levels[Wire.END_STOP_N] == 0
    plant.set({"carriage_steps": plant.settings.front_stop_steps - 1}, S)
    assert plant.levels[Wire.END_STOP_N] == 1
    plant.drive(Wire.DIRECTION, 0, S)
    step(plant, 2 * S)
    assert plant.levels[Wire.END_STOP_N] == 0


def test_a_machine_may_have_its_front_end_stop_alone() -> None:
    plant = enabled(BenchSettings(one_shot="none", end_stops="front"))
    plant.set({"syringe": "out", "carriage_steps": plant.settings.back_wall_steps}, 0)
    assert plant.levels[Wire.END_STOP_N] == 1
    plant.set({"carriage_steps": plant.settings.front_stop_steps}, 0)
    assert plant.levels[Wire.END_STOP_N] == 0


def test_at_the_bottom_and_at_the_back_wall_the_motor_stalls() -> None:
    plant = enabled()
    plant.set({"syringe": "out", "carriage_steps": plant.settings.bottom_steps}, 0)
    step(plant, MS)
    assert (plant.steps_forward, plant.missed_edges) == (0, 1)
    plant.set({"carriage_steps": plant.settings.back_wall_steps}, 2 * MS)
    plant.drive(Wire.DIRECTION, 1, 2 * MS)
    step(plant, 5 * MS)
    assert (plant.steps_reverse, plant.missed_edges) == (0, 2)


def test_a_reversing_carriage_leaves_the_plunger_and_draws_nothing_in() -> None:
    plant = enabled()
    after_ns = run(plant, 10, MS)
    plant.drive(Wire.DIRECTION, 1, after_ns)
    after_ns = run(plant, 6, after_ns)
    plant.drive(Wire.DIRECTION, 0, after_ns)
    after_ns = run(plant, 8, after_ns)
    assert (plant.steps_forward, plant.steps_reverse) == (18, 6)
    assert plant.fluid.displaced_nl == pytest.approx(12 * plant.settings.nl_per_step)


def test_without_a_syringe_a_step_moves_the_carriage_and_no_fluid() -> None:
    plant = enabled()
    plant.set({"syringe": "out"}, 0)
    run(plant, 10, MS)
    assert (plant.steps_forward, plant.fluid.displaced_nl) == (10, 0)


def test_a_fresh_syringe_needs_a_carriage_that_was_rewound() -> None:
    plant = enabled()
    run(plant, 100, MS)
    with pytest.raises(ValueError, match="rewind first"):
        plant.set({"fill_nl": plant.settings.capacity_nl}, S)
    assert plant.syringe_in
    plant.set({"syringe": "out", "carriage_steps": 10}, S)
    plant.set({"fill_nl": 1_000_000}, S)
    assert plant.status(S)["left_nl"] == pytest.approx(1_000_000, abs=20)


# ------------------------------------------------------------------ fluid


def test_what_went_out_follows_the_pressure_and_arrives_in_full() -> None:
    plant = enabled()
    after_ns = run(plant, 1_000, MS)
    displaced_nl = 1_000 * plant.settings.nl_per_step
    assert plant.fluid.displaced_nl == pytest.approx(displaced_nl)
    assert 0 < plant.status(after_ns)["volume_nl"] < displaced_nl
    assert plant.status(after_ns + 60 * S)["volume_nl"] == pytest.approx(displaced_nl, abs=0.01)


def test_an_occlusion_raises_force_and_its_release_gives_what_was_stored() -> None:
    plant = enabled()
    rest_mn = plant.force_mn(0)
    plant.inject("occlusion", {}, 0)
    after_ns = run(plant, 100, MS)
    stored_nl = 100 * plant.settings.nl_per_step
    status = plant.status(after_ns + 600 * S)
    assert status["volume_nl"] == 0
    assert status["stored_nl"] == pytest.approx(stored_nl, abs=0.01)
    pressure_kpa = stored_nl / plant.settings.compliance_nl_per_kpa
    assert status["force_mn"] - rest_mn == pytest.approx(
        pressure_kpa * plant.settings.area_mm2, abs=1
    )
    plant.clear("occlusion", after_ns + 600 * S)
    later = plant.status(after_ns + 610 * S)
    assert later["volume_nl"] == pytest.approx(stored_nl, abs=0.01)


def test_twelve_newtons_are_reached_with_less_than_half_a_unit_missed() -> None:
    plant = enabled()
    plant.inject("occlusion", {}, 0)
    at_ns = 0
    while plant.force_mn(at_ns) < 12_000:
        at_ns += 70 * MS
        step(plant, at_ns)
    assert plant.status(at_ns)["stored_nl"] < 5_000


def test_a_ramp_closes_slowly_and_the_line_still_gives_meanwhile() -> None:
    plant = enabled()
    plant.inject("occlusion", {"ramp_s": 10}, 0)
    run(plant, 2_500, MS)
    halfway = plant.status(5 * S)
    assert halfway["volume_nl"] > 0
    closed_nl = plant.status(20 * S)["volume_nl"]
    assert closed_nl < plant.fluid.displaced_nl
    assert plant.status(4_000 * S)["volume_nl"] == closed_nl


def test_a_line_blocked_for_good_ends_in_a_motor_that_stalls() -> None:
    plant = enabled()
    plant.inject("occlusion", {}, 0)
    run(plant, 4_000, MS)
    assert plant.missed_edges > 0
    assert plant.force_mn(20 * S) <= plant.settings.stall_mn * 1.01
    assert adds_up(plant)


def test_air_comes_out_in_place_of_fluid() -> None:
    plant = enabled()
    plant.inject("air", {"nl": 1_000, "ahead_nl": 500}, 0)
    after_ns = run(plant, 200, MS)
    status = plant.status(after_ns + 60 * S)
    assert status["air_out_nl"] == pytest.approx(1_000)
    assert status["volume_nl"] == pytest.approx(200 * status["nl_per_step"] - 1_000, abs=0.01)


def test_a_leak_takes_its_share() -> None:
    plant = enabled()
    plant.inject("leak", {"share": 0.25}, 0)
    after_ns = run(plant, 400, MS)
    status = plant.status(after_ns + 60 * S)
    assert status["leaked_nl"] / status["displaced_nl"] == pytest.approx(0.25)


def test_with_speed_the_fluid_runs_faster_and_the_motor_does_not() -> None:
    slow, fast = enabled(), enabled(BenchSettings(one_shot="none", speed=60))
    for plant in (slow, fast):
        run(plant, 20, MS, interval_ns=600_000)
        step(plant, 20 * MS)
        step(plant, 20 * MS + 400_000)
        assert (plant.steps_forward, plant.missed_edges) == (21, 1)
    assert fast.status(22 * MS)["volume_nl"] > slow.status(22 * MS)["volume_nl"]


def test_the_balance_shows_what_came_out_less_what_dried() -> None:
    plant = enabled()
    after_ns = run(plant, 1_000, MS)
    hour_ns = after_ns + 3_600 * S
    out_ug = plant.status(hour_ns)["volume_nl"] * plant.settings.density_ug_per_nl
    dried_ug = plant.settings.evaporation_ug_per_h * hour_ns / (3_600 * S)
    assert plant.sample(Channel.BALANCE_UG, hour_ns) == pytest.approx(out_ug - dried_ug, abs=10)


Action = tuple[str, int]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(1, 40)),
        st.tuples(st.just("wait"), st.integers(0, 5 * S)),
        st.tuples(st.just("occlude"), st.integers(0, 3)),
        st.tuples(st.just("open"), st.just(0)),
        st.tuples(st.just("leak"), st.integers(1, 9)),
        st.tuples(st.just("air"), st.integers(1, 400)),
        st.tuples(st.just("enable"), st.integers(0, 1)),
        st.tuples(st.just("direction"), st.integers(0, 1)),
        st.tuples(st.just("stall"), st.integers(0, 1)),
    ),
    max_size=40,
)


@given(ACTIONS, st.integers(20_000, 5 * MS))
def test_volume_is_conserved_and_every_edge_is_one_of_four_things(
    actions: list[Action], interval_ns: int
) -> None:
    plant = enabled()
    at_ns = 0
    do: dict[str, Callable[[int], object]] = {
        "occlude": lambda ramp_s: plant.inject("occlusion", {"ramp_s": ramp_s}, at_ns),
        "open": lambda _: plant.clear("all", at_ns),
        "leak": lambda tenths: plant.inject("leak", {"share": tenths / 10}, at_ns),
        "air": lambda nl: plant.inject("air", {"nl": nl, "ahead_nl": nl}, at_ns),
        "enable": lambda on: plant.drive(Wire.ENABLE_N, 1 - on, at_ns),
        "direction": lambda level: plant.drive(Wire.DIRECTION, level, at_ns),
        "stall": lambda on: plant.inject("stall", {}, at_ns) if on else plant.clear("stall", at_ns),
    }
    for action, number in actions:
        if action == "step":
            at_ns = run(plant, number, at_ns + 1, interval_ns)
        elif action == "wait":
            at_ns += number
        else:
            do[action](number)
        plant.status(at_ns)
        fluid = plant.fluid
        parts = (fluid.stored_nl, fluid.out_nl, fluid.air_out_nl, fluid.leaked_nl)
        assert min(parts) >= 0
        assert math.isclose(fluid.displaced_nl, sum(parts), rel_tol=1e-9, abs_tol=1e-6)
        assert adds_up(plant)
        assert plant.edges_sent == plant.edges_seen == plant.rises[Wire.READBACK]


@given(st.lists(st.tuples(st.integers(1, 3 * MS), st.booleans(), st.booleans()), max_size=60))
def test_the_plant_counts_as_a_recount_of_the_same_edges_does(
    edges: list[tuple[int, bool, bool]],
) -> None:
    plant = enabled()
    at_ns, last_ns = 0, -S
    forward = reverse = missed = disabled = 0
    for gap_ns, back, on in edges:
        at_ns += gap_ns
        plant.drive(Wire.DIRECTION, int(back), at_ns)
        plant.drive(Wire.ENABLE_N, int(not on), at_ns)
        step(plant, at_ns, pulse_ns=0)
        if not on:
            disabled += 1
        elif at_ns - last_ns < 500_000:
            missed += 1
        else:
            forward += not back
            reverse += back
        last_ns = at_ns
    seen = (plant.steps_forward, plant.steps_reverse, plant.missed_edges)
    assert seen == (forward, reverse, missed)
    assert plant.edges_while_disabled == disabled


# ------------------------------------------------------------------ what a person touches


def test_the_stop_button_is_pressed_for_its_time() -> None:
    plant = enabled()
    plant.press("stop", 100, 10 * MS)
    assert plant.levels[Wire.STOP_BUTTON_N] == 0
    plant.advance(109 * MS)
    assert plant.levels[Wire.STOP_BUTTON_N] == 0
    plant.advance(110 * MS)
    assert plant.levels[Wire.STOP_BUTTON_N] == 1


def test_buzzer_and_lamps_leave_a_trace() -> None:
    plant = enabled()
    plant.drive(Wire.BUZZER, 1, 1)
    plant.drive(Wire.BUZZER, 1, 2)
    plant.drive(Wire.BUZZER, 0, 3)
    plant.drive(Wire.LAMP_HIGH, 1, 4)
    plant.drive(Wire.LAMP_HIGH, None, 5)
    assert plant.traces(10)["signals"] == {
        "buzzer": [[1, True], [3, False]],
        "lamp_high": [[4, True], [5, False]],
        "lamp_medium": [],
        "lamp_low": [],
    }


def test_what_is_set_is_set_all_or_not_at_all() -> None:
    plant = enabled()
    with pytest.raises(ValueError, match=r"board_c = 1000 is not a whole number from -40 to 150"):
        plant.set({"battery_pct": 5, "board_c": 1_000}, 0)
    assert plant.sample(Channel.BATTERY_PCT, 0) == 100
    plant.set({"battery_pct": 5, "board_c": 60}, 0)
    assert plant.sample(Channel.BATTERY_PCT, 0) == 5
    assert plant.sample(Channel.BOARD_MILLI_C, 0) == 60_000
    with pytest.raises(ValueError, match="colour"):
        plant.set({"colour": 1}, 0)


def test_the_same_seed_gives_the_same_noise_and_another_seed_another() -> None:
    def noise(seed: int) -> list[int | None]:
        plant = Plant(BenchSettings(seed=seed))
        return [plant.sample(Channel.FORCE_COUNTS, at_ns) for at_ns in range(20)]

    assert noise(7) == noise(7)
    assert noise(7) != noise(8)


def test_settings_say_all_their_faults_at_once() -> None:
    pins = dict(BenchSettings().pins)
    pins[Wire.ALIVE] = pins[Wire.STEP]
    settings = BenchSettings(pins=pins, microsteps=12, bore_um=5, hold="tight", one_shot="x")
    assert settings.reasons_against() == [
        "bore_um = 5 is out of range: 1000 to 40000",
        "microsteps = 12 is not a power of two",
        "hold = 'tight' is not reduced or off",
        "one_shot = 'x' is not present or none",
        "pins.alive = 17 is the pin of step already",
    ]
    assert BenchSettings().reasons_against() == []


def test_the_default_bench_is_the_machine_of_the_design() -> None:
    settings = BenchSettings()
    uu_per_step = settings.nl_per_step * 100  # U-100: 1 nl is 100 uu
    assert round(uu_per_step * 3_200) == 5_890_141
    assert settings.empty_at_steps - settings.full_at_steps == round(300_000_000 / uu_per_step)
