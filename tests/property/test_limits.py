"""Limits against an oracle that tries every window there is (SR-13, SR-14, SR-15)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.domain.limits import (
    DAY_NS,
    DEFAULTS,
    HOUR_NS,
    Limits,
    Past,
    Piece,
    faults_of,
    interval_reason,
    largest_window_uu,
    left_uu,
    window_reasons,
)
from appliance.domain.units import NS_PER_H, NS_PER_MIN, NS_PER_S, UU_PER_U

CEILINGS = Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600)
NOW_MIN = 10_000


def held_uu(past: Sequence[Past], plan: Sequence[Piece], now_ns: int, start: int, end: int) -> int:
    """Return what one window holds: amounts behind in full, and rates ahead of now, rounded up."""
    behind = sum(one.amount_uu for one in past if start <= one.at_ns <= end)
    ahead = sum(
        one.rate_uu_per_h * max(0, min(one.end_ns, end) - max(one.start_ns, start, now_ns))
        for one in plan
    )
    return behind - (-ahead // NS_PER_H)


def every_window_uu(
    past: Sequence[Past],
    plan: Sequence[Piece],
    *,
    now_ns: int,
    dose_end_ns: int,
    window_ns: int,
    grid_ns: int,
) -> int:
    """Return the most in any window that holds a part of the dose, by trying one after the
    other.
    """
    return max(
        held_uu(past, plan, now_ns, start, start + window_ns)
        for start in range(now_ns - window_ns, dose_end_ns + 1, grid_ns)
    )


def _ahead(start_min: int, end_min: int, units_per_h: int) -> Piece:
    start_ns, end_ns = (NOW_MIN + start_min) * NS_PER_MIN, (NOW_MIN + end_min) * NS_PER_MIN
    return Piece(start_ns, end_ns, units_per_h * UU_PER_U)


@st.composite
def pasts(draw: st.DrawFn, span_min: int = 90) -> list[Past]:
    ages_min = draw(st.lists(st.integers(0, span_min), max_size=12))
    return [
        Past((NOW_MIN - age) * NS_PER_MIN, draw(st.integers(0, 4_000_000)))
        for age in sorted(ages_min, reverse=True)
    ]


@st.composite
def plans(draw: st.DrawFn, span_min: int = 120) -> list[Piece]:
    pieces = []
    for _ in range(draw(st.integers(0, 6))):
        start_min = draw(st.integers(-20, span_min))  # a piece may have begun before the dose
        length_min = draw(st.integers(0, 60))
        rate_uu_per_h = draw(st.integers(0, 90_000_000))
        start_ns = (NOW_MIN + start_min) * NS_PER_MIN
        pieces.append(Piece(start_ns, start_ns + length_min * NS_PER_MIN, rate_uu_per_h))
    return pieces


@settings(max_examples=4 * settings.default.max_examples)
@given(st.just([]) | pasts(), plans(), st.integers(0, 120), st.integers(1, 60))
@example([], [_ahead(15, 25, 20), _ahead(40, 50, 60)], 60, 30)  # the fullest: from 20 to 50
@example([], [_ahead(-10, 90, 60)], 10, 30)  # what ran before now is in the past, not ahead
@example([], [_ahead(-10, 5, 60), _ahead(60, 80, 6)], 20, 30)  # the fullest begins now
def test_sr_14_the_fullest_window_is_the_one_found_by_trying_all(
    past: list[Past], plan: list[Piece], dose_min: int, window_min: int
) -> None:
    # Everything falls on whole minutes, so a grid of half minutes has every event point on it.
    where = {
        "now_ns": NOW_MIN * NS_PER_MIN,
        "dose_end_ns": (NOW_MIN + dose_min) * NS_PER_MIN,
        "window_ns": window_min * NS_PER_MIN,
    }
    expected_uu = every_window_uu(past, plan, **where, grid_ns=NS_PER_MIN // 2)
    assert largest_window_uu(past, plan, **where) == expected_uu


@given(
    st.lists(st.tuples(st.integers(0, 2 * HOUR_NS), st.integers(0, 4_000_000)), max_size=8),
    st.lists(
        st.tuples(st.integers(0, 2 * HOUR_NS), st.integers(0, HOUR_NS), st.integers(0, 90_000_000)),
        max_size=6,
    ),
    st.integers(0, HOUR_NS),
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
)
def test_sr_14_no_window_at_any_nanosecond_holds_more(
    behind: list[tuple[int, int]],
    ahead: list[tuple[int, int, int]],
    dose_ns: int,
    places: list[float],
) -> None:
    now_ns = 10 * DAY_NS
    past = [Past(now_ns - age_ns, uu) for age_ns, uu in sorted(behind, reverse=True)]
    plan = [Piece(now_ns + at, now_ns + at + length, rate) for at, length, rate in ahead]
    most_uu = largest_window_uu(
        past, plan, now_ns=now_ns, dose_end_ns=now_ns + dose_ns, window_ns=HOUR_NS
    )
    for place in places:
        start_ns = now_ns - HOUR_NS + int(place * (HOUR_NS + dose_ns))
        assert held_uu(past, plan, now_ns, start_ns, start_ns + HOUR_NS) <= most_uu


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 100), st.integers(1, 12)), max_size=25),
    st.integers(0, 4_000_000),
)
def test_sr_14_no_series_of_admitted_boluses_ever_overfills_an_hour(
    wishes: list[tuple[int, int, int]], basal_uu_per_h: int
) -> None:
    limits = replace(DEFAULTS, daily_uu=300_000_000)
    # Whatever is delivered, told minute by minute: the oracle adds up what was truly given.
    given_uu: dict[int, int] = {}
    past: list[Past] = []
    now_min = NOW_MIN
    for gap_min, tenths, length_min in wishes:
        for minute in range(now_min, now_min + gap_min):
            past.append(Past(minute * NS_PER_MIN, basal_uu_per_h // 60))
            given_uu[minute] = given_uu.get(minute, 0) + basal_uu_per_h // 60
        now_min += gap_min
        now_ns, end_ns = now_min * NS_PER_MIN, (now_min + length_min) * NS_PER_MIN
        amount_uu = tenths * 60 * length_min * 1_000
        plan = [
            Piece(now_ns, end_ns, amount_uu * 60 // length_min),
            Piece(now_ns, end_ns + DAY_NS, basal_uu_per_h),
        ]
        ordered = sorted(past, key=lambda one: one.at_ns)
        if window_reasons(
            limits,
            [one for one in ordered if one.at_ns <= now_ns],
            [*plan, *_still_to_come(ordered, now_ns)],
            now_ns=now_ns,
            dose_end_ns=end_ns,
        ):
            continue
        for minute in range(now_min, now_min + length_min):
            past.append(Past(minute * NS_PER_MIN, amount_uu // length_min))
            given_uu[minute] = given_uu.get(minute, 0) + amount_uu // length_min
    if given_uu:
        for first in range(min(given_uu), max(given_uu) + 1):
            hour_uu = sum(given_uu.get(minute, 0) for minute in range(first, first + 60))
            assert hour_uu <= limits.hourly_uu


def _still_to_come(past: Sequence[Past], now_ns: int) -> list[Piece]:
    """Return the rest of an earlier bolus as the rate at which it goes out."""
    return [
        Piece(one.at_ns, one.at_ns + NS_PER_MIN, one.amount_uu * 60)
        for one in past
        if one.at_ns > now_ns
    ]


def test_sr_14_a_window_over_midnight_is_a_window_like_any_other() -> None:
    midnight_ns = 20_000 * DAY_NS
    past = [Past(midnight_ns - 30 * NS_PER_MIN, 9 * UU_PER_U)]
    for now_min in (-20, -1, 0, 1, 26, 30):
        now_ns = midnight_ns + now_min * NS_PER_MIN
        dose = [Piece(now_ns, now_ns + 4 * NS_PER_MIN, 90 * UU_PER_U)]  # 6 U
        reasons = window_reasons(
            DEFAULTS, past, dose, now_ns=now_ns, dose_end_ns=now_ns + 4 * NS_PER_MIN
        )
        # 9 U and 6 U are 15 U, which is not over the limit; one hundredth more is.
        assert reasons == []
        more = [replace(dose[0], rate_uu_per_h=dose[0].rate_uu_per_h + 150_000)]
        over = window_reasons(
            DEFAULTS, past, more, now_ns=now_ns, dose_end_ns=now_ns + 4 * NS_PER_MIN
        )
        # The last dose shares no more than its first instant with an hour that holds the 9 U.
        assert [one.field for one in over] == (["hourly_uu"] if now_min < 30 else [])


def test_sr_14_the_boundary_belongs_to_the_window() -> None:
    now_ns = 10 * DAY_NS
    where = {"now_ns": now_ns, "dose_end_ns": now_ns, "window_ns": HOUR_NS}
    assert largest_window_uu([Past(now_ns - HOUR_NS, 7)], [], **where) == 7
    assert largest_window_uu([Past(now_ns - HOUR_NS - 1, 7)], [], **where) == 0


def test_sr_14_the_whole_bolus_and_the_basal_under_it_are_laid_onto_the_window() -> None:
    now_ns = 10 * DAY_NS
    end_ns = now_ns + 4 * NS_PER_MIN
    bolus = Piece(now_ns, end_ns, 150 * UU_PER_U)  # 10 U
    basal = Piece(now_ns, now_ns + DAY_NS, 6 * UU_PER_U)
    most_uu = largest_window_uu(
        [], [bolus, basal], now_ns=now_ns, dose_end_ns=end_ns, window_ns=HOUR_NS
    )
    assert most_uu == 16 * UU_PER_U  # the hour that begins with the bolus, not the one that ends


def test_sr_14_an_extended_bolus_counts_before_it_is_delivered() -> None:
    now_ns = 10 * DAY_NS
    extended = Piece(now_ns + 30 * NS_PER_MIN, now_ns + 90 * NS_PER_MIN, 9 * UU_PER_U)
    bolus = Piece(now_ns, now_ns + NS_PER_MIN, 420 * UU_PER_U)  # 7 U
    reasons = window_reasons(
        DEFAULTS, [], [bolus, extended], now_ns=now_ns, dose_end_ns=now_ns + NS_PER_MIN
    )
    assert reasons == []  # 7 U and the first half, 4.5 U
    more = replace(extended, rate_uu_per_h=18 * UU_PER_U)
    reasons = window_reasons(
        DEFAULTS, [], [bolus, more], now_ns=now_ns, dose_end_ns=now_ns + NS_PER_MIN
    )
    assert [one.field for one in reasons] == ["hourly_uu"]


def test_sr_14_both_windows_are_named_with_what_they_would_hold() -> None:
    now_ns = 10 * DAY_NS
    limits = replace(DEFAULTS, hourly_uu=15_000_000, daily_uu=15_000_000)
    past = [Past(now_ns - NS_PER_MIN, 15_000_000)]
    dose = [Piece(now_ns, now_ns + NS_PER_MIN, 60 * 50_000)]
    reasons = window_reasons(limits, past, dose, now_ns=now_ns, dose_end_ns=now_ns + NS_PER_MIN)
    assert [(one.code, one.field, one.value, one.range) for one in reasons] == [
        ("window_limit", "hourly_uu", "15050000", "up to 15000000"),
        ("window_limit", "daily_uu", "15050000", "up to 15000000"),
    ]
    assert "15.05 U would lie within 60 min, over the limit of 15.00 U" in reasons[0].text
    assert "15.05 U would lie within 24 h" in reasons[1].text


def test_sr_04_a_window_that_is_over_by_a_microunit_does_not_read_as_full() -> None:
    now_ns = 10 * DAY_NS
    past = [Past(now_ns, 15_000_001)]
    reasons = window_reasons(DEFAULTS, past, [], now_ns=now_ns, dose_end_ns=now_ns)
    assert "15.01 U would lie within 60 min, over the limit of 15.00 U" in reasons[0].text


def test_sr_14_what_a_window_leaves_is_what_can_be_added_to_it() -> None:
    now_ns = 10 * DAY_NS
    past = [Past(now_ns - HOUR_NS - 1, 10**9), Past(now_ns - HOUR_NS, 5), Past(now_ns, 7)]
    where = {"now_ns": now_ns, "window_ns": HOUR_NS}
    assert left_uu(past, **where, limit_uu=100) == 88
    assert left_uu(past, **where, limit_uu=12) == 0
    assert left_uu(past, **where, limit_uu=11) == 0  # never below it


@pytest.mark.parametrize(
    ("since_ns", "said"),
    [
        (60 * NS_PER_S, None),
        (60 * NS_PER_S - 1, "wait 1 s"),
        (59 * NS_PER_S, "wait 1 s"),
        (1, "wait 60 s"),
        (0, "wait 60 s"),
        (10 * DAY_NS, None),
    ],
)
def test_sr_15_a_bolus_within_the_minimum_interval_is_refused_and_says_how_long_to_wait(
    since_ns: int, said: str | None
) -> None:
    now_ns = 50 * DAY_NS
    reasons = interval_reason(DEFAULTS, now_ns=now_ns, last_start_ns=now_ns - since_ns)
    if said is None:
        assert reasons == []
    else:
        assert [(one.code, one.field) for one in reasons] == [("too_soon", "min_interval_s")]
        assert said in reasons[0].text
        assert reasons[0].value == str(since_ns // NS_PER_S)
        assert reasons[0].range == "from 60 s on"


def test_sr_15_the_first_bolus_of_all_waits_for_nothing() -> None:
    assert interval_reason(DEFAULTS, now_ns=0, last_start_ns=None) == []


def test_sr_13_the_defaults_are_inside_the_ceilings() -> None:
    assert faults_of(DEFAULTS, CEILINGS) == []
    assert Limits(10_000_000, 15_000_000, 60_000_000, 5_000_000, 60) == DEFAULTS


RANGES = {
    "max_bolus_uu": (50_000, 25_000_000),
    "hourly_uu": (50_000, 60_000_000),
    "daily_uu": (50_000, 300_000_000),
    "max_basal_uu_per_h": (0, 35_000_000),
    "min_interval_s": (10, 3_600),
}


@pytest.mark.parametrize("name", list(RANGES))
def test_sr_13_no_setting_goes_over_the_ceiling_or_under_the_floor(name: str) -> None:
    low, high = RANGES[name]
    wide = Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600)
    for number in (low, high):
        named = [one.field for one in faults_of(replace(wide, **{name: number}), CEILINGS)]
        assert name not in named or (name, number) == ("daily_uu", low)
    for number in (low - 1, high + 1, -1, 10**9, -(2**63), 2**64):
        reasons = faults_of(replace(wide, **{name: number}), CEILINGS)
        mine = [one for one in reasons if one.field == name and one.value == str(number)]
        assert mine
        assert mine[0].code == "out_of_range"
        assert mine[0].range == f"{low} to {high}"
        assert mine[0].text == f"{name} = {number} is out of range: {low} to {high}"


@given(
    st.builds(Limits, *(st.integers(-(10**9), 10**9) for _ in range(5))),
    st.builds(
        Limits,
        st.integers(50_000, 25_000_000),
        st.integers(50_000, 60_000_000),
        st.integers(50_000, 300_000_000),
        st.integers(0, 35_000_000),
        st.just(3_600),
    ),
)
def test_sr_13_limits_without_fault_are_inside_the_machine_whatever_was_asked(
    limits: Limits, ceilings: Limits
) -> None:
    faults = faults_of(limits, ceilings)
    inside = (
        50_000 <= limits.max_bolus_uu <= ceilings.max_bolus_uu
        and 50_000 <= limits.hourly_uu <= ceilings.hourly_uu
        and 50_000 <= limits.daily_uu <= ceilings.daily_uu
        and 0 <= limits.max_basal_uu_per_h <= ceilings.max_basal_uu_per_h
        and 10 <= limits.min_interval_s <= 3_600
        and limits.hourly_uu <= limits.daily_uu
    )
    assert (faults == []) == inside


def test_sr_17_every_limit_that_is_wrong_is_listed_at_once() -> None:
    faults = faults_of(Limits(0, 70_000_000, 10, -1, 5), CEILINGS)
    assert [one.field for one in faults] == [
        "max_bolus_uu",
        "hourly_uu",
        "daily_uu",
        "max_basal_uu_per_h",
        "min_interval_s",
        "hourly_uu",
    ]
    assert faults[-1].text == "hourly_uu = 70000000 is above daily_uu = 10"
