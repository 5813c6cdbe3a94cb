"""Single lines: inputs whose cut wire means the safe side, outputs that are read back."""

from __future__ import annotations

from gpiozero import InputDevice, OutputDevice
from gpiozero.exc import GPIOZeroError

from appliance.errors import PinFault
from drivers.gpio import Device, NowNs, PinFactories, pin_faults

_PIN_ERRORS = (GPIOZeroError, OSError, RuntimeError, ValueError)
RELEASE_NS = 5_000_000


class Line:
    """``ports.InputLine`` over a gpiozero input.

    ``active_low`` says which level says its name. ``cut_is_active`` chooses the pull: with it, a
    wire that is cut reads as active, so switch and button are closed contacts that hold the line at
    the other level, and a driver's open-drain output has its own, stronger resistor.
    """

    def __init__(
        self,
        factories: PinFactories,
        pin: int,
        *,
        name: str,
        active_low: bool = True,
        cut_is_active: bool = True,
    ) -> None:
        self._name = f"{name} on GPIO{pin}"
        self._active_level = 0 if active_low else 1
        pull_up = active_low != cut_is_active
        with pin_faults(self._name):
            self._device: Device = InputDevice(pin, pull_up=pull_up, pin_factory=factories.inputs)
        self._pin = self._device.pin

    def is_active(self) -> bool:
        try:
            return bool(self._pin.state == self._active_level)
        except PinFault as fault:
            raise PinFault(f"{self._name}: {fault}") from fault
        except _PIN_ERRORS as error:
            raise PinFault(f"{self._name} cannot be read: {error}") from error

    def close(self) -> None:
        """Give the line back."""
        self._device.close()


class WatchedLine(Line):
    """A line of which no moment is missed: it knows whether it left its active level between reads.

    A level that is read shows one instant: ENABLE may have gone and come back before it is read.
    """

    def __init__(self, factories: PinFactories, pin: int, *, name: str) -> None:
        super().__init__(factories, pin, name=name)
        self._lost = False
        with pin_faults(self._name):
            try:
                self._pin.edges = "both"
                self._pin.when_changed = self._changed
            except _PIN_ERRORS:
                self._device.close()
                raise

    def was_lost(self) -> bool:
        """Return whether the line left its active level since the last call."""
        lost, self._lost = self._lost, False
        return lost

    def _changed(self, _ticks: object, level: object) -> None:
        if bool(level) != bool(self._active_level):
            self._lost = True


class Output:
    """``ports.OutputLine`` over a gpiozero output; it is inactive from the first instant on."""

    def __init__(
        self, factories: PinFactories, pin: int, *, name: str, active_low: bool = False
    ) -> None:
        self._name = f"{name} on GPIO{pin}"
        self._levels = (1, 0) if active_low else (0, 1)
        with pin_faults(self._name):
            self._device: Device = OutputDevice(
                pin,
                active_high=not active_low,
                initial_value=False,
                pin_factory=factories.outputs,
            )
        self._pin = self._device.pin

    def set(self, *, active: bool) -> None:
        level = self._levels[active]
        try:
            self._pin.state = level
            seen = self._pin.state
        except PinFault as fault:
            raise PinFault(f"{self._name}: {fault}") from fault
        except _PIN_ERRORS as error:
            raise PinFault(f"{self._name} cannot be set: {error}") from error
        if seen != level:
            raise PinFault(f"{self._name} reads {seen} after it was set to {level}")

    def close(self) -> None:
        """Give the line back: it becomes an input, and the resistor on it decides."""
        self._device.close()


class EndStop:
    """``ports.InputLine`` for the end stop, without its bounces (SR-28)."""

    def __init__(self, line: Line, now_ns: NowNs) -> None:
        self._line = line
        self._now_ns = now_ns
        self._filter = EndStopFilter()

    def is_active(self) -> bool:
        return self._filter.sample(active=self._line.is_active(), now_ns=self._now_ns())

    def close(self) -> None:
        """Give the line back."""
        self._line.close()


class EndStopFilter:
    """SR-28: the first active sample counts at once; release needs ``release_ns`` without one.

    Pure: it is handed each sample and its instant, in order. Built as released.
    """

    def __init__(self, release_ns: int = RELEASE_NS) -> None:
        self._release_ns = release_ns
        self._active = False
        self._clear_since_ns: int | None = None

    def sample(self, *, active: bool, now_ns: int) -> bool:
        """Take in one sample; return whether the switch counts as active."""
        if active:
            self._active = True
            self._clear_since_ns = None
        elif self._active:
            if self._clear_since_ns is None:
                self._clear_since_ns = now_ns
            if now_ns - self._clear_since_ns >= self._release_ns:
                self._active = False
        return self._active
