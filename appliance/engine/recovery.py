"""After a crash: what the book left open is closed with its bounds. Nothing is ever resumed
(SR-38).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.mechanics import Mechanics
from appliance.domain.outcomes import Bounds, Outcome, shares
from appliance.engine.book import Book, Dose
from appliance.engine.context import Context
from appliance.ports import Entry
from appliance.records import NO_LIMIT


@dataclass(frozen=True, slots=True)
class Witness:
    """What the guard saw of a run. ``whole`` says that it lived through all of it."""

    run: int
    counted_steps: int
    doubtful_steps: int
    issued_steps: int
    whole: bool


def closing_entries(context: Context, witness: Witness | None, readback: bool) -> list[Entry]:  # noqa: FBT001
    """Return the rows that close every open lease and dose; none where nothing is open.

    With a guard that saw the whole run its count decides, and the result may be exact. Without, a
    dose lies between what the last rows say and that plus everything that was leased.
    """
    book = context.book
    bounds = run_bounds(book, witness if readback else None)
    leases = list(book.leases.values())
    sizes = [one.steps for one in leases]
    confirmed = shares(bounds.confirmed_steps - book.run_confirmed_steps, sizes)
    maximum = shares(bounds.maximum_steps - book.run_maximum_steps, sizes)
    entries = []
    for lease, low, high in zip(leases, confirmed, maximum, strict=True):
        share = Bounds(min(low, high), high)
        entries.append(
            context.entry(
                "count",
                {
                    "lease": lease.number,
                    "run": lease.run,
                    "issued_steps": None,
                    "confirmed_steps": share.confirmed_steps,
                    "maximum_steps": share.maximum_steps,
                    "certainty": share.certainty.value,
                    "confirmed_by": "count" if witness is not None and readback else "recovery",
                    "programmes": dict(book.programmes),
                },
            )
        )
    open_doses = book.open_doses
    for dose, share in zip(open_doses, dose_bounds(book, open_doses, bounds), strict=True):
        entries.append(
            context.entry(
                "closed", closed_body(dose, share, context.machine.mechanics, witness is not None)
            )
        )
    return entries


def run_bounds(book: Book, witness: Witness | None) -> Bounds:
    """Return the bounds of the last run: what its rows say, narrowed by a guard that saw it all."""
    low, high = book.run_confirmed_steps, book.run_leased_steps
    if witness is not None and witness.run == book.run and witness.whole:
        low = max(low, min(witness.counted_steps, high))
        seen = max(witness.counted_steps + witness.doubtful_steps, witness.issued_steps)
        high = max(low, book.run_maximum_steps, min(seen, high))
    return Bounds(low, max(low, high))


def dose_bounds(book: Book, doses: Sequence[Dose], bounds: Bounds) -> list[Bounds]:
    """Return the bounds of each open dose.

    Together they had what the run had, less what its closed doses had: that may be more than the
    last count row knew. A single one had all of that; of several each its own count in that row,
    and at most what the others leave.
    """
    rest_low = max(0, bounds.confirmed_steps - book.run_closed_maximum_steps)
    rest_high = bounds.maximum_steps - book.run_closed_confirmed_steps
    uncounted = book.run_maximum_steps - book.run_confirmed_steps
    lows = [max(0, book.programmes.get(str(one.programme), 0) - uncounted) for one in doses]
    if len(doses) == 1:
        lows = [rest_low]
    found = []
    for dose, low in zip(doses, lows, strict=True):
        programmed = dose.programmed_steps if dose.programmed_steps is not None else NO_LIMIT
        high = max(0, min(rest_high - (sum(lows) - low), programmed))
        found.append(Bounds(min(low, high), high))
    return found


def closed_body(
    dose: Dose,
    share: Bounds,
    mechanics: Mechanics,
    counted: bool,  # noqa: FBT001
) -> dict[str, object]:
    """Return the row that closes a dose which nobody saw the end of."""
    basal = dose.programmed_steps is None
    return {
        "request_id": dose.request_id,
        "outcome": Outcome.UNCERTAIN.value,
        "why": "the pump ended without a stop while it ran; it is not resumed",
        "programmed_uu": mechanics.uu_of(share.maximum_steps) if basal else dose.programmed_uu,
        "programmed_steps": share.maximum_steps if basal else dose.programmed_steps,
        "issued_steps": share.confirmed_steps,
        "confirmed_steps": share.confirmed_steps,
        "maximum_steps": share.maximum_steps,
        "certainty": share.certainty.value,
        "confirmed_by": "count" if counted else "recovery",
        "shift_ns": 0,
    }
