"""What the rest of drivers says about gpiozero: it ships no types, so these are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from gpiozero.exc import GPIOPinInUse, GPIOZeroError, GPIOZeroWarning

from appliance.errors import PinFault

NowNs = Callable[[], int]
"""The real CLOCK_BOOTTIME in nanoseconds, never a demo's scaled clock."""

Untyped: TypeAlias = Any
"""An object of gpiozero's, or of a library below it, for which nobody has types."""


class Pin(Protocol):
    """The part of gpiozero's Pin that we use. ``state`` is the level, whatever it means."""

    state: int
    pull: str
    function: str
    edges: str
    when_changed: Untyped

    def output_with_state(self, state: int) -> None:
        """Make it an output at ``state``, without a level in between."""
        ...

    def close(self) -> None:
        """Give the pin back as an input."""
        ...


class Device(Protocol):
    """The part of gpiozero's devices that we use."""

    pin: Pin

    def close(self) -> None:
        """Give the pin back."""
        ...


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class PinFactories:
    """Where a program's pins come from: one gpiozero factory, or one for each way with ``rpigpio``.

    ``fileno`` is a descriptor that becomes readable when inputs have changed, for ``select``; None
    where there is none. ``poll`` takes in what has come, without blocking; on a Pi it does nothing.
    """

    outputs: Untyped
    inputs: Untyped
    fileno: int | None = None
    poll: Callable[[], None] = _nothing

    def close(self) -> None:
        """Give back every pin, as inputs."""
        self.outputs.close()
        if self.inputs is not self.outputs:
            self.inputs.close()


@contextmanager
def pin_faults(what: str) -> Iterator[None]:
    """Turn whatever gpiozero and its back ends raise into a PinFault that begins with ``what``."""
    try:
        yield
    except PinFault as fault:
        raise PinFault(f"{what}: {fault}") from fault
    except GPIOPinInUse as error:
        raise PinFault(f"{what}: busy in this program: {error}") from error
    except (GPIOZeroError, GPIOZeroWarning, OSError, RuntimeError, ValueError) as error:
        raise PinFault(f"{what}: {error}") from error
