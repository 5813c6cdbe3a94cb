"""The hardware, looked at line by line with a person's help, while no pump runs.

Each look says what it did and what it found. Nothing moves before the last one, and that one only
if everything before it was right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from appliance.errors import PinFault, SensorFault
from drivers.battery import GaugeOf
from drivers.edge_counter import EdgeCounter
from drivers.gpio import NowNs, PinFactories
from drivers.lines import Line, Output
from drivers.step_dir import StepDirAxis

_EDGES = 20
_JOG_STEPS = 200
_JOG_INTERVAL_NS = 5_000_000
_BEAT_NS = 10_000_000
_SETTLE_NS = 200_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wiring:
    """BCM numbers, as in ``[pins]``; what the machine does not have is False."""

    step: int
    direction: int
    enable_n: int
    alive: int
    readback: int
    enable_feedback_n: int
    end_stop_n: int
    driver_fault_n: int
    stop_button_n: int
    buzzer: int
    lamp_high: int
    lamp_medium: int
    lamp_low: int
    direction_inverted: bool
    min_interval_us: int
    step_pulse_us: int
    has_readback: bool
    has_one_shot: bool
    has_stop_button: bool
    power_fail_n: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look: what was looked at, whether it is right, and what was seen."""

    name: str
    ok: bool
    text: str


class Person(Protocol):
    """Who stands at the bench."""

    def confirms(self, question: str) -> bool:
        """Ask, and return whether the answer is yes."""
        ...

    def is_told(self, text: str) -> None:
        """Say what to do now."""
        ...


class HardwareCheck:
    """Builds every line inactive, looks at each, and gives them all back. Raises PinFault.

    ``now_ns`` is the real monotonic clock and ``sleep_ns`` waits; a hand is waited for as long as
    ``patience_ns``. ENABLE is on for nothing but the looks that say so.
    """

    def __init__(
        self,
        factories: PinFactories,
        wiring: Wiring,
        person: Person,
        *,
        now_ns: NowNs,
        sleep_ns: Callable[[int], None],
        patience_ns: int,
        gauge: GaugeOf | None = None,
    ) -> None:
        self._patience_ns = patience_ns
        self._factories, self._wiring, self._person = factories, wiring, person
        self._now_ns, self._sleep_ns = now_ns, sleep_ns
        self._gauge = gauge
        self._stack = ExitStack()
        if gauge is not None:
            self._stack.callback(gauge.close)
        try:
            self._build()
        except PinFault:
            self._stack.close()
            raise

    def _build(self) -> None:
        wiring, factories = self._wiring, self._factories
        self._enable = self._output(wiring.enable_n, "ENABLE", active_low=True)
        self._alive = self._output(wiring.alive, "ALIVE")
        self._signals = {
            "red lamp": self._output(wiring.lamp_high, "lamp high"),
            "yellow lamp": self._output(wiring.lamp_medium, "lamp medium"),
            "cyan lamp": self._output(wiring.lamp_low, "lamp low"),
            "buzzer": self._output(wiring.buzzer, "buzzer"),
        }
        self._feedback = self._input(wiring.enable_feedback_n, "ENABLE feedback")
        self._end_stop = self._input(wiring.end_stop_n, "end stop")
        self._driver_fault = self._input(wiring.driver_fault_n, "driver fault")
        self._button = (
            self._input(wiring.stop_button_n, "stop button") if wiring.has_stop_button else None
        )
        self._power_fails = (
            None
            if wiring.power_fail_n is None
            else self._input(wiring.power_fail_n, "power-fail line")
        )
        self._counter: EdgeCounter | None = None
        if wiring.has_readback:
            self._counter = EdgeCounter(factories, wiring.readback)
            self._stack.callback(self._counter.close)
        self._axis = StepDirAxis(
            factories,
            step=wiring.step,
            direction=wiring.direction,
            now_ns=self._now_ns,
            min_interval_ns=wiring.min_interval_us * 1_000,
            pulse_ns=wiring.step_pulse_us * 1_000,
            inverted=wiring.direction_inverted,
        )
        self._stack.callback(self._axis.close)

    def _output(self, pin: int, name: str, *, active_low: bool = False) -> Output:
        line = Output(self._factories, pin, name=name, active_low=active_low)
        self._stack.callback(line.close)
        return line

    def _input(self, pin: int, name: str) -> Line:
        line = Line(self._factories, pin, name=name)
        self._stack.callback(line.close)
        return line

    def close(self) -> None:
        """Give every line back, ENABLE off."""
        self._stack.close()

    def looks(self, *, jog: bool) -> Iterator[Look]:
        """Look at one after the other; with ``jog`` at the motor too, if all was right before."""
        sound = True
        for look in self._still():
            sound = sound and look.ok
            yield look
        if jog:
            if sound:
                yield from self._moving()
            else:
                yield Look("motor", ok=False, text="not tried: something above is not right")

    # ------------------------------------------------------------------ nothing moves

    def _still(self) -> Iterator[Look]:
        yield self._rests(
            "end stop", self._end_stop, "the carriage is at the end, or its wire is cut"
        )
        yield self._rests("driver fault", self._driver_fault, "the driver, its supply, or the wire")
        if self._button is not None:
            yield self._rests("stop button", self._button, "it is pressed, or its wire is cut")
        if self._power_fails is not None:
            remedy = "the supply is about to end, or the line's wire is cut"
            yield self._rests("power-fail line", self._power_fails, remedy)
        if self._gauge is not None:
            yield self._charge(self._gauge)
        yield self._rests("ENABLE", self._feedback, "the motor has current: the pull-up, the gate")
        yield from self._gate()
        if self._counter is not None:
            yield self._readback(self._counter)
        for name, line in self._signals.items():
            line.set(active=True)
            seen = self._person.confirms(f"The {name} is on: do you {_sense(name)} it?")
            line.set(active=False)
            yield Look(name, seen, "seen" if seen else "not seen: its wire, its resistor")
        yield self._by_hand("end stop, by hand", self._end_stop, "Hold the end stop.")
        if self._button is not None:
            yield self._by_hand("stop button, by hand", self._button, "Press the stop button.")

    def _rests(self, name: str, line: Line, remedy: str) -> Look:
        active = line.is_active()
        return Look(name, not active, f"active: {remedy}" if active else "at rest")

    def _charge(self, gauge: GaugeOf) -> Look:
        try:
            percent = gauge.read()
        except (PinFault, SensorFault) as fault:
            return Look("battery", ok=False, text=str(fault))
        return Look("battery", 0 <= percent <= 100, f"its gauge says {percent} %")

    def _gate(self) -> Iterator[Look]:
        """ENABLE with ALIVE is on; without, it is off after 50 ms where there is a one-shot."""
        with self._enabled():
            on = self._feedback.is_active()
            yield Look(
                "ENABLE, on",
                on,
                "comes back" if on else "does not come back: the gate, ALIVE, the feedback's wire",
            )
            if self._wiring.has_one_shot:
                self._sleep_ns(_SETTLE_NS)
                off = not self._feedback.is_active()
                text = "off without ALIVE" if off else "stays on without ALIVE: the one-shot"
                yield Look("one-shot", off, text)
        off = not self._feedback.is_active()
        yield Look(
            "ENABLE, off", off, "goes off" if off else "stays on: the gate, the driver's pull-up"
        )

    @contextmanager
    def _enabled(self) -> Iterator[None]:
        """ENABLE on, and ALIVE for long enough that the gate is open."""
        self._enable.set(active=True)
        try:
            self._beat(_SETTLE_NS)
            yield
        finally:
            self._enable.set(active=False)
            self._alive.set(active=False)
            self._sleep_ns(_BEAT_NS)

    def _beat(self, lasting_ns: int) -> None:
        """Toggle ALIVE for so long."""
        until_ns, high = self._now_ns() + lasting_ns, False
        while self._now_ns() < until_ns:
            high = not high
            self._alive.set(active=high)
            self._sleep_ns(_BEAT_NS)

    def _readback(self, counter: EdgeCounter) -> Look:
        before = counter.count()
        self._steps(_EDGES, self._wiring.min_interval_us * 1_000)
        self._sleep_ns(_BEAT_NS)
        seen = counter.count() - before
        text = f"{_EDGES} edges with ENABLE off, {seen} read back"
        return Look("read-back", seen == _EDGES, text)

    def _by_hand(self, name: str, line: Line, what: str) -> Look:
        """Wait for a hand; the line has to rest again afterwards."""
        self._person.is_told(f"{what} ({self._patience_ns // _NS_PER_S} s)")
        if not self._becomes(line, active=True):
            return Look(name, ok=False, text="nothing came: its contact, its wire")
        self._person.is_told("Seen. Let go.")
        rests = self._becomes(line, active=False)
        return Look(name, rests, "comes and goes" if rests else "does not go back")

    def _becomes(self, line: Line, *, active: bool) -> bool:
        until_ns = self._now_ns() + self._patience_ns
        while line.is_active() != active:
            if self._now_ns() > until_ns:
                return False
            self._sleep_ns(_BEAT_NS)
        return True

    # ------------------------------------------------------------------ the motor

    def _moving(self) -> Iterator[Look]:
        """A short way forward and back; the end stop or a fault of the driver ends it."""
        for direction, way in ((1, "towards the plunger"), (-1, "back")):
            before = self._counter.count() if self._counter else 0
            with self._enabled():
                self._axis.set_direction(direction)
                done = self._steps(_JOG_STEPS, _JOG_INTERVAL_NS, beating=True)
            seen = self._counter.count() - before if self._counter else done
            right = self._person.confirms(f"Did the carriage move a little {way}?")
            text = f"{done} steps, {seen} read back"
            if not right:
                text += "; not seen to move so: direction_inverted, the current, a coil's wires"
            yield Look(f"motor, {way}", right and done == seen == _JOG_STEPS, text)
        self._axis.set_direction(1)

    def _steps(self, count: int, interval_ns: int, *, beating: bool = False) -> int:
        """Issue steps, each after ``interval_ns`` at least; return how many went out."""
        self._axis.allow(count)
        high = False
        for done in range(count):
            if beating:
                high = not high
                self._alive.set(active=high)
                if self._end_stop.is_active() or self._driver_fault.is_active():
                    self._axis.revoke()
                    return done
            self._sleep_ns(max(interval_ns, self._axis.wait_ns()))
            self._axis.step()
        return count


def _sense(name: str) -> str:
    return "hear" if name == "buzzer" else "see"
