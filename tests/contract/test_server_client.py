"""PumpClient against the real server: answers, refusals, losses (SR-37, SR-39, F44, F50 to F52)."""

import contextlib
import importlib.util
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.adapters.server import Done, Failed, Refused, Server, Unknown
from appliance.client import wire
from appliance.client.bench import BenchClient
from appliance.client.errors import (
    NoPump,
    NotAllowed,
    OutcomeUnknown,
    ProtocolFault,
    PumpFailed,
    WrongVersion,
)
from appliance.client.errors import Refused as WasRefused
from appliance.client.keeper import KeeperClient
from appliance.client.messages import KEEPER_METHODS, HistoryParams, Limits, Segment
from appliance.client.pump import PumpClient, new_request_id

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parents[1] / "contract" / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)
ScriptedPump, serve, snapshot = scripted.ScriptedPump, scripted.serve, scripted.snapshot
path, pump, server = scripted.path, scripted.pump, scripted.server


def client_of(path: Path, **options: Any) -> PumpClient:
    return PumpClient(path, **({"settle_tries": 5, "pause": lambda _: None} | options))


# --- what goes through ----------------------------------------------------------------------------


def test_every_verb_has_its_method(pump: ScriptedPump, server: Server, path: Path) -> None:
    with client_of(path) as client:
        assert client.rpc.hello.roles == ["bench", "observe", "operate", "report", "settings"]
        assert client.status().state == "running"
        assert client.basal().profiles["Day"][1].start_min_of_day == 390
        client.import_basal("Night", [Segment(start_min_of_day=0, rate_uu_per_h=5)], replace=True)
        client.use_basal("Day")
        assert client.limits().limits["hourly_uu"] == 15_000_000
        client.set_limits(
            Limits(max_bolus_uu=1, hourly_uu=2, daily_uu=3, max_basal_uu_per_h=4, min_interval_s=5)
        )
        client.load_cartridge(300_000_000)
        assert client.alarms() == []
        client.acknowledge(3)
        client.acknowledge(None)
        client.heartbeat()
        assert client.suspend() == []
        assert client.resume() == "running"
        assert client.stop() == []
        assert client.lookup(new_request_id()) is None
    assert [(method, asked) for method, asked in pump.seen if asked] == [
        (
            "basal.import",
            {
                "name": "Night",
                "segments": [{"start_min_of_day": 0, "rate_uu_per_h": 5}],
                "replace": True,
                "carb_ratios_mg_per_u": None,
                "sensitivities_mg_dl_per_u": None,
                "targets_mg_dl": None,
                "confirm": False,
            },
        ),
        ("basal.use", {"name": "Day"}),
        (
            "limits.set",
            {
                "max_bolus_uu": 1,
                "hourly_uu": 2,
                "daily_uu": 3,
                "max_basal_uu_per_h": 4,
                "min_interval_s": 5,
            },
        ),
        ("cartridge.load", {"amount_uu": 300_000_000, "kind": None, "size_uu": None}),
        ("alarms.acknowledge", {"number": 3}),
        ("alarms.acknowledge", {"number": None}),
        ("stop", {"what": "all"}),
        ("dose.lookup", {"request_id": pump.asked("dose.lookup")[0]["request_id"]}),
    ]


def test_a_newer_pump_may_say_more_and_it_is_kept(server: Server, path: Path) -> None:
    with client_of(path) as client:
        assert client.status().raw["from_a_newer_pump"] == {"left": "alone"}


def test_snapshots_come_in_order_and_other_calls_may_come_between(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with client_of(path) as client:
        snapshots = client.iter_snapshots()
        seen = [next(snapshots).sequence]
        for state in ("suspended", "running"):
            server.publish(snapshot(state=state))
            newest = next(snapshots)
            seen.append(newest.sequence)
            assert newest.state == state
            server.publish(snapshot(state="while a call is made"))
            assert client.alarms() == []
            server.publish(snapshot(state="newest"))
            while next(snapshots).state != "newest":
                pass
        assert seen == [1, 2, 5]


def test_a_pump_that_falls_silent_is_no_pump(server: Server, path: Path) -> None:
    with client_of(path) as client:
        snapshots = client.iter_snapshots(silence_s=0.1)
        next(snapshots)
        with pytest.raises(NoPump, match="no word from the pump"):
            next(snapshots)


# --- what does not --------------------------------------------------------------------------------


def test_a_refusal_carries_every_reason(pump: ScriptedPump, server: Server, path: Path) -> None:
    pump.script["suspend"] = Refused(
        [
            {"code": "state", "text": "the pump is faulted"},
            {"code": "x", "text": "y", "field": "f", "value": "1", "range": "2 to 3"},
        ]
    )
    with client_of(path) as client, pytest.raises(WasRefused) as refused:
        client.suspend()
    assert [(r.code, r.text, r.field, r.range) for r in refused.value.reasons] == [
        ("state", "the pump is faulted", None, None),
        ("x", "y", "f", "2 to 3"),
    ]


def test_a_fault_of_the_pump_keeps_its_code(pump: ScriptedPump, server: Server, path: Path) -> None:
    pump.script["suspend"] = Failed("E401", "the disk is gone")
    with client_of(path) as client, pytest.raises(PumpFailed, match="the disk is gone") as failed:
        client.suspend()
    assert failed.value.fault == "E401"


def test_sr_64_a_missing_role_is_named(pump: ScriptedPump, path: Path) -> None:
    server = serve(pump, path, roles=lambda uid: frozenset({"observe"}))
    with client_of(path) as client:
        assert client.status().state == "running"
        with pytest.raises(NotAllowed, match="needs the role operate"):
            client.stop()
    server.close()


def test_no_socket_no_program_no_permission_and_a_long_path_have_sentences_of_their_own(
    path: Path, tmp_path: Path
) -> None:
    with pytest.raises(NoPump, match="there is no socket"):
        client_of(path).open()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NoPump, match="no program behind it"):
        client_of(path).open()
    with pytest.raises(NoPump, match="ends at 107 bytes"):
        client_of(tmp_path / ("x" * 120)).open()
    if os.getuid() != 0:
        path.chmod(0)
        with pytest.raises(NoPump, match="may not open it"):
            client_of(path).open()


def test_the_ninth_client_hears_why(pump: ScriptedPump, server: Server, path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(client_of(path))
        with pytest.raises(WasRefused, match="at most 8 clients"):
            client_of(path).open()


def test_a_request_that_is_too_long_is_not_sent(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    segments = [Segment(start_min_of_day=m, rate_uu_per_h=0) for m in range(200)]
    with client_of(path) as client:
        with pytest.raises(ProtocolFault, match="at most 4096"):
            client.import_basal("Long", segments)
        assert client.status().state == "running"
    assert pump.asked("basal.import") == []


class Liar:
    """A server of prepared conversations, one a connection.

    An answer is a result (for the id that asked), bytes as they are, or None: it hangs up instead.
    """

    def __init__(self, path: Path, *conversations: list[Any], greets: bool = True) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.heard: list[str] = []
        self.conversations = [[HELLO, *answers] if greets else answers for answers in conversations]
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        for answers in self.conversations:
            connection, _ = self.listener.accept()
            with (
                contextlib.suppress(BrokenPipeError, ConnectionResetError),
                connection,
                connection.makefile("rwb") as file,
            ):
                for answer in answers:
                    asked = json.loads(file.readline())
                    self.heard.append(asked["method"])
                    if answer is None:
                        break
                    if not isinstance(answer, bytes):
                        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": answer}
                        answer = json.dumps(answer).encode() + b"\n"
                    file.write(answer)
                    file.flush()

    def end(self) -> None:
        """Every conversation was had to its end."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.listener.close()


HELLO = scripted.HELLO | {"protocol": 1, "roles": ["observe", "operate"]}
DOSE = {
    "id": "123e4567-e89b-12d3-a456-426614174000",
    "kind": "bolus",
    "programmed_uu": 1_000_000,
    "programmed_steps": 543,
    "issued_steps": 543,
    "confirmed_steps": 543,
    "maximum_steps": 543,
    "certainty": "exact",
    "outcome": "done",
    "why": None,
}


@pytest.mark.parametrize(
    "nonsense",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"jsonrpc":"2.0","id":2}\n',
        b'{"jsonrpc":"2.0","id":2,"result":null}\n',
        b'{"jsonrpc":"2.0","id":2,"result":[]}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"state":1}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"state":"a","state":"b"}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"state":"a","reservoir_uu":NaN}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"state":"a","alarms":' + b"[" * 99 + b"}}\n",
        b"x" * (wire.REPLY_BYTES + 70_000),
    ],
)
def test_an_answer_that_cannot_be_read_is_a_fault_not_a_state(path: Path, nonsense: bytes) -> None:
    liar = Liar(path, [nonsense])
    with client_of(path) as client, pytest.raises(ProtocolFault):
        client.status()
    liar.end()


def test_f52_a_pump_of_another_version_is_told_apart(path: Path) -> None:
    error = {"code": -32003, "message": "protocol 1, protocol 2", "data": {"error": "E513"}}
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode() + b"\n"
    liar = Liar(path, [answer], greets=False)
    with pytest.raises(WrongVersion, match="protocol 1, protocol 2"):
        client_of(path).open()
    liar.end()


def test_a_late_answer_to_a_question_given_up_is_left_alone(path: Path) -> None:
    late = b'{"jsonrpc":"2.0","id":1,"result":{"state":"late"}}\n'
    liar = Liar(path, [late + late.replace(b'"id":1', b'"id":2').replace(b"late", b"asked for")])
    with client_of(path) as client:
        assert client.status().state == "asked for"
    liar.end()


def test_a_lost_reply_to_a_question_is_no_pump_and_to_a_command_an_unknown_outcome(
    path: Path,
) -> None:
    liar = Liar(path, [None], [None], [b"no JSON\n"])
    with client_of(path) as client, pytest.raises(NoPump):
        client.status()
    for _ in range(2):
        with client_of(path) as client, pytest.raises(OutcomeUnknown, match="suspend"):
            client.suspend()
    liar.end()


def test_a_stop_is_asked_for_again_on_a_new_connection(path: Path) -> None:
    liar = Liar(path, [None], [{"stopped": [DOSE]}])
    with client_of(path) as client:
        assert [dose.complete for dose in client.stop()] == [True]
    liar.end()
    assert liar.heard == ["hello", "stop", "hello", "stop"]


# --- a dose over a lossy socket -------------------------------------------------------------------


class Lossy:
    """A socket between client and server that loses, repeats and cuts, as its plan says.

    For each ``bolus.deliver`` or ``dose.lookup`` one word of the plan: "pass", "lose request",
    "lose reply", "twice". When the plan is used up, everything passes.
    """

    def __init__(self, front: Path, back: Path) -> None:
        self.plan: list[str] = []
        self.back = back
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(front))
        self.listener.listen(64)
        self.ending, self.end_writer = os.pipe()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def close(self) -> None:
        os.write(self.end_writer, b"x")
        self.thread.join(10)
        self.listener.close()
        os.close(self.ending)
        os.close(self.end_writer)

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self.listener, self.ending], [], [])
            if self.ending in ready:
                return
            client, _ = self.listener.accept()
            with client, socket.socket(socket.AF_UNIX) as server:
                server.connect(str(self.back))
                if not self.carry(client, server):
                    return

    def carry(self, client: socket.socket, server: socket.socket) -> bool:
        while True:
            ready, _, _ = select.select([client, server, self.ending], [], [])
            if self.ending in ready:
                return False
            if client in ready:
                line = client.recv(65_536)  # one request at a time, so one line
                if not line:
                    return True
                watched = b'"bolus.deliver"' in line or b'"dose.lookup"' in line
                word = self.plan.pop(0) if watched and self.plan else "pass"
                if word == "lose request":
                    return True
                server.sendall(line)
                if word in ("lose reply", "twice"):
                    server.recv(65_536)
                if word == "lose reply":
                    return True
                if word == "twice":
                    server.sendall(line)
            if server in ready:
                answer = server.recv(65_536)
                if not answer:
                    return True
                client.sendall(answer)


@pytest.fixture
def lossy(server: Server, path: Path) -> Iterator[tuple[Lossy, Path]]:
    front = path.with_name("front.sock")
    between = Lossy(front, path)
    yield between, front
    between.close()


@pytest.mark.parametrize(
    "plan",
    [
        ["lose request"],
        ["lose reply"],
        ["twice"],
        ["lose reply", "lose reply", "lose reply"],
        ["lose request", "pass", "lose reply"],
        ["lose request", "lose request", "pass", "twice"],
    ],
)
def test_sr_37_f50_a_lost_or_doubled_message_never_doses_twice(
    pump: ScriptedPump, lossy: tuple[Lossy, Path], plan: list[str]
) -> None:
    between, front = lossy
    between.plan = list(plan)
    request_id = new_request_id()
    with client_of(front) as client:
        dose = client.deliver(request_id, 2_500_000, "a-token")
    assert dose.complete
    assert dose.id == request_id
    assert pump.moved == 1
    assert {asked["request_id"] for asked in pump.asked("bolus.deliver")} == {request_id}


def test_sr_39_after_a_lost_answer_the_dose_is_looked_up_before_anything_else(
    pump: ScriptedPump, lossy: tuple[Lossy, Path]
) -> None:
    between, front = lossy
    between.plan = ["lose reply"]
    with client_of(front) as client:
        client.deliver(new_request_id(), 1_000_000, "a-token")
    assert [method for method, _ in pump.seen] == ["bolus.deliver", "dose.lookup"]


def test_sr_59_a_running_dose_is_joined_again_by_its_id(
    pump: ScriptedPump, lossy: tuple[Lossy, Path]
) -> None:
    between, front = lossy
    between.plan = ["lose reply"]
    pump.finish_at_once = False
    with client_of(front) as client:
        assert client.deliver(new_request_id(), 1_000_000, "a-token").running
    assert [method for method, _ in pump.seen] == ["bolus.deliver", "dose.lookup", "bolus.deliver"]
    assert pump.moved == 1


def test_sr_59_a_dose_that_was_stayed_for_is_joined_again_after_a_loss(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.finish_at_once = False
    request_id = new_request_id()
    with client_of(path) as client:
        client.deliver(request_id, 1_000_000, "a-token")
        client.close()
        assert client.settle(request_id).running
        client.close()
        pump.end(request_id, 543)
        assert client.settle(request_id).complete
        assert client.settle(new_request_id()) is None
    calls = [method for method, _ in pump.seen]
    assert calls == ["bolus.deliver", "dose.lookup", "bolus.deliver", "dose.lookup", "dose.lookup"]
    assert pump.moved == 1


def test_a_busy_pump_says_nothing_about_a_dose(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    request_id = new_request_id()
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(client_of(path, settle_tries=3))
        client.deliver(request_id, 1_000_000, "a-token")
        client.close()
        eight = [stack.enter_context(client_of(path)) for _ in range(8)]
        with pytest.raises(OutcomeUnknown, match="at most 8 clients"):
            client.settle(request_id)
        eight[0].close()
        pump.until(lambda: len(pump.left) == 2)
        assert client.settle(request_id).complete


def test_a_refused_look_up_says_nothing_about_a_dose(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    pump.script["dose.lookup"] = Refused([{"code": "ledger", "text": "the ledger is being read"}])
    with client_of(path) as client, pytest.raises(OutcomeUnknown, match="is being read"):
        client.settle(new_request_id())


def test_f51_a_pump_that_does_not_come_back_leaves_the_outcome_unknown(
    pump: ScriptedPump, lossy: tuple[Lossy, Path]
) -> None:
    between, front = lossy
    between.plan = ["lose reply"] * 20
    pauses: list[float] = []
    with client_of(front, pause=pauses.append, pause_s=0.5) as client:
        with pytest.raises(OutcomeUnknown, match=r"bolus\.deliver"):
            client.deliver(new_request_id(), 1_000_000, "a-token")
        assert pauses == [0.5] * 4
    assert pump.moved == 1


def test_f51_a_pump_that_restarted_without_the_dose_refuses_and_nothing_has_moved(
    pump: ScriptedPump, lossy: tuple[Lossy, Path]
) -> None:
    between, front = lossy
    between.plan = ["lose request"]
    pump.script["bolus.deliver"] = Refused(
        [{"code": "token", "text": "the token is of another boot"}]
    )
    with client_of(front) as client, pytest.raises(WasRefused, match="another boot"):
        client.deliver(new_request_id(), 1_000_000, "a-token")
    assert pump.moved == 0


def test_an_unknown_outcome_from_the_pump_itself_is_looked_up_too(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    answers = [Unknown("the disk is slow")]

    def deliver(asked: dict[str, Any]) -> Any:
        done = pump.on_bolus_deliver(asked)
        return answers.pop() if answers else done

    pump.script["bolus.deliver"] = deliver
    with client_of(path) as client:
        assert client.deliver(new_request_id(), 1_000_000, "a-token").complete
    assert pump.moved == 1


def test_f44_the_same_bolus_five_times_is_one_dose_and_one_answer(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    request_id = new_request_id()
    with client_of(path) as client:
        doses = [client.deliver(request_id, 1_000_000, "a-token") for _ in range(5)]
    assert len({dose.model_dump_json() for dose in doses}) == 1
    assert pump.moved == 1


def test_an_answer_to_a_dose_that_cannot_be_read_is_looked_up(path: Path) -> None:
    liar = Liar(path, [{"id": "half a dose"}, DOSE])
    with client_of(path) as client:
        assert client.deliver(DOSE["id"], 1_000_000, "a-token").complete
    liar.end()
    assert liar.heard == ["hello", "bolus.deliver", "dose.lookup"]


WORDS = st.sampled_from(["pass", "lose request", "lose reply", "twice"])


@given(plans=st.lists(st.lists(WORDS, max_size=8), min_size=1, max_size=5))
def test_sr_37_no_dialogue_over_a_lossy_socket_doses_twice(plans: list[list[str]]) -> None:
    place = scripted.folder()
    pump = ScriptedPump()
    server = serve(pump, place / "back.sock", requests_per_s=1_000_000)
    between = Lossy(place / "front.sock", place / "back.sock")
    try:
        for count, plan in enumerate(plans, 1):
            between.plan = list(plan)
            request_id = new_request_id()
            with client_of(place / "front.sock") as client:
                try:
                    dose = client.deliver(request_id, 500_000, "a-token")
                except OutcomeUnknown:
                    between.plan = []
                    dose = client.settle(request_id)
                    if dose is None:
                        dose = client.deliver(request_id, 500_000, "a-token")
            assert (dose.id, dose.complete) == (request_id, True)
            assert pump.moved == count
    finally:
        between.close()
        server.close()
        for left in place.iterdir():
            left.unlink()
        place.rmdir()
    assert pump.died == []


# --- the keeper and the bench ---------------------------------------------------------------------


def row(seq: int) -> dict[str, Any]:
    return {"seq": seq, "id": str(seq), "kind": "state", "utc_ns": seq, "offset_s": 0, "text": "x"}


def test_history_comes_page_by_page_and_ends(pump: ScriptedPump, path: Path) -> None:
    def page(asked: dict[str, Any]) -> Any:
        first = (asked["before_seq"] or 251) - 1
        last = max(0, first - asked["limit"])
        rows = [row(seq) for seq in range(first, last, -1)]
        return Done({"rows": rows, "next_before_seq": last + 1 if last else None})

    pump.script["history"] = page
    server = serve(pump, path, methods=KEEPER_METHODS)
    with KeeperClient(path) as keeper:
        assert keeper.rpc.hello.utc_ns == scripted.NOW_UTC_NS
        assert [found.seq for found in keeper.history()] == list(range(250, 0, -1))
        assert [found.seq for found in keeper.history(rows=120)] == list(range(250, 130, -1))
        assert len(keeper.page(HistoryParams(limit=7, steps=True)).rows) == 7
    server.close()
    assert [(a["limit"], a["before_seq"]) for a in pump.asked("history")] == [
        (100, None),
        (100, 151),
        (100, 51),
        (100, None),
        (20, 151),
        (7, None),
    ]


def test_a_page_that_does_not_go_back_is_not_asked_for_for_ever(
    pump: ScriptedPump, path: Path
) -> None:
    pump.script["history"] = Done({"rows": [row(9)], "next_before_seq": 9})
    server = serve(pump, path, methods=KEEPER_METHODS)
    with KeeperClient(path) as keeper:
        assert len(list(keeper.history())) == 2
    server.close()


def test_the_bench_needs_no_hello_and_its_refusals_name_the_field(path: Path) -> None:
    truth = {"steps_forward": 5, "steps_reverse": 0, "volume_nl": 9.2, "enable": True, "more": 1}
    refusal = {
        "code": -32602,
        "message": "name = 'x' is not a fault",
        "data": {"field": "name", "value": "x", "range": "a, b"},
    }
    refused_line = json.dumps({"jsonrpc": "2.0", "id": 3, "error": refusal}).encode() + b"\n"
    liar = Liar(path, [truth, [{"name": "stall"}], refused_line], greets=False)
    with BenchClient(path) as bench:
        status = bench.status()
        assert (status.steps_forward, status.enable, status.raw["more"]) == (5, True, 1)
        assert bench.faults() == [{"name": "stall"}]
        with pytest.raises(WasRefused) as refused:
            bench.call("inject", {"name": "x"})
    liar.end()
    assert [(r.field, r.value, r.range) for r in refused.value.reasons] == [("name", "x", "a, b")]
    assert liar.heard == ["status", "faults", "inject"]
