"""Numbers as a person types them, read exactly: no float on the way."""

from __future__ import annotations

import re
from decimal import Decimal

import click

from appliance.cli.session import safe

_WHOLE_DIGITS = 6


class Number(click.ParamType[int]):
    """A decimal text as a whole number of its smallest part: "7.5" with 3 decimals is 7500.

    Ends with 2 where the text is no such number; whether the number makes sense is for others.
    """

    name = "number"

    def __init__(self, meaning: str, *, decimals: int = 0, signed: bool = False) -> None:
        self._meaning = meaning
        self._decimals = decimals
        sign = "[+-]?" if signed else ""
        part = f"(\\.[0-9]{{1,{decimals}}})?" if decimals else ""
        self._pattern = re.compile(f"{sign}[0-9]{{1,{_WHOLE_DIGITS}}}{part}")

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the text, or end with the field, the text and what is allowed."""
        if isinstance(value, int):
            return value
        text = str(value)
        if not self._pattern.fullmatch(text):
            self.fail(f"{safe(text[:40])!r} is not {self._meaning}", param, ctx)
        return int(Decimal(text).scaleb(self._decimals))


GRAMS = Number("a whole number of grams")
MG_DL = Number("a whole number of mg/dL")
MG_DL_SIGNED = Number("a whole number of mg/dL, such as 5 or -10", signed=True)
RATIO = Number("a carb ratio in g/U with at most three decimals", decimals=3)
UNITS = Number("an amount in U with at most six decimals", decimals=6)
UNITS_SIGNED = Number("an amount in U with at most six decimals", decimals=6, signed=True)
UNITS_PER_H = Number("a rate in U/h with at most six decimals", decimals=6)
