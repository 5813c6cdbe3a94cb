"""Every message of the sockets: one model for each method's parameters, one for each stable result.

What a client asks is read strictly: an unknown key, a float, a truth value for a number are refused
with field, value and range. What a pump answers is read tolerantly: a newer pump may say more.
Insulin is in microunits (``_uu``; 1 U = 1,000,000), motion in microsteps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from appliance.client.wire import shown
from appliance.errors import ProtocolFault

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


class Role(StrEnum):
    """What a user may do; the peer's uid decides, verb by verb (SR-64)."""

    OBSERVE = "observe"
    REPORT = "report"
    OPERATE = "operate"
    SETTINGS = "settings"
    BENCH = "bench"


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without spaces at its ends")
    return text


# One spelling for an id: two spellings of one id would be two doses.
RequestId = Annotated[str, Field(pattern=_UUID)]
Name = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_printable)]
# The wire takes what the keypad can write; the pump's own limits are far below and carry reasons.
DoseUu = Annotated[int, Field(ge=0, le=99_990_000)]
RateUuPerH = Annotated[int, Field(ge=0, le=99_999_000)]
# Nor has a setting a second range here: whoever is far out is told the same range as who is near.
Whole = Annotated[int, Field(gt=-(2**53), lt=2**53)]
PinText = Annotated[str, Field(max_length=64)]
Speed = Literal["slow", "normal", "fast"]
Seconds = Whole


StopWhat = Literal["all", "bolus", "now", "extended"]
TempKind = Literal["percent", "rate"]


class Params(BaseModel):
    """What a client asks: nothing unknown, nothing converted.

    Built at its first use: a program pays for the messages that it speaks.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Nothing(Params):
    """No parameters."""


class HelloParams(Params):
    """The first message: which protocol, and who is there."""

    protocol: int
    client: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_printable)]


class BolusReviewParams(Params):
    """What would this dose be, and what stands against it? Nothing moves."""

    request_id: RequestId
    amount_uu: DoseUu
    extended_uu: DoseUu = 0
    extended_s: Seconds = 0
    speed: Speed = "normal"


class BolusDeliverParams(Params):
    """Give the dose that was reviewed; ``stay`` says that this connection lives until it ends.

    ``again`` is a second confirmation: the same amount was begun less than 15 min ago (SR-10).
    ``correction_uu`` and ``carbs_g`` say what it is for: they are recorded, and change nothing.
    """

    request_id: RequestId
    amount_uu: DoseUu
    extended_uu: DoseUu = 0
    extended_s: Seconds = 0
    speed: Speed = "normal"
    token: Annotated[str, Field(min_length=1, max_length=128)]
    stay: bool
    again: bool = False
    correction_uu: DoseUu = 0
    carbs_g: Annotated[int, Field(ge=0, le=300)] = 0


class DoseLookupParams(Params):
    """What became of a dose?"""

    request_id: RequestId


class StopParams(Params):
    """Stop everything, or the boluses alone: both, the part at once, or the extended one."""

    what: StopWhat


class TempStartParams(Params):
    """Give a temporary basal from now on: ``value`` is a percentage, or a rate in uu an hour."""

    kind: TempKind
    value: Annotated[int, Field(ge=0, le=99_999_000)]
    duration_s: Seconds


class TempPresetStartParams(Params):
    """Give the temporary basal that is kept under a name."""

    name: Name


class TempPresetParams(TempStartParams):
    """Keep a temporary basal under a name; one of that name goes."""

    name: Name


Minutes = Whole


class InsulinParams(Params):
    """Which curve insulin on board is worked out by; null is what the model has of itself."""

    model: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_printable)]
    duration_min: Minutes | None = None
    peak_min: Minutes | None = None
    delay_min: Minutes | None = None


class QuickParams(Params):
    """How much one step of a quick bolus is."""

    step_uu: DoseUu


class Segment(Params):
    """A basal rate from a minute of the day on."""

    start_min_of_day: Annotated[int, Field(ge=0, le=1_439)]
    rate_uu_per_h: RateUuPerH


class FullSegment(Segment):
    """A segment with what it has for a calculator; that goes over the wire in columns."""

    carb_ratio_mg_per_u: int | None = None
    sensitivity_mg_dl_per_u: int | None = None
    target_mg_dl: int | None = None


Column = Annotated[list[Annotated[int, Field(ge=0, le=999_999)] | None], Field(max_length=1_440)]


class BasalImportParams(Params):
    """Keep a basal profile under a name; ``replace`` allows another one of that name to go.

    A column holds one number for each segment, null where the segment has none. ``confirm`` says
    that segments of nothing and large jumps are meant.
    """

    name: Name
    segments: Annotated[list[Segment], Field(min_length=1, max_length=1_440)]
    replace: bool
    carb_ratios_mg_per_u: Column | None = None
    sensitivities_mg_dl_per_u: Column | None = None
    targets_mg_dl: Column | None = None
    confirm: bool = False


class BasalUseParams(Params):
    """Follow this profile from now on."""

    name: Name


class BasalCopyParams(Params):
    """Keep a profile under another name too, or instead."""

    name: Name
    new_name: Name


class Limits(Params):
    """The five therapy limits, all of them at once."""

    max_bolus_uu: Annotated[int, Field(ge=0, le=999_990_000)]
    hourly_uu: Annotated[int, Field(ge=0, le=999_990_000)]
    daily_uu: Annotated[int, Field(ge=0, le=999_990_000)]
    max_basal_uu_per_h: RateUuPerH
    min_interval_s: Whole


class CartridgeLoadParams(Params):
    """Declare a fresh cartridge and what it holds.

    ``kind`` is "rapid" or "test" ("test" without it), ``size_uu`` what it holds when it is full.
    """

    amount_uu: Annotated[int, Field(ge=0, le=999_990_000)]
    kind: Name | None = None
    size_uu: Annotated[int, Field(ge=0, le=999_990_000)] | None = None


CartridgeStep = Literal["rewind", "prime", "cannula"]


class CartridgePrepareParams(Params):
    """Declare what a step asks for: its first confirmation. ``amount_uu`` is 0 for a rewind."""

    step: CartridgeStep
    amount_uu: DoseUu = 0
    declared: bool


class CartridgeRunParams(Params):
    """Confirm a second time, with the token of the first: the motor moves."""

    step: CartridgeStep
    amount_uu: DoseUu = 0
    token: Annotated[str, Field(min_length=1, max_length=128)]


class CartridgeFinishParams(Params):
    """End a change; ``site`` names where a new cannula went, null where it is the old one."""

    site: Name | None


class AlarmsAcknowledgeParams(Params):
    """Acknowledge one alarm, or every one with null."""

    number: Annotated[int, Field(ge=0, lt=2**53)] | None


class SignalsConfirmParams(Params):
    """Say whether every lamp was seen and the buzzer heard.

    ``how`` is "person" for eyes and ears, "assumed" where a program answered for nobody.
    """

    seen: bool
    how: Literal["person", "assumed"]


class PinUnlockParams(Params):
    """Let this connection change settings, until it has left them alone for 60 s."""

    pin: PinText


class PinSetParams(Params):
    """Set or change the PIN; ``old`` is null where there is none yet."""

    old: PinText | None
    new: PinText


class PinClearParams(Params):
    """Have no PIN any more."""

    old: PinText


class AlertsSetParams(Params):
    """Set the alerts that are named; the others stay. 0 switches one by hours off."""

    low_reservoir_uu: Annotated[int, Field(ge=0, le=999_990_000)] | None = None
    low_reservoir_h: Whole | None = None
    auto_off_h: Whole | None = None


MinOfDay = Annotated[int, Field(ge=0, le=1_439)]


class MealWindow(Params):
    """A time of day in which a bolus is expected."""

    from_min: MinOfDay
    to_min: MinOfDay


class PersonalReminder(Params):
    """Words that are said at a time of day."""

    at_min: MinOfDay
    name: Name


class RemindersSetParams(Params):
    """Set the reminders that are named; the others stay. A list replaces the whole list."""

    glucose_min: Whole | None = None
    site_days: Whole | None = None
    site_at_min: MinOfDay | None = None
    meals: Annotated[list[MealWindow], Field(max_length=20)] | None = None
    personal: Annotated[list[PersonalReminder], Field(max_length=20)] | None = None


class RemindersSnoozeParams(Params):
    """Answer every reminder that stands, and have it come again."""

    minutes: Annotated[int, Field(ge=5, le=240)]


Language = Literal["en", "de"]
ThemeName = Literal["dark", "light"]


class PreferencesSetParams(Params):
    """Choose what is named; the others stay. ``zone`` is a name such as "Europe/Berlin".

    ``speed`` is what a bolus is proposed at, ``fluid`` and ``syringe_uu`` what a load is.
    """

    language: Language | None = None
    theme: ThemeName | None = None
    speed: Speed | None = None
    zone: Name | None = None
    fluid: Name | None = None
    syringe_uu: Annotated[int, Field(ge=0, le=999_990_000)] | None = None


ReadingId = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
MgDl = Annotated[int, Field(ge=20, le=600)]
GlucoseUnits = Literal["mg/dL", "mmol/L"]


class SensorReading(Params):
    """One reading of a glucose sensor: the source's own id for it, and how old it is."""

    id: ReadingId
    mg_dl: MgDl
    age_s: Annotated[int, Field(ge=0, le=86_400)]


class GlucoseReportParams(Params):
    """Hand in readings of one source, oldest first. A reading that is known is left alone."""

    source: Name
    readings: Annotated[list[SensorReading], Field(min_length=1, max_length=24)]


class LedgerReportParams(Params):
    """Say what a full check found wrong with the ledger."""

    seq: Annotated[int, Field(ge=0, lt=2**63)]
    text: Annotated[str, Field(min_length=1, max_length=400)]


TouchStuck = Literal["no", "held", "repeats"]


class TouchReportParams(Params):
    """Say whether a touchscreen takes no entry: a touch is held, or a key repeats (SR-11).

    It holds until the same connection says otherwise, or has gone.
    """

    stuck: TouchStuck


class GlucoseEnterParams(Params):
    """Enter a fingerstick of now. The same id is the same fingerstick."""

    id: RequestId
    mg_dl: MgDl


class GlucosePeriod(Params):
    """Thresholds from a minute of the local day on; 0 switches one off."""

    start_min_of_day: Annotated[int, Field(ge=0, le=1_439)]
    low_mg_dl: Annotated[int, Field(ge=0, le=600)]
    high_mg_dl: Annotated[int, Field(ge=0, le=600)]


class GlucoseSetParams(Params):
    """Change the settings of glucose that are named; the others stay."""

    units: GlucoseUnits | None = None
    periods: Annotated[list[GlucosePeriod], Field(max_length=24)] | None = None
    fast_mg_dl_per_min: Annotated[int, Field(ge=0, le=20)] | None = None
    predicted_min: Annotated[int, Field(ge=0, le=120)] | None = None
    lost: bool | None = None
    protection: Literal["off", "low", "predictive", "before-low"] | None = None
    protection_limit_mg_dl: Annotated[int, Field(ge=20, le=600)] | None = None


class GlucoseSnoozeParams(Params):
    """Answer the glucose alerts that stand; they come again where their cause goes on."""

    minutes: Annotated[int, Field(ge=5, le=240)]


class HistoryParams(Params):
    """A page of history, newest first; ``before_seq`` continues an earlier page.

    Readings of a glucose sensor are left out unless ``glucose`` asks for them.
    """

    since_utc_ns: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    before_seq: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    steps: bool = False
    request_id: RequestId | None = None
    glucose: bool = False


class GraphParams(Params):
    """What a graph draws: ``hours`` up to an instant, to now with null."""

    hours: Annotated[int, Field(ge=1, le=72)] = 3
    until_utc_ns: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class KeeperRunParams(Params):
    """Do one of the keeper's jobs now."""

    job: Name


class KeeperExportParams(Params):
    """Export everything, with a report: "here", or onto a stick by its name."""

    target: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_printable)] = "here"


DayText = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class DaysParams(Params):
    """So many local days up to a date such as "2026-11-26", to today with null."""

    days: Annotated[int, Field(ge=1, le=366)] = 14
    until: DayText | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One verb of a socket.

    An ``urgent`` one reaches the handler before anything else of its request. ``changes`` says that
    a lost reply leaves the outcome unknown. ``answer_s`` is how long its answer may take; after
    that the server itself answers "outcome unknown". ``serves`` marks what the server answers from
    the last snapshot, without asking the handler.
    """

    name: str
    params: type[BaseModel]
    role: Role
    urgent: bool = False
    changes: bool = False
    answer_s: float = 10.0
    serves: Literal["", "status", "subscribe"] = ""


PUMP_METHODS: tuple[Method, ...] = (
    Method("status", Nothing, Role.OBSERVE, serves="status"),
    Method("subscribe", Nothing, Role.OBSERVE, serves="subscribe"),
    Method("bolus.review", BolusReviewParams, Role.OPERATE),
    Method("bolus.deliver", BolusDeliverParams, Role.OPERATE, changes=True),
    Method("dose.lookup", DoseLookupParams, Role.OBSERVE),
    Method("stop", StopParams, Role.OPERATE, urgent=True, changes=True),
    Method("suspend", Nothing, Role.OPERATE, changes=True),
    Method("resume", Nothing, Role.OPERATE, changes=True, answer_s=60.0),
    Method("basal.show", Nothing, Role.OBSERVE),
    Method("basal.import", BasalImportParams, Role.SETTINGS, changes=True),
    Method("basal.use", BasalUseParams, Role.SETTINGS, changes=True),
    Method("basal.copy", BasalCopyParams, Role.SETTINGS, changes=True),
    Method("basal.rename", BasalCopyParams, Role.SETTINGS, changes=True),
    Method("basal.delete", BasalUseParams, Role.SETTINGS, changes=True),
    Method("temp.start", TempStartParams, Role.OPERATE, changes=True),
    Method("temp.use", TempPresetStartParams, Role.OPERATE, changes=True),
    Method("temp.cancel", Nothing, Role.OPERATE, changes=True),
    Method("temp.presets", Nothing, Role.OBSERVE),
    Method("temp.save", TempPresetParams, Role.SETTINGS, changes=True),
    Method("temp.delete", TempPresetStartParams, Role.SETTINGS, changes=True),
    Method("insulin.show", Nothing, Role.OBSERVE),
    Method("insulin.set", InsulinParams, Role.SETTINGS, changes=True),
    Method("quick.show", Nothing, Role.OBSERVE),
    Method("quick.set", QuickParams, Role.SETTINGS, changes=True),
    Method("limits.show", Nothing, Role.OBSERVE),
    Method("limits.set", Limits, Role.SETTINGS, changes=True),
    Method("cartridge.load", CartridgeLoadParams, Role.OPERATE, changes=True),
    Method("cartridge.show", Nothing, Role.OBSERVE),
    Method("cartridge.prepare", CartridgePrepareParams, Role.OPERATE),
    Method("cartridge.run", CartridgeRunParams, Role.OPERATE, changes=True, answer_s=60.0),
    Method("cartridge.finish", CartridgeFinishParams, Role.OPERATE, changes=True),
    Method("alarms", Nothing, Role.OBSERVE),
    Method("alarms.acknowledge", AlarmsAcknowledgeParams, Role.OPERATE, changes=True),
    Method("rearm", Nothing, Role.OPERATE, changes=True),
    Method("alarms.silence", Nothing, Role.OPERATE),
    Method("signals.check", Nothing, Role.OPERATE),
    Method("signals.confirm", SignalsConfirmParams, Role.OPERATE, changes=True),
    Method("pin.show", Nothing, Role.OBSERVE),
    Method("pin.unlock", PinUnlockParams, Role.SETTINGS),
    Method("pin.lock", Nothing, Role.OPERATE),
    Method("pin.set", PinSetParams, Role.SETTINGS, changes=True),
    Method("pin.clear", PinClearParams, Role.SETTINGS, changes=True),
    Method("alerts.show", Nothing, Role.OBSERVE),
    Method("alerts.set", AlertsSetParams, Role.SETTINGS, changes=True),
    Method("reminders.show", Nothing, Role.OBSERVE),
    Method("reminders.set", RemindersSetParams, Role.SETTINGS, changes=True),
    Method("reminders.snooze", RemindersSnoozeParams, Role.OPERATE, changes=True),
    Method("preferences.show", Nothing, Role.OBSERVE),
    Method("preferences.set", PreferencesSetParams, Role.SETTINGS, changes=True),
    Method("glucose.report", GlucoseReportParams, Role.REPORT, changes=True),
    Method("ledger.report", LedgerReportParams, Role.REPORT, changes=True),
    Method("glucose.enter", GlucoseEnterParams, Role.OPERATE, changes=True),
    Method("glucose.show", Nothing, Role.OBSERVE),
    Method("glucose.set", GlucoseSetParams, Role.SETTINGS, changes=True),
    Method("glucose.snooze", GlucoseSnoozeParams, Role.OPERATE, changes=True),
    Method("glucose.resume", Nothing, Role.OPERATE, changes=True),
    Method("heartbeat", Nothing, Role.OPERATE),
    Method("touch.report", TouchReportParams, Role.OPERATE, changes=True),
)
"""The verbs of ``pumpd``'s socket, after ``hello``."""

PIN_METHODS = frozenset({"pin.unlock", "pin.set", "pin.clear"})
"""What asks for the PIN itself."""

GUARDED = frozenset(one.name for one in PUMP_METHODS if one.role is Role.SETTINGS) - PIN_METHODS
"""The verbs that wait for the PIN, where one is set: every change of a setting (SR-65)."""

PIN_NEEDED = "pin_needed"
"""The reason's code with which such a verb is refused until the PIN was given."""

KEEPER_METHODS: tuple[Method, ...] = (
    Method("history", HistoryParams, Role.OBSERVE, answer_s=30.0),
    Method("graph", GraphParams, Role.OBSERVE, answer_s=30.0),
    Method("days", DaysParams, Role.OBSERVE, answer_s=30.0),
    Method("summary", DaysParams, Role.OBSERVE, answer_s=30.0),
    Method("agp", DaysParams, Role.OBSERVE, answer_s=30.0),
    Method("conservation", Nothing, Role.OBSERVE, answer_s=30.0),
    Method("keeper", Nothing, Role.OBSERVE),
    Method("keeper.run", KeeperRunParams, Role.OPERATE),
    Method("keeper.export", KeeperExportParams, Role.OPERATE),
)
"""The verbs of ``pump-keeper``'s socket, after ``hello``."""


SIGNALS_UNCHECKED = "signals_unchecked"
"""The reason's code with which a bolus waits for a check of light and sound (SR-53)."""

NO_SUCH_DOSE = "no_such_dose"
"""The reason's code with which ``dose.lookup`` refuses an id that no dose has."""


class Result(BaseModel):
    """What a pump answers: unknown keys are left alone, known ones have their type."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, defer_build=True)

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _keep_raw(cls, raw: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        self = read(raw)
        self._raw = raw if isinstance(raw, dict) else {}
        return self

    @property
    def raw(self) -> Mapping[str, Any]:
        """The answer as it came, with what this version has no name for."""
        return self._raw

    @classmethod
    def of(cls, raw: dict[str, Any]) -> Self:
        """Read an answer. Raises ProtocolFault with every fault of it."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            texts = "; ".join(reason["text"] for reason in reasons_of(error))
            raise ProtocolFault(f"the answer cannot be read: {texts}") from None


class Hello(Result):
    """Who answered, and what this user may do there."""

    protocol: int
    pump: str
    version: str
    speed: int
    bench: bool
    roles: list[str]
    utc_ns: int | None = None


class Reason(Result):
    """One reason against, with the field it is about."""

    code: str
    text: str
    field: str | None = None
    value: str | None = None
    range: str | None = None


OPEN = "open"
"""What ``outcome`` and ``certainty`` say of a dose that has not ended."""


class Dose(Result):
    """A dose in four words: programmed, issued, confirmed, and the most that can have moved.

    ``certainty`` is "exact", "uncertain" (confirmed to maximum) or "unknown"; ``outcome`` is
    "open" while the dose runs, ``why`` says what ended it. Basal is programmed as a rate, not as an
    amount: there the programmed numbers are None. ``issued_steps`` is None where no count is left.
    """

    id: str
    kind: str
    programmed_uu: int | None
    programmed_steps: int | None
    issued_steps: int | None
    confirmed_steps: int
    maximum_steps: int
    certainty: str
    outcome: str | None = None
    why: str | None = None
    whole_uu: int | None = None
    extended_uu: int = 0
    extended: Dose | None = None

    @property
    def running(self) -> bool:
        """Whether the dose has not ended."""
        return self.outcome in (None, OPEN)

    @property
    def parts(self) -> list[Dose]:
        """This dose, and the extended part of the same bolus where it has one."""
        return [self] if self.extended is None else [self, self.extended]

    @property
    def certain(self) -> bool:
        """Whether what moved is known to the microstep."""
        return self.certainty == "exact"

    @property
    def complete(self) -> bool:
        """Whether it ended by itself, with every step confirmed."""
        return (
            self.outcome == "done"
            and self.certain
            and self.programmed_steps == self.issued_steps == self.confirmed_steps
        )


class LastBolus(Result):
    """The bolus before this one (SR-08)."""

    programmed_uu: int
    utc_ns: int | None = None


class Review(Result):
    """What a dose would be; without a token the reasons stand against it."""

    request_id: str
    amount_uu: int
    programmed_steps: int
    duration_s: int
    reasons: list[Reason]
    token: str | None
    extended_uu: int = 0
    extended_s: int = 0
    token_s: int = 30
    again: str | None = None
    last_bolus: LastBolus | None = None
    delivered_60_min_uu: int | None = None
    left_60_min_uu: int | None = None
    left_24_h_uu: int | None = None
    left_single_uu: int | None = None


class Alarm(Result):
    """One alarm; ``number`` acknowledges it."""

    number: int
    code: str
    name: str
    priority: str
    text: str
    what_to_do: list[str] = Field(default_factory=list)
    since_utc_ns: int | None = None
    active: bool = True
    acknowledged: bool = False
    escalated: bool = False


class RunningBolus(Result):
    """The bolus that runs now."""

    id: str
    programmed_uu: int
    programmed_steps: int
    issued_steps: int
    confirmed_steps: int


class RunningExtended(RunningBolus):
    """The extended bolus, or the extended part of one, that runs now."""

    rate_uu_per_h: int = 0
    left_s: int = 0


class Temp(Result):
    """A temporary basal: its value is a percentage or a rate in microunits an hour.

    ``rate_uu_per_h`` is what it gives now; ``capped`` says that the basal limit holds it down.
    """

    kind: str
    value: int
    duration_s: int
    left_s: int = 0
    rate_uu_per_h: int = 0
    capped: bool = False


class TempStarted(Result):
    """What began, and where the basal limit will hold it down."""

    temp: Temp | None
    notices: list[str] = Field(default_factory=list)


class Insulin(Result):
    """The curve in use; ``set`` is false for the one that a pump begins with."""

    model: str
    set: bool
    duration_min: int
    peak_min: int | None = None
    delay_min: int | None = None


class Presets(Result):
    """The temporary basals that are kept by name."""

    presets: dict[str, Temp]


class ClockShown(Result):
    """The pump's wall clock, and how far it may be believed."""

    utc_ns: int
    offset_s: int = 0
    quality: str = ""


class Check(Result):
    """One line of the self-test."""

    name: str
    ok: bool
    text: str = ""


class Audio(Result):
    """What sounds: the priority shown, and for how long the sound is paused, in real seconds."""

    priority: int = 0
    sounding: bool = False
    paused_left_s: int = 0


class Fingerstick(Result):
    """The last fingerstick that was entered."""

    mg_dl: int
    utc_ns: int
    age_s: int


class ProtectionShown(Result):
    """Low-glucose protection: its rule set, and a suspension that goes on."""

    rule: str
    limit_mg_dl: int | None = None
    suspended: bool = False
    since_s: int | None = None
    left_s: int | None = None
    why: str | None = None


class Glucose(Result):
    """Glucose as the pump knows it; without a sensor ``mg_dl`` is None and ``state`` "none".

    ``state`` is "ok", "stale" (older than 15 min), "lost" (older than 30 min) or "none": only an
    "ok" value is the present. ``trend_mg_dl_per_h`` and ``arrow`` are None without a trend.
    """

    state: str = "none"
    units: str = "mg/dL"
    mg_dl: int | None = None
    utc_ns: int | None = None
    age_s: int | None = None
    source: str | None = None
    trend_mg_dl_per_h: int | None = None
    arrow: str | None = None
    predicted_mg_dl: int | None = None
    finger: Fingerstick | None = None
    protection: ProtectionShown | None = None


class GlucoseShown(Result):
    """Glucose now, and the readings of the last three hours, oldest first; what is set."""

    glucose: Glucose
    settings: dict[str, Any] = Field(default_factory=dict)
    readings: list[dict[str, Any]] = Field(default_factory=list)


class BatteryShown(Result):
    """The battery, where the machine has one; None for what is not known (no gauge, or one that
    cannot be believed). ``failing``: the supply is about to end.
    """

    percent: int | None
    minutes: int | None
    failing: bool


class Snapshot(Result):
    """The pump as it is; ``raw`` has what this version has no name for.

    Stable for scripts: ``state``, ``basal_uu_per_h``, ``reservoir_uu``, ``delivering``, ``alarms``,
    ``pids``. ``age_ms`` is how long ago the pump said it, on a real clock: an old one is not the
    present.
    """

    state: str
    sequence: int = 0
    age_ms: int = 0
    basal_uu_per_h: int = 0
    reservoir_uu: int | None = None
    delivering: bool = False
    alarms: list[Alarm] = Field(default_factory=list)
    pids: dict[str, int | None] = Field(default_factory=dict)
    why: list[Reason | str] = Field(default_factory=list)
    bolus: RunningBolus | None = None
    extended: RunningExtended | None = None
    temp: Temp | None = None
    quick_step_uu: int | None = None
    iob_uu: dict[str, Any] | None = None
    clock: ClockShown | None = None
    speed: int = 1
    bench: bool = True
    limits: dict[str, Any] | None = None
    left_60_min_uu: int | None = None
    left_24_h_uu: int | None = None
    realtime: dict[str, bool] = Field(default_factory=dict)
    weaker: list[str] = Field(default_factory=list)
    ledger: dict[str, Any] = Field(default_factory=dict)
    self_test: list[Check] = Field(default_factory=list)
    reservoir_h: int | None = None
    audio: Audio = Field(default_factory=lambda: Audio())
    preferences: dict[str, Any] = Field(default_factory=dict)
    zone: str = "UTC"
    glucose: Glucose | None = None
    battery: BatteryShown | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the pump is inhibited, a sentence each."""
        return [reason if isinstance(reason, str) else reason.text for reason in self.why]


class SegmentShown(Result):
    """A basal rate from a minute of the day on, with what the segment has for a calculator."""

    start_min_of_day: int
    rate_uu_per_h: int
    carb_ratio_mg_per_u: int | None = None
    sensitivity_mg_dl_per_u: int | None = None
    target_mg_dl: int | None = None


class Basal(Result):
    """The profiles, which one is followed, and the rate now."""

    active: str | None
    profiles: dict[str, list[SegmentShown]]
    rate_uu_per_h: int


class LimitsShown(Result):
    """The therapy limits (None on a new pump), and the machine's ceilings over them."""

    limits: dict[str, int] | None
    ceilings: dict[str, int] = Field(default_factory=dict)


COLUMNS: Mapping[str, str] = {
    "carb_ratio_mg_per_u": "carb_ratios_mg_per_u",
    "sensitivity_mg_dl_per_u": "sensitivities_mg_dl_per_u",
    "target_mg_dl": "targets_mg_dl",
}
"""What a segment may have for a calculator, and the column of an import that holds it."""


class HistoryRow(Result):
    """One thing that happened. A dose has amounts; anything else has ``text``.

    ``correction_uu`` of a bolus and ``carbs_g`` are what somebody said it is for.
    """

    seq: int
    id: str
    kind: str
    programmed_uu: int | None = None
    programmed_steps: int | None = None
    issued_steps: int | None = None
    confirmed_steps: int | None = None
    maximum_steps: int | None = None
    certainty: str | None = None
    utc_ns: int | None = None
    offset_s: int | None = None
    outcome: str | None = None
    why: str | None = None
    text: str | None = None
    correction_uu: int = 0
    carbs_g: int = 0
    leases: list[dict[str, Any]] = Field(default_factory=list)
    leases_complete: bool = True


class HistoryPage(Result):
    """Rows, newest first; ``next_before_seq`` asks for the next page, None after the last."""

    rows: list[HistoryRow]
    next_before_seq: int | None = None


class BolusMark(Result):
    """A bolus on a graph; ``end_utc_ns`` is None while it runs."""

    id: str
    kind: str
    utc_ns: int
    end_utc_ns: int | None
    programmed_uu: int | None
    confirmed_uu: int
    maximum_uu: int
    certainty: str
    outcome: str
    correction_uu: int = 0
    carbs_g: int = 0


class AlarmMark(Result):
    """An alarm that was raised."""

    utc_ns: int
    code: str
    priority: str
    name: str
    text: str


class Graph(Result):
    """What a graph draws, each list oldest first.

    ``glucose`` and ``fingers`` hold pairs of instant and mg/dL; ``basal`` holds begin, end (None
    while it runs) and microunits an hour of what was delivered: between two of them nothing was.
    ``suspended`` holds begin and end (or None) of where low-glucose protection held basal back.
    """

    from_utc_ns: int
    until_utc_ns: int
    glucose: list[list[int]]
    fingers: list[list[int]]
    basal: list[list[int | None]]
    boluses: list[BolusMark]
    alarms: list[AlarmMark]
    suspended: list[list[int | None]]
    seq: int = 0


class GlucoseSums(Result):
    """Statistics of the sensor's readings; shares in per cent. The five bands add up to 100."""

    readings: int
    covered: float
    enough: bool
    mean_mg_dl: float
    sd_mg_dl: float | None
    cv: float | None
    gmi: float
    lbgi: float
    hbgi: float
    under_54: float
    from_54_to_69: float
    from_70_to_180: float
    from_181_to_250: float
    over_250: float
    tight_70_to_140: float


class Sums(Result):
    """What was delivered, confirmed, in microunits; ``glucose`` is None without a reading.

    ``correction_uu`` is the part of ``bolus_uu`` that was asked for as a correction. Priming and
    filling the cannula are no doses and stand apart.
    """

    basal_uu: int
    bolus_uu: int
    correction_uu: int
    prime_uu: int
    cannula_uu: int
    total_uu: int
    boluses: int
    uncertain: int
    alarms: int
    changes: int
    glucose: GlucoseSums | None


class JobShown(Result):
    """One job of the keeper; ``ok`` is None before its first try."""

    name: str
    at_min: int
    done_date: str | None = None
    tried_utc_ns: int | None = None
    took_ms: int = 0
    ok: bool | None = None
    text: str = ""
    runs: int = 0
    failures: int = 0


class KeeperShown(Result):
    """What the keeper does: its jobs, how far its database is, its sources of glucose."""

    jobs: list[JobShown]
    seq: int = 0
    head_seq: int = 0
    clock_steps: int = 0
    sources: list[dict[str, Any]] = Field(default_factory=list)
    links: list[dict[str, Any]] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)


class DaySums(Sums):
    """One local day; ``length_s`` is 23 or 25 h where the clocks changed."""

    date: str
    length_s: int
    basal_uu: int = 0
    boluses: int = 0
    uncertain: int = 0
    alarms: int = 0
    changes: int = 0


class Summary(Sums):
    """Several local days together; the mean is of those in which something was delivered."""

    from_date: str
    until_date: str
    days: int
    days_with_delivery: int
    mean_day_uu: int | None
    basal_share: float | None


_RANGES = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def reasons_of(error: ValidationError) -> list[dict[str, Any]]:
    """Say every fault of a message as code, text, field, value and range."""
    return [_reason(dict(fault)) for fault in error.errors(include_url=False)]


def _reason(fault: dict[str, Any]) -> dict[str, Any]:
    field = ".".join(str(part) for part in fault["loc"]) or "params"
    context = fault.get("ctx", {})
    reason = {"code": "E511", "field": shown(field)[1:-1]}
    match fault["type"]:
        case "missing":
            return reason | {"text": f"{reason['field']} is missing"}
        case "extra_forbidden":
            return reason | {"text": f"{reason['field']} is not a parameter here"}
    value = shown(fault["input"])
    wanted = [f"{word} {context[key]}" for key, word in _RANGES.items() if key in context]
    match fault["type"]:
        case "literal_error":
            bounds = f"one of {context['expected']}"
        case "string_pattern_mismatch":
            bounds = "a lower-case UUID such as 123e4567-e89b-12d3-a456-426614174000"
        case "value_error":
            bounds = str(context["error"])
        case "string_too_long":
            bounds = f"at most {context['max_length']} characters"
        case "string_too_short":
            bounds = f"at least {context['min_length']} characters"
        case _ if wanted:
            bounds = " and ".join(wanted)
        case _:
            bounds = str(fault["msg"]).removeprefix("Input should be ")
    bounds = bounds.removeprefix("must be ")
    text = f"{reason['field']} = {value} is refused: it must be {bounds}"
    return reason | {"text": text, "value": value, "range": bounds}
