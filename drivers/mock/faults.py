"""The faults of the bench (F53..F65 of ``safety.md``): names, parameters and what they do.

A fault sets ``Knobs``, which the plant and the pins obey; clearing it sets them back. ``FAULTS`` is
the whole list, and ``checked`` reads a person's or a test's words for one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from appliance.errors import PumpError

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class BadFault(PumpError, ValueError):
    """A fault, parameter or value that the bench does not know: field, value and range."""

    code = "E190"

    def __init__(self, field: str, given: object, valid: str) -> None:
        super().__init__(f"{field} = {given!r} is not {valid}")
        self.field = field
        self.given = given
        self.valid = valid


@dataclass(slots=True)
class Knobs:
    """Everything that a fault can turn; as built, nothing is wrong."""

    step_stuck: int | None = None
    readback_dead: bool = False
    readback_miss_next: int = 0
    readback_miss_every: int = 0
    readback_extra_next: int = 0
    readback_extra_every: int = 0
    end_stop_stuck: bool | None = None
    end_stop_open: bool = False
    end_stop_bounce_ns: int = 0
    force: str = ""
    force_drift_mn_per_min: int = 0
    force_factor: float = 1.0
    force_spike_mn: int = 0
    force_spike_ns: int = 0
    occluded_share: float = 0.0
    occlusion_ramp_ns: int = 0
    leak_share: float = 0.0
    air_nl: int = 0
    air_ahead_nl: int = 0
    stalled: bool = False
    driver_fault: bool = False
    driver_hot: bool = False
    feedback: str = ""
    one_shot: str = ""
    outputs_kept: bool = False
    stop_button: str = ""
    buzzer_dead: bool = False
    lamp_dead: str = ""
    pins_busy: str = ""
    chip_missing: bool = False
    pins_denied: bool = False
    under_voltage: bool = False
    throttled: bool = False
    power_fail_ns: int = 0
    battery_drop_pct: int = 0
    battery_frozen: bool = False
    battery_over_pct: int = 0
    board_hot_c: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its range; ``default`` None means that it must be given."""

    low: float
    high: float
    default: float | None = None
    whole: bool = True

    @property
    def valid(self) -> str:
        """Say what may be given."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def read(self, field: str, given: object) -> int | float:
        """Return the number. Raises BadFault."""
        fits = isinstance(given, int) if self.whole else isinstance(given, int | float)
        if isinstance(given, bool) or not fits or not self.low <= given <= self.high:  # type: ignore[operator]
            raise BadFault(field, given, self.valid)
        return given  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of several."""

    words: tuple[str, ...]
    default: str | None = None

    @property
    def valid(self) -> str:
        """Say what may be given."""
        return f"one of {', '.join(self.words)}"

    def read(self, field: str, given: object) -> str:
        """Return the word. Raises BadFault."""
        if not isinstance(given, str) or given not in self.words:
            raise BadFault(field, given, self.valid)
        return given


Parameter = Number | Choice
Given = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its row in ``safety.md``, what it does, what it takes, and how it turns the knobs.

    With ``once`` it happens and is over: it is never listed as active.
    """

    name: str
    row: str
    text: str
    turn: Callable[[Given], Given]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    once: bool = False

    @property
    def knobs(self) -> tuple[str, ...]:
        """The names of the knobs that this fault turns."""
        given = {name: _example(parameter) for name, parameter in self.parameters.items()}
        return tuple(self.turn(given))


def _example(parameter: Parameter) -> float | str:
    return parameter.low if isinstance(parameter, Number) else parameter.words[0]


_LINES = (
    "step", "direction", "enable_n", "alive", "buzzer", "lamp_high", "lamp_medium", "lamp_low",
    "readback", "enable_feedback_n", "end_stop_n", "driver_fault_n", "stop_button_n",
)  # fmt: skip
_ALL_OF_THEM = (
    Fault(
        "step_stuck", "F53", "STEP stays at one level, for the motor and the read-back alike",
        lambda given: {"step_stuck": int(given["level"] == "high")},
        {"level": Choice(("high", "low"), "low")},
    ),
    Fault(
        "readback_miss", "F54", "the read-back misses the next edges",
        lambda given: {"readback_miss_next": given["edges"]},
        {"edges": Number(1, 1_000_000, 1)},
    ),
    Fault(
        "readback_miss_every", "F54", "the read-back misses every nth edge",
        lambda given: {"readback_miss_every": given["nth"]},
        {"nth": Number(2, 1_000_000, 10)},
    ),
    Fault(
        "readback_dead", "F54", "the read-back misses all edges",
        lambda _: {"readback_dead": True},
    ),
    Fault(
        "readback_extra", "F55", "the read-back sees edges now that are none",
        lambda given: {"readback_extra_next": given["edges"]},
        {"edges": Number(1, 10_000, 1)}, once=True,
    ),
    Fault(
        "readback_extra_every", "F55", "the read-back sees every nth edge twice",
        lambda given: {"readback_extra_every": given["nth"]},
        {"nth": Number(1, 1_000_000, 10)},
    ),
    Fault(
        "end_stop_bounce", "F57", "the end stop bounces at each change",
        lambda given: {"end_stop_bounce_ns": round(given["ms"] * _NS_PER_MS)},
        {"ms": Number(0.1, 20, 5, whole=False)},
    ),
    Fault(
        "end_stop_stuck", "F57", "the end stop says one thing, wherever the carriage is",
        lambda given: {"end_stop_stuck": given["at"] == "on"},
        {"at": Choice(("on", "off"), "off")},
    ),
    Fault(
        "end_stop_open", "F57", "the end stop's wire is cut: the pull decides",
        lambda _: {"end_stop_open": True},
    ),
    Fault(
        "force_disconnected", "F58", "the force sensor gives no value",
        lambda _: {"force": "disconnected"},
    ),
    Fault("force_nan", "F58", "the force sensor gives no number", lambda _: {"force": "nan"}),
    Fault(
        "force_frozen", "F58", "the force sensor repeats its last value",
        lambda _: {"force": "frozen"},
    ),
    Fault(
        "force_saturated", "F58", "the force sensor is at an end of its range",
        lambda given: {"force": f"saturated {given['at']}"},
        {"at": Choice(("high", "low"), "high")},
    ),
    Fault(
        "force_drift", "F58", "the force sensor's zero drifts",
        lambda given: {"force_drift_mn_per_min": given["mn_per_min"]},
        {"mn_per_min": Number(-100_000, 100_000, 1_000)},
    ),
    Fault(
        "force_scale", "F58", "the force sensor shows a multiple",
        lambda given: {"force_factor": given["factor"]},
        {"factor": Number(-100, 100, 10, whole=False)},
    ),
    Fault(
        "occlusion", "F59", "the line closes, at once or over a time; cleared, it opens",
        lambda given: {
            "occluded_share": given["share"],
            "occlusion_ramp_ns": round(given["ramp_s"] * _NS_PER_S),
        },
        {
            "share": Number(0.01, 1, 1, whole=False),
            "ramp_s": Number(0, 86_400, 0, whole=False),
        },
    ),
    Fault(
        "force_spike", "F59", "something pushes on the plunger for a moment",
        lambda given: {
            "force_spike_mn": given["mn"],
            "force_spike_ns": given["ms"] * _NS_PER_MS,
        },
        {"mn": Number(-200_000, 200_000, 30_000), "ms": Number(1, 60_000, 100)}, once=True,
    ),
    Fault(
        "leak", "F59", "a share of the flow goes past the line",
        lambda given: {"leak_share": given["share"]},
        {"share": Number(0.01, 0.99, 0.5, whole=False)},
    ),
    Fault(
        "air", "F59", "a bubble is in the line, behind so much fluid",
        lambda given: {"air_nl": given["nl"], "air_ahead_nl": given["ahead_nl"]},
        {"nl": Number(1, 10_000_000, 10_000), "ahead_nl": Number(0, 10_000_000, 50_000)},
        once=True,
    ),
    Fault("stall", "F60", "the motor does not turn", lambda _: {"stalled": True}),
    Fault(
        "driver_fault", "F60", "the motor driver is in fault, and says so",
        lambda _: {"driver_fault": True},
    ),
    Fault(
        "driver_hot", "F60", "the motor driver is too hot: in fault, and the board warm",
        lambda given: {"driver_hot": True, "board_hot_c": given["board_c"]},
        {"board_c": Number(20, 120, 85)},
    ),
    Fault(
        "enable_feedback", "F60", "the ENABLE feedback says what is not so",
        lambda given: {"feedback": given["says"]},
        {"says": Choice(("on", "off", "inverted", "open"), "off")},
    ),
    Fault(
        "pins_busy", "F61", "another program holds a line, or all: claims are refused",
        lambda given: {"pins_busy": given["line"]},
        {"line": Choice(("all", *_LINES), "all")},
    ),
    Fault(
        "chip_missing", "F61", "there is no GPIO chip: connections and claims are refused",
        lambda _: {"chip_missing": True},
    ),
    Fault(
        "pins_denied", "F61", "the permission is lost: writes and claims fail from now on",
        lambda _: {"pins_denied": True},
    ),
    Fault("throttled", "F62", "the board is throttled", lambda _: {"throttled": True}),
    Fault("under_voltage", "F62", "the supply is too low", lambda _: {"under_voltage": True}),
    Fault(
        "battery_drop", "F63", "the battery has suddenly less",
        lambda given: {"battery_drop_pct": given["pct"]},
        {"pct": Number(1, 100, 50)},
    ),
    Fault(
        "battery_frozen", "F63", "the battery's gauge repeats its value",
        lambda _: {"battery_frozen": True},
    ),
    Fault(
        "battery_over", "F63", "the battery's gauge says more than there can be",
        lambda given: {"battery_over_pct": given["pct"]},
        {"pct": Number(101, 255, 120)},
    ),
    Fault(
        "power_fail", "F63", "the power-fail signal flaps, or stays where every_ms is 0",
        lambda given: {"power_fail_ns": given["every_ms"] * _NS_PER_MS or -1},
        {"every_ms": Number(0, 10_000, 20)},
    ),
    Fault("buzzer_dead", "F64", "the buzzer makes no sound", lambda _: {"buzzer_dead": True}),
    Fault(
        "lamp_dead", "F64", "a lamp stays dark",
        lambda given: {"lamp_dead": given["lamp"]},
        {"lamp": Choice(("high", "medium", "low", "all"), "high")},
    ),
    Fault(
        "outputs_kept", "F65", "outputs stay driven when their program dies",
        lambda _: {"outputs_kept": True},
    ),
    Fault(
        "one_shot", "F65", "the one-shot's gate no longer follows ALIVE",
        lambda given: {"one_shot": given["stays"]},
        {"stays": Choice(("open", "closed"), "open")},
    ),
    Fault(
        "stop_button", "F61", "the stop button's contact stays, or its wire is cut",
        lambda given: {"stop_button": given["stays"]},
        {"stays": Choice(("pressed", "released", "open"), "pressed")},
    ),
)  # fmt: skip
FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL_OF_THEM}
_NEUTRAL = Knobs()
KNOB_NAMES = tuple(each.name for each in fields(Knobs))


def checked(name: object, given: Mapping[str, object]) -> tuple[Fault, Given]:
    """Return the fault called ``name`` and all its parameters, as given or as by default.

    Raises BadFault, with field, value and range, for anything that the table does not hold.
    """
    if not isinstance(name, str) or name not in FAULTS:
        raise BadFault("name", name, f"a fault of this bench: {', '.join(FAULTS)}")
    fault = FAULTS[name]
    for each in given:
        if each not in fault.parameters:
            known = ", ".join(fault.parameters) or "none"
            raise BadFault("parameter", each, f"a parameter of {name} (it has {known})")
    return fault, {
        each: parameter.read(f"{name}.{each}", given.get(each, parameter.default))
        for each, parameter in fault.parameters.items()
    }


def set_back(knobs: Knobs, names: tuple[str, ...]) -> None:
    """Turn the knobs of these names to where nothing is wrong."""
    for name in names:
        setattr(knobs, name, getattr(_NEUTRAL, name))


def described() -> list[dict[str, Any]]:
    """List every fault for a person: name, row, text and parameters with their ranges."""
    return [
        {
            "name": fault.name,
            "row": fault.row,
            "text": fault.text,
            "once": fault.once,
            "parameters": {
                name: {"valid": parameter.valid, "default": parameter.default}
                for name, parameter in fault.parameters.items()
            },
        }
        for fault in FAULTS.values()
    ]
