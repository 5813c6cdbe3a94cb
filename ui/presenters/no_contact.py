"""No contact: what is not known is not shown, and nothing can be entered.

Where ``pumpd`` wrote why it cannot start, its reasons stand here, with what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters.desk import Presenter, View
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class NoContactView(View):
    """Headline, reasons, and what to do, a sentence each."""

    headline: str = ""
    reasons: tuple[str, ...] = ()
    what_to_do: tuple[str, ...] = ()


class NoContactPresenter(Presenter):
    """Shown by the state alone: nobody can go here."""

    def view(self) -> NoContactView:
        """Return why there is no contact."""
        state = self.desk.state
        if state.not_up:
            return NoContactView(
                title=_("No contact"),
                headline=_("The pump cannot start"),
                reasons=state.not_up,
                what_to_do=(
                    _("Nothing moves until this is put right."),
                    _("Mend what is named above, then start the pump program again."),
                ),
            )
        stop = self.desk.last_stop
        reasons = [words.sentence(state.lost)]
        if stop is not None and stop.failed:
            reasons.append(_("STOP was not answered: use the button on the pump."))
        return NoContactView(
            title=_("No contact"),
            headline=_("No contact with the pump"),
            reasons=tuple(reasons),
            what_to_do=(
                _("What it does now is not known here, so no number is shown."),
                _("It goes on by its own rules. A bolus stops by itself within 3 s."),
                _("This screen looks for it all the time, and comes back by itself."),
            ),
        )
