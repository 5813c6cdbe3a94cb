"""The battery desk: no bolus that the battery may not last for, and an end in order when the supply
fails (SR-60, F63).

A gauge that cannot be believed holds up new boluses and nothing else: what runs goes on. The
power-fail line is believed at once, and its "good again" only after a second without a break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain import battery as rules
from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.records import NO_LIMIT

_FAILING = "the supply is failing: the power-fail line says so"
_NO_WORD = "the battery's gauge has said nothing for 10 s"
_NO_LINE = "the power-fail line has not been read for 10 s"


class BatteryDesk(Desk):
    """Hears the gauge and the power-fail line, where the machine has them."""

    def __init__(self, context: Context, alarms: AlarmBoard, stop: Callable[[str], None]) -> None:
        super().__init__(context)
        self._alarms, self._stop = alarms, stop
        self._battery = context.machine.battery
        self._has_line = context.machine.power_line
        self._absent = self._battery is None and not self._has_line
        self._gauge = rules.Gauge()
        self._heard_ns = context.now_ns
        self._low = False
        self._failing = False
        self._good_since_ns: int | None = None
        self._line_known = False
        self._line_doubt = ""
        self._line_doubt_ns = context.now_ns

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {}

    # ------------------------------------------------------------------ hearing

    def hear_gauge(self, percent: int | None, text: str) -> None:
        """Judge a reading of the gauge in percent; None with ``text`` where there is none."""
        if self._battery is None:
            return
        self._heard_ns = self._c.now_ns
        self._gauge = rules.heard(
            self._gauge,
            self._battery,
            percent,
            text,
            now_ns=self._c.now_ns,
            speed=self._c.machine.speed,
        )
        self._judge_charge(self._battery)

    def _judge_charge(self, battery: rules.Battery) -> None:
        worst = self._gauge.worst
        if worst is None:
            return
        lasts_s = battery.lasts_s(worst)
        self._low = rules.is_low(worst, lasts_s, was_low=self._low)
        if self._low:
            text = f"the battery has {worst} %, for about {rules.minutes_text(lasts_s)}"
            self._alarms.raise_(AlarmCode.BATTERY_LOW, text)
        else:
            self._alarms.clear(AlarmCode.BATTERY_LOW)

    def hear_line(self, *, failing: bool | None, text: str = "") -> None:
        """Hear the power-fail line; None with ``text`` where it cannot be read."""
        if not self._has_line:
            return
        if failing is None:
            if not self._line_doubt:
                self._line_doubt_ns = self._c.now_ns
            self._line_doubt = text
            self._good_since_ns = None
            return
        self._line_known, self._line_doubt = True, ""
        if failing:
            self._good_since_ns = None
            if not self._failing:
                self._failing = True
                self._stop(_FAILING)
            self._alarms.raise_(AlarmCode.POWER_FAILS, _FAILING)
        elif not self._failing:
            self._alarms.clear(AlarmCode.POWER_FAILS)
        elif self._good_since_ns is None:
            self._good_since_ns = self._c.now_ns

    # ------------------------------------------------------------------ what is due

    def tend(self) -> None:
        if self._absent:
            return
        if self._good_since_ns is not None and self._c.now_ns >= self._back_ns:
            self._failing, self._good_since_ns = False, None
            self._alarms.clear(AlarmCode.POWER_FAILS)
        if self._battery is not None and self._c.now_ns >= self._silent_ns:
            self._gauge = self._gauge.doubted(_NO_WORD, self._silent_ns)
        doubt, since_ns = self._doubt()
        if not doubt:
            self._alarms.clear(AlarmCode.BATTERY_GAUGE)
        elif self._c.now_ns >= since_ns + self._real(rules.DOUBT_NS):
            self._alarms.raise_(AlarmCode.BATTERY_GAUGE, doubt)

    def wake_ns(self) -> int:
        if self._absent:
            return NO_LIMIT
        wakes_ns = [NO_LIMIT]
        if self._good_since_ns is not None:
            wakes_ns.append(self._back_ns)
        if self._battery is not None:
            wakes_ns.append(self._silent_ns)
        doubt, since_ns = self._doubt()
        if doubt:
            wakes_ns.append(since_ns + self._real(rules.DOUBT_NS))
        return min((one for one in wakes_ns if one > self._c.now_ns), default=NO_LIMIT)

    def _doubt(self) -> tuple[str, int]:
        """Return what is not known of gauge or line, and since when; "" where all is known."""
        if self._gauge.doubt:
            return self._gauge.doubt, self._gauge.doubt_ns
        if not self._has_line:
            return "", 0
        if self._line_doubt:
            return self._line_doubt, self._line_doubt_ns
        unread_ns = self._c.start_ns + self._real(rules.SILENT_NS)
        late = not self._line_known and self._c.now_ns >= unread_ns
        return (_NO_LINE, unread_ns) if late else ("", 0)

    @property
    def _back_ns(self) -> int:
        return (self._good_since_ns or 0) + self._real(rules.BACK_NS)

    @property
    def _silent_ns(self) -> int:
        return self._heard_ns + self._real(rules.SILENT_NS)

    def _real(self, duration_ns: int) -> int:
        return duration_ns * self._c.machine.speed

    # ------------------------------------------------------------------ what is against it

    def against_bolus(self) -> Sequence[Reason]:
        reasons = []
        if self._failing:
            reasons.append(Reason("power_fails", _FAILING))
        if self._battery is not None and (self._gauge.doubt or self._gauge.percent is None):
            why = self._gauge.doubt or "the battery's gauge has said nothing yet"
            reasons.append(Reason("battery_unknown", why))
        if self._has_line and (self._line_doubt or not self._line_known):
            why = self._line_doubt or "the power-fail line has not been read yet"
            reasons.append(Reason("power_line_unknown", why))
        return reasons

    def against_bolus_of(self, bolus_s: int) -> Sequence[Reason]:
        """List what the battery has against a bolus that takes so many seconds."""
        percent = self._gauge.percent
        if self._battery is None or self._gauge.doubt or percent is None:
            return ()
        return rules.energy_reasons(self._battery.lasts_s(percent), bolus_s)

    def against_resume(self) -> Sequence[Reason]:
        return [Reason("power_fails", _FAILING)] if self._failing else ()

    def in_snapshot(self) -> Mapping[str, Any]:
        if self._absent:
            return {"battery": None}
        percent = None if self._gauge.doubt else self._gauge.percent
        lasts_s = (
            None if self._battery is None or percent is None else self._battery.lasts_s(percent)
        )
        return {
            "battery": {
                "percent": percent,
                "minutes": None if lasts_s is None else lasts_s // 60,
                "failing": self._failing,
            }
        }
