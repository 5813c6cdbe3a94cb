"""pumpctl's verbs of basal, temporary basal, boluses and insulin, against the real server."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.server import Refused, Server

_SPEC = importlib.util.spec_from_file_location(
    "server_cli", Path(__file__).parents[1] / "contract" / "test_server_cli.py"
)
cli = sys.modules.setdefault("server_cli", importlib.util.module_from_spec(_SPEC))
if not hasattr(cli, "run"):
    _SPEC.loader.exec_module(cli)
ScriptedPump, snapshot, run = cli.ScriptedPump, cli.snapshot, cli.run
pump, demo, server, no_other_demos = cli.pump, cli.demo, cli.server, cli.no_other_demos
ID, OTHER = cli.ID, "123e4567-e89b-12d3-a456-426614174001"


def record(request_id: str, kind: str, steps: int, **more: Any) -> dict[str, Any]:
    return {
        "id": request_id,
        "kind": kind,
        "programmed_uu": 1_000_000 if kind == "bolus" else 1_500_000,
        "programmed_steps": steps,
        "issued_steps": steps,
        "confirmed_steps": steps,
        "maximum_steps": steps,
        "certainty": "exact",
        "outcome": "done",
        "why": "",
        "whole_uu": 2_500_000,
        "extended_uu": 1_500_000,
        **more,
    }


@pytest.fixture
def dual(pump: ScriptedPump) -> None:
    now, extended = record(ID, "bolus", 543), record(OTHER, "extended", 814, part_of=ID)
    dose = now | {"extended_id": OTHER, "extended": extended}

    def deliver(asked: dict[str, Any]) -> Any:
        pump.doses[ID] = dose
        return cli.Done(dose)

    pump.script["bolus.deliver"] = deliver


@pytest.mark.usefixtures("dual")
def test_a_dual_bolus_is_asked_for_whole_and_told_in_its_two_parts(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    words = ("bolus", "2.5", "--extend", "1.5", "--over", "2h", "--yes", "--id", ID)
    result = run(demo, *words)
    assert result.exit_code == 0
    now, extended = result.stdout.splitlines()
    assert now.startswith("BENCH  bolus programmed 1.00 U (543 steps)")
    assert extended.startswith("BENCH  extended programmed 1.50 U (814 steps)")
    (asked,) = pump.asked("bolus.deliver")
    assert (asked["amount_uu"], asked["extended_uu"], asked["extended_s"]) == (
        2_500_000,
        1_500_000,
        7_200,
    )
    body = json.loads(run(demo, *words, "--json").stdout)
    assert (body["id"], body["extended"]["part_of"]) == (ID, ID)
    other = run(demo, "bolus", "2.5", "--extend", "1", "--over", "2h", "--yes", "--id", ID)
    assert other.exit_code == 1
    assert "of which 1.50 U are extended, not 1.00 U" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bolus", "1", "--extend", "1"), "--extend and --over go together"),
        (("bolus", "1", "--over", "2h"), "--extend and --over go together"),
        (("bolus",), "give the AMOUNT, or --quick N"),
        (("bolus", "1", "--quick", "2"), "give the AMOUNT, or --quick N"),
        (("bolus", "1", "--extend", "1", "--over", "2"), "not a time such as"),
        (("temp", "150%"), "Missing option '--for'"),
        (("temp", "15x%", "--for", "2h"), "is not a percentage"),
        (("temp", "0.8888", "--for", "2h"), "at most three decimals"),
        (("temp", "1500%", "--for", "2h"), "is not a percentage"),
    ],
)
def test_wrong_words_are_named_and_nothing_is_asked_of_the_pump(
    pump: ScriptedPump, server: Server, demo: Path, words: tuple[str, ...], said: str
) -> None:
    more = ("--yes",) if words[0] == "bolus" else ()
    result = run(demo, *words, *more)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert pump.seen == []


def test_a_quick_bolus_is_so_many_steps_of_the_setting(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    assert run(demo, "quick", "show").stdout == "BENCH  a step is 0.50 U\n"
    assert run(demo, "bolus", "--quick", "3", "--yes").exit_code == 0
    assert pump.asked("bolus.deliver")[0]["amount_uu"] == 1_500_000
    assert run(demo, "quick", "set", "0.25").stdout == "BENCH  a step is 0.25 U\n"
    assert pump.asked("quick.set") == [{"step_uu": 250_000}]
    pump.script["quick.show"] = cli.Done({"step_uu": None})
    result = run(demo, "bolus", "--quick", "3", "--yes")
    assert (result.exit_code, len(pump.asked("bolus.deliver"))) == (1, 1)
    assert "no step of a quick bolus is set: pumpctl quick set 0.5" in result.stderr


@pytest.mark.parametrize(
    ("flags", "what"),
    [((), "all"), (("--bolus",), "bolus"), (("--now",), "now"), (("--extended",), "extended")],
)
def test_stop_says_what_is_to_stop(
    pump: ScriptedPump, server: Server, demo: Path, flags: tuple[str, ...], what: str
) -> None:
    assert run(demo, "stop", *flags).exit_code == 0
    assert pump.asked("stop") == [{"what": what}]


def test_a_temporary_basal_is_started_cancelled_and_kept(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    result = run(demo, "temp", "150%", "--for", "2h")
    assert result.stdout == "BENCH  temporary basal 150 %, 1.275 U/h, 2 h 00 min left\n"
    result = run(demo, "temp", "0.8", "--for", "30m")
    assert result.stdout == "BENCH  temporary basal 0.800 U/h, 30 min left\n"
    assert pump.asked("temp.start") == [
        {"kind": "percent", "value": 150, "duration_s": 7_200},
        {"kind": "rate", "value": 800_000, "duration_s": 1_800},
    ]
    assert run(demo, "temp", "cancel").stdout == "BENCH  the profile returns\n"
    assert run(demo, "temp", "save", "Sport", "50%", "--for", "1h").stdout == "BENCH  kept Sport\n"
    assert "Sport                 50 % for 1 h 00 min" in run(demo, "temp", "presets").stdout
    assert run(demo, "temp", "use", "Sport").exit_code == 0
    assert run(demo, "temp", "delete", "Sport").stdout == "BENCH  forgot Sport\n"
    assert pump.asked("temp.use") == pump.asked("temp.delete") == [{"name": "Sport"}]


def test_the_notice_of_a_capped_temporary_basal_is_printed(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.script["temp.start"] = cli.Done({"temp": None, "notices": ["it is held down"]})
    result = run(demo, "temp", "250%", "--for", "2h")
    assert (result.exit_code, result.stderr) == (0, "pumpctl: it is held down\n")


def test_status_shows_temporary_basal_extended_bolus_and_what_is_on_board(
    server: Server, demo: Path
) -> None:
    temp = {"kind": "percent", "value": 150, "duration_s": 7_200, "left_s": 3_000}
    running = record(ID, "extended", 543) | {"rate_uu_per_h": 500_000, "left_s": 600}
    server.publish(
        snapshot(
            temp=temp | {"rate_uu_per_h": 1_275_000, "capped": True},
            extended=running,
            iob_uu={"bolus": 1_500_000, "basal": -200_000, "total": 1_300_000, "model": "rapid"},
        )
    )
    lines = run(demo, "status").stdout
    assert "temp          150 %, 1.275 U/h (held down by the basal limit), 50 min left" in lines
    assert "extended      1.50 U: 543 of 543 steps confirmed, 543 issued; 10 min left" in lines
    assert "on board      1.30 U: 1.50 U of boluses, -0.20 U of basal" in lines


def test_profiles_are_listed_exported_and_managed(
    pump: ScriptedPump, server: Server, demo: Path, tmp_path: Path
) -> None:
    assert "Day                     2 segments    19.42 U a day  (followed)" in (
        run(demo, "basal", "list").stdout
    )
    exported = run(demo, "basal", "export").stdout
    file = tmp_path / "day.toml"
    file.write_text(exported)
    assert run(demo, "basal", "import", str(file), "--name", "Copy").exit_code == 0
    (asked,) = pump.asked("basal.import")
    assert (asked["name"], [one["rate_uu_per_h"] for one in asked["segments"]]) == (
        "Copy",
        [700_000, 850_000],
    )
    scout = tmp_path / "scout.json"
    scout.write_text(run(demo, "basal", "export", "--nightscout").stdout)
    assert json.loads(scout.read_text())["store"]["Day"]["dia"] == "6"
    assert run(demo, "basal", "import", str(scout), "--replace").exit_code == 0
    assert pump.asked("basal.import")[1]["segments"] == asked["segments"]
    assert run(demo, "basal", "copy", "Day", "Sport").stdout == "BENCH  copied Day to Sport\n"
    assert run(demo, "basal", "rename", "Sport", "Sick").stdout == "BENCH  renamed Sport to Sick\n"
    assert run(demo, "basal", "delete", "Sick").stdout == "BENCH  deleted Sick\n"
    unknown = run(demo, "basal", "export", "None")
    assert (unknown.exit_code, "known: Day" in unknown.stderr) == (1, True)


def test_what_has_to_be_confirmed_is_refused_in_a_pipe_and_done_with_yes(
    pump: ScriptedPump, server: Server, demo: Path, tmp_path: Path
) -> None:
    def answer(asked: dict[str, Any]) -> Any:
        text = "from 00:00 on nothing is given: say --yes where that is meant"
        return cli.Done({}) if asked["confirm"] else Refused([{"code": "confirm", "text": text}])

    pump.script["basal.import"] = answer
    file = tmp_path / "zero.toml"
    file.write_text('name = "Zero"\n[[segments]]\nstart = "00:00"\nrate = "0"\n')
    result = run(demo, "basal", "import", str(file))
    assert (result.exit_code, "say --yes where that is meant" in result.stderr) == (1, True)
    assert run(demo, "basal", "import", str(file), "--yes").exit_code == 0


def test_a_full_profile_with_all_it_can_carry_fits_into_one_request(
    pump: ScriptedPump, server: Server, demo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "full.toml"
    lines = [f'name = "{"x" * 20}"']
    for number in range(48):
        start = f"{number // 2:02d}:{30 * (number % 2):02d}"
        lines += ["[[segments]]", f'start = "{start}"', 'rate = "34.999"']
        lines += ['carb_ratio = "149.999"', 'sensitivity = "399"', 'target = "249"']
    file.write_text("\n".join(lines))
    assert run(demo, "basal", "import", str(file)).exit_code == 0
    (asked,) = pump.asked("basal.import")
    assert asked["carb_ratios_mg_per_u"] == [149_999] * 48


def test_the_insulin_curve_is_shown_and_set(pump: ScriptedPump, server: Server, demo: Path) -> None:
    assert run(demo, "insulin", "show").stdout == (
        "BENCH  rapid: acts for 6 h 00 min, peak after 1 h 15 min, what a pump begins with\n"
    )
    assert run(demo, "insulin", "set", "linear", "--duration", "4h").exit_code == 0
    assert pump.asked("insulin.set") == [
        {"model": "linear", "duration_min": 240, "peak_min": None, "delay_min": None}
    ]
