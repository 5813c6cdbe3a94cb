"""``bench-sim``: the command line. It says READY when both sockets of the bench listen."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from appliance.adapters.notify import Notifier
from appliance.config import Config, load
from appliance.errors import AlreadyRunning, BadConfiguration, PinFault
from drivers.mock.server import BenchServer
from drivers.mock.settings import BenchSettings, Wire

_DONE, _REFUSED, _WRONG_WORDS = 0, 1, 2
_HELP = {
    "fill_nl": "what the syringe holds at the start (all of the capacity without it)",
    "hold": "reduced, or off: a rotor without current snaps to a full step",
    "end_stops": "both, or front: which switches are on the end-stop line",
    "one_shot": "present, or none where ENABLE is not gated by ALIVE",
    "speed": "the factor of the fluid's time, as --speed of the demo",
    "start_ns": "the instant at which that time began, CLOCK_BOOTTIME",
    "motor_min_interval_us": "what the motor itself can follow: below the configured interval",
    "seed": "of all noise and bounces",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the bench until SIGTERM or SIGINT; return 0, 1 where refused, 2 for wrong words."""
    parser = _parser()
    given = parser.parse_args(words)
    known: dict[str, Any] = {}
    if given.config is not None:
        try:
            config, _ = load(given.config)
        except BadConfiguration as fault:
            for text in fault.faults:
                sys.stderr.write(f"bench-sim: {fault.source}: {text}\n")
            return _WRONG_WORDS
        known = _machine(config)
        given.pins_socket = given.pins_socket or config.paths.runtime / "pins.sock"
        given.control_socket = given.control_socket or config.paths.runtime / "bench.sock"
    elif given.pins_socket is None or given.control_socket is None:
        parser.error("--pins-socket and --control-socket are needed where there is no --config")
    pins, reasons = _pins(given.pins)
    if given.pins or "pins" not in known:
        known["pins"] = pins
    settings = BenchSettings(
        **known | {name: getattr(given, name) for name in _options() if name in given}
    )
    reasons += settings.reasons_against()
    mode = _mode(given.socket_mode, reasons)
    if reasons:
        for reason in reasons:
            sys.stderr.write(f"bench-sim: {reason}\n")
        return _WRONG_WORDS
    try:
        server = BenchServer(
            settings,
            pins_socket=given.pins_socket,
            control_socket=given.control_socket,
            mode=mode,
        )
    except (AlreadyRunning, PinFault, OSError) as fault:
        sys.stderr.write(f"bench-sim: {fault}\n")
        return _REFUSED
    server.end_on(signal.SIGTERM, signal.SIGINT)
    fifo = _take_fifo(given.fifo)
    gc.collect()
    gc.freeze()
    sys.stdout.write(
        f"READY pins={given.pins_socket} control={given.control_socket} pid={os.getpid()} "
        f"fifo={fifo}\n"
    )
    sys.stdout.flush()
    Notifier().say("READY=1")
    server.run()
    return _DONE


def _machine(config: Config) -> dict[str, Any]:
    """Return the settings of a bench that is built as this machine's configuration says."""
    table = config.mechanics
    numbers = config.pins.model_dump()
    return {
        "pins": {wire: numbers[wire.value] for wire in Wire},
        "bore_um": table.bore_um,
        "lead_um": table.lead_um,
        "full_steps": table.full_steps,
        "microsteps": table.microsteps,
        "capacity_nl": table.capacity_uu // table.concentration_u_per_ml,
        "zero_counts": config.force.zero_counts,
        "un_per_count": config.force.un_per_count,
        "direction_inverted": table.direction_inverted,
        "hold": table.hold,
        "one_shot": config.safety.one_shot,
    }


def _options() -> dict[str, Any]:
    return {each.name: each for each in fields(BenchSettings) if each.name != "pins"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench-sim",
        description="The simulated bench: plant, pins and faults behind two sockets.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a machine's configuration: be that machine"
    )
    parser.add_argument("--pins-socket", type=Path, metavar="PATH")
    parser.add_argument("--control-socket", type=Path, metavar="PATH")
    parser.add_argument(
        "--pins",
        default="",
        metavar="NAME=N,...",
        help=f"where the lines are, BCM numbers: {', '.join(wire.value for wire in Wire)}; "
        "without it, those of the example configuration",
    )
    parser.add_argument("--socket-mode", default="0600", metavar="OCTAL")
    parser.add_argument(
        "--fifo", type=int, default=0, metavar="PRIORITY", help="ask for SCHED_FIFO (0: do not)"
    )
    for name, each in _options().items():
        default = each.default
        kind: type = int if default is None else type(default)
        flag = f"--{name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, dest=name, action="store_true", default=argparse.SUPPRESS)
        else:
            parser.add_argument(
                flag,
                dest=name,
                type=kind,
                default=argparse.SUPPRESS,
                help=f"{_HELP.get(name, '')} ({default})".strip(),
            )
    return parser


def _pins(text: str) -> tuple[dict[Wire, int], list[str]]:
    """Read ``NAME=N,...``; return the pins and what is wrong with it."""
    if not text:
        return BenchSettings().pins, []
    pins: dict[Wire, int] = {}
    reasons = []
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in set(Wire):
            reasons.append(f"pins: {name!r} is not one of {', '.join(wire.value for wire in Wire)}")
        elif Wire(name) in pins:
            reasons.append(f"pins.{name} stands twice")
        elif not (number.isascii() and number.isdigit()):
            reasons.append(f"pins.{name} = {number!r} is not a whole number from 0 to 27")
        else:
            pins[Wire(name)] = int(number)
    return pins, reasons


def _mode(text: str, reasons: list[str]) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0o600 <= mode <= 0o777:
        reasons.append(f"socket_mode = {text!r} is not an octal mode from 0600 to 0777")
    return mode


def _take_fifo(priority: int) -> str:
    """Ask for SCHED_FIFO and say what the kernel said."""
    if not priority:
        return "no"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return f"refused ({error.strerror})"
    return str(priority)


if __name__ == "__main__":
    sys.exit(main())
