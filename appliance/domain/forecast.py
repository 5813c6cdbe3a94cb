"""A plain forecast of glucose, for the calculators that look ahead. A model, so floats.

The trend goes on for 15 min, food is absorbed evenly, and what is on board acts as if given now.
"""

from __future__ import annotations

from appliance.domain.calculator import TREND_MIN, Inputs
from appliance.domain.insulin import Curve
from appliance.domain.units import UU_PER_U

ABSORPTION_MIN = 180
"""How long food takes to be absorbed."""
STEP_MIN = 5

HOW = "forecast: food absorbed evenly over 3 h, what is on board acting as if given now"
"""What a sum that rests on it says of it."""


def forecast(inputs: Inputs, curve: Curve) -> list[tuple[int, float]]:
    """Return (minutes from now, mg/dL) each 5 min until insulin given now has acted out.

    Raises ValueError without a glucose.
    """
    if inputs.glucose_mg_dl is None:
        raise ValueError("a forecast needs a glucose")
    start, sensitivity = inputs.glucose_mg_dl, inputs.sensitivity_mg_dl_per_u
    food = inputs.carbs_g * 1_000 / inputs.ratio_mg_per_u * sensitivity
    on_board = inputs.iob_uu / UU_PER_U * sensitivity
    slope = inputs.trend_mg_dl_per_5_min / 5
    end_min = max(curve.end_min, ABSORPTION_MIN)
    times = [*range(0, end_min, STEP_MIN), end_min]
    return [
        (
            t,
            start
            + slope * min(t, TREND_MIN)
            + food * min(1.0, t / ABSORPTION_MIN)
            - on_board * (1 - curve.left(t)),
        )
        for t in times
    ]
