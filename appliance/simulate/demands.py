"""Which alarm each kind of trouble must raise, and how soon: the part of the oracle that listens.

Written from the requirements. It knows what was done to the pump, what the stepper said at its
end, the edges at the plant, and the alarm rows of the ledger; it asks the engine for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.records import End

_MS = 1_000_000
_S = 1_000 * _MS
_TOLD_NS = 500 * _MS
"""From what happened to its alarm, where nothing else stands in the way (SR-49)."""
_TOLD_LATE_NS = 120 * _S
"""Where a program was dead or frozen, or the disk stood still: that has to be over first."""
_MISSING_NS = 1_500 * _MS
"""Two edges that stay away for a second are missing (SR-25); the rest is for whoever says so."""
_EXTRA_NS = 600 * _MS
"""Two edges too many for 100 ms are extra (SR-24), judged at beats, 100 ms apart at rest."""
_OFF_BY = 2

OF_END: Mapping[End, AlarmCode] = {
    End.LATE: AlarmCode.TIMING_FAULT,
    End.OFTEN_LATE: AlarmCode.TIMING_FAULT,
    End.STALLED: AlarmCode.TIMING_FAULT,
    End.DISABLED: AlarmCode.GUARD_TRIP,
    End.END_STOP: AlarmCode.END_OF_TRAVEL,
    End.DRIVER_FAULT: AlarmCode.MOTOR_FAULT,
    End.PIN_FAULT: AlarmCode.MOTOR_FAULT,
    End.WIRE_LOST: AlarmCode.MOTOR_FAULT,
}
"""The alarm of each end that is a fault (SR-22 to SR-25, SR-28, SR-61)."""

STOPS_NS: Mapping[str, int] = {
    "driver_fault": 200 * _MS,
    "driver_hot": 200 * _MS,
    "end_stop_stuck": 200 * _MS,
    "end_stop_open": 200 * _MS,
    "pins_denied": 500 * _MS,
    "enable_feedback": 500 * _MS,
    "one_shot": 500 * _MS,
}
"""Faults under which a dose may not go on for so long; the end then has its own alarm."""
_ONLY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "end_stop_stuck": {"at": ("on",)},
    "enable_feedback": {"says": ("off", "inverted")},
    "one_shot": {"stays": ("closed",)},
}


def stops_within_ns(fault: str, parameters: Mapping[str, Any]) -> int | None:
    """Return how long a dose may go on under a fault; None where it may for ever."""
    for name, values in _ONLY.get(fault, {}).items():
        if parameters.get(name) not in values:
            return None
    return STOPS_NS.get(fault)


@dataclass(slots=True)
class _Alarm:
    code: str
    raised_ns: int
    over_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Demand:
    what: str
    codes: frozenset[str]
    at_ns: int


class Demands:
    """Hears of trouble and of alarms, and says at the end what was not answered."""

    def __init__(self) -> None:
        self._alarms: dict[int, _Alarm] = {}
        self._demands: list[_Demand] = []
        self._troubles: list[tuple[int, int]] = []
        self._deaths_ns: list[int] = []
        self._outages: list[tuple[int, int]] = []
        self._base = 0
        self._off_since_ns: int | None = None
        self._extra = 0
        self._extra_since_ns: int | None = None
        self._seen: tuple[int, int] | None = None

    # ------------------------------------------------------------------ what is heard

    def alarm(self, body: Mapping[str, Any], at_ns: int) -> None:
        """Hear an alarm's row."""
        number = body["number"]
        if body["event"] == "raised":
            self._alarms[number] = _Alarm(body["code"], at_ns)
        elif body["event"] in ("cleared", "ended") and number in self._alarms:
            self._alarms[number].over_ns = at_ns

    @property
    def raised(self) -> int:
        """Return how many alarms were raised."""
        return len(self._alarms)

    def demand(self, what: str, codes: Iterable[AlarmCode], at_ns: int) -> None:
        """Want one of these alarms for what happened now; one that stands is as good."""
        self._demands.append(_Demand(what, frozenset(one.value for one in codes), at_ns))

    def trouble(self, from_ns: int, to_ns: int) -> None:
        """Hear that for this while a program is dead or frozen, or nothing can be written."""
        self._troubles.append((from_ns, to_ns))

    def dies(self, at_ns: int) -> None:
        """Hear that `pumpd` dies: what it had not written yet it says as an unclean restart."""
        self._deaths_ns.append(at_ns)

    def off(self, at_ns: int, off_ns: int) -> None:
        """Hear that the power was off until now: no time for an alarm."""
        self._outages.append((at_ns - off_ns, at_ns))

    def troubled(self, from_ns: int, to_ns: int) -> bool:
        """Say whether some trouble overlaps a span of time."""
        return any(begin <= to_ns and end >= from_ns for begin, end in self._troubles)

    # ------------------------------------------------------------------ edges (SR-24, SR-25)

    def new_run(self, sent: int, heard: int) -> None:
        """Begin to compare anew: a run's totals begin at nothing."""
        self._base = sent - heard
        self._off_since_ns = self._extra_since_ns = self._seen = None
        self._extra = 0

    def edges(
        self, sent: int, heard: int, at_ns: int, *, enable: bool, judged: bool
    ) -> tuple[str, str] | None:
        """Compare edges sent with edges read back; return the requirement that broke, and how.

        ``judged`` says that a dose may go on: all programs are well and nobody has stopped it.
        """
        before, self._seen = self._seen, (sent, heard)
        if not judged:
            self._off_since_ns = self._extra_since_ns = None
            return None
        missing = sent - heard - self._base
        if missing < _OFF_BY:
            self._off_since_ns = None
        elif self._off_since_ns is None:
            self._off_since_ns = at_ns
        elif at_ns - self._off_since_ns > _MISSING_NS:
            return "SR-25", f"{missing} edges are missing for over a second, and it goes on"
        if not enable or before is None:
            # What comes while ENABLE goes is doubtful, and what comes without it counted apart.
            self._extra, self._extra_since_ns = 0, None
            return None
        self._extra += heard - before[1] - (sent - before[0])
        if self._extra < _OFF_BY:
            self._extra_since_ns = None
        elif self._extra_since_ns is None:
            self._extra_since_ns = at_ns
        elif at_ns - self._extra_since_ns > _EXTRA_NS:
            return "SR-24", f"{self._extra} edges too many for over 100 ms, and it goes on"
        return None

    # ------------------------------------------------------------------ the verdict

    def unanswered(self, now_ns: int) -> tuple[str, int] | None:
        """Return the first demand without its alarm, as words and instant; None where there is
        none.
        """
        for one in self._demands:
            if (why := self._lacks(one, now_ns)) is not None:
                return why, one.at_ns
        return None

    def _lacks(self, demand: _Demand, now_ns: int) -> str | None:
        at_ns = demand.at_ns
        soon_ns, late_ns = at_ns + _TOLD_NS, at_ns + _TOLD_LATE_NS
        for begin, end in sorted(self._outages):
            if at_ns <= end and begin <= late_ns:
                late_ns += end - begin
        codes = demand.codes
        if any(at_ns <= one <= late_ns for one in self._deaths_ns):
            codes |= {AlarmCode.UNCLEAN_RESTART.value}
        until_ns = late_ns if self.troubled(at_ns - _S, soon_ns) else soon_ns
        named = " or ".join(sorted(AlarmCode(one).name for one in codes))
        raised = [one for one in self._alarms.values() if one.code in codes]
        for one in raised:
            stands = one.raised_ns <= at_ns and (one.over_ns is None or one.over_ns >= at_ns)
            if stands or at_ns <= one.raised_ns <= until_ns:
                return None
        if until_ns > now_ns:
            return None  # the run ended before it was due
        later = [one.raised_ns for one in raised if one.raised_ns > until_ns]
        if later:
            return f"{named} came {(min(later) - at_ns) // _MS} ms after {demand.what}"
        return f"no alarm ({named}) after {demand.what}"
