"""The bolus wizard of AndroidAPS."""

from __future__ import annotations

from fractions import Fraction

from appliance.domain.calculator import (
    INCREMENT_UU,
    IOB,
    Inputs,
    Line,
    Sum,
    closed,
    correction_line,
    food_line,
    trend_line,
)


def aaps(inputs: Inputs) -> Sum:
    """Propose as AAPS does with every part switched on, at 100 % and without a superbolus.

    All that is on board counts, basal too, and withheld basal adds. Rounds to the nearest 0.05 U.
    """
    lines = [food_line(inputs)]
    notes = ["its limits by kind of person are not applied: bolus 5, 10, 17, 25 or 60 U"]
    glucose = inputs.glucose_mg_dl
    if glucose is None:
        notes.append("no glucose: its part is off")
    else:
        aim = min(max(glucose, inputs.low), inputs.high)
        lines.append(correction_line(inputs, aim))
        if inputs.trend_mg_dl_per_5_min:
            lines.append(trend_line(inputs))
    lines.append(Line(IOB, Fraction(-inputs.iob_uu), "boluses and basal"))
    return closed("aaps", inputs, lines, step_uu=INCREMENT_UU, nearest=True, notes=notes)
