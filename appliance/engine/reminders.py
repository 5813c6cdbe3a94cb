"""The reminders desk: says at its time what a person asked to be told.

What falls due while another reminder of its kind stands waits until that one is answered. Snoozed,
they come again after so many minutes.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.domain.outcomes import DoseKind
from appliance.domain.reminders import Reminders, any_within, faults_of, passed, site_due_ns
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked

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
        self._due: list[tuple[int, AlarmCode, str]] = []
        self._glucose_of = ""
        self._site_quiet_until_ns = 0

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
            self._due.append((again_ns, code, one.text))
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
        for at_min, name in reminders.personal:
            if passed(before_ns, self._local_ns, at_min) is not None:
                self._due.append((now_ns, AlarmCode.REMINDER, name))
        for start_min, end_min in reminders.meals:
            end_ns = passed(before_ns, self._local_ns, end_min)
            if end_ns is not None:
                self._look_at_meal(end_ns, end_min - start_min)
        self._look_at_bolus(reminders)
        self._look_at_site(reminders)
        self._say()

    def _say(self) -> None:
        later = []
        for at_ns, code, text in self._due:
            if at_ns > self._c.now_ns or self._alarms.is_active(code):
                later.append((at_ns, code, text))
            else:
                self._alarms.raise_(code, text)
        self._due = later

    def _look_at_meal(self, end_ns: int, minutes: int) -> None:
        offset_ns = self._c.reading.offset_s * NS_PER_S
        boluses = [
            one.start_utc_ns + offset_ns
            for one in self._c.book.doses.values()
            if one.kind not in _NO_BOLUS
        ]
        if not any_within(boluses, end_ns - minutes * NS_PER_MIN, end_ns):
            text = f"no bolus in the {minutes} min up to {_clock(end_ns)}"
            self._due.append((self._c.now_ns, AlarmCode.MISSED_MEAL, text))

    def _look_at_bolus(self, reminders: Reminders) -> None:
        dose = self._c.book.doses.get(self._c.book.last_bolus)
        if not reminders.glucose_min or dose is None or dose.request_id == self._glucose_of:
            return
        if dose.start_boot != self._c.machine.boot_id:
            return
        late_ns = self._c.now_ns - dose.start_mono_ns - reminders.glucose_min * NS_PER_MIN
        if late_ns >= 0:
            self._glucose_of = dose.request_id
        if 0 <= late_ns < _LATE_NS:
            text = f"{reminders.glucose_min} min after the bolus"
            self._due.append((self._c.now_ns, AlarmCode.CHECK_GLUCOSE, text))

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
            self._due.append((self._c.now_ns, AlarmCode.SITE_DUE, text))


def _clock(local_ns: int) -> str:
    minute = local_ns % _DAY_NS // NS_PER_MIN
    return f"{minute // 60:02d}:{minute % 60:02d}"
