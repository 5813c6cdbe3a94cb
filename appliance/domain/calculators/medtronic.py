"""Medtronic's Bolus Wizard, as its user guides tell it."""

from __future__ import annotations

from fractions import Fraction

from appliance.domain.calculator import IOB, Inputs, Line, Sum, closed, correction_line, food_line

_GRID_UU = 10_000
_OLD_S = 12 * 60


def medtronic(inputs: Inputs) -> Sum:
    """Propose as the Bolus Wizard does: on board lowers a correction, and nothing else.

    Below the range it takes off, without what is on board; within, food alone counts. A glucose is
    used for 12 min.
    """
    notes = [
        "how the pump rounds its total (here: down to 0.01 U), and its floor at 0: to be checked",
        "boluses on board alone count",
    ]
    lines = [food_line(inputs)]
    glucose = inputs.glucose_within(_OLD_S)
    if glucose is None:
        if inputs.glucose_mg_dl is not None:
            notes.append("glucose ignored: older than 12 min")
    elif glucose > inputs.high:
        correction = correction_line(inputs, inputs.high)
        taken = min(correction.amount_uu, Fraction(inputs.bolus_iob_uu))
        lines += [correction, Line(IOB, -taken, "off the correction alone")]
    elif glucose < inputs.low:
        lines.append(correction_line(inputs, inputs.low))
        notes.append("below the range what is on board is not subtracted")
    return closed("medtronic", inputs, lines, step_uu=_GRID_UU, notes=notes)
