"""INHIBITED: the self-test has failed. Every reason and every line of it, and the way on."""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.resume import Resume
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class InhibitedView(View):
    """Headline, reasons, what to do, and the lines of the self-test, failed ones first."""

    headline: str = ""
    reasons: tuple[str, ...] = ()
    what_to_do: tuple[str, ...] = ()
    checks: tuple[Row, ...] = ()
    against: str = ""


class InhibitedPresenter(Presenter):
    """Shown when the pump has become inhibited; it can be left, and home says so as well."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._resume = Resume(desk, then=lambda: desk.go("home"))

    def entered(self, **_: object) -> None:
        """Forget an earlier answer."""
        self._resume.forget()

    def view(self) -> InhibitedView:
        """Return why the pump is inhibited."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return InhibitedView()
        failed = [one for one in snapshot.self_test if not one.ok]
        passed = [one for one in snapshot.self_test if one.ok]
        checks = [Row(words.of_the_pump(one.name), _("failed"), tone="low") for one in failed]
        checks += [Row(words.of_the_pump(one.name), _("passed")) for one in passed]
        resume = self._resume
        label = _("The self-test runs …") if resume.busy else _("Run the self-test again")
        return InhibitedView(
            title=_("Inhibited"),
            foot=(FootItem("home", _("Home")), *resume.foot(label, 2)),
            headline=_("Inhibited: nothing moves"),
            reasons=tuple(words.sentence(one) for one in snapshot.reasons),
            what_to_do=(
                _("1. Put right what is named here."),
                _("2. Run the self-test again. When it passes, delivery can be resumed."),
            ),
            checks=tuple(checks),
            against="\n".join(resume.against) or resume.note,
        )

    def press(self, key: str) -> None:
        """Run the self-test again, re-arm, or go home."""
        if not self._resume.press(key):
            self.desk.go(key)
