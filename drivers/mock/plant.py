"""The plant: motor driver, plunger, tubing and sensors behind the pins. Pure: time is an argument.

It keeps the truth that every other program is judged by: which edges came, which of them moved the
plunger, when ENABLE was on, what left the needle. Levels come in through ``drive``, each with the
instant at which its sender made it; levels go out to a listener. Nothing here reads a clock.

A step is a rising edge of STEP while ENABLE is on: ENABLE_N low and, where there is a one-shot, its
gate open, which it is for 50 ms after each edge of ALIVE. Every edge that reaches the motor driver
is one of four things, so at any time ::

    edges_seen = steps_forward + steps_reverse + missed_edges + edges_while_disabled
"""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from drivers.bench_wire import Channel, Refusal
from drivers.mock.faults import FAULTS, BadFault, Fault, Knobs, Number, checked, set_back
from drivers.mock.fluid import Fluid
from drivers.mock.sensors import Instruments
from drivers.mock.settings import FROM_PROGRAMS, SIGNALS, TO_PROGRAMS, BenchSettings, Wire

ONE_SHOT_NS = 50_000_000
TRACE_ENTRIES = 4_096
NEVER_NS = 2**62
_NO_GAP_NS = 2**60
_NS_PER_US = 1_000
_NS_PER_MS = 1_000_000

_READBACK = Wire.READBACK
# What the resistors of the machine do to a line that no program drives.
_IDLE = dict.fromkeys(FROM_PROGRAMS, 0) | {Wire.ENABLE_N: 1}

Listener = Callable[[Wire], None]


def _nobody(_wire: Wire) -> None:
    pass


class Plant:
    """One bench, from ``now_ns`` on. ``listener`` is told of each change of a wire to the programs.

    It is called once for each change, with ``levels`` and ``rises`` of that wire as they are then.
    """

    def __init__(
        self, settings: BenchSettings, now_ns: int = 0, listener: Listener = _nobody
    ) -> None:
        self.settings = settings
        self.listener = listener
        self.knobs = Knobs()
        self.active: dict[str, dict[str, Any]] = {}
        self.fluid = Fluid(
            compliance_nl_per_kpa=settings.compliance_nl_per_kpa,
            resistance_kpa_s_per_nl=settings.line_resistance_kpa_s_per_nl,
            now_ns=self._fluid_ns(now_ns),
        )
        self.instruments = Instruments(settings, self.knobs)
        self._random = random.Random(settings.seed)  # noqa: S311  # bounces, no secret
        self._born_ns = now_ns

        # Wires. ``_driven`` is what somebody drives, None for nobody; ``levels`` is what there is.
        self._driven: dict[Wire, int | None] = {}
        self.levels: dict[Wire, int] = dict(_IDLE)
        self.rises: dict[Wire, int] = dict.fromkeys(Wire, 0)
        self._pulls: dict[Wire, int] = dict.fromkeys(TO_PROGRAMS, 0)

        # The motor.
        self.steps_forward = 0
        self.steps_reverse = 0
        self.edges_seen = 0
        self.edges_sent = 0
        self.edges_skipped = 0
        self.edges_while_disabled = 0
        self.missed_edges = 0
        self.edge_log: array[int] | None = None
        """Where somebody put one: the instants of all edges while ENABLE was on, those back as
        negative numbers."""
        self.short_pulses = 0
        self._min_gap_ns = _NO_GAP_NS
        self.last_step_ns: int | None = None
        self.enable = False
        self.enable_trace: deque[tuple[int, bool, str]] = deque(maxlen=TRACE_ENTRIES)
        self.step_trace: deque[tuple[int, int]] = deque(maxlen=TRACE_ENTRIES)
        self.signal_trace: dict[Wire, deque[tuple[int, bool]]] = {
            wire: deque(maxlen=TRACE_ENTRIES) for wire in SIGNALS
        }
        self._signals = dict.fromkeys(SIGNALS, False)
        self._edge_ns = -NEVER_NS
        self._step_driven = 0
        self._step_level = 0
        self._min_pulse_ns = settings.motor_min_pulse_ns
        self._min_interval_ns = settings.motor_min_interval_us * _NS_PER_US
        self._forward_level = int(settings.direction_inverted)
        self._sign = 1 if self.levels[Wire.DIRECTION] == self._forward_level else -1
        self._gate_until_ns = NEVER_NS if settings.one_shot == "none" else -NEVER_NS
        self._gate_held = False
        self._alive_ns = -NEVER_NS
        self._plain_readback = True
        self._extra_count = 0
        self._miss_count = 0

        # The carriage; the plunger stands where the carriage has pushed it to.
        fill_nl = settings.capacity_nl if settings.fill_nl is None else settings.fill_nl
        self.syringe_in = True
        self._nl_per_step = settings.nl_per_step
        self._plunger_steps = self._steps_at(fill_nl)
        self._indexed_steps = self._plunger_steps
        self._snapped_steps = 0
        self._front_steps = settings.front_stop_steps
        self._back_steps = 0 if settings.end_stops == "both" else settings.back_wall_steps - 1
        self._bottom_steps = settings.bottom_steps
        self._back_wall_steps = settings.back_wall_steps
        easy_kpa = settings.stall_mn / 2 / settings.area_mm2
        self._easy_nl = easy_kpa * settings.compliance_nl_per_kpa
        self._at_end = False
        self._bounces: deque[tuple[int, int]] = deque()
        self._button_until_ns = -NEVER_NS
        self.next_event_ns = NEVER_NS
        """The instant at which something changes by itself; ``NEVER_NS`` where nothing will."""
        self.refuses = False
        """Whether ``refusal`` may have a reason for some wire."""
        for wire in TO_PROGRAMS:
            self.levels[wire] = 0
        self._renew(now_ns)

    # -------------------------------------------------------------- wires

    def drive(self, wire: Wire, level: int | None, at_ns: int) -> None:
        """Let a program drive ``wire`` from ``at_ns`` on; None lets go, and the pull decides."""
        if level is None:
            if self.knobs.outputs_kept:
                return
            level = _IDLE[wire]
        if wire is Wire.STEP:
            self.drive_step(level, at_ns)
            return
        if self.levels[wire] == level:
            return
        self.levels[wire] = level
        if wire is Wire.DIRECTION:
            self._sign = 1 if level == self._forward_level else -1
        elif wire is Wire.ALIVE:
            self._alive_ns = at_ns
            self._renew_gate(at_ns)
        elif wire is Wire.ENABLE_N:
            self._renew_enable(at_ns, "line")
        else:
            self._renew_signal(wire, at_ns)

    def drive_step(self, level: int, at_ns: int) -> None:
        """Drive STEP: the busiest wire, so it has a door of its own."""
        if level != self._step_driven:
            self._step_driven = level
            if level:
                self.edges_sent += 1
            if self.knobs.step_stuck is None:
                self._step_edge(level, at_ns)

    def pull(self, wire: Wire, level: int, at_ns: int) -> None:
        """Set the pull on the reading end of a wire: it decides where nobody drives the wire."""
        self._pulls[wire] = level
        if wire is not _READBACK:  # STEP always drives it
            self._say(wire, self._driven[wire], at_ns)

    def _say(self, wire: Wire, driven: int | None, _at_ns: int) -> None:
        """Drive a wire to the programs; None is an open wire."""
        self._driven[wire] = driven
        level = self._pulls[wire] if driven is None else driven
        if level != self.levels[wire]:
            self.levels[wire] = level
            self.rises[wire] += level
            self.listener(wire)

    def skip(self, steps: int, at_ns: int) -> None:
        """Move ``steps`` forward without their edges, the last of them at ``at_ns``.

        For virtual time at pulse level, where nothing is wrong: everything counts as if the edges
        had come, and had been read back.
        """
        self.edges_seen += steps
        self.edges_sent += steps
        self.edges_skipped += steps
        self.steps_forward += steps
        self.rises[_READBACK] += steps
        self._edge_ns = self.last_step_ns = at_ns
        self._indexed_steps += steps
        self._moved(at_ns)

    # -------------------------------------------------------------- the motor

    def _step_edge(self, level: int, at_ns: int) -> None:
        """One edge at the motor driver's own input."""
        self._step_level = level
        self.step_trace.append((at_ns, level))
        if not level:
            if at_ns - self._edge_ns < self._min_pulse_ns:
                self.short_pulses += 1
            if self.levels[_READBACK]:
                self.levels[_READBACK] = 0
                self.listener(_READBACK)
            return
        self.edges_seen += 1
        gap_ns = at_ns - self._edge_ns
        if gap_ns < self._min_gap_ns:
            self._min_gap_ns = gap_ns
        self._edge_ns = at_ns
        if self.enable and at_ns >= self._gate_until_ns:
            self._renew_enable(self._gate_until_ns, "one-shot")
        if self.edge_log is not None and self.enable:
            self.edge_log.append(at_ns * self._sign)
        if not self.enable:
            self.edges_while_disabled += 1
        elif gap_ns < self._min_interval_ns or not self._turn(at_ns):
            self.missed_edges += 1
        if self._plain_readback:
            self.levels[_READBACK] = 1
            self.rises[_READBACK] += 1
            self.listener(_READBACK)
        else:
            self._read_back_badly(at_ns)

    def _turn(self, at_ns: int) -> bool:
        """Move one microstep if the motor can."""
        knobs = self.knobs
        if knobs.stalled or knobs.driver_fault or knobs.driver_hot:
            return False
        target = self._indexed_steps + self._sign
        if self._sign > 0:
            if target > self._bottom_steps:
                return False
            if self.fluid.stored_nl > self._easy_nl and self._too_hard(at_ns):
                return False
            self.steps_forward += 1
        else:
            if target < self._back_wall_steps:
                return False
            self.steps_reverse += 1
        self._indexed_steps = target
        self.last_step_ns = at_ns
        self._moved(at_ns)
        return True

    def _too_hard(self, at_ns: int) -> bool:
        """Return whether the next step would need more force than the motor has."""
        if not self.syringe_in:
            return False
        self.fluid.advance(self._fluid_ns(at_ns))
        force_mn = self.instruments.force_mn(self.fluid.pressure_kpa, at_ns, pushing=True)
        return force_mn > self.settings.stall_mn

    def _moved(self, at_ns: int) -> None:
        """Let the carriage's place have its effects: on the plunger, and on the end stop."""
        carriage_steps = self._indexed_steps + self._snapped_steps
        pushed_steps = carriage_steps - self._plunger_steps
        if pushed_steps > 0 and self.syringe_in:
            self._plunger_steps = carriage_steps
            self.fluid.displace(pushed_steps * self._nl_per_step, self._fluid_ns(at_ns))
        if (self._back_steps < carriage_steps < self._front_steps) is self._at_end:
            self._at_end = not self._at_end
            self._renew_end_stop(at_ns, changed=True)

    @property
    def last_edge_ns(self) -> int | None:
        """When the last rising edge came to the motor driver."""
        return None if self._edge_ns == -NEVER_NS else self._edge_ns

    @property
    def min_gap_ns(self) -> int | None:
        """The least time between two rising edges so far."""
        return None if self._min_gap_ns == _NO_GAP_NS else self._min_gap_ns

    @property
    def carriage_steps(self) -> int:
        """Where the carriage is: microsteps from the back end stop on."""
        return self._indexed_steps + self._snapped_steps

    # -------------------------------------------------------------- ENABLE

    def hold_gate(self, *, held: bool, now_ns: int) -> None:
        """Take the edges of ALIVE for granted while ``held``; the last one is then at ``now_ns``.

        For virtual time, where a line that toggles is no event while nothing is wrong.
        """
        if held != self._gate_held:
            self._gate_held = held
            self._alive_ns = now_ns
            self._renew_gate(now_ns)

    def _renew_gate(self, at_ns: int) -> None:
        """Work out until when the one-shot's gate is open, after ALIVE or a fault changed it."""
        if self.settings.one_shot == "none" or self._gate_held or self.knobs.one_shot == "open":
            self._gate_until_ns = NEVER_NS
        elif self.knobs.one_shot == "closed":
            self._gate_until_ns = -NEVER_NS
        else:
            self._gate_until_ns = self._alive_ns + ONE_SHOT_NS
        self._renew_enable(at_ns, "one-shot")

    def _renew_enable(self, at_ns: int, cause: str) -> None:
        """Work out what ENABLE is behind the gate, and what follows from it."""
        enable = not self.levels[Wire.ENABLE_N] and at_ns < self._gate_until_ns
        if enable != self.enable:
            self.enable = enable
            self.enable_trace.append((at_ns, enable, cause))
            self._snap(at_ns)
            self._renew_feedback(at_ns)
        self._renew_next_event()

    def _snap(self, at_ns: int) -> None:
        """Without current the rotor goes to the nearest full step, and back once it has current."""
        if self.settings.hold != "off":
            return
        if self.enable:
            self._snapped_steps = 0
        else:
            size = self.settings.microsteps
            nearest_steps = (self._indexed_steps + size // 2) // size * size
            self._snapped_steps = nearest_steps - self._indexed_steps
        self._moved(at_ns)

    def _renew_feedback(self, at_ns: int) -> None:
        match self.knobs.feedback:
            case "on":
                level: int | None = 0
            case "off":
                level = 1
            case "inverted":
                level = int(self.enable)
            case "open":
                level = None
            case _:
                level = int(not self.enable)
        self._say(Wire.ENABLE_FEEDBACK_N, level, at_ns)

    # -------------------------------------------------------------- read-back

    def _read_back_badly(self, at_ns: int) -> None:
        """Show a rising edge on the read-back as the faults let it through."""
        knobs = self.knobs
        if knobs.readback_dead:
            return
        if knobs.readback_miss_next:
            knobs.readback_miss_next -= 1
            if not knobs.readback_miss_next:
                self.active.pop("readback_miss", None)
                self._renew_readback()
            return
        if knobs.readback_miss_every:
            self._miss_count += 1
            if self._miss_count % knobs.readback_miss_every == 0:
                return
        self._say(_READBACK, 1, at_ns)
        if knobs.readback_extra_every:
            self._extra_count += 1
            if self._extra_count % knobs.readback_extra_every == 0:
                self._say(_READBACK, 0, at_ns)
                self._say(_READBACK, 1, at_ns)

    def _add_edges(self, edges: int, at_ns: int) -> None:
        """Show edges on the read-back that STEP never had."""
        resting = self.levels[_READBACK]
        for _ in range(edges):
            self._say(_READBACK, 0, at_ns)
            self._say(_READBACK, 1, at_ns)
        self._say(_READBACK, resting, at_ns)

    def _renew_readback(self) -> None:
        knobs = self.knobs
        self._plain_readback = not (
            knobs.readback_dead
            or knobs.readback_miss_next
            or knobs.readback_miss_every
            or knobs.readback_extra_every
        )

    # -------------------------------------------------------------- the other wires

    def _renew_end_stop(self, at_ns: int, *, changed: bool = False) -> None:
        """The contacts are closed in mid-travel and hold the line high; at either end it is low."""
        knobs = self.knobs
        self._bounces.clear()
        if knobs.end_stop_open:
            self._say(Wire.END_STOP_N, None, at_ns)
        elif knobs.end_stop_stuck is not None:
            self._say(Wire.END_STOP_N, int(not knobs.end_stop_stuck), at_ns)
        else:
            level = int(not self._at_end)
            if changed and knobs.end_stop_bounce_ns:
                self._bounce(level, at_ns, knobs.end_stop_bounce_ns)
            self._say(Wire.END_STOP_N, level, at_ns)
        self._renew_next_event()

    def _bounce(self, level: int, at_ns: int, span_ns: int) -> None:
        """Lay out a bounce that ends at ``level``: an even number of changes after the first."""
        changes = 2 * self._random.randint(1, 6)
        instants = sorted(at_ns + self._random.randint(1, span_ns) for _ in range(changes - 1))
        instants.append(at_ns + span_ns)
        for place, instant_ns in enumerate(instants):
            self._bounces.append((instant_ns, level if place % 2 else 1 - level))

    def _renew_driver_fault(self, at_ns: int) -> None:
        in_fault = self.knobs.driver_fault or self.knobs.driver_hot
        self._say(Wire.DRIVER_FAULT_N, int(not in_fault), at_ns)

    def _renew_button(self, at_ns: int) -> None:
        """The button's contact is closed at rest and holds the line high."""
        match self.knobs.stop_button:
            case "pressed":
                level: int | None = 0
            case "released":
                level = 1
            case "open":
                level = None
            case _:
                level = int(self._button_until_ns <= at_ns)
        self._say(Wire.STOP_BUTTON_N, level, at_ns)

    def _renew_signal(self, wire: Wire, at_ns: int) -> None:
        """Keep what a person hears or sees, which a dead buzzer or lamp is not."""
        on = self.instruments.draws_current(wire, self.levels[wire])
        if on != self._signals[wire]:
            self._signals[wire] = on
            self.signal_trace[wire].append((at_ns, on))

    # -------------------------------------------------------------- time

    def advance(self, now_ns: int) -> None:
        """Let everything happen that is due by ``now_ns``, in its order."""
        while self.next_event_ns <= now_ns:
            at_ns = self.next_event_ns
            if self._bounces and self._bounces[0][0] <= at_ns:
                self._say(Wire.END_STOP_N, self._bounces.popleft()[1], at_ns)
            if self._button_until_ns <= at_ns:
                self._button_until_ns = -NEVER_NS
                self._renew_button(at_ns)
            if self.enable and self._gate_until_ns <= at_ns:
                self._renew_enable(at_ns, "one-shot")
            self._renew_next_event()

    def _renew_next_event(self) -> None:
        next_ns = self._bounces[0][0] if self._bounces else NEVER_NS
        if self._button_until_ns != -NEVER_NS:
            next_ns = min(next_ns, self._button_until_ns)
        if self.enable:
            next_ns = min(next_ns, self._gate_until_ns)
        self.next_event_ns = next_ns

    def _fluid_ns(self, now_ns: int) -> int:
        settings = self.settings
        if settings.speed == 1:
            return now_ns
        return settings.start_ns + (now_ns - settings.start_ns) * settings.speed

    # -------------------------------------------------------------- what a person does

    def inject(self, name: object, given: Mapping[str, object], now_ns: int) -> dict[str, Any]:
        """Begin a fault and return its parameters. Raises BadFault."""
        fault, values = checked(name, given)
        self.advance(now_ns)
        self.instruments.battery()  # what a gauge repeats once it is frozen
        for knob, setting in fault.turn(values).items():
            setattr(self.knobs, knob, setting)
        if fault.once:
            self._happen(fault, now_ns)
        else:
            self.active[fault.name] = values
        self._apply(fault, now_ns)
        return values

    def clear(self, name: object, now_ns: int) -> list[str]:
        """End a fault, or every one for "all"; return the names that ended. Raises BadFault."""
        self.advance(now_ns)
        if name == "all":
            names = list(self.active)
        elif isinstance(name, str) and name in FAULTS:
            names = [name] if name in self.active else []
        else:
            raise BadFault("name", name, f"all, or a fault of this bench: {', '.join(FAULTS)}")
        for each in names:
            fault = FAULTS[each]
            del self.active[each]
            set_back(self.knobs, fault.knobs)
            for other, values in self.active.items():
                if set(FAULTS[other].knobs) & set(fault.knobs):
                    for knob, setting in FAULTS[other].turn(values).items():
                        setattr(self.knobs, knob, setting)
            self._apply(fault, now_ns)
        return names

    def press(self, button: object, ms: object, now_ns: int) -> None:
        """Press the stop button for ``ms``. Raises BadFault."""
        if button != "stop":
            raise BadFault("button", button, "stop")
        held_ms = int(Number(1, 600_000).read("ms", ms))
        self.advance(now_ns)
        self._button_until_ns = now_ns + held_ms * _NS_PER_MS
        self._renew_button(now_ns)
        self._renew_next_event()

    def set(self, given: Mapping[str, object], now_ns: int) -> dict[str, Any]:
        """Set what is not a fault; return what was set. All of it or, with BadFault, nothing."""
        settable: dict[str, Number] = {
            "battery_pct": Number(0, 100),
            "board_c": Number(-40, 150),
            "evaporation_ug_per_h": Number(0, 1_000_000, whole=False),
            "carriage_steps": Number(self.settings.back_wall_steps, self.settings.bottom_steps),
            "fill_nl": Number(0, self.settings.capacity_nl),
        }
        values: dict[str, Any] = {}
        for name, wanted in given.items():
            if name == "syringe":
                if wanted not in ("in", "out"):
                    raise BadFault(name, wanted, "in or out")
                values[name] = wanted
            elif name in settable:
                values[name] = settable[name].read(name, wanted)
            else:
                raise BadFault("field", name, f"one of syringe, {', '.join(settable)}")
        self._check_fit(values)
        self.advance(now_ns)
        for name, value in values.items():
            if name in ("battery_pct", "board_c", "evaporation_ug_per_h"):
                setattr(self.instruments, name, value)
        if values.get("syringe") == "out":
            self.syringe_in = False
        if "carriage_steps" in values:
            self._indexed_steps = values["carriage_steps"]
            self._snap(now_ns)
        if "fill_nl" in values:
            self._plunger_steps = self._steps_at(values["fill_nl"])
            self.syringe_in = True
        elif values.get("syringe") == "in":
            self._plunger_steps = max(
                self.carriage_steps, self._steps_at(self.settings.capacity_nl)
            )
            self.syringe_in = True
        self._moved(now_ns)
        return values

    def _check_fit(self, values: Mapping[str, Any]) -> None:
        """A carriage cannot go through a plunger, nor a plunger into a carriage."""
        carriage_steps = values.get("carriage_steps", self.carriage_steps)
        if "fill_nl" in values:
            if values.get("syringe") == "out":
                raise BadFault("fill_nl", values["fill_nl"], "for a syringe that is out")
            most_nl = (self.settings.empty_at_steps - carriage_steps) * self._nl_per_step
            if values["fill_nl"] > most_nl + self._nl_per_step / 2:
                raise BadFault(
                    "fill_nl",
                    values["fill_nl"],
                    f"at most {max(0, int(most_nl))} where the carriage stands: rewind first",
                )
        elif "carriage_steps" in values and values.get("syringe") != "out" and self.syringe_in:
            most_steps = self._plunger_steps
            if carriage_steps > most_steps:
                raise BadFault(
                    "carriage_steps", carriage_steps, f"at most {most_steps}, where the plunger is"
                )

    def _steps_at(self, fill_nl: float) -> int:
        return self.settings.empty_at_steps - round(fill_nl / self._nl_per_step)

    def _happen(self, fault: Fault, now_ns: int) -> None:
        """Let what is over at once happen."""
        knobs = self.knobs
        match fault.name:
            case "readback_extra":
                self._add_edges(knobs.readback_extra_next, now_ns)
                set_back(knobs, fault.knobs)
            case "force_spike":
                self.instruments.spike(now_ns)
            case "air":
                self.fluid.advance(self._fluid_ns(now_ns))
                self.fluid.add_air(knobs.air_nl, knobs.air_ahead_nl)
                set_back(knobs, fault.knobs)

    def _apply(self, fault: Fault, now_ns: int) -> None:
        """Let turned knobs have their effects."""
        match fault.name:
            case "occlusion":
                self.fluid.advance(self._fluid_ns(now_ns))
                self.fluid.occlude(self.knobs.occluded_share, self.knobs.occlusion_ramp_ns)
            case "leak":
                self.fluid.advance(self._fluid_ns(now_ns))
                self.fluid.leak(self.knobs.leak_share)
            case "force_drift":
                self.instruments.drift_since_ns = now_ns
            case "power_fail":
                self.instruments.flap_since_ns = now_ns
            case "step_stuck":
                stuck = self.knobs.step_stuck
                level = self._step_driven if stuck is None else stuck
                if level != self._step_level:
                    self._step_edge(level, now_ns)
            case "end_stop_bounce" | "end_stop_stuck" | "end_stop_open":
                self._bounces.clear()
        self._miss_count = self._extra_count = 0
        self._renew(now_ns)

    def _renew(self, now_ns: int) -> None:
        """Work out every wire anew."""
        knobs = self.knobs
        self.refuses = knobs.chip_missing or knobs.pins_denied or bool(knobs.pins_busy)
        self._renew_readback()
        self._renew_gate(now_ns)
        self._renew_feedback(now_ns)
        self._renew_driver_fault(now_ns)
        self._renew_button(now_ns)
        if not self._bounces:
            self._renew_end_stop(now_ns)
        for wire in SIGNALS:
            self._renew_signal(wire, now_ns)

    def refusal(self, wire: Wire | None) -> tuple[Refusal, str] | None:
        """Return why a claim of ``wire``, or of a pin without one, fails now (F61)."""
        knobs = self.knobs
        if knobs.chip_missing:
            return Refusal.NO_CHIP, "taken away by a fault"
        if knobs.pins_denied:
            return Refusal.DENIED, "permission lost"
        if knobs.pins_busy == "all" or (wire is not None and knobs.pins_busy == wire.value):
            return Refusal.BUSY, "another program"
        return None

    # -------------------------------------------------------------- the truth

    def sample(self, channel: int, now_ns: int) -> int | None:
        """Return what an instrument shows; None for no value. Raises ValueError for no channel."""
        self.advance(now_ns)
        instruments = self.instruments
        match Channel(channel):
            case Channel.FORCE_COUNTS:
                return instruments.force_counts(self.force_mn(now_ns), now_ns)
            case Channel.BATTERY_PCT:
                return instruments.battery()
            case Channel.BATTERY_UV:
                return instruments.cell_uv()
            case Channel.BOARD_MILLI_C:
                return instruments.board_milli_c()
            case Channel.POWER_FLAGS:
                return instruments.power_flags(now_ns)
            case Channel.ALARM_FEEDBACK:
                return instruments.alarm_feedback(self.levels)
            case Channel.BALANCE_UG:
                return self.balance_ug(now_ns)

    def force_mn(self, now_ns: int) -> float:
        """Return the true push on the plunger."""
        self.fluid.advance(self._fluid_ns(now_ns))
        touching = self.syringe_in and self.carriage_steps >= self._plunger_steps
        return self.instruments.force_mn(self.fluid.pressure_kpa, now_ns, pushing=touching)

    def balance_ug(self, now_ns: int) -> int:
        """Return what the balance shows."""
        fluid_ns = self._fluid_ns(now_ns)
        self.fluid.advance(fluid_ns)
        return self.instruments.balance_ug(
            self.fluid.out_nl, fluid_ns - self._fluid_ns(self._born_ns)
        )

    def status(self, now_ns: int) -> dict[str, Any]:
        """Return the truth as plain values; ``drivers.mock.server`` documents each key."""
        self.advance(now_ns)
        force_mn = self.force_mn(now_ns)
        fluid = self.fluid
        held_steps = self.settings.empty_at_steps - self._plunger_steps
        return {
            "steps_forward": self.steps_forward,
            "steps_reverse": self.steps_reverse,
            "volume_nl": round(fluid.out_nl, 3),
            "enable": self.enable,
            "edges_seen": self.edges_seen,
            "edges_sent": self.edges_sent,
            "edges_while_disabled": self.edges_while_disabled,
            "missed_edges": self.missed_edges,
            "short_pulses": self.short_pulses,
            "readback_edges": self.rises[Wire.READBACK],
            "last_edge_ns": self.last_edge_ns,
            "last_step_ns": self.last_step_ns,
            "min_gap_ns": self.min_gap_ns,
            "carriage_steps": self.carriage_steps,
            "snapped_steps": self._snapped_steps,
            "at_end": self._at_end,
            "syringe": "in" if self.syringe_in else "out",
            "left_nl": round(max(0.0, held_steps * self._nl_per_step), 3),
            "displaced_nl": round(fluid.displaced_nl, 3),
            "stored_nl": round(fluid.stored_nl, 3),
            "leaked_nl": round(fluid.leaked_nl, 3),
            "air_out_nl": round(fluid.air_out_nl, 3),
            "air_nl": round(fluid.air_nl, 3),
            "pressure_kpa": round(fluid.pressure_kpa, 3),
            "force_mn": round(force_mn),
            "balance_ug": self.balance_ug(now_ns),
            "battery_pct": self.instruments.battery(),
            "board_c": self.instruments.board_milli_c() // 1_000,
            "power_flags": self.instruments.power_flags(now_ns),
            "signals": {wire.value: on for wire, on in self._signals.items()},
            "levels": {wire.value: self.levels[wire] for wire in Wire} | {"step": self._step_level},
            "faults": {name: dict(values) for name, values in self.active.items()},
            "nl_per_step": self._nl_per_step,
            "now_ns": now_ns,
        }

    def traces(self, last: int) -> dict[str, Any]:
        """Return the last transitions, oldest first: ENABLE, STEP, buzzer and lamps."""
        return {
            "enable": [list(entry) for entry in _tail(self.enable_trace, last)],
            "step": [list(entry) for entry in _tail(self.step_trace, last)],
            "signals": {
                wire.value: [list(entry) for entry in _tail(trace, last)]
                for wire, trace in self.signal_trace.items()
            },
        }


def _tail(trace: deque[Any], last: int) -> list[Any]:
    return list(trace)[-last:]
