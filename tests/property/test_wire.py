"""Whatever bytes come, a line is read exactly or refused by name (SR-63, F45)."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.client import wire
from appliance.client.messages import KEEPER_METHODS, PUMP_METHODS, HelloParams, reasons_of
from appliance.errors import ProtocolFault

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
MODELS = [method.params for method in (*PUMP_METHODS, *KEEPER_METHODS)] + [HelloParams]


def brackets(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(brackets, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(brackets, value), default=0)
    return 0


@given(st.binary(max_size=400))
@example(b"[" * 4_000)
@example(b'{"a":' * 800)
@example(b'"' + b"\\" * 4_000)
@example(b"9" * 4_096)
@example(b'{"id":1e999}')
@example(b"\xf4\x90\x80\x80")
def test_any_bytes_are_a_request_or_are_refused(raw: bytes) -> None:
    said = ""
    try:
        wire.read_request(raw)
    except wire.BadRequest as fault:
        said = str(fault)
    assert said.isascii()
    assert said.isprintable()


@given(st.text(max_size=300))
def test_no_text_is_a_request_by_chance(text: str) -> None:
    with pytest.raises(wire.BadRequest):
        wire.read_request(text.encode("utf-8", errors="surrogatepass"))


@given(JSON)
def test_json_within_the_depth_comes_back_as_it_was_and_deeper_is_refused(value: Any) -> None:
    raw = json.dumps(value).encode()
    if brackets(value) <= 3:
        assert wire.read_json(raw, 3) == value
    else:
        with pytest.raises(ProtocolFault, match="brackets"):
            wire.read_json(raw, 3)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.integers(0, 2**53 - 1))
def test_a_request_comes_back_as_it_was(params: dict[str, Any], number: int) -> None:
    line = wire.request_line(number, "bolus.review", params)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    if brackets(params) < wire.REQUEST_DEPTH:
        request = wire.read_request(line[:-1])
        assert (request.id, request.method, request.params) == (number, "bolus.review", params)


@given(
    st.sampled_from(MODELS),
    st.dictionaries(
        st.sampled_from(sorted({name for model in MODELS for name in model.model_fields} | {"x"})),
        JSON,
        max_size=6,
    ),
)
def test_any_parameters_are_taken_as_they_are_or_refused_with_field_and_reason(
    model: Any, raw: dict[str, Any]
) -> None:
    try:
        taken = model.model_validate(raw)
    except ValidationError as error:
        reasons = reasons_of(error)
        assert reasons
        for reason in reasons:
            assert reason["field"].isascii()
            assert reason["field"] in reason["text"]
            assert len(reason["text"]) < 600
            json.dumps(reason, allow_nan=False)
    else:
        dumped = taken.model_dump(exclude_unset=True)
        assert dumped == raw
        assert all(type(dumped[key]) is type(raw[key]) for key in raw)


@given(st.sampled_from(["amount_uu", "limit", "number"]), JSON.filter(lambda v: type(v) is not int))
def test_only_a_whole_number_is_a_number(field: str, value: Any) -> None:
    name = {"amount_uu": "cartridge.load", "limit": "history", "number": "alarms.acknowledge"}[
        field
    ]
    methods = {method.name: method for method in (*PUMP_METHODS, *KEEPER_METHODS)}
    if field == "number" and value is None:
        return
    with pytest.raises(ValidationError):
        methods[name].params.model_validate({field: value})


@given(st.text())
def test_what_is_shown_of_a_text_from_outside_is_short_ascii_on_one_line(text: str) -> None:
    assert wire.shown(text).isascii()
    assert wire.shown(text).isprintable()
    assert len(wire.shown(text)) <= 63
