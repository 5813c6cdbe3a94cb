"""`pump-stepper`: the delivery loop in an interpreter of its own.

`pumpd` starts it with two sockets and every fact as an argument: it reads no file and no setting.
It waits in ``select()`` for its deadlines and its mail, takes SCHED_FIFO, and ends with its
parent.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.adapters.clock import Start, SystemClock, real_monotonic_ns
from appliance.adapters.realtime import Granted, die_with_parent, take_realtime
from appliance.adapters.wires import Wire
from appliance.errors import PumpError, WireLost
from appliance.records import Bye, Hello, Realtime, Record, Role
from appliance.stepper.loop import Ratio, Stepper, Timing
from drivers.assembly import StepperHardware, stepper_hardware
from drivers.factory import build_factory
from drivers.tmc2209 import DriverSettings, set_up_tmc2209

_FIFO_PRIORITY = 40
_EARLY_NS = 100_000
"""So long before a step the loop is awake, and looks at the clock until the step is due: what the
kernel takes to wake it, and a turn whose code is in no cache any more, are over by then.
"""


def arguments() -> argparse.ArgumentParser:
    """Return the words that `pumpd` passes; a person never types them."""
    parser = argparse.ArgumentParser(prog="pump-stepper", description=__doc__)
    number = {"type": int, "required": True}
    for name in (
        "pumpd-fd", "guard-fd", "parent", "run", "ratio-uu", "ratio-steps", "quantum-steps",
        "min-interval-us", "step-pulse-us", "step-pin", "direction-pin", "end-stop-pin",
        "driver-fault-pin", "direction-inverted", "hold",
    ):  # fmt: skip
        parser.add_argument(f"--{name}", **number)  # type: ignore[arg-type]
    parser.add_argument("--factory", required=True)
    parser.add_argument("--work-dir", type=Path)
    parser.add_argument("--bench-socket", type=Path)
    parser.add_argument("--clock-file", type=Path)
    parser.add_argument("--uart", help="the motor driver's, where it is told what it shall do")
    for name in ("address", "microsteps", "run-ma", "hold-ma", "sense-mohm", "stall-threshold"):
        parser.add_argument(f"--driver-{name}", type=int, default=0)
    return parser


def build(words: argparse.Namespace) -> tuple[Stepper, StepperHardware, SystemClock]:
    """Put the pins, the clock and the core together. Raises PumpError."""
    clock = SystemClock("UTC", Start.load(words.clock_file) if words.clock_file else None)
    if words.uart is not None:
        set_up_tmc2209(
            words.uart,
            words.driver_address,
            DriverSettings(
                words.driver_microsteps,
                words.driver_run_ma,
                words.driver_hold_ma,
                words.driver_sense_mohm,
                words.driver_stall_threshold,
            ),
        )
    factories = build_factory(
        words.factory,
        owner="pump-stepper",
        now_ns=real_monotonic_ns,
        bench_socket=words.bench_socket,
        work_dir=words.work_dir,
    )
    hardware = stepper_hardware(
        factories,
        step=words.step_pin,
        direction=words.direction_pin,
        end_stop_n=words.end_stop_pin,
        driver_fault_n=words.driver_fault_pin,
        direction_inverted=bool(words.direction_inverted),
        step_pulse_us=words.step_pulse_us,
        min_interval_us=words.min_interval_us,
        now_ns=real_monotonic_ns,
    )
    stepper = Stepper(
        run=words.run,
        ratio=Ratio(words.ratio_uu, words.ratio_steps, words.quantum_steps),
        timing=Timing.at(clock.speed, words.min_interval_us),
        axis=hardware.axis,
        end_stop=hardware.end_stop,
        driver_fault=hardware.driver_fault,
        hold=bool(words.hold),
    )
    return stepper, hardware, clock


def deliver(stepper: Stepper, clock: SystemClock, pumpd: Wire, guard: Wire) -> None:
    """Turn the core until a wire ends: mail first, then deadlines. A lost wire stops it before its
    next edge.
    """
    inbox: list[Record] = []
    wires = [pumpd, guard]
    early_ns = _EARLY_NS * clock.speed
    while True:
        now_ns = clock.monotonic_ns()
        to_pumpd, to_guard, wake_ns = stepper.turn(now_ns, inbox)
        try:
            guard.send_all(to_guard)
            pumpd.send_all(to_pumpd)
            ready_ns = wake_ns - early_ns if stepper.wakes_to_step else wake_ns
            readable, _, _ = select.select(wires, [], [], clock.real_timeout_s(ready_ns))
            inbox = []
            for wire in readable:
                inbox += wire.read()
            if now_ns >= ready_ns and not inbox:  # the turn before has brought all to the cache
                while clock.monotonic_ns() < wake_ns:
                    pass
        except WireLost:
            _last_words(stepper.lost(clock.monotonic_ns()), pumpd, guard)
            return
        if Bye() in inbox:
            _last_words([*stepper.lost(clock.monotonic_ns()), Bye()], pumpd, guard)
            return


def _last_words(records: list[Record], pumpd: Wire, guard: Wire) -> None:
    """Tell both ends what was done, as far as they are still there."""
    for wire, words in ((pumpd, records), (guard, [Bye()] if Bye() in records else [])):
        try:
            wire.send_all(words)
        except WireLost:
            continue


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stepper; the exit status is 0 after a clean end of its wires, 1 for a fault of its
    pins.
    """
    words = arguments().parse_args(argv)
    if not die_with_parent(words.parent):
        return 1
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the end of its wires ends it
    pumpd = Wire(socket.socket(fileno=words.pumpd_fd))
    guard = Wire(socket.socket(fileno=words.guard_fd))
    try:
        stepper, _, clock = build(words)
        granted: Granted = take_realtime(_FIFO_PRIORITY)
        hello = Hello(int(Role.STEPPER), words.run, 0)
        guard.send(hello)
        pumpd.send(hello)
        pumpd.send(
            Realtime(
                int(granted.fifo), int(granted.memory_locked), granted.refusal_errno, os.getpid()
            )
        )
        deliver(stepper, clock, pumpd, guard)
    except WireLost:
        return 0
    except PumpError as error:
        sys.stderr.write(f"pump-stepper: {error.code}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
