"""The machine's configuration: one TOML file, typed, range-checked, no defaults for what can hurt.

Machine facts only (pins, mechanics, ceilings, users). Therapy settings are rows of the ledger. A
file with faults starts nothing, and all its faults are listed at once, each with field, value and
range (SR-17, SR-66). The shipped ``docs/benchpump.example.toml`` explains every key.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from appliance.domain.mechanics import Mechanics
from appliance.errors import BadConfiguration, BadMechanics

MAX_BOLUS_CEILING_UU = 25_000_000
HOURLY_CEILING_UU = 60_000_000
DAILY_CEILING_UU = 300_000_000
BASAL_CEILING_UU_PER_H = 35_000_000

_MAX_UID = 2**32 - 2  # the one above it means "nobody said" to the kernel
_MAX_USER_NAME = 32


def _whole(raw: object) -> object:
    """Refuse what Python takes for a whole number: ``true`` is 1 to it, and 16.0 is 16."""
    if type(raw) is not int:
        raise ValueError
    return raw


def _printable(raw: object) -> object:
    if isinstance(raw, str) and not raw.isprintable():
        raise ValueError("has characters that cannot be shown")
    return raw


def _zone(raw: object) -> object:
    if isinstance(raw, str):
        try:
            ZoneInfo(raw)
        except (OSError, ValueError, KeyError) as error:  # a folder of zones is an OSError
            raise ValueError('is no time zone; "UTC" and "Europe/Berlin" are') from error
    return raw


def _user(raw: object) -> object:
    if isinstance(raw, str) and 1 <= len(raw) <= _MAX_USER_NAME:
        return raw
    if type(raw) is int and 0 <= raw <= _MAX_UID:
        return raw
    raise ValueError(
        f"is no user: an id, 0 to {_MAX_UID}, or a name of 1 to {_MAX_USER_NAME} characters"
    )


def _path(raw: object) -> object:
    if not isinstance(raw, str) or not raw.startswith("/") or "\0" in raw:
        raise ValueError
    return Path(raw)


BcmPin = Annotated[int, Field(ge=0, le=27)]
Shown = Annotated[str, Field(min_length=1, max_length=40), BeforeValidator(_printable)]
User = Annotated[int | str, BeforeValidator(_user)]
AbsolutePath = Annotated[Path, BeforeValidator(_path)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PumpTable(_Table):
    """What this pump is called, and what it is filled with."""

    name: Shown
    fluid: Shown
    zone: Annotated[str, Field(min_length=1, max_length=60), BeforeValidator(_zone)] = "UTC"


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
    power_fail_n: BcmPin | None = None


class MechanicsTable(_Table):
    """Syringe, screw and motor."""

    bore_um: Annotated[int, Field(ge=1_000, le=40_000)]
    lead_um: Annotated[int, Field(ge=100, le=20_000)]
    full_steps: Annotated[int, Field(ge=20, le=400)]
    microsteps: Annotated[Literal[1, 2, 4, 8, 16, 32, 64, 128, 256], BeforeValidator(_whole)]
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
    signals: Literal["person", "feedback"] = "person"


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
    friction_mn: Annotated[int, Field(ge=0, le=50_000)] = 0
    line_nl_per_kpa: Annotated[int, Field(ge=0, le=10_000)] = 0


class BatteryTable(_Table):
    """The battery, and the chip that says how full it is."""

    kind: Literal["none", "bench", "max17048", "ina219"]
    capacity_mwh: Annotated[int, Field(ge=500, le=500_000)]
    load_mw: Annotated[int, Field(ge=500, le=50_000)]
    i2c_bus: Annotated[int, Field(ge=0, le=30)] = 1
    i2c_address: Annotated[int, Field(ge=3, le=119)] | None = None
    empty_mv: Annotated[int, Field(ge=2_000, le=26_000)] = 3_300
    full_mv: Annotated[int, Field(ge=2_000, le=26_000)] = 4_150


class DriverTable(_Table):
    """How the motor driver is told current and microsteps: by its jumpers, or over a UART."""

    kind: Literal["step_dir", "tmc2209"] = "step_dir"
    uart: AbsolutePath = Path("/dev/serial0")
    address: Annotated[int, Field(ge=0, le=3)] = 0
    run_ma: Annotated[int, Field(ge=30, le=2_000)] = 300
    hold_ma: Annotated[int, Field(ge=0, le=2_000)] = 100
    sense_mohm: Annotated[int, Field(ge=50, le=500)] = 110
    stall_threshold: Annotated[int, Field(ge=0, le=255)] = 0


class UsersTable(_Table):
    """Who may do what over the socket, by user id or user name; root has every role."""

    observe: list[User]
    report: list[User]
    operate: list[User]
    settings: list[User]
    bench: list[User]


class PathsTable(_Table):
    """Where the records and the sockets are."""

    state: AbsolutePath
    runtime: AbsolutePath
    guard_state: AbsolutePath | None = None
    keeper_state: AbsolutePath | None = None

    @property
    def guard(self) -> Path:
        """Where the guard keeps its memory: a folder of its own, or the one for all records."""
        return self.guard_state or self.state

    @property
    def keeper(self) -> Path:
        """Where the keeper's backups, sums and job book are; it writes nowhere else."""
        return self.keeper_state or self.state


class Config(_Table):
    """The whole file."""

    schema_version: Annotated[Literal[1], BeforeValidator(_whole)]
    pump: PumpTable
    pins: PinsTable
    mechanics: MechanicsTable
    ceilings: CeilingsTable
    safety: SafetyTable
    force: ForceTable
    driver: DriverTable = DriverTable()
    battery: BatteryTable | None = None
    users: UsersTable
    paths: PathsTable

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        faults = list(_unfit(self.model_dump()))
        if faults:
            raise _Unfit(faults)
        return self

    def ratio(self) -> Mechanics:
        """Return the machine's ratio of insulin to microsteps."""
        return _ratio(self.mechanics.model_dump())


class _Unfit(ValueError):
    """Values that are sound one by one and do not go together; ``faults`` says which."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


_MEASURES = ("bore_um", "lead_um", "full_steps", "microsteps", "concentration_u_per_ml", "hold")


def _ratio(mechanics: Mapping[str, Any]) -> Mechanics:
    return Mechanics.of(**{name: mechanics[name] for name in _MEASURES})


def _unfit(tables: Mapping[str, Any]) -> Iterator[str]:
    """Say which values do not go together; one that is missing here was a fault by itself."""
    pins, mechanics = tables.get("pins", {}), tables.get("mechanics", {})
    owners: dict[int, str] = {}
    for name, pin in pins.items():
        if not isinstance(pin, int):
            continue
        if pin in owners:
            yield f"pins.{name} = {pin} is the pin of pins.{owners[pin]} already"
        else:
            owners[pin] = name
    factory, inputs = pins.get("factory"), pins.get("inputs", "same")
    if factory == "rpigpio" and inputs != "lgpio":
        yield (
            f'pins.inputs = "{inputs}" must be "lgpio" with pins.factory = "rpigpio": '
            "its edge detection fails on new kernels"
        )
    if factory in ("lgpio", "bench") and inputs not in ("same", factory):
        yield f'pins.inputs = "{inputs}" must be "same" with pins.factory = "{factory}"'
    if all(name in mechanics for name in _MEASURES):
        try:
            _ratio(mechanics)
        except BadMechanics as fault:
            yield f"mechanics: {fault}"
    ceilings, force = tables.get("ceilings", {}), tables.get("force", {})
    hourly_uu, daily_uu = ceilings.get("hourly_uu"), ceilings.get("daily_uu")
    if hourly_uu is not None and daily_uu is not None and hourly_uu > daily_uu:
        yield f"ceilings.hourly_uu = {hourly_uu} is above ceilings.daily_uu = {daily_uu}"
    if tables.get("safety", {}).get("signals") == "feedback" and factory in ("lgpio", "rpigpio"):
        yield f'safety.signals = "feedback" needs pins.factory = "bench", not "{factory}"'
    driver = tables.get("driver", {})
    if driver.get("kind") == "tmc2209" and factory == "bench":
        yield 'driver.kind = "tmc2209" needs a pin factory of a Pi, not pins.factory = "bench"'
    run_ma, hold_ma = driver.get("run_ma"), driver.get("hold_ma")
    if run_ma is not None and hold_ma is not None and hold_ma > run_ma:
        yield f"driver.hold_ma = {hold_ma} is above driver.run_ma = {run_ma}"
    battery = tables.get("battery") or {}
    empty_mv, full_mv = battery.get("empty_mv"), battery.get("full_mv")
    if empty_mv is not None and full_mv is not None and empty_mv >= full_mv:
        yield f"battery.empty_mv = {empty_mv} is not below battery.full_mv = {full_mv}"
    if battery.get("kind") == "bench" and factory in ("lgpio", "rpigpio"):
        yield f'battery.kind = "bench" needs pins.factory = "bench", not "{factory}"'
    if pins.get("power_fail_n") is not None and factory == "bench":
        yield (
            'pins.power_fail_n needs a pin factory of a Pi: with pins.factory = "bench" the line '
            'comes with battery.kind = "bench"'
        )
    if force.get("required") and force.get("kind") == "none":
        yield 'force.required = true needs a sensor: force.kind is "none"'
    if force.get("kind") == "bench" and factory in ("lgpio", "rpigpio"):
        yield f'force.kind = "bench" needs pins.factory = "bench", not "{factory}"'


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
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadConfiguration(source, [f"byte {error.start} is not UTF-8"]) from error
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise BadConfiguration(source, ["is not TOML: it is nested too deeply"]) from None
    except ValueError as error:  # a number of 5,000 digits is no TOMLDecodeError
        raise BadConfiguration(source, [f"is not TOML: {error}{_line(text, error)}"]) from error
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise BadConfiguration(source, list(_sentences(tables, error))) from None


_SHOWN = 60
_KINDS = {
    "array": "a list of user names and ids",
    "boolean": "true or false",
    "integer": "a whole number",
    "object": "a table",
    "path": "an absolute path",
    "string": "a text",
}
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal", "string_too_long", "string_too_short")


def _line(text: str, error: ValueError) -> str:
    """Return the line that TOML's reader names, so that a key given twice is named too."""
    at = re.search(r"\(at line ([0-9]+),", str(error))
    return f": {_short(text.split(chr(10))[int(at[1]) - 1].strip())}" if at else ""


def _sentences(tables: Mapping[str, Any], error: ValidationError) -> Iterator[str]:
    """Say every fault: of single values first, then of those that do not go together."""
    sound = {name: dict(one) for name, one in tables.items() if isinstance(one, dict)}
    whole = True
    for fault in error.errors():
        unfit = fault.get("ctx", {}).get("error")
        if isinstance(unfit, _Unfit):
            yield from unfit.faults
            return
        yield _sentence(dict(fault), Config)
        match fault["loc"]:
            case (str(table), str(key), *_):
                sound.get(table, {}).pop(key, None)
        whole = False
    if not whole:
        yield from _unfit(sound)


def fault_sentences(model: type[BaseModel], faults: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say pydantic's faults of another file's ``model``, as those of the configuration are said."""
    return [_sentence(dict(fault), model) for fault in faults]


def _sentence(fault: dict[str, Any], model: type[BaseModel]) -> str:
    """Say one fault of pydantic's as field, value and range."""
    place = fault["loc"]
    field = ".".join(_short(str(part)) for part in place)
    kind, limits = _rule(place, model)
    shown = _shown(fault["input"])
    match fault["type"]:
        case "missing":
            return f"{field} is missing: {kind}{limits and ', '}{limits}"
        case "extra_forbidden":
            return f"{field} is not a key of this file (its value is {shown})"
        case range_fault if range_fault in _OUT_OF_RANGE:
            return f"{field} = {shown} is out of range: {limits}"
        case "value_error" if str(fault["ctx"]["error"]):
            return f"{field} = {shown} {fault['ctx']['error']}"
        case _:
            return f"{field} = {shown} is not {kind}{limits and ', '}{limits}"


def _shown(found: object) -> str:
    try:
        return _short(repr(found))
    except ValueError:  # Python writes no integer of more than 4,300 digits
        return "a number of thousands of digits"


def _short(shown: str) -> str:
    """Return a text for one line of a screen: cut, and with nothing that turns or hides it."""
    cut = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
    return "".join(one if one.isprintable() else "?" for one in cut)


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _rule(place: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, str]:
    """Return in words what stands at a place of the file, and between which ends."""
    rule = _schema(model)
    for part in place:
        rule = (
            rule.get("items", {})
            if isinstance(part, int)
            else rule.get("properties", {}).get(part, {})
        )
        rule = rule.get("anyOf", [rule])[0]  # what may be left out is "this or null"
        if "$ref" in rule:
            rule = _schema(model)["$defs"][rule["$ref"].rpartition("/")[2]]
    choices = rule.get("enum") or [rule[key] for key in ("const",) if key in rule]
    if choices:
        words = ", ".join(json.dumps(one) for one in choices)
        return (words if len(choices) == 1 else f"one of {words}"), ""
    limits = ""
    if "minimum" in rule:
        limits = f"{rule['minimum']} to {rule['maximum']}"
    elif "minLength" in rule:
        limits = f"{rule['minLength']} to {rule['maxLength']} characters"
    return _KINDS.get(rule.get("format") or rule.get("type", ""), "a value"), limits
