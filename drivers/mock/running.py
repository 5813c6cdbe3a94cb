"""A ``bench-sim`` of one's own, started and asked from a test or a script."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_S = 10.0
_END_S = 5.0


class BenchRefused(Exception):
    """An error from ``bench-sim``; ``data`` has field, value and range where there are some."""

    def __init__(self, code: int, text: str, data: dict[str, Any]) -> None:
        super().__init__(text)
        self.code = code
        self.data = data


class Control:
    """A client of the control socket; ``drivers.mock.server`` lists the methods."""

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")
        self._number = 0

    def call(self, method: str, /, **params: object) -> Any:  # noqa: ANN401  # JSON
        """Return the result. Raises BenchRefused, and OSError where the bench has gone."""
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("bench-sim has gone")
        answer = json.loads(line)
        if "error" in answer:
            error = answer["error"]
            raise BenchRefused(error["code"], error["message"], error.get("data", {}))
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.close()


class BenchProcess:
    """A ``bench-sim`` with its sockets ``pins`` and ``control`` in ``folder``; READY when built.

    ``words`` are added to its command line. ``control`` is connected. Raises RuntimeError,
    with what it said, where it does not become ready.
    """

    def __init__(self, folder: Path, words: Sequence[str] = ()) -> None:
        self.pins_socket = folder / "pins"
        self.control_socket = folder / "control"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "drivers.mock",
                "--pins-socket",
                str(self.pins_socket),
                "--control-socket",
                str(self.control_socket),
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self.ready = self._first_line()
        if not self.ready.startswith("READY"):
            self.process.kill()
            _, said = self.process.communicate()
            raise RuntimeError(f"bench-sim does not start: {said.decode().strip() or 'no READY'}")
        self.control = Control(self.control_socket)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def status(self) -> dict[str, Any]:
        """Return the truth."""
        status: dict[str, Any] = self.control.call("status")
        return status

    def kill(self) -> None:
        """Kill it as a crash would; its socket files stay."""
        self.process.kill()
        self.process.wait(_END_S)

    def close(self) -> int:
        """End it, whatever state it is in; return its exit status."""
        self.control.close()
        if self.process.poll() is None:
            self.process.terminate()
            os.kill(self.process.pid, signal.SIGCONT)
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.communicate()
        return self.process.returncode

    def _first_line(self) -> str:
        out = self.process.stdout
        if out is None or not select.select([out], [], [], _START_S)[0]:
            return ""
        return out.readline().decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None
    ) -> None:
        self.close()
