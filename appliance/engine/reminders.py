"""The reminders desk: says at its time what a person asked to be told.

What falls due is a row, and waits in the book until it is said: where another reminder of its kind
stands, until that one is answered; snoozed, for so many minutes; over a restart too. What fell due
while nobody was there to say it is said at the start, once, as late, with its time.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.domain.outcomes import DoseKind
from appliance.domain.reminders import (
    MAX_PERSONAL,
    Reminders,
    any_within,
    faults_of,
    last_passed,
    passed,
    site_due_ns,
)
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.ports import ClockQuality

_SETTING = "reminders"
_CODES = (
    AlarmCode.SITE_DUE,
    AlarmCode.CHECK_GLUCOSE,
    AlarmCode.MISSED_MEAL,
    AlarmCode.REMINDER,
)
_NO_BOLUS = {DoseKind.BASAL, DoseKind.PRIME, DoseKind.CANNULA, DoseKind.REWIND}
_LOOK_NS = NS_PER_S
_LATE_NS = 30 * NS_PER_MIN
_DAY_NS = MIN_PER_DAY * NS_PER_MIN


class RemindersDesk(Desk):
    """Knows the time of day, the last bolus and the age of the site."""

    def __init__(self, context: Context, alarms: AlarmBoard) -> None:
        super().__init__(context)
        self._alarms = alarms
        self._next_look_ns = context.now_ns
        self._looked_local_ns = self._local_ns
        self._glucose_of = context.book.reminded_of
        self._site_quiet_until_ns = context.book.site_quiet_until_ns
        # From the last row on nobody looked: a row is what each look leaves that found something.
        self._off_since_utc_ns: int | None = self._last_known_ns()

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "reminders.show": self._show,
            "reminders.set": self._set_reminders,
            "reminders.snooze": self._snooze,
        }

    @property
    def _local_ns(self) -> int:
        return self._c.utc_ns + self._c.reading.offset_s * NS_PER_S

    def _last_known_ns(self) -> int | None:
        """Return when the pump was there last, by the wall clock; None where no clock can say."""
        utc_ns, clock = self._c.book.last_stamp
        unknown = (ClockQuality.NOT_SET.value, "")
        if clock in unknown or self._c.reading.quality is ClockQuality.NOT_SET:
            return None
        return int(utc_ns)

    def _reminders(self) -> Reminders:
        return Reminders.of(self._c.book.settings.get(_SETTING, {}))

    def _show(self, asked: Asked) -> None:
        self._done(asked, {"reminders": self._reminders().body()})

    def _set_reminders(self, asked: Asked) -> None:
        given = {name: one for name, one in asked.params.items() if one is not None}
        new = Reminders.of({**self._reminders().body(), **given})
        reasons = faults_of(new)
        if reasons:
            self._refuse(asked, reasons)
        else:
            self._set(asked, _SETTING, new.body())

    def _snooze(self, asked: Asked) -> None:
        """Answer every reminder that stands, and have it come again."""
        again_ns = self._c.now_ns + asked.params["minutes"] * NS_PER_MIN
        codes = {code.value for code in _CODES}
        standing = [one for one in self._alarms.unacknowledged if one.code in codes]
        if not standing:
            self._refuse(asked, [Reason("no_reminder", "no reminder stands")])
            return
        for one in standing:
            code = AlarmCode(one.code)
            self._fall_due(again_ns, code, one.text)
            self._alarms.clear(code)
        self._done(asked, {"snoozed": len(standing)})

    # ------------------------------------------------------------------ what falls due

    def tend(self) -> None:
        """Look once a second at what time it is."""
        now_ns = self._c.now_ns
        if now_ns < self._next_look_ns:
            return
        self._next_look_ns = now_ns + _LOOK_NS
        before_ns, self._looked_local_ns = self._looked_local_ns, self._local_ns
        reminders = self._reminders()
        off_since_ns, self._off_since_utc_ns = self._off_since_utc_ns, None
        if off_since_ns is not None:
            self._catch_up(reminders, off_since_ns)
        for at_min, name in reminders.personal:
            if passed(before_ns, self._local_ns, at_min) is not None:
                self._fall_due(now_ns, AlarmCode.REMINDER, name)
        for start_min, end_min in reminders.meals:
            end_ns = passed(before_ns, self._local_ns, end_min)
            if end_ns is not None:
                self._look_at_meal(end_ns, end_min - start_min, "")
        self._look_at_bolus(reminders, off_since_ns)
        self._look_at_site(reminders)
        self._say()

    def _catch_up(self, reminders: Reminders, off_since_ns: int) -> None:
        """Have what fell due while the pump was off said once, as late, with its time."""
        from_ns = off_since_ns + self._c.reading.offset_s * NS_PER_S
        to_ns = self._looked_local_ns
        for at_min, name in reminders.personal:
            at_ns = last_passed(from_ns, to_ns, at_min)
            if at_ns is not None:
                text = f"{name} (late: it was for {_clock(at_ns)}, and the pump was off)"
                self._fall_due(self._c.now_ns, AlarmCode.REMINDER, text)
        for start_min, end_min in reminders.meals:
            end_ns = last_passed(from_ns, to_ns, end_min)
            if end_ns is not None:
                self._look_at_meal(end_ns, end_min - start_min, " (late: the pump was off)")

    def _fall_due(
        self, at_ns: int, code: AlarmCode, text: str, *, of: str = "", quiet_until_ns: int = 0
    ) -> None:
        waiting = [one for one in self._c.book.reminders_due if one[3] == code.value]
        if len(waiting) >= MAX_PERSONAL or [code.value, text] in [one[3:] for one in waiting]:
            return  # nobody has answered the same for days
        body = {
            "event": "due",
            "code": code.value,
            "text": text,
            "at_mono_ns": at_ns,
            "at_utc_ns": self._c.utc_ns + at_ns - self._c.now_ns,
            "of": of,
            "quiet_until_ns": quiet_until_ns,
        }
        self._c.write([self._c.entry("reminder", body)])

    def _say(self) -> None:
        for boot, at_mono_ns, at_utc_ns, kind, text in self._c.book.reminders_due:
            here = boot == self._c.machine.boot_id
            due = self._c.now_ns >= at_mono_ns if here else self._c.utc_ns >= at_utc_ns
            code = AlarmCode(kind)
            if due and not self._alarms.is_active(code):
                self._alarms.raise_(code, text)

    def _look_at_meal(self, end_ns: int, minutes: int, late: str) -> None:
        offset_ns = self._c.reading.offset_s * NS_PER_S
        boluses = [
            one.start_utc_ns + offset_ns
            for one in self._c.book.doses.values()
            if one.kind not in _NO_BOLUS
        ]
        if not any_within(boluses, end_ns - minutes * NS_PER_MIN, end_ns):
            text = f"no bolus in the {minutes} min up to {_clock(end_ns)}{late}"
            self._fall_due(self._c.now_ns, AlarmCode.MISSED_MEAL, text)

    def _look_at_bolus(self, reminders: Reminders, off_since_ns: int | None) -> None:
        dose = self._c.book.doses.get(self._c.book.last_bolus)
        if not reminders.glucose_min or dose is None or dose.request_id == self._glucose_of:
            return
        wait_ns = reminders.glucose_min * NS_PER_MIN
        text = f"{reminders.glucose_min} min after the bolus"
        due_utc_ns = dose.start_utc_ns + wait_ns
        if off_since_ns is not None and off_since_ns < due_utc_ns <= self._c.utc_ns:
            local_ns = due_utc_ns + self._c.reading.offset_s * NS_PER_S
            text += f" (late: it was for {_clock(local_ns)}, and the pump was off)"
            late_ns = 0
        elif dose.start_boot != self._c.machine.boot_id:
            return
        else:
            late_ns = self._c.now_ns - dose.start_mono_ns - wait_ns
        if late_ns >= 0:
            self._glucose_of = dose.request_id
        if 0 <= late_ns < _LATE_NS:
            self._fall_due(self._c.now_ns, AlarmCode.CHECK_GLUCOSE, text, of=dose.request_id)

    def _look_at_site(self, reminders: Reminders) -> None:
        changed_ns = self._c.book.set_change.get("cannula_utc_ns")
        if not reminders.site_days or changed_ns is None:
            self._alarms.clear(AlarmCode.SITE_DUE)
            return
        local_ns = changed_ns + self._c.reading.offset_s * NS_PER_S
        if self._local_ns < site_due_ns(local_ns, reminders):
            self._alarms.clear(AlarmCode.SITE_DUE)
            self._site_quiet_until_ns = 0
        elif self._local_ns >= self._site_quiet_until_ns:
            # Answered and left as it is, it comes again at the same time of the next day.
            days = (self._local_ns - local_ns) // _DAY_NS
            at_ns = self._local_ns - self._local_ns % _DAY_NS + reminders.site_at_min * NS_PER_MIN
            self._site_quiet_until_ns = at_ns + (_DAY_NS if at_ns <= self._local_ns else 0)
            text = f"the set has been in for {days} days"
            quiet_until_ns = self._site_quiet_until_ns
            self._fall_due(self._c.now_ns, AlarmCode.SITE_DUE, text, quiet_until_ns=quiet_until_ns)


def _clock(local_ns: int) -> str:
    minute = local_ns % _DAY_NS // NS_PER_MIN
    return f"{minute // 60:02d}:{minute % 60:02d}"
