"""A pump of cardboard behind the real server, for the tests of server, client and pumpctl."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.server import ALL_ROLES, Answer, Done, Failed, Refused, Server
from appliance.client.messages import NO_SUCH_DOSE, PUMP_METHODS
from appliance.client.pump import PumpClient, new_request_id

NOW_UTC_NS = 1_790_000_000 * 10**9
HELLO = {"pump": "Bench 1", "version": "0.1.0", "speed": 1, "bench": True, "utc_ns": NOW_UTC_NS}


def snapshot(**changed: Any) -> dict[str, Any]:
    return {
        "state": "running",
        "basal_uu_per_h": 850_000,
        "reservoir_uu": 212_400_000,
        "delivering": True,
        "alarms": [],
        "pids": {"pumpd": 11, "pump-stepper": 12, "pump-guard": 13},
        "why": [],
        "bolus": None,
        "clock": {"utc_ns": NOW_UTC_NS, "offset_s": 0, "quality": "synchronised"},
        "speed": 1,
        "bench": True,
        "limits": {"max_bolus_uu": 10_000_000, "min_interval_s": 60},
        "left_60_min_uu": 12_500_000,
        "left_24_h_uu": 48_000_000,
        "realtime": {"fifo": False, "memory_locked": False},
        "weaker": ["realtime = wanted"],
        "ledger": {"seq": 42, "head": "ab" * 32},
        "self_test": [],
        "from_a_newer_pump": {"left": "alone"},
    } | changed


class ScriptedPump:
    """A handler that answers at once from a table of doses; a test bends it as it needs.

    ``script`` maps a method to what answers it: an Answer, None (never), or a function of what was
    asked.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.urgents: list[str] = []
        self.left: list[int] = []
        self.died: list[BaseException] = []
        self.script: dict[str, Any] = {}
        self.doses: dict[str, dict[str, Any]] = {}
        self.moved = 0  # how many doses really began
        self.finish_at_once = True
        self.changed = threading.Condition()

    def request(
        self, connection: int, uid: int, method: str, params: Any, answer: Callable[[Answer], None]
    ) -> None:
        asked = params.model_dump()
        if method in self.script:
            given = self.script[method]
            given = given(asked) if callable(given) else given
        else:
            on = getattr(self, "on_" + method.replace(".", "_"), None)
            given = Refused([{"code": "unscripted", "text": method}]) if on is None else on(asked)
        with self.changed:
            self.seen.append((method, asked))
            self.changed.notify_all()
        if given is not None:
            answer(given)

    def urgent(self, connection: int, uid: int, method: str, params: Any) -> None:
        self.urgents.append(method)

    def gone(self, connection: int) -> None:
        with self.changed:
            self.left.append(connection)
            self.changed.notify_all()

    def dies(self, error: BaseException) -> None:
        with self.changed:
            self.died.append(error)
            self.changed.notify_all()

    def until(self, true: Callable[[], object], limit_s: float = 10.0) -> None:
        """Wait for what another thread does; no test sleeps and hopes."""
        with self.changed:
            assert self.changed.wait_for(true, limit_s), "it did not happen"

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [params for name, params in self.seen if name == method]

    # --- what it answers ----------------------------------------------------------------------

    def on_bolus_review(self, asked: dict[str, Any]) -> Answer:
        return Done(
            {
                "request_id": asked["request_id"],
                "amount_uu": asked["amount_uu"],
                "extended_uu": asked["extended_uu"],
                "extended_s": asked["extended_s"],
                "programmed_steps": asked["amount_uu"] * 3_200 // 5_890_141,
                "duration_s": asked["amount_uu"] * 60 // 1_500_000,
                "reasons": [],
                "token": "a-token",
                "token_s": 30,
                "last_bolus": {"programmed_uu": 1_000_000, "utc_ns": NOW_UTC_NS - 5_400 * 10**9},
                "delivered_60_min_uu": 850_000,
                "left_60_min_uu": 12_500_000,
                "left_24_h_uu": 48_000_000,
                "left_single_uu": 10_000_000,
            }
        )

    def on_bolus_deliver(self, asked: dict[str, Any]) -> Answer:
        known = self.doses.get(asked["request_id"])
        if known is None:
            self.moved += 1
            now_uu = asked["amount_uu"] - asked["extended_uu"]
            steps = now_uu * 3_200 // 5_890_141
            known = self.doses[asked["request_id"]] = {
                "id": asked["request_id"],
                "kind": "bolus",
                "programmed_uu": now_uu,
                "whole_uu": asked["amount_uu"],
                "extended_uu": asked["extended_uu"],
                "programmed_steps": steps,
                "issued_steps": 0,
                "confirmed_steps": 0,
                "maximum_steps": steps,
                "certainty": "open",
                "outcome": "open",
                "why": None,
            }
            if self.finish_at_once:
                self.end(asked["request_id"], steps)
        return Done(self.doses[asked["request_id"]])

    def end(
        self,
        request_id: str,
        steps: int,
        outcome: str = "done",
        why: str | None = None,
        **more: Any,
    ) -> None:
        self.doses[request_id] = self.doses[request_id] | {
            "issued_steps": steps,
            "confirmed_steps": steps,
            "maximum_steps": steps,
            "certainty": "exact",
            "outcome": outcome,
            "why": why,
            **more,
        }

    def on_dose_lookup(self, asked: dict[str, Any]) -> Answer:
        known = self.doses.get(asked["request_id"])
        if known is None:
            return Refused([{"code": NO_SUCH_DOSE, "text": "no dose with this id"}])
        return Done(known)

    def on_stop(self, asked: dict[str, Any]) -> Answer:
        running = [key for key, dose in self.doses.items() if dose["outcome"] == "open"]
        for request_id in running:
            self.end(request_id, 217, "stopped", "stopped by a person")
        return Done({"stopped": [self.doses[request_id] for request_id in running]})

    def on_suspend(self, asked: dict[str, Any]) -> Answer:
        return self.on_stop(asked)

    def on_resume(self, asked: dict[str, Any]) -> Answer:
        return Done({"state": "running"})

    def on_basal_show(self, asked: dict[str, Any]) -> Answer:
        segments = [
            {"start_min_of_day": 0, "rate_uu_per_h": 700_000},
            {"start_min_of_day": 390, "rate_uu_per_h": 850_000},
        ]
        return Done({"active": "Day", "profiles": {"Day": segments}, "rate_uu_per_h": 850_000})

    def on_basal_import(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    def on_basal_use(self, asked: dict[str, Any]) -> Answer:
        if asked["name"] != "Day":
            return Failed("E104", f"no profile {asked['name']}")
        return Done({})

    def on_basal_copy(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    on_basal_rename = on_basal_delete = on_basal_copy

    def on_temp_start(self, asked: dict[str, Any]) -> Answer:
        percent = asked.get("kind") != "rate"
        temp = {
            "kind": "percent" if percent else "rate",
            "value": asked.get("value", 50),
            "duration_s": asked.get("duration_s", 3_600),
            "left_s": asked.get("duration_s", 3_600),
            "rate_uu_per_h": 1_275_000 if percent else asked["value"],
            "capped": False,
        }
        return Done({"temp": temp, "notices": []})

    on_temp_use = on_temp_start

    def on_temp_presets(self, asked: dict[str, Any]) -> Answer:
        sport = {"kind": "percent", "value": 50, "duration_s": 3_600}
        return Done({"presets": {"Sport": sport}})

    def on_temp_cancel(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    on_temp_save = on_temp_delete = on_quick_set = on_insulin_set = on_temp_cancel

    def on_quick_show(self, asked: dict[str, Any]) -> Answer:
        return Done({"step_uu": 500_000})

    def on_insulin_show(self, asked: dict[str, Any]) -> Answer:
        times = {"duration_min": 360, "peak_min": 75, "delay_min": 0, "end_min": 360}
        return Done({"model": "rapid", "set": False, **times})

    def on_limits_show(self, asked: dict[str, Any]) -> Answer:
        five = {
            "max_bolus_uu": 10_000_000,
            "hourly_uu": 15_000_000,
            "daily_uu": 60_000_000,
            "max_basal_uu_per_h": 5_000_000,
            "min_interval_s": 60,
        }
        ceilings = {"max_bolus_uu": 25_000_000, "hourly_uu": 60_000_000, "daily_uu": 300_000_000}
        return Done({"limits": five, "ceilings": ceilings | {"max_basal_uu_per_h": 35_000_000}})

    def on_limits_set(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    def on_cartridge_load(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    def on_alarms(self, asked: dict[str, Any]) -> Answer:
        return Done({"alarms": []})

    def on_alarms_acknowledge(self, asked: dict[str, Any]) -> Answer:
        return Done({})

    def on_heartbeat(self, asked: dict[str, Any]) -> Answer:
        return Done({})


def serve(pump: ScriptedPump, path: Path, **options: Any) -> Server:
    options = {
        "methods": PUMP_METHODS,
        "roles": lambda uid: frozenset(role.value for role in ALL_ROLES),
        "now_ns": time.monotonic_ns,
        "hello": lambda: HELLO,
        "died": pump.dies,
    } | options
    server = Server(path, handler=pump, **options)
    server.publish(snapshot())
    server.start()
    return server


def folder() -> Path:
    """A short folder: pytest's own may be too long for a socket."""
    return Path(tempfile.mkdtemp(prefix="bp-"))


@pytest.fixture
def path() -> Iterator[Path]:
    place = folder()
    yield place / "pumpd.sock"
    for left in place.iterdir():
        left.unlink()
    place.rmdir()


@pytest.fixture
def pump() -> Iterator[ScriptedPump]:
    scripted = ScriptedPump()
    yield scripted
    assert scripted.died == []


@pytest.fixture
def server(pump: ScriptedPump, path: Path) -> Iterator[Server]:
    serving = serve(pump, path)
    yield serving
    serving.close()


def test_a_bolus_goes_through_server_and_client(
    pump: ScriptedPump, server: Server, path: Path
) -> None:
    with PumpClient(path) as client:
        request_id = new_request_id()
        review = client.review(request_id, 2_500_000)
        assert (review.programmed_steps, review.reasons, review.token) == (1358, [], "a-token")
        dose = client.deliver(request_id, 2_500_000, "a-token")
    assert dose.complete
    assert pump.moved == 1
    pump.until(lambda: pump.left == [1])


def test_the_socket_is_for_its_user_and_group_alone(server: Server, path: Path) -> None:
    assert oct(os.stat(path).st_mode & 0o777) == "0o660"
    server.close()
    assert not path.exists()
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(path))
