"""The alerts desk: low reservoir, a delivery that stays stopped, a pump that nobody uses.

These are the conditions that a person may set, or that only time makes worth a word. Their times
are the pump's own, so they run with a demo's factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.alerts import (
    AUTO_OFF_WARNING_NS,
    STOPPED_REMINDER_NS,
    VERY_LOW_UU,
    Alerts,
    auto_off_left_ns,
    daily_uu,
    faults_of,
    hours_left,
)
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_MIN, NS_PER_MS, format_dose
from appliance.engine.alarms import AlarmBoard
from appliance.engine.basal import Basal
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked

_SETTING = "alerts"
_LOOK_NS = 500 * NS_PER_MS
_STOPPED = (PumpState.SUSPENDED, PumpState.FAULTED, PumpState.INHIBITED, PumpState.STOPPED)
_NO_HAND = frozenset(
    {
        "status",
        "subscribe",
        "heartbeat",
        "touch.report",
        "alarms",
        "dose.lookup",
        "glucose.report",
        "ledger.report",
    }
)
"""What programs ask by themselves: it shows nobody at the pump."""


class AlertsDesk(Desk):
    """Keeps watch over what time and use make of the pump."""

    def __init__(
        self,
        context: Context,
        alarms: AlarmBoard,
        basal: Basal,
        state: Callable[[], PumpState],
        stop: Callable[[str], None],
    ) -> None:
        super().__init__(context)
        self._alarms = alarms
        self._basal = basal
        self._state = state
        self._stop = stop
        self._used_ns = context.now_ns
        self._quiet_since_ns: int | None = None
        self._daily_uu = 0
        self._next_profile_ns = context.now_ns
        self._next_look_ns = context.now_ns

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"alerts.show": self._show, "alerts.set": self._set_alerts}

    @property
    def _alerts(self) -> Alerts:
        return Alerts(**self._c.book.settings.get(_SETTING, {}))

    def in_snapshot(self) -> Mapping[str, Any]:
        held_uu = self._c.reservoir_uu
        return {"reservoir_h": None if held_uu is None else self._hours_left(held_uu)}

    def _hours_left(self, held_uu: int) -> int | None:
        """Return the hours of basal that it holds, by the profile of at most a minute ago."""
        if self._c.now_ns >= self._next_profile_ns:
            self._next_profile_ns = self._c.now_ns + NS_PER_MIN
            profile = self._basal.profile
            self._daily_uu = daily_uu(profile) if profile else 0
        return hours_left(held_uu, self._daily_uu)

    def _show(self, asked: Asked) -> None:
        self._done(asked, {"alerts": asdict(self._alerts)})

    def _set_alerts(self, asked: Asked) -> None:
        alerts = Alerts(**{**asdict(self._alerts), **_given(asked.params)})
        reasons = faults_of(alerts)
        if reasons:
            self._refuse(asked, reasons)
        else:
            self._set(asked, _SETTING, asdict(alerts))

    # ------------------------------------------------------------------ use

    def used(self, method: str) -> None:
        """Hear of a request, or of the stop button: somebody is there, unless a program asked."""
        if method not in _NO_HAND and not method.endswith(".show"):
            self._used_ns = self._c.now_ns

    def tend(self) -> None:
        """Raise what is due, and clear what is over, twice a second."""
        if self._c.now_ns < self._next_look_ns:
            return
        self._next_look_ns = self._c.now_ns + _LOOK_NS * self._c.machine.speed
        self._watch_reservoir()
        self._watch_stop()
        self._watch_use()

    def _watch_reservoir(self) -> None:
        left_uu = self._c.reservoir_uu
        if left_uu is None:
            return
        alerts = self._alerts
        hours = self._hours_left(left_uu) if alerts.low_reservoir_h else None
        by_hours = hours is not None and hours < alerts.low_reservoir_h
        low = by_hours or left_uu <= alerts.low_reservoir_uu
        text = ""
        if low or left_uu <= VERY_LOW_UU:
            text = f"the reservoir holds {format_dose(left_uu)}"
            text += f", enough for {hours} h of basal" if by_hours else ""
        self._hold(AlarmCode.LOW_RESERVOIR, low, text)
        self._hold(AlarmCode.VERY_LOW_RESERVOIR, left_uu <= VERY_LOW_UU, text)

    def _hold(self, code: AlarmCode, holds: bool, text: str) -> None:  # noqa: FBT001
        if holds:
            self._alarms.raise_(code, text)
        else:
            self._alarms.clear(code)

    def _watch_stop(self) -> None:
        """Say every 15 min that nothing is delivered; an acknowledgement starts the time anew."""
        now_ns = self._c.now_ns
        set_up = self._c.limits is not None and self._c.reservoir_uu is not None
        if self._state() not in _STOPPED or not set_up:
            self._quiet_since_ns = None
            self._alarms.clear(AlarmCode.DELIVERY_STOPPED)
        elif self._alarms.unacknowledged:
            self._quiet_since_ns = now_ns
        elif self._quiet_since_ns is None:
            boot, since_ns = self._c.book.stopped_at or ("", 0)
            here = boot == self._c.machine.boot_id
            self._quiet_since_ns = since_ns if here else now_ns
        elif now_ns - self._quiet_since_ns >= STOPPED_REMINDER_NS:
            self._alarms.raise_(
                AlarmCode.DELIVERY_STOPPED, f"nothing is delivered: the pump is {self._state()}"
            )

    def _watch_use(self) -> None:
        left_ns = auto_off_left_ns(self._c.now_ns - self._used_ns, self._alerts)
        if left_ns is None or self._state() is not PumpState.RUNNING:
            self._used_ns = self._c.now_ns if left_ns is None else self._used_ns
            self._alarms.clear(AlarmCode.AUTO_OFF_SOON)
        elif left_ns <= 0:
            text = f"nobody used the pump for {self._alerts.auto_off_h} h"
            self._alarms.clear(AlarmCode.AUTO_OFF_SOON)
            self._alarms.raise_(AlarmCode.AUTO_OFF, text)
            self._stop(text)
        elif left_ns <= AUTO_OFF_WARNING_NS:
            minutes = -(-left_ns // NS_PER_MIN)
            self._alarms.raise_(
                AlarmCode.AUTO_OFF_SOON, f"the pump stops in {minutes} min unless somebody uses it"
            )
        else:
            self._alarms.clear(AlarmCode.AUTO_OFF_SOON)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: number for name, number in params.items() if number is not None}
