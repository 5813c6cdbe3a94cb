"""The record desk: what others found wrong with the ledger becomes an alarm, and so a row."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.domain.alarms import AlarmCode
from appliance.engine.alarms import AlarmBoard
from appliance.engine.context import Context
from appliance.engine.desk import Answers, Desk
from appliance.engine.messages import Asked


class RecordDesk(Desk):
    """Hears of the full check that the keeper makes each day (SR-41)."""

    def __init__(self, context: Context, alarms: AlarmBoard) -> None:
        super().__init__(context)
        self._alarms = alarms

    @property
    def verbs(self) -> Mapping[str, Answers]:
        return {"ledger.report": self._report}

    def _report(self, asked: Asked) -> None:
        """Raise an alarm for a row that is wrong; once for a cause, however often it is told."""
        self._alarms.raise_(AlarmCode.RECORD_DAMAGED, asked.params["text"])
        self._done(asked, {"raised": True})
