"""A bolus for a meal: carbs and glucose in, a proposal with every line of its sum. Starts nothing.

What the calculator needs of the profile and of insulin on board comes from the pump; what neither
knows is named, and nothing is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from appliance.client import PumpError, Refused
from appliance.client.calculator import (
    CORRECTION,
    FLOOR,
    FOOD,
    IOB,
    LIMIT,
    ROUNDING,
    TREND,
    BadInputs,
    Inputs,
    Line,
    Sum,
    benchpump,
    known_of,
)
from appliance.client.messages import Basal
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.entry import GLUCOSE, GRAMS, Entry
from ui.presenters.purpose import Purpose
from ui.presenters.reasons import reasons_of
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class CalculatorView(View):
    """Two fields, the sum line by line, and the proposal."""

    carbs_caption: str = ""
    carbs: str = ""
    glucose_caption: str = ""
    glucose: str = ""
    field: str = "carbs"
    lines: tuple[Row, ...] = ()
    total_caption: str = ""
    total: str = ""
    message: str = ""


class CalculatorPresenter(Presenter):
    """Shows the sum that ``docs/calculators.md`` describes; the arithmetic is the client's."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.carbs = Entry(GRAMS)
        self.glucose = Entry(GLUCOSE)
        self._field = "carbs"
        self._basal: Basal | None = None
        self._against: tuple[str, ...] = ()

    def entered(self, **_: object) -> None:
        """Begin with empty fields, and ask for the profile."""
        self.left()
        self._basal, self._against = None, ()
        self.desk.pump.ask(lambda pump: pump.basal(), self._shown, self._failed)

    def left(self) -> None:
        """Forget what was typed."""
        self.carbs.clear()
        self.glucose.clear()
        self._field = "carbs"

    def _shown(self, basal: Basal) -> None:
        self._basal = basal

    def _failed(self, error: PumpError) -> None:
        reasons = reasons_of(error.reasons) if isinstance(error, Refused) else [str(error)]
        self._against = tuple(reasons)

    def view(self) -> CalculatorView:
        """Return the fields, and the sum where there is one."""
        found, message = self._sum()
        total_uu = found.total_uu if found is not None and not found.refused else 0
        most = self.carbs.said or self.glucose.said or message
        review = _("Use {units}").format(units=numbers.units(total_uu)) if total_uu else _("Use it")
        lines = () if found is None or found.refused else tuple(map(_row, found.lines))
        return CalculatorView(
            title=_("Bolus for a meal"),
            foot=(
                FootItem("bolus", _("Back")),
                FootItem("use", review, "primary", enabled=total_uu > 0, share=2),
            ),
            carbs_caption=_("Carbs"),
            carbs=self.carbs.text or "0",
            glucose_caption=_("Glucose"),
            glucose=self.glucose.text or numbers.DASH,
            field=self._field,
            lines=lines,
            total_caption=_("Suggested"),
            total=numbers.units(total_uu) if lines else numbers.DASH,
            message=most,
        )

    def _sum(self) -> tuple[Sum | None, str]:
        snapshot = self.desk.state.live
        if self._against:
            return None, " ".join(self._against)
        if snapshot is None or self._basal is None:
            return None, ""
        known = known_of(snapshot, self._basal)
        needed = {
            "ratio_mg_per_u": _("carb ratio"),
            "sensitivity_mg_dl_per_u": _("sensitivity"),
            "target_mg_dl": _("target"),
            "bolus_iob_uu": _("insulin on board"),
        }
        missing = [name for key, name in needed.items() if key not in known]
        if missing:
            text = _("The profile in use has no {names}: nothing is assumed.")
            return None, text.format(names=", ".join(missing))
        if not self.carbs.text and not self.glucose.text:
            return None, _("Enter carbs, a glucose, or both.")
        try:
            inputs = Inputs(
                ratio_mg_per_u=known["ratio_mg_per_u"],
                sensitivity_mg_dl_per_u=known["sensitivity_mg_dl_per_u"],
                target_mg_dl=known["target_mg_dl"],
                bolus_iob_uu=known["bolus_iob_uu"],
                basal_iob_uu=known["basal_iob_uu"],
                carbs_g=self.carbs.whole or 0,
                glucose_mg_dl=self.glucose.whole,
            )
        except BadInputs as bad:
            return None, "; ".join(words.of_the_pump(one) for one in bad.faults)
        found = benchpump(inputs)
        return found, words.of_the_pump(found.refused or "; ".join(found.notes))

    def key(self, key: str) -> None:
        """Take a key into the field that is chosen."""
        (self.carbs if self._field == "carbs" else self.glucose).key(key)

    def press(self, key: str) -> None:
        """Choose a field, use the proposal, or go back."""
        if key in ("carbs", "glucose"):
            self._field = key
        elif key == "use":
            found, _message = self._sum()
            if found is not None and found.total_uu > 0:
                purpose = Purpose.of(found, self.carbs.whole or 0)
                self.desk.go("bolus", amount_uu=found.total_uu, purpose=purpose)
        else:
            self.desk.go(key)


def _row(line: Line) -> Row:
    names = {
        FOOD: _("Meal"),
        CORRECTION: _("Correction"),
        TREND: _("Trend"),
        IOB: _("Insulin on board"),
        FLOOR: _("Not below 0"),
        ROUNDING: _("Rounding"),
        LIMIT: _("Limit"),
    }
    amount_uu = _whole(line.amount_uu)
    tone = "in_range" if amount_uu < 0 else "text"
    note = _("taken off") if line.name == IOB else words.of_the_pump(line.text)
    return Row(names.get(line.name, line.name), numbers.units(amount_uu), note, tone)


def _whole(amount_uu: Fraction) -> int:
    """Round towards zero, for a line of a sum alone; the total is whole already."""
    return int(amount_uu)
