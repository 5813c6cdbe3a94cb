"""Every setting, when it is wrong: one message with field, value and range, and nothing changed."""

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import Ge, Le, MaxLen
from bench_pump import BenchPump, Wire, bench_pump
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from appliance.client.messages import PUMP_METHODS

_TOOL = Path(__file__).parents[2] / "tools/settings.py"
_SPEC = importlib.util.spec_from_file_location("settings_tool", _TOOL)
assert _SPEC is not None
assert _SPEC.loader is not None
tool = sys.modules.setdefault("settings_tool", importlib.util.module_from_spec(_SPEC))
_SPEC.loader.exec_module(tool)


@pytest.fixture(scope="module")
def running() -> Iterator[BenchPump]:
    with bench_pump() as pump:
        yield pump


@pytest.fixture(scope="module")
def resting() -> Iterator[BenchPump]:
    with bench_pump() as pump:
        assert pump.pumpctl("suspend").exit_code == 0
        yield pump


def forms(value: str) -> set[str]:
    """Return how a value may stand in a message: as it was typed, or in the pump's own unit."""
    plain = value.removesuffix("%").replace("·", " ").split(" ")[0]
    found = {value, plain, plain.split("-")[0] or plain}
    unit_s = {"m": 60, "h": 3_600}.get(plain[-1:])
    if unit_s is not None and plain[:-1].isdigit():
        seconds = int(plain[:-1]) * unit_s
        return found | {str(seconds), str(seconds // 60)}
    if plain.replace(".", "", 1).isdigit():
        found |= {str(round(float(plain) * 1_000_000)), str(round(float(plain) * 1_000))}
    if ":" in plain:
        hours, minutes = plain.split("-")[-1].split(":")
        found.add(str(int(hours) * 60 + int(minutes)))
    return found


@pytest.mark.parametrize("setting", tool.SETTINGS, ids=lambda one: one.name)
def test_a_wrong_setting_is_refused_with_one_message_and_changes_nothing(
    running: BenchPump, resting: BenchPump, setting: Any
) -> None:
    pump = resting if setting.suspended else running
    for value in setting.wrong:
        before = pump.head()
        status, said = tool.ask(pump, setting, value)
        assert status in (1, 2), value
        assert len(said) == 1, said
        for part in setting.says:
            assert part in said[0]
        if setting.name == "PIN":
            assert value not in said[0], "a PIN is never shown"
        else:
            assert any(form in said[0] for form in forms(value)), (value, said)
        assert pump.head() == before


@pytest.mark.parametrize(
    "setting", [one for one in tool.SETTINGS if one.tried], ids=lambda one: one.name
)
def test_the_ends_of_its_range_are_taken(
    running: BenchPump, resting: BenchPump, setting: Any
) -> None:
    pump = resting if setting.suspended else running
    settings = pump.head()[1]
    for value in setting.good:
        status, said = tool.ask(pump, setting, value)
        assert status == 0, (value, said)
        if setting.group == "Bolus":
            pump.pumpctl("stop")
            pump.run(30)
            pump.pumpctl("resume")
    put_back(pump, settings)


def put_back(pump: BenchPump, settings: dict[str, Any]) -> None:
    """Have limits as they were, so that no setting hides another."""
    limits = settings["limits"]
    with pump.lock:
        pump.bench.ask("limits.set", **limits)


@pytest.mark.parametrize("row", tool.BY_SCREEN, ids=lambda row: row[0])
def test_a_wrong_setting_of_the_socket_is_one_reason_and_changes_nothing(
    running: BenchPump, row: Any
) -> None:
    _, method, key, _, _, value = row
    before = running.head()
    wire = Wire(running.folder / "run/pumpd.sock")
    (reason,) = wire.ask(method, {key: value})["error"]["data"]["reasons"]
    wire.close()
    assert (reason["field"], str(value) in reason["text"]) == (key, True)
    assert reason["range"]
    assert running.head() == before


def test_the_page_of_settings_is_what_the_pump_says() -> None:
    assert tool.PAGE.read_text() == tool.page(), "run tools/settings.py"


def test_what_the_page_calls_a_default_is_what_a_new_pump_has() -> None:
    default = {one.name: one.default for one in tool.SETTINGS}
    with bench_pump(set_up=False) as pump:
        alerts = json.loads(pump.pumpctl("alerts", "show", "--json").stdout)["alerts"]
        reminders = json.loads(pump.pumpctl("remind", "show", "--json").stdout)["reminders"]
        insulin = json.loads(pump.pumpctl("insulin", "show", "--json").stdout)
        limits = json.loads(pump.pumpctl("limits", "show", "--json").stdout)["limits"]
    assert default["low reservoir"] == str(alerts["low_reservoir_uu"] // 1_000_000)
    for name, hours in (("low reservoir by hours", "low_reservoir_h"), ("auto-off", "auto_off_h")):
        assert (alerts[hours], default[name]) == (0, "0 (off)")
    assert (reminders["glucose_min"], reminders["site_days"]) == (0, 0)
    at_min = reminders["site_at_min"]
    assert default["time of day for the site"] == f"{at_min // 60}:{at_min % 60:02d}"
    assert (reminders["meals"], reminders["personal"]) == ([], [])
    assert (insulin["model"], insulin["duration_min"], insulin["peak_min"]) == ("rapid", 360, 75)
    assert limits is None


# ---------------------------------------------------------------------- on the wire


def fields() -> list[tuple[str, str, Any]]:
    """Return every field of every request that changes something, with values it cannot have."""
    found = []
    for method in PUMP_METHODS:
        if not method.changes and method.role != "settings":
            continue
        for name, info in method.params.model_fields.items():
            found += [(method.name, name, value) for value in impossible(info)]
    return found


def impossible(info: FieldInfo) -> list[Any]:
    """Return what no field of this kind takes: another type, a float, a number out of range."""
    wrong: list[Any] = [{"no": "value"}]
    kinds = re.findall(r"\w+", str(info.annotation))
    if "int" in kinds and "list" not in kinds:
        wrong += [1.5, "1", True]
        for bound in (*info.metadata, *(one for part in get_args(info.annotation)
                      for one in getattr(part, "__metadata__", ()))):  # fmt: skip
            for one in getattr(bound, "metadata", [bound]):
                wrong += [one.le + 1] if isinstance(one, Le) else []
                wrong += [one.ge - 1] if isinstance(one, Ge) else []
    elif "bool" in kinds:
        wrong += [1, "true"]
    elif "str" in kinds or "Literal" in kinds:
        longest = [one.max_length for one in info.metadata if isinstance(one, MaxLen)]
        wrong += [7, *("x" * (most + 1) for most in longest)]
    return wrong


def sound(method: str) -> dict[str, Any]:
    """Return parameters that have nothing wrong with them."""
    params = next(one.params for one in PUMP_METHODS if one.name == method)
    said: dict[str, Any] = {}
    for name, info in params.model_fields.items():
        kinds = re.findall(r"\w+", str(info.annotation))
        if not info.is_required():
            continue
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            continue
        if name == "readings":
            said[name] = [{"id": "a", "mg_dl": 100, "age_s": 0}]
        elif "list" in kinds:
            said[name] = [{"start_min_of_day": 0, "rate_uu_per_h": 1_000_000}]
        elif "int" in kinds:
            said[name] = max([1, *(one.ge for one in info.metadata if isinstance(one, Ge))])
        elif "bool" in kinds:
            said[name] = True
        elif "Literal" in kinds:
            said[name] = get_args(info.annotation)[0]
        elif name in ("request_id", "id"):
            said[name] = "123e4567-e89b-12d3-a456-426614174000"
        else:
            said[name] = "271828"
    return said


def test_whatever_is_wrong_in_a_request_is_one_reason_with_field_value_and_range(
    running: BenchPump,
) -> None:
    before = running.head()
    wire = Wire(running.folder / "run/pumpd.sock")
    tried = 0
    for method, name, value in fields():
        said = wire.ask(method, sound(method) | {name: value})
        where = (method, name, value, said)
        assert "error" in said, where
        reasons = said["error"]["data"]["reasons"]
        assert all("field" in one for one in reasons), where
        assert {one["field"].split(".")[0] for one in reasons} == {name}, where
        assert len(reasons) == 1, where
        assert all(reasons[0][key] for key in ("text", "value", "range")), where
        tried += 1
    for method in {one for one, _, _ in fields()}:
        said = wire.ask(method, sound(method) | {"colour": "red"})
        reasons = [one for one in said["error"]["data"]["reasons"] if one.get("field") == "colour"]
        assert [one["text"] for one in reasons] == ["colour is not a parameter here"]
    wire.close()
    assert tried > 100
    assert running.head() == before


def test_sr_65_a_forgotten_pin_is_taken_away_with_its_file_and_by_nothing_else() -> None:
    with bench_pump() as pump:
        assert pump.pumpctl("pin", "set", BENCHPUMP_NEW_PIN="271828").exit_code == 0
        refused = pump.pumpctl("pin", "set", "--forgotten", BENCHPUMP_NEW_PIN="314159")
        assert (refused.exit_code, "wrong PIN" in refused.stderr) == (1, True)
        pump.bench.pin = ""  # root has deleted the file
        locked = pump.pumpctl("limits", "set", "--hourly", "12", BENCHPUMP_PIN="271828")
        assert (locked.exit_code, "the PIN's file is gone" in locked.stderr) == (1, True)
        assert pump.pumpctl("pin", "set", "--forgotten", BENCHPUMP_NEW_PIN="314159").exit_code == 0
        words = ("limits", "set", "--hourly", "12")
        assert pump.pumpctl(*words, BENCHPUMP_PIN="271828").exit_code == 1
        assert pump.pumpctl(*words, BENCHPUMP_PIN="314159").exit_code == 0
        events = [row.entry.body["event"] for row in pump.bench.rows("pin")]
        assert "missing" in events
