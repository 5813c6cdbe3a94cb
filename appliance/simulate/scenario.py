"""A scenario: what is delivered, what goes wrong and what the user does, from one TOML file.

Strict, as the configuration is: unknown keys are refused, and all faults are listed at once with
field, value and range. ``docs/simulate.md`` explains every key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from appliance.config import fault_sentences
from appliance.domain.basal import Profile, Segment
from appliance.domain.limits import Limits, faults_of
from appliance.domain.mechanics import Mechanics
from appliance.domain.temp import MAX_PERCENT, MAX_TEMP_S, MIN_TEMP_S
from appliance.domain.units import NS_PER_MS, NS_PER_S
from appliance.errors import BadConfiguration, BadMechanics, BadProfile
from drivers.mock.faults import BadFault, checked

CEILINGS = Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600)
_AT = re.compile(
    r"([0-9]{1,4})d ([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{3}))?)?"
)
_WAYS = ("at", "daily", "per_day", "every_days", "at_write")
_DAILY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def _instant(raw: object) -> object:
    found = _AT.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError('is no instant: "DAYSd HH:MM", "0d 07:30:15" or "12d 07:30:15.250"')
    days, hours, minutes, seconds, ms = (int(part or 0) for part in found.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * NS_PER_S + ms * NS_PER_MS


def _minute(raw: object) -> object:
    found = _DAILY.fullmatch(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError('is no time of day: "HH:MM", from "00:00" to "23:59"')
    return int(found[1]) * 60 + int(found[2])


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone(raw: object) -> object:
    if not isinstance(raw, str) or raw not in _zones():
        raise ValueError('is no time zone: a name such as "Europe/Berlin" or "UTC"')
    return raw


def _day(raw: object) -> object:
    if type(raw) is not date or not 2026 <= raw.year <= 2099:
        raise ValueError("is no day: YYYY-MM-DD, from 2026-01-01 to 2099-12-31")
    return raw


Instant = Annotated[int, BeforeValidator(_instant)]
Zone = Annotated[str, BeforeValidator(_zone)]
Day = Annotated[date, BeforeValidator(_day)]
MinuteOfDay = Annotated[int, BeforeValidator(_minute)]
Seconds = Annotated[float, Field(ge=0.001, le=864_000)]
Amount = Annotated[int, Field(ge=50_000, le=25_000_000)]
Writes = Annotated[int, Field(ge=1, le=10_000_000)]


class _Unfit(ValueError):
    """Values that are sound one by one and do not go together; ``faults`` says which."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MechanicsOf(_Table):
    """Syringe, screw and motor; what is not named is the default machine's."""

    bore_um: Annotated[int, Field(ge=1_000, le=40_000)] = 8_660
    lead_um: Annotated[int, Field(ge=100, le=20_000)] = 1_000
    full_steps: Annotated[int, Field(ge=20, le=400)] = 200
    microsteps: Literal[1, 2, 4, 8, 16, 32, 64, 128, 256] = 16
    concentration_u_per_ml: Annotated[int, Field(ge=10, le=500)] = 100
    hold: Literal["reduced", "off"] = "reduced"

    def ratio(self) -> Mechanics:
        """Return the ratio of insulin to microsteps. Raises BadMechanics."""
        return Mechanics.of(**self.model_dump())


class MachineTable(_Table):
    """What the machine has of the means of safety."""

    readback: bool = True
    stop_button: bool = True
    lease_uu: Annotated[int, Field(ge=10_000, le=100_000)] = 50_000
    restart_s: Seconds = 2.0
    clock_synchronised: bool = False


class LimitsTable(_Table):
    """The therapy limits."""

    max_bolus_uu: Annotated[int, Field(ge=50_000, le=25_000_000)] = 25_000_000
    hourly_uu: Annotated[int, Field(ge=50_000, le=60_000_000)] = 60_000_000
    daily_uu: Annotated[int, Field(ge=50_000, le=300_000_000)] = 300_000_000
    max_basal_uu_per_h: Annotated[int, Field(ge=0, le=35_000_000)] = 35_000_000
    min_interval_s: Annotated[int, Field(ge=10, le=3_600)] = 10

    def limits(self) -> Limits:
        """Return them as the engine keeps them."""
        return Limits(**self.model_dump())


class UserTable(_Table):
    """What the scripted user does when something is wrong, and before the reservoir is empty."""

    resumes: bool = True
    acknowledge_after_s: Seconds = 30.0
    change_below_uu: Annotated[int, Field(ge=0, le=100_000_000)] = 20_000_000
    change: Literal["declared", "guided"] = "declared"
    prime_uu: Annotated[int, Field(ge=50_000, le=10_000_000)] = 5_000_000
    cannula_uu: Annotated[int, Field(ge=50_000, le=2_000_000)] = 500_000


class BasalTable(_Table):
    """One segment of the profile."""

    start: MinuteOfDay
    rate_uu_per_h: Annotated[int, Field(ge=0, le=35_000_000)]


class Often(_Table):
    """When something happens: at an instant, every day at a time, so many times a day, or about
    once in so many days, the last two at instants from the seed.
    """

    at: Instant | None = None
    daily: MinuteOfDay | None = None
    per_day: Annotated[int, Field(ge=1, le=48)] | None = None
    every_days: Annotated[float, Field(ge=0.01, le=1_000)] | None = None


class BolusTable(Often):
    """A bolus: normal, or ``extended_percent`` of it over a while."""

    amount_uu: Amount
    up_to_uu: Amount | None = None
    extended_percent: Annotated[int, Field(ge=0, le=100)] = 0
    over_s: Annotated[int, Field(ge=900, le=28_800)] | None = None
    over_up_to_s: Annotated[int, Field(ge=900, le=28_800)] | None = None
    speed: Literal["slow", "normal", "fast"] = "normal"
    asks: Annotated[int, Field(ge=1, le=5)] = 1
    stop_after_s: Seconds | None = None
    stops: Literal["bolus", "now", "extended"] = "bolus"


class TempTable(Often):
    """A temporary basal: ``value`` is a percentage, or a rate in microunits per hour."""

    kind: Literal["percent", "rate"]
    value: Annotated[int, Field(ge=0, le=35_000_000)]
    up_to_value: Annotated[int, Field(ge=0, le=35_000_000)] | None = None
    duration_s: Annotated[int, Field(ge=MIN_TEMP_S, le=MAX_TEMP_S)]
    up_to_s: Annotated[int, Field(ge=MIN_TEMP_S, le=MAX_TEMP_S)] | None = None
    cancel_after_s: Seconds | None = None


class SuspendTable(Often):
    """Delivery is suspended, and resumed after a while."""

    for_s: Annotated[int, Field(ge=1, le=86_400)]
    up_to_s: Annotated[int, Field(ge=1, le=86_400)] | None = None


class FaultTable(_Table):
    """A fault at the plant, as ``pumpctl bench`` has them."""

    name: str
    at: Instant
    for_s: Seconds = 10.0
    parameters: dict[str, int | float | str] = {}


class ClockStepTable(Often):
    """The wall clock is set."""

    step_s: Annotated[int, Field(ge=-315_360_000, le=315_360_000)]
    up_to_s: Annotated[int, Field(ge=-315_360_000, le=315_360_000)] | None = None


class JourneyTable(_Table):
    """Local time is another one's from now on; UTC and the monotonic clock go on."""

    at: Instant
    zone: Zone


class _Blow(Often):
    """Something at an instant, or at a write to the ledger, counted from 1 after the setting up."""

    at_write: Writes | None = None
    when: Literal["before", "after"] = "before"


class CrashTable(_Blow):
    """A program is killed."""

    who: Literal["pumpd", "stepper", "guard"]


class PowerCutTable(_Blow):
    """Everything dies: the ledger keeps what was synced; the guard's file may lack a save."""

    off_s: Seconds = 60.0
    guard_file_is_behind: bool = False


class FreezeTable(Often):
    """A program stands still."""

    who: Literal["pumpd", "stepper", "guard"]
    for_s: Seconds


class DiskStallTable(_Table):
    """Nothing is written for a while."""

    at: Instant
    for_s: Seconds


class PressTable(_Table):
    """Somebody presses the stop button."""

    at: Instant
    ms: Annotated[int, Field(ge=1, le=60_000)] = 100


class MealTable(_Table):
    """What the patient eats each day, at a local time; between two amounts where they differ."""

    daily: MinuteOfDay
    carbs_g: Annotated[float, Field(ge=1, le=300)]
    up_to_g: Annotated[float, Field(ge=1, le=300)] | None = None


class ExerciseTable(_Table):
    """How the patient moves each day, from a local time on."""

    daily: MinuteOfDay
    minutes: Annotated[float, Field(ge=1, le=600)]
    beats_over_rest: Annotated[float, Field(ge=1, le=120)]


class PatientTable(_Table):
    """A virtual patient behind the needle, and how its meals are dosed for."""

    person: Literal["adult", "child", "resistant", "teenager"] = "adult"
    start_mg_dl: Annotated[float, Field(ge=60, le=250)] = 110.0
    noise: Annotated[float, Field(ge=0, le=2)] = 1.0
    carb_ratio_mg_per_u: Annotated[int, Field(ge=1_000, le=150_000)] = 14_000
    sensitivity_mg_dl_per_u: Annotated[int, Field(ge=1, le=400)] = 50
    target_mg_dl: Annotated[int, Field(ge=60, le=250)] = 110
    announced_percent: Annotated[int, Field(ge=0, le=200)] = 100
    protection: Literal["off", "low", "predictive", "before-low"] = "off"
    meal: list[MealTable] = []
    exercise: list[ExerciseTable] = []


class ControllerTable(_Table):
    """An outside algorithm: a Python file beside the scenario, with ``decide(seen)``."""

    file: Annotated[str, Field(min_length=1, max_length=200)]
    silent_from: Instant | None = None


class InjectionsTable(_Table):
    """The same patient on injections, beside the pump."""

    long_acting_uu: Annotated[int, Field(ge=500_000, le=100_000_000)]


class Scenario(_Table):
    """The whole file."""

    schema_version: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=60)] = "scenario"
    days: Annotated[float, Field(ge=0.001, le=36_600)]
    seed: Annotated[int, Field(ge=0, le=2**62)] = 1
    starts: Day = date(2027, 1, 15)
    zone: Zone = "UTC"
    mechanics: MechanicsOf = MechanicsOf()
    machine: MachineTable = MachineTable()
    limits: LimitsTable = LimitsTable()
    user: UserTable = UserTable()
    basal: Annotated[list[BasalTable], Field(min_length=1, max_length=48)]
    bolus: list[BolusTable] = []
    temp: list[TempTable] = []
    suspend: list[SuspendTable] = []
    fault: list[FaultTable] = []
    clock_step: list[ClockStepTable] = []
    journey: list[JourneyTable] = []
    crash: list[CrashTable] = []
    power_cut: list[PowerCutTable] = []
    freeze: list[FreezeTable] = []
    disk_stall: list[DiskStallTable] = []
    press: list[PressTable] = []
    patient: PatientTable | None = None
    controller: ControllerTable | None = None
    injections: InjectionsTable | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Scenario:
        faults = _unfit(self)
        if faults:
            raise _Unfit(faults)
        return self

    @property
    def profile(self) -> Profile:
        """Return the basal profile. Raises BadProfile."""
        return Profile("Day", tuple(Segment(one.start, one.rate_uu_per_h) for one in self.basal))

    @property
    def midnight_utc_ns(self) -> int:
        """Return the instant at which it begins: 00:00 of local time on its first day."""
        begins = datetime(
            self.starts.year, self.starts.month, self.starts.day, tzinfo=ZoneInfo(self.zone)
        )
        return int(begins.timestamp()) * NS_PER_S

    @property
    def disturbed(self) -> bool:
        """Say whether anything in it goes wrong; without, every account has to be exact."""
        return bool(
            self.fault or self.clock_step or self.crash or self.power_cut or self.freeze
            or self.disk_stall or self.press
        )  # fmt: skip


def _unfit(one: Scenario) -> list[str]:
    """List the values that do not go together, or that other rooms have rules for."""
    faults: list[str] = []
    for name in ("controller", "injections"):
        if getattr(one, name) is not None and one.patient is None:
            faults.append(f"{name}: there is no patient in this scenario")
    try:
        one.mechanics.ratio()
    except BadMechanics as bad:
        faults.append(f"mechanics: {bad}")
    try:
        _ = one.profile
    except BadProfile as bad:
        faults += [f"basal: {text}" for text in bad.faults]
    limits = one.limits.limits()
    faults += [f"limits: {reason.text}" for reason in faults_of(limits, CEILINGS)]
    for at, segment in enumerate(one.basal):
        if segment.rate_uu_per_h > limits.max_basal_uu_per_h:
            faults.append(
                f"basal.{at}.rate_uu_per_h = {segment.rate_uu_per_h} is out of range: "
                f"0 to limits.max_basal_uu_per_h = {limits.max_basal_uu_per_h}"
            )
    faults += _when_faults(one)
    for at, bolus in enumerate(one.bolus):
        faults += _order_fault(f"bolus.{at}", bolus, "amount_uu", "up_to_uu")
        for name in ("amount_uu", "up_to_uu"):
            amount_uu = getattr(bolus, name)
            if amount_uu is not None and amount_uu % 10_000:
                faults.append(f"bolus.{at}.{name} = {amount_uu} is not a multiple of 10000")
        if (bolus.extended_percent > 0) is (bolus.over_s is None):
            faults.append(f"bolus.{at} needs both of extended_percent and over_s, or neither")
        faults += _order_fault(f"bolus.{at}", bolus, "over_s", "over_up_to_s")
    for at, temp in enumerate(one.temp):
        faults += _order_fault(f"temp.{at}", temp, "value", "up_to_value")
        faults += _order_fault(f"temp.{at}", temp, "duration_s", "up_to_s")
        for name in ("value", "up_to_value"):
            number = getattr(temp, name)
            if temp.kind == "percent" and number is not None and number > MAX_PERCENT:
                faults.append(f"temp.{at}.{name} = {number} is out of range: 0 to {MAX_PERCENT}")
            if temp.kind == "rate" and number is not None and number % 1_000:
                faults.append(f"temp.{at}.{name} = {number} is not a multiple of 1000")
    for at, suspend in enumerate(one.suspend):
        faults += _order_fault(f"suspend.{at}", suspend, "for_s", "up_to_s")
    for at, step in enumerate(one.clock_step):
        faults += _order_fault(f"clock_step.{at}", step, "step_s", "up_to_s")
    for at, fault in enumerate(one.fault):
        try:
            checked(fault.name, fault.parameters)
        except BadFault as bad:
            faults.append(f"fault.{at}: {bad}")
    for at, press in enumerate(one.press):
        if not one.machine.stop_button:
            faults.append(f"press.{at} = {press.at} needs machine.stop_button = true")
    return faults


def _when_faults(one: Scenario) -> list[str]:
    """List what has no instant, or more than one way to find it."""
    tables: Mapping[str, Sequence[Often]] = {
        "bolus": one.bolus,
        "temp": one.temp,
        "suspend": one.suspend,
        "clock_step": one.clock_step,
        "crash": one.crash,
        "power_cut": one.power_cut,
        "freeze": one.freeze,
    }
    faults = []
    for name, several in tables.items():
        for at, table in enumerate(several):
            ways = [way for way in _WAYS if way in type(table).model_fields]
            given = [way for way in ways if getattr(table, way) is not None]
            if len(given) != 1:
                known = f"{', '.join(ways[:-1])} and {ways[-1]}"
                faults.append(f"{name}.{at} has {len(given)} of {known}: exactly one")
    return faults


def _order_fault(where: str, table: _Table, low: str, high: str) -> list[str]:
    """List an upper bound that is below what it belongs to."""
    least, most = getattr(table, low), getattr(table, high)
    if most is None or (least is not None and most >= least):
        return []
    return [f"{where}.{high} = {most} is out of range: from {low} = {least} on"]


def read(path: Path) -> Scenario:
    """Return the scenario at ``path``. Raises BadConfiguration with every fault of the file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(str(path), [f"cannot be read: {error.strerror}"]) from error
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(str(path), [f"is not TOML: {error}"]) from error
    return of(tables, str(path))


def of(tables: Mapping[str, Any], source: str) -> Scenario:
    """Return the scenario that ``tables`` describe. Raises BadConfiguration, called ``source``."""
    try:
        return Scenario.model_validate(tables)
    except ValidationError as error:
        faults: list[str] = []
        for fault in error.errors():
            unfit = fault.get("ctx", {}).get("error")
            faults += (
                unfit.faults if isinstance(unfit, _Unfit) else fault_sentences(Scenario, [fault])
            )
        raise BadConfiguration(source, faults) from None
