"""Insulin on board, from what was really delivered."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.insulin import Exponential, Linear, Walsh
from appliance.domain.iob import (
    NONE,
    Delivered,
    OnBoard,
    Scheduled,
    horizon_ns,
    on_board,
    rounded_up_uu,
)
from appliance.domain.units import NS_PER_MIN, UU_PER_U
from appliance.simulate.bench import VirtualBench

RAPID = Exponential(360, 75)
LINEAR = Linear(240)
MIN = NS_PER_MIN


def given_once(minutes: int, amount_uu: int) -> Delivered:
    return Delivered(minutes * MIN, amount_uu, amount_uu)


def test_without_deliveries_and_without_a_schedule_nothing_is_on_board() -> None:
    assert on_board(RAPID) == NONE == OnBoard(0, 0, 0)
    assert NONE.total_uu == 0


def test_a_bolus_counts_in_full_at_once_by_its_curve_later_and_not_at_all_in_the_end() -> None:
    # 2 U after 108 min: 2 * 0.5110493617156 U, rounded up to a microunit
    amounts = [
        on_board(RAPID, boluses=[given_once(minutes, 2 * UU_PER_U)]).bolus_uu
        for minutes in (0, 108, 360, 10_000)
    ]
    assert amounts == [2_000_000, 1_022_099, 0, 0]


def test_boluses_add_up() -> None:
    # linear, 4 h: 1 U of 60 min is 0.75 U, 2 U of 180 min is 0.5 U
    two = [given_once(60, UU_PER_U), given_once(180, 2 * UU_PER_U)]
    assert on_board(LINEAR, boluses=two) == OnBoard(1_250_000, 0, 1_250_000)


def test_a_dose_in_doubt_counts_with_its_maximum_and_the_other_bound_is_told() -> None:
    dose = Delivered(60 * MIN, 1_000_000, 1_100_000)
    assert on_board(LINEAR, boluses=[dose]) == OnBoard(825_000, 0, 750_000)


def test_basal_that_follows_its_schedule_is_nothing_on_board() -> None:
    # 0.9 U/h in leases of 0.05 U, one each 200 s, against the schedule of the same four hours
    leases = [Delivered(round(at * 200e9), 50_000, 50_000) for at in range(6 * 18 + 1)]
    on = on_board(LINEAR, basal=leases, scheduled=[Scheduled(365 * MIN, 0, 900_000)])
    assert on.bolus_uu == 0
    assert 0 <= on.basal_uu <= 50_000  # placing leases at their ends: under one lease, and more


def test_basal_that_was_withheld_is_less_than_nothing_on_board() -> None:
    # linear over 4 h: half of the 4 U that 1 U/h asks for would still be to act
    on = on_board(LINEAR, scheduled=[Scheduled(240 * MIN, 0, 1_000_000)])
    assert on == OnBoard(0, -2_000_000, -2_000_000)
    # the last hour alone, ages 0 to 60 min: 7/8 of 1 U; the one before: 5/8
    assert on_board(LINEAR, scheduled=[Scheduled(60 * MIN, 0, 1_000_000)]).basal_uu == -875_000
    before = [Scheduled(120 * MIN, 60 * MIN, 1_000_000)]
    assert on_board(LINEAR, scheduled=before).basal_uu == -625_000


def test_a_schedule_older_than_the_curve_counts_no_more() -> None:
    for piece in (Scheduled(600 * MIN, 240 * MIN, 1_000_000), Scheduled(MIN, MIN, 1_000_000)):
        assert on_board(LINEAR, scheduled=[piece]) == NONE
    longer = on_board(LINEAR, scheduled=[Scheduled(900 * MIN, 0, 1_000_000)])
    assert longer.basal_uu == -2_000_000


def test_a_temporary_rate_above_the_schedule_is_on_board_beside_a_bolus() -> None:
    # 1 U of a bolus, 60 min old: 0.75 U. Basal of the last 4 min: 0.1 U where 0.05 U was asked for
    on = on_board(
        LINEAR,
        boluses=[given_once(60, UU_PER_U)],
        basal=[given_once(minute, 25_000) for minute in (0, 1, 2, 3)],
        scheduled=[Scheduled(4 * MIN, 0, 750_000)],
    )
    # given: 25,000 * (240 + 239 + 238 + 237) / 240 = 99,375; asked: 50,000 * 238 / 240 = 49,583.3
    assert (on.bolus_uu, on.basal_uu, on.total_uu) == (750_000, 49_792, 799_792)


def test_what_is_on_board_is_rounded_up_also_below_nothing() -> None:
    assert [rounded_up_uu(raw) for raw in (0.0, 0.1, 1.0, 1.1, -0.9, -1.1)] == [0, 1, 1, 2, 0, -1]


def test_what_is_older_than_the_horizon_may_be_forgotten() -> None:
    for curve in (RAPID, LINEAR, Walsh(240, 10), Exponential(360, 75, 10)):
        old = Delivered(horizon_ns(curve), UU_PER_U, UU_PER_U)
        younger = Delivered(horizon_ns(curve) - 10 * MIN, UU_PER_U, UU_PER_U)
        assert on_board(curve, boluses=[old]) == NONE
        assert on_board(curve, boluses=[younger]).bolus_uu > 0


@pytest.mark.parametrize("numbers", [(-1, 1, 1), (0, -1, 1), (0, 2, 1)])
def test_a_delivery_that_cannot_be_is_an_error(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no delivery"):
        Delivered(*numbers)


@pytest.mark.parametrize("numbers", [(1, 2, 0), (1, -1, 0), (1, 0, -1)])
def test_a_piece_of_a_schedule_that_cannot_be_is_an_error(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no piece"):
        Scheduled(*numbers)


doses = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 5_000_000), st.integers(0, 100_000)), max_size=20
)


@given(doses)
def test_what_is_on_board_lies_between_both_bounds_and_under_what_was_given(
    raw: list[tuple[int, int, int]],
) -> None:
    boluses = [Delivered(age * MIN, sure, sure + doubt) for age, sure, doubt in raw]
    on = on_board(RAPID, boluses=boluses)
    assert 0 <= on.least_uu <= on.total_uu <= sum(one.maximum_uu for one in boluses)


@given(doses, st.integers(1, 200))
def test_time_without_a_dose_never_adds_to_what_is_on_board(
    raw: list[tuple[int, int, int]], wait_min: int
) -> None:
    now = [Delivered(age * MIN, sure, sure + doubt) for age, sure, doubt in raw]
    then = [Delivered((age + wait_min) * MIN, sure, sure + doubt) for age, sure, doubt in raw]
    assert on_board(RAPID, boluses=then).total_uu <= on_board(RAPID, boluses=now).total_uu


# --- from the rows of a pump that runs ------------------------------------------------------------


def deliveries(bench: VirtualBench) -> dict[str, list[Delivered]]:
    """Read the ledger as the module's contract says, by kind of dose."""
    doses: dict[str, tuple[str, str]] = {}
    counted: dict[str, int] = {}
    found: dict[str, list[Delivered]] = {"bolus": [], "basal": []}

    def take(programme: str, steps: int, mono_ns: int) -> None:
        more = steps - counted.get(programme, 0)
        if more > 0:
            counted[programme] = steps
            uu = bench.mechanics.uu_of_up(more)
            found[doses[programme][1]].append(Delivered(bench.now_ns - mono_ns, uu, uu))

    for row in bench.rows():
        body = row.entry.body
        match row.entry.kind:
            case "intent":
                doses[str(body["programme"])] = (body["request_id"], body["dose"])
            case "count":
                for programme, steps in body["programmes"].items():
                    take(programme, steps, row.entry.mono_ns)
            case "closed":
                by_id = {request_id: programme for programme, (request_id, _) in doses.items()}
                take(by_id[body["request_id"]], body["maximum_steps"], row.entry.mono_ns)
    return found


def test_what_the_ledgers_rows_say_is_on_board_is_what_the_plant_moved(
    new_bench: type[VirtualBench],
) -> None:
    bench = new_bench(pace=60)
    began_ns, seen = bench.now_ns, [(bench.now_ns, bench.truth_steps)]
    bench.start_bolus("2")
    for minute in range(1, 76):
        bench.run(60)
        seen.append((bench.now_ns, bench.truth_steps))
        if minute == 40:
            bench.start_bolus("0.5")
    found = deliveries(bench)
    on = on_board(RAPID, boluses=found["bolus"], basal=found["basal"])
    truth_uu = sum(
        bench.mechanics.uu_of(after - before) * RAPID.left((bench.now_ns - at_ns) / MIN)
        for (_, before), (at_ns, after) in pairwise(seen)
    )
    # Open leases are not read here, and a minute's motion is placed at its end: a lease each.
    assert abs(on.total_uu - truth_uu) < 100_000
    # 2 U of 75 min and 0.5 U of 35 min, a little less old where they ended
    expected_uu = 2e6 * RAPID.left(75) + 0.5e6 * RAPID.left(35)
    assert expected_uu <= on.bolus_uu < expected_uu + 20_000
    # The 1 U/h that the profile asks for and got is nothing beyond the schedule, but for a lease.
    scheduled = [Scheduled(bench.now_ns - began_ns, 0, UU_PER_U)]
    beyond = on_board(RAPID, basal=found["basal"], scheduled=scheduled)
    assert abs(beyond.basal_uu) < 100_000
    bench.close()
