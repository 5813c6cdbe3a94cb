"""The plant behind gpiozero's MockFactory, in one process: for unit tests and for virtual time.

The same pins, wires and faults as ``bench-sim``, without sockets. A write reaches the plant at the
instant of the injected clock, and what the plant changes is on the input pins, callbacks included,
before the write returns. No pin keeps a list of its states: the plant's traces are bounded.
"""

from __future__ import annotations

from collections.abc import Callable

from gpiozero.exc import PinSetInput
from gpiozero.pins.mock import MockFactory, MockPin, PinState

from appliance.errors import PinFault
from drivers.bench_wire import Channel
from drivers.gpio import PinFactories, Untyped
from drivers.mock.plant import Plant
from drivers.mock.settings import FROM_PROGRAMS, TO_PROGRAMS, BenchSettings, Wire

_OTHER_EDGE = ("rising", "falling")  # what a change to low, or to high, is not


class QuietPin(MockPin):  # type: ignore[misc]  # gpiozero ships no types
    """A mock pin that asks no clock and keeps no list."""

    def clear_states(self) -> None:
        """Keep the one entry that MockPin's own checks look at."""
        self._last_change = 0.0
        self.states = [PinState(0.0, self._state)]

    def _change_state(self, value: object) -> bool:
        if self._state == value:
            return False
        self._state: int = 1 if value else 0
        return True


class PlantPin(QuietPin):
    """A pin with one of the plant's wires on it."""

    def __init__(self, factory: MockBenchFactory, info: Untyped) -> None:
        self._bench = factory.bench
        self._plant = factory.bench.plant
        self._now_ns = factory.bench.now_ns
        self._wire: Wire = factory.bench.wire_of[int(info.name[4:])]
        self._is_step = self._wire is Wire.STEP
        self._refuse()
        super().__init__(factory, info)
        if self._wire in TO_PROGRAMS:
            factory.bench.inputs[self._wire] = self
            self.follow()

    def close(self) -> None:
        """Let go of the wire: the plant's resistors decide."""
        self.when_changed = None
        self._let_go()

    def output_with_state(self, state: object) -> None:
        """Make it an output at ``state``, without a level in between."""
        self._refuse()
        self._function = "output"
        self._state = bool(state)
        self._plant.drive(self._wire, int(self._state), self._now_ns())

    def follow(self) -> None:
        """Take in what the plant has on this wire."""
        level = self._plant.levels[self._wire]
        if level != self._state and self._function == "input":
            self._state = level
            if self._when_changed is not None and self._edges != _OTHER_EDGE[level]:
                self._call_when_changed()

    def _set_function(self, value: str) -> None:
        self._refuse()
        if value == "input":
            self._let_go()
        super()._set_function(value)

    def _let_go(self) -> None:
        if self._function == "output":
            self._function = "input"
            self._plant.drive(self._wire, None, self._now_ns())
            self._state = bool(self._plant.levels[self._wire])

    def _set_state(self, value: object) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        if self._plant.knobs.pins_denied:
            self._refuse()
        level = 1 if value else 0
        if level == self._state:
            return
        self._state = level
        if self._is_step:
            self._plant.drive_step(level, self._now_ns())
        else:
            self._plant.drive(self._wire, level, self._now_ns())

    def _get_state(self) -> int:
        if self._function == "input":
            plant, now_ns = self._plant, self._now_ns()
            if plant.refuses:
                self._refuse()
            if plant.next_event_ns <= now_ns:
                plant.advance(now_ns)
        return self._state

    state = property(_get_state, _set_state)  # gpiozero's own looks both up at each access

    def _set_pull(self, value: str) -> None:
        if self._wire in FROM_PROGRAMS:
            self._pull = value
            return
        super()._set_pull(value)
        self._plant.pull(self._wire, int(value == "up"), self._now_ns())
        self.follow()

    def _refuse(self) -> None:
        refusal = self._plant.refusal(self._wire)
        if refusal is not None:
            raise PinFault(f"{self._wire.value}: {refusal[0].name.lower()}: {refusal[1]}")


class MockBenchFactory(MockFactory):  # type: ignore[misc]  # gpiozero ships no types
    """gpiozero's mock pins with the plant's wires on them; other pins are plain mock pins."""

    def __init__(self, bench: MockBench) -> None:
        self.bench = bench
        super().__init__(pin_class=QuietPin)

    def pin(self, name: object, pin_class: Untyped = None, **kwargs: object) -> Untyped:
        """Return the pin of that name."""
        if pin_class is None:
            for _, info in self.board_info.find_pin(name):
                if int(info.name[4:]) in self.bench.wire_of:
                    pin_class = PlantPin
        return super().pin(name, pin_class=pin_class, **kwargs)

    def sample(self, channel: Channel) -> int | None:
        """Return what the bench measures on ``channel`` now; None where there is no true value."""
        if self.bench.plant.knobs.chip_missing:
            raise PinFault("the bench has gone")
        return self.bench.plant.sample(channel, self.bench.now_ns())

    def ticks(self) -> int:
        """Return the instant in nanoseconds."""
        return self.bench.now_ns()

    def ticks_diff(self, later: int, earlier: int) -> float:
        """Return the seconds between two ticks."""
        return (later - earlier) / 1e9


class MockBench:
    """One bench in this process. ``factories`` is what the assemblies take; ``plant`` is the truth.

    ``now_ns`` is the clock of everything in it. In virtual time call ``advance`` when the clock has
    moved, at ``next_event_ns`` at the latest: then the one-shot, a bounce or the button is due.
    """

    def __init__(self, settings: BenchSettings, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.wire_of = {pin: wire for wire, pin in settings.pins.items()}
        self.inputs: dict[Wire, PlantPin] = {}
        self.plant = Plant(settings, now_ns(), self._changed)
        self.factory = MockBenchFactory(self)
        self.factories = PinFactories(outputs=self.factory, inputs=self.factory, poll=self.advance)

    @property
    def next_event_ns(self) -> int:
        """When the plant changes something by itself."""
        return self.plant.next_event_ns

    def advance(self) -> None:
        """Let everything happen that is due by now."""
        self.plant.advance(self.now_ns())

    def close(self) -> None:
        """Give every pin back."""
        self.factory.close()

    def _changed(self, wire: Wire) -> None:
        pin = self.inputs.get(wire)
        if pin is not None:
            pin.follow()
