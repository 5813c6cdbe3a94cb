"""A row has one text, and the text gives the row back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.domain.history import GENESIS, chained, read_text, row_text
from appliance.ports import Entry

BITS_64 = st.integers(-(2**63), 2**63 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | BITS_64 | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
BODIES = st.dictionaries(
    st.text(max_size=8).filter(lambda key: key != "request_id"), PLAIN, max_size=6
)
ENTRY = Entry("note", "b0", 1, 2, 3, "set", {})


def depth(item: Any) -> int:
    match item:
        case Mapping():
            return 1 + max(map(depth, item.values()), default=0)
        case list():
            return 1 + max(map(depth, item), default=0)
    return 0


@given(
    seq=st.integers(1, 2**63 - 1), mono_ns=BITS_64, utc_ns=BITS_64, offset_s=BITS_64, body=BODIES
)
def test_sr_41_the_text_of_a_row_is_its_json_with_sorted_keys_and_no_spaces(
    seq: int, mono_ns: int, utc_ns: int, offset_s: int, body: dict[str, Any]
) -> None:
    entry = Entry("lease", "a-b:c 1", mono_ns, utc_ns, offset_s, "not set", body)
    whole = {
        "body": body,
        "boot": entry.boot_id,
        "clock": entry.clock,
        "kind": entry.kind,
        "mono_ns": mono_ns,
        "offset_s": offset_s,
        "seq": seq,
        "utc_ns": utc_ns,
    }
    if depth(body) > 8:
        return
    text = row_text(seq, entry)
    assert text == json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert text.isascii()
    assert read_text(text) == whole


@given(body=BODIES)
def test_two_spellings_of_one_body_have_one_text(body: dict[str, Any]) -> None:
    backwards = dict(reversed(body.items()))
    if depth(body) <= 8:
        assert row_text(1, replace(ENTRY, body=body)) == row_text(1, replace(ENTRY, body=backwards))


@pytest.mark.parametrize(
    "body",
    [
        {"uu": 0.5},
        {"uu": float("nan")},
        {"uu": [1, {"deep": 2.0}]},
        {"uu": 2**63},
        {"uu": [-(2**63) - 1]},
        {"uu": b"bytes"},
        {"uu": {1, 2}},
        {1: 2},
        {"a": {None: 1}},
        {"a": [[[[[[[[[1]]]]]]]]]},
        {"request_id": ""},
        {"request_id": 7},
        {"request_id": "a\0b"},
        {"request_id": "\ud800"},
        {"request_id": "x" * 65},
        {"request_id": ["x"]},
    ],
    ids=repr,
)
def test_a_row_takes_no_floats_and_nothing_else_that_json_or_sqlite_would_bend(
    body: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match=r"."):
        row_text(1, replace(ENTRY, body=body))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": ""},
        {"kind": "Lease"},
        {"kind": 'x","kind":"intent'},
        {"boot_id": 'a"b'},
        {"boot_id": "a\nb"},
        {"clock": "ö"},
        {"mono_ns": 1.0},
        {"mono_ns": True},
        {"utc_ns": 2**63},
        {"offset_s": None},
        {"kind": "intent"},  # without a request id
    ],
    ids=repr,
)
def test_a_row_takes_no_stamp_that_could_be_read_as_something_else(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        row_text(1, replace(ENTRY, **change))


def test_enum_values_and_tuples_are_kept_as_text_and_lists() -> None:
    class Why(StrEnum):
        STOP = "stopped"

    text = row_text(1, replace(ENTRY, body={"why": Why.STOP, "parts": (1, Why.STOP)}))
    assert read_text(text)["body"] == {"why": "stopped", "parts": [1, "stopped"]}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"body":1}', "nonsense"])
def test_what_is_no_row_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_text(text)


def test_sr_41_the_chain_is_sha256_over_the_digest_before_and_the_text() -> None:
    text = row_text(1, ENTRY)
    one = hashlib.sha256(bytes(32) + text.encode()).digest()
    assert chained(GENESIS, text) == one
    assert chained(one, b"next") == hashlib.sha256(one + b"next").digest()
