"""The pins socket of ``bench-sim``: claims, writes and pushes.

Writes of all programs are applied in the order of their stamps. A turn first looks at the clock and
then takes in every socket; a record that was stamped after that look waits for the next turn. So
whoever was told "ENABLE is on" before it stepped is believed: the write of ENABLE was in its socket
when the look was taken, and has the older stamp.

Pushes never block. Each carries level and count as they are, so of several that wait for a slow
program only the last one is sent.
"""

from __future__ import annotations

import select
import socket
import struct
from typing import NamedTuple

from drivers.bench_wire import (
    READ_BYTES,
    RECORD,
    RECORD_BYTES,
    VERSION,
    Fields,
    Function,
    Kind,
    Refusal,
    pack_text,
    unpack_text,
)
from drivers.mock.plant import Plant
from drivers.mock.settings import FROM_PROGRAMS, Wire

MOST_PROGRAMS = 32
_MOST_PINS = 28
_MOST_BYTES_OUT = 64 * 1024
_CREDENTIALS = struct.Struct("3i")
_GONE: Fields = (0, 0, 0, 0, 0, 0, 0, b"")


class _Line:
    """One pin of the board: who holds it, as what."""

    def __init__(self, pin: int, wire: Wire | None) -> None:
        self.pin = pin
        self.wire = wire
        self.holder: Program | None = None
        self.function = Function.FLOATING
        self.level = 0  # where there is no wire


class Program:
    """One connection: a program, the lines that it holds, and what waits to be sent to it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.descriptor = connection.fileno()
        self.name = ""
        self.lines: dict[int, _Line] = {}
        self.rest = b""
        self.order_ns = -(2**62)
        self.out = b""
        self.stale: set[int] = set()
        self.mute = False
        self.denied = False
        self.ended = False

    @property
    def waits(self) -> bool:
        """Whether something could not be sent yet."""
        return bool(self.out or self.stale) and not self.mute

    def send(self, record: bytes) -> None:
        """Send what must arrive: it waits where the socket is full."""
        if self.mute:
            return
        if self.out:
            self.out += record
        else:
            self.out = record[self._sent(record) :]
        if len(self.out) > _MOST_BYTES_OUT:
            self.mute = True

    def push(self, pin: int, record: bytes) -> None:
        """Send what may be skipped: ``pin`` is noted as stale where the socket is full."""
        if self.mute:
            return
        if self.out or self.stale:
            self.stale.add(pin)
            return
        sent = self._sent(record)
        if sent == 0:
            self.stale.add(pin)
        elif sent < RECORD_BYTES:
            self.out = record[sent:]

    def flush(self) -> bool:
        """Send what waits, as far as it goes; return whether stale pins may follow."""
        if self.out:
            self.out = self.out[self._sent(self.out) :]
        return not self.out

    def _sent(self, data: bytes) -> int:
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:  # it is dead; what it has sent before is still read
            self.mute = True
            return 0


class _Mail(NamedTuple):
    order_ns: int
    program: Program
    fields: Fields


class PinsDoor:
    """All programs on the pins socket. It tells ``poll`` of its descriptors."""

    def __init__(self, listening: socket.socket, poll: select.poll, pins: dict[Wire, int]) -> None:
        self._listening = listening
        self._poll = poll
        self._programs: dict[int, Program] = {}
        wires = {pin: wire for wire, pin in pins.items()}
        self._lines = [_Line(pin, wires.get(pin)) for pin in range(_MOST_PINS)]
        self._line_of = {line.wire: line for line in self._lines if line.wire is not None}
        self._mail: list[_Mail] = []
        self._held: list[_Mail] = []
        self._changed: set[Wire] = set()
        self._watched: set[int] = set()
        poll.register(listening, select.POLLIN)

    # -------------------------------------------------------------- sockets

    @property
    def hurried(self) -> bool:
        """Whether mail waits for the next turn."""
        return bool(self._held)

    def owns(self, descriptor: int) -> bool:
        """Return whether a descriptor is one of this door's."""
        return descriptor in self._programs or descriptor == self._listening.fileno()

    def handle(self, descriptor: int, events: int) -> None:
        """Take in what has come on one descriptor."""
        program = self._programs.get(descriptor)
        if program is None:
            self._accept()
            return
        if events & select.POLLOUT:
            self._catch_up(program)
        if events & ~select.POLLOUT:
            self._read(program)

    def close(self) -> None:
        """Close every connection."""
        for program in list(self._programs.values()):
            self._drop(program)
        self._listening.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except OSError:  # it has gone again
            return
        if len(self._programs) >= MOST_PROGRAMS:
            connection.close()
            return
        connection.settimeout(0)
        program = Program(connection)
        self._programs[program.descriptor] = program
        self._watched.add(program.descriptor)
        self._poll.register(program.descriptor, select.POLLIN)

    def _read(self, program: Program) -> None:
        try:
            data = program.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch(program)
            program.mute = True
            self._mail.append(_Mail(program.order_ns, program, _GONE))
            return
        if program.rest:
            data = program.rest + data
        whole = len(data) - len(data) % RECORD_BYTES
        program.rest = data[whole:]
        order_ns = program.order_ns
        for fields in RECORD.iter_unpack(data[:whole]):
            if fields[5] > order_ns:
                order_ns = fields[5]
            self._mail.append(_Mail(order_ns, program, fields))
        program.order_ns = order_ns

    def _drop(self, program: Program) -> None:
        """Forget a program; its socket closes."""
        if self._programs.get(program.descriptor) is program:
            self._unwatch(program)
            del self._programs[program.descriptor]
        program.mute = program.ended = True
        program.socket.close()

    def _unwatch(self, program: Program) -> None:
        if program.descriptor in self._watched:
            self._watched.remove(program.descriptor)
            self._poll.unregister(program.descriptor)

    # -------------------------------------------------------------- mail

    def apply(self, plant: Plant, look_ns: int) -> None:
        """Apply everything that was stamped by ``look_ns``, oldest first; the rest is held once."""
        mail, self._mail = self._held + self._mail, []
        limit_ns = look_ns
        if self._held:
            limit_ns = max(look_ns, self._held[-1].order_ns)
            self._held = []
        if len(mail) > 1:
            mail.sort(key=_order)
        for each in mail:
            if each.order_ns > limit_ns:
                self._held.append(each)
                continue
            fields = each.fields
            program = each.program
            if program.ended:
                continue
            if fields[0] == Kind.WRITE:
                self._write(plant, program, fields, look_ns)
            else:
                self._answer(plant, program, fields, look_ns)

    def _write(self, plant: Plant, program: Program, fields: Fields, look_ns: int) -> None:
        line = program.lines.get(fields[1])
        if line is None or line.function is not Function.OUTPUT:
            self._end(plant, program, look_ns)  # it writes what it does not hold
            return
        if program.denied:
            return
        level = 1 if fields[2] else 0
        wire = line.wire
        if wire is Wire.STEP:
            plant.drive_step(level, fields[5])
        elif wire is None:
            line.level = level
        else:
            plant.drive(wire, level, fields[5])

    def _answer(self, plant: Plant, program: Program, fields: Fields, look_ns: int) -> None:
        kind, pin, _, _, number, _, _, text = fields
        match kind:
            case Kind.CLAIM if program.name:
                self._claim(plant, program, fields, look_ns)
            case Kind.RELEASE if program.name:
                line = program.lines.pop(pin, None)
                if line is not None:
                    self._let_go(plant, line, look_ns)
                program.send(_record(Kind.DONE, pin=pin, number=number))
            case Kind.SAMPLE if program.name:
                self._sample(plant, program, pin, number, look_ns)
            case Kind.HELLO if not program.name:
                self._hello(plant, program, number, unpack_text(text))
            case _:
                self._end(plant, program, look_ns)

    def _hello(self, plant: Plant, program: Program, version: int, name: str) -> None:
        refusal = plant.refusal(None)
        if version != VERSION:
            refusal = Refusal.BAD_VERSION, f"version {version}, bench-sim speaks {VERSION}"
        if refusal is not None and refusal[0] is not Refusal.BUSY:
            program.send(_record(Kind.REFUSED, extra=refusal[0], text=refusal[1]))
            return
        peer = program.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(peer)[0]
        program.name = f"{name[:20] or 'a program'} (pid {pid})"
        program.send(_record(Kind.WELCOME, number=VERSION))

    def _claim(self, plant: Plant, program: Program, fields: Fields, look_ns: int) -> None:
        _, pin, level, extra, number, stamp_ns, _, _ = fields
        if pin >= _MOST_PINS or extra not in _FUNCTIONS:
            program.send(
                _record(Kind.REFUSED, pin=pin, number=number, extra=Refusal.BAD_PIN, text="no such")
            )
            return
        line = self._lines[pin]
        refusal = plant.refusal(line.wire)
        if line.holder is not None and line.holder is not program:
            refusal = Refusal.BUSY, line.holder.name
        if refusal is not None:
            program.send(
                _record(Kind.REFUSED, pin=pin, number=number, extra=refusal[0], text=refusal[1])
            )
            return
        function = _FUNCTIONS[extra]
        if line.function is Function.OUTPUT and function is not Function.OUTPUT:
            self._let_go(plant, line, look_ns)
        line.holder = program
        line.function = function
        program.lines[pin] = line
        wire = line.wire
        if function is Function.OUTPUT:
            line.level = 1 if level else 0
            if wire in FROM_PROGRAMS:
                plant.drive(wire, line.level, stamp_ns)
        else:
            line.level = int(function is Function.PULL_UP)
            if wire is not None and wire not in FROM_PROGRAMS:
                plant.pull(wire, line.level, look_ns)
            program.stale.discard(pin)
            program.send(self._level(plant, line, look_ns))
        program.send(_record(Kind.DONE, pin=pin, number=number))

    def _sample(
        self, plant: Plant, program: Program, channel: int, number: int, look_ns: int
    ) -> None:
        try:
            reading = plant.sample(channel, look_ns)
        except ValueError:
            self._end(plant, program, look_ns)
            return
        valid = reading is not None
        program.send(
            _record(Kind.VALUE, pin=channel, level=int(valid), number=number, count=reading or 0)
        )

    def _end(self, plant: Plant, program: Program, look_ns: int) -> None:
        """Let go of everything that a program held, and of itself."""
        for line in program.lines.values():
            self._let_go(plant, line, look_ns)
        program.lines.clear()
        self._drop(program)

    def _let_go(self, plant: Plant, line: _Line, look_ns: int) -> None:
        if line.wire is not None:
            if line.function is Function.OUTPUT:
                if line.wire in FROM_PROGRAMS:
                    plant.drive(line.wire, None, look_ns)
            elif line.wire not in FROM_PROGRAMS:
                plant.pull(line.wire, 0, look_ns)
        line.holder = None
        line.function = Function.FLOATING
        line.level = 0

    def deny(self) -> None:
        """Take the permission away from every program that is connected: its writes fail now."""
        for program in self._programs.values():
            if not program.denied:
                program.denied = True
                program.send(_record(Kind.LOST, text="permission lost"))
                program.socket.shutdown(socket.SHUT_RD)
                self._watch(program)

    def programs(self) -> list[dict[str, object]]:
        """List who is connected, and the pins that each holds."""
        return [
            {"name": program.name, "pins": sorted(program.lines)}
            for program in self._programs.values()
        ]

    # -------------------------------------------------------------- pushes

    def changed(self, wire: Wire) -> None:
        """Note that a wire to the programs has changed: the plant's listener."""
        self._changed.add(wire)

    def push(self, plant: Plant, look_ns: int) -> None:
        """Tell the readers of every wire that has changed."""
        for wire in self._changed:
            line = self._line_of[wire]
            program = line.holder
            if program is not None and line.function is not Function.OUTPUT:
                program.push(line.pin, self._level(plant, line, look_ns))
        self._changed.clear()
        for program in self._programs.values():
            if program.out or program.stale:
                self._watch(program)

    def _catch_up(self, program: Program) -> None:
        if program.flush():
            stale, program.stale = program.stale, set()
            for pin in stale:
                wire = self._lines[pin].wire
                if wire is not None:
                    self._changed.add(wire)
        self._watch(program)

    def _watch(self, program: Program) -> None:
        """Wait for what the program sends, and where something waits for it, for room."""
        if program.descriptor in self._watched:
            # One that was denied has its end shut, which would always be readable.
            events = 0 if program.denied else select.POLLIN
            self._poll.modify(program.descriptor, events | (select.POLLOUT if program.waits else 0))

    def _level(self, plant: Plant, line: _Line, look_ns: int) -> bytes:
        wire = line.wire
        level, rises = line.level, 0
        if wire is not None and wire not in FROM_PROGRAMS:
            level, rises = plant.levels[wire], plant.rises[wire]
        return RECORD.pack(Kind.LEVEL, line.pin, level, 0, 0, look_ns, rises, b"")


def _order(mail: _Mail) -> int:
    return mail.order_ns


def _record(
    kind: Kind,
    *,
    pin: int = 0,
    level: int = 0,
    extra: int = 0,
    number: int = 0,
    count: int = 0,
    text: str = "",
) -> bytes:
    return RECORD.pack(kind, pin, level, extra, number, 0, count, pack_text(text))


_FUNCTIONS = {int(function): function for function in Function}
