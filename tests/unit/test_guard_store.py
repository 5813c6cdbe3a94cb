"""The guard's own file: whatever happens to a write, the memory before it is still there."""

import hashlib
import os
import struct
import threading
from dataclasses import astuple, fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import LedgerFault
from appliance.guard.core import Memory
from appliance.guard.store import MemoryFile, Saver
from appliance.records import CheckedRow, Head, Trip

SLOT = 512
ROW = CheckedRow(40, 9, -8, 7, -6)
OLD = Memory(3, 100, 2, 5, 101, 9_000, 0, Head(41, 1, -2, 3, -4))
NEW = Memory(4, 1, 0, 0, 1, 9_001, int(Trip.SILENCE), Head(42, -5, 6, -7, 2**63 - 1), ROW)
BITS_64 = st.integers(-(2**63), 2**63 - 1)
MEMORIES = st.builds(
    Memory,
    *(BITS_64 for _ in fields(Memory)[:-2]),
    st.builds(Head, *(BITS_64 for _ in range(5))),
    st.builds(CheckedRow, *(BITS_64 for _ in range(5))),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "guard"


def saved(path: Path, *memories: Memory) -> bytes:
    """Save one after the other with one program, and return the file's bytes."""
    file = MemoryFile(path)
    assert file.load() is None
    for memory in memories:
        file.save(memory)
    return path.read_bytes()


def test_sr_42_where_there_is_no_file_nothing_is_remembered(path: Path) -> None:
    assert MemoryFile(path).load() is None
    assert not path.exists()


@given(memory=MEMORIES)
def test_what_was_saved_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, memory: Memory
) -> None:
    path = tmp_path_factory.mktemp("guard") / "guard"
    MemoryFile(path).save(memory)
    assert MemoryFile(path).load() == memory


def test_the_newest_memory_wins_through_every_start(path: Path) -> None:
    for count in range(10):
        file = MemoryFile(path)
        assert file.load() == (replace(OLD, counted_steps=count - 1) if count else None)
        file.save(replace(OLD, counted_steps=count))
    assert path.stat().st_size == 2 * SLOT


def test_the_two_slots_are_written_in_turn_and_hold_the_last_two_memories(path: Path) -> None:
    before = saved(path, OLD)
    file = MemoryFile(path)
    file.load()
    file.save(NEW)
    after = path.read_bytes()
    changed = {at // SLOT for at in range(len(after)) if before[at : at + 1] != after[at : at + 1]}
    assert len(changed) == 1
    path.write_bytes(before)
    assert MemoryFile(path).load() == OLD


def test_f21_a_write_torn_anywhere_leaves_the_memory_before_it_or_the_new_one(path: Path) -> None:
    third = replace(NEW, counted_steps=2)
    before = saved(path, OLD, NEW)
    file = MemoryFile(path)
    file.load()
    file.save(third)
    after = path.read_bytes()
    for cut in range(0, len(after) + 1, 8):
        for torn in (after[:cut] + before[cut:], before[:cut] + after[cut:]):
            path.write_bytes(torn)
            assert MemoryFile(path).load() in (NEW, third)


def test_f21_either_slot_may_be_torn_and_the_other_one_is_whole(path: Path) -> None:
    whole = saved(path, OLD, NEW)
    remembered = set()
    for slot in (0, 1):
        torn = bytearray(whole)
        torn[slot * SLOT : (slot + 1) * SLOT] = bytes(SLOT)
        path.write_bytes(torn)
        remembered.add(MemoryFile(path).load())
    assert remembered == {OLD, NEW}


def test_f21_the_first_write_ever_torn_anywhere_is_no_memory_or_the_whole_one(path: Path) -> None:
    after = saved(path, OLD)
    for cut in range(len(after) + 1):
        path.write_bytes(after[:cut])
        assert MemoryFile(path).load() in (None, OLD)


def test_f23_no_flipped_bit_makes_a_memory_that_never_was(path: Path) -> None:
    whole = saved(path, OLD, NEW)
    used = [at for at, byte in enumerate(whole) if byte] + list(range(0, len(whole), 37))
    for at in used:
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            assert MemoryFile(path).load() in (OLD, NEW)


def test_f23_with_both_slots_flipped_nothing_is_remembered(path: Path) -> None:
    flipped = bytearray(saved(path, OLD, NEW))
    flipped[20] ^= 1
    flipped[SLOT + 20] ^= 1
    path.write_bytes(flipped)
    assert MemoryFile(path).load() is None
    file = MemoryFile(path)
    file.save(NEW)  # and a new memory can be kept
    assert MemoryFile(path).load() == NEW


def test_f23_after_a_flip_the_next_memory_overwrites_the_bad_slot_and_not_the_good_one(
    path: Path,
) -> None:
    for bad in (0, 1):
        flipped = bytearray(saved(path, OLD, NEW))
        flipped[bad * SLOT + 30] ^= 4
        path.write_bytes(flipped)
        good = MemoryFile(path).load()
        file = MemoryFile(path)
        file.load()
        third = replace(OLD, counted_steps=777)
        file.save(third)
        assert MemoryFile(path).load() == third
        newest = bytearray(path.read_bytes())
        newest[(1 - bad) * SLOT + 30] ^= 4  # hurt the good slot now: the new one stands alone
        path.write_bytes(newest)
        assert MemoryFile(path).load() == third != good
        path.unlink()


def test_f19_after_a_failed_write_the_slot_that_is_whole_is_not_touched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved(path, OLD, NEW)
    file = MemoryFile(path)
    file.load()
    true_sync = os.fdatasync

    def refused(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    for count in range(4):
        monkeypatch.setattr(os, "fdatasync", refused)
        with pytest.raises(OSError, match="Input/output"):
            file.save(replace(NEW, counted_steps=count))
    changed = [at // SLOT for at, byte in enumerate(path.read_bytes()) if byte != before[at]]
    assert len(set(changed)) == 1
    torn = bytearray(path.read_bytes())
    torn[changed[0] * SLOT + 9] ^= 1  # power goes in the middle of the next try
    path.write_bytes(torn)
    assert MemoryFile(path).load() == NEW
    monkeypatch.setattr(os, "fdatasync", true_sync)
    file.save(replace(NEW, counted_steps=5))
    assert MemoryFile(path).load() == replace(NEW, counted_steps=5)


@given(raw=st.binary(max_size=3 * SLOT))
def test_f23_a_file_of_anything_is_no_memory(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("guard") / "guard"
    path.write_bytes(raw)
    assert MemoryFile(path).load() is None


def test_f24_the_file_is_a_witness_of_the_ledgers_head(path: Path) -> None:
    digest = bytes(range(200, 232))
    parts = [int.from_bytes(digest[at : at + 8], "big", signed=True) for at in range(0, 32, 8)]
    saved(path, replace(OLD, head=Head(1_234, *parts)))
    remembered = MemoryFile(path).load()
    assert remembered is not None
    seq, *kept = astuple(remembered.head)
    assert seq == 1_234
    assert b"".join(part.to_bytes(8, "big", signed=True) for part in kept) == digest


def test_f24_an_older_copy_of_the_file_is_an_older_memory_and_the_ledger_tells(path: Path) -> None:
    copy = saved(path, OLD)
    file = MemoryFile(path)
    file.load()
    file.save(NEW)
    path.write_bytes(copy)
    remembered = MemoryFile(path).load()
    assert remembered == OLD
    assert remembered.head.seq < NEW.head.seq


def test_a_file_of_the_layout_before_is_read_and_knows_of_no_checked_row(path: Path) -> None:
    *plain, _, _ = astuple(OLD)
    packed = struct.pack("<4sqq7q5q", b"BPG1", 6, 0, *plain, *astuple(OLD.head))
    path.write_bytes((packed + hashlib.sha256(packed).digest()).ljust(SLOT, b"\0"))
    file = MemoryFile(path)
    assert file.load() == OLD == replace(OLD, checked=CheckedRow(0, 0, 0, 0, 0))
    file.save(NEW)
    assert MemoryFile(path).load() == NEW


def test_a_trip_is_remembered(path: Path) -> None:
    saved(path, NEW)
    remembered = MemoryFile(path).load()
    assert remembered is not None
    assert remembered.trip == Trip.SILENCE


def test_f26_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "guard"
    with pytest.raises(OSError, match="absent/guard"):
        MemoryFile(path).save(OLD)
    assert MemoryFile(path).load() is None


def test_f26_a_file_that_is_there_and_cannot_be_read_is_a_fault_and_not_a_new_pump(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.mkdir()
    with pytest.raises(LedgerFault, match="guard: Is a directory"):
        MemoryFile(path).load()

    def refused(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(LedgerFault, match="Permission denied"):
        MemoryFile(path).load()


def test_others_may_not_read_the_file(path: Path) -> None:
    saved(path, OLD)
    assert path.stat().st_mode & 0o007 == 0


# ------------------------------------------------------------------ the thread that saves


class SlowFile(MemoryFile):
    """A disk that waits until it is let go, or that fails."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.let_go = threading.Event()
        self.writing = threading.Event()
        self.kept: list[Memory] = []
        self.error: OSError | None = None

    def save(self, memory: Memory) -> None:
        self.writing.set()
        self.let_go.wait(10)
        if self.error is not None:
            raise self.error
        self.kept.append(memory)


def numbered(count: int) -> Memory:
    return replace(OLD, counted_steps=count)


def test_f20_a_stalled_disk_holds_nobody_and_what_was_overtaken_is_never_written(
    path: Path,
) -> None:
    file = SlowFile(path)
    saver = Saver(file)
    saver.start()
    saver.put(numbered(0))
    assert file.writing.wait(10)
    for count in range(1, 100):
        saver.put(numbered(count))  # returns at once, though the disk stands still
    file.let_go.set()
    saver.end()
    assert file.kept == [numbered(0), numbered(99)]
    assert not saver.is_alive()


def test_what_was_put_last_is_saved_before_the_end(path: Path) -> None:
    saver = Saver(MemoryFile(path))
    saver.start()
    saver.put(OLD)
    saver.put(NEW)
    saver.end()
    assert MemoryFile(path).load() == NEW


def test_a_saver_without_a_memory_ends_and_writes_nothing(path: Path) -> None:
    saver = Saver(MemoryFile(path))
    saver.start()
    saver.end()
    assert not saver.is_alive()
    assert not path.exists()


def test_a_saver_that_never_began_can_be_ended(path: Path) -> None:
    Saver(MemoryFile(path)).end()


def test_f17_a_full_disk_is_told_and_the_next_memory_is_tried_again(path: Path) -> None:
    file = SlowFile(path)
    file.let_go.set()
    file.error = OSError(28, "No space left on device", str(path))
    saver = Saver(file)
    saver.start()
    saver.put(OLD)
    assert file.writing.wait(10)
    while not saver.failure:
        assert saver.is_alive()
    assert saver.failure == f"No space left on device: {path}"
    file.error = None
    saver.put(NEW)
    saver.end()
    assert file.kept == [NEW]
    assert saver.failure == ""
