"""A whole pump on the virtual bench behind the real server: what pumpctl says to it is the truth.

Requests are answered on the server's thread, each in as much virtual time as it takes; nothing else
turns the clock but ``run``.
"""

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.server import ALL_ROLES, Answer, Done, Refused, Server
from appliance.cli.__main__ import pumpctl
from appliance.client.messages import PUMP_METHODS
from appliance.engine import messages as m
from appliance.simulate.bench import VirtualBench

HELLO = {"pump": "Virtual bench", "version": "virtual", "speed": 1, "bench": True, "utc_ns": 0}


class BenchPump:
    """A handler of the server over a virtual bench."""

    def __init__(self, bench: VirtualBench) -> None:
        self.bench = bench
        self.lock = threading.RLock()
        self.server: Server | None = None
        self.died: list[BaseException] = []
        self.folder = Path()

    # --- the server's side

    def request(
        self, connection: int, uid: int, method: str, params: Any, answer: Callable[[Answer], None]
    ) -> None:
        with self.lock:
            bench = self.bench
            bench._connection = connection
            token = bench.send(method, **params.model_dump())
            bench.run_until(lambda: token in bench._answers, 30)
            told = bench._answers.pop(token)
            self.publish()
        if isinstance(told, m.Done):
            answer(Done(dict(told.result)))
        else:
            assert isinstance(told, m.Refused)
            answer(Refused([_plain(one) for one in told.reasons]))

    def urgent(self, connection: int, uid: int, method: str, params: Any) -> None:
        pass

    def gone(self, connection: int) -> None:
        pass

    def publish(self) -> None:
        """Show every client how it is now."""
        assert self.server is not None
        self.server.publish(dict(self.bench.snapshot()))

    # --- the test's side

    def run(self, seconds: float) -> None:
        """Let virtual time go by."""
        with self.lock:
            self.bench.run(seconds)
            self.publish()

    def head(self) -> tuple[int, Any]:
        """Return the ledger's last row and every setting: what a refusal has to leave alone."""
        with self.lock:
            assert self.bench.pump is not None
            book = self.bench.pump.book
            return book.seq, dict(book.settings)

    def pumpctl(self, *words: str, stdin: str | None = None, **environment: str) -> Result:
        """Run pumpctl with these words."""
        given = ["--dir", str(self.folder), *words]
        result = CliRunner().invoke(pumpctl, given, input=stdin, env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


def _plain(one: Any) -> dict[str, str]:
    names = ("code", "text", "field", "value", "range")
    return {name: getattr(one, name) for name in names}


class Wire:
    """A connection to the pump by hand."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self.ask("hello", {"protocol": 1, "client": "by hand"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        while True:
            said: dict[str, Any] = json.loads(self._lines.readline())
            if "id" in said:
                return said

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


@contextmanager
def bench_pump(**of_bench: Any) -> Iterator[BenchPump]:
    """Serve a virtual bench at ``folder``, as a demo's folder is laid out."""
    pump = BenchPump(VirtualBench(**of_bench))
    with tempfile.TemporaryDirectory(prefix="bp-", dir="/tmp") as place:
        pump.folder = Path(place)
        (pump.folder / "run").mkdir()
        pump.server = Server(
            pump.folder / "run/pumpd.sock",
            PUMP_METHODS,
            roles=lambda _uid: frozenset(role.value for role in ALL_ROLES),
            handler=pump,
            now_ns=real_monotonic_ns,
            hello=lambda: HELLO,
            died=pump.died.append,
            requests_per_s=1_000,
        )
        pump.server.start()
        pump.publish()
        try:
            yield pump
        finally:
            pump.server.close()
            pump.bench.close()
            assert pump.died == []
