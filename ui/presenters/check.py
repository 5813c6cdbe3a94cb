"""Light and sound: each lamp and the buzzer once, and whether a person saw and heard it (SR-53)."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import PumpError, Snapshot
from ui.presenters.change import why_not
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.words import _


@dataclass(frozen=True, slots=True)
class CheckView(View):
    """Three lamps and a bell, lit while they are shown; what to do, and what the pump knows."""

    headline: str = ""
    sentence: str = ""
    lit: bool = False
    lamps: tuple[str, str, str] = ("", "", "")
    sound: str = ""
    known: str = ""
    known_tone: str = "muted"


def confirmed(snapshot: Snapshot) -> bool:
    """Return whether light and sound were found to work since the start."""
    signals = snapshot.raw.get("signals")
    return isinstance(signals, dict) and signals.get("confirmed") is True


class CheckPresenter(Presenter):
    """Shows them, then asks; the answer is the person's and is recorded as theirs."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._back = "menu"
        self._lit_until_s = 0.0
        self._asked = False
        self._said = ""

    def entered(self, **words_: object) -> None:
        """Begin anew, or ask what was seen."""
        self._back = str(words_.get("back", self._back))
        self._asked = words_.get("asked") is True
        self._said = ""
        if not self._asked:
            self._lit_until_s = 0.0

    def view(self) -> CheckView:
        """Return what is to do."""
        snapshot = self.desk.state.live
        lit = self.desk.now_s() < self._lit_until_s
        if self._asked:
            foot = (
                FootItem("missing", _("Not all of it"), enabled=not lit),
                FootItem("seen", _("All seen and heard"), "primary", enabled=not lit),
            )
            headline = _("Look and listen") if lit else _("Were all of them there?")
        else:
            foot = (
                FootItem("back", _("Back")),
                FootItem("show", _("Show them"), "primary", share=2),
            )
            headline = _("Check light and sound")
        works = snapshot is not None and confirmed(snapshot)
        known = _("Checked since the start.") if works else _("Not checked since the start.")
        return CheckView(
            title=_("Light and sound"),
            foot=foot,
            headline=headline,
            sentence=self._said
            or _(
                "Three lamps come on one after the other, and the buzzer sounds. Look at the pump."
            ),
            lit=lit,
            lamps=(_("high"), _("medium"), _("low")),
            sound=_("buzzer"),
            known=known,
            known_tone="in_range" if works else "high",
        )

    def press(self, key: str) -> None:
        """Show, or answer."""
        match key:
            case "back":
                self.desk.go(self._back)
            case "show":
                self.desk.pump.ask(lambda pump: pump.check_signals(), self._shown, self._failed)
            case "seen" | "missing":
                seen = key == "seen"
                self.desk.pump.ask(
                    lambda pump: pump.confirm_signals(seen=seen, how="person"),
                    self._answered,
                    self._failed,
                )

    def _shown(self, duration_ms: int) -> None:
        self._lit_until_s = self.desk.now_s() + duration_ms / 1000
        self.desk.go("check", asked=True)

    def _answered(self, works: bool) -> None:  # the answer is one word
        if works:
            self.desk.go(self._back)
            return
        self.desk.go("check")
        self._said = _("Then new boluses wait until both were seen and heard.")

    def _failed(self, error: PumpError) -> None:
        self._said = why_not(error)

    def idle(self, idle_s: float) -> None:
        """Have the screen follow the lamps."""
        super().idle(idle_s)
        if self._lit_until_s:
            self.desk.redraw()
            if self.desk.now_s() >= self._lit_until_s:
                self._lit_until_s = 0.0
