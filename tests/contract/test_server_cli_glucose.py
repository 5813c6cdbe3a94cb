"""pumpctl's verbs of glucose, of sums and of the keeper: what they ask, say, and end with."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.adapters.server import Done, Refused
from appliance.cli.__main__ import pumpctl
from appliance.client.messages import KEEPER_METHODS

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parent / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, pump = scripted.ScriptedPump, scripted.serve, scripted.pump

GLUCOSE = {
    "state": "ok",
    "units": "mg/dL",
    "mg_dl": 142,
    "utc_ns": scripted.NOW_UTC_NS,
    "age_s": 130,
    "source": "file",
    "trend_mg_dl_per_h": -90,
    "arrow": "falling",
    "predicted_mg_dl": 97,
    "protection": {"rule": "off", "limit_mg_dl": None, "suspended": False},
}
SUMS = {
    "basal_uu": 20_100_000,
    "bolus_uu": 18_400_000,
    "correction_uu": 1_500_000,
    "prime_uu": 5_000_000,
    "cannula_uu": 500_000,
    "total_uu": 38_500_000,
    "boluses": 5,
    "uncertain": 1,
    "alarms": 2,
    "changes": 1,
    "glucose": None,
}


@pytest.fixture
def demo(pump: ScriptedPump) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    (place / "run").mkdir()
    servers = [
        serve(pump, place / "run/pumpd.sock"),
        serve(pump, place / "run/keeper.sock", methods=KEEPER_METHODS),
    ]
    yield place
    for one in servers:
        one.close()
    for left in (place / "run").iterdir():
        left.unlink()
    (place / "run").rmdir()
    place.rmdir()


def run(demo: Path, *words: str) -> Result:
    result = CliRunner().invoke(pumpctl, [*words, "--dir", str(demo)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(("text", "mg_dl"), [("142", 142), ("7.9", 142)])
def test_a_fingerstick_is_entered_in_either_unit(
    pump: ScriptedPump, demo: Path, text: str, mg_dl: int
) -> None:
    pump.script["glucose.enter"] = Done({"glucose": GLUCOSE})
    result = run(demo, "glucose", text)
    assert (result.exit_code, result.stdout) == (0, "BENCH  fingerstick of 142 mg/dL entered\n")
    (asked,) = pump.asked("glucose.enter")
    assert asked["mg_dl"] == mg_dl


def test_a_text_that_is_no_glucose_is_not_asked_for(pump: ScriptedPump, demo: Path) -> None:
    assert run(demo, "glucose", "7,9").exit_code == 2
    assert pump.seen == []


def test_an_old_value_never_reads_like_one_of_now(pump: ScriptedPump, demo: Path) -> None:
    pump.script["glucose.show"] = Done({"glucose": GLUCOSE, "readings": [], "settings": {}})
    shown = run(demo, "glucose", "show").stdout
    assert shown == "BENCH  glucose 142 mg/dL (2 min ago), falling, by file\n"
    stale = GLUCOSE | {"state": "stale", "age_s": 1_200, "arrow": None}
    pump.script["glucose.show"] = Done({"glucose": stale, "readings": [], "settings": {}})
    shown = run(demo, "glucose", "show").stdout
    assert shown == "BENCH  glucose STALE: was 142 mg/dL 20 min ago, by file\n"
    nothing = Done({"glucose": {"state": "none", "units": "mmol/L"}, "readings": []})
    pump.script["glucose.show"] = nothing
    assert run(demo, "glucose", "show").stdout == "BENCH  glucose not known: no sensor\n"
    answer = json.loads(run(demo, "glucose", "show", "--json").stdout)
    assert answer["bench"]
    assert answer["glucose"]["state"] == "none"


def test_settings_that_are_named_are_asked_for_and_no_others(
    pump: ScriptedPump, demo: Path
) -> None:
    pump.script["glucose.set"] = Done({})
    words = ["--period", "00:00 70-250", "--period", "22:00 80-0", "--protection", "predictive"]
    assert run(demo, "glucose", "set", *words).exit_code == 0
    (asked,) = pump.asked("glucose.set")
    assert [(one["low_mg_dl"], one["high_mg_dl"]) for one in asked["periods"]] == [
        (70, 250),
        (80, 0),
    ]
    assert (asked["protection"], asked["units"], asked["lost"]) == ("predictive", None, None)
    assert run(demo, "glucose", "set").exit_code == 2
    assert run(demo, "glucose", "set", "--period", "25:00 70-250").exit_code == 2


def test_snooze_and_resume_say_what_came_of_them(pump: ScriptedPump, demo: Path) -> None:
    pump.script["glucose.snooze"] = Done({"snoozed": 2})
    assert run(demo, "glucose", "snooze", "45").stdout == "BENCH  2 snoozed for 45 min\n"
    reason = {"code": "not_suspended", "text": "basal is not suspended by glucose"}
    pump.script["glucose.resume"] = Refused([reason])
    result = run(demo, "glucose", "resume")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "basal is not suspended by glucose" in result.stderr


def test_days_and_a_summary_keep_priming_and_corrections_apart(
    pump: ScriptedPump, demo: Path
) -> None:
    day = SUMS | {"date": "2026-10-25", "length_s": 90_000}
    pump.script["days"] = Done({"days": [day]})
    assert run(demo, "days", "--days", "1").stdout.splitlines()[1] == (
        "  2026-10-25 (25 h)  total 38.50 U  basal 20.10 U, boluses 18.40 U  1 uncertain"
    )
    table = run(demo, "days", "--csv").stdout.splitlines()
    assert table[0].startswith("date,length_s,basal_uu")
    assert table[1].endswith(",BENCH")
    assert run(demo, "days", "--csv", "--json").exit_code == 2
    whole = SUMS | {
        "from_date": "2026-10-12", "until_date": "2026-10-25", "days": 14,
        "days_with_delivery": 1, "mean_day_uu": 38_500_000, "basal_share": 52.2,
    }  # fmt: skip
    pump.script["summary"] = Done(whole)
    sums = {"by_doses_steps": 9, "by_leases_steps": 9, "error_steps": 0, "cartridge": None}
    pump.script["conservation"] = Done(sums)
    shown = run(demo, "summary").stdout
    assert "corrections     1.50 U" in shown
    assert "primed          5.00 U, cannula 0.50 U" in shown
    assert "off by 0" in shown


def test_the_keeper_shows_its_jobs_and_ends_with_1_where_one_failed(
    pump: ScriptedPump, demo: Path
) -> None:
    job: dict[str, Any] = {
        "name": "backup", "at_min": 180, "ok": True, "done_date": "2026-11-26", "took_ms": 44,
        "text": "43 rows", "tried_utc_ns": scripted.NOW_UTC_NS,
    }  # fmt: skip
    about = {"jobs": [job], "seq": 43, "head_seq": 43, "sources": [{"name": "p", "text": "ok"}]}
    pump.script["keeper"] = Done(about)
    result = run(demo, "keeper", "show")
    assert result.exit_code == 0
    assert "backup     at 03:00  done for 2026-11-26" in result.stdout
    assert "source p: ok" in result.stdout
    pump.script["keeper"] = Done(about | {"jobs": [job | {"ok": False, "text": "disk full"}]})
    result = run(demo, "keeper", "show")
    assert (result.exit_code, "FAILED" in result.stdout) == (1, True)
    pump.script["keeper.run"] = Done({"job": "backup"})
    assert run(demo, "keeper", "run", "backup").stdout == "BENCH  backup is on its way\n"
    pump.script["keeper.export"] = Done({"job": "export", "target": "STICK"})
    assert run(demo, "keeper", "export", "STICK").exit_code == 0
    assert pump.asked("keeper.export") == [{"target": "STICK"}]
