"""What happened, as rows: of each dose what went out, of everything else the keeper's sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import overload

from appliance.client import Dose, HistoryRow
from appliance.client.messages import RunningBolus
from appliance.client.words import time_words
from ui.presenters import numbers
from ui.presenters.doses import confirmed_words, kind_words
from ui.presenters.lists import Choice, Row
from ui.words import _, words

DOSES = ("bolus", "extended", "basal", "prime", "cannula", "rewind")
"""The kinds of rows that are doses or motions, with steps."""

_FILTERS: dict[str, tuple[str, ...]] = {
    "all": (),
    "boluses": ("bolus", "extended"),
    "basal": ("basal", "temp", "state"),
    "glucose": ("glucose", "protection"),
    "alarms": ("alarm", "signals", "guard"),
    "cartridge": ("prime", "cannula", "rewind", "set_change", "line"),
}


def filters() -> tuple[Choice, ...]:
    """Return what a list can be narrowed to."""
    return (
        Choice("all", _("All")),
        Choice("boluses", _("Boluses")),
        Choice("basal", _("Basal")),
        Choice("glucose", _("Glucose")),
        Choice("alarms", _("Alarms")),
        Choice("cartridge", _("Cartridge")),
    )


def passes(row: HistoryRow, wanted: str) -> bool:
    """Return whether a row belongs to a filter."""
    kinds = _FILTERS[wanted]
    if not kinds or row.kind in kinds:
        return True
    return wanted == "basal" and row.kind == "setting" and (row.text or "").startswith("basal")


def dose_of(row: HistoryRow, running: Sequence[RunningBolus | None] = ()) -> Dose | None:
    """Return the dose of a row; None where the row is none.

    ``running`` are those of the newest snapshot: it knows more of them than the ledger does.
    """
    if row.kind not in DOSES or row.confirmed_steps is None or row.maximum_steps is None:
        return None
    dose = Dose(
        id=row.id,
        kind=row.kind,
        programmed_uu=row.programmed_uu,
        programmed_steps=row.programmed_steps,
        issued_steps=row.issued_steps,
        confirmed_steps=row.confirmed_steps,
        maximum_steps=row.maximum_steps,
        certainty=row.certainty or "unknown",
        outcome=row.outcome,
        why=row.why,
    )
    for one in running:
        if one is not None and one.id == row.id and dose.running:
            steps = {"confirmed_steps": one.confirmed_steps, "issued_steps": one.issued_steps}
            return dose.model_copy(update=steps)
    return dose


def bolus_words(row: HistoryRow) -> str:
    """Say what a bolus was given for: a meal, or a correction; "" where nobody said it."""
    if row.carbs_g:
        return _("Bolus for {grams} g").format(grams=row.carbs_g)
    return _("Correction bolus") if row.correction_uu else ""


def dose_words(row: HistoryRow, dose: Dose) -> tuple[str, str, str, str]:
    """Return what a dose is called, what of it went out, and the colours of that and of its row."""
    name = bolus_words(row) or kind_words(dose.kind)
    if dose.kind == "basal":
        rate = row.raw.get("rate_uu_per_h")
        name = _("Basal {rate} U/h").format(
            rate=numbers.rate(rate if isinstance(rate, int) else None)
        )
    if dose.running:
        if dose.programmed_uu is None:
            return _("{what}, running").format(what=name), "", "insulin", ""
        low = confirmed_words(dose.model_copy(update={"certainty": "exact"})).removesuffix(" U")
        value = _("{confirmed} of {programmed}").format(
            confirmed=low, programmed=numbers.units(dose.programmed_uu)
        )
        return _("{what}, running").format(what=name), value, "insulin", ""
    value = confirmed_words(dose)
    if not dose.certain:
        return _("{what}, uncertain").format(what=name), value, "high", "attention"
    if dose.outcome == "stopped" and dose.programmed_uu is not None:
        value = _("{confirmed} of {programmed}").format(
            confirmed=value.removesuffix(" U"), programmed=numbers.units(dose.programmed_uu)
        )
        return _("{what}, stopped").format(what=name), value, "high", ""
    if dose.outcome in ("fault", "uncertain"):
        return _("{what}, fault").format(what=name), value, "low", ""
    return name, value, "text" if dose.programmed_uu is not None else "muted", ""


# What the keeper says has parts of its own: each is said in the language in use.
_ALARM = re.compile(r"(high|medium|low) (A\d+) (\w+): (.*)")
_STATE = re.compile(r"(\w+) to (\w+): (.*)")
_BY = re.compile(r"(.*) \(by uid (\d+)\)(.*)")


def sentence_of(row: HistoryRow) -> str:
    """Return what happened in a sentence that begins with a capital letter."""
    said = row.text or row.kind
    by = _BY.fullmatch(said)
    if by is not None:
        what, uid, rest = by.groups()
        said = _("{what}, by user {uid}").format(what=words.of_the_pump(what + rest), uid=uid)
    elif row.kind == "alarm" and (alarm := _ALARM.fullmatch(said)) is not None:
        priority, code, event, text = (words.of_the_pump(part) for part in alarm.groups())
        said = f"{code} ({priority}) {event}: {text}"
    elif row.kind == "state" and (state := _STATE.fullmatch(said)) is not None:
        before, after, why = (words.of_the_pump(part) for part in state.groups())
        said = _("{before} to {after}: {why}").format(before=before, after=after, why=why)
    else:
        said = words.of_the_pump(said)
    return said[:1].upper() + said[1:]


def row_of(row: HistoryRow, running: Sequence[RunningBolus | None] = ()) -> Row:
    """Return a row of history as a row of the screen."""
    lead = numbers.clock(row.utc_ns, row.offset_s)
    dose = dose_of(row, running)
    if dose is not None:
        text, value, tone, ground = dose_words(row, dose)
        return Row(str(row.seq), text, value, lead, tone, ground)
    return Row(str(row.seq), sentence_of(row), "", lead)


def day_of(row: HistoryRow) -> str:
    """Return the local day of a row, such as "2026-11-26"; "" where its time is not known."""
    day = time_words(row.utc_ns, row.offset_s)[:10]
    return day if day[:1].isdigit() else ""


class HistoryRows(Sequence[Row]):
    """Rows of the screen, each made when it is looked at: a list of years costs what is seen of it.

    ``found`` holds rows of history, newest first, and texts, which are headings.
    """

    def __init__(
        self,
        found: Sequence[HistoryRow | str],
        running: Sequence[RunningBolus | None] = (),
    ) -> None:
        self._found = found
        self._running = running
        self._length = len(found)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        if isinstance(index, slice):
            return tuple(self[one] for one in range(*index.indices(self._length)))
        one = self._found[index]
        return Row("", one, heading=True) if isinstance(one, str) else row_of(one, self._running)
