"""The amount of a bolus, from the pad. Limits are the pump's; this screen has none of its own."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import BadAmount
from appliance.client.words import parse_dose
from ui.presenters import numbers
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.entry import DOSE, Entry
from ui.presenters.purpose import Purpose, purpose_of, purpose_words
from ui.words import _


@dataclass(frozen=True, slots=True)
class Row:
    """A caption and its value."""

    caption: str
    value: str
    note: str = ""
    tone: str = "text"


@dataclass(frozen=True, slots=True)
class AmountView(View):
    """The digits as typed, what they may be, and why the last key or the number is not taken."""

    caption: str = ""
    digits: str = "0"
    tone: str = "text"
    rows: tuple[Row, ...] = ()
    message: str = ""
    message_tone: str = "high"
    calculator: str = ""
    calculator_short: str = ""
    """The same, where there is little room."""


class AmountPresenter(Presenter):
    """Digits to microunits, exactly; *Review* is there for a number that the limit allows."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.number = Entry(DOSE)
        self._purpose: Purpose | None = None

    def entered(self, **words: object) -> None:
        """Begin with nothing, or with a proposal of the calculator and what that is for."""
        proposed_uu = words.get("amount_uu")
        self._purpose = purpose_of(words.get("purpose"))
        self.number.clear()
        if isinstance(proposed_uu, int) and proposed_uu > 0:
            self.number.put(numbers.units_bare(proposed_uu))

    def left(self) -> None:
        """Forget it: an amount that was begun is not found again later."""
        self.number.clear()
        self._purpose = None

    @property
    def amount_uu(self) -> int | None:
        """What stands there in microunits; None where it is no number yet."""
        try:
            return parse_dose(self.number.text)
        except BadAmount:
            return None

    def view(self) -> AmountView:
        """Return the amount and what stands against it."""
        most_uu = self._most_uu()
        amount_uu, message, tone = self.amount_uu, self.number.said, "text"
        good = amount_uu is not None and amount_uu > 0
        if amount_uu is not None and most_uu is not None and amount_uu > most_uu:
            message = _("More than one bolus may have: at most {units}.").format(
                units=numbers.units(most_uu)
            )
            good, tone = False, "low"
        review = _("Review")
        if good and amount_uu is not None:
            review = _("Review {units}").format(units=numbers.units(amount_uu))
        snapshot = self.desk.state.live
        left_uu = snapshot.left_60_min_uu if snapshot is not None else None
        return AmountView(
            title=_("Bolus"),
            foot=(
                FootItem("home", _("Back")),
                *self._extend(good=good),
                FootItem("review", review, "primary", enabled=good, share=2),
            ),
            caption=_("Amount"),
            digits=self.number.text or "0",
            tone=tone if self.number.text else "faint",
            rows=(
                Row(_("Most for one bolus"), numbers.units(most_uu)),
                Row(_("Left in the last 60 min"), numbers.units(left_uu)),
            ),
            message=message or self._purpose_words(),
            message_tone="high" if message else "muted",
            calculator=_("Work it out from a meal"),
            calculator_short=_("From a meal"),
        )

    def _purpose_words(self) -> str:
        amount_uu = self.amount_uu
        if self._purpose is None or not amount_uu:
            return ""
        return purpose_words(self._purpose.carbs_g, self._purpose.correction_uu(amount_uu))

    def _extend(self, *, good: bool) -> tuple[FootItem, ...]:
        if not self.desk.has("extend"):
            return ()
        return (FootItem("extend", _("Extend"), enabled=good),)

    def _most_uu(self) -> int | None:
        snapshot = self.desk.state.live
        limits = snapshot.limits if snapshot is not None else None
        most_uu = limits.get("max_bolus_uu") if limits else None
        return most_uu if isinstance(most_uu, int) else None

    def key(self, key: str) -> None:
        """Take a key of the pad."""
        self.number.key(key)

    def press(self, key: str) -> None:
        """Go on to the review, or elsewhere."""
        if key in ("review", "extend"):
            if self.view().foot[-1].enabled:
                self.desk.go(key, amount_uu=self.amount_uu, purpose=self._purpose)
        else:
            self.desk.go(key)
