"""History: what happened, newest first, and what of each dose went out, to its record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.client import Dose, HistoryRow, KeeperClient, NoPump, PumpError, Snapshot
from appliance.client.messages import HistoryPage, HistoryParams, RunningBolus
from appliance.client.words import time_words
from ui.presenters import numbers
from ui.presenters.amount import Row as Fact
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import confirmed_words, kind_words, steps_words
from ui.presenters.history_words import (
    HistoryRows,
    day_of,
    dose_of,
    dose_words,
    filters,
    passes,
    sentence_of,
)
from ui.presenters.lists import Choice, Row
from ui.words import _, words

PAGE_ROWS = 100
MOST_ROWS = 10_000
"""A list that somebody drags; who looks for more looks by day, or exports."""
AGAIN_S = 3.0
"""How often the newest rows are asked for anew, while something is written."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing that happened: caption, one big value, a sentence, and lines."""

    caption: str = ""
    value: str = ""
    of: str = ""
    tone: str = "text"
    sentence: str = ""
    lines: tuple[Fact, ...] = ()


NO_DETAIL = Detail()


@dataclass(frozen=True, slots=True)
class HistoryView(View):
    """The filters, the rows, and the one that is chosen; ``missing`` says why there are none."""

    filters: tuple[Choice, ...] = ()
    filter: str = "all"
    rows: Sequence[Row] = ()
    chosen: str = ""
    detail: Detail = NO_DETAIL
    missing: str = ""
    note: str = ""


def not_available(error: PumpError) -> str:
    """Say why there is no history."""
    if isinstance(error, NoPump):
        return _("History is not available")
    return words.of_the_pump(str(error))


def running_of(snapshot: Snapshot | None) -> tuple[RunningBolus | None, ...]:
    """Return what runs now, of which the pump knows more than the ledger."""
    return () if snapshot is None else (snapshot.bolus, snapshot.extended)


def detail_of(row: HistoryRow, running: Sequence[RunningBolus | None] = ()) -> Detail:
    """Return a row in full."""
    time = time_words(row.utc_ns, row.offset_s)
    record = Fact(_("Record"), f"#{numbers.count(row.seq)}")
    dose = dose_of(row, running)
    if dose is None:
        return Detail(caption=time, sentence=sentence_of(row), lines=(record,))
    _name, _value, tone, _ground = dose_words(row, dose)
    programmed = ""
    if dose.programmed_uu is not None:
        programmed = _("of {units}").format(units=numbers.units(dose.programmed_uu))
    sentence = ""
    if dose.certainty == "uncertain":
        low, _dash, high = confirmed_words(dose).partition("–")
        if high:
            sentence = _(
                "{low} U confirmed, at most {high} moved. It was not resumed; limits count {high}."
            ).format(low=low, high=high)
    elif dose.running:
        sentence = _("It runs: confirmed so far.")
    why = words.of_the_pump(dose.why or "")
    sentence = " ".join(part for part in (why[:1].upper() + why[1:], sentence) if part)
    steps = steps_words(dose if not dose.running else _as_exact(dose))
    if dose.programmed_steps is not None:
        steps = _("{confirmed} of {programmed}").format(
            confirmed=steps, programmed=numbers.count(dose.programmed_steps)
        )
    issued = _("{steps} steps").format(steps=numbers.count(dose.issued_steps))
    return Detail(
        caption=f"{kind_words(dose.kind)}, {time}",
        value=confirmed_words(dose if not dose.running else _as_exact(dose)),
        of=programmed,
        tone=tone,
        sentence=sentence,
        lines=(Fact(_("Confirmed"), steps), Fact(_("Issued"), issued), *_purpose(row), record),
    )


def _purpose(row: HistoryRow) -> tuple[Fact, ...]:
    """Return what a bolus was given for, where somebody said it: the food, and the rest of it."""
    parts = [_("{grams} g").format(grams=row.carbs_g)] if row.carbs_g else []
    if row.correction_uu:
        parts.append(_("correction {units}").format(units=numbers.units(row.correction_uu)))
    return (Fact(_("Given for"), ", ".join(parts)),) if parts else ()


def _as_exact(dose: Dose) -> Dose:
    return dose.model_copy(update={"certainty": "exact"})


class HistoryPresenter(Presenter):
    """The list and the one row that is looked at. It asks the keeper page by page."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._filter = "all"
        self._chosen: HistoryRow | None = None
        self._missing = ""
        self._asking = False
        self._asked_s = float("-inf")
        self._seq = -1
        self._running: tuple[RunningBolus | None, ...] = ()
        self._forget()

    def _forget(self) -> None:
        self._found: list[HistoryRow | str] = []  # a text is a heading
        self._rows = HistoryRows(())
        self._day: str | None = None
        self._next: int | None = None
        self._wanted = PAGE_ROWS
        self._turn = getattr(self, "_turn", 0) + 1  # an answer to an earlier question is not taken

    def entered(self, **_: object) -> None:
        """Begin at the newest row."""
        self._forget()
        self._asking, self._chosen = False, None
        self._ask(None)

    def view(self) -> HistoryView:
        """Return the rows that are known by now."""
        snapshot = self.desk.state.live
        self._follow(snapshot)
        chosen = self._chosen
        dose = chosen is not None and dose_of(chosen) is not None
        return HistoryView(
            title=_("History"),
            foot=(
                FootItem("home", _("Home")),
                FootItem("graph", _("Graph")),
                FootItem("days", _("Days")),
                FootItem("leases", _("Leases"), enabled=dose),
            ),
            filters=filters(),
            filter=self._filter,
            rows=self._rows,
            chosen="" if chosen is None else str(chosen.seq),
            detail=NO_DETAIL if chosen is None else detail_of(chosen, running_of(snapshot)),
            missing=self._missing,
            note=self._note(),
        )

    def _note(self) -> str:
        if self._missing:
            return _("The housekeeper does not answer. Dosing goes on without it.")
        if self._asking and not self._found:
            return _("Reading …")
        return "" if self._found else _("Nothing of this kind has happened.")

    def press(self, key: str) -> None:
        """Leave, or look at the leases of the dose that is chosen."""
        if key != "leases":
            self.desk.go(key)
        elif self._chosen is not None:
            self.desk.go("leases", row=self._chosen)

    def choose(self, wanted: str) -> None:
        """Narrow the list."""
        if wanted != self._filter:
            self._filter = wanted
            self._forget()
            self._chosen = None
            self._ask(None)
            self.desk.redraw()

    def pick(self, key: str) -> None:
        """Look at one row."""
        found = (one for one in self._found if not isinstance(one, str) and str(one.seq) == key)
        self._chosen = next(found, self._chosen)
        self.desk.redraw()

    def more(self) -> None:
        """Have what is older as well."""
        self._wanted = len(self._found) + PAGE_ROWS
        self._fill()

    # --- asking -------------------------------------------------------------------------------

    def _follow(self, snapshot: Snapshot | None) -> None:
        """Ask for the newest rows again where the ledger has grown; redraw what runs."""
        running = running_of(snapshot)
        if running != self._running:
            self._running = running
            self._rows = HistoryRows(self._found, running)
        seq = snapshot.ledger.get("seq") if snapshot is not None else None
        if seq != self._seq and not self._asking and self.desk.now_s() - self._asked_s >= AGAIN_S:
            self._seq = seq if isinstance(seq, int) else -1
            self._ask(None)

    def _fill(self) -> None:
        """Ask for the next page while fewer rows are there than are wanted."""
        if self._next is not None and not self._asking and len(self._found) < self._wanted:
            self._ask(self._next)

    def _ask(self, before_seq: int | None) -> None:
        self._asking, self._asked_s = True, self.desk.now_s()
        turn = self._turn
        params = HistoryParams(
            before_seq=before_seq, limit=PAGE_ROWS, glucose=self._filter == "glucose"
        )

        def page(keeper: KeeperClient) -> HistoryPage:
            return keeper.page(params)

        def came(page: HistoryPage) -> None:
            if turn == self._turn:
                self._asking, self._missing = False, ""
                self._newest(page) if before_seq is None else self._older(page, before_seq)
                self._rows = HistoryRows(self._found, self._running)
                self._fill()

        def failed(error: PumpError) -> None:
            if turn == self._turn:
                self._asking, self._missing = False, not_available(error)

        self.desk.pump.ask_keeper(page, came, failed)

    def _newest(self, page: HistoryPage) -> None:
        """Put the newest page before what is known, where the two meet."""
        oldest = page.rows[-1].seq if page.rows else 0
        known = [one for one in self._found if not isinstance(one, str)]
        kept = [one for one in known if one.seq < oldest]
        if page.next_before_seq is None or not any(one.seq >= oldest for one in known):
            kept, self._next = [], page.next_before_seq
        self._found, self._day = [], None
        self._append([*page.rows, *kept])
        newest = {one.seq: one for one in page.rows}
        if self._chosen is not None:
            self._chosen = newest.get(self._chosen.seq, self._chosen)
        else:
            self._chosen = next((one for one in self._found if not isinstance(one, str)), None)

    def _older(self, page: HistoryPage, before_seq: int) -> None:
        self._append([one for one in page.rows if one.seq < before_seq])
        next_seq = page.next_before_seq
        # A page that does not go back would be asked for ever.
        self._next = next_seq if next_seq is not None and next_seq < before_seq else None
        if self._chosen is None:
            self._chosen = next((one for one in self._found if not isinstance(one, str)), None)
        if len(self._found) >= MOST_ROWS:
            self._next = None
            self._found.append(_("Only the newest are listed here."))

    def _append(self, rows: Iterable[HistoryRow]) -> None:
        for one in rows:
            if not passes(one, self._filter):
                continue
            day = day_of(one)
            if self._day is not None and day != self._day:
                self._found.append(day or _("time not known"))
            self._day = day
            self._found.append(one)
