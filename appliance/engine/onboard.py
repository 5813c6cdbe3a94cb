"""The insulin desk: which curve is taken, and what is on board by it.

From the ledger's own rows through the book, so a restart changes nothing. It is worked out once a
minute of the pump's clock and when a bolus begins or ends or the curve changes, never on the way to
a step. What an older boot left behind counts by its age where both wall clocks were synchronised.
Else nobody knows that age: a bolus then counts as given when this boot began, and basal as having
followed its schedule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.domain.insulin import DEFAULT_MODEL, Curve, curve_of
from appliance.domain.iob import Delivered, OnBoard, Scheduled, horizon_ns, on_board
from appliance.domain.limits import Reason
from appliance.domain.outcomes import DoseKind
from appliance.domain.states import PumpState
from appliance.domain.units import NS_PER_MIN
from appliance.engine.basal import Basal
from appliance.engine.bolus import BolusDesk
from appliance.engine.book import Stamp
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked
from appliance.engine.motor import Motor
from appliance.errors import BadCurve
from appliance.ports import ClockQuality, Row

_SETTING = "insulin"
_EVERY_NS = NS_PER_MIN


class OnBoardDesk(Desk):
    """Keeps the insulin curve, records what the schedule asks for, and sums up."""

    def __init__(
        self,
        context: Context,
        motor: Motor,
        basal: Basal,
        desk: BolusDesk,
        *,
        watched: bool = True,
    ) -> None:
        """With ``watched`` false it sums up only when it is asked."""
        super().__init__(context)
        self._watched = watched
        self._motor = motor
        self._basal = basal
        self._desk = desk
        self._writing = False
        self._on_board: OnBoard | None = None
        self._model: Mapping[str, Any] = {"model": DEFAULT_MODEL}
        self._curve: Curve = curve_of(DEFAULT_MODEL)
        self._next_ns = context.now_ns
        self._seen: object = None

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"insulin.show": self._show, "insulin.set": self._set_model}

    # ------------------------------------------------------------------ the curve

    def _show(self, asked: Asked) -> None:
        self._follow_setting()
        fields = ("duration_min", "peak_min", "delay_min")
        self._done(
            asked,
            {
                "model": self._model["model"],
                "set": _SETTING in self._c.book.settings,
                **{name: getattr(self._curve, name, None) for name in fields},
                "end_min": self._curve.end_min,
            },
        )

    def _set_model(self, asked: Asked) -> None:
        try:
            curve_of(**asked.params)
        except BadCurve as fault:
            self._refuse(asked, [Reason("bad_curve", text) for text in fault.faults])
            return
        self._set(asked, _SETTING, dict(asked.params))

    def _follow_setting(self) -> None:
        model = self._c.book.settings.get(_SETTING)
        if model is not None and model is not self._model:
            self._model, self._curve = model, curve_of(**model)

    # ------------------------------------------------------------------ moving on

    def turn(self) -> None:
        """Record what the schedule asks for where that has changed; sum up where it is time."""
        self._record_schedule()
        if not self._watched:
            return
        self._follow_setting()
        seen = (self._model, [job.number for job in self._desk.jobs])
        if self._c.now_ns >= self._next_ns or seen != self._seen:
            self._seen = seen
            self._next_ns = self._c.now_ns + _EVERY_NS
            self._on_board = self._sum()
            self._c.changed = True

    def _record_schedule(self) -> None:
        book = self._c.book
        if self._writing or self._c.trouble:
            return
        # A pump that was never started, or is not set up, follows no schedule.
        follows = book.state != PumpState.STOPPED.value
        rate = self._basal.scheduled_uu_per_h() if follows else 0
        if rate == (book.schedule[-1].rate_uu_per_h if book.schedule else 0):
            return
        self._writing = True

        def durable(_rows: Sequence[Row]) -> None:
            self._writing = False

        self._c.write([self._c.entry("schedule", {"rate_uu_per_h": rate})], durable)

    def shown(self) -> dict[str, Any] | None:
        """Return what is on board as clients see it; None before it was summed up."""
        if not self._watched:
            self._follow_setting()
            self._on_board = self._sum()
        if self._on_board is None:
            return None
        return {
            "bolus": self._on_board.bolus_uu,
            "basal": self._on_board.basal_uu,
            "total": self._on_board.total_uu,
            "least": self._on_board.least_uu,
            "model": self._model["model"],
        }

    # ------------------------------------------------------------------ the sum

    def _sum(self) -> OnBoard:
        end_ns, mechanics = horizon_ns(self._curve), self._c.machine.mechanics
        boluses: list[Delivered] = []
        basal: list[Delivered] = []
        for one in reversed(self._c.book.spent):
            age_ns = self._age_ns(one.stamp)
            if age_ns is not None and age_ns > end_ns:
                break
            lost_ns = self._c.now_ns - self._c.start_ns
            for low, high, kept, age in (
                (one.bolus_confirmed, one.bolus_maximum, boluses, lost_ns),
                (one.basal_confirmed, one.basal_maximum, basal, None),
            ):
                at_ns = age if age_ns is None else age_ns
                if high and at_ns is not None:
                    low_uu, high_uu = mechanics.uu_of(low), mechanics.uu_of_up(high)
                    kept.append(Delivered(at_ns, low_uu, high_uu))
        for job in self._motor.jobs.values():
            steps = job.issued_steps - self._c.book.placed.get(str(job.number), 0)
            if steps > 0:
                now = Delivered(0, mechanics.uu_of(steps), mechanics.uu_of_up(steps))
                (basal if job.kind == DoseKind.BASAL.value else boluses).append(now)
        return on_board(
            self._curve, boluses=boluses, basal=basal, scheduled=self._scheduled(end_ns)
        )

    def _scheduled(self, end_ns: int) -> list[Scheduled]:
        pieces: list[Scheduled] = []
        to_ns = 0
        for change in reversed(self._c.book.schedule):
            age_ns = self._age_ns(change.stamp)
            if age_ns is None:
                break
            from_ns = max(to_ns, min(age_ns, end_ns))
            if change.rate_uu_per_h and from_ns > to_ns:
                pieces.append(Scheduled(from_ns, to_ns, change.rate_uu_per_h))
            to_ns = from_ns
            if age_ns >= end_ns:
                break
        return pieces

    def _age_ns(self, stamp: Stamp) -> int | None:
        """Return how long ago a row was written; None where no clock can say."""
        if stamp.boot == self._c.machine.boot_id:
            return max(0, self._c.now_ns - stamp.mono_ns)
        synchronised = ClockQuality.SYNCHRONISED
        if stamp.clock == synchronised.value and self._c.reading.quality is synchronised:
            return max(0, self._c.utc_ns - stamp.utc_ns)
        return None
