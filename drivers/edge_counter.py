"""STEP, read back: rising edges, counted on the pin itself."""

from __future__ import annotations

from gpiozero import InputDevice
from gpiozero.exc import GPIOZeroError

from appliance.errors import PinFault
from drivers.gpio import Device, PinFactories, pin_faults


class EdgeCounter:
    """``ports.EdgeCounter`` over gpiozero's pin, not over an input device's events.

    On a Pi lgpio calls back from its thread, one edge at a time; on the bench a read takes in the
    edges that were pushed. The line is pulled down: a cut wire counts nothing, and the guard sees
    missing edges.
    """

    def __init__(self, factories: PinFactories, pin: int, *, name: str = "STEP read-back") -> None:
        self._name = f"{name} on GPIO{pin}"
        self._edges = 0
        with pin_faults(self._name):
            self._device: Device = InputDevice(pin, pull_up=False, pin_factory=factories.inputs)
            try:
                self._pin = self._device.pin
                self._pin.edges = "rising"
                self._pin.when_changed = self._edge
            except (GPIOZeroError, OSError, RuntimeError, ValueError):
                self._device.close()
                raise

    def count(self) -> int:
        try:
            # The level is of no use here; reading it is what shows a chip or a bench that is gone.
            _ = self._pin.state
        except PinFault as fault:
            raise PinFault(f"{self._name}: {fault}") from fault
        except (GPIOZeroError, OSError, RuntimeError, ValueError) as error:
            raise PinFault(f"{self._name} cannot be read: {error}") from error
        return self._edges

    def close(self) -> None:
        """Give the line back."""
        self._device.close()

    def _edge(self, _ticks: object, _level: object) -> None:
        self._edges += 1
