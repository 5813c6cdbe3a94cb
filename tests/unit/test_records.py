"""The records of the motor wires: what goes in comes out, and nothing else comes in."""

import struct
from dataclasses import astuple, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import records
from appliance.errors import ProtocolFault
from appliance.records import (
    NO_LIMIT,
    RECORD_BYTES,
    Alive,
    Bye,
    Carry,
    Direction,
    End,
    Hello,
    Lease,
    Motion,
    Record,
    Role,
    Stop,
    Trip,
    decode,
    encode,
    halves,
    whole,
)

KINDS = [
    each
    for each in vars(records).values()
    if isinstance(each, type) and issubclass(each, Record) and each is not Record
]
BITS_64 = st.integers(-(2**63), 2**63 - 1)
EVERY = st.sampled_from(KINDS).flatmap(
    lambda kind: st.builds(kind, *(BITS_64 for _ in fields(kind)))
)


def numbers(data: bytes) -> list[int]:
    """Read a datagram without the code under test: eleven little-endian 64-bit numbers."""
    return [
        int.from_bytes(data[at : at + 8], "little", signed=True) for at in range(0, len(data), 8)
    ]


def raw(*values: int) -> bytes:
    filled = [*values, *(0,) * (11 - len(values))]
    return b"".join(value.to_bytes(8, "little", signed=True) for value in filled)


@given(EVERY)
def test_every_record_comes_back_as_it_was(record: Record) -> None:
    assert decode(encode(record)) == record


@given(EVERY)
def test_a_datagram_is_the_number_of_its_kind_and_its_fields_in_order(record: Record) -> None:
    values = astuple(record)
    data = encode(record)
    assert len(data) == RECORD_BYTES == 88
    assert numbers(data) == [record.KIND, *values, *(0,) * (10 - len(values))]


def test_every_kind_has_a_number_of_its_own_and_room_for_its_fields() -> None:
    by_number = {kind.KIND: kind for kind in KINDS}
    assert len(by_number) == len(KINDS)
    assert 0 not in by_number
    assert all(len(fields(kind)) <= 10 for kind in KINDS)
    assert all(kind.__base__ is Record for kind in KINDS)  # the reader looks no deeper


def test_the_numbers_on_the_wire_never_change() -> None:
    assert {kind.__name__: kind.KIND for kind in KINDS} == {
        "Hello": 1,
        "Bye": 2,
        "Lease": 10,
        "Programme": 11,
        "Carry": 12,
        "Stop": 13,
        "TestEdges": 14,
        "Progress": 20,
        "ProgrammeTotal": 21,
        "Ended": 22,
        "Realtime": 23,
        "Beat": 30,
        "Enable": 31,
        "Alive": 40,
        "Head": 41,
        "LeasesClosed": 42,
        "Signal": 43,
        "Rearm": 44,
        "CheckedRow": 45,
        "SignalCheck": 46,
        "GuardHello": 50,
        "LeaseTaken": 51,
        "Counted": 52,
        "Tripped": 53,
        "Button": 54,
    }


def test_the_reasons_of_an_end_and_of_a_trip_keep_their_numbers() -> None:
    assert {one.name: int(one) for one in End} == {
        "DONE": 1,
        "STOPPED": 2,
        "LATE": 10,
        "OFTEN_LATE": 11,
        "STALLED": 12,
        "DISABLED": 13,
        "END_STOP": 14,
        "DRIVER_FAULT": 15,
        "PIN_FAULT": 16,
        "WIRE_LOST": 17,
    }
    assert [one for one in End if one > End.STOPPED] == list(End)[2:]
    assert [int(one) for one in Trip] == list(range(14))
    assert (Role.PUMPD, Role.STEPPER) == (1, 2)
    assert (Motion.DOSE, Motion.PRIME, Motion.REWIND) == (1, 2, 3)
    assert (Direction.FORWARD, Direction.REVERSE) == (1, -1)


@given(st.binary(max_size=200).filter(lambda data: len(data) != RECORD_BYTES))
def test_f45_a_datagram_of_another_size_is_a_protocol_fault(data: bytes) -> None:
    with pytest.raises(ProtocolFault, match=f"a record has 88 bytes, not {len(data)}"):
        decode(data)


@given(BITS_64.filter(lambda kind: kind not in {one.KIND for one in KINDS}))
def test_f45_a_kind_that_nobody_knows_is_a_protocol_fault(kind: int) -> None:
    with pytest.raises(ProtocolFault, match=f"no record has the number {kind}"):
        decode(raw(kind))


@given(EVERY, st.integers(0, 9), BITS_64.filter(bool))
def test_f45_a_field_too_many_is_a_protocol_fault(record: Record, place: int, extra: int) -> None:
    values = numbers(encode(record))
    width = len(fields(record))
    if place < width:
        return
    values[1 + place] = extra
    with pytest.raises(ProtocolFault, match=f"record {record.KIND} has {width} fields"):
        decode(raw(*values))


@given(st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES))
def test_f45_any_bytes_of_the_right_size_are_a_record_or_a_protocol_fault(data: bytes) -> None:
    try:
        record = decode(data)
    except ProtocolFault:
        return
    assert encode(record) == data


@given(EVERY, st.integers(0, RECORD_BYTES * 8 - 1))
def test_f45_a_flipped_bit_is_another_record_or_a_fault_and_never_the_same(
    record: Record, bit: int
) -> None:
    data = bytearray(encode(record))
    data[bit // 8] ^= 1 << bit % 8
    try:
        other = decode(bytes(data))
    except ProtocolFault:
        return
    assert other != record


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30])
def test_f39_a_number_over_64_bits_is_a_protocol_fault_and_not_a_crash(number: int) -> None:
    with pytest.raises(ProtocolFault, match="cannot be sent"):
        encode(Stop(number))


@given(st.integers(-(2**124), 2**124 - 1))
def test_sr_18_a_carry_goes_over_the_wire_in_two_halves_and_is_whole_again(carry: int) -> None:
    sent = Carry(7, *halves(carry))
    heard = decode(encode(sent))
    assert isinstance(heard, Carry)
    assert whole(heard.carry_high, heard.carry_low) == carry


@given(st.integers())
def test_sr_18_halves_are_one_carry_however_large_or_negative(carry: int) -> None:
    high, low = halves(carry)
    assert 0 <= low < 2**62
    assert high * 2**62 + low == whole(high, low) == carry


@pytest.mark.parametrize(
    "carry", [0, 1, -1, 2**62 - 1, 2**62, 2**62 + 1, -(2**62), -(2**62) - 1, 2**124 - 1, -(2**124)]
)
def test_sr_18_the_seams_of_a_carry_hold(carry: int) -> None:
    high, low = halves(carry)
    assert whole(high, low) == carry
    assert encode(Carry(1, high, low))


def test_a_day_of_the_highest_rate_is_a_carry_that_fits() -> None:
    # uu/h x ratio_steps x ns: the largest machine of the configuration, for a day
    assert 35_000_000 * 400 * 256 * 86_400 * 10**9 < 2**124


def test_no_limit_is_a_number_of_the_wire() -> None:
    lease = Lease(1, int(Motion.DOSE), int(Direction.FORWARD), NO_LIMIT, 0)
    assert decode(encode(lease)) == lease


def test_records_without_fields_are_equal() -> None:
    assert decode(encode(Bye())) == Bye()
    assert numbers(encode(Bye())) == [2] + [0] * 10


def test_the_layout_has_no_padding_and_one_byte_order() -> None:
    assert struct.calcsize("<11q") == RECORD_BYTES
    assert encode(Alive(1))[8:16] == b"\x01" + b"\x00" * 7


def test_enumerations_travel_as_their_numbers() -> None:
    sent = Hello(Role.STEPPER, 4, 0)
    heard = decode(encode(sent))
    assert heard == Hello(2, 4, 0)
    assert heard == replace(sent, role=2)
