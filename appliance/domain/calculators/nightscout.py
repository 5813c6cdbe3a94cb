"""Nightscout's bolus preview."""

from __future__ import annotations

from fractions import Fraction

from appliance.domain.calculator import (
    CORRECTION,
    IOB,
    Inputs,
    Line,
    Sum,
    closed,
    old_glucose,
    per_sensitivity,
)
from appliance.domain.units import UU_PER_U

_GRID_UU = 10_000
_LEAST_GLUCOSE_MG_DL = 40
_OLD_S = 10 * 60


def nightscout(inputs: Inputs) -> Sum:
    """Propose as the preview does: the glucose after what is on board, brought into the range.

    Food is no part of it. Refused without a glucose of at least 40 mg/dL and at most 10 min.
    """
    glucose = inputs.glucose_mg_dl
    if glucose is None:
        return Sum("nightscout", refused="glucose_mg_dl is missing: it needs one")
    if glucose < _LEAST_GLUCOSE_MG_DL:
        refused = f"glucose_mg_dl = {glucose}: from {_LEAST_GLUCOSE_MG_DL} on"
        return Sum("nightscout", refused=refused)
    if inputs.glucose_age_s > _OLD_S:
        return Sum("nightscout", refused=old_glucose(inputs, _OLD_S))
    on_board = Fraction(inputs.iob_uu)
    outcome = glucose - on_board * inputs.sensitivity_mg_dl_per_u / UU_PER_U
    aim = min(max(outcome, Fraction(inputs.low)), Fraction(inputs.high))
    estimate_uu = per_sensitivity(inputs, outcome - aim)
    # Told as its two parts: the glucose's way to the range, and what is on board.
    lines = [
        Line(CORRECTION, estimate_uu + on_board, f"{glucose} mg/dL to the range"),
        Line(IOB, -on_board, f"leads to {float(outcome):.0f} mg/dL"),
    ]
    notes = ["food is no part of it"]
    if inputs.basal_uu_per_h:
        basal = Fraction(inputs.basal_uu_per_h)
        half_hour = round(100 * (basal / 2 + estimate_uu) / (basal / 2))
        hour = round(100 * (basal + estimate_uu) / basal)
        notes.append(f"as a temporary basal: {half_hour} % for 30 min, or {hour} % for 1 h")
    return closed("nightscout", inputs, lines, step_uu=_GRID_UU, notes=notes)
