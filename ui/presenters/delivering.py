"""A bolus on its way: confirmed of programmed, from the confirmation to its last step.

What was sent is never sent under another id. Where the answer is lost the screen says "unknown",
and asks the pump by the id until it knows (F51).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from appliance.client import Dose, PumpClient, PumpError, Refused
from appliance.client.messages import RunningBolus, RunningExtended
from appliance.client.words import in_words
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import confirmed_words, steps_words
from ui.presenters.reasons import reasons_of
from ui.presenters.review import Wish
from ui.words import _, words

_LOOK_S = 0.4


class Phase(Enum):
    """Where the bolus is, as far as is known here."""

    SENDING = auto()
    RUNNING = auto()
    REFUSED = auto()
    UNKNOWN = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class DeliveringView(View):
    """The ring, the big number in it, and every count beside it."""

    headline: str = ""
    tone: str = "insulin"
    share: float = 0.0
    amount: str = ""
    of: str = ""
    left: str = ""
    rows: tuple[Row, ...] = ()
    sentence: str = ""


class DeliveringPresenter(Presenter):
    """Sends the dose once, follows it by its id, and says exactly what became of it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.wish = Wish("", 0)
        self.phase = Phase.ENDED
        self.dose: Dose | None = None
        self.against: tuple[str, ...] = ()
        self._seen: RunningBolus | None = None
        self._stopping = False
        self._looking = False
        self._looked_s = 0.0

    def entered(self, **words: object) -> None:
        """Send the dose that was confirmed; without one, go on with the one that runs."""
        wish = words.get("wish")
        if isinstance(wish, Wish):
            self._send(wish)
            return
        snapshot = self.desk.state.live
        running = (snapshot.bolus or snapshot.extended) if snapshot is not None else None
        if running is not None and running.id != self.wish.request_id:
            self.wish = Wish(running.id, running.programmed_uu)
            self.phase, self.dose, self.against = Phase.RUNNING, None, ()
            self._seen, self._stopping = running, False

    def _send(self, wish: Wish) -> None:
        self.wish, self.phase, self.dose = wish, Phase.SENDING, None
        self.against, self._seen, self._stopping = (), None, False

        def delivered(pump: PumpClient) -> Dose:
            # Without ``stay``: this screen's heartbeat is the way to stop it, and a screen that
            # hangs has none, while its connection would live on (SR-59).
            return pump.deliver(
                wish.request_id,
                wish.amount_uu,
                wish.token,
                speed=wish.speed,
                stay=False,
                again=wish.again,
                extended_uu=wish.extended_uu,
                extended_s=wish.extended_s,
                correction_uu=wish.correction_uu,
                carbs_g=wish.carbs_g,
            )

        self.desk.pump.ask(delivered, self._heard, self._failed)

    def _heard(self, dose: Dose) -> None:
        if dose.id != self.wish.request_id:
            return
        self._looking = False
        self.dose = dose
        self.phase = Phase.RUNNING if any(part.running for part in dose.parts) else Phase.ENDED
        self._stopping = self._stopping and self.phase is Phase.RUNNING

    def _failed(self, error: PumpError) -> None:
        self._looking = False
        if isinstance(error, Refused) and self.phase is Phase.SENDING:
            self.phase = Phase.REFUSED
            self.against = tuple(reasons_of(error.reasons))
        elif self.phase is Phase.SENDING:
            self.phase = Phase.UNKNOWN
            self.against = (str(error),)

    # --- what is shown ------------------------------------------------------------------------

    def view(self) -> DeliveringView:
        """Return the bolus as it is known now."""
        self._follow()
        match self.phase:
            case Phase.SENDING:
                return self._plain(_("Asked for"), _("The pump writes it down before it moves."))
            case Phase.REFUSED:
                return self._plain(
                    _("Refused, nothing delivered"), "\n".join(self.against), tone="low"
                )
            case Phase.UNKNOWN:
                return self._plain(
                    _("Not known yet"),
                    _(
                        "The pump did not answer. It may have begun: this screen looks it up by its"
                        " id, and never asks for it again."
                    ),
                    tone="high",
                )
            case Phase.RUNNING:
                return self._running()
            case _:
                return self._ended()

    def _follow(self) -> None:
        """Keep the newest count; look the dose up once it runs no more, or is not known."""
        snapshot = self.desk.state.live
        if snapshot is None or self.phase in (Phase.SENDING, Phase.REFUSED):
            return
        running = [one for one in (snapshot.bolus, snapshot.extended) if one is not None]
        mine = [one for one in running if one.id == self.wish.request_id]
        if mine:
            self._seen = mine[0]
            self.phase = Phase.RUNNING
            return
        ours = {part.id for part in self.dose.parts} if self.dose is not None else set()
        if any(one.id in ours for one in running):
            self._seen = next(one for one in running if one.id in ours)
            return
        if self.phase in (Phase.RUNNING, Phase.UNKNOWN):
            self._look()

    def _look(self) -> None:
        now_s = self.desk.now_s()
        if self._looking or now_s - self._looked_s < _LOOK_S:
            return
        self._looking, self._looked_s = True, now_s
        request_id = self.wish.request_id

        def found(dose: Dose | None) -> None:
            self._looking = False
            if dose is not None:
                self._heard(dose)
            elif self.phase is Phase.UNKNOWN:
                self.phase = Phase.REFUSED
                self.against = (_("The pump has no dose of this id: nothing was delivered."),)

        self.desk.pump.ask(lambda pump: pump.lookup(request_id), found, self._failed)

    def _plain(self, headline: str, sentence: str, tone: str = "insulin") -> DeliveringView:
        return DeliveringView(
            title=_("Bolus"),
            foot=(FootItem("home", _("Home")),),
            headline=headline,
            tone=tone,
            amount=numbers.units_bare(0) if self.phase is not Phase.UNKNOWN else numbers.DASH,
            of=_("of {units} confirmed").format(units=numbers.units(self.wish.amount_uu)),
            sentence=sentence,
        )

    def _running(self) -> DeliveringView:
        seen = self._seen
        if seen is None:
            return self._plain(_("Delivering"), _("The first steps go out."))
        share_uu = seen.programmed_uu * seen.confirmed_steps // max(1, seen.programmed_steps)
        issued_uu = seen.programmed_uu * seen.issued_steps // max(1, seen.programmed_steps)
        foot = [
            FootItem("home", _("Home")),
            FootItem(
                "stop_bolus",
                _("Stopping …") if self._stopping else _("STOP BOLUS"),
                "stop",
                share=2,
            ),
        ]
        return DeliveringView(
            title=_("Delivering"),
            foot=tuple(foot),
            headline=_("Delivering"),
            share=seen.confirmed_steps / max(1, seen.programmed_steps),
            amount=numbers.units_bare(share_uu),
            of=_("of {units} confirmed").format(units=numbers.units(seen.programmed_uu)),
            left=self._left(seen),
            rows=(
                Row(_("Programmed"), numbers.units(seen.programmed_uu)),
                Row(_("Issued"), _steps(seen.issued_steps, issued_uu)),
                Row(_("Confirmed"), _steps(seen.confirmed_steps, share_uu), tone="in_range"),
                Row(_("Of steps"), numbers.count(seen.programmed_steps)),
                *self._machine_rows(),
            ),
        )

    def _left(self, seen: RunningBolus) -> str:
        if isinstance(seen, RunningExtended):
            left_s = seen.left_s
        elif not self.wish.duration_s:
            return ""
        else:
            left_steps = seen.programmed_steps - seen.confirmed_steps
            left_s = self.wish.duration_s * left_steps // max(1, seen.programmed_steps)
        return _("{time} left").format(time=in_words(left_s))

    def _machine_rows(self) -> tuple[Row, ...]:
        snapshot = self.desk.state.live
        if snapshot is None:
            return ()
        motor = snapshot.raw.get("motor")
        motor = motor if isinstance(motor, dict) else {}
        force_mn = snapshot.raw.get("force_mn")
        rows = []
        if isinstance(force_mn, int):
            rows.append(Row(_("Force"), f"{force_mn / 1000:.1f} N"))
        agree = motor.get("issued_steps") == motor.get("confirmed_steps")
        counts = _("agrees") if agree else _("counts")
        rows.append(Row(_("Guard"), counts, tone="in_range" if agree else "text"))
        return tuple(rows)

    def _ended(self) -> DeliveringView:
        dose = self.dose
        if dose is None:
            return self._plain(_("No bolus runs"), "", tone="muted")
        certain, complete = dose.certain, all(part.complete for part in dose.parts)
        if complete:
            headline, tone = _("Delivered"), "in_range"
            sentence = _("Every step is confirmed.")
        elif certain:
            headline, tone = _("Stopped"), "high"
            sentence = words.sentence(dose.why or "")
        else:
            headline, tone = _("Uncertain"), "high"
            sentence = _(
                "Between these two bounds went out. Limits count the larger; it is not resumed."
            )
        return DeliveringView(
            title=_("Bolus"),
            foot=(FootItem("home", _("Home"), share=1.6),),
            headline=headline,
            tone=tone,
            share=dose.confirmed_steps / max(1, dose.programmed_steps or 1),
            amount=confirmed_words(dose).removesuffix(" U"),
            of=_("of {units} confirmed").format(units=numbers.units(dose.programmed_uu)),
            rows=(
                Row(_("Programmed"), numbers.units(dose.programmed_uu)),
                Row(_("Issued"), _steps(dose.issued_steps, None)),
                Row(_("Confirmed"), _("{steps} steps").format(steps=steps_words(dose))),
                Row(_("Of steps"), numbers.count(dose.programmed_steps)),
                Row(_("Request"), dose.id[:8]),
            ),
            sentence=sentence,
        )

    # --- fingers ------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Go home while it runs on, or stop the bolus and leave basal as it is."""
        if key != "stop_bolus":
            self.desk.go(key)
            return
        self._stopping = True
        self.desk.pump.stop("bolus", self._stopped, self._not_stopped)

    def _stopped(self, doses: list[Dose]) -> None:
        for dose in doses:
            self._heard(dose)

    def _not_stopped(self, _error: PumpError) -> None:
        self._stopping = False


def _steps(steps: int | None, share_uu: int | None) -> str:
    if steps is None:
        return numbers.DASH
    words_ = _("{steps} steps").format(steps=numbers.count(steps))
    return words_ if share_uu is None else f"{words_}, {numbers.units(share_uu)}"


__all__ = ["DeliveringPresenter", "DeliveringView", "Phase"]
