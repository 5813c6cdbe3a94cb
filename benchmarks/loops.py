"""The two loops of the timing rows, each a process: ``python -m benchmarks.loops hobby|ours|peer``.

*ours* is the program ``pump-stepper`` itself: its ``deliver()``, its core, its wires, its STEP/DIR
driver and its real-time set-up, over gpiozero's mock pins. Only the pins stand in for a chip, and
a stamp is taken after each edge. *hobby* is what many projects do: a thread beside other work that
switches a pin on, sleeps, switches it off, sleeps.
"""

from __future__ import annotations

import json
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gpiozero import OutputDevice
from gpiozero.pins.mock import MockFactory

from appliance.adapters.clock import SystemClock, real_monotonic_ns
from appliance.adapters.realtime import take_realtime
from appliance.adapters.wires import Wire
from appliance.records import NO_LIMIT, Beat, Bye, Enable, Record, Stop
from appliance.stepper.__main__ import deliver
from appliance.stepper.loop import Ratio, Stepper, Timing
from drivers.gpio import PinFactories
from drivers.mock.mock_bench import QuietPin
from drivers.step_dir import StepDirAxis

PERIOD_NS = 3_700_000
"""270 steps a second: 1 U/s with 3.7 mU a step, about the fastest that the syringe pump goes."""
RATIO = Ratio(uu=37, steps=1)
RATE_UU_PER_H = 36_000_000
"""With this ratio one step falls due every ``PERIOD_NS``, exactly."""
MIN_INTERVAL_US = 2_000


class _Stamped:
    """The real axis; it notes when each edge was out."""

    def __init__(self, axis: StepDirAxis) -> None:
        self._axis = axis
        self.edges_ns: list[int] = []
        self.set_direction, self.wait_ns = axis.set_direction, axis.wait_ns
        self.allow, self.revoke = axis.allow, axis.revoke

    def step(self, count: int = 1) -> int:
        issued = self._axis.step(count)
        self.edges_ns.append(real_monotonic_ns())
        return issued


class _Never:
    def is_active(self) -> bool:
        return False


class _Listening(Stepper):
    """The real core; it notes when a stop was in its mail, and when each step was due."""

    stops_ns: list[int]
    due_ns: list[int]

    def turn(self, now_ns: int, inbox: Sequence[Record]) -> tuple[list[Record], list[Record], int]:
        if inbox and any(isinstance(one, Stop) for one in inbox):
            self.stops_ns.append(real_monotonic_ns())
        before = self.issued_steps
        due_ns = self._running[0].due_ns if self._running else 0
        outcome = super().turn(now_ns, inbox)
        if self.issued_steps > before:
            self.due_ns.append(due_ns)
        return outcome


def ours(pumpd_fd: int, guard_fd: int) -> None:
    """Be the stepper until the wires end; then print the stamps."""
    mock = MockFactory(pin_class=QuietPin)
    axis = _Stamped(
        StepDirAxis(
            PinFactories(mock, mock),
            step=17,
            direction=27,
            now_ns=real_monotonic_ns,
            min_interval_ns=MIN_INTERVAL_US * 1_000,
            pulse_ns=2_000,
        )
    )
    stepper = _Listening(
        run=1,
        ratio=RATIO,
        timing=Timing.at(1, MIN_INTERVAL_US),
        axis=axis,
        end_stop=_Never(),
        driver_fault=_Never(),
        hold=True,
    )
    stepper.stops_ns, stepper.due_ns = [], []
    granted = take_realtime(40)
    wires = [Wire(socket.socket(fileno=fd)) for fd in (pumpd_fd, guard_fd)]
    deliver(stepper, SystemClock("UTC"), *wires)
    print(
        json.dumps(
            {
                "edges_ns": axis.edges_ns,
                "due_ns": stepper.due_ns,
                "stops_ns": stepper.stops_ns,
                "fifo": granted.fifo,
            }
        )
    )


def peer(guard_fd: int) -> None:
    """Answer the stepper's beats as the guard does, at the guard's priority."""
    take_realtime(50)
    connection = socket.socket(fileno=guard_fd)
    wire = Wire(connection)
    import select

    print("ready", flush=True)
    while True:
        select.select([wire], [], [])
        for record in wire.read():
            if isinstance(record, Beat):
                wire.send(Enable(record.want_enable, record.wish))
            elif record == Bye():
                return


def hobby(ticks: int, *, loaded: bool) -> None:
    """Step as a hobby project does, in a daemon that also works; print each step's lateness and
    how late the last one came.
    """
    if loaded:
        for work in (_think, _store):
            threading.Thread(target=work, daemon=True).start()
    step = OutputDevice(17, pin_factory=MockFactory(pin_class=QuietPin))
    half_s = PERIOD_NS / 2e9
    late_ns = []
    before_ns = begun_ns = real_monotonic_ns()
    for _ in range(ticks):
        step.on()
        now_ns = real_monotonic_ns()
        late_ns.append(max(0, now_ns - before_ns - PERIOD_NS))
        before_ns = now_ns
        time.sleep(half_s)
        step.off()
        time.sleep(half_s)
    drift_ns = before_ns - begun_ns - (ticks - 1) * PERIOD_NS
    print(json.dumps({"late_ns": late_ns[1:], "drift_ns": drift_ns}))


def inside(ticks: int) -> None:
    """Step in a real-time thread with absolute deadlines, in a daemon that holds its interpreter in
    C calls; print each step's lateness.
    """
    late_ns: list[int] = []
    step = OutputDevice(17, pin_factory=MockFactory(pin_class=QuietPin))

    def loop() -> None:
        take_realtime(40)
        due_ns = real_monotonic_ns() + PERIOD_NS
        for _ in range(ticks):
            time.sleep(max(0, due_ns - real_monotonic_ns()) / 1e9)
            step.on()
            late_ns.append(max(0, real_monotonic_ns() - due_ns))
            step.off()
            due_ns = max(due_ns, real_monotonic_ns()) + PERIOD_NS

    thread = threading.Thread(target=loop)
    thread.start()
    while thread.is_alive():
        sum(range(3_000_000))
    print(json.dumps(late_ns[20:]))


def repeat(interval_ms: int, seconds: float) -> None:
    """Run an APScheduler job every so often, as a pump might that doses by it; print how many runs
    there were. What holds the process up meanwhile comes from outside.
    """
    from apscheduler.schedulers.background import BackgroundScheduler

    runs: list[int] = []
    scheduler = BackgroundScheduler()
    job = lambda: runs.append(real_monotonic_ns())  # noqa: E731
    scheduler.add_job(job, "interval", seconds=interval_ms / 1_000)
    scheduler.start()
    print("begun", flush=True)
    time.sleep(seconds)
    scheduler.shutdown()
    print(len(runs))


def _think() -> None:
    """Work as a daemon does that parses, sorts and draws."""
    table = {str(n): [random.random() for _ in range(20)] for n in range(300)}  # noqa: S311
    while True:
        sorted(json.loads(json.dumps(table)).items(), key=lambda one: one[1])


def _store() -> None:
    """Commit a row now and then, as durably as a ledger."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT)")
        while True:
            db.execute("INSERT INTO rows (text) VALUES ('row')")
            time.sleep(0.02)


def load_only() -> None:
    """Be the loaded daemon alone, until killed: beside it the other loops are measured."""
    threading.Thread(target=_store, daemon=True).start()
    _think()


def hog() -> None:
    """Keep a core busy until killed."""
    while True:
        sum(range(100_000))


def wakes(fd: int) -> None:
    """Note when each datagram of a socket was seen, as barely as Python can; print the stamps."""
    take_realtime(40)
    import select

    connection = socket.socket(fileno=fd)
    seen_ns = []
    while True:
        select.select([connection], [], [], 10)
        now_ns = real_monotonic_ns()
        if not connection.recv(256):
            break
        seen_ns.append(now_ns)
    print(json.dumps(seen_ns))


def main(words: Sequence[str]) -> None:
    """Be the loop that the words name."""
    match words:
        case ["ours", pumpd_fd, guard_fd]:
            ours(int(pumpd_fd), int(guard_fd))
        case ["peer", guard_fd]:
            peer(int(guard_fd))
        case ["hobby", ticks, load]:
            hobby(int(ticks), loaded=load == "loaded")
        case ["inside", ticks]:
            inside(int(ticks))
        case ["repeat", interval_ms, seconds]:
            repeat(int(interval_ms), float(seconds))
        case ["wakes", fd]:
            wakes(int(fd))
        case ["load"]:
            load_only()
        case ["hog"]:
            hog()
        case _:
            raise SystemExit(f"benchmarks.loops: {words} is none of its loops")


__all__ = ["NO_LIMIT", "PERIOD_NS", "RATE_UU_PER_H", "main"]

if __name__ == "__main__":
    main(sys.argv[1:])
