"""Words and numbers: exact, the same everywhere, and refused by name (SR-01, SR-04)."""

import pytest

from appliance.client.messages import Dose, Review, Snapshot
from appliance.client.profiles import read_profile
from appliance.client.words import (
    in_words,
    minute_words,
    parse_ago_s,
    parse_minute,
    review_words,
    share_uu,
    steps_words,
    time_words,
)
from appliance.errors import BadProfile, ProtocolFault

DOSE = {
    "id": "123e4567-e89b-12d3-a456-426614174000",
    "kind": "bolus",
    "programmed_uu": 2_500_000,
    "programmed_steps": 1_358,
    "issued_steps": 1_358,
    "confirmed_steps": 1_358,
    "maximum_steps": 1_358,
    "certainty": "exact",
    "outcome": "done",
}


@pytest.mark.parametrize(
    ("text", "minute"), [("00:00", 0), ("06:30", 390), ("19:05", 1_145), ("23:59", 1_439)]
)
def test_a_time_of_day_goes_there_and_back(text: str, minute: int) -> None:
    assert parse_minute(text) == minute
    assert minute_words(minute) == text


@pytest.mark.parametrize(
    "text", ["", "6:30", "24:00", "06:60", "06.30", " 06:30", "06:30\n", "٠٦:٣٠"]
)
def test_another_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ProtocolFault, match="not a time of day"):
        parse_minute(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86_400), ("90m", 5_400), ("7d", 604_800), ("1d12h30m", 131_400)]
)
def test_how_long_ago(text: str, seconds: int) -> None:
    assert parse_ago_s(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1h ", "1.5h", "1m1h", "9999d", "٢h"])
def test_another_how_long_ago_is_refused(text: str) -> None:
    with pytest.raises(ProtocolFault, match="not a time such as"):
        parse_ago_s(text)


def test_durations_in_words() -> None:
    given = (-5, 0, 59, 60, 100, 3_600, 7_530)
    said = ["0 s", "0 s", "59 s", "1 min", "1 min 40 s", "1 h 00 min", "2 h 05 min"]
    assert [in_words(seconds) for seconds in given] == said


def test_instants_in_words_whatever_a_clock_says() -> None:
    assert time_words(0, 0) == "1970-01-01 00:00:00"
    assert time_words(1_790_000_000 * 10**9, 7_200) == "2026-09-21 16:13:20"
    assert time_words(2**62, -43_200) == "2116-02-20 11:53:38"
    for utc_ns, offset_s in ((None, 0), (2**90, 0), (-(2**90), 0), (0, 10**9), (0, -90_000)):
        assert time_words(utc_ns, offset_s) == "time not known"


def test_a_share_of_a_dose_is_rounded_down_and_all_of_it_is_all() -> None:
    dose = Dose.of(DOSE)
    assert [share_uu(steps, dose) for steps in (0, 1, 679, 1_358)] == [
        0,
        1_840,
        1_250_000,
        2_500_000,
    ]
    assert steps_words(652, dose) == "1.20 U (652 steps)"
    assert steps_words(None, dose) == "an unknown number of steps"
    basal = Dose.of(DOSE | {"programmed_uu": None, "programmed_steps": None})
    assert steps_words(652, basal) == "652 steps"
    assert share_uu(3, Dose.of(DOSE | {"programmed_steps": 0})) is None


def test_a_review_in_one_line() -> None:
    review = Review.of(
        {
            "request_id": DOSE["id"],
            "amount_uu": 2_500_000,
            "programmed_steps": 1_358,
            "duration_s": 100,
            "reasons": [],
            "token": "t",
        }
    )
    assert (
        review_words(review, "normal") == "2.50 U now, 1.5 U/min, about 1 min 40 s; 1358 microsteps"
    )


@pytest.mark.parametrize(
    ("changed", "running", "certain", "complete"),
    [
        ({}, False, True, True),
        ({"outcome": "open", "certainty": "open"}, True, False, False),
        ({"outcome": None, "certainty": "open"}, True, False, False),
        ({"outcome": "stopped"}, False, True, False),
        ({"outcome": "uncertain", "certainty": "uncertain"}, False, False, False),
        ({"certainty": "unknown"}, False, False, False),
        ({"confirmed_steps": 1_357}, False, True, False),
        ({"issued_steps": None}, False, True, False),
    ],
)
def test_when_a_dose_is_over_sure_and_whole(
    changed: dict[str, object], *, running: bool, certain: bool, complete: bool
) -> None:
    dose = Dose.of(DOSE | changed)
    assert (dose.running, dose.certain, dose.complete) == (running, certain, complete)


def test_a_snapshot_of_a_pump_that_says_little_or_more_is_read() -> None:
    assert Snapshot.of({"state": "starting"}).alarms == []
    newer = Snapshot.of({"state": "inhibited", "why": ["a", {"code": "b", "text": "c"}], "x": 1})
    assert newer.reasons == ["a", "c"]
    assert newer.raw["x"] == 1
    for wrong in (
        {},
        {"state": 1},
        {"state": "a", "reservoir_uu": 1.5},
        {"state": "a", "pids": []},
    ):
        with pytest.raises(ProtocolFault, match="cannot be read"):
            Snapshot.of(wrong)


TOML = b"""name = "Day"
[[segments]]
start = "00:00"
rate = "0.700"
[[segments]]
start = "06:30"
rate = "0.85"
"""
AS_JSON = b"""{"name": "Day", "segments": [
  {"start": "00:00", "rate": "0.700"}, {"start": "06:30", "rate": "0.85"}]}"""


@pytest.mark.parametrize(("raw", "as_json"), [(TOML, False), (AS_JSON, True)])
def test_a_profile_is_read_exactly(raw: bytes, *, as_json: bool) -> None:
    name, segments = read_profile(raw, as_json=as_json)
    assert name == "Day"
    assert [(s.start_min_of_day, s.rate_uu_per_h) for s in segments] == [
        (0, 700_000),
        (390, 850_000),
    ]


def faults(raw: bytes, *, as_json: bool = False) -> list[str]:
    with pytest.raises(BadProfile) as bad:
        read_profile(raw, as_json=as_json)
    return bad.value.faults


def test_every_fault_of_a_profile_is_named_at_once() -> None:
    raw = b"""name = 5
color = "red"
[[segments]]
start = "0:00"
rate = 0.7
[[segments]]
rate = "1,5"
speed = "fast"
"""
    assert faults(raw) == [
        "'color' is not a key here (name, segments)",
        "name = 5 is not a text",
        'segment 1: start = \'0:00\' is not a time of day from "00:00" to "23:59"',
        'segment 1: rate = 0.7: write it as a text, rate = "0.850"',
        "segment 2: 'speed' is not a key (start, rate, carb_ratio, sensitivity, target)",
        "segment 2: start is missing",
        "segment 2: rate = '1,5' is not a rate in U/h, 0 to 99.999 with at most three decimals",
    ]


@pytest.mark.parametrize(
    ("raw", "as_json", "said"),
    [
        (b"", False, "name is missing"),
        (b"\xff", False, "byte 0 is not UTF-8"),
        (b"name", False, "not TOML"),
        (b'name = "a"\nname = "b"', False, "not TOML"),
        (b'name = "a"\nsegments = 5', False, "at least one"),
        (b'name = "a"\nsegments = [5]', False, "segment 1 is not a table"),
        (b"[]", True, "must be an object"),
        (b'{"name":"a","name":"b"}', True, "stands there twice"),
        (b'{"name":NaN}', True, "NaN is not a number"),
        (b"\xff", True, "byte 0 is not UTF-8"),
        (b"[" * 100, True, "brackets"),
    ],
)
def test_a_file_that_is_no_profile_says_why(raw: bytes, *, as_json: bool, said: str) -> None:
    assert any(said in fault for fault in faults(raw, as_json=as_json))
