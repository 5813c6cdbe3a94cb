"""pumpctl without a pump: words, help, and the verbs that need no daemon."""

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from appliance.cli.__main__ import pumpctl
from appliance.cli.session import Exit

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/benchpump.example.toml"


@pytest.fixture(autouse=True)
def no_other_demos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Demos of this computer are no part of these tests."""
    quiet = tmp_path / "quiet"
    quiet.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(quiet))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(quiet))
    monkeypatch.delenv("BENCHPUMP_DIR", raising=False)


def run(*words: str) -> Result:
    result = CliRunner().invoke(pumpctl, list(words), prog_name="pumpctl")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def verbs(group: click.Group = pumpctl, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from verbs(command, (*before, name))
        else:
            yield (*before, name)


VERBS = list(verbs())


def test_the_verbs_are_those_of_the_design() -> None:
    assert [" ".join(verb) for verb in VERBS] == [
        *(
            "ack",
            "alarms",
            "alerts set",
            "alerts show",
            "basal copy",
            "basal delete",
            "basal export",
            "basal import",
            "basal list",
            "basal rename",
            "basal show",
            "basal use",
            "bench clear",
            "bench faults",
        ),
        *("bench inject", "bench occlude", "bench press", "bench set", "bench status", "bolus"),
        *("calc", "cartridge cannula", "cartridge finish", "cartridge load", "cartridge prime"),
        *("cartridge rewind", "cartridge show", "check-config", "check-signals", "curve", "days"),
        *("dose", "export", "glucose enter", "glucose resume", "glucose set", "glucose show"),
        *("glucose snooze", "hardware check"),
        *("history", "insulin set", "insulin show", "keeper export", "keeper run", "keeper show"),
        *("limits set",),
        *("limits show",),
        *("pin clear", "pin lock", "pin set", "pin show", "quick set", "quick show"),
        *(
            "rearm",
            "remind set",
            "remind show",
            "remind snooze",
            "report",
            "resume",
            "silence",
            "simulate",
        ),
        *("status", "stop", "summary", "suspend", "temp cancel", "temp delete", "temp presets"),
        *("temp save", "temp start", "temp use", "verify"),
    ]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_explains_itself(verb: tuple[str, ...]) -> None:
    result = run(*verb, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: pumpctl {' '.join(verb)}")
    assert len(result.stdout.splitlines()) > 6
    assert result.stdout == run(*verb, "-h").stdout
    if verb not in {("check-config",), ("curve",), ("hardware", "check"), ("simulate",)}:
        assert "--dir DIR" in result.stdout


OFFLINE = ("check-config", "curve", "export", "hardware", "report", "simulate", "verify")
READING = ["alarms", "basal show", "bench faults", "bench status", "bolus", "check-config", "dose"]
READING += ["calc", "curve", "history", "limits show", "simulate", "status", "stop", "verify"]
READING += [
    "days",
    "glucose show",
    "summary",
    "alerts show",
    "pin show",
    "remind show",
    "cartridge show",
]


def test_every_verb_that_reads_has_json() -> None:
    assert {v for v in map(" ".join, VERBS) if "--json" in run(*v.split(), "--help").stdout} >= set(
        READING
    )


def test_the_exit_statuses_are_those_of_the_design() -> None:
    assert {status.name: status.value for status in Exit} == {
        "DONE": 0,
        "REFUSED": 1,
        "WRONG_WORDS": 2,
        "NO_PUMP": 3,
        "UNCERTAIN": 4,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("statsu",), "Did you mean 'status'?"),
        (("status", "--jsn"), "Did you mean '--json'?"),
        (("basal", "imprt"), "Did you mean 'import'?"),
        (("bolus", "1", "--speed", "warp"), "'fast', 'normal', 'slow'"),
        (("bolus", "1", "--id", "5"), "not a valid UUID"),
        (("history", "--since", "yesterday"), "not a time such as"),
        (("history", "--limit", "0"), "is not in the range"),
        (("bench", "inject", "stall", "now"), "not key=value"),
        (("bench", "inject", "stall", "A=1"), "not key=value"),
        (("ack",), "give the NUMBER"),
        (("limits", "set"), "name at least one limit"),
        (("cartridge", "load", "1,5"), "AMOUNT"),
        (("cartridge", "prime", "5"), "in a pipe this needs --yes"),
        (("check-signals",), "in a pipe this needs --yes"),
        (("alerts", "set"), "name at least one alert"),
        (("remind", "set"), "name at least one reminder"),
        (("remind", "set", "--meal", "7-9"), "is not a time of day"),
        (("remind", "set", "--at", "07:30"), "not a time and 1 to 40 characters"),
        (("--dir", "/nowhere/at/all", "status"), "is not a folder"),
    ],
)
def test_wrong_words_end_with_2_and_say_what_would_be_right(
    words: tuple[str, ...], near: str
) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert near in result.stderr
    assert result.stdout == ""


def test_without_words_it_says_what_it_can_do() -> None:
    result = run()
    assert result.exit_code == 2
    assert "Exit status: 0 done" in result.stderr


@pytest.mark.parametrize("verb", [v for v in VERBS if v[0] not in OFFLINE])
def test_without_a_pump_every_verb_ends_with_3(verb: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('name = "x"\n[[segments]]\nstart = "00:00"\nrate = "1"\n')
    more = {
        "ack": ["1"],
        "basal import": [str(file)],
        "basal copy": ["x", "y"],
        "basal delete": ["x"],
        "basal rename": ["x", "y"],
        "basal use": ["x"],
        "bench inject": ["stall"],
        "bench set": ["board_c=50"],
        "bolus": ["1", "--yes"],
        "alerts set": ["--low", "30"],
        "cartridge cannula": ["0.5", "--yes"],
        "calc": ["--carbs", "45"],
        "cartridge load": ["300"],
        "cartridge prime": ["5", "--yes"],
        "cartridge rewind": ["--yes"],
        "check-signals": ["--yes"],
        "remind set": ["--glucose", "90"],
        "dose": ["123e4567-e89b-12d3-a456-426614174000"],
        "export": [str(tmp_path / "out")],
        "report": [str(tmp_path / "r.pdf")],
        "glucose enter": ["142"],
        "glucose set": ["--units", "mmol/L"],
        "insulin set": ["rapid"],
        "keeper run": ["backup"],
        "limits set": ["--hourly", "5"],
        "quick set": ["0.5"],
        "temp delete": ["x"],
        "temp save": ["x", "50%", "--for", "1h"],
        "temp start": ["0.8", "--for", "30m"],
        "temp use": ["x"],
    }
    result = run("--dir", str(tmp_path), *verb, *more.get(" ".join(verb), []))
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "there is no socket" in result.stderr
    assert f"./install.sh demo --headless --dir {tmp_path}" in result.stderr


# --- check-config ---------------------------------------------------------------------------------


def test_the_shipped_example_is_ok() -> None:
    result = run("check-config", str(EXAMPLE))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ok\n", "")
    body = json.loads(run("check-config", str(EXAMPLE), "--json").stdout)
    assert (body["ok"], body["faults"], len(body["sha256"])) == (True, [], 64)


def test_sr_66_every_fault_of_a_configuration_is_listed_at_once(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    text = re.sub(r"^step = 17", "step = 99", text, flags=re.M)
    text = re.sub(r"^capacity_uu = \S+", "capacity_uu = true", text, flags=re.M)
    text = re.sub(r"^name = .*", "", text, count=1, flags=re.M)
    text = re.sub(r"^\[force\]", "[force]\ncolour = 'red\x1b[2J'", text, flags=re.M)
    file = tmp_path / "bad.toml"
    file.write_text(text.replace("\x1b", "\\u001b").replace("'red", '"red').replace("[2J'", '[2J"'))
    result = run("check-config", str(file))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{file}: ") for line in lines)
    for field in (
        "pins.step = 99",
        "mechanics.capacity_uu",
        "pump.name is missing",
        "force.colour",
    ):
        assert any(field in line for line in lines)
    assert "\x1b" not in result.stdout
    body = json.loads(run("check-config", str(file), "--json").stdout)
    assert (body["ok"], len(body["faults"])) == (False, 4)


def test_a_configuration_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert run("check-config", str(tmp_path / "none.toml")).exit_code == 1
    assert "cannot be read" in run("check-config", str(tmp_path)).stdout
    (tmp_path / "x").write_bytes(b"\xff")
    assert "is not UTF-8" in run("check-config", str(tmp_path / "x")).stdout


# --- verify ---------------------------------------------------------------------------------------


def test_verify_without_a_ledger_ends_with_3(tmp_path: Path) -> None:
    result = run("verify", "--dir", str(tmp_path))
    assert result.exit_code == 3
    assert f"there is no file {tmp_path}/state/ledger.db" in result.stderr
    assert run("verify", str(tmp_path / "none.db")).exit_code == 3


def test_verify_of_what_is_no_ledger_names_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.write_text("a diary")
    result = run("verify", str(file))
    assert result.exit_code == 1
    assert result.stdout.startswith(f"BENCH  ledger {file}: NOT WHOLE")
    assert "does not begin as a SQLite database" in result.stdout
    body = json.loads(run("verify", str(file), "--json").stdout)
    assert (body["ok"], body["rows"], body["confirmed_steps"]) == (False, 0, 0)
    assert body["maximum_steps"] == 0
    assert body["head"] == "0" * 64


def test_verify_of_another_programs_database_names_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE entries (seq, text, digest, kind, utc_ns, request_id)")
    db.commit()
    db.close()
    result = run("verify", str(file))
    assert result.exit_code == 1
    assert "application_id" in result.stdout


# --- the program itself ---------------------------------------------------------------------------


def test_the_command_line_loads_no_screen_no_pins_and_no_asyncio() -> None:
    code = "import sys, appliance.cli.__main__; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"asyncio", "gpiozero", "kivy", "apscheduler", "appliance.engine", "drivers"}
    assert heavy & set(loaded) == set()


# --- the reference --------------------------------------------------------------------------------


def test_the_reference_names_every_verb_option_method_parameter_and_code() -> None:
    from appliance.client import messages, wire

    text = (ROOT / "docs/reference.md").read_text()
    missing = [" ".join(verb) for verb in VERBS if f"`{' '.join(verb)}" not in text]
    for verb in VERBS:
        command: click.Command = pumpctl
        for word in verb:
            command = command.commands[word]
        options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
        missing += sorted(o for o in options if o not in text)
    for method in (*messages.PUMP_METHODS, *messages.KEEPER_METHODS):
        missing += [method.name] if f"`{method.name}`" not in text else []
        missing += [
            f"{method.name} {n}" for n in method.params.model_fields if f"`{n}`" not in text
        ]
    for code in wire.Code:
        if code is not wire.Code.LOST and f"`{code}`" not in text:
            missing.append(code)
        if code in wire.RPC_CODES and str(wire.RPC_CODES[code]) not in text:
            missing.append(str(wire.RPC_CODES[code]))
    for model in (messages.Snapshot, messages.Dose, messages.Review, messages.Alarm):
        missing += [f"{model.__name__} {n}" for n in model.model_fields if f"`{n}`" not in text]
    assert missing == []
