"""After STOP: what ran and what of it went out, and the way back to delivery."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import PumpError
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import account
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
        self._resuming = False
        self._against: tuple[str, ...] = ()

    def entered(self, **_: object) -> None:
        """Forget an earlier refusal."""
        self._resuming, self._against = False, ()

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
        if self._resuming:
            note = _("The self-test runs, then basal goes on …")
        elif self._against:
            note = "\n".join(self._against)
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
        if not resume:
            return (home,)
        free = not self._resuming
        return (home, FootItem("resume", _("Resume basal"), "primary", enabled=free, share=2))

    def press(self, key: str) -> None:
        """Go home, or resume: the self-test runs first."""
        if key == "home":
            self.desk.go("home")
        elif key == "resume" and not self._resuming:
            self._resuming, self._against = True, ()
            self.desk.pump.ask(lambda pump: pump.resume(), self._resumed, self._refused)

    def _resumed(self, _state: str) -> None:
        self._resuming = False

    def _refused(self, error: PumpError) -> None:
        self._resuming = False
        self._against = tuple(words.of_the_pump(line) for line in str(error).split("; "))
