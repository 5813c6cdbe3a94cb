"""What a bolus is for, as the calculator worked it out: carbs, and a part for the glucose.

It is recorded beside the dose and changes nothing of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from appliance.client.calculator import FOOD, Sum
from ui.presenters import numbers
from ui.words import _


@dataclass(frozen=True, slots=True)
class Purpose:
    """The carbs of a sum, what they asked for, and what the sum proposed beyond that."""

    carbs_g: int
    food_uu: int
    beyond_uu: int

    @staticmethod
    def of(found: Sum, carbs_g: int) -> Purpose:
        """Return what a proposal is for: food first, and only what is left is a correction.

        What is on board is taken off the whole sum, so it takes the correction before the food.
        """
        food_uu = math.ceil(found.of(FOOD))
        return Purpose(carbs_g, food_uu, max(0, found.total_uu - food_uu))

    def correction_uu(self, amount_uu: int) -> int:
        """Return the part of an amount that is for the glucose, also of one that was changed.

        The carbs are what is eaten, however much is given for them, so they stay. Who gives less
        gives it for the food first, as the sum does; who gives more has not said what for, so the
        correction does not grow. Without carbs there is nothing else that it could be for: all of
        it is correction. It is never more than the amount, which the pump would refuse.
        """
        if not self.carbs_g:
            return amount_uu
        return min(self.beyond_uu, max(0, amount_uu - self.food_uu))


def purpose_of(value: object) -> Purpose | None:
    """Return what another screen handed over, where it is a purpose."""
    return value if isinstance(value, Purpose) else None


def purpose_words(carbs_g: int, correction_uu: int) -> str:
    """Say what a dose is for; "" where nobody said it."""
    if carbs_g and correction_uu:
        return _("for {grams} g of carbs, {units} for the glucose").format(
            grams=carbs_g, units=numbers.units(correction_uu)
        )
    if carbs_g:
        return _("for {grams} g of carbs").format(grams=carbs_g)
    return _("for the glucose") if correction_uu else ""


__all__ = ["Purpose", "purpose_of", "purpose_words"]
