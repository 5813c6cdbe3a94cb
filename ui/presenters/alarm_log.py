"""The alarm log: what stands now, and from the keeper what became of every alarm before."""

from __future__ import annotations

from appliance.client import HistoryRow, KeeperClient, NoPump, PumpError
from ui.presenters import numbers
from ui.presenters.change import why_not
from ui.presenters.choose import ListPresenter, ListView
from ui.presenters.desk import Desk, FootItem
from ui.presenters.history_words import day_of
from ui.presenters.lists import Row
from ui.words import _, words

MOST_ROWS = 200
_TONES = {"high": "low", "medium": "high", "low": "insulin"}


def priority_words(priority: str) -> str:
    """Return a priority in words: never colour alone."""
    names = {"high": _("high"), "medium": _("medium"), "low": _("low")}
    return names.get(priority, priority)


class AlarmLogPresenter(ListPresenter):
    """Newest first; what stands comes before it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._rows: tuple[HistoryRow, ...] = ()
        self._missing = ""

    def entered(self, **_words: object) -> None:
        """Ask the keeper."""

        def asked(keeper: KeeperClient) -> tuple[HistoryRow, ...]:
            found: list[HistoryRow] = []
            for row in keeper.history(rows=MOST_ROWS * 10):
                if row.kind == "alarm":
                    found.append(row)
                if len(found) == MOST_ROWS:
                    break
            return tuple(found)

        self._missing = ""
        self.desk.pump.ask_keeper(asked, self._told, self._failed)

    def _told(self, rows: tuple[HistoryRow, ...]) -> None:
        self._rows = rows

    def _failed(self, error: PumpError) -> None:
        gone = isinstance(error, NoPump)
        self._missing = _("History is not available: pump-keeper does not answer. Dosing goes on.")
        if not gone:
            self._missing = why_not(error)

    def view(self) -> ListView:
        """Return what stands, then what was."""
        snapshot = self.desk.state.live
        standing = snapshot.alarms if snapshot is not None else []
        rows: list[Row] = []
        if standing:
            rows.append(Row("", _("They stand now"), heading=True))
        offset_s = snapshot.clock.offset_s if snapshot is not None and snapshot.clock else 0
        for one in standing:
            rows.append(
                Row(
                    f"now {one.number}",
                    f"{words.of_the_pump(one.name)}: {words.of_the_pump(one.text)}",
                    priority_words(one.priority),
                    numbers.clock(one.since_utc_ns, offset_s),
                    tone=_TONES.get(one.priority, "text"),
                )
            )
        day = ""
        for row in self._rows:
            if (this := day_of(row)) != day:
                day = this
                rows.append(Row("", day, heading=True))
            rows.append(
                Row(
                    f"row {row.seq}",
                    words.of_the_pump(row.text or ""),
                    "",
                    numbers.clock(row.utc_ns, row.offset_s),
                )
            )
        return ListView(
            title=_("Alarm log"),
            foot=(FootItem("back", _("Back")),),
            rows=tuple(rows),
            note=self._missing,
            note_tone="high",
            empty=_("There was no alarm."),
            lead_units=54,
        )

    def press(self, _key: str) -> None:
        """Go back."""
        self.desk.go("menu")
