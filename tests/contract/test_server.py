"""The socket is bounded on every side, whoever speaks to it (SR-62 to SR-64, F45 to F49, F52)."""

import contextlib
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.server import Done, Failed, Refused, Role, Server, Unknown, roles_by_uid
from appliance.client import wire
from appliance.client.messages import PUMP_METHODS
from appliance.errors import AlreadyRunning, ProtocolFault

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parents[1] / "contract" / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, snapshot = scripted.ScriptedPump, scripted.serve, scripted.snapshot
path, pump, server = scripted.path, scripted.pump, scripted.server

HELLO = b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1,"client":"a test"}}'
STATUS = b'{"jsonrpc":"2.0","id":1,"method":"status"}'
STOP = b'{"jsonrpc":"2.0","id":"stop","method":"stop","params":{"what":"all"}}'
LIMIT_S = 10.0


class Raw:
    """A client that says whatever it likes, byte by byte."""

    def __init__(self, path: Path, *, hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(str(path))
        self.buffer = b""
        if hello:
            assert "result" in self.ask(HELLO)

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def line(self) -> dict[str, Any] | None:
        """The next line; None at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                more = self.socket.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def ask(self, line: bytes) -> dict[str, Any]:
        self.send(line + b"\n")
        answer = self.line()
        assert answer is not None, "the connection was closed without a word"
        return answer

    def error(self, line: bytes) -> str:
        return self.ask(line)["error"]["data"]["error"]

    def closed(self) -> bool:
        return self.line() is None


def review(amount: str, **more: str) -> bytes:
    fields = {"request_id": '"123e4567-e89b-12d3-a456-426614174000"', "amount_uu": amount} | more
    params = ",".join(f'"{key}":{text}' for key, text in fields.items())
    return f'{{"jsonrpc":"2.0","id":1,"method":"bolus.review","params":{{{params}}}}}'.encode()


# --- a line ---------------------------------------------------------------------------------------


def test_sr_63_a_request_of_4096_bytes_is_read_and_one_of_4097_ends_the_connection(
    server: Server, path: Path
) -> None:
    with Raw(path) as raw:
        assert "result" in raw.ask(STATUS + b" " * (wire.REQUEST_BYTES - len(STATUS)))
        raw.send(STATUS + b" " * (wire.REQUEST_BYTES + 1 - len(STATUS)))
        answer = raw.line()
        assert answer["error"]["data"]["error"] == "E517"
        assert raw.closed()


@pytest.mark.parametrize("size", [wire.REQUEST_BYTES + 1, 70_000, 64_000_000])
def test_f46_what_never_ends_its_line_is_cut_off_at_the_limit(
    server: Server, path: Path, size: int
) -> None:
    with Raw(path) as raw, Raw(path) as other:
        sent, chunk = 0, b"x" * 65_536
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < size:
                sent += raw.socket.send(chunk[: size - sent])
        assert sent < 2_000_000  # what the kernel holds, not what was offered
        assert raw.line()["error"]["data"]["error"] == "E517"
        assert raw.closed()
        assert "result" in other.ask(STATUS)


def test_f47_half_a_line_is_closed_in_time_and_others_are_not_kept_waiting(
    pump: ScriptedPump, path: Path
) -> None:
    server = serve(pump, path, line_s=0.3)
    with Raw(path) as raw, Raw(path) as other:
        raw.send(STATUS[:20])
        assert "result" in other.ask(STATUS)
        assert raw.line()["error"]["data"]["error"] == "E518"
        assert raw.closed()
    server.close()


def test_f47_a_byte_now_and_then_does_not_buy_a_line_more_time(
    pump: ScriptedPump, path: Path
) -> None:
    server = serve(pump, path, line_s=0.3)
    with Raw(path) as raw:
        started = time.monotonic()
        for byte in STATUS * 10:
            raw.send(bytes([byte]))
            if select.select([raw.socket], [], [], 0.02)[0]:
                break
        assert raw.line()["error"]["data"]["error"] == "E518"
        assert time.monotonic() - started < 2.0
    server.close()


def test_a_whole_line_stops_the_clock_for_lines(pump: ScriptedPump, path: Path) -> None:
    server = serve(pump, path, line_s=0.2)
    with Raw(path) as raw:
        assert "result" in raw.ask(STATUS)
        assert not select.select([raw.socket], [], [], 0.5)[0]  # idle is no fault
        assert "result" in raw.ask(STATUS)
    server.close()


def test_lines_may_come_in_pieces_or_several_at_once(server: Server, path: Path) -> None:
    with Raw(path) as raw:
        raw.send(STATUS + b"\n" + STATUS + b"\r\n" + STATUS[:7])
        raw.send(STATUS[7:] + b"\n")
        assert [raw.line()["id"] for _ in range(3)] == [1, 1, 1]


# --- what a line says -----------------------------------------------------------------------------

UNREADABLE = {
    "nothing": b"",
    "no JSON": b"hello",
    "half": b'{"jsonrpc":"2.0"',
    "two in one line": STATUS + STATUS,
    "bad UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
    "a surrogate in UTF-8": b'{"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}',
    "NUL": b"\0" + STATUS,
    "byte order mark": b"\xef\xbb\xbf" + STATUS,
    "an array": b"[" + STATUS + b"]",
    "a number": b"1",
    "null": b"null",
    "duplicate key": b'{"jsonrpc":"2.0","id":1,"id":1,"method":"status"}',
    "duplicate parameter": review("1", **{"amount_uu ": "1"}).replace(b"amount_uu ", b"amount_uu"),
    "a duplicate that is escaped": review("1000000").replace(b"}}", b',"amount_\\u0075u":9}}'),
    "NaN": review("NaN"),
    "Infinity": review("Infinity"),
    "-Infinity": review("-Infinity"),
    "leading zero": review("01"),
    "plus": review("+1"),
    "underscore": review("1_0"),
    "comma": review("1,5"),
    "Arabic digits": review("\u0661\u0662"),
    "full-width digits": review("\uff11\uff12"),
    "hexadecimal": review("0x10"),
    "9 brackets deep": review("[[[[[[[1]]]]]]]"),
    "1900 brackets deep": review("[" * 1_900 + "]" * 1_900),
    "brackets without an end": b"[" * 4_000,
    "braces without an end": b'{"a":' * 800,
    "no id": b'{"jsonrpc":"2.0","method":"status"}',
    "id null": b'{"jsonrpc":"2.0","id":null,"method":"status"}',
    "id true": b'{"jsonrpc":"2.0","id":true,"method":"status"}',
    "id a fraction": b'{"jsonrpc":"2.0","id":1.0,"method":"status"}',
    "id an object": b'{"jsonrpc":"2.0","id":{},"method":"status"}',
    "id too long": b'{"jsonrpc":"2.0","id":"' + b"x" * 65 + b'","method":"status"}',
    "id too large": b'{"jsonrpc":"2.0","id":9007199254740993,"method":"status"}',
    "another JSON-RPC": b'{"jsonrpc":"1.0","id":1,"method":"status"}',
    "no JSON-RPC": b'{"id":1,"method":"status"}',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "method a number": b'{"jsonrpc":"2.0","id":1,"method":1}',
    "method with a path": b'{"jsonrpc":"2.0","id":1,"method":"../status"}',
    "method with a newline": b'{"jsonrpc":"2.0","id":1,"method":"status\\n"}',
    "params a list": b'{"jsonrpc":"2.0","id":1,"method":"status","params":[]}',
    "params null": b'{"jsonrpc":"2.0","id":1,"method":"status","params":null}',
    "an unknown key": b'{"jsonrpc":"2.0","id":1,"method":"status","uid":0}',
    "a reply": b'{"jsonrpc":"2.0","id":1,"result":{}}',
}


@pytest.mark.parametrize("line", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_f45_a_line_that_is_no_request_gets_an_error_and_changes_nothing(
    pump: ScriptedPump, server: Server, path: Path, line: bytes
) -> None:
    with Raw(path) as raw:
        assert raw.error(line) == "E501"
        assert "result" in raw.ask(STATUS)
    assert pump.seen == []


BAD_AMOUNTS = {
    "a text": '"2500000"',
    "a text of a dose": '"2.5"',
    "a fraction": "2500000.0",
    "true": "true",
    "null": "null",
    "a list": "[1]",
    "1e999": "1e999",
    "1e400": "1e400",
    "1e6": "1e6",
    "-0.0": "-0.0",
    "negative": "-1",
    "over any keypad": "99990001",
    "2^63": str(2**63),
    "2^64": str(2**64),
    "3800 digits": "9" * 3_800,
    "text nan": '"nan"',
    "text inf": '"inf"',
    "text with a newline": '"1.5\\n"',
    "text .5": '".5"',
    "text 5.": '"5."',
    "text +1": '"+1"',
    "a lone surrogate": '"\\ud800"',
    "right-to-left": '"\\u202e1"',
    "NUL": '"\\u0000"',
}


@pytest.mark.parametrize("amount", BAD_AMOUNTS.values(), ids=BAD_AMOUNTS.keys())
def test_f39_f40_an_amount_is_a_whole_number_in_range_or_it_is_refused_by_name(
    pump: ScriptedPump, server: Server, path: Path, amount: str
) -> None:
    with Raw(path) as raw:
        data = raw.ask(review(amount))["error"]["data"]
        assert (data["error"], data["field"]) == ("E511", "amount_uu")
        assert data["value"].isascii()
        assert len(data["value"]) < 100
        assert data["range"]
        assert [reason["field"] for reason in data["reasons"]] == ["amount_uu"]
    assert pump.seen == []


BAD_PARAMETERS = {
    "missing": (b'{"request_id":"123e4567-e89b-12d3-a456-426614174000"}', ["amount_uu"]),
    "unknown": (review("1", gentle="1").split(b'"params":')[1][:-1], ["gentle"]),
    "nothing": (b"{}", ["request_id", "amount_uu"]),
    "upper case id": (
        b'{"request_id":"123E4567-E89B-12D3-A456-426614174000","amount_uu":1}',
        ["request_id"],
    ),
    "id with a newline": (
        b'{"request_id":"123e4567-e89b-12d3-a456-426614174000\\n","amount_uu":1}',
        ["request_id"],
    ),
    "id a number": (b'{"request_id":1,"amount_uu":1}', ["request_id"]),
    "speed": (review("1", speed='"warp"').split(b'"params":')[1][:-1], ["speed"]),
    "everything at once": (b'{"request_id":"","amount_uu":-1,"speed":1,"x":1}', None),
}


@pytest.mark.parametrize(("params", "fields"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS.keys())
def test_f45_every_fault_of_the_parameters_is_named_at_once(
    pump: ScriptedPump, server: Server, path: Path, params: bytes, fields: list[str] | None
) -> None:
    with Raw(path) as raw:
        line = b'{"jsonrpc":"2.0","id":"a","method":"bolus.review","params":' + params + b"}"
        answer = raw.ask(line)
    assert answer["id"] == "a"
    named = [reason["field"] for reason in answer["error"]["data"]["reasons"]]
    assert named == (fields or ["request_id", "amount_uu", "speed", "x"])
    assert all(name in answer["error"]["message"] for name in named)
    assert pump.seen == []


def test_an_error_comes_back_with_the_id_of_its_request(server: Server, path: Path) -> None:
    with Raw(path) as raw:
        answer = raw.ask(b'{"jsonrpc":"2.0","id":"mine","method":"explode"}')
        assert (answer["id"], answer["error"]["code"]) == ("mine", -32601)
        assert answer["error"]["data"]["error"] == "E510"
        assert raw.ask(b'{"jsonrpc":"2.0","id":"mine","method":"status","a":1}')["id"] == "mine"
        assert raw.ask(b'{"jsonrpc":"2.0","id":[],"method":"status"}')["id"] is None


def test_an_id_may_be_a_text_or_a_number_and_comes_back_as_it_was(
    server: Server, path: Path
) -> None:
    with Raw(path) as raw:
        for request_id in ("a", "\u00e9\u202e", 0, -5, 2**53 - 1):
            line = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "status"})
            assert raw.ask(line.encode())["id"] == request_id


# --- hello ----------------------------------------------------------------------------------------


def test_the_first_message_must_be_hello(pump: ScriptedPump, server: Server, path: Path) -> None:
    with Raw(path, hello=False) as raw:
        assert raw.error(STATUS) == "E514"
        assert raw.error(STOP) == "E514"
        answer = raw.ask(HELLO)["result"]
    assert answer == scripted.HELLO | {
        "protocol": 1,
        "roles": ["bench", "observe", "operate", "report", "settings"],
    }
    assert pump.urgents == []


def test_f52_another_version_is_told_both_versions_and_closed(server: Server, path: Path) -> None:
    with Raw(path, hello=False) as raw:
        answer = raw.ask(HELLO.replace(b'"protocol":1', b'"protocol":7,"new":"key"'))
        assert answer["error"]["data"]["error"] == "E513"
        assert "protocol 7" in answer["error"]["message"]
        assert "protocol 1" in answer["error"]["message"]
        assert raw.closed()


@pytest.mark.parametrize(
    "params",
    [
        b"{}",
        b'{"protocol":1}',
        b'{"protocol":true,"client":"x"}',
        b'{"protocol":1.0,"client":"x"}',
        b'{"protocol":1,"client":"x","uid":0}',
        b'{"protocol":1,"client":"a\\u0000b"}',
    ],
)
def test_a_hello_that_is_not_one_is_refused(server: Server, path: Path, params: bytes) -> None:
    with Raw(path, hello=False) as raw:
        line = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":' + params + b"}"
        assert raw.error(line) == "E511"
        assert raw.error(STATUS) == "E514"


def test_who_does_not_say_hello_does_not_keep_a_place(pump: ScriptedPump, path: Path) -> None:
    server = serve(pump, path, line_s=0.2)
    with Raw(path, hello=False) as raw:
        assert raw.line()["error"]["data"]["error"] == "E518"
        assert raw.closed()
    server.close()
    assert pump.left == []


# --- how many, how often --------------------------------------------------------------------------


def test_sr_63_eight_clients_may_come_and_the_ninth_is_told_why_not(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        eight = [stack.enter_context(Raw(path)) for _ in range(8)]
        with Raw(path, hello=False) as ninth:
            answer = ninth.line()
            assert answer["error"]["data"]["error"] == "E516"
            assert "at most 8 clients" in answer["error"]["message"]
            assert ninth.closed()
        assert all("result" in raw.ask(STATUS) for raw in eight)
        eight[3].socket.close()
        pump.until(lambda: pump.left == [4])
        stack.enter_context(Raw(path))  # there is room again


def test_onlookers_cannot_take_the_places_of_those_who_may_stop_the_pump(
    pump: ScriptedPump, path: Path
) -> None:
    roles = {"observe"}
    server = serve(pump, path, roles=lambda uid: frozenset(roles))
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(Raw(path))
        with Raw(path, hello=False) as seventh:
            assert seventh.line()["error"]["data"]["error"] == "E516"
        roles.add("operate")
        for _ in range(2):
            assert "result" in stack.enter_context(Raw(path)).ask(STOP)
    server.close()


def test_f48_a_storm_of_clients_leaves_the_eight_alone(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with contextlib.ExitStack() as stack:
        eight = [stack.enter_context(Raw(path)) for _ in range(8)]
        for _ in range(1_000):
            with socket.socket(socket.AF_UNIX) as one:  # blocks while the backlog is full
                one.connect(str(path))
        assert all("result" in raw.ask(STATUS) for raw in eight)
    pump.until(lambda: len(pump.left) == 8)


class Hand:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def test_sr_63_twenty_requests_a_second_and_a_stop_at_any_time(
    pump: ScriptedPump, path: Path
) -> None:
    clock = Hand()
    server = serve(pump, path, now_ns=clock)
    with Raw(path) as raw:  # its hello was the first of them
        for _ in range(19):
            assert "result" in raw.ask(STATUS)
        answer = raw.ask(STATUS)
        assert answer["error"]["data"]["error"] == "E515"
        assert "20 requests a second" in answer["error"]["message"]
        assert "result" in raw.ask(STOP)
        clock.now_ns += 50_000_000
        assert "result" in raw.ask(STATUS)
        assert raw.error(STATUS) == "E515"
        clock.now_ns += 3_600_000_000_000  # an hour saves up no more than a second's worth
        assert ["result" in raw.ask(STATUS) for _ in range(21)] == [True] * 20 + [False]
    server.close()
    assert pump.urgents == ["stop"]


@pytest.mark.parametrize("line", [STATUS, b"", b"no JSON"])
def test_a_flood_is_answered_for_a_while_and_then_closed(
    pump: ScriptedPump, path: Path, line: bytes
) -> None:
    server = serve(pump, path, now_ns=Hand())
    with Raw(path) as raw, Raw(path) as other:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            raw.send((line + b"\n") * 2_000)
        answers = list(iter(raw.line, None))
        assert len(answers) < 130
        assert answers[-1]["error"]["message"] == "requests kept coming far above the rate"
        assert "result" in other.ask(STATUS)
    server.close()


def test_at_most_eight_requests_wait_and_a_stop_is_not_among_those_refused(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.script["resume"] = None  # never answers
    with Raw(path) as raw:
        for number in range(8):
            raw.send(b'{"jsonrpc":"2.0","id":"r%d","method":"resume"}\n' % number)
        assert raw.error(b'{"jsonrpc":"2.0","id":"one more","method":"suspend"}') == "E515"
        assert raw.ask(STOP) == {"jsonrpc": "2.0", "id": "stop", "result": {"stopped": []}}
    assert pump.asked("suspend") == []


def test_two_waiting_requests_cannot_share_an_id(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.script["resume"] = None
    with Raw(path) as raw:
        raw.send(b'{"jsonrpc":"2.0","id":7,"method":"resume"}\n')
        answer = raw.ask(b'{"jsonrpc":"2.0","id":7,"method":"suspend"}')
        assert "in use" in answer["error"]["message"]
    assert pump.asked("suspend") == []


EXHAUSTED = """
import importlib.util, os, resource, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("scripted_pump", sys.argv[1])
scripted = importlib.util.module_from_spec(spec)
sys.modules["scripted_pump"] = scripted
spec.loader.exec_module(scripted)
pump = scripted.ScriptedPump()
server = scripted.serve(pump, Path(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print("up", flush=True)
sys.stdin.readline()
held = []
try:
    while True:
        held.append(os.dup(0))
except OSError:
    print("exhausted", flush=True)
sys.stdin.readline()
for each in held:
    os.close(each)
print("free", flush=True)
sys.stdin.readline()
server.close()
print(pump.died, flush=True)
"""


def test_f11_without_descriptors_new_clients_wait_and_the_others_are_served(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", EXHAUSTED, scripted.__file__, str(path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:

        def next_word(expected: str) -> None:
            assert program.stdout.readline().strip() == expected
            program.stdin.write("\n")
            program.stdin.flush()

        assert program.stdout.readline() == "up\n"
        with Raw(path) as served:
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.stdout.readline() == "exhausted\n"
            with Raw(path, hello=False) as late:
                late.send(HELLO + b"\n")
                assert not select.select([late.socket], [], [], 0.3)[0]
                assert "result" in served.ask(STATUS)
                program.stdin.write("\n")
                program.stdin.flush()
                assert "result" in late.line()  # as soon as there is room again
                assert "result" in served.ask(STATUS)
        next_word("free")
        assert program.stdout.readline() == "[]\n"


# --- who ------------------------------------------------------------------------------------------


def test_sr_64_a_refusal_names_the_role_that_is_missing(pump: ScriptedPump, path: Path) -> None:
    server = serve(pump, path, roles=lambda uid: frozenset({"observe"}))
    with Raw(path) as raw:
        assert "result" in raw.ask(STATUS)
        answer = raw.ask(review("1000000"))["error"]
        assert answer["data"] == {"error": "E512", "role": "operate"}
        assert (
            f"bolus.review needs the role operate; user {os.getuid()} has observe"
            in answer["message"]
        )
        assert raw.error(b'{"jsonrpc":"2.0","id":1,"method":"basal.use","params":{}}') == "E512"
        assert raw.error(STOP) == "E512"
    server.close()
    assert (pump.seen, pump.urgents) == ([], [])


def test_f49_a_user_without_any_role_is_turned_away_at_the_door(
    pump: ScriptedPump, path: Path
) -> None:
    server = serve(pump, path, roles=lambda uid: frozenset())
    with Raw(path, hello=False) as raw:
        answer = raw.line()
        assert answer["error"]["data"]["error"] == "E512"
        assert f"user {os.getuid()}" in answer["error"]["message"]
        assert raw.closed()
    server.close()


def test_sr_64_root_and_the_owner_have_every_role_that_the_pump_has() -> None:
    roles = roles_by_uid({Role.OBSERVE: [7, 8], Role.OPERATE: [8], Role.SETTINGS: []}, owner=1_000)
    assert roles(0) == roles(1_000) == {"observe", "operate", "settings"}
    assert roles(7) == {"observe"}
    assert roles(8) == {"observe", "operate"}
    assert roles(65_534) == frozenset()


def test_f49_the_kernel_says_who_is_there_and_nothing_in_a_message_can(
    pump: ScriptedPump, path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT RUN: needs root, to connect as another user")
    server = serve(
        pump, path, mode=0o666, roles=roles_by_uid({Role.OBSERVE: [65_534], Role.OPERATE: []})
    )
    path.parent.chmod(0o755)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"failed"
        try:
            os.setgroups([])
            os.setresgid(65_534, 65_534, 65_534)
            os.setresuid(65_534, 65_534, 65_534)
            with Raw(path) as raw:
                said = json.dumps([raw.ask(STATUS), raw.ask(review("1000000"))]).encode()
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        status, refusal = json.loads(answers.read())
    os.waitpid(child, 0)
    server.close()
    assert status["result"]["state"] == "running"
    assert refusal["error"]["data"] == {"error": "E512", "role": "operate"}
    assert "user 65534 has observe" in refusal["error"]["message"]


def test_what_is_refused_is_recorded_and_a_flood_of_it_is_not(
    pump: ScriptedPump, server: Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Raw(path) as raw:
        raw.send(b"\xff\n" * 60)
        assert [raw.line()["error"]["data"]["error"] for _ in range(60)] == ["E501"] * 60
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith(
        f"pumpd.sock: user {os.getuid()}: not a request: byte 0 is not UTF-8"
    )
    assert len(lines) < 20


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            Refused([{"code": "state", "text": "no", "field": "", "value": "", "range": ""}]),
            {"error": "E520", "reasons": [{"code": "state", "text": "no"}]},
        ),
        (
            Refused(
                [
                    {"code": "a", "text": "x"},
                    {"code": "b", "text": "y", "field": "f", "value": "1", "range": "2 to 3"},
                ]
            ),
            {
                "error": "E520",
                "field": "f",
                "value": "1",
                "range": "2 to 3",
                "reasons": [
                    {"code": "a", "text": "x"},
                    {"code": "b", "text": "y", "field": "f", "value": "1", "range": "2 to 3"},
                ],
            },
        ),
        (Unknown("the disk"), {"error": "E521"}),
        (Failed("E401", "the disk"), {"error": "E522", "fault": "E401"}),
    ],
)
def test_what_was_not_done_says_so_in_its_code(
    pump: ScriptedPump, server: Server, path: Path, answer: Any, error: dict[str, Any]
) -> None:
    pump.script["suspend"] = answer
    with Raw(path) as raw:
        said = raw.ask(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}')
    assert said["error"]["data"] == error


def test_an_answer_may_come_later_from_another_thread_and_in_another_order(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    held: dict[str, Any] = {}
    pump.request = lambda c, u, method, p, answer: held.__setitem__(method, answer)
    with Raw(path) as raw:
        raw.send(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}\n')
        raw.send(b'{"jsonrpc":"2.0","id":2,"method":"resume"}\n')
        assert "result" in raw.ask(STATUS.replace(b'"id":1', b'"id":3'))  # the server goes on
        for method in ("resume", "suspend"):
            thread = threading.Thread(target=held[method], args=(Done({"did": method}),))
            thread.start()
            thread.join()
        assert [raw.line()["result"]["did"] for _ in range(2)] == ["resume", "suspend"]
        with pytest.raises(RuntimeError, match="answered once"):
            held["resume"](Done())


def test_a_handler_that_does_not_answer_leaves_nobody_waiting(
    pump: ScriptedPump, path: Path
) -> None:
    methods = [replace(method, answer_s=0.2) for method in PUMP_METHODS]
    server = serve(pump, path, methods=methods)
    held: list[Any] = []
    pump.request = lambda c, u, m, p, answer: held.append(answer)
    with Raw(path) as raw:
        assert raw.error(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}') == "E521"
        held[0](Done())  # too late: nobody is told two things
        assert raw.ask(STATUS)["id"] == 1
    server.close()


def test_an_answer_after_the_client_or_the_server_has_gone_is_harmless(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    held: list[Any] = []

    def hold(c: int, u: int, m: str, p: Any, answer: Any) -> None:
        with pump.changed:
            held.append(answer)
            pump.changed.notify_all()

    pump.request = hold
    with Raw(path) as raw:
        raw.send(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}\n')
        raw.send(b'{"jsonrpc":"2.0","id":2,"method":"resume"}\n')
        pump.until(lambda: len(held) == 2)
    pump.until(lambda: pump.left == [1])
    held[0](Done())
    server.close()
    held[1](Done())


def test_a_reply_over_256_kib_is_never_sent(pump: ScriptedPump, server: Server, path: Path) -> None:
    pump.script["suspend"] = Done({"much": "x" * wire.REPLY_BYTES})
    pump.script["resume"] = Done({"much": "x" * (wire.REPLY_BYTES - 60)})
    with Raw(path) as raw:
        said = raw.ask(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}')
        assert said["error"]["data"] == {"error": "E522", "fault": "E517"}
        assert "result" in raw.ask(b'{"jsonrpc":"2.0","id":1,"method":"resume"}')


def test_who_does_not_read_its_answers_is_closed(pump: ScriptedPump, path: Path) -> None:
    server = serve(pump, path, slow_reader_s=0.3)
    pump.script["suspend"] = Done({"much": "x" * 200_000})
    with Raw(path) as raw:
        for number in range(8):
            raw.send(b'{"jsonrpc":"2.0","id":%d,"method":"suspend"}\n' % number)
        pump.until(lambda: pump.left == [1])  # without a byte read
    server.close()


def test_a_stop_goes_first_and_is_answered_after(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    order: list[str] = []
    pump.urgent = lambda c, u, method, p: order.append(f"urgent {method} {p.what}")
    inner = pump.request

    def request(c: int, u: int, method: str, p: Any, answer: Any) -> None:
        order.append(f"request {method}")
        inner(c, u, method, p, answer)

    pump.request = request
    with Raw(path) as raw:
        raw.ask(STOP)
    assert order == ["urgent stop all", "request stop"]


@pytest.mark.parametrize("broken", ["request", "urgent"])
def test_a_handler_that_fails_ends_the_program_and_the_client_hears_unknown(
    path: Path, broken: str
) -> None:
    pump = ScriptedPump()
    server = serve(pump, path)
    setattr(pump, broken, lambda *_: {}["a bug"])
    with Raw(path) as raw:
        answer = raw.ask(STOP)
        if broken == "request":
            assert answer["error"]["data"]["error"] == "E521"
    server.close()
    assert [type(error) for error in pump.died] == [KeyError]


# --- leaving --------------------------------------------------------------------------------------


def test_sr_59_a_client_that_can_say_nothing_more_has_gone_but_gets_its_answers(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    held: list[Any] = []
    pump.request = lambda c, u, m, p, answer: held.append(answer)
    with Raw(path) as raw:
        raw.send(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}\n')
        raw.socket.shutdown(socket.SHUT_WR)
        pump.until(lambda: pump.left == [1])
        held[0](Done({"state": "suspended"}))
        assert raw.line()["result"] == {"state": "suspended"}
        assert raw.closed()
    assert pump.left == [1]


def test_a_connection_has_a_number_that_is_never_used_again(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    for number in range(1, 4):
        with Raw(path):
            pass
        pump.until(lambda number=number: pump.left == list(range(1, number + 1)))


def test_closing_the_server_sends_what_is_queued_and_ends_every_connection(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.script["suspend"] = Done({"much": "x" * 200_000})
    with Raw(path) as raw, Raw(path) as idle:
        raw.send(b'{"jsonrpc":"2.0","id":1,"method":"suspend"}\n')
        pump.until(lambda: pump.asked("suspend"))
        assert "result" in idle.ask(STATUS)  # by now the answer is queued
        answers: list[Any] = []
        reader = threading.Thread(target=lambda: answers.extend([raw.line(), raw.line()]))
        reader.start()
        server.close()
        reader.join()
        assert [len(answers[0]["result"]["much"]), answers[1]] == [200_000, None]
        assert idle.closed()
    server.close()  # twice is harmless


# --- snapshots ------------------------------------------------------------------------------------

SUBSCRIBE = b'{"jsonrpc":"2.0","id":9,"method":"subscribe"}'


def test_a_subscriber_gets_every_newer_snapshot_with_a_rising_sequence(
    server: Server, path: Path
) -> None:
    with Raw(path) as raw, Raw(path) as other:
        first = raw.ask(SUBSCRIBE)["result"]
        seen = [first["sequence"]]
        for state in ("suspended", "running"):
            server.publish(snapshot(state=state))
            push = raw.line()
            assert (push["method"], push["params"]["state"]) == ("snapshot", state)
            assert "id" not in push
            seen.append(push["params"]["sequence"])
        assert seen == [1, 2, 3]
        answer = other.ask(STATUS)  # who did not subscribe gets answers alone
        assert (answer["id"], answer["result"]["sequence"]) == (1, 3)


def test_the_newest_snapshot_wins_and_publishing_never_blocks(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with Raw(path) as raw:
        raw.ask(SUBSCRIBE)
        for reservoir_uu in range(1, 3_001):
            server.publish(snapshot(reservoir_uu=reservoir_uu))
        sequences = []
        while not sequences or sequences[-1] < 3_001:
            sequences.append(raw.line()["params"]["sequence"])
        assert sequences == sorted(set(sequences))
        assert len(sequences) < 100


def test_a_reader_that_was_behind_gets_the_newest_and_none_of_those_between(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.script["suspend"] = Done({"much": "x" * 250_000})
    with Raw(path) as raw, Raw(path) as other:
        raw.ask(SUBSCRIBE)
        for number in range(3):  # more than the kernel takes: from here on it is behind
            raw.send(b'{"jsonrpc":"2.0","id":%d,"method":"suspend"}\n' % number)
        pump.until(lambda: len(pump.asked("suspend")) == 3)
        for number in range(5):
            server.publish(snapshot(reservoir_uu=number))
            while other.ask(STATUS)["result"]["reservoir_uu"] != number:
                pass
        assert [raw.line()["id"] for _ in range(3)] == [0, 1, 2]
        assert raw.line()["params"]["reservoir_uu"] == 4


def test_a_subscriber_that_never_reads_is_closed_and_holds_nobody_up(
    pump: ScriptedPump, path: Path
) -> None:
    server = serve(pump, path, slow_reader_s=0.2)
    with Raw(path) as raw, Raw(path) as other:
        raw.ask(SUBSCRIBE)
        other.ask(SUBSCRIBE)
        big = snapshot(weaker=["x" * 100_000])
        while not pump.left:
            server.publish(big)
            assert other.line()["method"] == "snapshot"
    server.close()
    assert pump.left[0] == 1


def test_a_snapshot_says_how_old_it_is(pump: ScriptedPump, path: Path) -> None:
    clock = Hand()
    server = serve(pump, path, now_ns=clock)
    with Raw(path) as raw:
        assert raw.ask(STATUS)["result"]["age_ms"] == 0
        clock.now_ns += 7_300_000_000
        assert raw.ask(STATUS)["result"]["age_ms"] == 7_300
        server.publish(snapshot())
        assert raw.ask(STATUS)["result"]["age_ms"] == 0
    server.close()


def test_a_snapshot_over_256_kib_is_a_bug_that_ends_the_program(path: Path) -> None:
    pump = ScriptedPump()
    server = serve(pump, path)
    big = snapshot(weaker=["x" * wire.REPLY_BYTES])
    with Raw(path) as raw, Raw(path) as other:
        server.publish(big)
        assert other.ask(STATUS)["error"]["data"] == {"error": "E522", "fault": "E517"}
        raw.send(SUBSCRIBE + b"\n")
        server.publish(big)
        pump.until(lambda: pump.died)
    server.close()
    assert [type(error) for error in pump.died] == [ProtocolFault]


@pytest.mark.parametrize("bug", [{"roles": lambda uid: 1 // 0}, {"hello": lambda: 1 // 0}])
def test_a_bug_in_what_the_program_gave_us_ends_the_program(path: Path, bug: Any) -> None:
    pump = ScriptedPump()
    server = serve(pump, path, **bug)
    with Raw(path, hello=False) as raw:
        raw.send(HELLO + b"\n")
        pump.until(lambda: pump.died)
    server.close()
    assert [type(error) for error in pump.died] == [ZeroDivisionError]


def test_a_program_without_a_state_yet_says_so(path: Path, pump: ScriptedPump) -> None:
    server = Server(
        path,
        PUMP_METHODS,
        roles=lambda uid: frozenset(Role),
        handler=pump,
        now_ns=real_monotonic_ns,
        hello=lambda: scripted.HELLO,
        died=pump.died.append,
    )
    server.start()
    with Raw(path) as raw:
        assert raw.error(STATUS) == "E522"
        assert raw.error(SUBSCRIBE) == "E522"
    server.close()


# --- the path -------------------------------------------------------------------------------------


def test_sr_62_a_live_socket_is_never_stolen(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with pytest.raises(AlreadyRunning, match=str(path)):
        serve(ScriptedPump(), path)
    with Raw(path) as raw:
        assert "result" in raw.ask(STATUS)


def test_sr_62_a_live_socket_of_a_stranger_is_not_stolen_either(
    pump: ScriptedPump, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()
        with pytest.raises(AlreadyRunning, match=str(path)):
            serve(pump, path)
    assert path.exists()


def test_a_stale_socket_is_replaced(pump: ScriptedPump, path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    server = serve(pump, path)
    with Raw(path) as raw:
        assert "result" in raw.ask(STATUS)
    server.close()


def test_a_socket_that_somebody_put_in_our_place_is_left_to_them(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    path.unlink()
    path.write_text("theirs")
    server.close()
    assert path.read_text() == "theirs"


def test_what_is_no_socket_is_not_removed(pump: ScriptedPump, path: Path) -> None:
    path.write_text("notes")
    with pytest.raises(ProtocolFault, match="is no socket"):
        serve(pump, path)
    assert path.read_text() == "notes"
    path.unlink()
    serve(pump, path).close()  # the failed start left no lock behind


def test_a_path_over_100_bytes_is_refused_with_its_length(
    pump: ScriptedPump, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 120)
    with pytest.raises(ProtocolFault, match=r"bytes; a socket's path has at most 100"):
        serve(pump, long / "pumpd.sock")


def test_a_folder_that_is_not_there_is_an_error_not_a_fallback(
    pump: ScriptedPump, path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        serve(pump, path.parent / "nowhere" / "pumpd.sock")
