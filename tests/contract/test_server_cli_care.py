"""pumpctl's verbs of alarms, lock, cartridge and reminders: what they ask, say, and end with."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.adapters.server import Done, Refused, Server
from appliance.cli import signals
from appliance.cli.__main__ import pumpctl

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parent / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, snapshot = scripted.ScriptedPump, scripted.serve, scripted.snapshot
pump = scripted.pump

ID = "123e4567-e89b-12d3-a456-426614174000"
PIN = "271828"


@pytest.fixture
def demo(pump: ScriptedPump, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("BENCHPUMP_PIN", raising=False)
    place = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    (place / "run").mkdir()
    serving: Server = serve(pump, place / "run/pumpd.sock")
    pump.server = serving  # type: ignore[attr-defined]
    yield place
    serving.close()
    for left in (place / "run").iterdir():
        left.unlink()
    (place / "run").rmdir()
    place.rmdir()


def run(demo: Path, *words: str, **options: Any) -> Result:
    result = CliRunner().invoke(pumpctl, [*words, "--dir", str(demo)], **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(code: str, text: str) -> Refused:
    return Refused([{"code": code, "text": text}])


def answers(*given: Any) -> Any:
    """Answer one after the other, the last one for ever."""
    left = list(given)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


# --- light and sound ------------------------------------------------------------------------------


def test_silence_says_for_how_long(pump: ScriptedPump, demo: Path) -> None:
    pump.script["alarms.silence"] = Done({"paused_left_s": 120})
    result = run(demo, "silence")
    assert (result.exit_code, result.stdout) == (0, "BENCH  the sound is paused, for 120 s more\n")
    pump.script["alarms.silence"] = refused("no_alarm", "no alarm sounds")
    result = run(demo, "silence")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no alarm sounds" in result.stderr


@pytest.fixture
def quick(pump: ScriptedPump, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that takes no time."""
    pump.script["signals.check"] = Done({"duration_ms": 0, "feedback": False})
    pump.script["signals.confirm"] = lambda asked: Done({"confirmed": asked["seen"]})
    monkeypatch.setattr(signals, "_MARGIN_S", 0.0)


@pytest.mark.usefixtures("quick")
def test_sr_53_check_signals_with_yes_answers_for_nobody_and_says_so(
    pump: ScriptedPump, demo: Path
) -> None:
    result = run(demo, "check-signals", "--yes")
    assert (result.exit_code, result.stdout) == (0, "BENCH  light and sound are taken as good\n")
    assert "nobody looked" in result.stderr
    assert pump.asked("signals.confirm") == [{"seen": True, "how": "assumed"}]


def unchecked() -> Done:
    reason = {"code": "signals_unchecked", "text": "nobody has checked light and sound"}
    return Done(
        {
            "request_id": ID,
            "amount_uu": 2_500_000,
            "programmed_steps": 1358,
            "duration_s": 100,
            "reasons": [reason],
            "token": None,
        }
    )


@pytest.mark.usefixtures("quick")
def test_sr_53_the_first_bolus_with_yes_plays_the_check_and_goes_on(
    pump: ScriptedPump, demo: Path
) -> None:
    asked = {"request_id": ID, "amount_uu": 2_500_000}
    pump.script["bolus.review"] = answers(unchecked(), pump.on_bolus_review(asked))
    result = run(demo, "bolus", "2.5", "--yes", "--id", ID)
    assert result.exit_code == 0
    assert "nobody looked" in result.stderr
    assert pump.asked("signals.confirm") == [{"seen": True, "how": "assumed"}]
    assert pump.moved == 1


@pytest.mark.usefixtures("quick")
def test_a_bolus_that_has_other_reasons_against_it_plays_nothing(
    pump: ScriptedPump, demo: Path
) -> None:
    review = unchecked()
    review.result["reasons"].append({"code": "state", "text": "the pump is suspended"})
    pump.script["bolus.review"] = review
    result = run(demo, "bolus", "2.5", "--yes", "--id", ID)
    assert result.exit_code == 1
    assert pump.asked("signals.check") == []


# --- the same amount ------------------------------------------------------------------------------


def test_sr_10_the_same_amount_again_is_confirmed_in_the_request_and_told(
    pump: ScriptedPump, demo: Path
) -> None:
    text = "2.50 U was begun 3 min 10 s ago: confirm it again"
    pump.script["bolus.review"] = lambda asked: Done(
        {**pump.on_bolus_review(asked).result, "again": text}
    )
    result = run(demo, "bolus", "2.5", "--yes")
    assert result.exit_code == 0
    assert "begun 3 min 10 s ago" in result.stderr
    assert [one["again"] for one in pump.asked("bolus.deliver")] == [True]


def test_another_amount_is_not_confirmed_twice(pump: ScriptedPump, demo: Path) -> None:
    assert run(demo, "bolus", "2.5", "--yes").exit_code == 0
    assert [one["again"] for one in pump.asked("bolus.deliver")] == [False]


# --- the PIN --------------------------------------------------------------------------------------


def test_sr_65_a_locked_setting_is_changed_with_the_pin_from_the_environment(
    pump: ScriptedPump, demo: Path
) -> None:
    pump.script["limits.set"] = answers(refused("pin_needed", "settings are locked"), Done({}))
    pump.script["pin.unlock"] = Done({"unlocked_s": 60})
    result = run(demo, "limits", "set", "--hourly", "5", env={"BENCHPUMP_PIN": PIN})
    assert result.exit_code == 0
    assert [name for name, _ in pump.seen] == [
        "limits.show",
        "limits.set",
        "pin.unlock",
        "limits.set",
    ]
    assert pump.asked("pin.unlock") == [{"pin": PIN}]
    assert PIN not in result.output


def test_sr_65_without_anybody_to_ask_a_locked_setting_stays_as_it_is(
    pump: ScriptedPump, demo: Path
) -> None:
    pump.script["limits.set"] = refused("pin_needed", "settings are locked")
    result = run(demo, "limits", "set", "--hourly", "5")
    assert result.exit_code == 2
    assert "give it as BENCHPUMP_PIN" in result.stderr


def test_f69_a_wrong_pin_is_refused_and_not_tried_again(pump: ScriptedPump, demo: Path) -> None:
    pump.script["limits.set"] = refused("pin_needed", "settings are locked")
    pump.script["pin.unlock"] = refused("wrong_pin", "wrong PIN; 4 tries are left")
    result = run(demo, "limits", "set", "--hourly", "5", env={"BENCHPUMP_PIN": PIN})
    assert result.exit_code == 1
    assert "4 tries are left" in result.stderr
    assert len(pump.asked("pin.unlock")) == 1


def test_the_pin_is_set_changed_and_cleared(pump: ScriptedPump, demo: Path) -> None:
    shown = {"set": False, "unlocked": False, "wrong_tries": 0, "wait_s": 0}
    pump.script |= {"pin.show": Done(shown), "pin.set": Done({}), "pin.clear": Done({})}
    environment = {"BENCHPUMP_PIN": PIN, "BENCHPUMP_NEW_PIN": "314159"}
    assert run(demo, "pin", "set", env=environment).exit_code == 0
    pump.script["pin.show"] = Done({**shown, "set": True, "wait_s": 30})
    assert run(demo, "pin", "set", env=environment).exit_code == 0
    assert run(demo, "pin", "clear", env=environment).exit_code == 0
    assert pump.asked("pin.set") == [{"old": None, "new": "314159"}, {"old": PIN, "new": "314159"}]
    assert pump.asked("pin.clear") == [{"old": PIN}]
    assert "the next try waits 30 s" in run(demo, "pin", "show").stdout


# --- cartridge, alerts, reminders -----------------------------------------------------------------


def primed(**changed: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "kind": "prime",
        "programmed_uu": 5_000_000,
        "programmed_steps": 2_716,
        "issued_steps": 2_716,
        "confirmed_steps": 2_716,
        "maximum_steps": 2_716,
        "certainty": "exact",
        "outcome": "done",
        "why": "",
        **changed,
    }


def test_sr_32_a_prime_is_declared_confirmed_and_accounted(pump: ScriptedPump, demo: Path) -> None:
    pump.script["cartridge.prepare"] = Done({"token": "t", "question": "Push fluid?"})
    pump.script["cartridge.run"] = Done(primed(outcome="open", certainty="open"))
    pump.doses[ID] = primed()
    result = run(demo, "cartridge", "prime", "5", "--yes")
    assert result.exit_code == 0
    assert result.stdout == (
        "BENCH  prime programmed 5.00 U (2716 steps), issued 5.00 U (2716 steps), "
        "confirmed 5.00 U (2716 steps), exact; done\n"
    )
    asked = {"step": "prime", "amount_uu": 5_000_000}
    assert pump.asked("cartridge.prepare") == [{**asked, "declared": True}]
    assert pump.asked("cartridge.run") == [{**asked, "token": "t"}]


def test_a_step_that_was_cut_short_ends_with_1_and_one_in_doubt_with_4(
    pump: ScriptedPump, demo: Path
) -> None:
    pump.script["cartridge.prepare"] = Done({"token": "t", "question": "Push fluid?"})
    pump.script["cartridge.run"] = Done(primed(outcome="stopped"))
    assert run(demo, "cartridge", "cannula", "0.5", "--yes").exit_code == 1
    pump.script["cartridge.run"] = Done(primed(outcome="uncertain", certainty="uncertain"))
    assert run(demo, "cartridge", "rewind", "--yes").exit_code == 4


def test_cartridge_load_names_fluid_and_size_and_show_tells_ages_and_waste(
    pump: ScriptedPump, demo: Path
) -> None:
    assert run(demo, "cartridge", "load", "180", "--kind", "rapid", "--size", "300").exit_code == 0
    assert pump.asked("cartridge.load") == [
        {"amount_uu": 180_000_000, "kind": "rapid", "size_uu": 300_000_000}
    ]
    pump.script["cartridge.show"] = Done(
        {
            "loaded_uu": 180_000_000,
            "to_do": "prime the tubing",
            "reservoir_age_h": 2,
            "tubing_age_h": None,
            "cannula_age_h": 70,
            "wasted_uu": {"prime": 8_000_000, "cannula": 0, "left": 20_000_000},
            "sites": [{"site": "left, upper", "utc_ns": 1_790_000_000 * 10**9}],
        }
    )
    said = run(demo, "cartridge", "show").stdout.splitlines()
    assert said[0] == "BENCH  180.00 U loaded"
    assert "  to do         prime the tubing" in said
    assert "  tubing        never changed" in said
    assert "  wasted, left   20.00 U" in said
    assert said[-1].startswith("  site          left, upper, 2026-09-21")


def test_alerts_and_reminders_send_what_was_named_and_nothing_else(
    pump: ScriptedPump, demo: Path
) -> None:
    pump.script |= {"alerts.set": Done({}), "reminders.set": Done({})}
    assert run(demo, "alerts", "set", "--low", "30", "--auto-off", "12").exit_code == 0
    assert pump.asked("alerts.set") == [
        {"low_reservoir_uu": 30_000_000, "low_reservoir_h": None, "auto_off_h": 12}
    ]
    words = ("--glucose", "90", "--meal", "07:00-09:00", "--at", "07:30 walk", "--no-personal")
    assert run(demo, "remind", "set", *words).exit_code == 0
    (asked,) = pump.asked("reminders.set")
    assert (asked["glucose_min"], asked["site_days"]) == (90, None)
    assert asked["meals"] == [{"from_min": 420, "to_min": 540}]
    assert asked["personal"] == [{"at_min": 450, "name": "walk"}]


def test_what_is_shown_of_alerts_and_reminders(pump: ScriptedPump, demo: Path) -> None:
    pump.script["alerts.show"] = Done(
        {"alerts": {"low_reservoir_uu": 20_000_000, "low_reservoir_h": 12, "auto_off_h": 0}}
    )
    assert "or hours left    12 h" in run(demo, "alerts", "show").stdout
    assert "auto-off after   off" in run(demo, "alerts", "show").stdout
    reminders = {
        "glucose_min": 0,
        "site_days": 3,
        "site_at_min": 600,
        "meals": [{"from_min": 420, "to_min": 540}],
        "personal": [{"at_min": 450, "name": "walk"}],
    }
    pump.script["reminders.show"] = Done({"reminders": reminders})
    assert run(demo, "remind", "show").stdout.splitlines()[1:] == [
        "  glucose   off",
        "  site      after 3 days, at 10:00",
        "  meal      07:00-09:00",
        "  personal  07:30 walk",
    ]
    assert json.loads(run(demo, "remind", "show", "--json").stdout)["reminders"] == reminders
    pump.script["reminders.snooze"] = Done({"snoozed": 2})
    assert run(demo, "remind", "snooze", "30").stdout == "BENCH  2 snoozed for 30 min\n"
    pump.script["rearm"] = Done({"locked": False})
    assert run(demo, "rearm").stdout == "BENCH  re-armed: pumpctl resume\n"
