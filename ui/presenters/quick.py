"""A quick bolus: so many steps of a set size, counted with two buttons."""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.words import _


@dataclass(frozen=True, slots=True)
class QuickView(View):
    """The amount, how many steps it is, and which of the two buttons can be pressed."""

    digits: str = ""
    tone: str = "text"
    steps: str = ""
    rows: tuple[Row, ...] = ()
    message: str = ""
    less: bool = False
    more: bool = False


class QuickPresenter(Presenter):
    """Counts steps between nothing and the pump's limit for one bolus: it stops at both (SR-02)."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._steps = 0

    def entered(self, **_words: object) -> None:
        """Begin with nothing."""
        self._steps = 0

    @property
    def step_uu(self) -> int | None:
        """How much a step is; None where none is set, or nothing is known."""
        snapshot = self.desk.state.live
        return None if snapshot is None else snapshot.quick_step_uu

    @property
    def most_uu(self) -> int:
        """How much one bolus may be."""
        snapshot = self.desk.state.live
        limits = snapshot.limits if snapshot is not None else None
        most = limits.get("max_bolus_uu") if limits else None
        return most if isinstance(most, int) else 0

    @property
    def amount_uu(self) -> int:
        """What is counted so far."""
        return self._steps * (self.step_uu or 0)

    def view(self) -> QuickView:
        """Return the amount."""
        step_uu, amount_uu = self.step_uu, self.amount_uu
        more = step_uu is not None and amount_uu + step_uu <= self.most_uu
        message = ""
        if step_uu is None:
            message = _("No step is set: Menu, Settings, Quick bolus.")
        elif not more:
            message = _("One bolus may have at most {units}.").format(
                units=numbers.units(self.most_uu)
            )
        review = _("Review")
        if amount_uu:
            review = _("Review {units}").format(units=numbers.units(amount_uu))
        return QuickView(
            title=_("Quick bolus"),
            foot=(
                FootItem("home", _("Back")),
                FootItem("review", review, "primary", enabled=amount_uu > 0, share=2),
            ),
            digits=numbers.units_bare(amount_uu),
            tone="text" if amount_uu else "faint",
            steps=_("{count} × {units}").format(count=self._steps, units=numbers.units(step_uu)),
            rows=(Row(_("Most for one bolus"), numbers.units(self.most_uu)),),
            message=message,
            less=self._steps > 0,
            more=more,
        )

    def press(self, key: str) -> None:
        """Count one up or down, go on to the review, or leave."""
        step_uu = self.step_uu
        if key == "more":
            if step_uu is not None and self.amount_uu + step_uu <= self.most_uu:
                self._steps += 1
        elif key == "less":
            self._steps = max(0, self._steps - 1)
        elif key == "review":
            if self.amount_uu > 0:
                self.desk.go("review", amount_uu=self.amount_uu)
        else:
            self.desk.go(key)
