"""bench-sim by itself: its start and end, its sockets, its words, and a user's own script."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.mock.running import BenchProcess, BenchRefused, Control

ROOT = Path(__file__).parents[2]
DEADLINE_S = 10.0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.002)


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "drivers.mock"),
            *("--pins-socket", str(folder / "pins")),
            *("--control-socket", str(folder / "control")),
            *words,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BenchProcess]:
    with BenchProcess(tmp_path, ["--seed", "7"]) as running:
        yield running


# ------------------------------------------------------------------ start and end


def test_it_says_ready_with_its_paths_and_its_sockets_are_its_users_alone(
    bench: BenchProcess, tmp_path: Path
) -> None:
    pins, control = tmp_path / "pins", tmp_path / "control"
    assert bench.ready == f"READY pins={pins} control={control} pid={bench.pid} fifo=no\n"
    for path in (pins, control):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bench.status()["pid"] == bench.pid


def test_the_permissions_can_be_widened(tmp_path: Path) -> None:
    with BenchProcess(tmp_path, ["--socket-mode", "0660"]):
        assert stat.S_IMODE((tmp_path / "pins").stat().st_mode) == 0o660


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_in_the_midst_of_connections(
    tmp_path: Path, number: signal.Signals
) -> None:
    bench = BenchProcess(tmp_path)
    with Control(bench.control_socket) as client:
        client.call("status")
        bench.process.send_signal(number)
        assert bench.process.wait(5) == 0
    assert list(tmp_path.iterdir()) == []
    assert bench.close() == 0


def test_a_file_that_a_dead_bench_has_left_is_replaced(tmp_path: Path) -> None:
    bench = BenchProcess(tmp_path)
    bench.kill()
    bench.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control", "pins"]
    with BenchProcess(tmp_path) as again:
        assert again.status()["steps_forward"] == 0


def test_a_living_bench_is_left_alone(bench: BenchProcess, tmp_path: Path) -> None:
    second = run(tmp_path)
    assert second.returncode == 1
    assert second.stderr == f"bench-sim: another bench-sim listens at {tmp_path}/pins\n"
    assert bench.status()["pid"] == bench.pid


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("a letter")
    refused = run(tmp_path)
    assert refused.returncode == 1
    assert (tmp_path / "pins").read_text() == "a letter"


def test_a_path_that_no_socket_can_have_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 90)
    folder.mkdir()
    refused = run(folder)
    assert refused.returncode == 1
    assert "more than 100: choose a shorter folder than" in refused.stderr


def test_wrong_words_are_all_said_at_once_and_start_nothing(tmp_path: Path) -> None:
    refused = run(
        tmp_path,
        *("--pins", "step=17,direction=17,colour=3,alive=x"),
        *("--microsteps", "3", "--socket-mode", "9", "--hold", "never"),
    )
    assert refused.returncode == 2
    assert list(tmp_path.iterdir()) == []
    said = refused.stderr.splitlines()
    for expected in (
        "bench-sim: pins.direction = 17 is the pin of step already",
        "bench-sim: pins.alive = 'x' is not a whole number from 0 to 27",
        "bench-sim: pins.readback is missing",
        "bench-sim: microsteps = 3 is not a power of two",
        "bench-sim: hold = 'never' is not reduced or off",
        "bench-sim: socket_mode = '9' is not an octal mode from 0600 to 0777",
    ):
        assert expected in said
    assert any("'colour' is not one of step, direction" in line for line in said)


def test_every_option_says_what_it_is(tmp_path: Path) -> None:
    said = run(tmp_path, "--help").stdout
    for option in ("--pins", "--bore-um", "--fill-nl", "--one-shot", "--speed", "--start-ns"):
        assert option in said


def test_mechanics_and_wiring_are_as_the_words_say(tmp_path: Path) -> None:
    names = "step direction enable_n alive readback enable_feedback_n end_stop_n driver_fault_n"
    names += " stop_button_n buzzer lamp_high lamp_medium lamp_low"
    pins = ",".join(f"{name}={place + 4}" for place, name in enumerate(names.split()))
    words = ["--pins", pins, "--lead-um", "2000", "--fill-nl", "1000000", "--hold", "off"]
    with BenchProcess(tmp_path, words) as bench:
        status = bench.status()
        assert status["nl_per_step"] == pytest.approx(36.8134, abs=1e-4)
        assert status["left_nl"] == pytest.approx(1_000_000, abs=40)


# ------------------------------------------------------------------ control socket


def test_status_has_the_truths_that_scripts_rely_on(bench: BenchProcess) -> None:
    status = bench.status()
    assert {key: status[key] for key in ("steps_forward", "steps_reverse", "volume_nl")} == {
        "steps_forward": 0,
        "steps_reverse": 0,
        "volume_nl": 0,
    }
    assert status["enable"] is False
    assert json.loads(json.dumps(status)) == status


def test_faults_are_listed_injected_and_cleared(bench: BenchProcess) -> None:
    table = {row["name"]: row for row in bench.control.call("faults")}
    assert table["occlusion"]["row"] == "F59"
    injected = bench.control.call("inject", name="occlusion", ramp_s=2.5)
    assert injected == {"name": "occlusion", "share": 1, "ramp_s": 2.5}
    bench.control.call("inject", name="stall")
    assert list(bench.status()["faults"]) == ["occlusion", "stall"]
    assert bench.control.call("clear", name="stall") == {"cleared": ["stall"]}
    assert bench.control.call("clear", name="stall") == {"cleared": []}
    assert bench.control.call("clear", name="all") == {"cleared": ["occlusion"]}


def test_a_refusal_names_field_value_and_range(bench: BenchProcess) -> None:
    with pytest.raises(BenchRefused, match=r"occlusion\.share = 7") as caught:
        bench.control.call("inject", name="occlusion", share=7)
    assert caught.value.code == -32602
    assert caught.value.data == {
        "field": "occlusion.share",
        "value": 7,
        "range": "a number from 0.01 to 1",
    }
    with pytest.raises(BenchRefused, match="last = 0"):
        bench.control.call("traces", last=0)
    with pytest.raises(BenchRefused, match="colour"):
        bench.control.call("status", colour=1)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","id":2}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"inject","params":{"ms":NaN}}', -32700),
        (b"[" * 30_000, -32700),
        (b"[]", -32600),
        (b'{"id":1,"method":"status"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"reboot"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":["status"]}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"inject","params":{"name":{"a":[1]}}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"set","params":{"fill_nl":1e999}}', -32602),
    ],
)
def test_bad_requests_get_their_number_and_harm_nothing(
    bench: BenchProcess, line: bytes, code: int
) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.control_socket))
        client.sendall(line + b"\n")
        with client.makefile("rb") as lines:
            answer: dict[str, Any] = json.loads(lines.readline())
    assert answer["error"]["code"] == code
    assert bench.status()["faults"] == {}


def test_a_line_without_an_end_is_cut_off(bench: BenchProcess) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.control_socket))
        client.settimeout(5)

        def send_on() -> None:
            for _ in range(100):
                client.sendall(b"x" * 8_192)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_on()
    assert bench.status()["enable"] is False


def test_a_client_that_never_reads_is_dropped_and_the_others_are_served(
    bench: BenchProcess,
) -> None:
    request = b'{"jsonrpc":"2.0","id":1,"method":"faults"}\n'
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(bench.control_socket))
        client.settimeout(5)

        def ask_on() -> None:
            for _ in range(2_000):
                client.sendall(request)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            ask_on()
    assert bench.status()["enable"] is False


def test_press_and_set_do_what_they_say(bench: BenchProcess) -> None:
    assert bench.control.call("press", button="stop", ms=30) == {"button": "stop", "ms": 30}
    assert bench.status()["levels"]["stop_button_n"] == 0
    until(lambda: bench.status()["levels"]["stop_button_n"] == 1)
    assert bench.control.call("set", battery_pct=12, syringe="out") == {
        "battery_pct": 12,
        "syringe": "out",
    }
    status = bench.status()
    assert (status["battery_pct"], status["syringe"]) == (12, "out")


# ------------------------------------------------------------------ a user's own script


def script(text: str, bench: BenchProcess | None) -> subprocess.Popen[str]:
    environment = {"GPIOZERO_PIN_FACTORY": "benchpump-sim"}
    if bench is not None:
        environment["BENCHPUMP_BENCH"] = str(bench.pins_socket)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_script_of_gpiozeros_own_devices_runs_on_the_bench(bench: BenchProcess) -> None:
    program = script(
        """
        from gpiozero import LED, Button

        button = Button(13, pull_up=None, active_state=False)
        lamp = LED(12)
        button.when_pressed = lamp.on
        button.when_released = lamp.off
        print("ready", flush=True)
        button.wait_for_press()
        button.wait_for_release()
        print("done", flush=True)
        """,
        bench,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    bench.control.call("press", button="stop", ms=50)
    out, errors = program.communicate(timeout=10)
    assert (out, errors, program.returncode) == ("done\n", "", 0)
    trace = bench.control.call("traces", last=9)["signals"]["buzzer"]
    assert [on for _, on in trace] == [True, False]
    until(lambda: bench.status()["programs"] == [])


@pytest.mark.parametrize("named", [True, False])
def test_a_script_without_a_bench_is_told_what_is_missing(tmp_path: Path, *, named: bool) -> None:
    bench = BenchProcess(tmp_path)
    bench.close()
    program = script("from gpiozero import LED; LED(12)", bench if named else None)
    _, errors = program.communicate(timeout=10)
    assert program.returncode == 1
    assert ("start bench-sim" if named else "BENCHPUMP_BENCH does not name") in errors


def test_a_script_whose_bench_dies_says_so(bench: BenchProcess) -> None:
    program = script(
        """
        from gpiozero import LED

        lamp = LED(12)
        print("ready", flush=True)
        while True:
            lamp.toggle()
        """,
        bench,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    bench.kill()
    _, errors = program.communicate(timeout=10)
    assert program.returncode == 1
    assert "PinFault: bench-sim has gone" in errors
