"""Fuzz of a live server: it answers or closes, it never dies, and the pump is never told (F45)."""

import contextlib
import importlib.util
import json
import socket
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.client.messages import PUMP_METHODS

_SPEC = importlib.util.spec_from_file_location(
    "scripted_pump", Path(__file__).parents[1] / "contract" / "test_server_scripted.py"
)
scripted = sys.modules.setdefault("scripted_pump", importlib.util.module_from_spec(_SPEC))
if not hasattr(scripted, "serve"):
    _SPEC.loader.exec_module(scripted)

HELLO = b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1,"client":"fuzz"}}\n'
SNIPPETS = [
    *(method.name for method in PUMP_METHODS),
    *("jsonrpc", "2.0", "id", "method", "params", "hello", "protocol", "amount_uu", "request_id"),
    *("{", "}", "[", "]", '"', ":", ",", "\\", "\n", "\r\n", "null", "true", "NaN", "1e999", "-0"),
]
PIECES = st.one_of(
    st.sampled_from([text.encode() for text in SNIPPETS]),
    st.binary(max_size=8),
    st.sampled_from([method.name for method in PUMP_METHODS]).map(
        lambda name: json.dumps({"jsonrpc": "2.0", "id": 1, "method": name}).encode() + b"\n"
    ),
)
CHANGING = {method.name: method.params for method in PUMP_METHODS if method.changes}


def talk(path: Path, raw: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as answers:
        client.settimeout(10)
        client.connect(str(path))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(HELLO + raw)
            client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return [json.loads(line) for line in answers]
    return []


@given(st.lists(st.lists(PIECES, max_size=40).map(b"".join), min_size=1, max_size=4))
def test_f45_no_bytes_upset_the_server(conversations: list[bytes]) -> None:
    place = scripted.folder()
    pump = scripted.ScriptedPump()
    server = scripted.serve(pump, place / "p.sock")
    try:
        for raw in conversations:
            for answer in talk(place / "p.sock", raw):
                assert answer["jsonrpc"] == "2.0"
                assert "result" in answer or answer["error"]["data"]["error"].startswith("E5")
        final = talk(place / "p.sock", b'{"jsonrpc":"2.0","id":7,"method":"status"}\n')
        assert [answer["id"] for answer in final] == [0, 7]
    finally:
        server.close()
        for left in place.iterdir():
            left.unlink()
        place.rmdir()
    assert pump.died == []
    # Only verbs that need no parameters can come out of this by chance, and without any.
    for name, asked in pump.seen:
        assert name not in CHANGING or asked == CHANGING[name]().model_dump()
