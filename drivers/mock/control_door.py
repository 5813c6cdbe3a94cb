"""The control socket of ``bench-sim``: JSON-RPC 2.0, a line each; ``server`` has the methods."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

from drivers.mock.faults import BadFault

MOST_CLIENTS = 16
_LINE_BYTES = 64 * 1024
_MOST_BYTES_OUT = 1024 * 1024
_PARSE, _INVALID, _NO_METHOD, _BAD_PARAMS = -32700, -32600, -32601, -32602

Method = Callable[[Mapping[str, Any]], object]


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.descriptor = connection.fileno()
        self.rest = b""
        self.out = b""


class _BadRequest(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class ControlDoor:
    """All clients on the control socket; ``methods`` maps a name to what it does."""

    def __init__(
        self, listening: socket.socket, poll: select.poll, methods: Mapping[str, Method]
    ) -> None:
        self._listening = listening
        self._poll = poll
        self._methods = methods
        self._clients: dict[int, _Client] = {}
        poll.register(listening, select.POLLIN)

    def handle(self, descriptor: int, events: int) -> None:
        """Take in, carry out and answer what has come on one descriptor."""
        client = self._clients.get(descriptor)
        if client is None:
            if descriptor == self._listening.fileno():
                self._accept()
            return
        if events & select.POLLOUT:
            self._send(client)
        if events & ~select.POLLOUT:
            self._read(client)

    def close(self) -> None:
        """Close every connection."""
        for client in list(self._clients.values()):
            self._drop(client)
        self._listening.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:  # it has gone again
            return
        if len(self._clients) >= MOST_CLIENTS:
            connection.close()
            return
        connection.settimeout(0)
        self._clients[connection.fileno()] = _Client(connection)
        self._poll.register(connection, select.POLLIN)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        *lines, client.rest = (client.rest + data).split(b"\n")
        for line in lines:
            if line.strip():
                client.out += self._answer(line)
        if len(client.rest) > _LINE_BYTES or len(client.out) > _MOST_BYTES_OUT:
            self._drop(client)
        else:
            self._send(client)

    def _send(self, client: _Client) -> None:
        try:
            client.out = client.out[client.socket.send(client.out) :] if client.out else b""
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        wanted = select.POLLIN | (select.POLLOUT if client.out else 0)
        self._poll.modify(client.descriptor, wanted)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.descriptor, None) is not None:
            self._poll.unregister(client.descriptor)
            client.socket.close()

    # -------------------------------------------------------------- JSON-RPC

    def _answer(self, line: bytes) -> bytes:
        number: Any = None
        try:
            request = _parsed(line)
            number = request.get("id")
            answer: dict[str, object] = {"result": self._carried_out(request)}
        except _BadRequest as refusal:
            answer = {"error": {"code": refusal.code, "message": str(refusal)}}
        except BadFault as refusal:
            answer = {
                "error": {
                    "code": _BAD_PARAMS,
                    "message": str(refusal),
                    "data": {
                        "field": refusal.field,
                        "value": refusal.given,
                        "range": refusal.valid,
                    },
                }
            }
        return json.dumps({"jsonrpc": "2.0", "id": number} | answer).encode() + b"\n"

    def _carried_out(self, request: Mapping[str, Any]) -> object:
        if request.get("jsonrpc") != "2.0":
            raise _BadRequest(_INVALID, 'jsonrpc is not "2.0"')
        method = request.get("method")
        if not isinstance(method, str) or method not in self._methods:
            known = ", ".join(self._methods)
            raise _BadRequest(_NO_METHOD, f"method {method!r} is not one of {known}")
        given = request.get("params", {})
        if not isinstance(given, dict):
            raise _BadRequest(_BAD_PARAMS, "params must be an object")
        return self._methods[method](given)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _BadRequest(_PARSE, f"not JSON: {error}") from error
    if not isinstance(request, dict):
        raise _BadRequest(_INVALID, "a request is an object")
    return request


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number here")
