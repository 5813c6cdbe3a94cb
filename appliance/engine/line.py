"""The line desk: the push on the plunger, a blocked line, its release, and the lock after three.

What an occlusion holds back leaves the line when it is freed. That is no delivery: it is estimated
from the push, said, recorded, and added to no account (SR-26). Its release is watched for over a
restart too. Three times within 10 min that an alarm stopped what had been restarted, whatever the
alarm, lock delivery until a person re-arms it (SR-27).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.domain.occlusion import too_often
from appliance.domain.units import NS_PER_S, format_dose
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked

_RELEASED_PARTS = 2
"""Pushed with less than half the threshold, the line counts as free."""
_REST_NS = 5 * NS_PER_S
"""So long it is left to run out before the rest of the push is read."""


class LineDesk(Desk):
    """Hears every reading of the force sensor."""

    def __init__(
        self, context: Context, alarms: AlarmBoard, fault: Callable[[AlarmCode, str], None]
    ) -> None:
        super().__init__(context)
        self._alarms = alarms
        self._fault = fault
        self._peak_mn: int | None = context.book.blocked_mn
        self._free_since_ns: int | None = None

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"rearm": self._rearm}

    def in_snapshot(self) -> Mapping[str, Any]:
        held_uu = None
        if self._peak_mn is not None and self._c.force_mn is not None:
            held_uu = self._c.machine.line.held_uu(self._c.force_mn)
        return {"held_back_uu": held_uu, "locked": self._c.book.locked}

    def hear_force(self, force_mn: int, *, running: bool) -> None:
        """Judge one reading; ``running`` says that delivery goes on, or did a moment ago."""
        limit_mn = self._c.machine.force_threshold_mn
        if force_mn >= limit_mn and running:
            self._blocked(force_mn, limit_mn)
        elif self._peak_mn is not None:
            self._peak_mn = max(self._peak_mn, force_mn)
            if force_mn * _RELEASED_PARTS >= limit_mn:
                self._free_since_ns = None
            elif self._free_since_ns is None:
                self._free_since_ns = self._c.now_ns
            elif self._c.now_ns - self._free_since_ns >= _REST_NS * self._c.machine.speed:
                self._released(self._peak_mn, force_mn)

    def _blocked(self, force_mn: int, limit_mn: int) -> None:
        self._peak_mn = force_mn
        held_uu = self._c.machine.line.held_uu(force_mn)
        text = f"the plunger is pushed with {force_mn} mN (limit {limit_mn})"
        if held_uu is not None:
            text += f"; a release lets about {format_dose(held_uu)} go at once, and that is no dose"
        body = {"event": "blocked", "force_mn": force_mn, "held_uu": held_uu}
        self._c.write([self._c.entry("line", body)])
        self._fault(AlarmCode.OCCLUSION, text)

    def stopped(self) -> None:
        """Hear that an alarm has stopped delivery; lock it where that was tried too often."""
        now_ns, entries = self._c.now_ns, [self._c.entry("line", {"event": "stopped"})]
        earlier = [at for boot, at in self._c.book.stops if boot == self._c.machine.boot_id]
        locks = too_often([*earlier, now_ns], now_ns)
        if locks:
            entries.append(self._c.entry("line", {"event": "locked"}))
        self._c.write(entries)
        if locks:
            text = "an alarm stopped delivery three times within 10 min, restarted each time"
            self._alarms.raise_(AlarmCode.LOCKED, text)

    def _released(self, peak_mn: int, force_mn: int) -> None:
        self._peak_mn = self._free_since_ns = None
        line = self._c.machine.line
        before_uu, after_uu = line.held_uu(peak_mn), line.held_uu(force_mn)
        gone_uu = None if before_uu is None or after_uu is None else before_uu - after_uu
        body = {"event": "released", "from_mn": peak_mn, "to_mn": force_mn, "relieved_uu": gone_uu}
        self._c.write([self._c.entry("line", body)])

    # ------------------------------------------------------------------ the lock

    def against_resume(self) -> Sequence[Reason]:
        if not self._c.book.locked:
            return ()
        text = "delivery is locked after three alarms and restarts within 10 min: pumpctl rearm"
        return [Reason("locked", text)]

    def _rearm(self, asked: Asked) -> None:
        reasons = []
        if not self._c.book.locked:
            reasons.append(Reason("not_locked", "delivery is not locked"))
        reasons += [
            Reason("unacknowledged", f"alarm {one.number} ({one.text}) is not acknowledged")
            for one in self._alarms.blocking()
        ]
        if reasons:
            self._refuse(asked, reasons)
            return
        body = {"event": "rearmed", "by": f"uid {asked.uid}"}
        self._c.write(
            [self._c.entry("line", body)], lambda _rows: self._done(asked, {"locked": False})
        )
