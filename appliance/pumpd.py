"""`pumpd`, the pump: the engine with its threads, sockets and children put together.

The main thread is the engine's: it turns it, carries out its effects, and starts the stepper,
which dies with this very thread. The ledger, the server, the sensor and the ``alive`` beat each
have a thread that hands the engine events and never touches its state.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import logging
import os
import pwd
import queue
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import BaseModel

from appliance import __version__
from appliance.adapters import ledger_thread as ledgers
from appliance.adapters import server as doors
from appliance.adapters.clock import (
    Start,
    SystemClock,
    boot_id,
    known_zones,
    real_monotonic_ns,
    real_sleep,
)
from appliance.adapters.guard_door import ask_for_checked_row, checked_row
from appliance.adapters.ledger import SqliteLedger
from appliance.adapters.ledger_thread import LedgerThread
from appliance.adapters.notify import Notifier
from appliance.adapters.pin import PinFile, PinThread
from appliance.adapters.wires import StepperWire, Wire, connect, pair
from appliance.client.messages import GUARDED, PUMP_METHODS, Role
from appliance.config import Config, load
from appliance.domain.battery import Battery
from appliance.domain.limits import INTERVAL_CEILING_S, Limits
from appliance.domain.occlusion import Line
from appliance.engine import messages as m
from appliance.engine.book import Book
from appliance.engine.context import Machine
from appliance.engine.preferences import SETTING as PREFERENCES
from appliance.engine.pump import Pump
from appliance.errors import (
    AlreadyRunning,
    BadConfiguration,
    BrokenChain,
    PinFault,
    ProtocolFault,
    PumpError,
    SensorFault,
    WireLost,
)
from appliance.records import Alive, Bye, Hello
from appliance.records import Head as HeadRecord
from appliance.records import Role as WireRole
from drivers.battery import BenchCells, Cells, GaugeOf, power_line
from drivers.battery import gauge_of as build_gauge
from drivers.board import Board, board_of
from drivers.factory import build_factory
from drivers.feedback import alarm_feedback
from drivers.force import CountedForce
from drivers.force import force_sensor as build_force_sensor
from drivers.gpio import PinFactories

_log = logging.getLogger("pumpd")
_CLOCK_READ_NS = 250_000_000
_ALIVE_S = 0.1
_LEAVE_NS = 300_000_000
_ENGINE_QUIET_NS = 2_000_000_000
_FIRST_LOOKS_S = 0.05
_GAUGE_S = 1.0
_REBUILD_S = 1.0
_GUARD_RETRY_NS = 200_000_000
_WATCHDOG_NS = 1_000_000_000
_WHOLE_ROWS = 50_000
"""A ledger of so many rows is checked whole in a moment: the guard is not asked."""
_ASKS, _ASK_AGAIN_S = 10, 0.1

Head = tuple[int, bytes]
"""Number and digest of a row of the ledger."""


class Inbox:
    """Events from other threads; a byte in a pipe wakes the engine's ``select``."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[m.Event] = queue.SimpleQueue()
        self.wake_fd, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def post(self, *events: m.Event) -> None:
        """Hand the engine what has happened, as one wake; safe from any thread."""
        for event in events:
            self._events.put(event)
        with contextlib.suppress(BlockingIOError):
            os.write(self._bell, b"!")

    def drain(self) -> list[m.Event]:
        """Return what has come, in order."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4_096)
        events = []
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events


class Stepper:
    """The child, its wire, and the words it is started with."""

    def __init__(self, config: Config, clock_file: Path | None) -> None:
        self._config = config
        self._clock_file = clock_file
        self._child: subprocess.Popen[bytes] | None = None
        self._leaving: tuple[Wire, int] | None = None
        self._swap = threading.Lock()
        self.wire: StepperWire | None = None
        self.run = 0

    def spawn(self, run: int) -> None:
        """Start a stepper for ``run``. Raises WireLost where the guard cannot be reached."""
        self.kill()
        guard = connect(self._config.paths.runtime / "guard.sock")
        ours, theirs = pair()
        with guard, theirs:
            self._child = subprocess.Popen(
                self._words(run, theirs.fileno(), guard.fileno()),
                pass_fds=(theirs.fileno(), guard.fileno()),
                stdin=subprocess.DEVNULL,
            )
        with self._swap:
            self.run, self.wire = run, StepperWire(ours)

    def _words(self, run: int, wire_fd: int, guard_fd: int) -> list[str]:
        pins, table, ratio = self._config.pins, self._config.mechanics, self._config.ratio()
        words: dict[str, int | str] = {
            "pumpd-fd": wire_fd,
            "guard-fd": guard_fd,
            "parent": os.getpid(),
            "run": run,
            "ratio-uu": ratio.ratio_uu,
            "ratio-steps": ratio.ratio_steps,
            "quantum-steps": ratio.quantum_steps,
            "min-interval-us": table.min_interval_us,
            "step-pulse-us": table.step_pulse_us,
            "step-pin": pins.step,
            "direction-pin": pins.direction,
            "end-stop-pin": pins.end_stop_n,
            "driver-fault-pin": pins.driver_fault_n,
            "direction-inverted": int(table.direction_inverted),
            "hold": int(table.hold == "reduced"),
            "factory": pins.factory,
        }
        if pins.factory == "bench":
            words["bench-socket"] = str(self._config.paths.runtime / "pins.sock")
        else:
            words["work-dir"] = str(self._config.paths.runtime)
        driver = self._config.driver
        if driver.kind == "tmc2209":
            words["uart"] = str(driver.uart)
            words["driver-address"] = driver.address
            words["driver-microsteps"] = table.microsteps
            words["driver-run-ma"] = driver.run_ma
            words["driver-hold-ma"] = driver.hold_ma if table.hold == "reduced" else 0
            words["driver-sense-mohm"] = driver.sense_mohm
            words["driver-stall-threshold"] = driver.stall_threshold
        if self._clock_file is not None:
            words["clock-file"] = str(self._clock_file)
        return [
            sys.executable,
            "-m",
            "appliance.stepper",
            *(f"--{name}={value}" for name, value in words.items()),
        ]

    def stop_all(self) -> tuple[int, int] | None:
        """Send a stop of everything, from any thread; return the run and its count of stops."""
        with self._swap:
            wire, run = self.wire, self.run
        if wire is None:
            return None
        with contextlib.suppress(WireLost):
            return run, wire.stop_all()
        return None

    def dismiss(self) -> None:
        """Tell the child to end, so that it takes its leave of the guard; ``reap`` sees to it."""
        with self._swap:
            wire, self.wire = self.wire, None
        if wire is not None:
            with contextlib.suppress(WireLost):
                wire.send(Bye())
            self._leaving = (wire, real_monotonic_ns() + _LEAVE_NS)

    def reap(self) -> None:
        """Bury a child that has ended, and end one that was told to and did not."""
        if self._leaving is None or self._child is None:
            return
        if self._child.poll() is not None or real_monotonic_ns() >= self._leaving[1]:
            self.kill()

    def leave(self) -> None:
        """Wait until a child that was told to end has taken its leave of the guard, but not long.

        One that is killed in mid-word is a loss to the guard, which then trips: a clean end would
        leave a latched trip behind. Nothing moves any more, so the engine may wait for it.
        """
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(_LEAVE_NS / 1e9)
        self.kill()

    def kill(self) -> None:
        """End the child and its wire at once, if there is one."""
        with self._swap:
            wire, self.wire = self.wire, None
        leaving, self._leaving = self._leaving, None
        for one in (wire, leaving[0] if leaving else None):
            if one is not None:
                one.close()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()


class AliveThread(threading.Thread):
    """Tells the guard every 100 ms that `pumpd` is up, as long as its engine turns."""

    def __init__(self, turns: Callable[[], int], wire: Callable[[], Wire | None]) -> None:
        super().__init__(name="alive", daemon=True)
        self._turns, self._wire = turns, wire
        self.ending = threading.Event()

    def run(self) -> None:
        """Beat until told to end; a guard that is gone is the engine's to notice."""
        last, since_ns = -1, real_monotonic_ns()
        while not self.ending.wait(_ALIVE_S):
            turns, now_ns = self._turns(), real_monotonic_ns()
            if turns != last:
                last, since_ns = turns, now_ns
            wire = self._wire()
            if wire is not None and now_ns - since_ns < _ENGINE_QUIET_NS:
                with contextlib.suppress(WireLost):
                    wire.send(Alive(turns))


class SensorThread(threading.Thread):
    """Reads force sensor and power-fail line, and where there is feedback, what lamps and buzzer
    draw.

    As often as the engine last asked for. It stops the motor itself at the threshold of force, and
    where the supply fails, before it tells the engine. A sensor that fails for a second is built
    anew: its pins may be lost, and be there again.
    """

    def __init__(
        self,
        build: Callable[[], ForceSource],
        threshold_mn: int,
        post: Callable[..., None],
        stop: Callable[[], None],
        died: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="sensor", daemon=True)
        self._build = build
        self._source: ForceSource | None = None
        self._failing_s = 0.0
        self._last_board: m.Board | None = None
        self._last_line: m.PowerLine | None = None
        self._threshold_mn = threshold_mn
        self._post, self._stop_motor, self._died = post, stop, died
        self._every_s = _FIRST_LOOKS_S
        self._bell = threading.Event()
        self._ending = False

    def look_every(self, ms: int) -> None:
        """Read so often from now on; where that is oftener than before, at once."""
        every_s = ms / 1_000
        if every_s != self._every_s:
            sooner = every_s < self._every_s
            self._every_s = every_s
            if sooner:
                self._bell.set()

    def end(self) -> None:
        """Have the thread end."""
        self._ending = True
        self._bell.set()

    def run(self) -> None:
        """Read until told to end. A bug here ends the program."""
        over = False
        try:
            while not self._ending:
                force_mn, text = self._read()
                if force_mn is not None and force_mn >= self._threshold_mn:
                    if not over:
                        self._stop_motor()
                    over = True
                else:
                    over = False
                events: list[m.Event] = []
                if self._source is None or self._source.sensor is not None:
                    events.append(m.Force(force_mn, text))
                self._post(*self._power(text), *events, *self._feedback(), *self._board())
                self._bell.wait(self._every_s if self._source is not None else _REBUILD_S)
                self._bell.clear()
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)
        finally:
            self._drop()

    def _read(self) -> tuple[int | None, str]:
        try:
            if self._source is None:
                self._source = self._build()
            sensor = self._source.sensor
            force_mn = None if sensor is None else sensor.read().force_mn
        except (PinFault, SensorFault) as fault:
            self._failing_s += self._every_s
            if self._failing_s >= _REBUILD_S:
                self._drop()
            return None, str(fault)
        self._failing_s = 0.0
        return force_mn, ""

    def _power(self, text: str) -> list[m.Event]:
        """Read the power-fail line, and tell what is new; the motor is stopped before that."""
        if self._source is None:
            if self._last_line is None:  # there may be none
                return []
            now = m.PowerLine(None, f"the power-fail line cannot be read: {text}")
        elif self._source.power_fails is None:
            return []
        else:
            try:
                now = m.PowerLine(self._source.power_fails())
            except PinFault as fault:
                now = m.PowerLine(None, str(fault))
        if now == self._last_line:
            return []
        self._last_line = now
        if now.failing:
            self._stop_motor()
        return [now]

    def _feedback(self) -> list[m.Event]:
        if self._source is None or self._source.feedback is None:
            return []
        try:
            flags = self._source.feedback()
        except PinFault:  # the bench is gone: that is a fault of the sensor and of the pins too
            return []
        return [] if flags is None else [m.Feedback(flags)]

    def _board(self) -> list[m.Event]:
        """Read the computer's own state, and tell what is new: whole degrees change seldom."""
        if self._source is None:
            return []
        try:
            now = m.Board(*self._source.board())
        except PinFault:  # the bench is gone, as above
            return []
        if now == self._last_board:
            return []
        self._last_board = now
        return [now]

    def _drop(self) -> None:
        source, self._source = self._source, None
        self._failing_s = 0.0
        if source is not None:
            source.close()


class GaugeThread(threading.Thread):
    """Reads the battery's gauge once a second. A bus that hangs keeps nothing else waiting: force
    and power-fail line are another thread's, and the engine notices the silence.
    """

    def __init__(
        self,
        gauge: GaugeOf,
        post: Callable[[m.BatteryGauge], None],
        died: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="gauge", daemon=True)
        self._gauge, self._post, self._died = gauge, post, died
        self.ending = threading.Event()

    def run(self) -> None:
        """Read until told to end. A bug here ends the program."""
        try:
            while not self.ending.is_set():
                self._post(self._read())
                self.ending.wait(_GAUGE_S)
        except Exception as error:  # noqa: BLE001 - a dead thread takes its program down
            self._died(error)
        finally:
            with contextlib.suppress(PinFault, OSError):
                self._gauge.close()

    def _read(self) -> m.BatteryGauge:
        try:
            return m.BatteryGauge(self._gauge.read())
        except (PinFault, SensorFault) as fault:
            return m.BatteryGauge(None, str(fault))


@dataclass(frozen=True, slots=True)
class ForceSource:
    """What the sensor thread reads, None for what there is not, and the pins it came with."""

    sensor: CountedForce | None
    feedback: Callable[[], int | None] | None
    factories: PinFactories | None
    board: Board
    power_fails: Callable[[], bool] | None = None

    def close(self) -> None:
        """Give both back."""
        with contextlib.suppress(PinFault, OSError):
            if self.sensor is not None:
                self.sensor.close()
        with contextlib.suppress(PinFault, OSError):
            if self.factories is not None:
                self.factories.close()


class Program:
    """The engine's loop, and the hands that carry out its effects."""

    def __init__(
        self, config: Config, digest: str, clock: SystemClock, clock_file: Path | None
    ) -> None:
        self._config = config
        self._clock = clock
        self._inbox = Inbox()
        self._stepper = Stepper(config, clock_file)
        self._guard: Wire | None = None
        self._guard_retry_ns = 0
        self._notifier = Notifier()
        self._turns = 0
        self._exit: int | None = None
        self._next_token = 0
        self._answers: dict[int, Callable[[doors.Answer], None]] = {}
        self._tokens = threading.Lock()
        self._clock_read_ns = 0
        self._watchdog_ns = 0
        self._ledger = SqliteLedger(config.paths.state / "ledger.db")
        guard = config.paths.runtime / "guard.sock"
        book, lines, self._to_name = fold(self._ledger, lambda: _remembered_by(guard))
        zone = (book.settings.get(PREFERENCES) or {}).get("zone")
        if zone:
            clock.use_zone(zone)
        self._pump = Pump(
            machine_of(config, digest, clock.speed),
            book,
            clock.read(),
            ledger_lines=lines,
            new_run=lambda: int.from_bytes(os.urandom(7), "big"),
            secret=os.urandom(32),
        )
        post = self._inbox.post
        self._ledger_thread = LedgerThread(
            self._ledger,
            ledgers.Answers(
                written=lambda batch, rows: post(m.Written(batch, rows)),
                trouble=lambda batch, text: post(m.WriteTrouble(batch, text)),
                refused=lambda batch, text: post(m.WriteRefused(batch, text)),
                found=lambda token, rows: post(m.Found(token, rows)),
                lost=lambda token, text: post(m.NotFound(token, text)),
                head=lambda *, ok, text: post(m.HeadChecked(ok, text)),
                checked=lambda faults: post(m.Checked(self._checks(faults))),
                died=self.died,
            ),
        )
        owner = os.geteuid() if config.pins.factory == "bench" else None
        self._server = doors.Server(
            config.paths.runtime / "pumpd.sock",
            PUMP_METHODS,
            roles=doors.roles_by_uid(users_of(config), owner),
            handler=self,
            now_ns=real_monotonic_ns,
            hello=self._hello,
            died=self.died,
        )
        self._alive = AliveThread(lambda: self._turns, lambda: self._guard)
        self._pins = PinThread(
            PinFile(config.paths.state / "pin"),
            lambda token, verdict: post(m.PinDone(token, verdict)),
            self.died,
        )
        self._sensor = SensorThread(
            lambda: force_source(config),
            config.force.threshold_mn,
            post,
            self._stop_now,
            self.died,
        )
        gauge = gauge_of(config)
        self._gauge = None if gauge is None else GaugeThread(gauge, post, self.died)

    # ------------------------------------------------------------------ the server's side

    def request(
        self,
        connection: int,
        uid: int,
        method: str,
        params: BaseModel,
        answer: Callable[[doors.Answer], None],
    ) -> None:
        """Take a client's request, on the server's thread."""
        with self._tokens:
            self._next_token += 1
            token = self._next_token
            self._answers[token] = answer
        self._inbox.post(m.Asked(token, connection, uid, method, params.model_dump()))

    def urgent(self, _connection: int, _uid: int, _method: str, params: BaseModel) -> None:
        """Stop the motor before anything else, on the server's thread: a stop needs no disk."""
        if getattr(params, "what", "all") == "all":
            self._stop_now("stopped by a person")

    def gone(self, connection: int) -> None:
        """Hear that a client has gone."""
        self._inbox.post(m.ClientGone(connection))

    def _stop_now(self, why: str = "") -> None:
        sent = self._stepper.stop_all()
        if sent is not None:
            self._inbox.post(m.StopSent(*sent, why))

    def _hello(self) -> Mapping[str, Any]:
        return {
            "pump": self._config.pump.name,
            "version": __version__,
            "speed": self._clock.speed,
            "bench": self._config.pins.factory == "bench",
            "utc_ns": self._clock.read().utc_ns,
        }

    def died(self, error: BaseException) -> None:
        """End the program: one of its threads has died of a bug. The guard sees the rest."""
        _log.critical("a thread died: %s: %s", type(error).__name__, error, exc_info=error)
        os._exit(1)

    # ------------------------------------------------------------------ the engine's loop

    def terminate(self, number: int, _frame: FrameType | None) -> None:
        """Ask for a clean end; safe in a signal handler."""
        self._inbox.post(m.Terminate(signal.Signals(number).name))

    def run(self) -> int:
        """Serve until the engine has closed everything; return the exit status."""
        self._ledger_thread.start()
        self._server.publish(self._pump.snapshot())  # nobody is told "no state yet"
        self._server.start()
        self._alive.start()
        self._pins.start()
        self._sensor.start()
        if self._gauge is not None:
            self._gauge.start()
        wake_ns = 0
        try:
            while self._exit is None:
                events = self._wait(wake_ns)
                self._turns += 1
                effects, wake_ns = self._pump.turn(self._clock.monotonic_ns(), events)
                for effect in effects:
                    self._do(effect)
                self._sensor.look_every(self._pump.look_ms)
                self._feed_watchdog()
        finally:
            self._alive.ending.set()
            self._pins.end()
            self._sensor.end()
            if self._gauge is not None:
                self._gauge.ending.set()
            self._server.close()
            self._ledger_thread.end()
            if self._exit is None:
                self._stepper.kill()
            else:
                self._stepper.leave()
        return self._exit or 0

    def _wait(self, wake_ns: int) -> list[m.Event]:
        self._reach_guard()
        self._stepper.reap()
        wires: list[Any] = [self._inbox.wake_fd]
        wires += [one for one in (self._stepper.wire, self._guard) if one is not None]
        timeout_s = min(self._clock.real_timeout_s(wake_ns), 0.25)
        readable, _, _ = select.select(wires, [], [], timeout_s)
        events: list[m.Event] = []
        now_ns = real_monotonic_ns()
        if now_ns - self._clock_read_ns >= _CLOCK_READ_NS:
            self._clock_read_ns = now_ns
            events.append(m.ClockRead(self._clock.read()))
        # The guard first: a count that is here is heard before the total that it confirms.
        if self._guard is not None and self._guard in readable:
            events += self._read_guard(self._guard)
        if self._stepper.wire is not None and self._stepper.wire in readable:
            events += self._read_stepper(self._stepper.wire)
        return events + self._inbox.drain()

    def _read_guard(self, wire: Wire) -> list[m.Event]:
        try:
            records = wire.read()
        except (ProtocolFault, WireLost) as error:
            self._drop_guard()
            return [m.GuardLost(str(error))]
        for record in records:
            if isinstance(record, HeadRecord):
                self._compare_head(record)
        return [m.FromGuard(record) for record in records]

    def _compare_head(self, head: HeadRecord) -> None:
        digest = b"".join(
            part.to_bytes(8, "big", signed=True)
            for part in (head.hash_a, head.hash_b, head.hash_c, head.hash_d)
        )
        if head.seq == 0:
            # The guard remembers nothing: right for a new pump, and a lost file for an old one.
            known = self._pump.rows_before
            text = "the guard's own file is new, and the ledger is not"
            self._inbox.post(m.HeadChecked(known == 0, "" if known == 0 else text))
        else:
            self._ledger_thread.put(ledgers.CompareHead(head.seq, digest))

    def _read_stepper(self, wire: Wire) -> list[m.Event]:
        run = self._stepper.run
        try:
            return [m.FromStepper(run, record) for record in wire.read()]
        except (ProtocolFault, WireLost) as error:
            self._stepper.kill()
            return [m.StepperLost(run, str(error))]

    def _reach_guard(self) -> None:
        now_ns = real_monotonic_ns()
        if self._guard is not None or now_ns < self._guard_retry_ns:
            return
        self._guard_retry_ns = now_ns + _GUARD_RETRY_NS
        with contextlib.suppress(WireLost):
            wire = Wire(connect(self._config.paths.runtime / "guard.sock"))
            wire.send(Hello(int(WireRole.PUMPD), 0, 0))
            if self._to_name is not None:
                wire.send(checked_row(*self._to_name))
                self._to_name = None
            self._guard = wire
            self._inbox.post(m.GuardUp())

    def _drop_guard(self) -> None:
        wire, self._guard = self._guard, None
        if wire is not None:
            wire.close()

    def _do(self, effect: m.Effect) -> None:
        match effect:
            case m.Write(batch, entries):
                self._ledger_thread.put(ledgers.Append(batch, entries))
            case m.PinTask(token, verb, pin):
                self._pins.ask(token, verb, pin)
            case m.Find(token, request_id):
                self._ledger_thread.put(ledgers.Lookup(token, request_id))
            case m.ToStepper(record):
                if self._stepper.wire is not None:
                    with contextlib.suppress(WireLost):  # its end of file is read as a loss
                        self._stepper.wire.send(record)
            case m.StopAll():
                self._stop_now()
            case m.ToGuard(record):
                if self._guard is not None:
                    with contextlib.suppress(WireLost):  # its end of file is read as a loss
                        self._guard.send(record)
            case m.SpawnStepper(run):
                try:
                    self._stepper.spawn(run)
                except (OSError, WireLost) as error:
                    self._inbox.post(m.StepperLost(run, str(error)))
            case m.KillStepper():
                self._stepper.dismiss()
            case m.Check():
                self._ledger_thread.put(ledgers.SelfCheck())
            case m.Reply(token, answer):
                self._reply(token, answer)
            case m.Publish(snapshot):
                self._server.publish(snapshot)
            case m.UseZone(zone):
                self._clock.use_zone(zone)
                self._clock_read_ns = 0
            case m.Ready(ok):
                _log.info("ready%s", "" if ok else ", and not able to deliver: see pumpctl status")
                self._notifier.say("READY=1")
            case m.Exit():
                self._notifier.say("STOPPING=1")
                self._exit = 0
            case _:
                raise NotImplementedError(effect)

    def _reply(self, token: int, answer: m.Answer) -> None:
        with self._tokens:
            respond = self._answers.pop(token)
        match answer:
            case m.Done(result):
                respond(doors.Done(result))
            case m.Refused(reasons):
                respond(doors.Refused([asdict(one) for one in reasons]))
            case m.Unknown(text):
                respond(doors.Unknown(text))

    def _checks(self, faults: Sequence[str]) -> list[m.CheckResult]:
        """Return the program's own part of the self-test."""
        lines = [
            m.CheckResult("disk", ok=not faults, text="; ".join(faults) or "written and read back")
        ]
        required = self._config.safety.watchdog == "required"
        armed = self._notifier.watchdog_us > 0
        lines.append(
            m.CheckResult(
                "watchdog",
                ok=armed or not required,
                text="armed" if armed else "not armed" if required else "declared absent",
            )
        )
        return lines

    def _feed_watchdog(self) -> None:
        """Feed the watchdog from the engine's loop alone: a free-running timer would feed it for a
        dead one.
        """
        now_ns = real_monotonic_ns()
        if now_ns - self._watchdog_ns >= _WATCHDOG_NS:
            self._watchdog_ns = now_ns
            self._notifier.say("WATCHDOG=1")


def fold(
    ledger: SqliteLedger, remembered: Callable[[], Head | None] = lambda: None
) -> tuple[Book, list[m.CheckResult], Head | None]:
    """Check the chain and return the book, the self-test's line, and a head to remember as checked.

    A short ledger is checked whole. Of a long one the rows up to the one that ``remembered`` names
    have passed a full check, and those after it are checked. Raises BrokenChain.
    """
    known = remembered() if ledger.head()[0] > _WHOLE_ROWS else None
    if known is not None:
        try:
            head = ledger.check_chain(*known)
            said = (
                f"{head[0]} rows: up to row {known[0]} a full check has passed them,"
                " and every one since follows from the last"
            )
        except BrokenChain:  # another file, or a damaged one: only the whole chain tells
            known = None
    if known is None:
        head = ledger.check_chain()
        said = f"{head[0]} rows, every one follows from the last"
    book = Book()
    checkpoint = ledger.last_of("checkpoint")
    rows = [] if checkpoint is None else [checkpoint]
    try:
        for row in itertools.chain(rows, ledger.walk(checkpoint.seq if checkpoint else 0)):
            book.apply(row)
    except (KeyError, TypeError, ValueError) as error:
        text = f"row {book.seq} says what cannot follow from the rows before it: {error!r}"
        raise BrokenChain(book.seq, text) from error
    line = m.CheckResult("ledger", ok=True, text=said)
    return book, [line], head if known is None else None


def _remembered_by(guard: Path) -> Head | None:
    """Return the row that the guard at ``guard`` knows as checked; a guard that starts beside
    `pumpd` is waited for a moment. None where there is none: then every row is checked.
    """
    for _ in range(_ASKS):
        try:
            return ask_for_checked_row(guard)
        except WireLost as error:
            lost = error
        real_sleep(_ASK_AGAIN_S)
    _log.warning("no guard tells which row was checked last (%s): every row is checked", lost)
    return None


def machine_of(config: Config, digest: str, speed: int) -> Machine:
    """Return the facts that the engine needs, from the configuration."""
    ceilings = config.ceilings
    table, safety = config.mechanics, config.safety
    declared = {
        'real time is wanted, not required (realtime = "wanted")': safety.realtime == "wanted",
        'no service watchdog (watchdog = "none")': safety.watchdog == "none",
        'steps are not read back (readback = "none")': safety.readback == "none",
        'ENABLE has no one-shot (one_shot = "none")': safety.one_shot == "none",
        'the motor rests on full steps (hold = "off"): doses are whole full steps': table.hold
        == "off",
        'light and sound are checked by their current, not by a person (signals = "feedback")': (
            safety.signals == "feedback"
        ),
    }
    return Machine(
        name=config.pump.name,
        fluid=config.pump.fluid,
        mechanics=config.ratio(),
        lease_uu=safety.lease_uu,
        ceilings=Limits(
            ceilings.max_bolus_uu,
            ceilings.hourly_uu,
            ceilings.daily_uu,
            ceilings.max_basal_uu_per_h,
            INTERVAL_CEILING_S,
        ),
        hold=table.hold,
        readback=safety.readback == "required",
        realtime_required=safety.realtime == "required",
        force_kind=config.force.kind,
        force_required=config.force.required,
        force_threshold_mn=config.force.threshold_mn,
        stop_button=safety.stop_button,
        min_interval_ns=table.min_interval_us * 1_000,
        capacity_uu=table.capacity_uu,
        bench=config.pins.factory == "bench",
        weaker=tuple(text for text, holds in declared.items() if holds),
        speed=speed,
        boot_id=boot_id(),
        version=__version__,
        config_sha256=digest,
        pids=(("pumpd", os.getpid()),),
        signals=safety.signals,
        guarded=GUARDED,
        zone=config.pump.zone,
        zones=known_zones(),
        line=Line(
            table.bore_um,
            table.concentration_u_per_ml,
            config.force.friction_mn,
            config.force.line_nl_per_kpa,
        ),
        battery=battery_of(config),
        power_line=has_power_line(config),
    )


def battery_of(config: Config) -> Battery | None:
    """Return the battery's facts; None where there is none."""
    table = config.battery
    if table is None or table.kind == "none":
        return None
    return Battery(table.capacity_mwh, table.load_mw)


def has_power_line(config: Config) -> bool:
    """Say whether something tells that the supply fails: a pin, or the bench's battery."""
    bench = config.battery is not None and config.battery.kind == "bench"
    return bench or config.pins.power_fail_n is not None


def users_of(config: Config) -> dict[Role, set[int]]:
    """Return the uids of each role. Raises BadConfiguration for a name that nobody has."""
    faults: list[str] = []

    def uids(field: str, names: Sequence[int | str]) -> set[int]:
        found = set()
        for name in names:
            try:
                found.add(name if isinstance(name, int) else pwd.getpwnam(name).pw_uid)
            except KeyError:
                faults.append(f"users.{field} = {name!r}: no such user on this machine")
        return found

    users = {
        Role.OBSERVE: uids("observe", config.users.observe),
        # Whoever may dose may hand in a reading too; the keeper may do that and nothing else.
        Role.REPORT: uids("report", [*config.users.report, *config.users.operate]),
        Role.OPERATE: uids("operate", config.users.operate),
        Role.SETTINGS: uids("settings", config.users.settings),
    }
    if config.pins.factory == "bench":
        users[Role.BENCH] = uids("bench", config.users.bench)
    if faults:
        raise BadConfiguration("users", faults)
    return users


def force_source(config: Config) -> ForceSource:
    """Build what the sensor thread reads, as configured. Raises PinFault and SensorFault."""
    table, line = config.force, config.pins.power_fail_n
    runtime = config.paths.runtime
    if table.kind == "none" and line is None and config.pins.factory != "bench":
        return ForceSource(None, None, None, board_of(config.pins.factory, None))
    factories = build_factory(
        config.pins.factory,
        owner="pumpd",
        now_ns=real_monotonic_ns,
        bench_socket=runtime / "pins.sock",
        work_dir=runtime if config.pins.factory != "bench" else None,
    )
    sensor = build_force_sensor(
        table.kind,
        factories,
        now_ns=real_monotonic_ns,
        i2c_bus=table.i2c_bus,
        i2c_address=table.i2c_address,
        channel=table.channel,
        zero_counts=table.zero_counts,
        un_per_count=table.un_per_count,
    )
    return ForceSource(
        sensor,
        alarm_feedback(config.pins.factory, factories),
        factories,
        board_of(config.pins.factory, factories),
        power_line(config.pins.factory, factories, pin=line) if has_power_line(config) else None,
    )


def gauge_of(config: Config) -> GaugeOf | None:
    """Return the battery's gauge, as configured and not yet opened; None where there is none."""
    table = config.battery
    if table is None or table.kind == "none":
        return None
    return build_gauge(
        table.kind,
        lambda: _bench_cells(config.paths.runtime / "pins.sock"),
        bus=table.i2c_bus,
        address=table.i2c_address,
        empty_mv=table.empty_mv,
        full_mv=table.full_mv,
    )


def _bench_cells(pins_socket: Path) -> Cells:
    """Open the bench's battery over a connection of its own: the pins are another thread's."""
    factories = build_factory(
        "bench", owner="pumpd's gauge", now_ns=real_monotonic_ns, bench_socket=pins_socket
    )
    return BenchCells(factories.inputs.sample, factories.close)


def _take_lock(runtime: Path) -> int:
    """Be the one pumpd of this folder, or raise AlreadyRunning (SR-62)."""
    descriptor = os.open(runtime / "pumpd.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise AlreadyRunning(f"another pumpd runs in {runtime}: no pin was touched") from error
    return descriptor


def _explain(runtime: Path | None, reasons: Sequence[str]) -> None:
    """Leave the reasons where screen and pumpctl find them: a pump that cannot start is not
    mute.
    """
    for text in reasons:
        _log.critical("%s", text)
    if runtime is not None:
        with contextlib.suppress(OSError):
            (runtime / "pumpd.why").write_text("\n".join(reasons) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pump; exit status 0 after a clean end, 2 for a bad configuration, 1 for anything
    else.
    """
    parser = argparse.ArgumentParser(prog="pumpd", description="The pump. BENCH use, water only.")
    parser.add_argument("--config", type=Path, required=True, help="the machine's configuration")
    parser.add_argument("--clock-file", type=Path, help="the demo's start instant and speed")
    parser.add_argument("--runtime", type=Path, help="where to explain a start that fails")
    words = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(levelname)s: %(message)s")
    runtime: Path | None = words.runtime
    try:
        config, digest = load(words.config)
        runtime = config.paths.runtime
        clock = SystemClock(
            config.pump.zone, Start.load(words.clock_file) if words.clock_file else None
        )
        lock = _take_lock(runtime)
    except BadConfiguration as fault:
        _explain(runtime, [f"{fault.source}: {text}" for text in fault.faults])
        return 2
    except AlreadyRunning as fault:
        _log.critical("%s", fault)
        return 1
    except OSError as error:
        _explain(runtime, [f"{error.filename}: {error.strerror}"])
        return 1
    (runtime / "pumpd.why").unlink(missing_ok=True)
    try:
        program = Program(config, digest, clock, words.clock_file)
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, program.terminate)
        return program.run()
    except BadConfiguration as fault:
        _explain(runtime, [f"{fault.source}: {text}" for text in fault.faults])
        return 2
    except BrokenChain as fault:
        ledger = config.paths.state / "ledger.db"
        _explain(
            runtime,
            [
                f"the ledger {ledger} is broken at row {fault.seq}: {fault}",
                "nothing moves on a history that cannot be trusted: keep the file for study, move "
                "it away, and start again; earlier doses count as unknown until you acknowledge it",
            ],
        )
        return 1
    except PumpError as fault:
        _explain(runtime, [f"{fault.code}: {fault}"])
        return 1
    finally:
        os.close(lock)


if __name__ == "__main__":
    sys.exit(main())
