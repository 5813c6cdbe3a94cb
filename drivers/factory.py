"""The pins that the configuration names: named, never found, no fallback.

What is missing is a PinFault that says what it is and what to do; no other back end is tried.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

from appliance.errors import PinFault
from drivers.gpio import NowNs, PinFactories, Untyped, pin_faults

NAMES = ("lgpio", "rpigpio", "bench")


def build_factory(
    name: str,
    *,
    owner: str,
    now_ns: NowNs,
    bench_socket: Path | None = None,
    work_dir: Path | None = None,
) -> PinFactories:
    """Build the pins called ``name``: "lgpio", "rpigpio" or "bench". Once, on the main thread.

    ``owner`` is the name that others are told when a line is busy. ``bench_socket`` is needed by
    "bench" alone. ``work_dir`` is where lgpio's pipe may be: the runtime folder of all programs, in
    which each ``owner`` gets a folder of its own, for the pipes have the same names. It must be set
    where the current directory cannot be written. With "rpigpio"
    outputs go through RPi.GPIO and inputs through lgpio, since RPi.GPIO's edge detection fails on
    kernels from 6.6 on. Raises PinFault.
    """
    match name:
        case "bench":
            return _bench(owner, now_ns, bench_socket)
        case "lgpio":
            factory = _lgpio(owner, work_dir)
            return PinFactories(outputs=factory, inputs=factory)
        case "rpigpio":
            inputs = _lgpio(owner, work_dir)
            return PinFactories(outputs=_rpigpio(), inputs=inputs)
        case _:
            raise PinFault(f"pins.factory = {name!r} is not one of {', '.join(NAMES)}")


def _bench(owner: str, now_ns: NowNs, socket_path: Path | None) -> PinFactories:
    if socket_path is None:
        raise PinFault('pins.factory = "bench" needs the path of bench-sim\'s pins socket')
    from drivers.bench_pins import BenchFactory

    factory = BenchFactory(socket_path, owner, now_ns)
    return PinFactories(outputs=factory, inputs=factory, fileno=factory.fileno(), poll=factory.poll)


def _lgpio(owner: str, work_dir: Path | None) -> Untyped:
    folder = Path.cwd() if work_dir is None else work_dir
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PinFault(f"lgpio must be able to write into {folder}: give its user that folder")
    if work_dir is not None:
        own = work_dir / f"lgpio-{owner}"
        own.mkdir(mode=0o700, exist_ok=True)
        os.environ["LG_WD"] = str(own)  # read once, when lgpio is imported
    module = _imported(
        "drivers.lgpio_pins",
        "lgpio is not installed",
        "install python3-lgpio (apt on a Pi), or the extra pi-lgpio",
    )
    with pin_faults("lgpio"):
        return module.PiLineFactory()


def _rpigpio() -> Untyped:
    module = _imported(
        "gpiozero.pins.rpigpio",
        "RPi.GPIO cannot be used",
        'sudo ./install.sh brings it on a Pi 3, 4 or Zero 2 W; a Pi 5 needs pins.factory = "lgpio"',
    )
    with pin_faults("RPi.GPIO"):
        return module.RPiGPIOFactory()


def _imported(module: str, lacking: str, remedy: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError, OSError) as error:
        # RuntimeError is RPi.GPIO's way to say that this is no Pi.
        raise PinFault(f"{lacking} ({error}): {remedy}") from error
