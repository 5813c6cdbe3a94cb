"""From insulin to microsteps: never more than was asked, and nothing lost on the way."""

import math
from decimal import Decimal, getcontext
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.mechanics import Mechanics
from appliance.errors import BadMechanics

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")

BORES_UM = (4_699, 8_585, 11_990, 14_430)
LEADS_UM = (1_000, 2_000, 8_000)
MAX_BOLUS_UU = 25_000_000


def machine(
    bore_um: int = 8_660,
    lead_um: int = 1_000,
    microsteps: int = 16,
    hold: str = "reduced",
    full_steps: int = 200,
    concentration_u_per_ml: int = 100,
) -> Mechanics:
    return Mechanics.of(
        bore_um=bore_um,
        lead_um=lead_um,
        full_steps=full_steps,
        microsteps=microsteps,
        concentration_u_per_ml=concentration_u_per_ml,
        hold=hold,
    )


DEFAULT = machine()
ROWS = [machine(bore_um, lead_um) for bore_um, lead_um in product(BORES_UM, LEADS_UM)]
# Whole full steps where a full step is at most 0.05 U, which a fine screw and a small syringe have.
OFF = [machine(bore_um, 500, hold="off") for bore_um in (4_699, 8_585)] + [machine(hold="off")]
EVERY = st.sampled_from([DEFAULT, *ROWS, *OFF])


def test_sr_18_the_default_machine_gives_5_890_141_uu_in_3_200_microsteps() -> None:
    assert (DEFAULT.ratio_uu, DEFAULT.ratio_steps, DEFAULT.quantum_steps) == (5_890_141, 3_200, 1)


def test_sr_35_a_lease_of_0_05_u_is_27_microsteps() -> None:
    assert DEFAULT.lease_steps(50_000) == 27
    assert DEFAULT.uu_of(27) < 50_000 < DEFAULT.uu_of(28)


def test_sr_35_without_current_between_steps_a_lease_is_one_full_step() -> None:
    off = machine(hold="off")
    assert off.quantum_steps == 16
    for lease_uu in (10_000, 50_000, 100_000):
        assert off.lease_steps(lease_uu) == 16
    assert 29_000 < off.uu_of(16) < 30_000


def test_sr_35_a_lease_is_at_least_one_microstep_and_else_within_its_insulin() -> None:
    coarse = machine(14_430, 8_000)  # 40.9 mU a microstep
    assert coarse.lease_steps(10_000) == 1
    assert coarse.lease_steps(100_000) == 2
    for one in ROWS:
        assert one.uu_of_up(one.lease_steps(50_000)) <= 50_000


@pytest.mark.parametrize("one", [DEFAULT, *ROWS], ids=lambda one: str(one.ratio_uu))
def test_sr_18_every_dose_to_25_u_stays_within_what_was_asked(one: Mechanics) -> None:
    before = 0
    for amount_uu in range(0, MAX_BOLUS_UU + 1, 1_000):
        steps, left = one.split(amount_uu)
        owed = amount_uu * one.ratio_steps
        assert steps * one.ratio_uu <= owed < (steps + 1) * one.ratio_uu
        assert steps * one.ratio_uu + left == owed
        assert steps == one.steps_within(amount_uu) >= before
        before = steps


@pytest.mark.parametrize("one", OFF, ids=lambda one: str(one.ratio_uu))
def test_sr_18_without_current_every_dose_is_whole_full_steps_and_within(one: Mechanics) -> None:
    full = one.quantum_steps
    for amount_uu in range(0, MAX_BOLUS_UU + 1, 1_000):
        steps, left = one.split(amount_uu)
        owed = amount_uu * one.ratio_steps
        assert steps % full == 0
        assert steps * one.ratio_uu <= owed < (steps + full) * one.ratio_uu
        assert steps * one.ratio_uu + left == owed
        assert steps == one.steps_within(amount_uu)


@given(EVERY, st.integers(0, 400_000_000), st.integers(0, 10**9))
def test_sr_18_more_insulin_is_never_fewer_steps(
    one: Mechanics, amount_uu: int, more_uu: int
) -> None:
    assert one.steps_within(amount_uu) <= one.steps_within(amount_uu + more_uu)


@given(EVERY, st.lists(st.integers(0, 25_000_000), max_size=40))
def test_sr_18_a_dose_cut_anywhere_gives_the_steps_of_the_whole(
    one: Mechanics, parts_uu: list[int]
) -> None:
    total, carry = 0, 0
    for part_uu in parts_uu:
        steps, carry = one.split(part_uu, carry)
        assert 0 <= carry < one.ratio_uu * one.quantum_steps
        total += steps
    assert (total, carry) == one.split(sum(parts_uu))


def test_sr_18_a_year_of_smallest_doses_is_off_by_less_than_one_microstep() -> None:
    total, carry = 0, 0
    for _ in range(100_000):
        steps, carry = DEFAULT.split(50_000, carry)
        total += steps
    assert 0 <= 50_000 * 100_000 * DEFAULT.ratio_steps - total * DEFAULT.ratio_uu < DEFAULT.ratio_uu


@given(EVERY, st.integers(0, 10**9))
def test_what_steps_move_is_between_its_two_roundings(one: Mechanics, steps: int) -> None:
    low_uu, high_uu = one.uu_of(steps), one.uu_of_up(steps)
    assert low_uu * one.ratio_steps <= steps * one.ratio_uu <= high_uu * one.ratio_steps
    assert high_uu - low_uu <= 1
    assert one.steps_within(high_uu) >= steps - steps % one.quantum_steps


@given(
    st.integers(1_000, 40_000),
    st.integers(100, 20_000),
    st.integers(10, 500),
)
def test_sr_18_the_ratio_is_one_turn_of_the_screw_to_the_nearest_microunit(
    bore_um: int, lead_um: int, concentration_u_per_ml: int
) -> None:
    one = machine(bore_um, lead_um, 256, "reduced", 400, concentration_u_per_ml)
    area_mm2 = PI / 4 * (Decimal(bore_um) / 1000) ** 2
    turn_uu = area_mm2 * Decimal(lead_um) / 1000 * concentration_u_per_ml * 1_000
    assert abs(one.ratio_uu - turn_uu) <= Decimal("0.5")
    assert one.ratio_steps == 400 * 256


@pytest.mark.parametrize(
    ("row", "per_u"),
    [*zip(ROWS, (1845, 923, 231, 553, 276, 69.1, 283, 142, 35.4, 196, 97.8, 24.5), strict=True)],
    ids=str,
)
def test_the_twelve_machines_step_as_often_as_the_table_says(row: Mechanics, per_u: float) -> None:
    assert math.isclose(1_000_000 * row.ratio_steps / row.ratio_uu, per_u, rel_tol=0.003)


@pytest.mark.parametrize(
    ("too_coarse", "what", "size", "remedy"),
    [
        (
            {"bore_um": 14_430, "lead_um": 8_000, "microsteps": 8},
            "microstep",
            81_769,
            "more microsteps",
        ),
        ({"lead_um": 2_000, "hold": "off"}, "full step", 58_901, 'hold = "reduced"'),
        ({"bore_um": 11_990, "hold": "off"}, "full step", 56_454, 'hold = "reduced"'),
        ({"microsteps": 1, "concentration_u_per_ml": 500}, "microstep", 147_253, "more microsteps"),
    ],
)
def test_sr_18_a_machine_too_coarse_for_the_smallest_dose_is_refused_with_the_remedy(
    too_coarse: dict[str, int | str], what: str, size: int, remedy: str
) -> None:
    with pytest.raises(BadMechanics) as caught:
        machine(**too_coarse)  # type: ignore[arg-type]
    said = str(caught.value)
    assert f"one {what} would be {size} uu" in said
    assert "50000 uu (0.05 U)" in said
    for way_out in (remedy, "finer screw", "smaller syringe"):
        assert way_out in said


def test_the_smallest_dose_is_just_possible_with_a_step_of_its_size() -> None:
    lead_um = 13_581  # the last one whose step is at most 0.05 U
    assert machine(lead_um=lead_um, microsteps=8).steps_within(50_000) == 1
    with pytest.raises(BadMechanics):
        machine(lead_um=lead_um + 2, microsteps=8)


@pytest.mark.parametrize(
    "wrong",
    [
        {name: number}
        for name in ("bore_um", "lead_um", "microsteps", "full_steps", "concentration_u_per_ml")
        for number in (0, -1)
    ],
    ids=str,
)
def test_f67_a_number_that_no_machine_can_have_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(BadMechanics, match="positive"):
        machine(**wrong)  # type: ignore[arg-type]


def test_f67_a_ratio_that_no_machine_can_have_is_refused() -> None:
    for ratio in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (-5, 1, 1)):
        with pytest.raises(BadMechanics, match="positive"):
            Mechanics(*ratio)


def test_sr_17_a_way_to_hold_that_is_not_known_is_refused_and_never_taken_for_another() -> None:
    with pytest.raises(BadMechanics, match="'of'"):
        machine(hold="of")


def test_the_steps_of_the_grid_of_doses_grow_as_evenly_as_they_can() -> None:
    steps = [DEFAULT.steps_within(amount_uu) for amount_uu in range(0, 1_000_001, 10_000)]
    assert {after - before for before, after in pairwise(steps)} == {5, 6}
