"""After STOP: what ran and what of it went out, and the way back to delivery."""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import account
from ui.presenters.resume import Resume
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class StoppedView(View):
    """``headline`` says what became of the touch; one line for each dose that ran."""

    headline: str = ""
    tone: str = "text"
    lines: tuple[str, ...] = ()
    note: str = ""


class StoppedPresenter(Presenter):
    """Shown by every touch on STOP."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._resume = Resume(desk)

    def entered(self, **_: object) -> None:
        """Forget an earlier refusal."""
        self._resume.forget()

    def view(self) -> StoppedView:
        """Return what was stopped."""
        stop, snapshot = self.desk.last_stop, self.desk.state.live
        if stop is None or not stop.answered:
            return StoppedView(
                title="STOP", headline=_("Stopping …"), foot=self._foot(resume=False)
            )
        if stop.failed:
            return StoppedView(
                title="STOP",
                headline=_("The pump did not answer to STOP"),
                tone="low",
                lines=(words.of_the_pump(stop.failed),),
                note=_("Touch STOP again, or use the button on the pump."),
                foot=self._foot(resume=False),
            )
        lines = tuple(account(part) for dose in stop.doses for part in dose.parts)
        running = snapshot is not None and snapshot.state == "running"
        resume = self._resume
        if resume.busy:
            note = _("The self-test runs, then basal goes on …")
        elif resume.against or resume.locked:
            note = "\n".join(resume.against) or resume.note
        elif running:
            note = _("Basal is delivered again.")
        else:
            note = _("Basal stays off until you resume. Nothing is made up.")
        return StoppedView(
            title="STOP",
            headline=_("Delivery goes on") if running else _("Everything is stopped"),
            lines=lines or (_("Nothing was running."),),
            note=note,
            foot=self._foot(resume=not running),
        )

    def _foot(self, *, resume: bool) -> tuple[FootItem, ...]:
        home = FootItem("home", _("Home"))
        return (home, *self._resume.foot(_("Resume basal"), 2)) if resume else (home,)

    def press(self, key: str) -> None:
        """Go home, re-arm, or resume: the self-test runs first."""
        if not self._resume.press(key):
            self.desk.go(key)
