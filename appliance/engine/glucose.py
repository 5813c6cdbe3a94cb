"""The glucose desk: readings of a sensor and fingersticks, as rows, and what they say now.

A reading comes as an ordinary client's message with its age, so that no second wall clock takes
part: its instant is this pump's own, less that age. What an older boot left behind counts by its
age where both wall clocks were synchronised, and not at all where they were not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.glucose import (
    Reading,
    ReadingKind,
    SignalState,
    arrow_of,
    predicted_mg_dl,
    slope_mg_dl_per_h,
    state_of,
)
from appliance.domain.limits import Reason
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.engine.book import GlucoseRow, Stamp
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.ports import ClockQuality, Row

SETTING = "glucose"
AHEAD_MIN = 30
"""How far the straight line of the trend is followed."""
_SHOWN_NS = 3 * NS_PER_H
_DEFAULTS: Mapping[str, Any] = {"units": "mg/dL"}


class GlucoseDesk(Desk):
    """Takes readings in, once each, and says what is known of glucose now."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._writing: set[tuple[str, str]] = set()

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {
            "glucose.report": self._report,
            "glucose.enter": self._enter,
            "glucose.show": self._show,
            "glucose.set": self._set_glucose,
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
        self._done(asked, {"glucose": self.shown(), "readings": readings})

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
            self._done(asked, answer(len(new)))

        if not new:
            self._done(asked, answer(0))
            return
        by = f"uid {asked.uid}"
        self._c.write([self._c.entry("glucose", {**body, "by": by}) for body in new], durable)

    # ------------------------------------------------------------------ settings

    def _set_glucose(self, asked: Asked) -> None:
        given = {name: one for name, one in asked.params.items() if one is not None}
        self._set(asked, SETTING, {**self.settings, **given})
