"""The text of a ledger row, and the hash that ties it to the row before (SR-41).

A row is kept as one JSON text with one spelling: sorted keys, no spaces, ASCII, whole numbers only.
That text is what is hashed, so whoever checks a ledger need not build it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, Protocol

APPLICATION_ID = 0x42504C47
"""What stands in the header of every ledger: "BPLG"."""

GENESIS = bytes(32)
"""What row 1 follows."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1  # beyond it SQLite and many readers turn to floats
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,63}")
_KIND = re.compile(r"[a-z][a-z_]{0,39}")
_DEPTH = 8
_FIELDS = frozenset({"body", "boot", "clock", "kind", "mono_ns", "offset_s", "seq", "utc_ns"})


class Stamped(Protocol):
    """What a row is made of: ``ports.Entry``, which this room cannot name."""

    @property
    def kind(self) -> str: ...
    @property
    def boot_id(self) -> str: ...
    @property
    def mono_ns(self) -> int: ...
    @property
    def utc_ns(self) -> int: ...
    @property
    def offset_s(self) -> int: ...
    @property
    def clock(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


def row_text(seq: int, entry: Stamped) -> str:
    """Return the one text of a row. Raises ValueError where ``entry`` holds what a row cannot.

    ``body`` may hold text, 64-bit integers, booleans, None, and lists and maps of these.
    """
    mono_ns, utc_ns, offset_s = entry.mono_ns, entry.utc_ns, entry.offset_s
    for number in (mono_ns, utc_ns, offset_s):
        if type(number) is not int or not _INT_MIN <= number <= _INT_MAX:
            raise ValueError(f"the stamp {number!r} is not a whole number of 64 bits")
    request_id = entry.body.get("request_id")
    if request_id is not None or entry.kind == "intent":
        _labelled(request_id)
    try:
        body = _map(entry.body, "body", _DEPTH)
    except TypeError as error:
        raise ValueError(f"a key in the body is not text: {error}") from None
    # Written by hand, in one pass that also checks: json.dumps takes three times as long.
    return (
        f'{{"body":{body},{_origin(entry.boot_id, entry.clock, entry.kind)},"mono_ns":{mono_ns}'
        f',"offset_s":{offset_s},"seq":{seq},"utc_ns":{utc_ns}}}'
    )


def chained(digest: bytes, text: str | bytes) -> bytes:
    """Return the digest of a row from the digest of the row before and the row's text."""
    raw = text.encode("ascii") if isinstance(text, str) else text
    return hashlib.sha256(digest + raw).digest()


def read_text(text: str | bytes) -> dict[str, Any]:
    """Return the fields of a row's text. Raises ValueError where it is not one."""
    row = json.loads(text)
    if not isinstance(row, dict) or row.keys() != _FIELDS or not isinstance(row["body"], dict):
        raise ValueError("the text is not that of a row")
    return row


@lru_cache(maxsize=256)
def _origin(boot_id: str, clock: str, kind: str) -> str:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of row: lower-case letters and underscores")
    plain = str.__str__(kind)  # of an enum the value
    return f'"boot":"{_labelled(boot_id)}","clock":"{_labelled(clock)}","kind":"{plain}"'


def _labelled(text: object) -> str:
    if not isinstance(text, str) or not _LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is no id or name for a row: 1 to 64 plain characters")
    return str.__str__(text)


def _map(table: Mapping[str, object], where: str, depth: int) -> str:
    parts = []
    for key in sorted(table):
        item = table[key]
        kind = type(item)
        if kind is int and _INT_MIN <= item <= _INT_MAX:  # type: ignore[operator]
            parts.append(f"{_quoted(key)}:{item}")
        elif kind is str:
            parts.append(f"{_quoted(key)}:{_quoted(item)}")  # type: ignore[arg-type]
        else:
            parts.append(f"{_quoted(key)}:{_json(item, f'{where}.{key}', depth)}")
    return f"{{{','.join(parts)}}}"


def _json(item: object, where: str, depth: int) -> str:
    if depth == 0:
        raise ValueError(f"{where} is more than {_DEPTH} levels deep")
    match item:
        case str():  # an enum's value too
            return _quoted(item)
        case None:
            return "null"
        case bool():
            return "true" if item else "false"
        case int():
            if not _INT_MIN <= item <= _INT_MAX:
                raise ValueError(f"{where} = {item} is more than 64 bits hold")
            return str(int(item))
        case Mapping():
            return _map(item, where, depth - 1)
        case list() | tuple():
            parts = [_json(part, f"{where}[{at}]", depth - 1) for at, part in enumerate(item)]
            return f"[{','.join(parts)}]"
    raise ValueError(
        f"{where} = {item!r}: a row holds text, whole numbers, true, false, null, lists and maps"
    )
