"""At most once, whatever happens between a person and the motor (SR-37, SR-39, F44, F50, F51).

The real server on a Unix socket, and behind it the real engine, stepper, guard and ledger file over
the plant, on a virtual clock. Requests are lost, doubled, overtaken and asked again; replies are
lost; the daemon dies at any of its turns, with a disk that is slow or not, and starts again.
"""

import contextlib
import json
import os
import queue
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from appliance.adapters import server as doors
from appliance.adapters.ledger import SqliteLedger
from appliance.client.messages import PUMP_METHODS
from appliance.engine import messages as m
from appliance.simulate.bench import Refusal, VirtualBench

LIMIT_S = 20.0
SPEED = "fast"
HELLO = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"protocol": 1, "client": "a"}}


@dataclass(frozen=True)
class Wanted:
    """A dose that a person wants: the id is made once, when its review opens."""

    request_id: str
    amount_uu: int


@dataclass
class Call:
    """A request that has reached the daemon, and whose answer nobody has read yet."""

    socket: socket.socket
    wanted: Wanted


class Door:
    """The engine's side of the server: requests come in on its thread and wait for a turn."""

    def __init__(self) -> None:
        self.asked: queue.Queue[tuple[int, str, dict[str, Any], Callable[[Any], None]]]
        self.asked = queue.Queue()

    def request(
        self, connection: int, uid: int, method: str, params: Any, answer: Callable[[Any], None]
    ) -> None:
        self.asked.put((connection, method, params.model_dump(), answer))

    def urgent(self, connection: int, uid: int, method: str, params: Any) -> None:
        pass

    def gone(self, connection: int) -> None:
        pass


class AtMostOnce(RuleBasedStateMachine):
    """People, a lossy socket and a daemon that dies."""

    def __init__(self) -> None:
        super().__init__()
        shared = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
        self.place = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None, prefix="bp-"))
        self.bench = VirtualBench(ledger=SqliteLedger(self.place / "ledger.db"), basal_uu_per_h=0)
        self.died: list[BaseException] = []
        self.calls: list[Call] = []
        self.messages: list[tuple[Wanted, dict[str, Any]]] = []
        self.answers: dict[int, Callable[[Any], None]] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self.sent: set[str] = set()
        self.made = 0
        self.tokens = 1_000_000
        self.serve()

    def serve(self) -> None:
        self.door = Door()
        self.server = doors.Server(
            self.place / "pumpd.sock",
            PUMP_METHODS,
            roles=lambda uid: frozenset(role.value for role in doors.ALL_ROLES),
            handler=self.door,
            now_ns=time.monotonic_ns,
            hello=lambda: {"pump": "x", "version": "0", "speed": 1, "bench": True, "utc_ns": 0},
            died=self.died.append,
            requests_per_s=1_000_000,
        )
        self.server.publish(self.bench.snapshot())
        self.server.start()

    # --- what people do ---------------------------------------------------------------------------

    @rule(hundredths=st.integers(5, 60), arrives=st.booleans())
    def a_person_reviews_a_new_dose_and_confirms(self, hundredths: int, *, arrives: bool) -> None:
        """Bring the pump back where it has stopped; the id is made once, when the review opens."""
        if self.bench.state != "running":
            self.a_person_acknowledges_and_resumes()
        self.time_goes_by(11.0)  # the interval between two boluses
        self.made += 1
        request_id = str(UUID(int=self.made, version=4))
        self.confirm(Wanted(request_id, hundredths * 10_000), arrives=arrives)

    @precondition(lambda self: self.messages)
    @rule(pick=st.integers(0, 99), arrives=st.booleans())
    def a_person_reviews_the_same_dose_again(self, pick: int, *, arrives: bool) -> None:
        """With the same id: a screen that has lost its reply does so."""
        self.confirm(self.messages[pick % len(self.messages)][0], arrives=arrives)

    def confirm(self, wanted: Wanted, *, arrives: bool) -> None:
        dose = {"request_id": wanted.request_id, "amount_uu": wanted.amount_uu, "speed": SPEED}
        review = self.bench.ask("bolus.review", **dose)
        token = review["token"] or "0" * 64
        self.messages.append((wanted, {**dose, "token": token, "stay": False}))
        if arrives:
            self.arrive(self.messages[-1])

    @precondition(lambda self: self.messages)
    @rule(pick=st.integers(0, 99))
    def a_request_arrives(self, pick: int) -> None:
        """The newest or an old one, in any order, any number of times."""
        self.arrive(self.messages[-1 - pick % len(self.messages)])

    def arrive(self, message: tuple[Wanted, dict[str, Any]]) -> None:
        if len(self.calls) >= 7:
            self.calls.pop(0).socket.close()
        wanted, params = message
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(LIMIT_S)
        client.connect(str(self.server.path))
        self.sent.add(wanted.request_id)
        request = {"jsonrpc": "2.0", "id": 1, "method": "bolus.deliver", "params": params}
        for one in (HELLO, request):
            client.sendall(json.dumps(one).encode() + b"\n")
        self.calls.append(Call(client, wanted))
        connection, method, asked, answer = self.door.asked.get(timeout=LIMIT_S)
        self.tokens += 1
        self.answers[self.tokens] = answer
        self.bench._post(m.Asked(self.tokens, connection, 0, method, asked))

    @precondition(lambda self: self.calls)
    @rule(lost=st.booleans())
    def a_reply_comes_or_is_lost(self, *, lost: bool) -> None:
        if lost:
            self.calls.pop(0).socket.close()
            return
        call = self.calls.pop(0)
        self.time_goes_by(0.1)
        with call.socket, call.socket.makefile("rb") as lines:
            lines.readline()
            line = lines.readline()
        if not line:
            return  # the daemon has died since
        answer = json.loads(line)
        if "result" in answer:
            dose = answer["result"]
            assert dose["id"] == call.wanted.request_id
            assert dose["programmed_uu"] == call.wanted.amount_uu
            self.never_changes(dose)

    # --- what the world does ----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.02, 0.3, 2.0, 11.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.bench.run(seconds)
        self.reply()

    @rule(seconds=st.sampled_from([0.3, 2.0]), pick=st.integers(0, 99), arrives=st.booleans())
    def the_disk_stands_still(self, seconds: float, pick: int, *, arrives: bool) -> None:
        """For a while, in which a request may come."""
        self.bench.stalled_disk = True
        if arrives and self.messages:
            self.arrive(self.messages[-1 - pick % len(self.messages)])
        self.time_goes_by(seconds)
        self.bench.disk_goes_on()

    @rule(
        turns=st.integers(0, 4),
        wait_s=st.sampled_from([0.0, 0.5]),
        arrives=st.booleans(),
        stalled=st.booleans(),
    )
    def pumpd_dies_and_starts_again(
        self, turns: int, wait_s: float, *, arrives: bool, stalled: bool
    ) -> None:
        """At any of its turns after what has just arrived: before, between and after the rows."""
        self.bench.stalled_disk = stalled  # what is on its way to the disk is lost
        if arrives and self.messages:
            self.arrive(self.messages[-1])
        for _ in range(turns):
            if self.bench.pump is not None:
                self.bench._turn_pump()
        if turns > 2:
            self.reply()
        self.bench.kill_pump()
        self.server.close()
        self.answers.clear()
        ledger = self.bench.ledger
        assert isinstance(ledger, SqliteLedger)
        ledger._drop()
        os.close(ledger._lock)
        self.bench.stalled_disk = False
        self.bench.run(wait_s)
        self.bench.ledger = SqliteLedger(self.place / "ledger.db")
        before = self.bench.truth_steps
        self.bench.start_pump()
        self.serve()
        self.bench.run_until(lambda: self.bench.state != "starting", 30)
        assert self.bench.truth_steps == before, "a recovery drives nothing"

    def a_person_acknowledges_and_resumes(self) -> None:
        self.bench.disk_goes_on()
        self.bench.ask("alarms.acknowledge", number=None)
        with contextlib.suppress(Refusal):
            self.bench.ask("resume")

    def reply(self) -> None:
        for token in list(self.answers):
            if token in self.bench._answers:
                self.answers.pop(token)(told(self.bench._answers.pop(token)))

    # --- what always holds ------------------------------------------------------------------------

    def entered(self) -> dict[str, dict[str, Any]]:
        bodies = [row.entry.body for row in self.bench.ledger.rows_of("intent")]
        found = {body["request_id"]: dict(body) for body in bodies}
        assert len(found) == len(bodies), "no id is entered twice"
        return found

    def closed(self) -> set[str]:
        return {row.entry.body["request_id"] for row in self.bench.ledger.rows_of("closed")}

    def never_changes(self, dose: dict[str, Any]) -> None:
        """What an id has come to, it has come to for ever."""
        if dose["outcome"] != "open":
            assert self.ends.setdefault(dose["id"], dict(dose)) == dict(dose)

    @invariant()
    def no_id_moves_more_than_its_dose_and_the_truth_is_within_the_bounds(self) -> None:
        assert self.died == []
        entered = self.entered()
        assert set(entered) <= self.sent, "nothing is delivered that nobody has confirmed"
        truth = self.bench.truth_steps
        assert truth <= sum(body["programmed_steps"] for body in entered.values())
        seen = self.bench.snapshot()
        assert seen["confirmed_steps"] <= truth <= seen["maximum_steps"]

    @invariant()
    def an_outcome_stays_what_it_is(self) -> None:
        rows = self.bench.ledger.rows_of("closed")
        ended = [row.entry.body["request_id"] for row in rows]
        assert len(set(ended)) == len(ended), "every dose is closed once"
        for request_id in ended:
            with contextlib.suppress(KeyError):  # its row may not have been heard of yet
                self.never_changes(dict(self.bench.dose(request_id)))

    def teardown(self) -> None:
        try:
            self.bench.disk_goes_on()
            self.time_goes_by(0.1)  # what has arrived is heard
            entered = self.entered()
            self.bench.run_until(lambda: self.closed() == entered.keys(), 200)
            ended = self.closed()
            self.an_outcome_stays_what_it_is()
            for request_id in self.sent - ended:
                with pytest.raises(Refusal, match="no dose has this id"):
                    self.bench.ask("dose.lookup", request_id=request_id)
            low = sum(one["confirmed_steps"] for one in self.ends.values())
            high = sum(one["maximum_steps"] for one in self.ends.values())
            assert low <= self.bench.truth_steps <= high
        finally:
            for call in self.calls:
                call.socket.close()
            self.server.close()
            self.bench.ledger.close()
            self.bench.close()
            shutil.rmtree(self.place)


def told(answer: m.Answer) -> doors.Answer:
    """Give an answer of the engine's to the server, as `pumpd` does."""
    match answer:
        case m.Done(result):
            return doors.Done(result)
        case m.Refused(reasons):
            return doors.Refused([asdict(one) for one in reasons])
        case m.Unknown(text):
            return doors.Unknown(text)


AtMostOnce.TestCase.settings = settings(
    max_examples=150 if settings().max_examples > 100 else 10,
    stateful_step_count=40,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)


@pytest.mark.timeout(2400)
class TestSr37F44F50F51NoIdDosesTwice(AtMostOnce.TestCase):
    """The machine, as a test that pytest finds."""
