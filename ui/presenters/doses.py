"""A dose in words: programmed, confirmed, and both bounds where it is not certain (SR-40)."""

from __future__ import annotations

from appliance.client import Dose, HistoryRow
from appliance.client.words import share_uu
from ui.presenters.numbers import DASH, count, units, units_bare
from ui.words import _


def kind_words(kind: str) -> str:
    """Return what kind of dose it is."""
    names = {
        "bolus": _("Bolus"),
        "extended": _("Extended bolus"),
        "basal": _("Basal"),
        "prime": _("Prime"),
        "cannula": _("Fill cannula"),
        "rewind": _("Rewind"),
    }
    return names.get(kind, kind)


def confirmed_words(dose: Dose) -> str:
    """Write what went out: "1.35 U", or "1.35–1.40 U" where it is not certain."""
    low, high = share_uu(dose.confirmed_steps, dose), share_uu(dose.maximum_steps, dose)
    if low is None or high is None:
        return _("{steps} steps").format(steps=steps_words(dose))
    return units(low) if dose.certainty != "uncertain" else f"{units_bare(low)}–{units(high)}"


def steps_words(dose: Dose) -> str:
    """Write its steps: "1,358", or "733–760" where they are not certain."""
    if dose.certainty != "uncertain":
        return count(dose.confirmed_steps)
    return f"{count(dose.confirmed_steps)}–{count(dose.maximum_steps)}"


def account(dose: Dose) -> str:
    """Say in one line what of a dose went out, to the step."""
    if dose.programmed_uu is None or not dose.programmed_steps:
        line = _("{kind}: {steps} steps confirmed")
    else:
        line = _("{kind}: {confirmed} of {programmed} confirmed, {steps} steps")
    programmed = units(dose.programmed_uu)
    return line.format(
        kind=kind_words(dose.kind),
        confirmed=confirmed_words(dose),
        programmed=programmed,
        steps=steps_words(dose),
    )


def confirmed_of_row(row: HistoryRow) -> str:
    """Write what of a dose in the history went out, without its unit; both bounds if uncertain."""
    if not row.programmed_uu or not row.programmed_steps:
        return DASH

    def share(steps: int | None) -> str:
        return units_bare((row.programmed_uu or 0) * (steps or 0) // (row.programmed_steps or 1))

    low, high = share(row.confirmed_steps), share(row.maximum_steps)
    return low if row.certainty != "uncertain" else f"{low}–{high}"


def steps_of_row(row: HistoryRow) -> str:
    """Write its steps: "1,358", or "733–760" where they are not certain."""
    if row.certainty != "uncertain":
        return count(row.confirmed_steps)
    return f"{count(row.confirmed_steps)}–{count(row.maximum_steps)}"
