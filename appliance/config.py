"""The machine's configuration: one TOML file, typed, range-checked, no defaults for what can hurt.

Machine facts only (pins, mechanics, ceilings, users). Therapy settings are rows of the ledger. A
file with faults starts nothing, and all its faults are listed at once, each with field, value and
range (SR-17, SR-66). The shipped ``docs/benchpump.example.toml`` explains every key.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.domain.mechanics import Mechanics
from appliance.errors import BadConfiguration, BadMechanics

MAX_BOLUS_CEILING_UU = 25_000_000
HOURLY_CEILING_UU = 60_000_000
DAILY_CEILING_UU = 300_000_000
BASAL_CEILING_UU_PER_H = 35_000_000

BcmPin = Annotated[int, Field(ge=0, le=27)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PumpTable(_Table):
    """What this pump is called, and what it is filled with."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    fluid: Annotated[str, Field(min_length=1, max_length=40)]
    zone: Annotated[str, Field(min_length=1, max_length=60)] = "UTC"


class PinsTable(_Table):
    """Where everything is wired: BCM numbers; a name that ends in ``_n`` is active low."""

    factory: Literal["lgpio", "rpigpio", "bench"]
    inputs: Literal["lgpio", "bench", "same"] = "same"
    step: BcmPin
    direction: BcmPin
    enable_n: BcmPin
    alive: BcmPin
    readback: BcmPin
    enable_feedback_n: BcmPin
    end_stop_n: BcmPin
    driver_fault_n: BcmPin
    stop_button_n: BcmPin
    buzzer: BcmPin
    lamp_high: BcmPin
    lamp_medium: BcmPin
    lamp_low: BcmPin

    @model_validator(mode="after")
    def _each_pin_once(self) -> PinsTable:
        seen: dict[int, str] = {}
        for name, pin in self:
            if not isinstance(pin, int):
                continue
            if pin in seen:
                raise ValueError(f"{name} = {pin} is the pin of {seen[pin]} already")
            seen[pin] = name
        if self.factory == "rpigpio" and self.inputs != "lgpio":
            raise ValueError(
                'inputs must be "lgpio" with factory "rpigpio": '
                "its edge detection fails on new kernels"
            )
        if self.factory != "rpigpio" and self.inputs not in ("same", self.factory):
            raise ValueError(f'inputs must be "same" with factory "{self.factory}"')
        return self


class MechanicsTable(_Table):
    """Syringe, screw and motor."""

    bore_um: Annotated[int, Field(ge=1_000, le=40_000)]
    lead_um: Annotated[int, Field(ge=100, le=20_000)]
    full_steps: Annotated[int, Field(ge=20, le=400)]
    microsteps: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256]
    concentration_u_per_ml: Annotated[int, Field(ge=10, le=500)]
    capacity_uu: Annotated[int, Field(ge=1_000_000, le=1_000_000_000)]
    hold: Literal["reduced", "off"]
    min_interval_us: Annotated[int, Field(ge=100, le=100_000)]
    step_pulse_us: Annotated[int, Field(ge=1, le=100)]
    direction_inverted: bool


class CeilingsTable(_Table):
    """The most that any therapy setting may allow on this machine; below the program's own
    ceilings.
    """

    max_bolus_uu: Annotated[int, Field(ge=50_000, le=MAX_BOLUS_CEILING_UU)]
    hourly_uu: Annotated[int, Field(ge=50_000, le=HOURLY_CEILING_UU)]
    daily_uu: Annotated[int, Field(ge=50_000, le=DAILY_CEILING_UU)]
    max_basal_uu_per_h: Annotated[int, Field(ge=0, le=BASAL_CEILING_UU_PER_H)]


class SafetyTable(_Table):
    """What this machine has of the means of safety; what is declared weaker is displayed."""

    realtime: Literal["required", "wanted"]
    watchdog: Literal["required", "none"]
    readback: Literal["required", "none"]
    one_shot: Literal["present", "none"]
    stop_button: bool
    lease_uu: Annotated[int, Field(ge=10_000, le=100_000)] = 50_000


class ForceTable(_Table):
    """The force sensor, and the push at which the line counts as blocked."""

    kind: Literal["none", "bench", "i2c", "mcp3008"]
    required: bool
    threshold_mn: Annotated[int, Field(ge=500, le=200_000)]
    i2c_bus: Annotated[int, Field(ge=0, le=30)] = 1
    i2c_address: Annotated[int, Field(ge=3, le=119)] = 0x2A
    channel: Annotated[int, Field(ge=0, le=7)] = 0
    zero_counts: Annotated[int, Field(ge=-(2**31), le=2**31)] = 0
    un_per_count: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 1_000


class UsersTable(_Table):
    """Who may do what over the socket, by user id or user name; root has every role."""

    observe: list[int | str]
    operate: list[int | str]
    settings: list[int | str]
    bench: list[int | str]


class PathsTable(_Table):
    """Where the records and the sockets are."""

    state: Path
    runtime: Path

    @model_validator(mode="before")
    @classmethod
    def _paths_are_text(cls, raw: object) -> object:
        if isinstance(raw, dict):
            return {key: Path(text) if isinstance(text, str) else text for key, text in raw.items()}
        return raw


class Config(_Table):
    """The whole file."""

    schema_version: Literal[1]
    pump: PumpTable
    pins: PinsTable
    mechanics: MechanicsTable
    ceilings: CeilingsTable
    safety: SafetyTable
    force: ForceTable
    users: UsersTable
    paths: PathsTable

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        try:
            self.ratio()
        except BadMechanics as fault:
            raise ValueError(f"mechanics: {fault}") from fault
        if self.ceilings.hourly_uu > self.ceilings.daily_uu:
            raise ValueError(
                f"ceilings.hourly_uu = {self.ceilings.hourly_uu} is above "
                f"ceilings.daily_uu = {self.ceilings.daily_uu}"
            )
        if self.force.required and self.force.kind == "none":
            raise ValueError('force.required = true needs a sensor: force.kind is "none"')
        if self.force.kind == "bench" and self.pins.factory != "bench":
            raise ValueError(
                f'force.kind = "bench" needs pins.factory "bench", not "{self.pins.factory}"'
            )
        return self

    def ratio(self) -> Mechanics:
        """Return the machine's ratio of insulin to microsteps."""
        table = self.mechanics
        return Mechanics.of(
            bore_um=table.bore_um,
            lead_um=table.lead_um,
            full_steps=table.full_steps,
            microsteps=table.microsteps,
            concentration_u_per_ml=table.concentration_u_per_ml,
            hold=table.hold,
        )


def load(path: Path) -> tuple[Config, str]:
    """Read the configuration at ``path``; return it and the SHA-256 of its bytes, for the ledger.

    Raises BadConfiguration, whose ``faults`` hold every fault of the file at once.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadConfiguration(str(path), [f"cannot be read: {error.strerror}"]) from error
    return parse(raw, str(path)), hashlib.sha256(raw).hexdigest()


def parse(raw: bytes, source: str) -> Config:
    """Return the configuration in ``raw``. Raises BadConfiguration, which calls it ``source``."""
    try:
        table = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadConfiguration(source, [f"byte {error.start} is not UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise BadConfiguration(source, [f"is not TOML: {error}"]) from error
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise BadConfiguration(
            source, [_sentence(dict(fault)) for fault in error.errors()]
        ) from None


_RANGES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_SHOWN = 60


def _sentence(fault: dict[str, Any]) -> str:
    """Say one fault of pydantic's as field, value and range."""
    field = ".".join(str(part) for part in fault["loc"]) or "the file"
    context = fault.get("ctx", {})
    shown = repr(fault["input"])
    shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    match fault["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden":
            return f"{field} is not a key of this file (its value is {shown})"
        case "literal_error":
            return f"{field} = {shown} is not one of {context['expected']}"
        case "value_error":
            return f"{field}: {context['error']}" if fault["loc"] else str(context["error"])
        case _:
            limits = [f"{word} {context[key]}" for key, word in _RANGES.items() if key in context]
            if limits:
                return f"{field} = {shown} is out of range: it must be {' and '.join(limits)}"
            return f"{field} = {shown}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
