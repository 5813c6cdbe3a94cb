"""The board of alarms: raised once for a cause, recorded, latched until acknowledged, shown by
priority.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from appliance.domain.alarms import TABLE, AlarmCode, Priority
from appliance.engine.book import AlarmRow
from appliance.engine.context import Context
from appliance.engine.messages import ToGuard
from appliance.ports import Row
from appliance.records import Signal


class AlarmBoard:
    """What stands in the book, and what is on its way there."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._rising: dict[AlarmCode, AlarmRow] = {}
        self._said: set[tuple[int, str]] = set()
        self._shown = -1

    def raise_(self, code: AlarmCode, text: str) -> None:
        """Raise an alarm, unless it stands already: also when a person has acknowledged it."""
        if code in self._rising or any(
            one.code == code.value and self._stands(one) for one in self._c.book.alarms.values()
        ):
            return
        number = self._c.book.next_alarm + len(self._rising)
        # Shown before it is durable: an alarm does not wait for the disk.
        self._rising[code] = AlarmRow(number, code.value, text, self._c.utc_ns)
        body = self._body(number, code.value, "raised", text, "pump")
        self._c.write([self._c.entry("alarm", body)], lambda _rows: self._risen(code))

    def _stands(self, alarm: AlarmRow) -> bool:
        """Say whether the cause of an alarm goes on; a row on its way to the disk may end it."""
        return alarm.active and (alarm.number, "cleared") not in self._said

    def _risen(self, code: AlarmCode) -> None:
        self._rising.pop(code, None)

    def clear(self, code: AlarmCode) -> None:
        """Record that the cause of an alarm is gone; it stays until somebody acknowledges it."""
        for one in self._c.book.alarms.values():
            if one.code == code.value and one.active:
                self._say([(one, "cleared", "pump")])

    def acknowledge(self, number: int | None, by: str, then: Callable[[], None]) -> list[int]:
        """Have one alarm, or all, acknowledged; ``then`` runs when that is durable."""
        chosen = [
            one
            for one in self._c.book.alarms.values()
            if (number is None or one.number == number) and not one.acknowledged
        ]
        # Causes that are events, not conditions, are over with the acknowledgement.
        events = [one for one in chosen if one.active and AlarmCode(one.code) not in _CONDITIONS]
        what = [(one, "acknowledged", by) for one in chosen]
        self._say([*what, *((one, "cleared", "pump") for one in events)], then)
        return [one.number for one in chosen]

    def _say(
        self, what: list[tuple[AlarmRow, str, str]], then: Callable[[], None] | None = None
    ) -> None:
        """Write what became of alarms, once each: the disk may be slow, and people impatient."""
        new = [one for one in what if (one[0].number, one[1]) not in self._said]
        keys = {(alarm.number, event) for alarm, event, _ in new}
        self._said |= keys

        def durable(_rows: Sequence[Row]) -> None:
            self._said.difference_update(keys)
            if then is not None:
                then()

        if new:
            rows = [self._body(one.number, one.code, event, one.text, by) for one, event, by in new]
            self._c.write([self._c.entry("alarm", body) for body in rows], durable)
        elif then is not None:
            then()

    @property
    def unacknowledged(self) -> list[AlarmRow]:
        """Return the alarms that nobody has acknowledged, and those on their way to the disk."""
        standing = [*self._c.book.alarms.values(), *self._rising.values()]
        return [one for one in standing if not one.acknowledged]

    def blocking(self) -> list[AlarmRow]:
        """Return the alarms that must be acknowledged before a resume."""
        return [
            one
            for one in self.unacknowledged
            if TABLE[AlarmCode(one.code)].priority is Priority.HIGH
        ]

    def signal(self) -> None:
        """Tell the guard the highest priority, when it has changed."""
        codes = [AlarmCode(one.code) for one in self.unacknowledged]
        priority = max((int(TABLE[code].priority) for code in codes), default=0)
        if priority != self._shown:
            self._shown = priority
            self._c.add(ToGuard(Signal(priority, int(priority > 0))))

    def forget_signal(self) -> None:
        """The guard is new: tell it again."""
        self._shown = -1

    def listed(self) -> list[dict[str, Any]]:
        """Return the standing alarms, the most urgent first."""
        rows = sorted(
            [*self._c.book.alarms.values(), *self._rising.values()],
            key=lambda one: (-TABLE[AlarmCode(one.code)].priority, one.number),
        )
        return [
            {
                "number": one.number,
                "code": one.code,
                "name": TABLE[AlarmCode(one.code)].name,
                "priority": TABLE[AlarmCode(one.code)].priority.name.lower(),
                "text": one.text,
                "what_to_do": list(TABLE[AlarmCode(one.code)].what_to_do),
                "since_utc_ns": one.since_utc_ns,
                "active": one.active,
                "acknowledged": one.acknowledged,
            }
            for one in rows
        ]

    @staticmethod
    def _body(number: int, code: str, event: str, text: str, by: str) -> dict[str, Any]:
        return {
            "number": number,
            "code": code,
            "name": TABLE[AlarmCode(code)].name,
            "priority": TABLE[AlarmCode(code)].priority.name.lower(),
            "event": event,
            "text": text,
            "by": by,
        }


_CONDITIONS = frozenset(
    {
        AlarmCode.LOW_RESERVOIR,
        AlarmCode.VERY_LOW_RESERVOIR,
        AlarmCode.CLOCK_NOT_SET,
        AlarmCode.LIMIT_HELD,
        AlarmCode.SENSOR_FAULT,
        AlarmCode.LEDGER_FAILURE,
    }
)
