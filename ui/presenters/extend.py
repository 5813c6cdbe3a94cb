"""An extended or dual bolus: which part of an amount goes out at once, and the rest over a time."""

from __future__ import annotations

from appliance.client import BadAmount
from appliance.client.words import parse_dose
from ui.presenters import numbers
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import DOSE
from ui.presenters.form import Duration, Field, FormPresenter, FormView
from ui.presenters.lists import Choice
from ui.presenters.purpose import Purpose, purpose_of
from ui.presenters.typed import Number
from ui.words import _

_SHARES = (0, 30, 50, 70)
_S_PER_MIN = 60


class ExtendPresenter(FormPresenter):
    """The amount comes from the screen before; limits and least parts are the pump's to say."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.amount_uu = 0
        self._purpose: Purpose | None = None
        self.now, self.lasts = Number(DOSE), Duration()

    def entered(self, **words: object) -> None:
        """Begin with all of it later."""
        amount_uu = words.get("amount_uu")
        self.amount_uu = amount_uu if isinstance(amount_uu, int) else 0
        self._purpose = purpose_of(words.get("purpose"))
        self.now, self.lasts = Number(DOSE, "0"), Duration()
        self.chosen, self.against = "lasts", ()

    @property
    def now_uu(self) -> int | None:
        """What goes out at once; None while that is no number."""
        try:
            return parse_dose(self.now.text or "0")
        except BadAmount:
            return None

    @property
    def later_uu(self) -> int | None:
        """What goes out over the time: the rest. None where nothing would be left."""
        now_uu = self.now_uu
        return self.amount_uu - now_uu if now_uu is not None and now_uu < self.amount_uu else None

    def fields(self) -> dict[str, Field]:
        """Return the part at once, and the time for the rest."""
        return {
            "now": Field(_("Now"), "U", self.now),
            "lasts": Field(_("The rest over h:min"), "h", self.lasts),
        }

    def view(self) -> FormView:
        """Return the two parts."""
        fields, message, decimals = self.form()
        later_uu, note = self.later_uu, ""
        if later_uu is None and not message:
            message = _("Less than the whole goes out now: {units}.").format(
                units=numbers.units(self.amount_uu)
            )
        if later_uu is not None:
            note = _("{now} now, then {later} of {whole}").format(
                now=numbers.units(self.now_uu),
                later=numbers.units(later_uu),
                whole=numbers.units(self.amount_uu),
            )
            if self.lasts.complete:
                note = f"{note} " + _("over {time}").format(
                    time=numbers.age(self.lasts.minutes * _S_PER_MIN)
                )
        ready = later_uu is not None and self.lasts.complete
        return FormView(
            title=_("Extended bolus"),
            foot=(
                FootItem("bolus", _("Back")),
                FootItem("review", _("Review"), "primary", enabled=ready, share=2),
            ),
            choices=tuple(Choice(str(share), f"{share}%") for share in _SHARES),
            choice=self._share(),
            fields=fields,
            note=note,
            message=message,
            decimals=decimals,
        )

    def _share(self) -> str:
        found = (share for share in _SHARES if self._part_uu(share) == self.now_uu)
        return str(next(found, ""))

    def _part_uu(self, share: int) -> int:
        """Return a share of the amount on the pad's grid, rounded down."""
        hundredth_uu = 10_000
        return self.amount_uu * share // 100 // hundredth_uu * hundredth_uu

    def choose(self, key: str) -> None:
        """Have a share go out now."""
        self.now = Number(DOSE, numbers.units_bare(self._part_uu(int(key))))

    def press(self, key: str) -> None:
        """Go on to the review, or back to the amount."""
        later_uu = self.later_uu
        if key == "bolus":
            self.desk.go("bolus", amount_uu=self.amount_uu, purpose=self._purpose)
        elif key == "review" and later_uu is not None and self.lasts.complete:
            self.desk.go(
                "review",
                amount_uu=self.amount_uu,
                extended_uu=later_uu,
                extended_s=self.lasts.minutes * _S_PER_MIN,
                purpose=self._purpose,
            )
