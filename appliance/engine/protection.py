"""Low-glucose protection at work: each decision a row, with what it was made by.

It holds basal back and ends an extended bolus; a bolus that a person gives goes on. It decides only
while the pump runs, and by readings that are not stale; where its time is over the schedule
returns by the clock alone. A start of the program ends a suspension: nobody watched in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.glucose import Reading, slope_mg_dl_per_h
from appliance.domain.protection import (
    LONGEST_NS,
    Action,
    Inputs,
    Rule,
    Span,
    decide,
    limit_of,
    over_time,
    spent_ns,
)
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.engine.alarms import AlarmBoard
from appliance.engine.basal import Basal
from appliance.engine.book import Stamp
from appliance.engine.context import Context
from appliance.ports import Row

_SAID_NS = 15 * NS_PER_MIN
"""A suspension that is over sooner is no news: it stands in the snapshot and in the history."""


class Protection:
    """Suspends basal and gives it back, by the rule set that is chosen."""

    def __init__(
        self,
        context: Context,
        alarms: AlarmBoard,
        basal: Basal,
        *,
        settings: Callable[[], Mapping[str, Any]],
        state: Callable[[], PumpState],
        age_ns: Callable[[Stamp], int | None],
        end_extended: Callable[[str], None],
    ) -> None:
        self._c = context
        self._alarms = alarms
        self._basal = basal
        self._settings = settings
        self._state = state
        self._age_ns = age_ns
        self._end_extended = end_extended
        self._writing = False
        self._held = False
        self._own = False
        self._last = ""
        basal.suspended = lambda: self.suspended

    @property
    def rule(self) -> Rule:
        """Return the rule set in force."""
        return Rule(self._settings().get("protection", Rule.OFF.value))

    @property
    def suspended(self) -> bool:
        """Say whether basal is suspended by glucose."""
        events = self._c.book.protection
        return bool(events) and events[-1]["event"] == "suspended"

    def spans(self) -> list[Span]:
        """Return the suspensions whose ages are known, oldest first; the last may go on."""
        found: list[Span] = []
        began_ns: int | None = None
        for event in self._c.book.protection:
            stamp = Stamp(event["boot"], event["mono_ns"], event["utc_ns"], event["clock"])
            age_ns = self._age_ns(stamp)
            if event["event"] == "suspended":
                began_ns = age_ns
            elif began_ns is not None and age_ns is not None:
                found.append(Span(began_ns, age_ns, event["by"] != "pump"))
                began_ns = None
        if self.suspended:
            found.append(Span(began_ns or 0))
        return found

    # ------------------------------------------------------------------ deciding

    def judge(self, readings: Sequence[Reading]) -> None:
        """Decide by the newest of the sensor's readings, where the pump runs."""
        rule = self.rule
        if rule is Rule.OFF or self._writing or self._state() is not PumpState.RUNNING:
            return
        if not readings:
            return
        before = readings[-2].mg_dl if len(readings) > 1 else None
        inputs = Inputs(readings[-1].mg_dl, before, slope_mg_dl_per_h(readings))
        limit = self._settings().get("protection_limit_mg_dl")
        spans = self.spans()
        decision = decide(rule, limit, inputs, spans, suspended=self.suspended)
        match decision.action:
            case Action.SUSPEND:
                self._write("suspended", decision.why, inputs)
            case Action.RESUME:
                self._write("resumed", decision.why, inputs)
            case Action.HELD:
                if not self._held:
                    self._held = True
                    self._write("held", decision.why, inputs)
                self._alarms.raise_(AlarmCode.PROTECTION_HELD, decision.why)
            case Action.STAY:
                self._held = False
                self._alarms.clear(AlarmCode.PROTECTION_HELD)

    def tend(self) -> None:
        """End what its time, a change of the rule set or a stop of the pump is over for."""
        if not self.suspended:
            self._alarms.clear(AlarmCode.BASAL_SUSPENDED)
            return
        if self._writing or self._c.trouble:
            return
        state = self._state()
        if state is PumpState.STARTING:
            return
        if not self._own:
            self._write("resumed", "the program was started anew", None)
        elif state is not PumpState.RUNNING:
            self._write("resumed", f"the pump is {state.value}", None)
        elif self.rule is Rule.OFF:
            self._write("resumed", "protection was switched off", None)
        elif why := over_time(self.rule, self.spans()):
            self._write("resumed", f"{why}: the schedule returns", None)
        elif self.spans()[-1].length_ns >= _SAID_NS:
            self._alarms.raise_(AlarmCode.BASAL_SUSPENDED, self._last)

    def end_by_person(self, by: str, then: Callable[[], None]) -> bool:
        """Have the schedule back now; return whether there was a suspension to end."""
        if not self.suspended or self._writing:
            return False
        self._write("resumed", "ended by a person", None, by=by, then=then)
        return True

    def _write(
        self,
        event: str,
        why: str,
        inputs: Inputs | None,
        *,
        by: str = "pump",
        then: Callable[[], None] | None = None,
    ) -> None:
        spans = self.spans()
        body: dict[str, Any] = {
            "event": event,
            "rule": self.rule.value,
            "limit_mg_dl": limit_of(self.rule, self._settings().get("protection_limit_mg_dl")),
            "why": why,
            "by": by,
            "spent_s": spent_ns(spans) // NS_PER_S,
        }
        if inputs is not None:
            body |= {
                "mg_dl": inputs.mg_dl,
                "before_mg_dl": inputs.before_mg_dl,
                "trend_mg_dl_per_h": inputs.slope,
                "predicted_mg_dl": inputs.predicted,
            }
        self._writing = True

        def durable(_rows: Sequence[Row]) -> None:
            self._writing = False
            if event == "suspended":
                self._own, self._last = True, why
                self._end_extended(f"suspended by glucose: {why}")
            if event != "held" and self._basal.on:
                self._basal.anchor_anew(f"{event} by glucose: {why}")
            if then is not None:
                then()

        self._c.write([self._c.entry("protection", body)], durable)

    def shown(self) -> dict[str, Any]:
        """Return what clients see of it."""
        rule, suspended = self.rule, self.suspended
        limit = limit_of(rule, self._settings().get("protection_limit_mg_dl"))
        shown: dict[str, Any] = {"rule": rule.value, "limit_mg_dl": limit, "suspended": suspended}
        if suspended:
            spans = self.spans()
            spent = spent_ns(spans) if rule is Rule.PREDICTIVE else spans[-1].length_ns
            shown |= {
                "since_s": spans[-1].length_ns // NS_PER_S,
                "left_s": max(0, LONGEST_NS - spent) // NS_PER_S,
                "why": self._c.book.protection[-1]["why"],
            }
        return shown
