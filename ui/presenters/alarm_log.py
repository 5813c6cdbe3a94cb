"""The alarm log: what stands now, and from the keeper what became of every alarm before."""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.client import HistoryRow, KeeperClient, NoPump, PumpError
from ui.presenters import numbers
from ui.presenters.change import why_not
from ui.presenters.choose import ListPresenter, ListView
from ui.presenters.desk import Desk, FootItem
from ui.presenters.history_words import day_of
from ui.presenters.lists import Row
from ui.words import _, words

MOST_ROWS = 200
_SENTENCE = re.compile(r"(\w+) (A\d+) (\w+): (.*)", re.DOTALL)
_TONES = {"high": "low", "medium": "high", "low": "insulin"}


def priority_words(priority: str) -> str:
    """Return a priority in words: never colour alone."""
    names = {"high": _("high"), "medium": _("medium"), "low": _("low")}
    return names.get(priority, priority)


def event_words(event: str) -> str:
    """Return what became of an alarm."""
    names = {
        "raised": _("raised"),
        "explained": _("its reason is known"),
        "cleared": _("its cause has gone"),
        "acknowledged": _("seen"),
        "escalated": _("unanswered for 10 min"),
        "ended": _("answered"),
    }
    return names.get(event, event)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a row of history says of an alarm."""

    priority: str
    code: str
    event: str
    text: str

    @staticmethod
    def of(row: HistoryRow) -> Entry:
        """Take the keeper's sentence apart; one of another kind is all text."""
        found = _SENTENCE.fullmatch(row.text or "")
        if found is None:
            return Entry("", "", "", row.text or "")
        return Entry(found[1], found[2], found[3], found[4])


class AlarmLogPresenter(ListPresenter):
    """Newest first; what stands comes before it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._rows: tuple[HistoryRow, ...] = ()
        self._missing = ""
        self._chosen = ""

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

        self._missing = self._chosen = ""
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
                    words.of_the_pump(one.name),
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
            entry = Entry.of(row)
            rows.append(
                Row(
                    f"row {row.seq}",
                    f"{entry.code}  {priority_words(entry.priority)}",
                    event_words(entry.event),
                    numbers.clock(row.utc_ns, row.offset_s),
                    tone=_TONES.get(entry.priority, "text"),
                )
            )
        return ListView(
            title=_("Alarm log"),
            foot=(FootItem("back", _("Back")),),
            rows=tuple(rows),
            chosen=self._chosen,
            note=self._missing or self._told_of(self._chosen),
            note_tone="high" if self._missing else "text",
            empty="" if self._missing else _("There was no alarm."),
            lead_units=54,
        )

    def _told_of(self, key: str) -> str:
        """Return the whole sentence of the row that was touched."""
        kind, _space, number = key.partition(" ")
        snapshot = self.desk.state.live
        if kind == "now" and snapshot is not None:
            found = next((one for one in snapshot.alarms if str(one.number) == number), None)
            return "" if found is None else words.sentence(found.text)
        row = next((one for one in self._rows if str(one.seq) == number), None)
        return "" if row is None else words.sentence(Entry.of(row).text)

    def pick(self, key: str) -> None:
        """Tell more of one alarm."""
        self._chosen = "" if key == self._chosen else key

    def press(self, _key: str) -> None:
        """Go back."""
        self.desk.go("menu")
