"""Tandem's calculator, as open source has re-implemented it."""

from __future__ import annotations

import math
from fractions import Fraction

from appliance.domain.calculator import (
    CORRECTION,
    FOOD,
    IOB,
    Inputs,
    Line,
    Sum,
    closed,
    correction_line,
    food_line,
)

_GRID_UU = 10_000
_GLUCOSE_MG_DL = (40, 400)
_OLD_S = 15 * 60


def tandem(inputs: Inputs) -> Sum:
    """Propose as Tandem does: what is on board lowers a correction, and a dose at low glucose.

    Each part is rounded to 0.01 U, half up. A glucose beyond 40 to 400 mg/dL or older than 15 min
    is ignored.
    """
    notes = ["how the pump rounds its total: to be checked", "boluses on board alone count"]
    glucose = inputs.glucose_within(_OLD_S)
    food = food_line(inputs)
    lines = [Line(FOOD, _r2(food.amount_uu), food.text)]
    if glucose is None or not _GLUCOSE_MG_DL[0] <= glucose <= _GLUCOSE_MG_DL[1]:
        if inputs.glucose_mg_dl is not None:
            notes.append("glucose ignored: beyond 40 to 400 mg/dL, or older than 15 min")
        correction_uu = Fraction(0)
    else:
        correction = correction_line(inputs, inputs.target_mg_dl)
        correction_uu = _r2(correction.amount_uu)
        lines.append(Line(CORRECTION, correction_uu, correction.text))
    iob_uu = _r2(Fraction(inputs.bolus_iob_uu))
    if correction_uu >= 0:
        lines.append(Line(IOB, -min(correction_uu, iob_uu), "off the correction alone"))
    else:
        lines.append(Line(IOB, -iob_uu, "off the whole, because glucose is below its target"))
    return closed("tandem", inputs, lines, step_uu=_GRID_UU, notes=notes)


def _r2(amount_uu: Fraction) -> Fraction:
    """Round to 0.01 U, half up."""
    return Fraction(math.floor(amount_uu / _GRID_UU + Fraction(1, 2)) * _GRID_UU)
