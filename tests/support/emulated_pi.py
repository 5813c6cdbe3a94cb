"""A Raspberry Pi 3B in QEMU, with wires at its header, and every edge of them counted from outside.

The emulator's own trace tells each write to the registers of the pins, so no program inside can
hide an edge or make one up. Where a wire would lead to an input, the level is set from outside by
writing the register that the emulator keeps it in (its line for tests, ``-qtest``): contacts that
are closed, and ENABLE wired back. The emulator knows no interrupts of pins, so a wired-back STEP
cannot be counted there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import socket
import subprocess
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from whole_machine import UP_S, Machine, sources, write_tree

STEP, DIRECTION, ENABLE_N, ALIVE = 17, 27, 22, 23
ENABLE_FEEDBACK_N, END_STOP_N, DRIVER_FAULT_N, STOP_BUTTON_N = 6, 24, 25, 13
MARK = 26  # connected to nothing: a script inside raises it to tell an instant

_FSEL, _SET, _CLEAR = 0x3F200000, 0x3F20001C, 0x3F200028
_PINS = 32
_OUTPUT = 0b001
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_WRITE = re.compile(
    rb"\d+@(\d+)\.(\d{6}):memory_region_ops_write cpu (-?\d+) .* addr 0x([0-9a-f]+)"
    rb" value 0x([0-9a-f]+) .*'bcm2835_gpio'"
)


@dataclass(frozen=True, slots=True)
class Edge:
    """A line of the header changed, at ``at_us`` of the wall clock outside."""

    at_us: int
    pin: int
    high: bool


class Loom:
    """The wires at the header, and what the pins did; one thread, from start to start."""

    def __init__(self, fifo: Path) -> None:
        os.mkfifo(fifo)
        # Open for both ways, so it does not end with the emulator.
        self._trace = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._trace, _F_SETPIPE_SZ, _PIPE_BYTES)
        self._woken, self._wake = os.pipe()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._levels: socket.socket | None = None
        self._rest = b""
        self._reset()
        self._edges: list[Edge] = []
        self._steps = 0
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="loom")
        self._thread.start()

    def _reset(self) -> None:
        self._functions = [0] * _PINS
        self._latches = [False] * _PINS
        self._seen = [False] * _PINS
        self._seen[ENABLE_N] = True

    # -------------------------------------------------------------- for the tests

    def connect(self, path: Path, timeout_s: float = 10.0) -> None:
        """Attach the wires to an emulator that has just been started. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                line.connect(str(path))
                break
            except OSError:
                if time.monotonic() > deadline:
                    line.close()
                    raise TimeoutError("the emulator opens no line for tests") from None
                time.sleep(0.05)
        line.setblocking(False)  # noqa: FBT003
        with self._lock:
            self._reset()
            self._levels = line
            # Closed contacts, and ENABLE at its pull-up.
            held = (ENABLE_FEEDBACK_N, END_STOP_N, DRIVER_FAULT_N, STOP_BUTTON_N, ENABLE_N)
            self._set(_SET, sum(1 << pin for pin in held))
        os.write(self._wake, b"x")

    def disconnect(self) -> None:
        """Take the wires off: the emulator has ended, and every line rests where it is pulled."""
        while not self._has_read_all():  # its last edges count
            time.sleep(0.01)
        with self._lock:
            if self._levels is not None:
                self._levels.close()
                self._levels = None
            self._settle(time.time_ns() // 1_000, [0] * _PINS, self._latches)

    def _has_read_all(self) -> bool:
        with self._reading:
            unread = fcntl.ioctl(self._trace, termios.FIONREAD, bytes(4))
        return not any(unread)

    def close(self) -> None:
        """Take the wires off and end the thread."""
        self.disconnect()
        with self._lock:
            self._closing = True
        os.write(self._wake, b"x")
        self._thread.join()
        for handle in (self._trace, self._woken, self._wake):
            os.close(handle)

    def count(self) -> int:
        """Return how many edges there are: the place from which ``since`` looks."""
        with self._lock:
            return len(self._edges)

    def since(self, place: int, pin: int) -> list[Edge]:
        """Return the edges of one line from a place on."""
        with self._lock:
            return [edge for edge in self._edges[place:] if edge.pin == pin]

    def steps(self) -> int:
        """Return how far the driver went: STEP rising while ENABLE is on, with DIR as its sign."""
        with self._lock:
            return self._steps

    def is_high(self, pin: int) -> bool:
        """Return the level of a line as it is now."""
        with self._lock:
            return self._seen[pin]

    # -------------------------------------------------------------- the thread

    def _read(self) -> None:
        while True:
            with self._lock:
                if self._closing:
                    return
                answers = self._levels
            watched: list[int | socket.socket] = [self._trace, self._woken]
            if answers is not None:
                watched.append(answers)
            try:
                ready, _, _ = select.select(watched, [], [])
            except (OSError, ValueError):  # the line was closed meanwhile
                continue
            if self._woken in ready:
                os.read(self._woken, 64)
            if answers in ready:
                self._drop(answers)
            if self._trace in ready:
                with self._reading, contextlib.suppress(BlockingIOError):
                    self._take(os.read(self._trace, _PIPE_BYTES))

    def _drop(self, answers: socket.socket | None) -> None:
        """Read what the emulator answers, which is never waited for: it may wait for us."""
        assert answers is not None
        try:
            if answers.recv(65_536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        with self._lock:
            if self._levels is answers:
                answers.close()
                self._levels = None

    def _take(self, data: bytes) -> None:
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if not newline or b"bcm2835_gpio" not in whole:
            return
        for line in whole.split(b"\n"):
            if b"bcm2835_gpio" in line:
                found = _WRITE.match(line)
                if found and int(found[3]) >= 0:  # the tests' own writes are of no processor
                    at_us = int(found[1]) * 1_000_000 + int(found[2])
                    self._written(at_us, int(found[4], 16), int(found[5], 16))

    def _written(self, at_us: int, address: int, value: int) -> None:
        with self._lock:
            functions, latches = self._functions[:], self._latches[:]
            if _FSEL <= address < _FSEL + 16:
                first = (address - _FSEL) // 4 * 10
                for place in range(min(10, _PINS - first)):
                    functions[first + place] = value >> (3 * place) & 0b111
            elif address in (_SET, _CLEAR):
                for pin in range(_PINS):
                    if value >> pin & 1:
                        latches[pin] = address == _SET
            self._settle(at_us, functions, latches)

    def _settle(self, at_us: int, functions: list[int], latches: list[bool]) -> None:
        """Record what changes on the lines, and have every wire follow."""
        freed = [
            pin
            for pin in range(_PINS)
            if self._functions[pin] == _OUTPUT and functions[pin] != _OUTPUT
        ]
        self._functions, self._latches = functions, latches
        for pin in range(_PINS):
            high = latches[pin] if functions[pin] == _OUTPUT else pin == ENABLE_N
            if high == self._seen[pin]:
                continue
            self._seen[pin] = high
            self._edges.append(Edge(at_us, pin, high))
            if pin == STEP and high and not self._seen[ENABLE_N]:
                self._steps += -1 if self._seen[DIRECTION] else 1
            if pin == ENABLE_N:
                self._set(_SET if high else _CLEAR, 1 << ENABLE_FEEDBACK_N)
        for pin in freed:  # the resistor on it decides
            self._latches[pin] = pin == ENABLE_N
            self._set(_SET if pin == ENABLE_N else _CLEAR, 1 << pin)

    def _set(self, register: int, bits: int) -> None:
        if self._levels is not None:
            with contextlib.suppress(OSError):
                self._levels.send(f"writel {register:#x} {bits:#x}\n".encode())


class Pi(Machine):
    """A Raspberry Pi 3B from a card with Debian 12 (arm64); its wires are ``loom``."""

    def __init__(self, folder: Path) -> None:
        super().__init__("pi", folder)
        self._card = folder / "card.raw"
        copy = ("cp", "--sparse=always", self._image / "disk.raw", self._card)
        subprocess.run(copy, check=True)
        sources(folder / "sources")
        write_tree(self._card, folder / "sources", "/root/benchpump")
        self._levels_path = folder / "levels.sock"
        self.loom = Loom(folder / "trace")

    def emulator(self) -> list[str | Path]:
        return [
            *("qemu-system-aarch64", "-M", "raspi3b", "-accel", "tcg,thread=single,tb-size=512"),
            # A clock that counts instructions: a slow PC makes the Pi slow and never late. Of its
            # four processors only one can be used that way.
            *("-icount", "shift=0,sleep=on", "-global", "bcm2837.enabled-cpus=1"),
            *("-kernel", self._image / "vmlinuz", "-initrd", self._image / "initrd"),
            *("-dtb", self._image / "pi.dtb"),
            # The emulated watchdog restarts the machine as soon as it is armed, and a restart ends
            # the emulator: the wires have to be attached anew. RPi.GPIO reaches its registers
            # through /dev/mem, for Debian's kernel has no /dev/gpiomem.
            "-no-reboot",
            "-append",
            "console=ttyS1,115200 root=/dev/mmcblk0 rw rootwait panic=-1 iomem=relaxed quiet"
            " maxcpus=1 systemd.show_status=0 systemd.watchdog_sec=0",
            *("-drive", f"file={self._card},format=raw,if=sd,cache=writeback"),
            *("-serial", "chardev:agent", "-serial", f"file:{self.console}"),
            *("-trace", f"enable=memory_region_ops_write,file={self._folder}/trace"),
            *("-msg", "timestamp=on"),
            *("-qtest", f"unix:{self._levels_path},server=on,wait=off", "-qtest-log", "/dev/null"),
        ]

    def _power_on(self) -> None:
        self._levels_path.unlink(missing_ok=True)
        super()._power_on()
        self.loom.connect(self._levels_path)

    def reboot(self) -> None:
        assert self._qemu is not None
        self.begin("systemctl --no-block reboot")
        self._qemu.wait(UP_S)
        self.cut()
        self.start()

    def cut(self) -> None:
        super().cut()
        self.loom.disconnect()

    def close(self) -> None:
        """Cut the power and end the loom."""
        self.cut()
        self.loom.close()
