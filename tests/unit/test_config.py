"""The configuration: every key wrong in every way, and what a person reads then (SR-17, SR-66)."""

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config import (
    BASAL_CEILING_UU_PER_H,
    DAILY_CEILING_UU,
    HOURLY_CEILING_UU,
    MAX_BOLUS_CEILING_UU,
    Config,
    load,
    parse,
)
from appliance.domain.mechanics import Mechanics
from appliance.errors import BadConfiguration

EXAMPLE = Path(__file__).parents[2] / "docs" / "benchpump.example.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
TABLES = tomllib.loads(TEXT)
KEYS = [
    (table, key)
    for table, inside in TABLES.items()
    for key in (inside if isinstance(inside, dict) else [""])
]
NAMES = [f"{table}.{key}" if key else table for table, key in KEYS]

PINS = [key for key, pin in TABLES["pins"].items() if isinstance(pin, int)]
# Both ends of every range, told here once more: the oracle reads no schema.
RANGES = {
    **{f"pins.{pin}": (0, 27) for pin in PINS},
    "mechanics.bore_um": (1_000, 40_000),
    "mechanics.lead_um": (100, 20_000),
    "mechanics.full_steps": (20, 400),
    "mechanics.concentration_u_per_ml": (10, 500),
    "mechanics.capacity_uu": (1_000_000, 1_000_000_000),
    "mechanics.min_interval_us": (100, 100_000),
    "mechanics.step_pulse_us": (1, 100),
    "ceilings.max_bolus_uu": (50_000, 25_000_000),
    "ceilings.hourly_uu": (50_000, 60_000_000),
    "ceilings.daily_uu": (50_000, 300_000_000),
    "ceilings.max_basal_uu_per_h": (0, 35_000_000),
    "safety.lease_uu": (10_000, 100_000),
    "force.threshold_mn": (500, 200_000),
    "driver.address": (0, 3),
    "driver.run_ma": (30, 2_000),
    "driver.hold_ma": (0, 2_000),
    "driver.sense_mohm": (50, 500),
    "driver.stall_threshold": (0, 255),
    "battery.capacity_mwh": (500, 500_000),
    "battery.load_mw": (500, 50_000),
    "battery.i2c_bus": (0, 30),
    "battery.i2c_address": (3, 119),
    "battery.empty_mv": (2_000, 26_000),
    "battery.full_mv": (2_000, 26_000),
}
CHOICES = {
    "schema_version": "1",
    "pins.factory": 'one of "lgpio", "rpigpio", "bench"',
    "pins.inputs": 'one of "lgpio", "bench", "same"',
    "mechanics.microsteps": "one of 1, 2, 4, 8, 16, 32, 64, 128, 256",
    "mechanics.hold": 'one of "reduced", "off"',
    "safety.realtime": 'one of "required", "wanted"',
    "safety.watchdog": 'one of "required", "none"',
    "safety.readback": 'one of "required", "none"',
    "safety.one_shot": 'one of "present", "none"',
    "safety.signals": 'one of "person", "feedback"',
    "force.kind": 'one of "none", "bench", "i2c", "mcp3008"',
    "driver.kind": 'one of "step_dir", "tmc2209"',
    "battery.kind": 'one of "none", "bench", "max17048", "ina219"',
}
YES_OR_NO = {"mechanics.direction_inverted", "safety.stop_button", "force.required"}
TEXTS = {"pump.name": 40, "pump.fluid": 40, "pump.zone": 60}
USERS = {f"users.{role}" for role in ("observe", "report", "operate", "settings", "bench")}
PATHS = {
    *("paths.state", "paths.guard_state", "paths.keeper_state", "paths.runtime"),
    "driver.uart",
}
WITHOUT = {
    "pump.zone": "UTC",
    "pins.inputs": "same",
    "safety.lease_uu": 50_000,
    "safety.signals": "person",
    "paths.guard_state": None,
    "paths.keeper_state": None,
    "driver.kind": "step_dir",
    "driver.uart": Path("/dev/serial0"),
    "driver.address": 0,
    "driver.run_ma": 300,
    "driver.hold_ma": 100,
    "driver.sense_mohm": 110,
    "driver.stall_threshold": 0,
    "battery.i2c_bus": 1,
    "battery.i2c_address": None,
    "battery.empty_mv": 3_300,
    "battery.full_mv": 4_150,
}
"""What holds without a key, where its comment in the example says so."""
MAY_BE_MISSING = {"driver", "battery"}


def said_of(text: str | bytes) -> list[str]:
    """Return what is said of a file that must be refused."""
    raw = text if isinstance(text, bytes) else text.encode("utf-8")
    with pytest.raises(BadConfiguration) as caught:
        parse(raw, "pump.toml")
    assert str(caught.value) == "pump.toml: " + "; ".join(caught.value.faults)
    assert caught.value.source == "pump.toml"
    for fault in caught.value.faults:
        assert fault.isprintable()
        assert len(fault) < 400
    return caught.value.faults


def any_faults_of(text: str) -> list[str]:
    """Return what is said of a file that may be refused or not."""
    try:
        parse(text.encode("utf-8"), "pump.toml")
    except BadConfiguration as fault:
        return fault.faults
    return []


def line_of(name: str) -> str:
    """Return the line of the example that sets ``name``."""
    table, _, key = name.rpartition(".")
    inside = ""
    for line in TEXT.splitlines():
        if line.startswith("["):
            inside = line[1 : line.index("]")]
        elif inside == table and line.split("=")[0].strip() == key:
            return line
    raise KeyError(name)


def with_line(name: str, line: str) -> str:
    """Return the example with another line in the place of the one that sets ``name``."""
    old = line_of(name)
    table, _, _ = name.rpartition(".")
    before, header, after = TEXT.rpartition(f"[{table}]") if table else ("", "", TEXT)
    return before + header + after.replace(old, line, 1)


def set_to(name: str, written: str) -> str:
    return with_line(name, f"{name.rpartition('.')[2]} = {written}")


def test_the_shipped_example_is_a_configuration() -> None:
    config, digest = load(EXAMPLE)
    assert digest == hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert config.ratio() == Mechanics(5_890_141, 3_200, 1)


def test_the_shipped_example_holds_every_key_but_those_of_parts_that_it_has_not() -> None:
    of_a_sensor = {"i2c_bus", "i2c_address", "channel", "zero_counts", "un_per_count"}
    of_a_sensor |= {"friction_mn", "line_nl_per_kpa"}
    lacking = {"force": of_a_sensor, "pins": {"power_fail_n"}}
    for table, field in Config.model_fields.items():
        if table == "schema_version":
            continue
        models = [field.annotation, *get_args(field.annotation)]  # a table, or none of it
        (keys,) = [set(one.model_fields) for one in models if hasattr(one, "model_fields")]
        assert set(TABLES[table]) == keys - lacking.get(table, set())


def test_the_tests_know_every_key_of_the_example() -> None:
    known = {*RANGES, *CHOICES, *YES_OR_NO, *TEXTS, *USERS, *PATHS}
    assert known == set(NAMES)
    assert len(NAMES) == sum(
        (len(RANGES), len(CHOICES), len(YES_OR_NO), len(TEXTS), len(USERS), len(PATHS))
    )


@pytest.mark.parametrize("name", NAMES)
def test_sr_17_a_key_that_is_missing_is_missed_and_none_is_guessed(name: str) -> None:
    text = with_line(name, "")
    if name in WITHOUT:
        table, _, key = name.partition(".")
        assert getattr(getattr(parse(text.encode(), "x"), table), key) == WITHOUT[name]
        return
    (fault,) = said_of(text)
    assert fault.startswith(f"{name} is missing: ")
    if name in RANGES:
        low, high = RANGES[name]
        assert fault.endswith(f"{low} to {high}")


@pytest.mark.parametrize("table", [name for name in TABLES if name != "schema_version"])
def test_sr_17_a_table_that_is_missing_is_missed(table: str) -> None:
    begin = TEXT.index(f"[{table}]")
    end = TEXT.find("\n[", begin)
    text = TEXT[:begin] + (TEXT[end:] if end > 0 else "")
    missed = [] if table in MAY_BE_MISSING else [f"{table} is missing: a table"]
    assert any_faults_of(text) == missed
    assert said_of(text.replace("schema_version = 1", f"schema_version = 1\n{table} = 7")) == [
        f"{table} = 7 is not a table"
    ]


def test_sr_17_an_empty_file_starts_nothing() -> None:
    needed = [name for name in TABLES if name not in MAY_BE_MISSING]
    assert [fault.split()[0] for fault in said_of("")] == needed
    assert [fault.split()[0] for fault in said_of("# all commented out\n")] == needed


WRONG = [
    *("0", "-1", "1_000_000_000", "1e9", "nan", "inf", "-inf", "-0.0", "9223372036854775808"),
    *("0xffffffffffffffffffffffffffffffff", "true", '""', '"x"', '"16"', "[]", "{}", "[1]", "[[]]"),
    *("2026-01-01", "12:30:00", '"' + "9" * 5_000 + '"', "0x" + "f" * 5_000, '"\\u202e"'),
]  # fmt: skip


def may_be(name: str, found: Any) -> bool:
    """Say by this page's own tables whether a value may stand at ``name``."""
    if name in RANGES:
        low, high = RANGES[name]
        return type(found) is int and low <= found <= high
    if name in CHOICES:
        listed = [json.loads(one) for one in CHOICES[name].removeprefix("one of ").split(", ")]
        return type(found) in (int, str) and found in listed
    if name in YES_OR_NO:
        return type(found) is bool
    if name in TEXTS:
        if not isinstance(found, str) or not found.isprintable():
            return False
        return 1 <= len(found) <= TEXTS[name] and (name != "pump.zone" or found == "UTC")
    if name in PATHS:
        return isinstance(found, str) and found.startswith("/")
    return isinstance(found, list) and all(
        (type(one) is int and one >= 0) or (isinstance(one, str) and 1 <= len(one) <= 32)
        for one in found
    )


def expected(name: str, found: Any) -> str:
    """Return how the sentence ends that tells this value at ``name``."""
    if name in RANGES:
        low, high = RANGES[name]
        ends = f"{low} to {high}"
        return (
            f"is out of range: {ends}" if type(found) is int else f"is not a whole number, {ends}"
        )
    if name in CHOICES:
        return f"is not {CHOICES[name]}"
    if name in YES_OR_NO:
        return "is not true or false"
    if name in TEXTS:
        ends = f"1 to {TEXTS[name]} characters"
        if not isinstance(found, str):
            return f"is not a text, {ends}"
        if name == "pump.zone":
            return 'is no time zone; "UTC" and "Europe/Berlin" are'
        if not found.isprintable():
            return "has characters that cannot be shown"
        return f"is out of range: {ends}"
    if name in PATHS:
        return "is not an absolute path"
    if isinstance(found, list):
        return "is no user: an id, 0 to 4294967294, or a name of 1 to 32 characters"
    return "is not a list of user names and ids"


@pytest.mark.parametrize("name", NAMES)
def test_f66_every_key_refuses_what_it_cannot_be_and_says_field_value_and_range(name: str) -> None:
    for written in WRONG:
        found = tomllib.loads(f"x = {written}")["x"]
        text = set_to(name, written)
        if may_be(name, found):
            # Sound by itself; it may be at odds with another value.
            assert not any(expected(name, found) in fault for fault in any_faults_of(text))
            continue
        fault, *others_of_it = said_of(text)
        place = f"{name}.0" if name in USERS and isinstance(found, list) else name
        assert fault.startswith(f"{place} = "), (name, written, fault)
        assert fault.endswith(expected(name, found)), (name, written, fault)
        assert others_of_it == [], (name, written, others_of_it)


@pytest.mark.parametrize("name", list(RANGES))
def test_sr_66_both_ends_of_every_range_are_told_and_belong_to_it(name: str) -> None:
    low, high = RANGES[name]
    for outside in (low - 1, high + 1):
        assert f"{name} = {outside} is out of range: {low} to {high}" in said_of(
            set_to(name, str(outside))
        )
    for inside in (low, high):
        # It may be at odds with another value, but not with its own range.
        assert not any("out of range" in one for one in any_faults_of(set_to(name, str(inside))))


@pytest.mark.parametrize("name", NAMES)
def test_f66_a_key_given_twice_is_refused_and_its_line_is_shown(name: str) -> None:
    line = line_of(name).split("#")[0].strip()
    (fault,) = said_of(with_line(name, f"{line}\n{line}"))
    assert fault.startswith("is not TOML: ")
    assert fault.endswith(line)


@pytest.mark.parametrize("table", [name for name in TABLES if name != "schema_version"])
def test_f66_a_table_given_twice_is_refused_and_named(table: str) -> None:
    (fault,) = said_of(f"{TEXT}\n[{table}]\n")
    assert fault.startswith("is not TOML: ")
    assert fault.endswith(f"[{table}]")


@pytest.mark.parametrize("name", NAMES)
def test_f66_a_key_nobody_knows_is_refused_however_near_it_is(name: str) -> None:
    table, _, key = name.rpartition(".")
    for wrong in (key + "s", key.upper(), key + "_", "Ц" + key):
        dotted = f"{table}.{wrong}" if table else wrong
        quoted = f'"{wrong}" = 1\n{line_of(name)}'
        assert said_of(with_line(name, quoted)) == [
            f"{dotted} is not a key of this file (its value is 1)"
        ]


def test_f66_a_table_nobody_knows_is_refused() -> None:
    assert said_of(f"{TEXT}\n[limits]\nmax_bolus_uu = 5\n") == [
        "limits is not a key of this file (its value is {'max_bolus_uu': 5})"
    ]


def test_f66_a_renamed_key_is_missed_and_refused_at_once() -> None:
    text = TEXT.replace("bore_um = 8660", "bore_mm = 8.66")
    assert said_of(text) == [
        "mechanics.bore_um is missing: a whole number, 1000 to 40000",
        "mechanics.bore_mm is not a key of this file (its value is 8.66)",
    ]


def test_sr_66_all_faults_of_a_file_are_listed_at_once() -> None:
    text = TEXT
    for old, new in (
        ('name = "Bench 1"', "name = 7"),
        ("step = 17", "step = 99"),
        ("direction = 27", "direction = 22"),
        ('inputs = "same"', 'inputs = "bench"'),
        ("lead_um = 1000", "lead_um = 20000"),
        ('hold = "reduced"', 'hold = "Reduced"'),
        ("max_bolus_uu = 25_000_000", "max_bolus_uu = 25_000_001"),
        ("daily_uu = 300_000_000", "daily_uu = 300_000"),
        ('kind = "none"', 'kind = "bench"'),
        ("threshold_mn = 12_000\n", ""),
        ("threshold_mn = 12_000 ", "# threshold_mn = 12_000 "),
        ("bench = []", "bench = [true]\nroot = []"),
        ("observe = []", 'observe = ["pi", -5]'),
    ):
        text = text.replace(old, new, 1)
    assert said_of(text) == [
        "pump.name = 7 is not a text, 1 to 40 characters",
        "pins.step = 99 is out of range: 0 to 27",
        'mechanics.hold = \'Reduced\' is not one of "reduced", "off"',
        "ceilings.max_bolus_uu = 25000001 is out of range: 50000 to 25000000",
        "force.threshold_mn is missing: a whole number, 500 to 200000",
        "users.observe.1 = -5 is no user: an id, 0 to 4294967294, or a name of 1 to 32 characters",
        "users.bench.0 = True is no user: an id, 0 to 4294967294, or a name of 1 to 32 characters",
        "users.root is not a key of this file (its value is [])",
        "pins.enable_n = 22 is the pin of pins.direction already",
        'pins.inputs = "bench" must be "same" with pins.factory = "lgpio"',
        "ceilings.hourly_uu = 60000000 is above ceilings.daily_uu = 300000",
        'force.kind = "bench" needs pins.factory = "bench", not "lgpio"',
    ]


def test_sr_66_values_that_do_not_go_together_are_all_listed_too() -> None:
    text = TEXT
    for old, new in (
        ("direction = 27", "direction = 17"),
        ("lamp_low = 21", "lamp_low = 17"),
        ('factory = "lgpio"', 'factory = "rpigpio"'),
        ("lead_um = 1000", "lead_um = 20000"),
        ("microsteps = 16", "microsteps = 1"),
        ("hourly_uu = 60_000_000", "hourly_uu = 6_000_000"),
        ("daily_uu = 300_000_000", "daily_uu = 5_000_000"),
        ("required = false", "required = true"),
    ):
        text = text.replace(old, new, 1)
    assert said_of(text) == [
        "pins.direction = 17 is the pin of pins.step already",
        "pins.lamp_low = 17 is the pin of pins.step already",
        'pins.inputs = "same" must be "lgpio" with pins.factory = "rpigpio": '
        "its edge detection fails on new kernels",
        "mechanics: one microstep would be 589014 uu, more than 50000 uu (0.05 U): "
        "take more microsteps, a finer screw, or a smaller syringe",
        "ceilings.hourly_uu = 6000000 is above ceilings.daily_uu = 5000000",
        'force.required = true needs a sensor: force.kind is "none"',
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"battery.empty_mv": "4150"},
            ["battery.empty_mv = 4150 is not below battery.full_mv = 4150"],
        ),
        (
            {"battery.kind": '"bench"'},
            ['battery.kind = "bench" needs pins.factory = "bench", not "lgpio"'],
        ),
        (
            {"pins.lamp_low": "21\npower_fail_n = 21"},
            ["pins.power_fail_n = 21 is the pin of pins.lamp_low already"],
        ),
        (
            {"pins.lamp_low": "21\npower_fail_n = 28"},
            ["pins.power_fail_n = 28 is out of range: 0 to 27"],
        ),
        (
            {"pins.factory": '"bench"', "pins.lamp_low": "21\npower_fail_n = 26"},
            [
                'pins.power_fail_n needs a pin factory of a Pi: with pins.factory = "bench" the '
                'line comes with battery.kind = "bench"'
            ],
        ),
    ],
)
def test_f66_what_a_battery_and_its_line_cannot_be_is_told(
    changes: dict[str, str], said: list[str]
) -> None:
    text = TEXT
    for name, written in changes.items():
        text = text.replace(line_of(name), f"{name.rpartition('.')[2]} = {written}", 1)
    assert said_of(text) == said


def test_each_pair_of_pins_that_meet_is_refused() -> None:
    for mine in PINS:
        for other in PINS:
            if mine != other:
                pin = TABLES["pins"][other]
                (fault,) = said_of(set_to(f"pins.{mine}", str(pin)))
                first, second = sorted((mine, other), key=PINS.index)
                assert fault == f"pins.{second} = {pin} is the pin of pins.{first} already"


@pytest.mark.parametrize("written", ["Reduced", "REDUCED", " reduced", "reduce", "on", "hold", ""])
def test_sr_17_a_mutated_hold_is_refused_and_never_read_as_another(written: str) -> None:
    assert said_of(set_to("mechanics.hold", f'"{written}"')) == [
        f'mechanics.hold = {written!r} is not one of "reduced", "off"'
    ]


@pytest.mark.parametrize("written", ["LGPIO", "pigpio", "mock", "native", "rpi", "", "bench "])
def test_f61_a_mutated_factory_is_refused_and_no_other_is_taken(written: str) -> None:
    assert said_of(set_to("pins.factory", f'"{written}"')) == [
        f'pins.factory = {written!r} is not one of "lgpio", "rpigpio", "bench"'
    ]


@pytest.mark.parametrize(
    ("factory", "inputs", "why"),
    [
        ("lgpio", "same", ""),
        ("lgpio", "lgpio", ""),
        ("bench", "same", ""),
        ("bench", "bench", ""),
        ("rpigpio", "lgpio", ""),
        ("rpigpio", "same", 'must be "lgpio"'),
        ("rpigpio", "bench", 'must be "lgpio"'),
        ("lgpio", "bench", 'must be "same"'),
        ("bench", "lgpio", 'must be "same"'),
    ],
)
def test_f61_inputs_go_with_their_factory(factory: str, inputs: str, why: str) -> None:
    text = set_to("pins.factory", f'"{factory}"').replace('"same" ', f'"{inputs}" ', 1)
    if why:
        (fault,) = said_of(text)
        assert fault.startswith(f'pins.inputs = "{inputs}" {why} with pins.factory = "{factory}"')
    else:
        assert parse(text.encode(), "x").pins.inputs == inputs


def test_sr_18_full_steps_that_are_too_coarse_are_refused_before_any_dose() -> None:
    text = set_to("mechanics.hold", '"off"').replace("lead_um = 1000", "lead_um = 2000")
    assert said_of(text) == [
        "mechanics: one full step would be 58901 uu, more than 50000 uu (0.05 U): "
        'take hold = "reduced", a finer screw, or a smaller syringe'
    ]
    assert parse(set_to("mechanics.hold", '"off"').encode(), "x").ratio().quantum_steps == 16


def test_sr_13_the_machine_cannot_raise_the_ceilings_of_the_program() -> None:
    ceilings = (MAX_BOLUS_CEILING_UU, HOURLY_CEILING_UU, DAILY_CEILING_UU, BASAL_CEILING_UU_PER_H)
    assert ceilings == (25_000_000, 60_000_000, 300_000_000, 35_000_000)
    config = parse(TEXT.encode(), "x").ceilings
    assert (
        config.max_bolus_uu,
        config.hourly_uu,
        config.daily_uu,
        config.max_basal_uu_per_h,
    ) == ceilings


@given(st.integers(-(2**70), 2**70))
def test_sr_13_no_number_above_25_u_gets_through_as_the_largest_bolus(number: int) -> None:
    text = set_to("ceilings.max_bolus_uu", str(number)).encode()
    if 50_000 <= number <= 25_000_000:
        assert parse(text, "x").ceilings.max_bolus_uu == number
    else:
        with pytest.raises(BadConfiguration, match="50000 to 25000000"):
            parse(text, "x")


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_f66_any_bytes_at_all_are_refused_in_sentences(raw: bytes) -> None:
    said_of(raw)


@st.composite
def cut_up(draw: st.DrawFn) -> bytes:
    raw = TEXT.encode()
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 40)) :]


@given(cut_up())
def test_f23_a_damaged_file_is_refused_in_sentences_or_still_whole(raw: bytes) -> None:
    try:
        parse(raw, "pump.toml")
    except BadConfiguration:
        said_of(raw)


def test_f66_nothing_that_toml_may_hold_ends_in_a_traceback() -> None:
    said = said_of(TEXT + "\nx = " + "[" * 50_000)
    assert said == ["is not TOML: it is nested too deeply"]
    (fault,) = said_of(set_to("mechanics.bore_um", "9" * 5_000))
    assert "is not TOML: Exceeds the limit (4300 digits)" in fault
    (fault,) = said_of(set_to("mechanics.bore_um", "2026-13-45"))
    assert "bore_um = 2026-13-45" in fault
    said_of(TEXT + '\n"\\u202e' + "x" * 100_000 + '" = 1\n')


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "byte 0 is not UTF-8"),
        (TEXT.encode("utf-8").replace(b"Bench 1", b"B\xe4nk"), "is not UTF-8"),
        (b"\xef\xbb\xbf" + TEXT.encode(), "is not TOML: "),
        (TEXT.encode().replace(b"\n", b"\r"), "is not TOML: "),
        (TEXT.encode() + b"\x00", "is not TOML: "),
    ],
)
def test_f66_a_file_that_is_no_text_says_where(raw: bytes, said: str) -> None:
    (fault,) = said_of(raw)
    assert said in fault


def test_a_file_with_windows_line_ends_is_the_same_configuration() -> None:
    assert parse(TEXT.replace("\n", "\r\n").encode(), "x") == parse(TEXT.encode(), "x")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path / "absent.toml")
    assert caught.value.source == str(tmp_path / "absent.toml")
    assert caught.value.faults == ["cannot be read: No such file or directory"]


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path)
    assert caught.value.faults == ["cannot be read: Is a directory"]


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "locked.toml"
    path.write_text(TEXT, encoding="utf-8")
    path.chmod(0)
    yield path
    path.chmod(0o600)


def test_f26_a_file_that_may_not_be_read_is_named(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:  # root reads everything: the refusal is made by hand

        def refused(_path: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(BadConfiguration) as caught:
        load(locked)
    assert caught.value.faults == ["cannot be read: Permission denied"]


def test_sr_66_the_digest_names_the_very_bytes_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / "pump.toml"
    path.write_bytes(TEXT.encode() + b"# one more line\n")
    config, digest = load(path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert config == load(EXAMPLE)[0]
