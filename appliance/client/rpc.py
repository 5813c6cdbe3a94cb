"""Calls over a Unix socket, one at a time and without a thread: under every client here."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from pydantic import BaseModel

from appliance import __version__
from appliance.client import wire
from appliance.client.errors import (
    Busy,
    NoPump,
    NotAllowed,
    OutcomeUnknown,
    PumpFailed,
    Refused,
    WrongVersion,
)
from appliance.client.messages import Hello, HelloParams, Method, Reason, Role
from appliance.errors import ProtocolFault

_READ_BYTES = 65_536
_KERNEL_PATH_BYTES = 107
_MARGIN_S = 2.0  # the server answers by itself at its limit; what is later is lost
HELLO = Method("hello", HelloParams, Role.OBSERVE)


class RpcClient:
    """One connection to one program's socket; a context manager. Not for two threads at once.

    Nothing here asks for the time. A wait ends when the socket has been silent for the method's
    time; pushed snapshots do not prolong it for ever, because the server bounds how many it sends.
    """

    def __init__(
        self,
        path: Path | str,
        methods: Sequence[Method],
        *,
        client: str = f"benchpump-client {__version__}",
        connect_s: float = 5.0,
        greets: bool = True,
    ) -> None:
        self.path = Path(path)
        self.hello: Hello | None = None
        self._methods = {method.name: method for method in methods}
        self._client = client
        self._connect_s = connect_s
        self._greets = greets
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._last_id = 0
        self._pushed: deque[dict[str, Any]] = deque(maxlen=1)  # the newest wins

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Connect and say hello. Does nothing where that is done.

        Raises NoPump, WrongVersion, Refused (too many clients) or NotAllowed (no role at all).
        """
        if self._socket is not None:
            return
        self._socket = self._connected()
        if not self._greets:
            return
        try:
            params = HelloParams(protocol=wire.PROTOCOL, client=self._client)
            about = self._call(HELLO, params.model_dump())
            self.hello = Hello.of(about if isinstance(about, dict) else {})
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave. Safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()
        self._pushed.clear()
        self.hello = None

    def call(self, method: str, params: BaseModel) -> dict[str, Any]:
        """Ask and return the result as it came.

        Raises Refused, NotAllowed, PumpFailed, ProtocolFault; NoPump where a question,
        OutcomeUnknown where a command stayed without an answer.
        """
        result = self.ask(method, params)
        if not isinstance(result, dict):
            raise ProtocolFault(f"an answer that is no object: {wire.shown(result)}")
        return result

    def ask(self, method: str, params: BaseModel) -> object:
        """Ask like ``call``, where the result need not be an object."""
        self.open()
        return self._call(self._methods[method], params.model_dump(exclude_unset=True))

    def next_push(self, limit_s: float) -> dict[str, Any] | None:
        """Return the newest snapshot, or None after ``limit_s`` of silence. Raises NoPump."""
        while not self._pushed:
            message = self._receive(limit_s)
            if message is None:
                return None
            if "method" in message:
                self._take(message, -1)
            # Anything else answers a question that was given up.
        return self._pushed.popleft()

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait on. -1 while closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def _connected(self) -> socket.socket:
        if len(os.fsencode(self.path)) > _KERNEL_PATH_BYTES:
            raise NoPump(self.path, f"a socket's path ends at {_KERNEL_PATH_BYTES} bytes")
        wanted = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # A full backlog makes a Unix connect wait for as long as it may send.
            limit = struct.pack("ll", int(self._connect_s), int(self._connect_s % 1 * 1e6))
            wanted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            wanted.connect(str(self.path))
        except OSError as error:
            wanted.close()
            raise NoPump(self.path, _why(error)) from None
        except BaseException:
            wanted.close()
            raise
        return wanted

    def _call(self, method: Method, params: Mapping[str, Any]) -> object:
        self._last_id += 1
        line = wire.request_line(self._last_id, method.name, params)
        limit_s = method.answer_s + _MARGIN_S
        try:
            self._send(line, limit_s)
            return self._answer(self._last_id, limit_s)
        except NoPump as lost:
            if not method.changes:
                raise
            text = f"no answer to {method.name}, so its outcome is unknown ({lost.why})"
            raise OutcomeUnknown(text) from lost
        except ProtocolFault as fault:
            self.close()
            if not method.changes:
                raise
            raise OutcomeUnknown(f"{method.name}: {fault}") from fault

    def _send(self, line: bytes, limit_s: float) -> None:
        wire_socket = self._socket
        if wire_socket is None:
            raise NoPump(self.path, "the connection is closed")
        wire_socket.settimeout(limit_s)
        try:
            wire_socket.sendall(line)
        except TimeoutError:
            self._lost("it does not read")
        except OSError as error:
            # It may have said why before it left.
            while (message := self._receive(0.0)) is not None:
                self._take(message, -1)
            self._lost(_why(error))

    def _answer(self, request_id: int, limit_s: float) -> object:
        pushes_left = int(limit_s * wire.PUSHES_PER_S)
        while True:
            message = self._receive(limit_s)
            if message is None or pushes_left <= 0:
                self._lost(f"no answer within {limit_s:.0f} s")
            if "method" in message:
                pushes_left -= 1
            answer = self._take(message, request_id)
            if answer is not None:
                return answer

    def _take(self, message: dict[str, Any], request_id: int) -> object:
        """Keep what was pushed, return the awaited result, raise an error; leave a late answer."""
        if "method" in message:
            params = message.get("params")
            if message["method"] == "snapshot" and isinstance(params, dict):
                self._pushed.append(params)
            return None
        answered = message.get("id")
        if answered is not None and answered != request_id:
            return None  # to a question that was given up
        if isinstance(error := message.get("error"), dict):
            _raise(error)
        if message.get("result") is None:
            raise ProtocolFault(f"an answer without a result: {wire.shown(message)}")
        return message["result"]

    def _receive(self, limit_s: float | None) -> dict[str, Any] | None:
        """Return the next message, None after ``limit_s`` of silence. Raises NoPump at the end."""
        if self._socket is None:
            raise NoPump(self.path, "the connection is closed")
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > wire.REPLY_BYTES:
                self.close()
                raise ProtocolFault(f"an answer of more than {wire.REPLY_BYTES} bytes")
            try:
                self._socket.settimeout(limit_s)
                more = self._socket.recv(_READ_BYTES)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                self._lost(_why(error))
            if not more:
                self._lost("it closed the connection")
            self._buffer += more
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message = wire.read_json(line, wire.REPLY_DEPTH)
        if not isinstance(message, dict):
            raise ProtocolFault(f"not an answer: {wire.shown(message)}")
        return message

    def _lost(self, why: str) -> NoReturn:
        self.close()
        raise NoPump(self.path, why)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "there is no socket"
        case ConnectionRefusedError():
            return "there is a socket, and no program behind it"
        case PermissionError():
            return f"user {os.geteuid()} may not open it (the group of its folder may)"
        case BlockingIOError():
            return "it does not take new connections"
        case _:
            return (error.strerror or str(error)).lower()


def _reason(raw: dict[str, Any]) -> Reason:
    told: dict[str, Any] = {"code": "", "text": ""}
    told |= {key: str(raw[key]) for key in Reason.model_fields if key in raw}
    return Reason.of(told)


def _raise(error: dict[str, Any]) -> NoReturn:
    text, data = str(error.get("message", "")), error.get("data")
    data = data if isinstance(data, dict) else {}
    code = str(data.get("error", error.get("code", "")))
    listed = data.get("reasons")
    if not isinstance(listed, list) or not listed:
        listed = [{**data, "code": code, "text": text}]
    reasons = [_reason(raw) for raw in listed if isinstance(raw, dict)]
    match code:
        case wire.Code.OUTCOME_UNKNOWN:
            raise OutcomeUnknown(text)
        case wire.Code.WRONG_VERSION:
            raise WrongVersion(text)
        case wire.Code.NOT_ALLOWED:
            raise NotAllowed(reasons)
        case wire.Code.TOO_MANY_CLIENTS | wire.Code.TOO_MANY_REQUESTS | wire.Code.TOO_SLOW:
            raise Busy(reasons)
        case wire.Code.FAILED:
            raise PumpFailed(text, str(data.get("fault", "")))
        case _:
            raise Refused(reasons)
