"""STEP and DIR of the syringe axis: one rising edge for each microstep, and three refusals.

No edge closer than the motor's minimum interval (SR-23), none over the step budget (SR-16: the
limit that neither the engine nor the guard shares), none after a pin failed until a new lease.
"""

from __future__ import annotations

from collections.abc import Callable

from gpiozero import OutputDevice
from gpiozero.exc import GPIOZeroError

from appliance.errors import ActuatorFault, PinFault
from drivers.gpio import Device, NowNs, PinFactories, pin_faults

_PIN_ERRORS = (GPIOZeroError, OSError, RuntimeError, ValueError)
_LONG_AGO_NS = -(2**62)
_MAX_LOOKS = 100_000  # a clock that stands still must not hold the motor's thread for ever


class StepDirAxis:
    """``ports.StepActuator`` over two gpiozero outputs.

    ``now_ns`` is the real monotonic clock: intervals, pulses and set-up times are the motor's own.
    The edge goes out at the earliest ``min_interval_ns`` after the one before, STEP stays high for
    ``pulse_ns`` at least, and DIR stands for ``setup_ns`` before the next edge. In virtual time
    ``pulse_ns`` and ``setup_ns`` are 0, and ``wait_until_ns`` moves the clock on; it is what allows
    more than one step a call. Raises PinFault where a pin cannot be had.
    """

    def __init__(
        self,
        factories: PinFactories,
        *,
        step: int,
        direction: int,
        now_ns: NowNs,
        min_interval_ns: int,
        pulse_ns: int,
        setup_ns: int = 1_000,
        inverted: bool = False,
        wait_until_ns: Callable[[int], None] | None = None,
    ) -> None:
        self._now_ns = now_ns
        self._min_interval_ns = min_interval_ns
        self._pulse_ns = pulse_ns
        self._setup_ns = setup_ns
        self._inverted = inverted
        self._wait_until_ns = wait_until_ns
        self._budget_steps = 0
        self._earliest_ns = _LONG_AGO_NS
        self._issued_steps = 0
        with pin_faults(f"STEP on GPIO{step}"):
            self._step: Device = OutputDevice(
                step, initial_value=False, pin_factory=factories.outputs
            )
        try:
            with pin_faults(f"DIR on GPIO{direction}"):
                self._dir: Device = OutputDevice(
                    direction, initial_value=inverted, pin_factory=factories.outputs
                )
        except PinFault:
            self._step.close()
            raise
        self._step_pin = self._step.pin
        self._dir_pin = self._dir.pin
        self._direction = 1

    @property
    def issued_steps(self) -> int:
        """The steps that have gone out since this axis was built, either way."""
        return self._issued_steps

    @property
    def budget_steps(self) -> int:
        """The steps that are still allowed."""
        return self._budget_steps

    def set_direction(self, direction: int) -> None:
        if direction not in (1, -1):
            raise ValueError(f"a direction is 1 (forward) or -1 (back), not {direction!r}")
        if direction == self._direction:
            return
        level = int((direction == -1) != self._inverted)
        with pin_faults("DIR"):
            self._dir_pin.state = level
            if int(self._dir_pin.state) != level:
                raise PinFault(f"reads {1 - level} after it was set to {level}")
        self._direction = direction
        self._stay(self._setup_ns)

    def step(self, count: int = 1) -> int:
        if count != 1:
            return self._step_on(count)
        if self._budget_steps <= 0:
            raise ActuatorFault("no step is allowed: the step budget is used up")
        now_ns = self._now_ns
        early_ns = self._earliest_ns - now_ns()
        if early_ns > 0:
            raise ActuatorFault(
                f"the step comes {early_ns} ns too early: the motor needs "
                f"{self._min_interval_ns} ns between two"
            )
        self._budget_steps -= 1
        pin = self._step_pin
        try:
            pin.state = 1
        except _PIN_ERRORS as error:
            self._budget_steps = 0
            raise PinFault(f"STEP: {error}") from error
        rise_ns = now_ns()  # after the edge: the next one is then never too close to it
        self._earliest_ns = rise_ns + self._min_interval_ns
        self._issued_steps += 1
        try:
            if self._pulse_ns:
                self._stay(self._pulse_ns, rise_ns)
            pin.state = 0
        except _PIN_ERRORS as error:
            self._budget_steps = 0
            raise ActuatorFault(f"STEP stays high: {error}", issued_steps=1) from error
        return 1

    def wait_ns(self) -> int:
        return max(0, self._earliest_ns - self._now_ns())

    def allow(self, steps: int) -> None:
        if steps < 0:
            raise ValueError(f"a step budget grows by 0 or more, not by {steps}")
        self._budget_steps += steps

    def revoke(self) -> None:
        self._budget_steps = 0

    def close(self) -> None:
        """Give both lines back; nothing can step after it."""
        self._budget_steps = 0
        self._step.close()
        self._dir.close()

    def _step_on(self, count: int) -> int:
        """Issue several steps in virtual time, each at the earliest instant the motor allows."""
        if count < 0:
            raise ValueError(f"steps are counted from 0 up, not {count}")
        wait_until_ns = self._wait_until_ns
        if count and wait_until_ns is None:
            raise ActuatorFault(
                f"{count} steps at once: only in virtual time is more than one issued"
            )
        for issued_steps in range(count):
            try:
                if wait_until_ns is not None and self._now_ns() < self._earliest_ns:
                    wait_until_ns(self._earliest_ns)
                self.step()
            except ActuatorFault as fault:
                raise ActuatorFault(str(fault), issued_steps + fault.issued_steps) from fault
            except PinFault as fault:
                raise ActuatorFault(str(fault), issued_steps) from fault
        return count

    def _stay(self, span_ns: int, since_ns: int | None = None) -> None:
        """Look at the clock until ``span_ns`` have passed: too short a time for any sleep."""
        now_ns = self._now_ns
        end_ns = (now_ns() if since_ns is None else since_ns) + span_ns
        for _ in range(_MAX_LOOKS):
            if now_ns() >= end_ns:
                return
