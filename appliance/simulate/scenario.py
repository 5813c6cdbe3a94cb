"""A scenario: what is delivered, what goes wrong and what the user does, from one TOML file.

Strict, as the configuration is: unknown keys are refused, and all faults are listed at once with
field, value and range. ``docs/simulate.md`` explains every key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from appliance.config import fault_sentences
from appliance.domain.basal import Profile, Segment
from appliance.domain.limits import Limits, faults_of
from appliance.domain.mechanics import Mechanics
from appliance.domain.units import NS_PER_MS, NS_PER_S
from appliance.errors import BadConfiguration, BadMechanics, BadProfile
from drivers.mock.faults import BadFault, checked

CEILINGS = Limits(25_000_000, 60_000_000, 300_000_000, 35_000_000, 3_600)
_AT = re.compile(
    r"([0-9]{1,4})d ([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{3}))?)?"
)
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


Instant = Annotated[int, BeforeValidator(_instant)]
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


class BasalTable(_Table):
    """One segment of the profile."""

    start: MinuteOfDay
    rate_uu_per_h: Annotated[int, Field(ge=0, le=35_000_000)]


class BolusTable(_Table):
    """A bolus at an instant, every day at a time, or so many a day at times from the seed."""

    at: Instant | None = None
    daily: MinuteOfDay | None = None
    per_day: Annotated[int, Field(ge=1, le=48)] | None = None
    amount_uu: Amount
    up_to_uu: Amount | None = None
    speed: Literal["slow", "normal", "fast"] = "normal"
    asks: Annotated[int, Field(ge=1, le=5)] = 1
    stop_after_s: Seconds | None = None


class FaultTable(_Table):
    """A fault at the plant, as ``pumpctl bench`` has them."""

    name: str
    at: Instant
    for_s: Seconds = 10.0
    parameters: dict[str, int | float | str] = {}


class ClockStepTable(_Table):
    """The wall clock is set."""

    at: Instant
    step_s: Annotated[int, Field(ge=-315_360_000, le=315_360_000)]


class _Blow(_Table):
    """Something at an instant, or at a write to the ledger, counted from 1 after the setting up."""

    at: Instant | None = None
    at_write: Writes | None = None
    when: Literal["before", "after"] = "before"


class CrashTable(_Blow):
    """A program is killed."""

    who: Literal["pumpd", "stepper", "guard"]


class PowerCutTable(_Blow):
    """Everything dies: the ledger keeps what was synced; the guard's file may lack a save."""

    off_s: Seconds = 60.0
    guard_file_is_behind: bool = False


class FreezeTable(_Table):
    """A program stands still."""

    who: Literal["pumpd", "stepper", "guard"]
    at: Instant
    for_s: Seconds


class DiskStallTable(_Table):
    """Nothing is written for a while."""

    at: Instant
    for_s: Seconds


class PressTable(_Table):
    """Somebody presses the stop button."""

    at: Instant
    ms: Annotated[int, Field(ge=1, le=60_000)] = 100


class Scenario(_Table):
    """The whole file."""

    schema_version: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=60)] = "scenario"
    days: Annotated[float, Field(ge=0.001, le=36_600)]
    seed: Annotated[int, Field(ge=0, le=2**62)] = 1
    mechanics: MechanicsOf = MechanicsOf()
    machine: MachineTable = MachineTable()
    limits: LimitsTable = LimitsTable()
    user: UserTable = UserTable()
    basal: Annotated[list[BasalTable], Field(min_length=1, max_length=48)]
    bolus: list[BolusTable] = []
    fault: list[FaultTable] = []
    clock_step: list[ClockStepTable] = []
    crash: list[CrashTable] = []
    power_cut: list[PowerCutTable] = []
    freeze: list[FreezeTable] = []
    disk_stall: list[DiskStallTable] = []
    press: list[PressTable] = []

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
    def disturbed(self) -> bool:
        """Say whether anything in it goes wrong; without, every account has to be exact."""
        return bool(
            self.fault or self.clock_step or self.crash or self.power_cut or self.freeze
            or self.disk_stall or self.press
        )  # fmt: skip


def _unfit(one: Scenario) -> list[str]:
    """List the values that do not go together, or that other rooms have rules for."""
    faults: list[str] = []
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
    for at, bolus in enumerate(one.bolus):
        given = [name for name in ("at", "daily", "per_day") if getattr(bolus, name) is not None]
        if len(given) != 1:
            faults.append(f"bolus.{at} has {len(given)} of at, daily and per_day: exactly one")
        if bolus.up_to_uu is not None and bolus.up_to_uu < bolus.amount_uu:
            faults.append(
                f"bolus.{at}.up_to_uu = {bolus.up_to_uu} is out of range: "
                f"from amount_uu = {bolus.amount_uu} on"
            )
        for name in ("amount_uu", "up_to_uu"):
            amount_uu = getattr(bolus, name)
            if amount_uu is not None and amount_uu % 10_000:
                faults.append(f"bolus.{at}.{name} = {amount_uu} is not a multiple of 10000")
    for at, fault in enumerate(one.fault):
        try:
            checked(fault.name, fault.parameters)
        except BadFault as bad:
            faults.append(f"fault.{at}: {bad}")
    for name, blows in (("crash", one.crash), ("power_cut", one.power_cut)):
        for at, blow in enumerate(blows):
            if (blow.at is None) is (blow.at_write is None):
                faults.append(f"{name}.{at} needs exactly one of at and at_write")
    for at, press in enumerate(one.press):
        if not one.machine.stop_button:
            faults.append(f"press.{at} = {press.at} needs machine.stop_button = true")
    return faults


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
