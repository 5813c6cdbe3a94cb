"""Profiles in files: TOML, JSON and Nightscout, there and back, with every fault named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.client.messages import FullSegment, Segment
from appliance.client.profiles import nightscout_of, read_file, read_profile, toml_of
from appliance.errors import BadProfile

NIGHTSCOUT = {
    "_id": "5a0a",
    "defaultProfile": "Default",
    "store": {
        "Default": {
            "dia": "5",
            "carbratio": [
                {"time": "00:00", "value": "12.5", "timeAsSeconds": "0"},
                {"time": "06:30", "value": 10, "timeAsSeconds": 23_400},
            ],
            "sens": [{"time": "00:00", "value": "50"}],
            "basal": [
                {"time": "00:00", "value": 0.7},
                {"time": "12:00", "value": "0.175"},
            ],
            "target_low": [{"time": "00:00", "value": "100"}],
            "target_high": [{"time": "00:00", "value": "120"}],
            "units": "mg/dl",
            "timezone": "Europe/Berlin",
        },
        "Low": {"basal": [{"time": "00:00", "value": "0.1"}], "units": "mmol"},
    },
}


def faults_of(table: object, **more: str) -> list[str]:
    with pytest.raises(BadProfile) as bad:
        read_file(json.dumps(table).encode(), as_json=True, **more)
    return bad.value.faults


def test_a_nightscout_profile_becomes_segments_at_every_change() -> None:
    read = read_file(json.dumps(NIGHTSCOUT).encode(), as_json=True)
    assert read.name == "Default"
    assert [tuple(one.model_dump().values()) for one in read.segments] == [
        (0, 700_000, 12_500, 50, 110),
        (390, 700_000, 10_000, 50, 110),
        (720, 175_000, 10_000, 50, 110),
    ]
    assert read.notes == ("target: the middle of target_low and target_high is taken",)


def test_a_list_of_records_is_read_as_its_newest_and_a_name_chooses() -> None:
    read = read_file(json.dumps([NIGHTSCOUT]).encode(), as_json=True, name="Low")
    assert (read.name, len(read.segments)) == ("Low", 1)
    assert read.segments[0] == FullSegment(start_min_of_day=0, rate_uu_per_h=100_000)


def test_mmol_becomes_whole_mg_dl_and_says_so() -> None:
    store = {
        "basal": [{"time": "00:00", "value": "1"}],
        "sens": [{"time": "00:00", "value": "2.8"}],
        "target_low": [{"time": "00:00", "value": "6.1"}],
        "target_high": [{"time": "00:00", "value": "6.1"}],
        "units": "mmol",
    }
    read = read_file(
        json.dumps({"defaultProfile": "A", "store": {"A": store}}).encode(), as_json=True
    )
    assert (read.segments[0].sensitivity_mg_dl_per_u, read.segments[0].target_mg_dl) == (50, 110)
    assert read.notes == ("mmol/L times 18.018, rounded to whole mg/dL",)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ({}, "basal: a list of entries with time and value is needed"),
        ({"basal": [{"time": "00:00", "value": "0.0505"}]}, "at most three decimals of U/h"),
        ({"basal": [{"time": "0:00", "value": "1"}]}, "a text such as"),
        ({"basal": [{"time": "06:00", "value": "1"}]}, "basal: the first entry starts at 00:00"),
        ({"basal": [{"time": "00:00", "value": "-1"}]}, "is not a number"),
        ({"basal": [{"time": "00:00", "value": 1e9}]}, "is not a number"),
        ({"basal": [{"time": "00:00", "value": None}]}, "is not a number"),
        ({"basal": [5]}, "a text such as"),
    ],
)
def test_every_fault_of_a_nightscout_profile_is_named(store: dict[str, object], said: str) -> None:
    assert any(said in one for one in faults_of({"defaultProfile": "A", "store": {"A": store}}))


def test_a_store_without_the_profile_says_what_it_has() -> None:
    assert faults_of(NIGHTSCOUT, name="Other") == [
        "no profile 'Other' in this store; it has 'Default', 'Low'"
    ]
    assert faults_of({"store": {}}) == ["store: an object of profiles by name is needed"]


segments = st.lists(
    st.builds(
        FullSegment,
        start_min_of_day=st.integers(1, 1_439),
        rate_uu_per_h=st.integers(25, 35_000).map(lambda one: one * 1_000),
        carb_ratio_mg_per_u=st.integers(1_000, 150_000),
        sensitivity_mg_dl_per_u=st.integers(1, 400),
        target_mg_dl=st.integers(60, 250),
    ),
    min_size=1,
    max_size=48,
    unique_by=lambda one: one.start_min_of_day,
).map(
    lambda some: [
        one.model_copy(update={"start_min_of_day": 0}) if at == 0 else one
        for at, one in enumerate(sorted(some, key=lambda one: one.start_min_of_day))
    ]
)


@given(segments)
def test_what_is_exported_is_read_again_to_the_digit(some: list[FullSegment]) -> None:
    assert read_profile(toml_of("Day", some).encode(), as_json=False) == ("Day", some)
    record = nightscout_of({"Day": some}, "Day", duration_min=330)
    assert record["store"]["Day"]["dia"] == "5.5"
    again = read_file(json.dumps(record).encode(), as_json=True)

    def in_force(listed: list[FullSegment], minute: int) -> tuple[int | None, ...]:
        one = [each for each in listed if each.start_min_of_day <= minute][-1]
        return tuple(one.model_dump().values())[1:]

    for minute in {one.start_min_of_day for one in [*some, *again.segments]}:
        assert in_force(again.segments, minute) == in_force(some, minute)


def test_a_name_with_quotes_survives_toml() -> None:
    name = 'A "b" \\ c'
    assert (
        read_profile(
            toml_of(name, [FullSegment(start_min_of_day=0, rate_uu_per_h=0)]).encode(),
            as_json=False,
        )[0]
        == name
    )


def test_a_plain_segment_has_no_columns() -> None:
    assert Segment(start_min_of_day=0, rate_uu_per_h=5).model_dump() == {
        "start_min_of_day": 0,
        "rate_uu_per_h": 5,
    }
