"""What a bench is made of: wiring, motor, syringe, tubing. Plain values, checked all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum


class Wire(StrEnum):
    """A line of the machine, called as in ``[pins]`` of the configuration."""

    STEP = "step"
    DIRECTION = "direction"
    ENABLE_N = "enable_n"
    ALIVE = "alive"
    BUZZER = "buzzer"
    LAMP_HIGH = "lamp_high"
    LAMP_MEDIUM = "lamp_medium"
    LAMP_LOW = "lamp_low"
    READBACK = "readback"
    ENABLE_FEEDBACK_N = "enable_feedback_n"
    END_STOP_N = "end_stop_n"
    DRIVER_FAULT_N = "driver_fault_n"
    STOP_BUTTON_N = "stop_button_n"


FROM_PROGRAMS = (
    Wire.STEP,
    Wire.DIRECTION,
    Wire.ENABLE_N,
    Wire.ALIVE,
    Wire.BUZZER,
    Wire.LAMP_HIGH,
    Wire.LAMP_MEDIUM,
    Wire.LAMP_LOW,
)
TO_PROGRAMS = tuple(wire for wire in Wire if wire not in FROM_PROGRAMS)
SIGNALS = FROM_PROGRAMS[4:]
"""The wires that a person hears and sees."""

DEFAULT_PINS = {
    Wire.STEP: 17,
    Wire.DIRECTION: 27,
    Wire.ENABLE_N: 22,
    Wire.ALIVE: 23,
    Wire.BUZZER: 12,
    Wire.LAMP_HIGH: 16,
    Wire.LAMP_MEDIUM: 20,
    Wire.LAMP_LOW: 21,
    Wire.READBACK: 5,
    Wire.ENABLE_FEEDBACK_N: 6,
    Wire.END_STOP_N: 24,
    Wire.DRIVER_FAULT_N: 25,
    Wire.STOP_BUTTON_N: 13,
}

# field: lowest, highest
_RANGES: dict[str, tuple[float, float]] = {
    "bore_um": (1_000, 40_000),
    "lead_um": (100, 20_000),
    "full_steps": (20, 400),
    "microsteps": (1, 256),
    "capacity_nl": (1_000, 100_000_000),
    "motor_min_interval_us": (10, 100_000),
    "motor_min_pulse_ns": (0, 100_000),
    "seed": (0, 2**63 - 1),
    "speed": (1, 100_000),
    "start_ns": (-(2**62), 2**62),
    "friction_mn": (0, 50_000),
    "noise_mn": (0, 10_000),
    "stall_mn": (1_000, 1_000_000),
    "compliance_nl_per_kpa": (0.1, 10_000),
    "line_resistance_kpa_s_per_nl": (0.000_01, 100),
    "evaporation_ug_per_h": (0, 1_000_000),
    "density_ug_per_nl": (0.5, 2.0),
    "zero_counts": (-(2**31), 2**31),
    "un_per_count": (-1_000_000, 1_000_000),
}


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """One bench. The defaults are those of design.md section 4, and a line that 12 N calls blocked.

    ``fill_nl`` is what the syringe holds at the start, all of ``capacity_nl`` where it is None.
    Positions are microsteps from the back end stop on; ``end_stops`` says whether that switch is on
    the line beside the front one ("both"), or the front one alone ("front"). ``speed`` and
    ``start_ns`` scale the fluid's time as ``--speed`` does a demo's; what is electrical or
    mechanical stays on real time.
    """

    pins: dict[Wire, int] = field(default_factory=lambda: dict(DEFAULT_PINS))
    bore_um: int = 8_660
    lead_um: int = 1_000
    full_steps: int = 200
    microsteps: int = 16
    capacity_nl: int = 3_000_000
    fill_nl: int | None = None
    hold: str = "reduced"
    direction_inverted: bool = False
    motor_min_interval_us: int = 500
    motor_min_pulse_ns: int = 500
    one_shot: str = "present"
    end_stops: str = "both"
    seed: int = 1
    speed: int = 1
    start_ns: int = 0
    friction_mn: int = 1_000
    noise_mn: int = 20
    stall_mn: int = 120_000
    compliance_nl_per_kpa: float = 20.0
    line_resistance_kpa_s_per_nl: float = 0.015
    evaporation_ug_per_h: float = 500.0
    density_ug_per_nl: float = 0.998
    zero_counts: int = 0
    un_per_count: int = 1_000

    def reasons_against(self) -> list[str]:
        """List every fault of these settings, each with field, value and range."""
        reasons: list[str] = []
        for each in fields(self):
            if each.name in _RANGES:
                low, high = _RANGES[each.name]
                given = getattr(self, each.name)
                if not low <= given <= high:
                    reasons.append(f"{each.name} = {given} is out of range: {low} to {high}")
        if self.fill_nl is not None and not 0 <= self.fill_nl <= self.capacity_nl:
            reasons.append(f"fill_nl = {self.fill_nl} is out of range: 0 to {self.capacity_nl}")
        if self.microsteps & (self.microsteps - 1):
            reasons.append(f"microsteps = {self.microsteps} is not a power of two")
        if self.hold not in ("reduced", "off"):
            reasons.append(f"hold = {self.hold!r} is not reduced or off")
        if self.one_shot not in ("present", "none"):
            reasons.append(f"one_shot = {self.one_shot!r} is not present or none")
        if self.end_stops not in ("both", "front"):
            reasons.append(f"end_stops = {self.end_stops!r} is not both or front")
        if self.un_per_count == 0:
            reasons.append("un_per_count = 0 is out of range: it is not 0")
        seen: dict[int, Wire] = {}
        for wire in Wire:
            pin = self.pins.get(wire)
            if pin is None:
                reasons.append(f"pins.{wire.value} is missing")
            elif not 0 <= pin <= 27:
                reasons.append(f"pins.{wire.value} = {pin} is out of range: 0 to 27")
            elif pin in seen:
                reasons.append(f"pins.{wire.value} = {pin} is the pin of {seen[pin].value} already")
            else:
                seen[pin] = wire
        return reasons

    @property
    def area_mm2(self) -> float:
        """The plunger's area."""
        return math.pi / 4 * (self.bore_um / 1_000) ** 2

    @property
    def nl_per_step(self) -> float:
        """What one microstep displaces: 1 mm3 is 1,000 nl."""
        return self.area_mm2 * self.lead_um / (self.full_steps * self.microsteps)

    @property
    def steps_per_turn(self) -> int:
        """The microsteps of one turn of the screw."""
        return self.full_steps * self.microsteps

    @property
    def full_at_steps(self) -> int:
        """Where the plunger of a full syringe meets the carriage: a turn ahead of the back stop."""
        return self.steps_per_turn

    @property
    def empty_at_steps(self) -> int:
        """Where a syringe has given all that it says it holds."""
        return self.full_at_steps + round(self.capacity_nl / self.nl_per_step)

    @property
    def front_stop_steps(self) -> int:
        """Where the front end stop closes: 1 % of the travel behind empty."""
        return self.empty_at_steps + max(1, (self.empty_at_steps - self.full_at_steps) // 100)

    @property
    def bottom_steps(self) -> int:
        """Where the plunger meets the bottom and the motor stalls: 2 % behind empty."""
        return self.empty_at_steps + max(2, (self.empty_at_steps - self.full_at_steps) // 50)

    @property
    def back_wall_steps(self) -> int:
        """Where the carriage meets the back wall: half a turn behind the back end stop."""
        return -self.steps_per_turn // 2
