"""Resuming by touch; and before it re-arming, where alarms have locked delivery (SR-27)."""

from __future__ import annotations

from collections.abc import Callable

from appliance.client import PumpClient, PumpError
from ui.presenters.change import why_not
from ui.presenters.desk import Desk, FootItem
from ui.words import _


class Resume:
    """What every screen that offers Resume shares: its buttons, and why the pump refused.

    Re-arm stands beside Resume, which waits for it: the two are two touches in two places.
    """

    def __init__(self, desk: Desk, then: Callable[[], None] = lambda: None) -> None:
        """Begin with nothing asked; ``then`` is called once delivery goes on."""
        self._desk, self._then = desk, then
        self._rearmed = self._rearming = False
        self.busy = False
        self.against: tuple[str, ...] = ()

    def forget(self) -> None:
        """Forget an earlier refusal: the screen is shown anew."""
        self.busy = self._rearmed = self._rearming = False
        self.against = ()

    @property
    def locked(self) -> bool:
        """Whether alarms have locked delivery until a person re-arms it."""
        snapshot = self._desk.state.live
        return snapshot is not None and snapshot.raw.get("locked") is True

    @property
    def note(self) -> str:
        """Why there is no resuming yet; "" where there is."""
        if not self.locked:
            return ""
        return _("Alarms stopped delivery three times within 10 min: find out why, then re-arm.")

    def foot(self, text: str, share: float) -> tuple[FootItem, ...]:
        """Return Resume under its words, and Re-arm, which keeps its place once it is done."""
        locked = self.locked
        free = not self.busy and not locked
        resume = FootItem("resume", text, "primary", enabled=free, share=share)
        if not locked and not self._rearmed:
            return (resume,)
        label = _("Re-arm") if locked else _("Re-armed")
        return (FootItem("rearm", label, enabled=locked and not self._rearming), resume)

    def press(self, key: str) -> bool:
        """Re-arm, or resume; return whether the key was one of these."""
        if key == "rearm":
            if self.locked and not self._rearming:
                self._rearming, self.against = True, ()
                self._desk.pump.ask(_rearm, self._rearmed_now, self._failed)
        elif key == "resume":
            if not self.busy and not self.locked:
                self.busy, self.against = True, ()
                self._desk.pump.ask(lambda pump: pump.resume(), self._resumed, self._failed)
        else:
            return False
        return True

    def _rearmed_now(self, _nothing: None) -> None:
        self._rearmed, self._rearming = True, False

    def _resumed(self, _state: str) -> None:
        self.forget()
        self._then()

    def _failed(self, error: PumpError) -> None:
        self.busy = self._rearming = False
        self.against = tuple(why_not(error).split("\n"))


def _rearm(pump: PumpClient) -> None:
    pump.rearm()
