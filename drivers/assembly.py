"""The machine's lines, put together for each program that owns some (``protocol.md`` section 2).

Plain values in, no configuration object: a program's ``__main__`` hands over what its file says.
Everything is built inactive and with ENABLE off, or not at all: what was claimed is given back
before the PinFault leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from drivers.edge_counter import EdgeCounter
from drivers.gpio import NowNs, PinFactories
from drivers.lines import EndStop, Line, Output, WatchedLine
from drivers.step_dir import StepDirAxis


class _Closable(Protocol):
    def close(self) -> None: ...


_Part = TypeVar("_Part", bound=_Closable)


@dataclass(frozen=True, slots=True)
class StepperHardware:
    """What ``pump-stepper`` owns; ``end_stop`` is without its bounces (SR-28).

    ``poll`` takes in pushed levels; a read does so too.
    """

    axis: StepDirAxis
    end_stop: EndStop
    driver_fault: Line
    fileno: int | None
    poll: Callable[[], None]
    _close: Callable[[], None]

    def close(self) -> None:
        """Give every line back."""
        self._close()


@dataclass(frozen=True, slots=True)
class Lamps:
    """One lamp for each priority."""

    high: Output
    medium: Output
    low: Output


@dataclass(frozen=True, slots=True)
class GuardHardware:
    """What ``pump-guard`` owns; ``counter`` and ``stop_button`` are None where declared away.

    ``fileno`` is for ``select``, None on a Pi; ``poll`` takes in pushed levels and edges.
    """

    enable: Output
    alive: Output
    counter: EdgeCounter | None
    enable_feedback: WatchedLine
    stop_button: Line | None
    buzzer: Output
    lamps: Lamps
    fileno: int | None
    poll: Callable[[], None]
    _close: Callable[[], None]

    def close(self) -> None:
        """Give every line back, ENABLE first: the resistor on it means off."""
        self._close()


def stepper_hardware(
    factories: PinFactories,
    *,
    step: int,
    direction: int,
    end_stop_n: int,
    driver_fault_n: int,
    direction_inverted: bool,
    min_interval_us: int,
    step_pulse_us: int,
    now_ns: NowNs,
    wait_until_ns: Callable[[int], None] | None = None,
) -> StepperHardware:
    """Claim STEP, DIR, end stop and driver fault. Numbers are BCM, times microseconds.

    ``now_ns`` is the real monotonic clock. ``wait_until_ns`` is for virtual time alone, where
    ``step_pulse_us`` is 0. Raises PinFault.
    """
    with ExitStack() as stack:
        axis = _kept(
            stack,
            StepDirAxis(
                factories,
                step=step,
                direction=direction,
                now_ns=now_ns,
                min_interval_ns=min_interval_us * 1_000,
                pulse_ns=step_pulse_us * 1_000,
                setup_ns=1_000 if step_pulse_us else 0,
                inverted=direction_inverted,
                wait_until_ns=wait_until_ns,
            ),
        )
        end_stop = EndStop(_kept(stack, Line(factories, end_stop_n, name="end stop")), now_ns)
        driver_fault = _kept(stack, Line(factories, driver_fault_n, name="driver fault"))
        return StepperHardware(
            axis, end_stop, driver_fault, factories.fileno, factories.poll, stack.pop_all().close
        )


def guard_hardware(
    factories: PinFactories,
    *,
    enable_n: int,
    alive: int,
    readback: int | None,
    enable_feedback_n: int,
    stop_button_n: int | None,
    buzzer: int,
    lamp_high: int,
    lamp_medium: int,
    lamp_low: int,
) -> GuardHardware:
    """Claim the guard's lines, ENABLE off. None for a line that the configuration declares away.

    DIR is not among them: one owner, and that is the stepper. Raises PinFault.
    """
    with ExitStack() as stack:
        # Closed in reverse order, so ENABLE is claimed last and given back first.
        lamps = Lamps(
            high=_kept(stack, Output(factories, lamp_high, name="lamp high")),
            medium=_kept(stack, Output(factories, lamp_medium, name="lamp medium")),
            low=_kept(stack, Output(factories, lamp_low, name="lamp low")),
        )
        horn = _kept(stack, Output(factories, buzzer, name="buzzer"))
        button = None
        if stop_button_n is not None:
            button = _kept(stack, Line(factories, stop_button_n, name="stop button"))
        counter = None
        if readback is not None:
            counter = _kept(stack, EdgeCounter(factories, readback))
        feedback = _kept(stack, WatchedLine(factories, enable_feedback_n, name="ENABLE feedback"))
        beat = _kept(stack, Output(factories, alive, name="ALIVE"))
        enable = _kept(stack, Output(factories, enable_n, name="ENABLE", active_low=True))
        return GuardHardware(
            enable,
            beat,
            counter,
            feedback,
            button,
            horn,
            lamps,
            factories.fileno,
            factories.poll,
            stack.pop_all().close,
        )


def _kept(stack: ExitStack, part: _Part) -> _Part:
    stack.callback(part.close)
    return part
