"""pumpctl against the real server: what a person and a script read, and how it ends."""

import contextlib
import csv
import importlib.util
import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.adapters.server import Done, Failed, Refused, Server
from appliance.cli import session as cli_session
from appliance.cli.__main__ import pumpctl
from appliance.client.messages import KEEPER_METHODS
from appliance.client.places import register_demo, unregister_demo
from appliance.client.pump import PumpClient

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parents[1] / "contract" / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, snapshot = scripted.ScriptedPump, scripted.serve, scripted.snapshot
pump = scripted.pump

ROOT = Path(__file__).parents[2]
ID = "123e4567-e89b-12d3-a456-426614174000"
DONE_LINE = (
    "BENCH  bolus programmed 2.50 U (1358 steps), issued 2.50 U (1358 steps), "
    "confirmed 2.50 U (1358 steps), exact; done\n"
)
LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def no_other_demos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Demos of this computer are no part of these tests."""
    quiet = tmp_path / "quiet"
    quiet.mkdir(mode=0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(quiet))
    monkeypatch.setenv("TMPDIR", str(quiet))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(quiet))
    monkeypatch.delenv("BENCHPUMP_DIR", raising=False)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A demo's folder with a short name."""
    place = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    (place / "run").mkdir()
    yield place
    for left in (place / "run").iterdir():
        left.unlink()
    for left in place.iterdir():
        left.rmdir() if left.is_dir() else left.unlink()
    place.rmdir()


@pytest.fixture
def server(pump: ScriptedPump, demo: Path) -> Iterator[Server]:
    serving = serve(pump, demo / "run/pumpd.sock")
    yield serving
    serving.close()


@pytest.fixture
def keeper(pump: ScriptedPump, demo: Path) -> Iterator[Server]:
    serving = serve(pump, demo / "run/keeper.sock", methods=KEEPER_METHODS)
    yield serving
    serving.close()


def run(demo: Path | None, *words: str, **options: Any) -> Result:
    named = [] if demo is None else ["--dir", str(demo)]
    result = CliRunner().invoke(pumpctl, [*words, *named], prog_name="pumpctl", **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(demo: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    """pumpctl as a program of its own, as a terminal starts it.

    A run of the tests in a shell's background ignores Ctrl-C, and would hand that down.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "--dir", str(demo), *words],
        cwd=ROOT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),
    )


# --- status ---------------------------------------------------------------------------------------


def test_status_shows_the_pump_under_the_bench_mark(server: Server, demo: Path) -> None:
    result = run(demo, "status")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "BENCH  Bench 1: water only, not a medical device",
        "  state         running",
        "  basal         0.850 U/h",
        "  bolus         none",
        "  reservoir     212.40 U",
        "  limits leave  12.50 U in 60 min, 48.00 U in 24 h",
        "  alarms        none",
        "  clock         2026-09-21 14:13:20, synchronised",
        "  weaker        realtime = wanted",
        "  real time     without fifo, memory_locked",
        "  programs      pumpd 11, pump-stepper 12, pump-guard 13",
    ]


def test_status_names_what_is_wrong(server: Server, demo: Path) -> None:
    server.publish(
        snapshot(
            state="inhibited",
            delivering=False,
            why=["the guard does not answer"],
            reservoir_uu=None,
            speed=60,
            pids={"pumpd": 11, "pump-guard": None},
            bolus={
                "id": ID,
                "programmed_uu": 2_500_000,
                "programmed_steps": 1_358,
                "issued_steps": 655,
                "confirmed_steps": 652,
            },
            alarms=[
                {
                    "number": 7,
                    "code": "A01",
                    "name": "Occlusion",
                    "priority": "high",
                    "text": "the line is blocked",
                    "what_to_do": ["Free the line.", "Then resume."],
                    "since_utc_ns": scripted.NOW_UTC_NS - 100 * 10**9,
                    "active": False,
                    "acknowledged": True,
                }
            ],
            self_test=[{"name": "guard", "ok": False, "text": "no answer"}],
            ledger={"trouble": "the disk is full"},
        )
    )
    text = run(demo, "status").stdout
    for line in (
        "time runs x60",
        "  state         inhibited, not delivering",
        "  why           the guard does not answer",
        "  bolus         2.50 U: 652 of 1358 steps confirmed, 655 issued",
        "  reservoir     no cartridge declared",
        "  alarms        1",
        "  7  HIGH  Occlusion: the line is blocked (its cause has gone, acknowledged, "
        "for 1 min 40 s)",
        "     Free the line.",
        "  self-test     guard: no answer",
        "  ledger        the disk is full",
        "pumpd 11, pump-guard DOWN",
    ):
        assert line in text


def test_status_as_json_is_what_the_pump_said(server: Server, demo: Path) -> None:
    body = json.loads(run(demo, "status", "--json").stdout)
    assert body == snapshot() | {"sequence": 1, "age_ms": body["age_ms"]}
    for key in ("state", "basal_uu_per_h", "reservoir_uu", "delivering", "alarms", "pids"):
        assert key in body  # what scripts rely on


def test_an_old_snapshot_is_never_shown_as_the_present(pump: ScriptedPump, demo: Path) -> None:
    now_ns = [0]
    server = serve(pump, demo / "run/pumpd.sock", now_ns=lambda: now_ns[0])
    now_ns[0] = 12_000_000_000
    assert (
        "STALE         the pump said this 12 s ago and nothing since" in run(demo, "status").stdout
    )
    server.close()


def test_what_a_pump_says_cannot_steer_the_terminal(pump: ScriptedPump, demo: Path) -> None:
    server = serve(pump, demo / "run/pumpd.sock")
    server.publish(snapshot(state="run\x1b[2Jning\r\n", weaker=["\u202eevil\x07"]))
    text = run(demo, "status").stdout
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "run?[2Jning??" in text
    server.close()


def test_watch_prints_a_line_for_every_change_and_ends_with_its_reader(
    server: Server, demo: Path
) -> None:
    with program(demo, "status", "--watch") as watching:
        assert "running" in watching.stdout.readline()
        server.publish(snapshot(state="suspended"))
        line = watching.stdout.readline()
        assert line.startswith("BENCH  2026-09-21 14:13:20  suspended  0.850 U/h")
        watching.stdout.close()  # like "| head"
        while watching.poll() is None:
            server.publish(snapshot())
            with contextlib.suppress(subprocess.TimeoutExpired):
                watching.wait(0.05)
        assert watching.stderr.read() == ""


def test_watch_as_json_is_one_object_a_line_and_ctrl_c_is_clean(server: Server, demo: Path) -> None:
    with program(demo, "status", "--watch", "--json") as watching:
        assert json.loads(watching.stdout.readline())["sequence"] == 1
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=LIMIT_S)
    assert watching.returncode == 130
    assert said.strip() == "pumpctl: interrupted"


def test_watch_ends_when_the_pump_falls_silent(server: Server, demo: Path) -> None:
    result = run(demo, "status", "--watch")
    assert result.exit_code == 3
    assert "no word from the pump for 3 s" in result.stderr


# --- bolus ----------------------------------------------------------------------------------------


def test_a_bolus_in_a_pipe_ends_with_one_line(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    result = run(demo, "bolus", "2.5", "--yes")
    assert (result.exit_code, result.stdout, result.stderr) == (0, DONE_LINE, "")
    (asked,) = pump.asked("bolus.deliver")
    assert (asked["amount_uu"], asked["speed"], asked["stay"]) == (2_500_000, "normal", True)
    assert asked["token"].startswith("a-")
    assert asked["request_id"] == pump.asked("bolus.review")[0]["request_id"]


def test_a_bolus_as_json_is_its_record(pump: ScriptedPump, server: Server, demo: Path) -> None:
    body = json.loads(run(demo, "bolus", "2.5", "--yes", "--json", "--id", ID).stdout)
    assert body == {"bench": True, **pump.doses[ID]}


def test_a_bolus_in_a_pipe_needs_yes_and_nothing_is_asked_of_the_pump(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    result = run(demo, "bolus", "2.5")
    assert result.exit_code == 2
    assert "needs --yes" in result.stderr
    assert pump.seen == []


BAD_AMOUNTS = [
    *(
        "",
        " ",
        "1,5",
        ".5",
        "5.",
        "1.234",
        "100",
        "1e1",
        "1_0",
        "0x1",
        "nan",
        "inf",
        "-0",
        "--",
        "1 ",
    ),
    *(" 1", "1\n", "\t1", "1.2.3", "1U", "1.5 U", "٢", "\uff11", "1\u200b", "\u202e1", "½", "²"),
    *("1e400", "1e-400", "Infinity", "True", "None", "null", "1/2", "1+1", "'1'", "\ufeff1", "001"),
    *(
        "9" * 5_000,
        "1" + "\u0301",
        "1\x00",
        "\uff11.\uff15",
        "1\u066b5",
        "O.5",
        "l.5",
        "0.005",
        "00.001",
        "\U0001d7cf",
    ),
]


@pytest.mark.parametrize("text", BAD_AMOUNTS, ids=lambda text: ascii(text[:12]))
def test_sr_01_f40_an_amount_that_is_no_dose_changes_nothing_and_is_named(
    pump: ScriptedPump, server: Server, demo: Path, text: str
) -> None:
    result = (
        run(demo, "bolus", "--yes", "--", text) if text != "--" else run(demo, "bolus", "--yes")
    )
    assert result.exit_code == 2
    assert "AMOUNT" in result.stderr
    assert len(result.stderr) < 500
    assert "\u202e" not in result.stderr
    assert pump.seen == []


@pytest.mark.parametrize("text", ["-1", "+1"])
def test_a_sign_is_no_dose(pump: ScriptedPump, server: Server, demo: Path, text: str) -> None:
    assert run(demo, "bolus", "--yes", text).exit_code == 2
    assert pump.seen == []


def test_every_reason_against_a_bolus_is_printed(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    def review(asked: dict[str, Any]) -> Any:
        reasons = [
            {"code": "state", "text": "the pump is suspended", "field": "", "value": ""},
            {
                "code": "too_large",
                "text": "over the limit",
                "field": "amount_uu",
                "value": "2500000",
                "range": "0.05 U to 2.00 U",
            },
        ]
        return Done(pump.on_bolus_review(asked).result | {"reasons": reasons, "token": None})

    pump.script["bolus.review"] = review
    result = run(demo, "bolus", "2.5", "--yes")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "pumpctl: refused, for 2 reasons",
        "  the pump is suspended",
        "  over the limit (amount_uu = 2500000; allowed: 0.05 U to 2.00 U)",
    ]
    assert pump.asked("bolus.deliver") == []


def test_a_refusal_at_the_last_moment_is_a_refusal(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.script["bolus.deliver"] = Refused(
        [{"code": "live_stop", "text": "nothing else could stop it: leave --no-wait away"}]
    )
    result = run(demo, "bolus", "2.5", "--yes", "--no-wait")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "leave --no-wait away" in result.stderr


def test_sr_05_a_review_of_another_amount_is_not_confirmed(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.script["bolus.review"] = lambda asked: Done(
        pump.on_bolus_review(asked).result | {"amount_uu": 25_000_000}
    )
    result = run(demo, "bolus", "2.5", "--yes")
    assert result.exit_code == 1
    assert "asked for 2500000 uu" in result.stderr
    assert pump.asked("bolus.deliver") == []


ENDS = [
    ({"outcome": "done"}, 0, "exact; done"),
    (
        {"outcome": "stopped", "why": "stopped by a person", "confirmed_steps": 652},
        1,
        "confirmed 1.20 U (652 steps), exact; stopped: stopped by a person",
    ),
    ({"outcome": "fault", "why": "the motor stalled"}, 1, "exact; fault: the motor stalled"),
    (
        {"outcome": "uncertain", "certainty": "uncertain", "confirmed_steps": 600},
        4,
        "confirmed 1.10 U (600 steps), UNCERTAIN, at most 2.50 U (1358 steps); uncertain",
    ),
    ({"certainty": "unknown", "outcome": "done"}, 4, "UNKNOWN"),
    ({"issued_steps": None, "outcome": "done"}, 0, "issued an unknown number of steps"),
]


@pytest.mark.parametrize(("changed", "status", "said"), ENDS)
def test_how_a_dose_ended_is_in_the_line_and_in_the_status(
    pump: ScriptedPump, server: Server, demo: Path, changed: dict[str, Any], status: int, said: str
) -> None:
    def deliver(asked: dict[str, Any]) -> Any:
        pump.on_bolus_deliver(asked)
        pump.doses[asked["request_id"]] |= changed
        return Done(pump.doses[asked["request_id"]])

    pump.script["bolus.deliver"] = deliver
    result = run(demo, "bolus", "2.5", "--yes")
    assert result.exit_code == status
    assert said in result.stdout
    assert result.stdout.count("\n") == 1
    assert result.stdout.startswith("BENCH")


def progress(steps: int) -> dict[str, Any]:
    bolus = {"id": ID, "programmed_uu": 2_500_000, "programmed_steps": 1_358}
    return snapshot(bolus=bolus | {"issued_steps": steps, "confirmed_steps": steps})


def test_sr_59_pumpctl_stays_connected_until_the_dose_has_ended(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.finish_at_once = False
    with program(demo, "bolus", "2.5", "--yes", "--id", ID) as dosing:
        pump.until(lambda: pump.asked("bolus.deliver"))
        for steps in range(0, 1_358, 100):
            server.publish(progress(steps))
        assert dosing.poll() is None
        assert pump.left == []
        pump.end(ID, 1_358)
        while dosing.poll() is None:  # as pumpd does each second
            server.publish(snapshot())
            with contextlib.suppress(subprocess.TimeoutExpired):
                dosing.wait(0.1)
        assert dosing.stdout.read() == DONE_LINE
        assert dosing.stderr.read() == ""
    assert dosing.returncode == 0
    pump.until(lambda: pump.left == [1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_bolus_and_says_exactly_what_went_out(
    pump: ScriptedPump, server: Server, demo: Path, number: signal.Signals
) -> None:
    pump.finish_at_once = False
    with program(demo, "bolus", "2.5", "--yes", "--id", ID) as dosing:
        pump.until(lambda: pump.asked("bolus.deliver"))
        server.publish(progress(217))
        dosing.send_signal(number)
        said, wrong = dosing.communicate(timeout=LIMIT_S)
    assert dosing.returncode == 1
    assert wrong == ""
    assert said == (
        "BENCH  bolus programmed 2.50 U (1358 steps), issued 0.39 U (217 steps), "
        "confirmed 0.39 U (217 steps), exact; stopped: stopped by a person\n"
    )
    assert pump.asked("stop") == [{"what": "now"}]
    assert pump.urgents == ["stop"]


def test_a_second_ctrl_c_leaves_and_says_how_to_ask(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.finish_at_once = False
    pump.script["stop"] = None  # never answers
    with program(demo, "bolus", "2.5", "--yes", "--id", ID) as dosing:
        pump.until(lambda: pump.asked("bolus.deliver"))
        dosing.send_signal(signal.SIGINT)
        pump.until(lambda: pump.asked("stop"))
        dosing.send_signal(signal.SIGINT)
        said, wrong = dosing.communicate(timeout=LIMIT_S)
    assert (dosing.returncode, said) == (4, "")
    assert "left before the account of this dose was closed" in wrong
    assert f"pumpctl dose {ID}" in wrong


def impatient(monkeypatch: pytest.MonkeyPatch, again: Any = lambda _: None) -> None:
    """Look a lost dose up without the waiting."""

    def client(session: cli_session.Session) -> PumpClient:
        socket = session.places().pump_socket
        return PumpClient(socket, client="a test", settle_tries=4, pause=again)

    monkeypatch.setattr(cli_session.Session, "pump", client)


def test_f51_a_pump_that_restarts_in_mid_bolus_is_asked_by_id_and_the_end_is_uncertain(
    pump: ScriptedPump, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump.finish_at_once = False
    servers = [serve(pump, demo / "run/pumpd.sock")]

    def restart(_: float) -> None:
        if len(servers) == 1:
            killer.join()
            pump.end(ID, 652, "uncertain", "the pump ended", certainty="uncertain")
            pump.doses[ID]["maximum_steps"] = 700
            servers.append(serve(pump, demo / "run/pumpd.sock"))

    impatient(monkeypatch, restart)
    killer = threading.Thread(
        target=lambda: (pump.until(lambda: pump.asked("bolus.deliver")), servers[0].close())
    )
    killer.start()
    result = run(demo, "bolus", "2.5", "--yes", "--id", ID)
    killer.join()
    servers[1].close()
    assert result.exit_code == 4
    assert "looking the dose up" in result.stderr
    assert "UNCERTAIN, at most 1.28 U (700 steps)" in result.stdout
    assert pump.moved == 1


def test_f51_a_pump_that_does_not_return_leaves_exit_status_4(
    pump: ScriptedPump, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump.finish_at_once = False
    server = serve(pump, demo / "run/pumpd.sock")
    impatient(monkeypatch)
    killer = threading.Thread(
        target=lambda: (pump.until(lambda: pump.asked("bolus.deliver")), server.close())
    )
    killer.start()
    result = run(demo, "bolus", "2.5", "--yes", "--id", ID)
    killer.join()
    assert result.exit_code == 4
    assert "outcome unknown" in result.stderr
    assert f"pumpctl dose {ID}" in result.stderr


def test_sr_37_the_same_id_again_reports_the_same_dose(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    first = run(demo, "bolus", "2.5", "--yes", "--id", ID)
    again = run(demo, "bolus", "2.5", "--yes", "--id", ID.upper())
    assert (first.stdout, again.stdout) == (DONE_LINE, DONE_LINE)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "this id was given before" in again.stderr
    assert pump.moved == 1


def test_an_id_does_not_change_its_amount(pump: ScriptedPump, server: Server, demo: Path) -> None:
    run(demo, "bolus", "2.5", "--yes", "--id", ID)
    result = run(demo, "bolus", "2.4", "--yes", "--id", ID)
    assert result.exit_code == 1
    assert "belongs to a bolus of 2.50 U" in result.stderr
    assert pump.moved == 1


def test_no_wait_says_that_it_runs_and_how_to_ask(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.finish_at_once = False
    result = run(demo, "bolus", "2.5", "--yes", "--no-wait", "--id", ID)
    assert result.exit_code == 0
    assert result.stdout.endswith("confirmed 0.00 U (0 steps): still running\n")
    assert f"pumpctl dose {ID}" in result.stderr
    assert [asked["stay"] for asked in pump.asked("bolus.deliver")] == [False]


class Terminal:
    """pumpctl on a terminal, with a person at it."""

    def __init__(self, demo: Path, *words: str) -> None:
        self.fd, slave = pty.openpty()
        self.said = ""
        self.process = program(demo, *words, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)

    def reads(self, text: str) -> str:
        """Read on until the text has come; b"" is the end."""
        until = time.monotonic() + LIMIT_S
        while text not in self.said:
            assert select.select([self.fd], [], [], until - time.monotonic())[0], self.said
            try:
                more = os.read(self.fd, 4_096)
            except OSError:
                more = b""
            assert more, f"it ended without {text!r}: {self.said}"
            self.said += more.decode()
        return self.said

    def types(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def ends(self) -> int:
        with contextlib.suppress(OSError):
            while more := os.read(self.fd, 4_096):
                self.said += more.decode()
        os.close(self.fd)
        return self.process.wait(LIMIT_S)


@pytest.mark.parametrize("typed", ["\n", "n\n", "\x04"])
def test_on_a_terminal_the_review_comes_first_and_the_answer_is_no_by_default(
    pump: ScriptedPump, server: Server, demo: Path, typed: str
) -> None:
    terminal = Terminal(demo, "bolus", "2.5")
    said = terminal.reads("Deliver 2.50 U? [y/N]: ")
    assert "BENCH  2.50 U now, 1.5 U/min, about 1 min 40 s; 1358 microsteps" in said
    assert "last bolus 1.00 U, 1 h 30 min ago" in said
    assert "the limits leave, in 60 min 12.50 U" in said
    terminal.types(typed)
    assert terminal.ends() == 1
    assert "nothing was delivered" in terminal.said
    assert pump.asked("bolus.deliver") == []


def test_on_a_terminal_ctrl_c_at_the_question_is_a_clean_no(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    terminal = Terminal(demo, "bolus", "2.5")
    terminal.reads("[y/N]: ")
    while terminal.process.poll() is None:  # Python misses one just before it begins to read
        terminal.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            terminal.process.wait(3)
    assert terminal.ends() in (1, 130)
    assert "Traceback" not in terminal.said
    assert pump.asked("bolus.deliver") == []


def test_on_a_terminal_progress_is_confirmed_of_programmed(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.finish_at_once = False
    terminal = Terminal(demo, "bolus", "2.5", "--id", ID)
    terminal.reads("[y/N]: ")
    terminal.types("y\n")
    pump.until(lambda: pump.asked("bolus.deliver"))
    server.publish(progress(652))
    terminal.reads("BENCH  confirmed 1.20 U (652 steps) of 2.50 U (1358 steps)")
    pump.end(ID, 1_358)
    server.publish(snapshot())
    assert terminal.ends() == 0
    assert "confirmed 2.50 U (1358 steps), exact; done" in terminal.said


# --- the other verbs ------------------------------------------------------------------------------


def test_stop_says_what_had_gone_out(pump: ScriptedPump, server: Server, demo: Path) -> None:
    assert run(demo, "stop").stdout == "BENCH  stopped; no dose was running\n"
    pump.finish_at_once = False
    run(demo, "bolus", "2.5", "--yes", "--no-wait", "--id", ID)
    result = run(demo, "stop", "--bolus")
    assert result.exit_code == 0
    assert (
        "issued 0.39 U (217 steps), confirmed 0.39 U (217 steps), exact; stopped" in result.stdout
    )
    assert pump.asked("stop") == [{"what": "all"}, {"what": "bolus"}]
    assert json.loads(run(demo, "stop", "--json").stdout) == {"bench": True, "stopped": []}


def test_stop_waits_for_the_account_to_close(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.finish_at_once = False
    run(demo, "bolus", "2.5", "--yes", "--no-wait", "--id", ID)
    pump.script["stop"] = lambda asked: Done({"stopped": [pump.doses[ID]]})  # still open

    def lookup(asked: dict[str, Any]) -> Any:
        if len(pump.asked("dose.lookup")) == 2:
            pump.end(ID, 300, "uncertain", certainty="uncertain")
        return pump.on_dose_lookup(asked)

    pump.script["dose.lookup"] = lookup
    result = run(demo, "stop")
    assert result.exit_code == 4
    assert "UNCERTAIN" in result.stdout


def test_a_dose_is_shown_by_its_id(pump: ScriptedPump, server: Server, demo: Path) -> None:
    assert run(demo, "dose", ID).exit_code == 1
    run(demo, "bolus", "2.5", "--yes", "--id", ID)
    assert run(demo, "dose", ID).stdout == DONE_LINE
    assert json.loads(run(demo, "dose", ID, "--json").stdout)["confirmed_steps"] == 1_358
    pump.end(ID, 5, "uncertain", certainty="uncertain")
    assert run(demo, "dose", ID).exit_code == 4


def test_suspend_and_resume_say_the_state(pump: ScriptedPump, server: Server, demo: Path) -> None:
    assert run(demo, "suspend").stdout == "BENCH  suspended; no dose was running\n"
    assert run(demo, "resume").stdout == "BENCH  running\n"
    pump.finish_at_once = False
    run(demo, "bolus", "2.5", "--yes", "--no-wait", "--id", ID)
    suspended = run(demo, "suspend")
    assert suspended.exit_code == 0
    assert "confirmed 0.39 U (217 steps), exact; stopped" in suspended.stdout
    assert len(json.loads(run(demo, "suspend", "--json").stdout)["stopped"]) == 0
    pump.script["resume"] = Refused([{"code": "alarms", "text": "acknowledge the alarms first"}])
    assert run(demo, "resume").exit_code == 1


def test_alarms_are_listed_with_what_to_do_and_acknowledged_by_number(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    assert run(demo, "alarms").stdout == "BENCH  no alarms\n"
    alarm = {"number": 3, "code": "A02", "name": "Reservoir empty", "priority": "high"}
    alarm |= {"text": "0.00 U left", "what_to_do": ["Load a fresh cartridge."]}
    pump.script["alarms"] = Done({"alarms": [alarm]})
    assert run(demo, "alarms").stdout == (
        "BENCH  1 alarm\n  3  HIGH  Reservoir empty: 0.00 U left\n     Load a fresh cartridge.\n"
    )
    assert json.loads(run(demo, "alarms", "--json").stdout) == {"bench": True, "alarms": [alarm]}
    assert run(demo, "ack", "3").stdout == "BENCH  acknowledged alarm 3\n"
    assert run(demo, "ack", "--all").stdout == "BENCH  acknowledged every alarm\n"
    for words in ((), ("3", "--all"), ("-1",), ("three",)):
        assert run(demo, "ack", *words).exit_code == 2
    assert pump.asked("alarms.acknowledge") == [{"number": 3}, {"number": None}]


def test_basal_is_shown_imported_and_followed(
    pump: ScriptedPump, server: Server, demo: Path, tmp_path: Path
) -> None:
    assert run(demo, "basal", "show").stdout == (
        "BENCH  basal 0.850 U/h now\n  Day  (followed)\n    00:00  0.700 U/h\n"
        "    06:30  0.850 U/h\n"
    )
    assert json.loads(run(demo, "basal", "show", "--json").stdout)["active"] == "Day"
    file = tmp_path / "night.toml"
    file.write_text('name = "Night"\n[[segments]]\nstart = "00:00"\nrate = "0.025"\n')
    result = run(demo, "basal", "import", str(file), "--replace")
    assert "imported Night, 1 segments; follow it: pumpctl basal use Night" in result.stdout
    (asked,) = pump.asked("basal.import")
    assert asked | {"name": "Night", "replace": True, "confirm": False} == asked
    assert asked["segments"] == [{"start_min_of_day": 0, "rate_uu_per_h": 25_000}]
    assert run(demo, "basal", "use", "Day").stdout == "BENCH  follows Day\n"
    failed = run(demo, "basal", "use", "Nowhere")
    assert (failed.exit_code, failed.stderr) == (1, "pumpctl: no profile Nowhere (E104)\n")


def test_every_fault_of_a_profile_is_named_and_nothing_is_imported(
    pump: ScriptedPump, server: Server, demo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"name": "x", "segments": [{"start": "24:00", "rate": 1}], "more": 1}')
    result = run(demo, "basal", "import", str(file))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3
    assert run(demo, "basal", "import", str(tmp_path / "none")).exit_code == 2
    assert pump.asked("basal.import") == []


def test_limits_are_shown_and_one_is_changed_without_the_others(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    text = run(demo, "limits", "show").stdout
    assert "max_bolus_uu            10.00 U   (ceiling 25.00 U)" in text
    assert "min_interval_s          1 min" in text
    assert (
        json.loads(run(demo, "limits", "show", "--json").stdout)["limits"]["min_interval_s"] == 60
    )
    result = run(demo, "limits", "set", "--max-bolus", "8", "--max-basal", "2.5")
    assert "max_bolus_uu            8.00 U   (was 10.00 U)" in result.stdout
    assert pump.asked("limits.set") == [
        {
            "max_bolus_uu": 8_000_000,
            "hourly_uu": 15_000_000,
            "daily_uu": 60_000_000,
            "max_basal_uu_per_h": 2_500_000,
            "min_interval_s": 60,
        }
    ]
    assert run(demo, "limits", "set").exit_code == 2
    assert run(demo, "limits", "set", "--hourly", "1,5").exit_code == 2


def test_a_new_pump_takes_all_five_limits_or_none(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    pump.script["limits.show"] = Done({"limits": None, "ceilings": {}})
    assert "none declared, so nothing is delivered" in run(demo, "limits", "show").stdout
    result = run(demo, "limits", "set", "--hourly", "15")
    assert result.exit_code == 2
    assert "--max-bolus, --daily, --max-basal, --min-interval missing" in result.stderr
    assert pump.asked("limits.set") == []
    words = ["--hourly", "15", "--max-bolus", "10", "--daily", "60", "--max-basal", "5"]
    assert run(demo, "limits", "set", *words, "--min-interval", "60").exit_code == 0


def test_a_cartridge_is_declared(pump: ScriptedPump, server: Server, demo: Path) -> None:
    assert run(demo, "cartridge", "load", "300").stdout == "BENCH  cartridge with 300.00 U\n"
    assert run(demo, "cartridge", "load", "1000").exit_code == 2
    assert pump.asked("cartridge.load") == [
        {"amount_uu": 300_000_000, "kind": None, "size_uu": None}
    ]


ROWS = [
    {
        "seq": 9,
        "id": ID,
        "kind": "bolus",
        "programmed_uu": 2_500_000,
        "programmed_steps": 1_358,
        "issued_steps": 1_358,
        "confirmed_steps": 1_358,
        "maximum_steps": 1_358,
        "certainty": "exact",
        "outcome": "done",
        "why": "",
        "utc_ns": scripted.NOW_UTC_NS,
        "offset_s": 3_600,
        "leases": [{"number": 1, "steps": 27, "confirmed_steps": 27}],
    },
    {"seq": 8, "id": "8", "kind": "state", "utc_ns": 0, "offset_s": 0, "text": "=HYPERLINK()"},
]


def test_history_is_for_people_scripts_and_spreadsheets(
    pump: ScriptedPump, keeper: Server, demo: Path
) -> None:
    pump.script["history"] = Done({"rows": ROWS, "next_before_seq": None})
    assert run(demo, "history", "--steps").stdout.splitlines() == [
        "BENCH  2 rows, newest first",
        "        9  2026-09-21 15:13:20  bolus  2.50 U  programmed 1358 issued 1358 "
        "confirmed 1358 maximum 1358 steps  exact  done",
        f"           id {ID}",
        "           lease number 1  steps 27  confirmed_steps 27",
        "        8  1970-01-01 00:00:00  state  =HYPERLINK()",
    ]
    assert json.loads(run(demo, "history", "--json").stdout) == {"bench": True, "rows": ROWS}
    table = list(csv.DictReader(run(demo, "history", "--csv").stdout.splitlines()))
    assert [row["confirmed_steps"] for row in table] == ["1358", ""]
    assert [row["mark"] for row in table] == ["BENCH", "BENCH"]
    assert table[1]["text"] == "'=HYPERLINK()"
    assert run(demo, "history", "--json", "--csv").exit_code == 2


def test_history_since_is_counted_on_the_pumps_own_clock(
    pump: ScriptedPump, keeper: Server, demo: Path
) -> None:
    pump.script["history"] = Done({"rows": [], "next_before_seq": None})
    assert run(demo, "history", "--since", "24h").stdout == "BENCH  no rows, newest first\n"
    run(demo, "history")
    run(demo, "history", "--limit", "7", "--id", ID)
    run(demo, "history", "--since", "9d9", "--json")
    asked = pump.asked("history")
    assert [each["since_utc_ns"] for each in asked] == [
        scripted.NOW_UTC_NS - 86_400 * 10**9,
        None,
        None,
    ]
    assert [each["limit"] for each in asked] == [100, 50, 7]
    assert asked[2]["request_id"] == ID


def test_without_the_keeper_history_says_that_dosing_goes_on(server: Server, demo: Path) -> None:
    result = run(demo, "history")
    assert result.exit_code == 3
    assert "history is not available, and dosing goes on without it" in result.stderr


def test_without_a_bench_it_says_that_a_real_pump_has_none(server: Server, demo: Path) -> None:
    for words in (
        ("status",),
        ("faults",),
        ("inject", "stall"),
        ("clear",),
        ("occlude",),
        ("press",),
    ):
        result = run(demo, "bench", *words)
        assert result.exit_code == 3
        assert "no simulated bench (a real pump has none)" in result.stderr


@pytest.fixture
def bench(demo: Path) -> Iterator[None]:
    """The real simulated bench, as a program of its own."""
    sockets = ["--pins-socket", demo / "run/pins.sock", "--control-socket", demo / "run/bench.sock"]
    with subprocess.Popen(
        [sys.executable, "-m", "drivers.mock", *sockets],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout.readline().startswith("READY")
        yield
        program.terminate()


def test_the_bench_says_what_really_moved_and_takes_faults(bench: None, demo: Path) -> None:
    truth = json.loads(run(demo, "bench", "status", "--json").stdout)
    assert (truth["steps_forward"], truth["steps_reverse"], truth["enable"]) == (0, 0, False)
    assert truth["volume_nl"] == 0
    assert "steps_forward       0" in run(demo, "bench", "status").stdout
    assert "occlusion" in run(demo, "bench", "occlude").stdout
    injected = run(demo, "bench", "inject", "end_stop_bounce", "ms=2.5", "--json")
    assert json.loads(injected.stdout) == {"name": "end_stop_bounce", "ms": 2.5}
    table = run(demo, "bench", "faults").stdout
    assert "* occlusion" in table
    assert "  stall" in table
    body = json.loads(run(demo, "bench", "faults", "--json").stdout)
    assert set(body["active"]) == {"occlusion", "end_stop_bounce"}
    assert {fault["name"] for fault in body["faults"]} > set(body["active"])
    run(demo, "bench", "clear", "occlusion")
    cleared = json.loads(run(demo, "bench", "clear", "--json").stdout)
    assert cleared == {"cleared": ["end_stop_bounce"]}
    pressed = json.loads(run(demo, "bench", "press", "ms=20", "--json").stdout)
    assert pressed == {"button": "stop", "ms": 20}
    assert json.loads(run(demo, "bench", "set", "syringe=out", "--json").stdout) == {
        "syringe": "out"
    }


def test_the_bench_refuses_by_field_value_and_range(bench: None, demo: Path) -> None:
    for words, said in (
        (("inject", "readback_miss", "edges=0"), "readback_miss.edges = 0 is not a whole number"),
        (("inject", "stall", "hard=true"), "parameter = 'hard' is not a parameter of stall"),
        (("inject", "earthquake"), "name = 'earthquake' is not a fault of this bench"),
        (("press", "ms=soon"), "'soon'"),
    ):
        result = run(demo, "bench", *words)
        assert result.exit_code == 1
        assert said in result.stderr


# --- who, where, which version --------------------------------------------------------------------


def test_sr_64_a_missing_role_is_a_refusal_that_names_it(pump: ScriptedPump, demo: Path) -> None:
    server = serve(pump, demo / "run/pumpd.sock", roles=lambda uid: frozenset({"observe"}))
    assert run(demo, "status").exit_code == 0
    result = run(demo, "bolus", "1", "--yes")
    assert result.exit_code == 1
    assert "needs the role operate" in result.stderr
    server.close()


def test_f52_another_version_gives_no_bolus_and_a_reason(
    pump: ScriptedPump, server: Server, demo: Path
) -> None:
    newer = "import appliance.client.wire as wire; wire.PROTOCOL = 2; "
    newer += "from appliance.cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", newer, "--dir", str(demo), "bolus", "1", "--yes"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "the client speaks protocol 2, this pump protocol 1" in done.stderr
    assert pump.seen == []


def test_dir_may_stand_before_or_after_the_verb(server: Server, demo: Path) -> None:
    before = CliRunner().invoke(pumpctl, ["--dir", str(demo), "basal", "show"])
    after = CliRunner().invoke(pumpctl, ["basal", "show", "--dir", str(demo)])
    assert before.exit_code == after.exit_code == 0
    assert before.stdout == after.stdout


def test_the_environment_and_the_one_running_demo_are_found(
    server: Server, demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(None, "status").exit_code == 3
    register_demo(demo, os.getpid())
    assert run(None, "status").exit_code == 0
    register_demo(tmp_path, os.getppid())
    result = run(None, "status")
    assert result.exit_code == 2
    assert "2 demos are running; say which one with --dir" in result.stderr
    assert f"  pumpctl --dir {demo} ..." in result.stderr
    monkeypatch.setenv("BENCHPUMP_DIR", str(demo))
    assert run(None, "status").exit_code == 0
    unregister_demo(os.getpid())
    unregister_demo(os.getppid())


def test_no_pump_says_what_was_tried_what_it_wrote_and_how_to_start_one(demo: Path) -> None:
    (demo / "run/pumpd.why").write_text("pins.step = 99 is out of range\n")
    result = run(demo, "status")
    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        f"pumpctl: no pump: {demo}/run/pumpd.sock: there is no socket",
        "  pumpd wrote: pins.step = 99 is out of range",
        f"  start it: ./install.sh demo --headless --dir {demo}",
    ]
    nowhere = run(None, "status")
    assert nowhere.exit_code == 3
    assert "BENCHPUMP_DIR (not set), running demos (none)" in nowhere.stderr


def test_a_pump_that_fails_says_its_code(pump: ScriptedPump, server: Server, demo: Path) -> None:
    pump.script["suspend"] = Failed("E401", "the ledger cannot be written")
    result = run(demo, "suspend")
    assert (result.exit_code, result.stderr) == (
        1,
        "pumpctl: the ledger cannot be written (E401)\n",
    )


def test_output_into_a_closed_pipe_is_no_traceback(server: Server, demo: Path) -> None:
    with program(demo, "bolus", "--help", stdin=subprocess.DEVNULL) as helping:
        helping.stdout.close()
        assert helping.stderr.read() == ""
    reader, writer = os.pipe()
    os.close(reader)
    with program(demo, "status", stdout=writer) as reading:
        os.close(writer)
        assert reading.stderr.read() == ""
