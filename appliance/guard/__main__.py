"""`pump-guard`: the second channel as a program.

It listens for `pumpd` and the stepper, reads its own pins, turns its core, sets ENABLE and keeps
its own file. It starts before `pumpd`, does not depend on it, and outlives it: silence is what it
watches for.
"""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from appliance.adapters.clock import Start, SystemClock, real_monotonic_ns
from appliance.adapters.notify import Notifier
from appliance.adapters.realtime import take_realtime
from appliance.adapters.wires import Wire, listen
from appliance.errors import BadConfiguration, PinFault, ProtocolFault, PumpError, WireLost
from appliance.guard.core import Budgets, Guard, Outputs, PinReading, Result, Timing
from appliance.guard.facts import Facts, facts_from
from appliance.guard.store import MemoryFile, Saver
from appliance.records import Bye, Hello, Record, Role
from drivers.assembly import GuardHardware, guard_hardware
from drivers.factory import build_factory
from drivers.gpio import PinFactories
from drivers.lines import Output

_FIFO_PRIORITY = 50
_PRIME_BUDGET_U = 60
_REWIND_BUDGET_U = 310
_WATCHDOG_NS = 1_000_000_000
_log = logging.getLogger("pump-guard")


def budgets(facts: Facts) -> Budgets:
    """Work out the hourly budgets in microsteps: dose 1.5 x the hourly ceiling, prime 60 U, rewind
    310 U.

    The guard's own arithmetic, in whole picolitres of a microstep rounded down, so that a budget
    errs on the large side by less than a step and never shares a rounding with `pumpd`.
    """
    turn_fl = 314_159_265 * facts.bore_um**2 * facts.lead_um // (4 * 10**8)
    # um^3 are femtolitres; 1 U is 10^12 / concentration of them.
    steps_of_turn = facts.full_steps * facts.microsteps

    def steps(amount_uu: int) -> int:
        volume_fl = amount_uu * 10**6 // facts.concentration_u_per_ml
        return volume_fl * steps_of_turn // turn_fl + 1

    return Budgets(
        dose_steps=steps(facts.hourly_uu * 3 // 2),
        prime_steps=steps(_PRIME_BUDGET_U * 1_000_000),
        rewind_steps=steps(_REWIND_BUDGET_U * 1_000_000),
    )


@dataclass(slots=True)
class _Pins:
    """The lines, set only when they change; a pin that fails is reported once and kept off."""

    hardware: GuardHardware
    _set: dict[str, bool] = field(default_factory=dict)

    def read(self) -> PinReading:
        hardware = self.hardware
        enable_on = hardware.enable_feedback.is_active()
        edges = hardware.counter.count() if hardware.counter else 0
        button = hardware.stop_button.is_active() if hardware.stop_button else False
        return PinReading(enable_on, edges, button, hardware.enable_feedback.was_lost())

    def write(self, outputs: Outputs) -> None:
        """Set ENABLE first when it goes off, last when it goes on."""
        lines = {
            "enable": (self.hardware.enable, outputs.enable),
            "alive": (self.hardware.alive, outputs.alive),
            "lamp_high": (self.hardware.lamps.high, outputs.lamp_high),
            "lamp_medium": (self.hardware.lamps.medium, outputs.lamp_medium),
            "lamp_low": (self.hardware.lamps.low, outputs.lamp_low),
            "buzzer": (self.hardware.buzzer, outputs.buzzer),
        }
        names = list(lines) if not outputs.enable else [*list(lines)[1:], "enable"]
        for name in names:
            line, active = lines[name]
            if self._set.get(name) != active:
                line.set(active=active)
                self._set[name] = active


class Program:
    """The sockets, the pins and the file around one guard core."""

    def __init__(
        self, facts: Facts, clock: SystemClock, pins: _Pins, listener: socket.socket
    ) -> None:
        self._clock = clock
        self._pins = pins
        self._listener = listener
        self._file = MemoryFile(Path(facts.state) / "guard")
        self._guard = Guard(
            timing=Timing.at(clock.speed),
            budgets=budgets(facts),
            memory=self._file.load(),
            readback=facts.readback is not None,
            one_shot=facts.one_shot,
            pid=os.getpid(),
        )
        self._saver = Saver(self._file)
        self._new: list[Wire] = []
        self._wires: dict[Role, Wire] = {}
        self._mail: list[tuple[Role, Record]] = []
        self._ending = False
        self._notifier = Notifier()
        self._watchdog_ns = 0
        self.status = 0
        self._last_reading = PinReading(enable_on=False, edges=0, button=False)

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """End after this turn, with ENABLE off."""
        self._ending = True

    def run(self) -> None:
        """Turn the core until told to end."""
        self._saver.start()
        wake_ns = self._turn().wake_ns  # ENABLE is set, and read, before anybody is told of a guard
        if not self._ending:
            self._notifier.say("READY=1")
        try:
            while not self._ending:
                self._wait(wake_ns)
                wake_ns = self._turn().wake_ns
                self._feed_watchdog()
        finally:
            self._off()
            self._saver.end()

    def _feed_watchdog(self) -> None:
        """Feed the service watchdog from this loop alone, at most once a second."""
        now_ns = real_monotonic_ns()
        if now_ns - self._watchdog_ns >= _WATCHDOG_NS:
            self._watchdog_ns = now_ns
            self._notifier.say("WATCHDOG=1")

    def _wait(self, wake_ns: int) -> None:
        sources: list[socket.socket | Wire] = [self._listener, *self._new, *self._wires.values()]
        readable, _, _ = select.select(sources, [], [], self._clock.real_timeout_s(wake_ns))
        # Who has gone is known to have gone before somebody comes in his place.
        for role in list(self._wires):
            wire = self._wires[role]
            if wire in readable:
                self._receive(role, wire)
        for wire in [one for one in self._new if one in readable]:
            self._greet(wire)
        if self._listener in readable:
            self._accept()

    def _turn(self) -> Result:
        now_ns = self._clock.monotonic_ns()
        try:
            self._last_reading = self._pins.read()
        except PinFault as fault:
            self._pins_are_lost(now_ns, fault)
        mail, self._mail = self._mail, []
        result = self._guard.turn(now_ns, mail, self._last_reading)
        try:
            self._pins.write(result.outputs)
        except PinFault as fault:
            self._pins_are_lost(now_ns, fault)
        self._send(Role.STEPPER, result.to_stepper)
        self._send(Role.PUMPD, result.to_pumpd)
        if result.save is not None:
            self._saver.put(result.save)
        return result

    def _pins_are_lost(self, now_ns: int, fault: PinFault) -> None:
        """Trip, tell everybody, and end: the pull on ENABLE is safer than a guard without pins."""
        _log.error("%s: %s", fault.code, fault)
        self._guard.pin_fault(now_ns)
        self.status, self._ending = 1, True

    def _send(self, role: Role, records: list[Record]) -> None:
        wire = self._wires.get(role)
        if wire is None:
            return
        try:
            wire.send_all(records)
        except WireLost:
            # What it said before it went is here, and a Bye among it decides: it is read first.
            self._receive(role, wire)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        self._new.append(Wire(connection))

    def _greet(self, wire: Wire) -> None:
        """Read a newcomer's first record: it says who it is, or it is turned away."""
        self._new.remove(wire)
        try:
            records = wire.read()
        except (ProtocolFault, WireLost):
            wire.close()
            return
        match records:
            case [Hello(role=role) as hello, *rest] if role in list(Role):
                known = Role(role)
                if known in self._wires:
                    _log.error("a second %s was turned away", known.name.lower())
                    wire.close()
                    return
                self._wires[known] = wire
                self._guard.joined(self._clock.monotonic_ns(), known, hello)
                self._mail += [(known, record) for record in rest]
                if known is not Role.STEPPER:
                    self._send(known, self._guard.greeting())
            case _:
                wire.close()

    def _receive(self, role: Role, wire: Wire) -> None:
        try:
            records = wire.read()
        except (ProtocolFault, WireLost) as error:
            _log.info("%s: %s", role.name.lower(), error)
            self._drop(role, clean=False)
            return
        self._mail += [(role, record) for record in records]
        if Bye() in records:
            self._drop(role, clean=True)

    def _drop(self, role: Role, *, clean: bool) -> None:
        wire = self._wires.pop(role, None)
        if wire is not None:
            wire.close()
            self._guard.left(self._clock.monotonic_ns(), role, clean=clean)

    def _off(self) -> None:
        """Leave ENABLE off, whatever else fails."""
        try:
            self._pins.hardware.enable.set(active=False)
        except PinFault as fault:
            _log.error("%s: %s", fault.code, fault)


def _pins_of(facts: Facts) -> PinFactories:
    runtime = Path(facts.runtime)
    return build_factory(
        facts.factory,
        owner="pump-guard",
        now_ns=real_monotonic_ns,
        bench_socket=runtime / "pins.sock",
        work_dir=runtime if facts.factory != "bench" else None,
    )


def switch_off(facts: Facts) -> None:
    """Claim ENABLE at "off" and give it back, for a guard that has ended and could not.

    A kernel that keeps the outputs of a dead program would leave the motor under current until the
    next guard comes. Raises PinFault where the line cannot be had.
    """
    factories = _pins_of(facts)
    try:
        Output(factories, facts.enable_n, name="ENABLE", active_low=True).close()
    finally:
        factories.close()


def _begin_anew(facts: Facts, clock_file: Path | None) -> NoReturn:
    """Run this program again in this process, without what reading the configuration took."""
    words = [sys.executable, "-P", "-m", "appliance.guard", f"--facts={facts.text()}"]
    if clock_file is not None:
        words.append(f"--clock-file={clock_file}")
    os.execv(sys.executable, words)  # noqa: S606 - no shell is meant


def main(argv: Sequence[str] | None = None) -> int:
    """Run the guard; exit status 0 after SIGTERM, 2 for a bad configuration, 1 for anything
    else.
    """
    parser = argparse.ArgumentParser(prog="pump-guard", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--config", type=Path, help="the machine's configuration")
    source.add_argument("--facts", type=facts_from, help="what it holds; a person never types it")
    parser.add_argument("--clock-file", type=Path, help="the demo's start instant and speed")
    parser.add_argument(
        "--off", action="store_true", help="switch ENABLE off and end; for when a guard has died"
    )
    words = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(levelname)s: %(message)s")
    try:
        if words.facts is None:
            # Only now: what reads a configuration stays in memory, and the guard's is locked.
            from appliance.guard.reading import read_facts

            read = read_facts(words.config)
            if words.off:
                switch_off(read)
                return 0
            _begin_anew(read, words.clock_file)
        facts: Facts = words.facts
        clock = SystemClock(facts.zone, Start.load(words.clock_file) if words.clock_file else None)
        listener = listen(Path(facts.runtime) / "guard.sock")
        hardware = guard_hardware(
            _pins_of(facts),
            enable_n=facts.enable_n,
            alive=facts.alive,
            readback=facts.readback,
            enable_feedback_n=facts.enable_feedback_n,
            stop_button_n=facts.stop_button_n,
            buzzer=facts.buzzer,
            lamp_high=facts.lamp_high,
            lamp_medium=facts.lamp_medium,
            lamp_low=facts.lamp_low,
        )
        program = Program(facts, clock, _Pins(hardware), listener)
    except BadConfiguration as fault:
        for text in fault.faults:
            _log.error("%s: %s", fault.source, text)
        return 2
    except PumpError as fault:
        _log.error("%s: %s", fault.code, fault)
        return 1
    for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(one, program.stop)
    granted = take_realtime(_FIFO_PRIORITY)
    _log.info("%s", granted.text())
    program.run()
    return program.status


if __name__ == "__main__":
    sys.exit(main())
