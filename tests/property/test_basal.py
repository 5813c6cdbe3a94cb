"""The daily schedule: which rate holds when, what a day asks for, and what no schedule may say."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.basal import (
    MAX_SEGMENTS,
    Profile,
    Segment,
    ns_of_local_day,
)
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.errors import BadProfile

DAY_NS = MIN_PER_DAY * NS_PER_MIN
RATES = st.just(0) | st.integers(25, 35_000).map(lambda thousandths: thousandths * 1_000)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    starts = draw(st.sets(st.integers(1, MIN_PER_DAY - 1), max_size=MAX_SEGMENTS - 1))
    segments = tuple(Segment(start, draw(RATES)) for start in sorted({0, *starts}))
    return Profile("Weekday", segments)


def every_half_hour() -> Profile:
    return Profile("Half hours", tuple(Segment(30 * at, 25_000 + 1_000 * at) for at in range(48)))


def faults_of(*segments: Segment, name: str = "Weekday") -> list[str]:
    with pytest.raises(BadProfile) as caught:
        Profile(name, segments)
    assert str(caught.value) == "; ".join(caught.value.faults)
    return caught.value.faults


@given(profiles())
def test_every_minute_of_the_day_has_the_last_segment_that_began(profile: Profile) -> None:
    by_minute: list[Segment] = []
    for segment in profile.segments:  # each one paints over the rest of the day
        by_minute[segment.start_min_of_day :] = [segment] * (MIN_PER_DAY - segment.start_min_of_day)
    assert [profile.segment_at(minute) for minute in range(MIN_PER_DAY)] == by_minute


@given(profiles())
def test_a_day_asks_for_the_sum_of_its_minutes_rounded_down(profile: Profile) -> None:
    rates = [profile.segment_at(minute).rate_uu_per_h for minute in range(MIN_PER_DAY)]
    assert profile.total_uu() == sum(rates) // 60


@given(profiles(), st.integers(0, DAY_NS - 1))
def test_from_any_instant_the_next_segment_is_ahead_and_the_rate_holds_until_then(
    profile: Profile, ns_of_day: int
) -> None:
    wait_ns = profile.ns_to_next_segment(ns_of_day)
    assert 0 < wait_ns <= DAY_NS - ns_of_day
    now = profile.segment_at(ns_of_day // NS_PER_MIN)
    assert profile.segment_at((ns_of_day + wait_ns - 1) // NS_PER_MIN) == now
    then_ns = (ns_of_day + wait_ns) % DAY_NS
    assert then_ns in {one.start_min_of_day * NS_PER_MIN for one in profile.segments}


@given(profiles(), st.integers(0, DAY_NS - 1))
def test_a_walk_from_segment_to_segment_goes_once_round_the_day(
    profile: Profile, ns_of_day: int
) -> None:
    at_ns, seen = ns_of_day, []
    while at_ns < ns_of_day + DAY_NS:
        seen.append(profile.segment_at(at_ns % DAY_NS // NS_PER_MIN))
        at_ns += profile.ns_to_next_segment(at_ns % DAY_NS)
    walked = seen[1:] + seen[:1] if seen[0] == seen[-1] and len(seen) > 1 else seen
    assert sorted(set(walked), key=lambda one: one.start_min_of_day) == list(profile.segments)
    assert len(seen) in {len(profile.segments), len(profile.segments) + 1}


def test_the_last_nanosecond_before_a_segment_still_has_the_rate_before() -> None:
    profile = Profile("Two", (Segment(0, 1_000_000), Segment(720, 2_000_000)))
    noon_ns = 720 * NS_PER_MIN
    assert profile.ns_to_next_segment(noon_ns - 1) == 1
    assert profile.ns_to_next_segment(noon_ns) == DAY_NS - noon_ns
    assert profile.ns_to_next_segment(0) == noon_ns
    assert profile.ns_to_next_segment(DAY_NS - 1) == 1
    assert profile.segment_at((noon_ns - 1) // NS_PER_MIN).rate_uu_per_h == 1_000_000
    assert profile.segment_at(noon_ns // NS_PER_MIN).rate_uu_per_h == 2_000_000


def test_a_day_of_48_segments_is_the_most_there_can_be() -> None:
    profile = every_half_hour()
    assert len(profile.segments) == MAX_SEGMENTS == 48
    assert [one.start_min_of_day for one in profile.segments] == list(range(0, MIN_PER_DAY, 30))
    assert all(
        profile.ns_to_next_segment(one.start_min_of_day * NS_PER_MIN) == 30 * NS_PER_MIN
        for one in profile.segments
    )
    # 48 x 25 and the sum of 0 to 47, in thousandths of a unit an hour, for half an hour each
    assert profile.total_uu() == (48 * 25_000 + 1_000 * 47 * 48 // 2) // 2
    starts = sorted({one.start_min_of_day for one in profile.segments} | {1})
    assert faults_of(*(Segment(start, 0) for start in starts)) == [
        "segments: 1 to 48 of them, not 49"
    ]


def test_a_profile_without_segments_is_none() -> None:
    assert faults_of() == ["segments: 1 to 48 of them, not 0"]


@pytest.mark.parametrize("rate", [0, 25_000, 26_000, 1_000_000, 34_999_000, 35_000_000])
def test_the_rates_are_0_and_0_025_to_35_in_thousandths(rate: int) -> None:
    assert Profile("A", (Segment(0, rate),)).total_uu() == rate * 24


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (1, "0, or 0.025 U/h to 35.000 U/h"),
        (24_000, "0, or 0.025 U/h to 35.000 U/h"),
        (24_999, "0, or 0.025 U/h to 35.000 U/h"),
        (35_000_001, "0, or 0.025 U/h to 35.000 U/h"),
        (-1, "0, or 0.025 U/h to 35.000 U/h"),
        (-1_000_000, "0, or 0.025 U/h to 35.000 U/h"),
        (2**64, "0, or 0.025 U/h to 35.000 U/h"),
        (25_001, "a multiple of 1000 (0.001 U/h)"),
        (1_000_500, "a multiple of 1000 (0.001 U/h)"),
    ],
)
def test_f39_a_rate_out_of_range_or_off_the_grid_is_refused_with_field_and_range(
    rate: int, why: str
) -> None:
    assert faults_of(Segment(0, 0), Segment(60, rate)) == [
        f"segments[1].rate_uu_per_h = {rate}: {why}"
    ]


@pytest.mark.parametrize("start", [-1, 1_440, 10**9, -(10**9)])
def test_f39_a_start_outside_the_day_is_refused_and_makes_no_other_start_wrong(start: int) -> None:
    segments = (Segment(0, 0), Segment(start, 0), Segment(60, 0))
    assert faults_of(*segments) == [f"segments[1].start_min_of_day = {start}: 0 to 1439"]


def test_a_day_begins_at_midnight() -> None:
    assert faults_of(Segment(1, 0)) == [
        "segments[0].start_min_of_day = 1: the first starts at 0 (00:00)"
    ]


def test_segments_stand_in_the_order_of_the_day() -> None:
    assert faults_of(Segment(0, 0), Segment(60, 0), Segment(60, 0), Segment(30, 0)) == [
        "segments[2].start_min_of_day = 60: later than 60",
        "segments[3].start_min_of_day = 30: later than 60",
    ]


def test_every_fault_of_a_profile_is_listed_at_once() -> None:
    said = faults_of(
        Segment(5, 24_000),
        Segment(4, 25_500),
        Segment(2_000, 36_000_000),
        Segment(10, -5_000),
        name=" x",
    )
    assert said == [
        "name = ' x': 1 to 20 printable characters, no space at an end",
        "segments[0].start_min_of_day = 5: the first starts at 0 (00:00)",
        "segments[0].rate_uu_per_h = 24000: 0, or 0.025 U/h to 35.000 U/h",
        "segments[1].start_min_of_day = 4: later than 5",
        "segments[1].rate_uu_per_h = 25500: a multiple of 1000 (0.001 U/h)",
        "segments[2].start_min_of_day = 2000: 0 to 1439",
        "segments[2].rate_uu_per_h = 36000000: 0, or 0.025 U/h to 35.000 U/h",
        "segments[3].rate_uu_per_h = -5000: 0, or 0.025 U/h to 35.000 U/h",
    ]


@pytest.mark.parametrize(
    "number",
    [1.0, 25_000.0, float("nan"), float("inf"), -0.0, "25000", None, True, [25_000]],
    ids=repr,
)
def test_f39_what_is_no_integer_is_no_rate_and_no_start(number: object) -> None:
    assert faults_of(Segment(0, number)) == [  # type: ignore[arg-type]
        f"segments[0].rate_uu_per_h = {number!r}: a whole number of microunits per hour"
    ]
    assert faults_of(Segment(0, 0), Segment(number, 0)) == [  # type: ignore[arg-type]
        f"segments[1].start_min_of_day = {number!r}: a whole number of minutes"
    ]


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a ", "x" * 21, "a\nb", "a\x00", "a\u202eb", "a\u200b", "a\u2028b"]
)
def test_f40_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    said = faults_of(Segment(0, 0), name=name)
    assert said == [f"name = {name!r}: 1 to 20 printable characters, no space at an end"]
    assert said[0].isprintable()


def test_f40_a_name_of_a_megabyte_is_refused_in_one_short_line() -> None:
    (said,) = faults_of(Segment(0, 0), name="x" * 1_000_000)
    assert len(said) < 200


def test_names_of_every_script_are_names() -> None:
    for name in ("Weekday", "x" * 20, "Tag 1", "ночь", "夜"):
        assert Profile(name, (Segment(0, 0),)).name == name


@given(st.integers(-(10**18), 4 * 10**18), st.integers(-12 * 3_600, 14 * 3_600))
def test_the_place_in_the_local_day_moves_with_time_and_offset_alone(
    utc_ns: int, offset_s: int
) -> None:
    here_ns = ns_of_local_day(utc_ns, offset_s)
    assert 0 <= here_ns < DAY_NS
    assert (here_ns - utc_ns - offset_s * NS_PER_S) % DAY_NS == 0


def test_sr_47_the_place_in_the_day_is_right_on_the_days_that_break_others() -> None:
    days = {  # 1970, 29 February 2028, 19 January 2038, 2100, 2106
        "1970-01-01": 0,
        "2028-02-29": 1_835_395_200,
        "2038-01-19": 2_147_472_000,
        "2100-03-01": 4_107_542_400,
        "2106-02-07": 4_294_944_000,
    }
    for midnight_s in days.values():
        for seconds in (0, 1, 43_200, 86_399):
            utc_ns = (midnight_s + seconds) * NS_PER_S
            assert ns_of_local_day(utc_ns, 0) == seconds * NS_PER_S


def test_starts_of_the_segments_are_strictly_rising() -> None:
    assert all(
        before.start_min_of_day < after.start_min_of_day
        for before, after in pairwise(every_half_hour().segments)
    )
