"""The computer itself: too hot to go on, or a supply too weak for a bolus (SR-61, F60, F62)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from appliance.domain.alarms import AlarmCode
from appliance.domain.limits import Reason
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk

HOT_C, COOL_C = 80, 75
"""A Pi throttles from 80 C on; below the second it counts as cool again."""
UNDER_VOLTAGE, THROTTLED = 1, 2


class BoardDesk(Desk):
    """Watches over temperature and supply; what nobody can read raises nothing."""

    def __init__(self, context: Context, alarms: AlarmBoard, stop: Callable[[str], None]) -> None:
        super().__init__(context)
        self._alarms, self._stop = alarms, stop
        self._temperature_c: int | None = None
        self._flags = 0
        self._hot = False

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {}

    def hear(self, temperature_c: int | None, flags: int) -> None:
        """Judge a reading: degrees Celsius (None: not known); 1 under-voltage, 2 throttled."""
        self._temperature_c, self._flags = temperature_c, flags
        if temperature_c is not None:
            self._judge_heat(temperature_c)
        weak = self._weak()
        if weak:
            self._alarms.raise_(AlarmCode.POWER_WEAK, weak)
        else:
            self._alarms.clear(AlarmCode.POWER_WEAK)

    def _judge_heat(self, temperature_c: int) -> None:
        if temperature_c >= HOT_C and not self._hot:
            self._hot = True
            text = f"the board has {temperature_c} C, and {HOT_C} C is too hot"
            self._alarms.raise_(AlarmCode.TOO_HOT, text)
            self._stop(text)
        elif temperature_c < COOL_C and self._hot:
            self._hot = False
            self._alarms.clear(AlarmCode.TOO_HOT)

    def _weak(self) -> str:
        said = []
        if self._flags & UNDER_VOLTAGE:
            said.append("the supply's voltage is too low")
        if self._flags & THROTTLED:
            said.append("the computer is throttled")
        return ", ".join(said)

    def against_bolus(self) -> Sequence[Reason]:
        weak = self._weak()
        return [Reason("power_weak", weak)] if weak else ()

    def against_resume(self) -> Sequence[Reason]:
        if not self._hot:
            return ()
        return [Reason("too_hot", f"the board has {self._temperature_c} C: below {COOL_C} C")]

    def in_snapshot(self) -> Mapping[str, Any]:
        return {"board": {"temperature_c": self._temperature_c, "flags": self._flags}}
