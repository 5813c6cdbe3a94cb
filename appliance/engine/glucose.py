"""The glucose desk: readings of a sensor and fingersticks, as rows, and what they say now.

A reading comes as an ordinary client's message with its age, so that no second wall clock takes
part: its instant is this pump's own, less that age. What an older boot left behind counts by its
age where both wall clocks were synchronised, and not at all where they were not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from appliance.domain import protection
from appliance.domain.alarms import AlarmCode
from appliance.domain.glucose import (
    Reading,
    ReadingKind,
    SignalState,
    arrow_of,
    predicted_mg_dl,
    slope_mg_dl_per_h,
    state_of,
)
from appliance.domain.glucose_alerts import ALL, SNOOZE_NS, GlucoseAlerts, causes, faults_of
from appliance.domain.limits import Reason
from appliance.domain.protection import Rule
from appliance.domain.states import PumpState
from appliance.domain.units import MIN_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.basal import Basal
from appliance.engine.book import GlucoseRow, Stamp
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.engine.protection import Protection
from appliance.ports import ClockQuality, Row

SETTING = "glucose"
AHEAD_MIN = 30
"""How far the straight line of the trend is followed."""
_SHOWN_NS = 3 * NS_PER_H
_LOOK_NS = 10 * NS_PER_S
_DEFAULTS: Mapping[str, Any] = {
    "units": "mg/dL",
    "protection": Rule.OFF.value,
    "protection_limit_mg_dl": None,
}


class GlucoseDesk(Desk):
    """Takes readings in, once each, and says what is known of glucose now."""

    def __init__(
        self,
        context: Context,
        alarms: AlarmBoard,
        basal: Basal,
        *,
        state: Callable[[], PumpState],
        end_extended: Callable[[str], None],
    ) -> None:
        super().__init__(context)
        self._alarms = alarms
        self._writing: set[tuple[str, str]] = set()
        self._next_look_ns = context.now_ns
        self._quiet_until_ns: dict[AlarmCode, int] = {}
        self._judged_ns: int | None = None
        self._protection = Protection(
            context,
            alarms,
            basal,
            settings=lambda: self.settings,
            state=state,
            age_ns=self.age_ns,
            end_extended=end_extended,
        )

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "glucose.report": self._report,
            "glucose.enter": self._enter,
            "glucose.show": self._show,
            "glucose.set": self._set_glucose,
            "glucose.snooze": self._snooze,
            "glucose.resume": self._resume,
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the settings in force, defaults included."""
        return {**_DEFAULTS, **self._c.book.settings.get(SETTING, {})}

    def in_snapshot(self) -> Mapping[str, Any]:
        return {"glucose": self.shown()}

    # ------------------------------------------------------------------ what is known

    def age_ns(self, stamp: Stamp) -> int | None:
        """Return how long ago something was measured; None where no clock can say."""
        if stamp.boot == self._c.machine.boot_id:
            return max(0, self._c.now_ns - stamp.mono_ns)
        synchronised = ClockQuality.SYNCHRONISED
        if stamp.clock == synchronised.value and self._c.reading.quality is synchronised:
            return max(0, self._c.utc_ns - stamp.utc_ns)
        return None

    def sensor(self, within_ns: int = _SHOWN_NS) -> list[Reading]:
        """Return the sensor's readings of the last ``within_ns``, oldest first, on this clock."""
        found: list[Reading] = []
        for one in reversed(self._c.book.glucose):
            age_ns = self.age_ns(one.stamp)
            if age_ns is None or age_ns > within_ns:
                break
            if one.reading == ReadingKind.SENSOR.value:
                found.append(Reading(self._c.now_ns - age_ns, one.mg_dl))
        return found[::-1]

    def _last(self, kind: ReadingKind) -> tuple[GlucoseRow, int] | None:
        for one in reversed(self._c.book.glucose):
            if one.reading == kind.value:
                age_ns = self.age_ns(one.stamp)
                return None if age_ns is None else (one, age_ns)
        return None

    def shown(self) -> dict[str, Any]:
        """Return glucose as clients see it."""
        last, finger = self._last(ReadingKind.SENSOR), self._last(ReadingKind.FINGER)
        state = state_of(last[1] if last else None)
        slope = slope_mg_dl_per_h(self.sensor()) if state is SignalState.OK else None
        shown: dict[str, Any] = {"state": state.value, "units": self.settings["units"]}
        shown["protection"] = self._protection.shown()
        if last is not None:
            row, age_ns = last
            ahead = None if slope is None else predicted_mg_dl(row.mg_dl, slope, AHEAD_MIN)
            shown |= {
                "mg_dl": row.mg_dl,
                "utc_ns": row.utc_ns,
                "age_s": age_ns // NS_PER_S,
                "source": row.source,
                "trend_mg_dl_per_h": slope,
                "arrow": None if slope is None else str(arrow_of(slope)),
                "predicted_mg_dl": ahead,
            }
        if finger is not None:
            row, age_ns = finger
            shown["finger"] = {
                "mg_dl": row.mg_dl,
                "utc_ns": row.utc_ns,
                "age_s": age_ns // NS_PER_S,
            }
        return shown

    def _show(self, asked: Asked) -> None:
        readings = []
        for one in self._c.book.glucose:
            age_ns = self.age_ns(one.stamp)
            if age_ns is not None and age_ns <= _SHOWN_NS:
                fields = {"mg_dl": one.mg_dl, "reading": one.reading, "source": one.source}
                readings.append({"utc_ns": one.utc_ns, "age_s": age_ns // NS_PER_S, **fields})
        alerts = asdict(GlucoseAlerts.of(self.settings))
        settings = {**self.settings, **alerts}
        shown = {"glucose": self.shown(), "readings": readings, "settings": settings}
        self._done(asked, shown)

    # ------------------------------------------------------------------ what comes in

    def _report(self, asked: Asked) -> None:
        source = asked.params["source"]
        if source == ReadingKind.FINGER.value:
            text = f"source = {source!r} is what a person enters: glucose.enter"
            self._refuse(asked, [Reason("out_of_range", text, "source", source)])
            return
        bodies = [
            {**one, "source": source, "reading": ReadingKind.SENSOR.value}
            for one in asked.params["readings"]
        ]
        self._keep(asked, bodies, lambda kept: {"kept": kept, "known": len(bodies) - kept})

    def _enter(self, asked: Asked) -> None:
        finger = ReadingKind.FINGER.value
        fields = {name: asked.params[name] for name in ("id", "mg_dl")}
        body = {**fields, "age_s": 0, "source": finger, "reading": finger}
        self._keep(asked, [body], lambda _kept: {"glucose": self.shown()})

    def _keep(
        self,
        asked: Asked,
        bodies: Sequence[Mapping[str, Any]],
        answer: Callable[[int], Mapping[str, Any]],
    ) -> None:
        """Write what is not known yet, and answer when that is durable."""
        known = {(one.source, one.id) for one in self._c.book.glucose} | self._writing
        new = []
        for body in bodies:
            key = (body["source"], body["id"])
            if key not in known:
                known.add(key)
                new.append(body)
        keys = {(body["source"], body["id"]) for body in new}
        self._writing |= keys

        def durable(_rows: Sequence[Row]) -> None:
            self._writing -= keys
            self._look()
            self._done(asked, answer(len(new)))

        if not new:
            self._done(asked, answer(0))
            return
        by = f"uid {asked.uid}"
        self._c.write([self._c.entry("glucose", {**body, "by": by}) for body in new], durable)

    # ------------------------------------------------------------------ settings

    def _set_glucose(self, asked: Asked) -> None:
        given = {name: one for name, one in asked.params.items() if one is not None}
        if "protection" in given and "protection_limit_mg_dl" not in given:
            given["protection_limit_mg_dl"] = None  # another rule set, its own usual limit
        new = {**self.settings, **given}
        rule, limit = Rule(new["protection"]), new["protection_limit_mg_dl"]
        reasons = faults_of(GlucoseAlerts.of(new)) + protection.faults_of(rule, limit)
        if reasons:
            self._refuse(asked, reasons)
        else:
            self._set(asked, SETTING, new, self._look)

    # ------------------------------------------------------------------ alerts and protection

    def tend(self) -> None:
        """Look every few seconds: values grow old, and a suspension's time ends."""
        if self._c.now_ns >= self._next_look_ns:
            self._look()

    def _look(self) -> None:
        self._next_look_ns = self._c.now_ns + _LOOK_NS
        readings = self.sensor()
        last = self._last(ReadingKind.SENSOR)
        state = state_of(last[1] if last else None)
        slope = slope_mg_dl_per_h(readings) if state is SignalState.OK else None
        self._alert(state, last[0].mg_dl if last else None, slope)
        if state is SignalState.OK and last is not None:
            at_ns = last[0].mono_ns
            if at_ns != self._judged_ns:  # once for each reading
                self._judged_ns = at_ns
                self._protection.judge(readings)
        self._protection.tend()

    def _alert(self, state: SignalState, mg_dl: int | None, slope: int | None) -> None:
        now_ns = self._c.now_ns
        local_ns = self._c.utc_ns + self._c.reading.offset_s * NS_PER_S
        standing = [code for code in ALL if self._alarms.is_active(code)]
        found = causes(
            GlucoseAlerts.of(self.settings),
            min_of_day=local_ns // NS_PER_MIN % MIN_PER_DAY,
            state=state,
            mg_dl=mg_dl,
            slope=slope,
            standing=standing,
        )
        answered = {
            one.code for one in self._c.book.alarms.values() if one.acknowledged and one.active
        }
        for code in ALL:
            quiet_ns = self._quiet_until_ns.get(code)
            if code not in found:
                self._alarms.clear(code)
                self._quiet_until_ns.pop(code, None)
            elif code.value in answered and quiet_ns is None:
                self._quiet_until_ns[code] = now_ns + SNOOZE_NS[code]
            elif quiet_ns is not None and now_ns >= quiet_ns:
                del self._quiet_until_ns[code]
                self._alarms.clear(code)  # it is raised anew at the next look
                self._next_look_ns = now_ns
            elif quiet_ns is None and found[code]:
                self._alarms.raise_(code, found[code])

    def _snooze(self, asked: Asked) -> None:
        """Answer every glucose alert that stands, and have it come again if its cause goes on."""
        codes = [code for code in ALL if self._alarms.is_active(code)]
        numbers = [
            one.number
            for one in self._c.book.alarms.values()
            if one.code in {code.value for code in codes} and not one.acknowledged
        ]
        if not numbers:
            self._refuse(asked, [Reason("no_alert", "no glucose alert stands unanswered")])
            return
        until_ns = self._c.now_ns + asked.params["minutes"] * NS_PER_MIN
        self._quiet_until_ns |= dict.fromkeys(codes, until_ns)
        left = len(numbers)

        def answered() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._done(asked, {"snoozed": len(numbers)})

        for number in numbers:
            self._alarms.acknowledge(number, f"uid {asked.uid}", answered)

    def _resume(self, asked: Asked) -> None:
        """End a suspension by glucose: a person wants basal back."""
        by = f"uid {asked.uid}"
        if not self._protection.end_by_person(by, lambda: self._done(asked, {"resumed": True})):
            reason = Reason("not_suspended", "basal is not suspended by glucose")
            self._refuse(asked, [reason])
