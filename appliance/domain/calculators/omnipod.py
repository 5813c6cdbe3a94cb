"""Omnipod's calculator, as its user guides tell it."""

from __future__ import annotations

from fractions import Fraction

from appliance.domain.calculator import (
    CORRECTION,
    INCREMENT_UU,
    IOB,
    Inputs,
    Line,
    Sum,
    closed,
    correction_line,
    food_line,
)

_LEAST_GLUCOSE_MG_DL = 50  # the lowest that its setting "minimum for calculation" takes, 50 to 70


def omnipod(inputs: Inputs) -> Sum:
    """Propose as Omnipod does: on board lowers the correction first; what corrects lowers food too.

    Corrects above ``high_mg_dl`` ("correct above"), down to the target. Below the target it takes
    off where reverse correction is on. What is on board is rounded up to 0.05 U, the dose down.
    """
    notes = [
        "the order in which insulin on board is used up: to be checked",
        "boluses on board alone count; what was not given for food is taken for a correction",
    ]
    glucose, food = inputs.glucose_mg_dl, food_line(inputs)
    if glucose is None:
        notes.append("no glucose: what is on board is ignored")
        return closed("omnipod", inputs, [food], step_uu=INCREMENT_UU, notes=notes)
    if glucose < _LEAST_GLUCOSE_MG_DL:
        return Sum(
            "omnipod",
            refused=f"glucose_mg_dl = {glucose}: from {_LEAST_GLUCOSE_MG_DL} on, as its settings",
        )
    correction = _correction(inputs, glucose)
    lines = [food, correction]
    if correction.amount_uu < 0:
        notes.append("below the target what is on board is not used: to be checked")
        return closed("omnipod", inputs, lines, step_uu=INCREMENT_UU, notes=notes)
    meal_iob = _up(inputs.meal_iob_uu)
    correction_iob = _up(inputs.bolus_iob_uu - inputs.meal_iob_uu)
    by_meals = min(correction.amount_uu, meal_iob)
    by_corrections = min(correction.amount_uu - by_meals, correction_iob)
    off_food = min(food.amount_uu, correction_iob - by_corrections)
    used = [
        Line(IOB, -by_meals, "given for food, off the correction"),
        Line(IOB, -by_corrections, "given as corrections, off the correction"),
        Line(IOB, -off_food, "given as corrections, what is left of it off the food"),
    ]
    lines += [line for line in used if line.amount_uu]
    return closed("omnipod", inputs, lines, step_uu=INCREMENT_UU, notes=notes)


def _correction(inputs: Inputs, glucose_mg_dl: int) -> Line:
    line = correction_line(inputs, inputs.target_mg_dl)
    if inputs.target_mg_dl <= glucose_mg_dl <= inputs.high:
        return Line(CORRECTION, Fraction(0), f"{glucose_mg_dl} mg/dL needs none")
    if glucose_mg_dl < inputs.target_mg_dl and not inputs.reverse:
        return Line(CORRECTION, Fraction(0), "reverse correction is off")
    return line


def _up(amount_uu: int) -> Fraction:
    return Fraction(-(-amount_uu // INCREMENT_UU) * INCREMENT_UU)
