"""The touch desk: while a stuck touch turns a touchscreen's entry off, an alarm stands (SR-11).

Each connection speaks for its own screen. One that has gone takes its word with it: a screen that
starts anew sees the fingers for itself, and says so again.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.alarms import AlarmCode
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked

_TEXTS: Mapping[str, str] = {
    "held": "a touch on the screen does not end: entry is off",
    "repeats": "a key on the screen repeats without end: entry is off",
}


class TouchDesk(Desk):
    """Hears what touchscreens say of their fingers."""

    def __init__(self, context: Context, alarms: AlarmBoard) -> None:
        super().__init__(context)
        self._alarms = alarms
        self._stuck: dict[int, str] = {}
        self._open = True  # an alarm of the life before may stand, and its screen has gone

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"touch.report": self._report}

    def _report(self, asked: Asked) -> None:
        stuck = asked.params["stuck"]
        if stuck in _TEXTS:
            self._stuck[asked.connection] = stuck
        else:
            self._stuck.pop(asked.connection, None)
        self._open = True
        self._done(asked, {})

    def gone(self, connection: int) -> None:
        """Forget what a connection has said."""
        self._stuck.pop(connection, None)

    def tend(self) -> None:
        """Raise the alarm, or end it; one that is not durable yet is ended at a later look."""
        if not self._open:
            return
        for stuck in self._stuck.values():
            self._alarms.raise_(AlarmCode.TOUCH_STUCK, _TEXTS[stuck])
        if not self._stuck:
            self._open = self._alarms.is_active(AlarmCode.TOUCH_STUCK)
            self._alarms.clear(AlarmCode.TOUCH_STUCK)
