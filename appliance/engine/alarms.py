"""The board of alarms: raised once for a cause, recorded, latched until acknowledged, shown by
priority.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from appliance.domain.alarms import TABLE, AlarmCode, Priority
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.engine.book import AlarmRow
from appliance.engine.context import Context
from appliance.engine.messages import ToGuard
from appliance.ports import Row
from appliance.records import NO_LIMIT, Signal

_PAUSE_NS = 120 * NS_PER_S
_ESCALATE_NS = 10 * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Shown:
    """What the guard was told to show: 0 is no alarm; ``urgent`` sounds twice as often."""

    priority: int = 0
    sounding: bool = False
    urgent: bool = False


class AlarmBoard:
    """What stands in the book, and what is on its way there."""

    def __init__(self, context: Context) -> None:
        self._c = context
        self._rising: dict[AlarmCode, AlarmRow] = {}
        self._said: set[tuple[int, str]] = set()
        self._pause_ends_ns: int | None = None
        self._told = False
        self.shown = Shown()
        self.shown_since_ns = 0

    def raise_(self, code: AlarmCode, text: str) -> None:
        """Raise an alarm, unless its cause is known to stand."""
        if code in self._rising or self.is_active(code):
            return
        number = self._c.book.next_alarm + len(self._rising)
        # Shown before it is durable: an alarm does not wait for the disk.
        boot = self._c.machine.boot_id
        self._rising[code] = AlarmRow(
            number, code.value, text, self._c.utc_ns, boot, self._c.now_ns
        )
        self._pause_ends_ns = None  # a new alarm is heard (SR-50)
        body = self._body(number, code.value, "raised", text, "pump")
        self._c.write([self._c.entry("alarm", body)], lambda _rows: self._risen(code))

    def explain(self, code: AlarmCode, known: str, text: str) -> None:
        """Give an alarm that stands whose words begin with ``known`` those of its cause."""
        for one in [*self._c.book.alarms.values(), *self._rising.values()]:
            if one.code == code.value and one.text.startswith(known) and self._stands(one):
                self._say([(replace(one, text=text), "explained", "pump")])

    def is_active(self, code: AlarmCode) -> bool:
        """Say whether the cause of an alarm stands, acknowledged or not."""
        return code in self._rising or any(
            one.code == code.value and self._stands(one) for one in self._c.book.alarms.values()
        )

    def _stands(self, alarm: AlarmRow) -> bool:
        """Say whether the cause of an alarm goes on; a row on its way to the disk may end it."""
        return alarm.active and (alarm.number, "cleared") not in self._said

    def _risen(self, code: AlarmCode) -> None:
        self._rising.pop(code, None)

    def clear(self, code: AlarmCode) -> None:
        """Record that the cause of an alarm is gone; what latches stays until acknowledged."""
        event = "cleared" if TABLE[code].latching else "ended"
        for one in self._c.book.alarms.values():
            if one.code == code.value and one.active:
                self._say([(one, event, "pump")])

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

    def pause(self) -> int:
        """Be silent for 120 s and no longer; return how many ns of real time are left (SR-50).

        Asked again it makes no pause longer: there is no way to switch the sound off.
        """
        speed = self._c.machine.speed
        if self._pause_ends_ns is None:
            self._pause_ends_ns = self._c.now_ns + _PAUSE_NS * speed
        return (self._pause_ends_ns - self._c.now_ns) // speed

    @property
    def pause_left_ns(self) -> int:
        """Return how many ns of real time the sound is paused for; 0 where it is not."""
        if self._pause_ends_ns is None:
            return 0
        return max(0, self._pause_ends_ns - self._c.now_ns) // self._c.machine.speed

    def wake_ns(self) -> int:
        """Return when the pause is over."""
        return NO_LIMIT if self._pause_ends_ns is None else self._pause_ends_ns

    def signal(self) -> None:
        """Tell the guard the highest priority, and whether it sounds, when that has changed."""
        standing = self.unacknowledged
        if not standing and self._told and not self.shown.priority:
            return
        self._escalate(standing)
        kinds = [(TABLE[AlarmCode(one.code)].priority, one.escalated) for one in standing]
        priority = max((min(Priority.HIGH, kind + more) for kind, more in kinds), default=0)
        urgent = any(kind is Priority.HIGH and more for kind, more in kinds)
        paused = self._pause_ends_ns is not None and self._c.now_ns < self._pause_ends_ns
        if not paused or not standing:
            self._pause_ends_ns = None
        if priority > self.shown.priority:
            self._pause_ends_ns = None
        sounding = priority > 0 and self._pause_ends_ns is None
        shown = Shown(int(priority), sounding, urgent)
        if shown != self.shown or not self._told:
            self._told = True
            self.shown, self.shown_since_ns = shown, self._c.now_ns
            self._c.add(ToGuard(Signal(int(priority), int(sounding), int(urgent))))

    def _escalate(self, standing: Sequence[AlarmRow]) -> None:
        """Signal an alarm that nobody has answered for 10 min one priority higher (SR-52).

        The time is from its row, so a restart does not begin it anew; after one of the computer it
        is what this boot can prove.
        """
        for one in standing:
            if one.escalated or one.number not in self._c.book.alarms:
                continue
            here = one.boot == self._c.machine.boot_id
            waited_ns = self._c.now_ns - (one.since_mono_ns if here else self._c.start_ns)
            if waited_ns >= _ESCALATE_NS * self._c.machine.speed:
                self._say([(one, "escalated", "pump")])
                self._pause_ends_ns = None

    def forget_signal(self) -> None:
        """The guard is new: tell it again."""
        self._told = False

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
                "escalated": one.escalated,
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
        AlarmCode.CHANNEL_LOST,
        AlarmCode.BATTERY_LOW,
        AlarmCode.POWER_FAILS,
        AlarmCode.BATTERY_GAUGE,
        AlarmCode.TOUCH_STUCK,
        AlarmCode.URGENT_LOW_GLUCOSE,
        AlarmCode.LOW_GLUCOSE,
        AlarmCode.HIGH_GLUCOSE,
        AlarmCode.GLUCOSE_FALLING,
        AlarmCode.GLUCOSE_RISING,
        AlarmCode.LOW_PREDICTED,
        AlarmCode.GLUCOSE_LOST,
        AlarmCode.BASAL_SUSPENDED,
        AlarmCode.PROTECTION_HELD,
    }
)
