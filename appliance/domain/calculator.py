"""The bolus calculator: what a dose for food and glucose would be, and every line of that sum.

It proposes; it never starts a bolus. Integers in, one integer out: grams, mg/dL, mg/dL per unit,
and the carb ratio in milligrams of carbohydrate that one unit covers (10 g/U is 10,000 mg/U). The
lines in between are exact fractions of microunits, so nothing is rounded but the total, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from appliance.domain.units import UU_PER_U, format_exact
from appliance.errors import BadInputs

INCREMENT_UU = 50_000
"""What a proposed dose is a multiple of: 0.05 U."""
OLD_GLUCOSE_S = 15 * 60
"""Older than this a glucose value is refused."""
TREND_MIN = 15
"""A trend is taken to go on for so long."""

MAX_CARBS_G = 250
GLUCOSE_MG_DL = (20, 600)
MAX_GLUCOSE_AGE_S = 24 * 3_600
TREND_MG_DL_PER_5_MIN = (-50, 50)
RATIO_MG_PER_U = (1_000, 150_000)
SENSITIVITY_MG_DL_PER_U = (1, 400)
TARGET_MG_DL = (60, 250)
IOB_UU = (-50 * UU_PER_U, 100 * UU_PER_U)
MAX_CAP_UU = 100 * UU_PER_U
MAX_BASAL_UU_PER_H = 35 * UU_PER_U

_MG_PER_G = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What every calculator is given; each takes what it knows.

    ``low_mg_dl`` to ``high_mg_dl`` is the range of those that have no single target, and a
    correction begins above the high end: both are the target unless given. ``meal_iob_uu`` is the
    part of ``bolus_iob_uu`` that was given for food. ``basal_uu_per_h`` is the scheduled rate now.
    ``reverse`` lets a glucose below its target lower a dose for food. Raises BadInputs.
    """

    ratio_mg_per_u: int
    sensitivity_mg_dl_per_u: int
    target_mg_dl: int
    bolus_iob_uu: int
    basal_iob_uu: int = 0
    meal_iob_uu: int = 0
    carbs_g: int = 0
    glucose_mg_dl: int | None = None
    glucose_age_s: int = 0
    trend_mg_dl_per_5_min: int = 0
    low_mg_dl: int | None = None
    high_mg_dl: int | None = None
    basal_uu_per_h: int | None = None
    max_iob_uu: int | None = None
    max_bolus_uu: int | None = None
    reverse: bool = True

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise BadInputs(faults)

    @property
    def low(self) -> int:
        """Return the low end of the range, mg/dL."""
        return self.target_mg_dl if self.low_mg_dl is None else self.low_mg_dl

    @property
    def high(self) -> int:
        """Return the high end of the range, mg/dL."""
        return self.target_mg_dl if self.high_mg_dl is None else self.high_mg_dl

    @property
    def iob_uu(self) -> int:
        """Return boluses and basal on board together."""
        return self.bolus_iob_uu + self.basal_iob_uu

    def glucose_within(self, most_age_s: int) -> int | None:
        """Return the glucose in mg/dL; None where there is none, or it is older than that."""
        return self.glucose_mg_dl if self.glucose_age_s <= most_age_s else None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a sum: what it is, what it adds (below 0: takes off), and its arithmetic."""

    name: str
    amount_uu: Fraction
    text: str = ""


FOOD, CORRECTION, TREND, IOB = "food", "correction", "trend", "on board"
FLOOR, ROUNDING, LIMIT, FORECAST = "not below 0", "rounding", "limit", "forecast"


@dataclass(frozen=True, slots=True)
class Sum:
    """What one calculator proposes. The lines add up to ``total_uu``, exactly.

    Where ``refused`` says why there is no proposal, there are no lines and the total is 0.
    ``carbs_needed_g`` is what would bring a sum below 0 back to 0, rounded up.
    """

    calculator: str
    lines: tuple[Line, ...] = ()
    total_uu: int = 0
    carbs_needed_g: int = 0
    notes: tuple[str, ...] = ()
    refused: str = ""

    def __post_init__(self) -> None:
        if self.total_uu < 0 or sum(one.amount_uu for one in self.lines) != self.total_uu:
            raise ValueError(f"the lines do not add up: {self}")

    def of(self, name: str) -> Fraction:
        """Return what the lines of that name add, in microunits."""
        return sum((one.amount_uu for one in self.lines if one.name == name), Fraction(0))


def benchpump(inputs: Inputs) -> Sum:
    """Propose as Benchpump does: food, and glucose with its trend, less what is on board.

    What is on board is taken off the whole sum. Where less basal than scheduled went out it takes
    off less, but never adds: what was withheld is not made up. Without ``reverse``, glucose and
    trend together never take off. The total is rounded down to 0.05 U. An old glucose value is
    refused.
    """
    if inputs.glucose_mg_dl is not None and inputs.glucose_age_s > OLD_GLUCOSE_S:
        return Sum("benchpump", refused=old_glucose(inputs, OLD_GLUCOSE_S))
    lines, notes = [food_line(inputs)], []
    if inputs.glucose_mg_dl is not None:
        lines += _glucose_lines(inputs)
        if not inputs.reverse and inputs.glucose_mg_dl < inputs.target_mg_dl:
            notes.append("reverse correction is off: glucose takes nothing off")
    else:
        notes.append("no glucose: no correction")
    taken = max(0, inputs.iob_uu)
    text = f"boluses {format_exact(inputs.bolus_iob_uu)}, basal {format_exact(inputs.basal_iob_uu)}"
    lines.append(Line(IOB, Fraction(-taken), text))
    return closed("benchpump", inputs, lines, step_uu=INCREMENT_UU, notes=notes)


def _glucose_lines(inputs: Inputs) -> list[Line]:
    correction = correction_line(inputs, inputs.target_mg_dl)
    trend = trend_line(inputs)
    if not inputs.reverse:
        correction = Line(CORRECTION, max(Fraction(0), correction.amount_uu), correction.text)
        trend = Line(TREND, max(-correction.amount_uu, trend.amount_uu), trend.text)
    return [correction, trend] if inputs.trend_mg_dl_per_5_min else [correction]


# --- what the calculators share -------------------------------------------------------------------


def food_line(inputs: Inputs) -> Line:
    """Return what the food asks for."""
    amount_uu = Fraction(inputs.carbs_g * _MG_PER_G * UU_PER_U, inputs.ratio_mg_per_u)
    return Line(FOOD, amount_uu, f"{inputs.carbs_g} g / {ratio_words(inputs.ratio_mg_per_u)}")


def correction_line(inputs: Inputs, aim_mg_dl: int) -> Line:
    """Return what brings the glucose to ``aim_mg_dl``; below 0 where it is under it."""
    glucose = inputs.glucose_mg_dl
    if glucose is None:
        raise ValueError("a correction needs a glucose")
    text = f"({glucose} - {aim_mg_dl}) mg/dL / {inputs.sensitivity_mg_dl_per_u} mg/dL per U"
    return Line(CORRECTION, per_sensitivity(inputs, Fraction(glucose - aim_mg_dl)), text)


def trend_line(inputs: Inputs) -> Line:
    """Return what meets the glucose that ``TREND_MIN`` more of this trend would bring."""
    change = Fraction(inputs.trend_mg_dl_per_5_min * TREND_MIN, 5)
    text = f"{int(change):+} mg/dL in {TREND_MIN} min"
    return Line(TREND, per_sensitivity(inputs, change), text)


def per_sensitivity(inputs: Inputs, change_mg_dl: Fraction) -> Fraction:
    """Return the microunits that change the glucose by so much."""
    return change_mg_dl * UU_PER_U / inputs.sensitivity_mg_dl_per_u


def closed(
    calculator: str,
    inputs: Inputs,
    lines: Sequence[Line],
    *,
    step_uu: int,
    nearest: bool = False,
    cap_uu: int | None = None,
    notes: Sequence[str] = (),
) -> Sum:
    """End a sum: never below 0, never above ``cap_uu``, and a multiple of ``step_uu``.

    Rounds down; where ``nearest``, half a step goes up. What each of these changes is a line.
    """
    done = list(lines)
    raw_uu = sum((one.amount_uu for one in done), Fraction(0))
    carbs_needed_g = 0
    if raw_uu < 0:
        carbs_needed_g = math.ceil(-raw_uu * inputs.ratio_mg_per_u / (UU_PER_U * _MG_PER_G))
        done.append(Line(FLOOR, -raw_uu, f"{carbs_needed_g} g of carbs would make it 0"))
        raw_uu = Fraction(0)
    if cap_uu is not None and raw_uu > cap_uu:
        done.append(Line(LIMIT, cap_uu - raw_uu, f"at most {format_exact(cap_uu)}"))
        raw_uu = Fraction(cap_uu)
    steps = raw_uu / step_uu
    total_uu = math.floor(steps + Fraction(1, 2) if nearest else steps) * step_uu
    if total_uu != raw_uu:
        how = "to the nearest" if nearest else "down to"
        done.append(Line(ROUNDING, total_uu - raw_uu, f"{how} {format_exact(step_uu)}"))
    return Sum(calculator, tuple(done), total_uu, carbs_needed_g, tuple(notes))


def old_glucose(inputs: Inputs, most_age_s: int) -> str:
    """Say that the glucose is too old: its age, and what is allowed."""
    return (
        f"glucose_age_s = {inputs.glucose_age_s}: the glucose is {inputs.glucose_age_s // 60} min "
        f"old, at most {most_age_s // 60} min is taken"
    )


def ratio_words(ratio_mg_per_u: int) -> str:
    """Write a carb ratio in grams per unit, nothing rounded."""
    grams, milligrams = divmod(ratio_mg_per_u, _MG_PER_G)
    return f"{grams}" + (f".{milligrams:03d}".rstrip("0") if milligrams else "") + " g/U"


def _faults(inputs: Inputs) -> list[str]:
    rows: list[tuple[str, int | None, tuple[int, int]]] = [
        ("carbs_g", inputs.carbs_g, (0, MAX_CARBS_G)),
        ("glucose_mg_dl", inputs.glucose_mg_dl, GLUCOSE_MG_DL),
        ("glucose_age_s", inputs.glucose_age_s, (0, MAX_GLUCOSE_AGE_S)),
        ("trend_mg_dl_per_5_min", inputs.trend_mg_dl_per_5_min, TREND_MG_DL_PER_5_MIN),
        ("ratio_mg_per_u", inputs.ratio_mg_per_u, RATIO_MG_PER_U),
        ("sensitivity_mg_dl_per_u", inputs.sensitivity_mg_dl_per_u, SENSITIVITY_MG_DL_PER_U),
        ("target_mg_dl", inputs.target_mg_dl, TARGET_MG_DL),
        ("low_mg_dl", inputs.low_mg_dl, TARGET_MG_DL),
        ("high_mg_dl", inputs.high_mg_dl, TARGET_MG_DL),
        ("bolus_iob_uu", inputs.bolus_iob_uu, (0, IOB_UU[1])),
        ("basal_iob_uu", inputs.basal_iob_uu, IOB_UU),
        ("meal_iob_uu", inputs.meal_iob_uu, (0, IOB_UU[1])),
        ("basal_uu_per_h", inputs.basal_uu_per_h, (0, MAX_BASAL_UU_PER_H)),
        ("max_iob_uu", inputs.max_iob_uu, (0, MAX_CAP_UU)),
        ("max_bolus_uu", inputs.max_bolus_uu, (0, MAX_CAP_UU)),
    ]
    faults = []
    for name, number, (low, high) in rows:
        if number is None:
            continue
        if type(number) is not int:
            faults.append(f"{name} = {number!r}: a whole number")
        elif not low <= number <= high:
            faults.append(f"{name} = {number}: {low} to {high}")
    if faults:
        return faults
    if inputs.glucose_mg_dl is None and (inputs.trend_mg_dl_per_5_min or inputs.glucose_age_s):
        faults.append("glucose_mg_dl is missing: a trend or an age without a glucose says nothing")
    if not inputs.low <= inputs.high:
        faults.append(f"low_mg_dl = {inputs.low}: up to high_mg_dl = {inputs.high}")
    if inputs.meal_iob_uu > inputs.bolus_iob_uu:
        faults.append(
            f"meal_iob_uu = {inputs.meal_iob_uu}: up to bolus_iob_uu = {inputs.bolus_iob_uu}"
        )
    return faults
