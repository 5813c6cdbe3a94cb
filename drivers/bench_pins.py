"""Pins of the simulated bench: a gpiozero factory over a socket to ``bench-sim``.

As with pigpio, the pins live in the other program, so whoever dies takes nothing of the truth
along. A write is one record and has no answer (``protocol.md`` section 10). Levels and counts of
inputs are pushed by the bench, and taken in without blocking when a pin is read; ``fileno`` tells
``select`` when there are some. ``BenchFactory`` has no thread. ``SharedBenchFactory`` has one, so
that callbacks work in a user's own script.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from gpiozero.exc import (
    PinFixedPull,
    PinInvalidFunction,
    PinInvalidPull,
    PinPWMUnsupported,
    PinSetInput,
)
from gpiozero.pins.local import LocalPiFactory
from gpiozero.pins.pi import PiFactory, PiPin

from appliance.errors import PinFault
from drivers.bench_wire import (
    READ_BYTES,
    RECORD,
    RECORD_BYTES,
    VERSION,
    Channel,
    Fields,
    Function,
    Kind,
    Refusal,
    checked_path,
    pack_text,
    unpack_text,
)
from drivers.gpio import NowNs, Untyped

ENVIRONMENT_KEY = "BENCHPUMP_BENCH"
_REVISION = 0xC03111  # a Pi 4 B: the bench has a 40-pin header
_LOOK_MS = 10
_ANSWER_LOOKS = 200
_SAMPLE_LOOKS = 5
_SEND_BUFFER_BYTES = 1 << 20  # the kernel takes what it allows: some 500 records at its default
_PULLS = {
    "floating": Function.FLOATING,
    "up": Function.PULL_UP,
    "down": Function.PULL_DOWN,
}
_NO_TEXT = b""
_ANSWERS = (Kind.DONE, Kind.VALUE, Kind.REFUSED)

Fired = tuple["BenchPin", int, int]


class _Link:
    """The socket: it sends, asks and takes in. Once lost it stays lost, with its first cause."""

    def __init__(
        self, path: Path, owner: str, now_ns: NowNs, pushed: Callable[[int, int, int, int], None]
    ) -> None:
        self._path = path
        self._now_ns = now_ns
        self._pushed = pushed
        self._rest = b""
        self._number = 0
        self._answers: dict[int, Fields] = {}
        self._lost: str | None = None
        self._welcome = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(checked_path(path))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self._socket.settimeout(0)
        except PinFault:
            self._socket.close()
            raise
        except OSError as error:
            self._socket.close()
            raise PinFault(
                f"no bench-sim answers at {path} ({error.strerror}): start bench-sim first, or "
                "name its socket"
            ) from error
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        try:
            self._send(RECORD.pack(Kind.HELLO, 0, 0, 0, VERSION, now_ns(), 0, pack_text(owner)))
            if not self._wait(lambda: self._welcome, _ANSWER_LOOKS):
                raise self._silent()
        except PinFault:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def write(self, pin: int, level: int) -> None:
        """Send a level, with the stamp of now. Raises PinFault."""
        if self._lost is not None:
            raise PinFault(self._lost)
        try:
            sent = self._socket.send(
                RECORD.pack(Kind.WRITE, pin, level, 0, 0, self._now_ns(), 0, _NO_TEXT)
            )
        except OSError as error:
            raise self._broken(error) from error
        if sent != RECORD_BYTES:
            raise self._gone("bench-sim took half a record: its socket is full")

    def ask(self, kind: Kind, pin: int, level: int = 0, extra: int = 0) -> Fields:
        """Send what has an answer and wait for it. Raises PinFault, also where it is refused."""
        number = self._asked(kind, pin, level, extra)
        if not self._wait(lambda: number in self._answers, _ANSWER_LOOKS):
            raise self._silent()
        answer = self._answers.pop(number)
        if answer[0] == Kind.REFUSED:
            raise PinFault(_refusal(pin, answer[3], unpack_text(answer[7])))
        return answer

    def sample(self, channel: Channel) -> Fields:
        """Ask for a value; after 50 ms without one raise PinFault, and be none the worse for it."""
        number = self._asked(Kind.SAMPLE, channel, 0, 0)
        if not self._wait(lambda: number in self._answers, _SAMPLE_LOOKS):
            raise PinFault(f"bench-sim at {self._path} does not answer within 50 ms")
        answer = self._answers.pop(number)
        self._answers.clear()  # what came too late for whoever asked
        return answer

    def drain(self) -> None:
        """Take in all that has come. Never blocks. Raises PinFault when the bench has gone."""
        if self._lost is not None:
            raise PinFault(self._lost)
        while True:
            try:
                data = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._broken(error) from error
            if not data:
                raise self._gone("bench-sim has gone")
            self._take(data)
            if len(data) < READ_BYTES:
                return

    def close(self) -> None:
        if self._lost is None:
            self._lost = "these pins are closed"
        self._socket.close()

    def _send(self, record: bytes) -> None:
        if self._lost is not None:
            raise PinFault(self._lost)
        try:
            self._socket.send(record)
        except OSError as error:
            raise self._broken(error) from error

    def _asked(self, kind: Kind, pin: int, level: int, extra: int) -> int:
        self._number += 1
        self._send(RECORD.pack(kind, pin, level, extra, self._number, self._now_ns(), 0, _NO_TEXT))
        return self._number

    def _wait(self, answered: Callable[[], bool], looks: int) -> bool:
        """Wait through so many looks of 10 ms in which nothing comes; return whether it came."""
        for _ in range(looks):
            while self._readable.poll(_LOOK_MS):
                self.drain()
                if answered():
                    return True
        return False

    def _silent(self) -> PinFault:
        return self._gone(f"bench-sim at {self._path} does not answer within 2 s")

    def _take(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % RECORD_BYTES
        self._rest = data[whole:]
        for fields in RECORD.iter_unpack(data[:whole]):
            kind = fields[0]
            if kind == Kind.LEVEL:
                self._pushed(fields[1], fields[2], fields[6], fields[5])
            elif kind in _ANSWERS and fields[4]:
                self._answers[fields[4]] = fields
            elif kind == Kind.WELCOME:
                self._welcome = True
            elif kind == Kind.REFUSED:
                raise self._gone(_refusal(None, fields[3], unpack_text(fields[7])))
            else:
                text = unpack_text(fields[7])
                raise self._gone(f"bench-sim takes no more from this program: {text}")

    def _broken(self, error: OSError) -> PinFault:
        if isinstance(error, BlockingIOError):
            return self._gone("bench-sim does not take pin writes: its socket is full")
        if isinstance(error, BrokenPipeError):
            # It may have said why before it shut its end.
            try:
                while self._readable.poll(0):
                    self.drain()
            except PinFault as fault:
                return fault
        return self._gone(f"bench-sim has gone ({error.strerror})")

    def _gone(self, text: str) -> PinFault:
        if self._lost is None:
            self._lost = text
        return PinFault(self._lost)


def _refusal(pin: int | None, reason: int, text: str) -> str:
    line = "the bench" if pin is None else f"GPIO{pin}"
    match reason:
        case Refusal.BUSY:
            return f"{line} is busy: {text} holds it"
        case Refusal.NO_CHIP:
            return f"{line} has no GPIO chip: {text}"
        case Refusal.DENIED:
            return f"no permission for {line}: {text}"
        case _:
            return f"{line} is refused: {text}"


class BenchPin(PiPin):  # type: ignore[misc]  # gpiozero ships no types
    """One pin of the bench. Making it claims its line; a line has one owner."""

    def __init__(self, factory: BenchFactory, info: Untyped) -> None:
        super().__init__(factory, info)
        self._link = factory.link
        self._function = "input"
        self._pull = info.pull or "floating"
        self._level = 0
        self._rises = 0
        self._edges = "both"
        self._watched = False
        self._claimed = False
        factory.register(self._number, self)
        self._claim(_PULLS[self._pull])

    def close(self) -> None:
        """Give the line back; a bench that has gone has it back already."""
        self.when_changed = None
        if not self._claimed:
            return
        self._claimed = False
        self._function = "input"
        try:
            self._factory.ask(Kind.RELEASE, self._number)
        except PinFault:
            return

    def take(self, level: int, rises: int) -> tuple[int, int]:
        """Take in what the bench says of the line; return the rising and falling edges since."""
        if self._function == "output":  # pushed before the bench had our claim
            return 0, 0
        rising = rises - self._rises
        falling = rising + self._level - level
        self._level = level
        self._rises = rises
        return rising, falling

    @property
    def watched(self) -> bool:
        """Whether a callback waits for edges."""
        return self._watched

    def fire(self, rising: int, falling: int) -> None:
        """Call back for each edge, in turn: they alternate."""
        level = 1 if rising >= falling else 0
        if rising == falling:
            level = 1 - self._level  # the first edge led away from where the line is again
        for _ in range(rising + falling):
            wanted = self._edges == "both" or self._edges == ("rising" if level else "falling")
            if wanted and self._when_changed is not None:
                self._call_when_changed(self._factory.ticks(), level)
            level = 1 - level

    def output_with_state(self, state: object) -> None:
        """Claim the line as an output, at ``state`` from its first instant on."""
        self._claim(Function.OUTPUT, int(bool(state)))

    def input_with_pull(self, pull: str) -> None:
        """Claim the line as an input with its pull, in one."""
        self._check_pull(pull)
        self._claim(_PULLS[pull])
        self._pull = pull

    def _claim(self, function: Function, level: int = 0) -> None:
        # The bench pushes an input's level before it answers, so ``take`` has it already.
        self._factory.ask(Kind.CLAIM, self._number, level, function)
        self._claimed = True
        self._function = "input"
        if function is Function.OUTPUT:
            self._function = "output"
            self._level = level

    def _check_pull(self, pull: str) -> None:
        if pull not in _PULLS:
            raise PinInvalidPull(f"the pull of {self!r} is floating, up or down, not {pull!r}")
        if self.info.pull and pull != self.info.pull:
            raise PinFixedPull(f"{self!r} has a fixed pull-{self.info.pull} resistor")

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value == "output":
            self._claim(Function.OUTPUT)
        elif value == "input":
            self._claim(_PULLS[self._pull])
        else:
            raise PinInvalidFunction(f"{self!r} is an input or an output, not {value!r}")

    def _get_state(self) -> int:
        if self._function == "input":
            self._factory.poll()
        return self._level

    def _set_state(self, value: object) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set the state of {self!r}: it is an input")
        self._level = level = 1 if value else 0
        self._link.write(self._number, level)

    def _get_pull(self) -> str:
        return str(self._pull)

    def _set_pull(self, value: str) -> None:
        if self._function != "input":
            raise PinFixedPull(f"cannot set the pull of {self!r}: it is an output")
        self.input_with_pull(value)

    def _get_frequency(self) -> None:
        return None

    def _set_frequency(self, value: object) -> None:
        if value is not None:
            raise PinPWMUnsupported(f"the bench has no PWM on {self!r}")

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        self._edges = value

    def _get_bounce(self) -> None:
        return None

    def _set_bounce(self, value: object) -> None:
        """Take any debounce time and do none: a test of bouncing wants to see it."""

    def _enable_event_detect(self) -> None:
        self._watched = True

    def _disable_event_detect(self) -> None:
        self._watched = False


class BenchFactory(PiFactory):  # type: ignore[misc]  # gpiozero ships no types
    """gpiozero's pins on the bench at ``socket_path``; ``owner`` is the name others are told.

    ``now_ns`` is the real CLOCK_BOOTTIME: its stamps are what the plant judges speed by. For one
    thread. Raises PinFault where the bench is not there, and at every later use once it is lost.
    """

    def __init__(self, socket_path: Path, owner: str, now_ns: NowNs) -> None:
        super().__init__()
        self.pin_class = BenchPin
        self._now_ns = now_ns
        self._fired: deque[Fired] = deque()
        self._by_number: dict[int, BenchPin] = {}
        self._guarded: AbstractContextManager[Any] = nullcontext()
        self.link = _Link(socket_path, owner, now_ns, self._push)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when inputs have changed."""
        return self.link.fileno()

    def poll(self) -> None:
        """Take in what the bench has pushed and call back for it. Never blocks. Raises PinFault."""
        with self._guarded:
            self.link.drain()
        if self._fired:
            self._deliver()

    def ask(self, kind: Kind, pin: int, level: int = 0, extra: int = 0) -> Fields:
        """Ask the bench and return its answer. Raises PinFault."""
        with self._guarded:
            answer = self.link.ask(kind, pin, level, extra)
        if self._fired:
            self._deliver()
        return answer

    def sample(self, channel: Channel) -> int | None:
        """Return what the bench measures on ``channel`` now; None where there is no true value.

        Blocks at most 50 ms; a bench that is slower is a PinFault that passes.
        """
        with self._guarded:
            answer = self.link.sample(channel)
        if self._fired:
            self._deliver()
        return answer[6] if answer[2] else None

    def register(self, number: int, pin: BenchPin) -> None:
        """Let ``pin`` have what the bench pushes for its line."""
        self._by_number[number] = pin

    def close(self) -> None:
        """Give back every line, then the connection."""
        super().close()
        self.link.close()

    def ticks(self) -> int:
        """Return the instant in nanoseconds."""
        return self._now_ns()

    def ticks_diff(self, later: int, earlier: int) -> float:
        """Return the seconds between two ticks."""
        return (later - earlier) / 1e9

    def _push(self, number: int, level: int, rises: int, _stamp_ns: int) -> None:
        pin = self._by_number.get(number)
        if pin is None:
            return
        rising, falling = pin.take(level, rises)
        if pin.watched and rising + falling:
            self._fired.append((pin, rising, falling))

    def _deliver(self) -> None:
        while self._fired:
            pin, rising, falling = self._fired.popleft()
            pin.fire(rising, falling)

    def _get_revision(self) -> int:
        return _REVISION


class SharedBenchFactory(BenchFactory):
    """The bench for a user's own script: ``GPIOZERO_PIN_FACTORY=benchpump-sim``.

    The environment variable BENCHPUMP_BENCH names the socket. A thread takes in what the bench
    pushes, so ``when_pressed`` and ``wait_for_press`` work; callbacks run on it alone.
    """

    def __init__(self) -> None:
        named = os.environ.get(ENVIRONMENT_KEY)
        if not named:
            raise PinFault(
                f"{ENVIRONMENT_KEY} does not name the bench's socket: set it to the path that "
                "bench-sim printed"
            )
        script = Path(sys.argv[0]).name or "python"
        super().__init__(Path(named), script, _script_now_ns)
        self._guarded = threading.RLock()
        self._wake_read, self._wake_write = os.pipe()
        self._closing = False
        self._thread = threading.Thread(target=self._read_on, name="bench pins", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, then give everything back."""
        if not self._closing:
            self._closing = True
            self._wake()
            if self._thread is not threading.current_thread():
                self._thread.join()
            super().close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _read_on(self) -> None:
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        waiting.register(self._wake_read, select.POLLIN)
        while not self._closing:
            for descriptor, _ in waiting.poll():
                if descriptor == self._wake_read:
                    os.read(self._wake_read, 4096)
            if not self._closing:
                self.poll()

    def _wake(self) -> None:
        os.write(self._wake_write, b".")

    def _deliver(self) -> None:
        """Call back on the reading thread alone: then callbacks are never two at once."""
        if threading.current_thread() is self._thread:
            super()._deliver()
        else:
            self._wake()


def _script_now_ns() -> int:
    """Return gpiozero's own clock in nanoseconds: a script has no other that it could hand in."""
    return int(LocalPiFactory.ticks() * 1e9)
