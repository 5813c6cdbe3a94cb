"""The guard's own file: two slots with a checksum each, so that a torn write leaves the other
whole.

Written by a thread of its own: a stalled disk must not keep the guard from its beat. The newest
memory wins; one that was overtaken is never written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
from dataclasses import astuple, fields
from pathlib import Path

from appliance.errors import LedgerFault
from appliance.guard.core import Memory
from appliance.records import CheckedRow, Head

_SLOT = 512
_NUMBERS = len(fields(Memory)) - 2
_HEAD = 5
_MAGIC = b"BPG2"
_LAYOUTS = {
    b"BPG1": struct.Struct(f"<4sqq{_NUMBERS}q{_HEAD}q"),  # without a checked row
    _MAGIC: struct.Struct(f"<4sqq{_NUMBERS}q{_HEAD}q{_HEAD}q"),
}


class MemoryFile:
    """Reads and writes the memory at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._generation = 0

    def load(self) -> Memory | None:
        """Return the newer of the two sound slots, or None where there is none.

        Raises LedgerFault where the file is there and cannot be read.
        """
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerFault(f"the guard's file {self._path}: {error.strerror}") from error
        found: list[tuple[int, Memory]] = []
        for at in (0, _SLOT):
            slot = raw[at : at + _SLOT]
            layout = _LAYOUTS.get(slot[:4])
            if layout is None or len(slot) < layout.size + 32:
                continue
            packed, digest = slot[: layout.size], slot[layout.size : layout.size + 32]
            if hashlib.sha256(packed).digest() != digest:
                continue
            _, generation, _, *numbers = layout.unpack(packed)
            run, counted, doubtful, apart, issued, lifetime, trip, *rows = numbers
            head, checked = Head(*rows[:_HEAD]), CheckedRow(*(rows[_HEAD:] or [0] * _HEAD))
            memory = Memory(run, counted, doubtful, apart, issued, lifetime, trip, head, checked)
            found.append((generation, memory))
        if not found:
            return None
        self._generation, memory = max(found, key=lambda one: one[0])
        return memory

    def save(self, memory: Memory) -> None:
        """Write ``memory`` to the older slot and sync it. Raises OSError: the next one is then
        written to the same slot, since only the other one is known to be whole.
        """
        generation = self._generation + 1
        *plain, _, _ = astuple(memory)
        rows = (*astuple(memory.head), *astuple(memory.checked))
        packed = _LAYOUTS[_MAGIC].pack(_MAGIC, generation, 0, *plain, *rows)
        slot = (packed + hashlib.sha256(packed).digest()).ljust(_SLOT, b"\0")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o640)
        try:
            os.pwrite(descriptor, slot, _SLOT * (generation % 2))
            os.fdatasync(descriptor)
            self._generation = generation
        finally:
            os.close(descriptor)


class Saver(threading.Thread):
    """Saves the newest memory it was given; ``failure`` holds the disk's last error, or is
    empty.
    """

    def __init__(self, file: MemoryFile) -> None:
        super().__init__(name="guard-file", daemon=True)
        self._file = file
        self._newest: Memory | None = None
        self._changed = threading.Condition()
        self._ending = False
        self.failure = ""

    def put(self, memory: Memory) -> None:
        """Have ``memory`` saved soon; never blocks on the disk."""
        with self._changed:
            self._newest = memory
            self._changed.notify()

    def end(self) -> None:
        """Save what is left and end; waits for the disk at most two seconds."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        with contextlib.suppress(RuntimeError):
            self.join(2.0)

    def run(self) -> None:
        """Wait for a memory, save it, and so on."""
        while True:
            with self._changed:
                while self._newest is None and not self._ending:
                    self._changed.wait()
                memory, self._newest = self._newest, None
                if memory is None:
                    return
            try:
                self._file.save(memory)
                self.failure = ""
            except OSError as error:
                self.failure = f"{error.strerror}: {error.filename}"
