"""The records between a program's bench pins and ``bench-sim``, and nothing else.

A stream socket carries records of ``RECORD_BYTES``, both ways. A pin write has no answer; whatever
asks for something carries a number that the answer repeats. Counts are cumulative, so a push that
was skipped is made good by the next one. Stamps are CLOCK_BOOTTIME in nanoseconds, of the sender.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from pathlib import Path

from appliance.errors import PinFault

VERSION = 1
TEXT_BYTES = 40
RECORD = struct.Struct(f"<BBBBIqq{TEXT_BYTES}s")
RECORD_BYTES = RECORD.size
READ_BYTES = 1024 * RECORD_BYTES
PATH_BYTES = 100
"""A Unix socket path ends at 107 bytes; design.md section 6 sets the limit of all of ours."""

Fields = tuple[int, int, int, int, int, int, int, bytes]
"""kind, pin or channel, level, extra, number, stamp_ns, count, text."""


class Kind(IntEnum):
    """What a record is; up to 9 from a program, from 10 on from the bench."""

    HELLO = 1  # number: version; text: owner
    CLAIM = 2  # pin, level at once, extra: Function
    RELEASE = 3  # pin
    WRITE = 4  # pin, level; no answer
    SAMPLE = 5  # pin: Channel

    WELCOME = 10  # number: version
    DONE = 11  # to CLAIM and RELEASE: level and count of the pin now
    REFUSED = 12  # extra: Refusal; text: who holds it, or why
    LEVEL = 13  # pin, level, count: rising edges since the bench began
    VALUE = 14  # level: 1 where there is one; count: the value
    LOST = 15  # the bench takes no more from this connection; text: why


class Function(IntEnum):
    """What a claimed line is to be."""

    FLOATING = 0
    PULL_UP = 1
    PULL_DOWN = 2
    OUTPUT = 3


class Refusal(IntEnum):
    """Why a claim failed."""

    BUSY = 1  # the text names the holder
    NO_CHIP = 2
    DENIED = 3
    BAD_PIN = 4
    BAD_VERSION = 5


class Channel(IntEnum):
    """What the bench measures and a program may ask for; each is an integer."""

    FORCE_COUNTS = 0
    BATTERY_PCT = 1
    BOARD_MILLI_C = 2
    POWER_FLAGS = 3  # 1 under-voltage, 2 throttled, POWER_FAILS
    ALARM_FEEDBACK = 4  # what draws current: 1 buzzer, 2 lamp high, 4 lamp medium, 8 lamp low
    BALANCE_UG = 5
    BATTERY_UV = 6  # of the cell, with the noise that a true gauge shows


POWER_FAILS = 4
"""The flag of ``Channel.POWER_FLAGS`` that the supply is about to end."""


def pack_text(text: str) -> bytes:
    """Return ``text`` as the bytes of a record, cut where it is too long."""
    return text.encode("utf-8")[:TEXT_BYTES]


def unpack_text(data: bytes) -> str:
    """Return the text of a record."""
    return data.rstrip(b"\0").decode("utf-8", "replace")


def checked_path(path: Path) -> str:
    """Return a socket path as text. Raises PinFault where it is longer than a socket may have."""
    size = len(str(path).encode("utf-8"))
    if size > PATH_BYTES:
        raise PinFault(
            f"the bench's socket path has {size} bytes, more than {PATH_BYTES}: "
            f"choose a shorter folder than {path.parent}"
        )
    return str(path)
