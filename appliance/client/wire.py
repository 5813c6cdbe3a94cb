"""The wire: one JSON-RPC 2.0 message a line, read strictly and within bounds (SR-63).

Server and client share this file, so that neither can take what the other would refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.errors import ProtocolFault

PROTOCOL = 1
"""The version of the messages. A client and a pump of two versions do not dose (F52)."""

REQUEST_BYTES = 4_096
"""The longest request, without its newline."""
REPLY_BYTES = 262_144
"""The longest reply or snapshot, with its newline; what is longer is paged."""
REQUEST_DEPTH = 8
REPLY_DEPTH = 16
CLIENTS = 8
REQUESTS_PER_S = 20
LINE_S = 5.0
"""How long a line may take from its first byte to its newline, and a connection to its hello."""
UNANSWERED = 8
"""The most requests of one connection that may wait for their answers."""
PUSHES_PER_S = 20
"""The most snapshots pushed to one client; newer ones take the place of older ones."""

PATH_BYTES = 100
"""The longest path of a socket. The kernel ends at 107, and a temporary name needs room."""


class Code(StrEnum):
    """What can go wrong on the wire, as ``data.error`` says it. Never changed, never used again."""

    UNREADABLE = "E501"
    LOST = "E502"
    UNKNOWN_METHOD = "E510"
    BAD_PARAMETERS = "E511"
    NOT_ALLOWED = "E512"
    WRONG_VERSION = "E513"
    HELLO_FIRST = "E514"
    TOO_MANY_REQUESTS = "E515"
    TOO_MANY_CLIENTS = "E516"
    TOO_LONG = "E517"
    TOO_SLOW = "E518"
    REFUSED = "E520"
    OUTCOME_UNKNOWN = "E521"
    FAILED = "E522"


RPC_CODES: Mapping[Code, int] = {
    Code.UNREADABLE: -32600,
    Code.UNKNOWN_METHOD: -32601,
    Code.BAD_PARAMETERS: -32602,
    Code.FAILED: -32603,
    Code.REFUSED: -32000,
    Code.OUTCOME_UNKNOWN: -32001,
    Code.NOT_ALLOWED: -32002,
    Code.WRONG_VERSION: -32003,
    Code.HELLO_FIRST: -32004,
    Code.TOO_MANY_REQUESTS: -32005,
    Code.TOO_MANY_CLIENTS: -32006,
    Code.TOO_LONG: -32007,
    Code.TOO_SLOW: -32008,
}
"""JSON-RPC's own number for each code; a client goes by ``data.error``."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_ID_CHARS = 64
_METHOD = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)?")
_SHOWN = 60


def shown(raw: object) -> str:
    """Write a value from outside so that it can be shown: one line, plain ASCII, not long."""
    text = ascii(raw)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def read_json(
    raw: bytes, depth: int, *, parse_float: Callable[[str], object] | None = None
) -> object:
    """Read one JSON text, at most ``depth`` brackets deep. Raises ProtocolFault.

    Python's own reader keeps the last of two equal keys and takes NaN and Infinity; both are
    refused. A number such as 1e999 becomes a float, which no model of a request takes; with
    ``parse_float`` it becomes what that makes of its text.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolFault(f"byte {error.start} is not UTF-8") from None
    _refuse_depth(text, depth)
    try:
        return json.loads(
            text,
            object_pairs_hook=_each_key_once,
            parse_constant=_no_constant,
            parse_float=parse_float,
        )
    except ProtocolFault:
        raise
    except ValueError as error:
        raise ProtocolFault(f"not JSON: {error}") from None


def _refuse_depth(text: str, depth: int) -> None:
    if text.count("[") + text.count("{") <= depth:
        return
    level = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "[" | "{":
                level += 1
                if level > depth:
                    raise ProtocolFault(f"more than {depth} brackets inside each other")
            case "]" | "}":
                level -= 1


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ProtocolFault(f"the key {shown(twice)} stands there twice")
    return table


def _no_constant(name: str) -> object:
    raise ProtocolFault(f"{name} is not a number")


class BadRequest(ProtocolFault):
    """A line that is no request; ``request_id`` is its id where that much could be read."""

    def __init__(self, text: str, request_id: int | str | None = None) -> None:
        super().__init__(text)
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Request:
    """One call: its id comes back with the answer."""

    id: int | str
    method: str
    params: Mapping[str, Any]


def read_request(line: bytes) -> Request:
    """Read one line as a request. Raises BadRequest, which says what is wrong with it."""
    try:
        body = read_json(line, REQUEST_DEPTH)
    except ProtocolFault as fault:
        raise BadRequest(str(fault)) from None
    if not isinstance(body, dict):
        raise BadRequest("a request is one object; there are no batches")
    request_id = body.get("id")
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        raise BadRequest("id must be a whole number or a text: every request is answered")
    if (
        not -(2**53) < request_id < 2**53
        if isinstance(request_id, int)
        else len(request_id) > _ID_CHARS
    ):
        raise BadRequest(f"id must be below 2^53, or at most {_ID_CHARS} characters")
    unknown = sorted(body.keys() - {"jsonrpc", "id", "method", "params"})
    if unknown:
        raise BadRequest(f"{shown(unknown[0])} is not a key of a request", request_id)
    if body.get("jsonrpc") != "2.0":
        raise BadRequest('jsonrpc must be "2.0"', request_id)
    method, params = body.get("method"), body.get("params", {})
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise BadRequest(f"method = {shown(method)} is not a name such as bolus.review", request_id)
    if not isinstance(params, dict):
        raise BadRequest("params must be an object: positions carry no names", request_id)
    return Request(request_id, method, params)


def line_of(message: Mapping[str, Any]) -> bytes:
    """Write one message as a line of plain ASCII. Raises ValueError for NaN and the infinities."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def request_line(request_id: int | str, method: str, params: Mapping[str, Any]) -> bytes:
    """Write a request. Raises ProtocolFault where it is longer than a request may be."""
    line = line_of({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    if len(line) > REQUEST_BYTES + 1:
        raise ProtocolFault(
            f"{method} would be {len(line) - 1} bytes, and a request has at most {REQUEST_BYTES}"
        )
    return line


def result_line(request_id: int | str, result: Mapping[str, Any]) -> bytes:
    """Write the answer to a request that was done."""
    return line_of({"jsonrpc": "2.0", "id": request_id, "result": result})


def error_line(
    request_id: int | str | None, code: Code, text: str, data: Mapping[str, Any] | None = None
) -> bytes:
    """Write the answer to a request that was not done; ``data.error`` is the project's code."""
    error = {
        "code": RPC_CODES[code],
        "message": text,
        "data": {"error": code.value, **(data or {})},
    }
    return line_of({"jsonrpc": "2.0", "id": request_id, "error": error})


def notification_line(method: str, params: Mapping[str, Any]) -> bytes:
    """Write what is pushed without being asked for."""
    return line_of({"jsonrpc": "2.0", "method": method, "params": params})
