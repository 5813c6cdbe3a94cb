"""Loop's recommendation: the dose that brings the forecast into the range, and never under it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from appliance.domain.calculator import (
    FORECAST,
    INCREMENT_UU,
    Inputs,
    Line,
    Sum,
    closed,
    old_glucose,
)
from appliance.domain.forecast import HOW, forecast
from appliance.domain.insulin import Curve, Exponential
from appliance.domain.units import UU_PER_U

CURVE = Exponential(360, 75, delay_min=10)
"""Rapid, adult, with Loop's delay."""
THRESHOLD_MG_DL = 70
"""Below it the forecast must not go; never above the range's low end."""
_OLD_S = 15 * 60


def loop(inputs: Inputs) -> Sum:
    """Propose as Loop does. Refused without a glucose of at most 15 min."""
    if inputs.glucose_mg_dl is None:
        return Sum("loop", refused="glucose_mg_dl is missing: it needs one")
    if inputs.glucose_age_s > _OLD_S:
        return Sum("loop", refused=old_glucose(inputs, _OLD_S))
    threshold = min(THRESHOLD_MG_DL, inputs.low)
    predicted = forecast(inputs, CURVE)
    units, why = recommended_u(
        predicted,
        CURVE,
        threshold_mg_dl=threshold,
        range_mg_dl=(inputs.low, inputs.high),
        sensitivity_mg_dl_per_u=inputs.sensitivity_mg_dl_per_u,
    )
    last = predicted[-1][1]
    text = f"ends at {last:.0f} mg/dL after {CURVE.end_min} min: {why}"
    notes = [HOW, f"suspend threshold {threshold} mg/dL, rapid insulin with 10 min of delay"]
    if inputs.max_bolus_uu is None:
        notes.append("no limit for one bolus was given")
    # The one place where this model's units become microunits: to the nearest, because a float's
    # last digit is worth no step of the pump. The step is then rounded down.
    lines = [Line(FORECAST, Fraction(round(units * UU_PER_U)), text)]
    return closed(
        "loop", inputs, lines, step_uu=INCREMENT_UU, cap_uu=inputs.max_bolus_uu, notes=notes
    )


def recommended_u(
    predicted: Sequence[tuple[int, float]],
    curve: Curve,
    *,
    threshold_mg_dl: int,
    range_mg_dl: tuple[int, int],
    sensitivity_mg_dl_per_u: int,
) -> tuple[float, str]:
    """Return the units, and why so many. ``predicted`` reaches to the end of the curve."""
    low, high = range_mg_dl
    lowest, last = min(level for _, level in predicted), predicted[-1][1]
    if lowest < threshold_mg_dl:
        return 0.0, f"{lowest:.0f} mg/dL is below the suspend threshold"
    if lowest < low and last < low:
        return 0.0, "below the range"
    if last <= high:
        return 0.0, "in the range"
    middle = (low + high) / 2
    doses = []
    for t_min, level in predicted:
        effect = (1 - curve.left(t_min)) * sensitivity_mg_dl_per_u
        if t_min <= 0 or effect <= 0:
            continue
        done = min(1.0, t_min / curve.end_min)
        part = max(0.0, (done - 0.5) / 0.5)
        target = threshold_mg_dl + (middle - threshold_mg_dl) * part
        doses.append((level - target) / effect)
    return min(units for units in doses if units > 0), "above the range"
