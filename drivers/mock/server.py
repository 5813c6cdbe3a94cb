"""``bench-sim``: the plant behind two sockets, in one thread.

The pins socket is for programs (``drivers.bench_pins``), the control socket for people and tests:
newline-delimited JSON-RPC 2.0, one request a line, at most 64 KiB. This is its contract.

``status {}``
    The truth. Always there: ``steps_forward`` and ``steps_reverse`` (microsteps that really
    moved), ``volume_nl`` (fluid that left the needle), ``enable`` (at the motor driver, behind the
    one-shot). Edges at the motor driver: ``edges_seen`` = ``steps_forward`` + ``steps_reverse`` +
    ``missed_edges`` + ``edges_while_disabled``; ``edges_sent`` by the program (differs while STEP
    is stuck), ``readback_edges`` shown to the guard, ``short_pulses``. Stamps in CLOCK_BOOTTIME ns
    or null: ``last_edge_ns``, ``last_step_ns``, ``min_gap_ns`` between any two edges, ``now_ns``.
    Place: ``carriage_steps`` from the back end stop, ``snapped_steps`` of a rotor without current,
    ``at_end``, ``syringe`` ("in", "out"), ``left_nl`` in it. Fluid, so that ``displaced_nl`` =
    ``stored_nl`` + ``volume_nl`` + ``leaked_nl`` + ``air_out_nl``; ``air_nl`` in the line,
    ``pressure_kpa``, ``force_mn`` (the true push), ``balance_ug`` (what the balance shows).
    ``battery_pct``, ``board_c``, ``power_flags`` (1 under-voltage, 2 throttled, 4 power fails),
    ``signals`` (what is really heard and seen, by wire), ``levels`` (of every wire), ``faults``
    (the active ones with their parameters), ``nl_per_step``, ``speed``, ``pid``, ``programs`` (each
    with ``name`` and the ``pins`` it holds).
``faults {}``
    The table: a list of ``name``, ``row`` (F53..F65), ``text``, ``once`` and ``parameters``, each
    with ``valid`` and ``default``.
``inject {"name": NAME, ...}``
    Begin a fault; its parameters stand beside the name. The same name again replaces it. Result:
    ``name`` and all parameters as they are now. A fault marked ``once`` happens and is over.
``clear {"name": NAME}`` or ``{"name": "all"}``
    End it. Result: ``cleared``, the names that were active. A program that ``pins_denied`` has hit
    must connect again.
``press {"button": "stop", "ms": 100}``
    Press the stop button for so long. Result: ``button``, ``ms``.
``set {FIELD: VALUE, ...}``
    ``battery_pct`` 0..100, ``board_c``, ``evaporation_ug_per_h``, ``syringe`` "in" or "out",
    ``fill_nl`` (put in a syringe that holds so much; the carriage must have been rewound far
    enough), ``carriage_steps`` (put it there by hand; with the syringe in, not beyond the plunger).
    All of it or nothing. Result: what was set.
``traces {"last": 100}``
    The last transitions (1..4096), oldest first: ``enable`` as [ns, on, "line" or "one-shot"],
    ``step`` as [ns, level] at the motor driver, ``signals`` as [ns, on] by wire.

Errors: -32700 not JSON, -32600 no request, -32601 no such method, -32602 bad parameters with
``data``: ``field``, ``value``, ``range``.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from drivers.mock.control_door import ControlDoor
from drivers.mock.doors import listen
from drivers.mock.faults import BadFault, Number, described
from drivers.mock.pins_door import PinsDoor
from drivers.mock.plant import NEVER_NS, TRACE_ENTRIES, Plant
from drivers.mock.settings import BenchSettings

_NS_PER_MS = 1_000_000
_LONGEST_MS = 60_000


def now_ns() -> int:
    """Return the real time of the pins' stamps: it goes on while the computer sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class BenchServer:
    """The whole program but its command line. Raises AlreadyRunning, PinFault or OSError."""

    def __init__(
        self, settings: BenchSettings, *, pins_socket: Path, control_socket: Path, mode: int
    ) -> None:
        self._paths: list[Path] = []
        self._ending = False
        self._poll = select.poll()
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.settimeout(0)
        self._poll.register(self._wake_read, select.POLLIN)
        pins = self._listen(pins_socket, mode)
        try:
            control = self._listen(control_socket, mode)
        except BaseException:
            pins.close()
            self._unlink()
            raise
        self._pins = PinsDoor(pins, self._poll, settings.pins)
        self.plant = Plant(settings, now_ns(), self._pins.changed)
        self._control = ControlDoor(
            control,
            self._poll,
            {
                "status": self._status,
                "faults": _faults,
                "inject": self._inject,
                "clear": self._clear,
                "press": self._press,
                "set": self._set,
                "traces": self._traces,
            },
        )

    def end_on(self, *signals: signal.Signals) -> None:
        """End ``run`` at these signals; for the main thread."""
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for each in signals:
            signal.signal(each, self._end)

    def run(self) -> None:
        """Serve until a signal ends it, then close both sockets and remove their files."""
        try:
            while not self._ending:
                self._turn()
        finally:
            self._pins.close()
            self._control.close()
            self._wake_read.close()
            self._wake_write.close()
            self._unlink()

    def _turn(self) -> None:
        poll = self._poll
        poll.poll(self._timeout_ms())
        look_ns = now_ns()
        waiting = []
        for descriptor, events in poll.poll(0):  # after the look, so that nothing older is missed
            if self._pins.owns(descriptor):
                self._pins.handle(descriptor, events)
            else:
                waiting.append((descriptor, events))
        self._pins.apply(self.plant, look_ns)
        self.plant.advance(look_ns)
        if self._pins.hurried:
            waiting = []  # whoever asks sees what was written before: the next turn is at once
        for descriptor, events in waiting:
            if descriptor == self._wake_read.fileno():
                self._wake_read.recv(4096)
            else:
                self._control.handle(descriptor, events)
        self._pins.push(self.plant, look_ns)

    def _timeout_ms(self) -> int:
        if self._pins.hurried:
            return 0
        next_ns = self.plant.next_event_ns
        if next_ns == NEVER_NS:
            return _LONGEST_MS
        left_ns = next_ns - now_ns()
        return max(0, min(_LONGEST_MS, -(-left_ns // _NS_PER_MS)))

    def _listen(self, path: Path, mode: int) -> socket.socket:
        listening = listen(path, mode)
        self._paths.append(path)
        return listening

    def _unlink(self) -> None:
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    # -------------------------------------------------------------- methods

    def _status(self, given: Mapping[str, Any]) -> dict[str, Any]:
        _nothing_else(given)
        return self.plant.status(now_ns()) | {
            "speed": self.plant.settings.speed,
            "pid": os.getpid(),
            "programs": self._pins.programs(),
        }

    def _inject(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = given.get("name")
        parameters = {key: each for key, each in given.items() if key != "name"}
        values = self.plant.inject(name, parameters, now_ns())
        if self.plant.knobs.pins_denied:
            self._pins.deny()
        return {"name": name} | values

    def _clear(self, given: Mapping[str, Any]) -> dict[str, Any]:
        _nothing_else(given, "name")
        return {"cleared": self.plant.clear(given.get("name"), now_ns())}

    def _press(self, given: Mapping[str, Any]) -> dict[str, Any]:
        _nothing_else(given, "button", "ms")
        button, ms = given.get("button", "stop"), given.get("ms", 100)
        self.plant.press(button, ms, now_ns())
        return {"button": button, "ms": ms}

    def _set(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self.plant.set(given, now_ns())

    def _traces(self, given: Mapping[str, Any]) -> dict[str, Any]:
        _nothing_else(given, "last")
        last = Number(1, TRACE_ENTRIES).read("last", given.get("last", 100))
        return self.plant.traces(int(last))


def _faults(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    _nothing_else(given)
    return described()


def _nothing_else(given: Mapping[str, Any], *known: str) -> None:
    for key in given:
        if key not in known:
            raise BadFault("parameter", key, f"one of {', '.join(known) or 'none'}")
