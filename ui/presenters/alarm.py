"""An alarm takes the screen: what happened, what of a dose went out, what to do, numbered.

The highest priority comes first, then the oldest. An alarm that nobody has acknowledged comes back
before any other screen; the sound is paused for at most two minutes, and never switched off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from appliance.client import Alarm, Dose, PumpError, Snapshot
from ui.presenters import numbers
from ui.presenters.by_touch import step_words
from ui.presenters.change import why_not
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import account
from ui.words import _, words

Priority = Literal["high", "medium", "low"]

LOW = "low"
"""The priority that takes a strip of the status bar; the others take the screen."""

_ORDER = {"high": 0, "medium": 1, "low": 2}


def unanswered(snapshot: Snapshot) -> list[Alarm]:
    """Return the alarms that nobody has acknowledged, the most urgent first."""
    found = [one for one in snapshot.alarms if not one.acknowledged]
    return sorted(found, key=lambda one: (_ORDER.get(one.priority, 0), one.number))


@dataclass(frozen=True, slots=True)
class AlarmView(View):
    """One alarm in words; ``lead`` and ``symbol`` tell its priority without colour."""

    number: int = 0
    name: str = ""
    priority: str = "high"
    symbol: str = "warning"
    lead: str = ""
    dose: str = ""
    sentence: str = ""
    steps: tuple[str, ...] = ()
    seen: str = ""
    pause: str = ""
    pausable: bool = False
    busy: bool = False


class AlarmPresenter(Presenter):
    """Shown by the state alone, while an alarm is not acknowledged."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._answering: int | None = None
        self._against = ""
        self._dose = ""
        self._ask_again = False

    def entered(self, **_: object) -> None:
        """Ask what became of the bolus that was seen last: an alarm may have ended it."""
        self._dose = ""
        self._ask()

    def left(self) -> None:
        """Forget: another screen is shown."""
        self._ask_again = False

    def idle(self, idle_s: float) -> None:
        """Ask once more about a bolus whose end was not in the record yet, once it has ended."""
        super().idle(idle_s)
        snapshot = self.desk.state.live
        if self._ask_again and snapshot is not None and snapshot.bolus is None:
            self._ask()

    def _ask(self) -> None:
        self._ask_again = False
        request_id = self.desk.last_bolus_id
        if request_id:
            self.desk.pump.ask(lambda pump: pump.lookup(request_id), self._found, self._failed)

    def _found(self, dose: Dose | None) -> None:
        if dose is None:
            return
        if any(part.running for part in dose.parts):
            self._ask_again = True
        elif dose.outcome != "done":
            self._dose = "\n".join(account(part) for part in dose.parts)

    def view(self) -> AlarmView:
        """Return the alarm that comes first."""
        snapshot = self.desk.state.live
        alarms = unanswered(snapshot) if snapshot is not None else []
        if snapshot is None or not alarms:
            return AlarmView()
        alarm = alarms[0]
        if self._answering not in (None, alarm.number):
            self._answering, self._against = None, ""
        left_s = snapshot.audio.paused_left_s
        pause = _("Pause sound 2 min")
        if left_s:
            pause = _("Sound paused, {left} s left").format(left=left_s)
        return AlarmView(
            title=self._title(len(alarms)),
            number=alarm.number,
            name=words.of_the_pump(alarm.name),
            priority=alarm.priority,
            symbol={"high": "warning", "medium": "warning"}.get(alarm.priority, "note"),
            lead=self._lead(snapshot, alarm),
            sentence=self._against or words.sentence(alarm.text),
            dose=self._dose,
            steps=tuple(
                f"{place}. {step_words(step)}"
                for place, step in enumerate(alarm.what_to_do, start=1)
            ),
            seen=_("I have seen it"),
            pause=pause,
            pausable=not left_s and snapshot.audio.sounding,
            busy=self._answering is not None,
            foot=(FootItem("home", _("Home"), share=1.6),) if alarm.priority == LOW else (),
        )

    def _title(self, count: int) -> str:
        if count == 1:
            return _("Alarm")
        return _("Alarm 1 of {count}").format(count=count)

    def _lead(self, snapshot: Snapshot, alarm: Alarm) -> str:
        names = {
            "high": _("High priority"),
            "medium": _("Medium priority"),
            "low": _("Low priority"),
        }
        offset_s = snapshot.clock.offset_s if snapshot.clock is not None else 0
        since = numbers.clock(alarm.since_utc_ns, offset_s)
        parts = [names.get(alarm.priority, alarm.priority), _("since {time}").format(time=since)]
        if alarm.escalated:
            parts.append(_("unanswered for 10 min"))
        if not alarm.active:
            parts.append(_("its cause has gone"))
        return "  ·  ".join([*parts, alarm.code])

    def press(self, key: str) -> None:
        """Acknowledge this one alarm, or pause the sound."""
        if key == "seen":
            number = self.view().number
            self._answering = number
            self.desk.pump.ask(lambda pump: pump.acknowledge(number), self._answered, self._failed)
        elif key == "home":
            self.desk.go("home")
        elif key == "pause":
            self.desk.pump.ask(lambda pump: pump.silence(), lambda _left_s: None, self._failed)

    def _answered(self, _nothing: None) -> None:
        self._against = ""

    def _failed(self, error: PumpError) -> None:
        self._answering, self._against = None, why_not(error)
