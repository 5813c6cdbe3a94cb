"""oref0's insulin requirement, and the temporary basal it becomes."""

from __future__ import annotations

import math
from fractions import Fraction

from appliance.domain.calculator import (
    FORECAST,
    LIMIT,
    Inputs,
    Line,
    Sum,
    closed,
    per_sensitivity,
)
from appliance.domain.forecast import HOW, forecast
from appliance.domain.insulin import Exponential
from appliance.domain.units import format_exact, format_rate

CURVE = Exponential(360, 75)
"""Rapid-acting, without a delay."""
LOOK_MIN = 90
"""The lowest forecast counts from here on: insulin given now has not acted before."""
_GRID_UU = 10_000


def oref0(inputs: Inputs) -> Sum:
    """Propose oref0's insulinReq, to 0.01 U. Refused without a glucose.

    It gives this as a temporary basal, or as micro-boluses: a note says the rate where the
    scheduled one is known.
    """
    if inputs.glucose_mg_dl is None:
        return Sum("oref0", refused="glucose_mg_dl is missing: it needs one")
    predicted = forecast(inputs, CURVE)
    eventual = round(predicted[-1][1])
    lowest = round(min(level for t_min, level in predicted if t_min >= LOOK_MIN))
    middle = Fraction(inputs.low + inputs.high, 2)
    required_uu = _r2(per_sensitivity(inputs, min(lowest, eventual) - middle))
    text = f"(min({lowest}, {eventual}) - {float(middle):g}) mg/dL"
    text += f" / {inputs.sensitivity_mg_dl_per_u} mg/dL per U"
    lines = [Line(FORECAST, required_uu, text)]
    notes = [HOW]
    if inputs.max_iob_uu is None:
        notes.append("no limit on board was given (oref0 itself takes 0 then, and gives none)")
    else:
        room_uu = inputs.max_iob_uu - inputs.iob_uu
        if required_uu > room_uu:
            told = f"at most {format_exact(inputs.max_iob_uu)} on board"
            lines.append(Line(LIMIT, room_uu - required_uu, told))
            required_uu = Fraction(room_uu)
    if inputs.basal_uu_per_h is not None:
        rate = temporary_uu_per_h(inputs.basal_uu_per_h, required_uu)
        notes.append(f"as a temporary basal: {format_rate(rate)} for 30 min")
    return closed("oref0", inputs, lines, step_uu=_GRID_UU, notes=notes)


def temporary_uu_per_h(scheduled_uu_per_h: int, required_uu: Fraction) -> int:
    """Return the rate for 30 min, rounded down: scheduled and twice what is required, 0 or more.

    oref0's own limit is the least of max_basal, 3 x the day's highest and 4 x the current rate; the
    current rate stands for the highest here.
    """
    rate = max(Fraction(0), scheduled_uu_per_h + 2 * required_uu)
    return min(math.floor(rate), 3 * scheduled_uu_per_h)


def _r2(amount_uu: Fraction) -> Fraction:
    """Round to 0.01 U, half up, as JavaScript does."""
    return Fraction(math.floor(amount_uu / _GRID_UU + Fraction(1, 2)) * _GRID_UU)
