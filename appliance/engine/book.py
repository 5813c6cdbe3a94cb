"""The book: what the ledger's rows add up to. One fold, used live and at recovery alike.

The engine never changes the book but by a row that is durable, so what it knows and what a restart
would read are the same. A ``checkpoint`` row holds the whole book, so a start reads no more than
the rows since.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from appliance.domain.outcomes import Certainty, Outcome
from appliance.ports import Row
from appliance.records import Motion

PROFILE_SETTING = "basal.profile."
"""What the name of a setting begins with that is one basal profile; its own name follows."""

_RECENT_DOSES = 200
_STOPS = 3
_SITES = 20
_BUCKET_NS = 60_000_000_000
_SCHEDULE_ROWS = 500
_DAY_NS = 24 * 3_600_000_000_000
_PROTECTION = 64
_READINGS = 320  # a day and a bit of one sensor


@dataclass(slots=True)
class Dose:
    """A dose as the ledger knows it."""

    request_id: str
    kind: str
    programmed_uu: int | None
    programmed_steps: int | None
    programme: int
    run: int
    start_mono_ns: int
    start_utc_ns: int
    start_boot: str
    rate_uu_per_h: int
    whole_uu: int | None = None
    extended_uu: int = 0
    duration_s: int = 0
    part_of: str = ""
    extended_id: str = ""
    issued_steps: int | None = 0
    confirmed_steps: int = 0
    maximum_steps: int = 0
    certainty: str = Certainty.OPEN.value
    outcome: str = Outcome.OPEN.value
    why: str = ""

    @property
    def open(self) -> bool:
        """Say whether no row has closed it."""
        return self.outcome == Outcome.OPEN.value

    def record(self) -> dict[str, Any]:
        """Return it as clients and scripts read it."""
        return {
            "id": self.request_id,
            "kind": self.kind,
            "programmed_uu": self.programmed_uu,
            "programmed_steps": self.programmed_steps,
            "issued_steps": self.issued_steps,
            "confirmed_steps": self.confirmed_steps,
            "maximum_steps": self.maximum_steps,
            "certainty": self.certainty,
            "outcome": self.outcome,
            "why": self.why,
            "whole_uu": self.whole_uu,
            "extended_uu": self.extended_uu,
            "duration_s": self.duration_s,
            "part_of": self.part_of,
            "extended_id": self.extended_id,
        }


@dataclass(slots=True)
class TempRow:
    """The temporary basal that was begun last and has not ended; its end on ``boot``'s clock."""

    number: int
    kind: str
    value: int
    duration_s: int
    boot: str
    until_mono_ns: int
    until_utc_ns: int
    clock: str


@dataclass(slots=True)
class LeaseRow:
    """A lease that no count row has closed."""

    number: int
    run: int
    motion: int
    direction: int
    steps: int


@dataclass(slots=True)
class AlarmRow:
    """An alarm that stands: until it is acknowledged, and its cause is gone."""

    number: int
    code: str
    text: str
    since_utc_ns: int
    boot: str = ""
    since_mono_ns: int = 0
    active: bool = True
    acknowledged: bool = False
    escalated: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a row was written, by both clocks."""

    boot: str
    mono_ns: int
    utc_ns: int
    clock: str


@dataclass(slots=True)
class Spent:
    """What went out in some minute, at the latest instant of it: an upper bound for the limits, and
    for insulin on board the steps of boluses and of basal, each with two bounds.
    """

    boot: str
    mono_ns: int
    utc_ns: int
    clock: str
    steps: int
    bolus_confirmed: int = 0
    bolus_maximum: int = 0
    basal_confirmed: int = 0
    basal_maximum: int = 0

    @property
    def stamp(self) -> Stamp:
        """Return when it was."""
        return Stamp(self.boot, self.mono_ns, self.utc_ns, self.clock)


@dataclass(slots=True)
class ScheduleRow:
    """What the profile asks for from an instant on, delivered or not."""

    boot: str
    mono_ns: int
    utc_ns: int
    clock: str
    rate_uu_per_h: int

    @property
    def stamp(self) -> Stamp:
        """Return when it began."""
        return Stamp(self.boot, self.mono_ns, self.utc_ns, self.clock)


@dataclass(slots=True)
class GlucoseRow:
    """A reading of a glucose sensor, or a fingerstick, at the instant when it was measured."""

    boot: str
    mono_ns: int
    utc_ns: int
    clock: str
    mg_dl: int
    reading: str
    source: str
    id: str

    @property
    def stamp(self) -> Stamp:
        """Return when it was measured."""
        return Stamp(self.boot, self.mono_ns, self.utc_ns, self.clock)


@dataclass(slots=True)
class Book:
    """The sum of the rows up to ``seq``."""

    seq: int = 0
    run: int = 0
    clean: bool = True
    config_sha256: str = ""
    state: str = "stopped"
    next_programme: int = 1
    next_lease: int = 1
    next_alarm: int = 1
    next_temp: int = 1
    confirmed_steps: int = 0
    maximum_steps: int = 0
    reverse_steps: int = 0
    loaded_uu: int | None = None
    loaded_at_steps: int = 0
    run_leased_steps: int = 0
    run_confirmed_steps: int = 0
    run_maximum_steps: int = 0
    run_closed_confirmed_steps: int = 0
    run_closed_maximum_steps: int = 0
    programmes: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    doses: dict[str, Dose] = field(default_factory=dict)
    leases: dict[int, LeaseRow] = field(default_factory=dict)
    alarms: dict[int, AlarmRow] = field(default_factory=dict)
    spent: deque[Spent] = field(default_factory=deque)
    last_bolus: str = ""
    locked: bool = False
    blocked_mn: int | None = None
    stops: list[list[Any]] = field(default_factory=list)
    stopped_at: list[Any] | None = None
    set_change: dict[str, Any] = field(default_factory=dict)
    pin_tries: int = 0
    pin_tried: list[Any] = field(default_factory=lambda: ["", 0])
    temp: TempRow | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    placed: dict[str, int] = field(default_factory=dict)
    schedule: deque[ScheduleRow] = field(default_factory=deque)
    reminders_due: list[list[Any]] = field(default_factory=list)
    reminded_of: str = ""
    site_quiet_until_ns: int = 0
    last_stamp: list[Any] = field(default_factory=lambda: [0, ""])
    glucose: deque[GlucoseRow] = field(default_factory=deque)
    protection: list[dict[str, Any]] = field(default_factory=list)

    # ------------------------------------------------------------------ the fold

    def apply(self, row: Row) -> None:
        """Take one durable row into account."""
        self.seq = row.seq
        body = row.entry.body
        self.last_stamp = [row.entry.utc_ns, row.entry.clock]
        match row.entry.kind:
            case "checkpoint":
                self._restore(body["book"])
                self.seq = row.seq
                self.last_stamp = [row.entry.utc_ns, row.entry.clock]
            case "start":
                self.clean = False
                self.config_sha256 = body.get("config_sha256", "")
            case "end":
                self.clean = True
            case "run":
                self.run = body["run"]
                self.run_leased_steps = self.run_confirmed_steps = self.run_maximum_steps = 0
                self.run_closed_confirmed_steps = self.run_closed_maximum_steps = 0
                self.programmes = {}
            case "state":
                self._state(row)
            case "setting":
                self._setting(body)
            case "intent":
                self._intent(row)
            case "lease":
                self._lease(body)
            case "count":
                self._count(row)
            case "closed":
                self._closed(row)
            case "alarm":
                self._alarm(row)
            case "line":
                self._line(row)
            case "set_change":
                self._set_change(row)
            case "pin" if body["event"] == "tried":
                self.pin_tries += 1
                self.pin_tried = [row.entry.boot_id, row.entry.mono_ns]
            case "pin":
                self.pin_tries = 0
            case "temp":
                self._temp(row)
            case "schedule":
                self._schedule(row)
            case "reminder":
                self._reminder(row)
            case "glucose":
                self._glucose(row)
            case "protection":
                self._protection(row)
            case _:
                pass

    def _setting(self, body: Mapping[str, Any]) -> None:
        name, new = body["name"], body["new"]
        if name.startswith(PROFILE_SETTING):
            profiles = dict(self.settings.get("basal.profiles", {}))
            profiles.pop(name.removeprefix(PROFILE_SETTING), None)
            if new is not None:
                profiles[name.removeprefix(PROFILE_SETTING)] = new
            name, new = "basal.profiles", profiles
        self.settings[name] = new
        if name == "cartridge":
            self.loaded_uu = new and new["amount_uu"]
            self.loaded_at_steps = self.maximum_steps + self.open_lease_steps

    def _temp(self, row: Row) -> None:
        body = row.entry.body
        self.next_temp = max(self.next_temp, body["number"] + 1)
        if body["event"] == "ended":
            if self.temp is not None and self.temp.number == body["number"]:
                self.temp = None
            return
        self.temp = TempRow(
            body["number"],
            body["temp"],
            body["value"],
            body["duration_s"],
            row.entry.boot_id,
            body["until_mono_ns"],
            body["until_utc_ns"],
            row.entry.clock,
        )

    def _intent(self, row: Row) -> None:
        body = row.entry.body
        dose = Dose(
            request_id=body["request_id"],
            kind=body["dose"],
            programmed_uu=body["programmed_uu"],
            programmed_steps=body["programmed_steps"],
            programme=body["programme"],
            run=body["run"],
            start_mono_ns=row.entry.mono_ns,
            start_utc_ns=row.entry.utc_ns,
            start_boot=row.entry.boot_id,
            rate_uu_per_h=body["rate_uu_per_h"],
            whole_uu=body.get("whole_uu", body["programmed_uu"]),
            extended_uu=body.get("extended_uu", 0),
            duration_s=body.get("duration_s", 0),
            part_of=body.get("part_of", ""),
            extended_id=body.get("extended_id", ""),
        )
        self.doses[dose.request_id] = dose
        self.next_programme = max(self.next_programme, dose.programme + 1)
        self.kinds[str(dose.programme)] = dose.kind
        if dose.kind in ("bolus", "extended") and not dose.part_of:
            self.last_bolus = dose.request_id
        closed = [key for key, one in self.doses.items() if not one.open and key != self.last_bolus]
        for key in closed[: max(0, len(self.doses) - _RECENT_DOSES)]:
            del self.doses[key]

    def _lease(self, body: Mapping[str, Any]) -> None:
        lease = LeaseRow(
            body["number"], body["run"], body["motion"], body["direction"], body["steps"]
        )
        self.leases[lease.number] = lease
        self.next_lease = max(self.next_lease, lease.number + 1)
        self.run_leased_steps += lease.steps

    def _count(self, row: Row) -> None:
        body = row.entry.body
        lease = self.leases.pop(body["lease"])
        confirmed, maximum = body["confirmed_steps"], body["maximum_steps"]
        self.run_confirmed_steps += confirmed
        self.run_maximum_steps += maximum
        # What was leased and not used is void, so the run's leased total ends where the count does.
        self.run_leased_steps -= lease.steps - maximum
        self.programmes = dict(body["programmes"])
        if lease.motion == Motion.REWIND:
            self.reverse_steps += maximum
            return
        self.confirmed_steps += confirmed
        self.maximum_steps += maximum
        if maximum and lease.motion == Motion.DOSE:
            self._bucket(row).steps += maximum
        for programme, issued in self.programmes.items():
            new = issued - self.placed.get(programme, 0)
            if new > 0:
                self._place(row, programme, new, new)
                self.placed[programme] = issued

    def _place(self, row: Row, programme: str, confirmed: int, maximum: int) -> None:
        """Keep what a programme gave for insulin on board, by the kind of its dose."""
        kind = self.kinds.get(programme)
        if kind == "basal":
            bucket = self._bucket(row)
            bucket.basal_confirmed += confirmed
            bucket.basal_maximum += maximum
        elif kind in ("bolus", "extended"):
            bucket = self._bucket(row)
            bucket.bolus_confirmed += confirmed
            bucket.bolus_maximum += maximum

    def _take_off(self, kind: str, steps: int) -> None:
        """Take what turned out not to be confirmed off the newest of a kind."""
        name = "basal_confirmed" if kind == "basal" else "bolus_confirmed"
        for bucket in reversed(self.spent):
            if steps <= 0:
                return
            part = min(steps, getattr(bucket, name))
            setattr(bucket, name, getattr(bucket, name) - part)
            steps -= part

    def _schedule(self, row: Row) -> None:
        entry = row.entry
        self.schedule.append(
            ScheduleRow(
                entry.boot_id, entry.mono_ns, entry.utc_ns, entry.clock, entry.body["rate_uu_per_h"]
            )
        )
        # One that began before the last day is kept: it says what the day began with.
        while len(self.schedule) > 1 and (
            len(self.schedule) > _SCHEDULE_ROWS
            or (
                self.schedule[1].boot == entry.boot_id
                and entry.mono_ns - self.schedule[1].mono_ns > _DAY_NS
            )
        ):
            self.schedule.popleft()

    def _glucose(self, row: Row) -> None:
        """Keep a reading where it belongs: one that comes late stands before newer ones."""
        entry, body = row.entry, row.entry.body
        age_ns = body["age_s"] * 1_000_000_000
        reading = GlucoseRow(
            entry.boot_id,
            entry.mono_ns - age_ns,
            entry.utc_ns - age_ns,
            entry.clock,
            body["mg_dl"],
            body["reading"],
            body["source"],
            body["id"],
        )
        at = len(self.glucose)
        while (
            at
            and self.glucose[at - 1].boot == reading.boot
            and (self.glucose[at - 1].mono_ns > reading.mono_ns)
        ):
            at -= 1
        self.glucose.insert(at, reading)
        while len(self.glucose) > _READINGS:
            self.glucose.popleft()

    def _protection(self, row: Row) -> None:
        """Keep when basal was suspended by glucose: for its limits, and to know that it is."""
        entry, body = row.entry, row.entry.body
        if body["event"] not in ("suspended", "resumed"):
            return
        event = {"event": body["event"], "rule": body["rule"], "by": body["by"], "why": body["why"]}
        event |= {"boot": entry.boot_id, "mono_ns": entry.mono_ns}
        event |= {"utc_ns": entry.utc_ns, "clock": entry.clock}
        self.protection = [*self.protection, event][-_PROTECTION:]

    def _bucket(self, row: Row) -> Spent:
        """Return the minute of a row, at its latest instant; what is over a day old is dropped."""
        entry = row.entry
        last = self.spent[-1] if self.spent else None
        if (
            last is not None
            and last.boot == entry.boot_id
            and last.mono_ns // _BUCKET_NS == entry.mono_ns // _BUCKET_NS
        ):
            last.mono_ns, last.utc_ns, last.clock = entry.mono_ns, entry.utc_ns, entry.clock
        else:
            last = Spent(entry.boot_id, entry.mono_ns, entry.utc_ns, entry.clock, 0)
            self.spent.append(last)
        since_ns = entry.mono_ns - _DAY_NS - _BUCKET_NS
        while self._oldest_ns(entry.boot_id) < since_ns:
            self.spent.popleft()
        return last

    def _oldest_ns(self, boot: str) -> int:
        """Return the instant of the oldest amount on the clock of ``boot``: what an older boot left
        is at least as old as whatever this one counted first.
        """
        return next(one.mono_ns for one in self.spent if one.boot == boot)

    def _closed(self, row: Row) -> None:
        body = row.entry.body
        dose = self.doses[body["request_id"]]
        for name in (
            "programmed_uu",
            "programmed_steps",
            "issued_steps",
            "confirmed_steps",
            "maximum_steps",
            "certainty",
            "outcome",
            "why",
        ):
            setattr(dose, name, body[name])
        if dose.run == self.run:
            self.run_closed_confirmed_steps += dose.confirmed_steps
            self.run_closed_maximum_steps += dose.maximum_steps
        programme = str(dose.programme)
        self.programmes.pop(programme, None)
        placed = self.placed.pop(programme, 0)
        low, high = dose.confirmed_steps - placed, dose.maximum_steps - placed
        if high > 0:
            self._place(row, programme, max(0, low), high)
        if low < 0:
            self._take_off(dose.kind, -low)
        self.kinds.pop(programme, None)

    def _alarm(self, row: Row) -> None:
        body = row.entry.body
        number = body["number"]
        self.next_alarm = max(self.next_alarm, number + 1)
        if body["event"] == "raised":
            self.alarms[number] = AlarmRow(
                number,
                body["code"],
                body["text"],
                row.entry.utc_ns,
                row.entry.boot_id,
                row.entry.mono_ns,
            )
            said = [one for one in self.reminders_due if one[3:] == [body["code"], body["text"]]]
            if said:
                self.reminders_due.remove(said[0])
            return
        alarm = self.alarms.get(number)
        if alarm is None:  # acknowledged and cleared before: saying it again changes nothing
            return
        if body["event"] == "cleared":
            alarm.active = False
        elif body["event"] == "acknowledged":
            alarm.acknowledged = True
            if self.stopped_at is not None:  # whoever acknowledges knows that nothing is delivered
                self.stopped_at = [row.entry.boot_id, row.entry.mono_ns]
        elif body["event"] == "escalated":
            alarm.escalated = True
        elif body["event"] == "explained":
            alarm.text = body["text"]
        elif body["event"] == "ended":  # a reminder goes with its cause
            alarm.active, alarm.acknowledged = False, True
        if alarm.acknowledged and not alarm.active:
            del self.alarms[number]

    def _reminder(self, row: Row) -> None:
        """Keep what has fallen due until it is said: boot, both instants, code and text."""
        body = row.entry.body
        self.reminders_due.append(
            [row.entry.boot_id, body["at_mono_ns"], body["at_utc_ns"], body["code"], body["text"]]
        )
        self.reminded_of = body["of"] or self.reminded_of
        self.site_quiet_until_ns = body["quiet_until_ns"] or self.site_quiet_until_ns

    def _set_change(self, row: Row) -> None:
        """Keep when each part was last changed, where the sites were, and what was wasted."""
        body, change = row.entry.body, self.set_change
        event = body["event"]
        change["event"], change["mono_ns"] = event, row.entry.mono_ns
        change["boot"] = row.entry.boot_id
        for part in body.get("renews", ()):
            change[f"{part}_utc_ns"] = row.entry.utc_ns
        for part, steps in body.get("wasted_steps", {}).items():
            change[f"wasted_{part}_steps"] = change.get(f"wasted_{part}_steps", 0) + steps
        if body.get("site"):
            site = {"site": body["site"], "utc_ns": row.entry.utc_ns}
            change["sites"] = [*change.get("sites", []), site][-_SITES:]

    def _state(self, row: Row) -> None:
        """Keep the state, and since when nothing is delivered: over a restart as well."""
        self.state = row.entry.body["to"]
        if self.state == "running":
            self.stopped_at = None
        elif self.state != "starting" and self.stopped_at is None:
            self.stopped_at = [row.entry.boot_id, row.entry.mono_ns]

    def _line(self, row: Row) -> None:
        match row.entry.body["event"]:
            case "blocked":
                self.blocked_mn = row.entry.body["force_mn"]
            case "released":
                self.blocked_mn = None
            case "stopped":
                self.stops = [*self.stops, [row.entry.boot_id, row.entry.mono_ns]][-_STOPS:]
            case "locked":
                self.locked = True
            case "rearmed":
                self.locked, self.stops = False, []
            case _:
                pass

    # ------------------------------------------------------------------ what it says

    @property
    def open_lease_steps(self) -> int:
        """Return the steps of every open lease: what may have moved beside what is counted."""
        return sum(one.steps for one in self.leases.values() if one.direction > 0)

    @property
    def open_doses(self) -> list[Dose]:
        """Return the doses that no row has closed, oldest first."""
        return [one for one in self.doses.values() if one.open]

    # ------------------------------------------------------------------ the checkpoint

    def body(self) -> dict[str, Any]:
        """Return the whole book as a row's body."""
        raw: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("programmes", "settings", "kinds", "placed"):
            raw[name] = dict(raw[name])
        # The row is written later than this: nothing in it may be changed meanwhile.
        raw["set_change"] = copy.deepcopy(self.set_change)
        for name in ("stops", "reminders_due"):
            raw[name] = [list(one) for one in raw[name]]
        raw["doses"] = {key: _plain(one) for key, one in self.doses.items()}
        raw["leases"] = {str(key): _plain(one) for key, one in self.leases.items()}
        raw["alarms"] = {str(key): _plain(one) for key, one in self.alarms.items()}
        raw["spent"] = [_plain(one) for one in self.spent]
        raw["schedule"] = [_plain(one) for one in self.schedule]
        raw["glucose"] = [_plain(one) for one in self.glucose]
        raw["temp"] = _plain(self.temp) if self.temp is not None else None
        return {"book": raw}

    def _restore(self, raw: Mapping[str, Any]) -> None:
        nested: dict[str, Any] = {
            "doses": {key: Dose(**one) for key, one in raw["doses"].items()},
            "leases": {int(key): LeaseRow(**one) for key, one in raw["leases"].items()},
            "alarms": {int(key): AlarmRow(**one) for key, one in raw["alarms"].items()},
            "spent": deque(Spent(**one) for one in raw["spent"]),
            "schedule": deque(ScheduleRow(**one) for one in raw.get("schedule", [])),
            "glucose": deque(GlucoseRow(**one) for one in raw.get("glucose", [])),
            "programmes": dict(raw["programmes"]),
            "kinds": dict(raw.get("kinds", {})),
            "placed": dict(raw.get("placed", {})),
            "settings": dict(raw["settings"]),
            "set_change": copy.deepcopy(raw.get("set_change", {})),
            "stops": [list(one) for one in raw.get("stops", [])],
            "reminders_due": [list(one) for one in raw.get("reminders_due", [])],
            "temp": TempRow(**raw["temp"]) if raw.get("temp") else None,
        }
        for one in fields(self):  # a checkpoint of an older version says less: the rest is as new
            if one.name in nested or one.name in raw:
                setattr(self, one.name, nested.get(one.name, raw.get(one.name)))


def _plain(
    one: Dose | LeaseRow | AlarmRow | Spent | ScheduleRow | TempRow | GlucoseRow,
) -> dict[str, Any]:
    """Return the fields as they are now; ``asdict`` takes ten times as long for the same."""
    return {name: getattr(one, name) for name in one.__slots__}
