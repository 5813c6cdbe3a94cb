"""One dose down to its leases: what was allowed, what was issued, what was read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.client import HistoryRow, KeeperClient, PumpError
from appliance.client.words import time_words
from ui.presenters import numbers
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import confirmed_words, kind_words, steps_words
from ui.presenters.history import not_available
from ui.presenters.history_words import dose_of
from ui.presenters.lists import Row
from ui.words import _


@dataclass(frozen=True, slots=True)
class LeasesView(View):
    """The dose in a line, its leases as rows, and a note on what is not there."""

    headline: str = ""
    tone: str = "text"
    account: str = ""
    rows: tuple[Row, ...] = ()
    note: str = ""


def lease_row(lease: Mapping[str, Any], offset_s: int | None) -> Row:
    """Return one lease: when it was given, and what came of its steps."""
    number, utc_ns = lease.get("number"), lease.get("utc_ns")
    allowed, confirmed = lease.get("steps"), lease.get("confirmed_steps")
    maximum, certainty = lease.get("maximum_steps"), lease.get("certainty")
    time = time_words(utc_ns if isinstance(utc_ns, int) else None, offset_s)[11:19]
    text = _("Lease {number} of {steps} steps").format(
        number=number, steps=numbers.count(allowed if isinstance(allowed, int) else None)
    )
    shown = numbers.count(confirmed if isinstance(confirmed, int) else None)
    if certainty == "open":
        return Row(str(number), text, _("open"), time, "insulin")
    if certainty == "exact":
        return Row(str(number), text, _("{steps} confirmed").format(steps=shown), time)
    most = numbers.count(maximum if isinstance(maximum, int) else None)
    return Row(
        str(number),
        text,
        _("{low}–{high} moved").format(low=shown, high=most),
        time,
        "high",
        "attention",
    )


class LeasesPresenter(Presenter):
    """The leases of the dose that was chosen in history."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._row: HistoryRow | None = None
        self._leases: tuple[Row, ...] = ()
        self._note = ""

    def entered(self, **words: object) -> None:
        """Ask for the leases of ``row``, a row of history."""
        row = words.get("row")
        self._row, self._leases, self._note = None, (), ""
        if not isinstance(row, HistoryRow):
            return
        self._row, self._note, request_id = row, _("Reading …"), row.id

        def ask(keeper: KeeperClient) -> HistoryRow | None:
            return next(iter(keeper.history(request_id=request_id, steps=True, rows=1)), None)

        def came(found: HistoryRow | None) -> None:
            if self._row is not None and found is not None and found.seq == self._row.seq:
                self._row = found
                self._leases = tuple(lease_row(one, found.offset_s) for one in found.leases)
                self._note = "" if found.leases_complete else _("More leases than fit here.")
                if not found.leases:
                    self._note = _("No lease was given for it.")

        def failed(error: PumpError) -> None:
            self._note = not_available(error)

        self.desk.pump.ask_keeper(ask, came, failed)

    def view(self) -> LeasesView:
        """Return what is known by now."""
        row, foot = self._row, (FootItem("home", _("Home")), FootItem("history", _("Back")))
        dose = None if row is None else dose_of(row)
        if row is None or dose is None:
            return LeasesView(title=_("Leases"), foot=foot, note=self._note)
        account = _("{steps} steps confirmed in {count} leases").format(
            steps=steps_words(dose), count=numbers.count(len(self._leases))
        )
        if dose.programmed_uu is not None:
            headline = _("{kind}: {confirmed} of {programmed}").format(
                kind=kind_words(dose.kind),
                confirmed=confirmed_words(dose),
                programmed=numbers.units(dose.programmed_uu),
            )
        else:
            headline = kind_words(dose.kind)
        return LeasesView(
            title=_("Leases"),
            foot=foot,
            headline=headline,
            tone="text" if dose.certain else "high",
            account=account if self._leases else "",
            rows=self._leases,
            note=self._note,
        )

    def press(self, key: str) -> None:
        """Leave."""
        self.desk.go(key)
