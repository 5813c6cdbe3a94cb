"""The computer behind the pump: its clock, a USB stick, restart, switch off.

None of it while the pump delivers: that is asked of the pump in the same breath as the deed, since
what the screen shows may be a second old.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from appliance.client import PumpClient, Snapshot
from ui.presenters import numbers
from ui.presenters.amount import Row as Fact
from ui.presenters.change import unlocked, why_not
from ui.presenters.choose import ListPresenter, ListView, Refuse
from ui.presenters.confirm import Matter
from ui.presenters.desk import Desk, FootItem
from ui.presenters.lists import Row
from ui.presenters.number import Question
from ui.presenters.typed import Day, TimeOfDay
from ui.system import Stick, System
from ui.words import _, words

NAME = "computer"
_AT_REST = ("stopped", "suspended", "faulted", "inhibited")


def delivers(snapshot: Snapshot) -> bool:
    """Say whether the pump delivers, or would begin to by itself."""
    return snapshot.delivering or snapshot.state not in _AT_REST


class ComputerPresenter(ListPresenter):
    """A list of what the computer can be asked for; each is held to be confirmed."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._sticks: tuple[Stick, ...] = ()
        self._said, self._tone = "", "high"

    def entered(self, **words_: object) -> None:
        """Look for sticks."""
        self._said, self._tone = str(words_.get("said", "")), "in_range"
        self._sticks = ()
        system = self.desk.system
        if system is not None:
            self.desk.pump.ask(lambda _pump: system.sticks(), self._seen, lambda _error: None)

    def _seen(self, found: tuple[list[Stick], str]) -> None:
        sticks, why = found
        self._sticks = tuple(sticks)
        if why:
            self._refuse(why)

    # ------------------------------------------------------------------ what is shown

    def view(self) -> ListView:
        """Return the list."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return ListView(title=_("Computer"), foot=(FootItem("back", _("Back")),))
        # In the foot and not in the list: what confirms them has another place (SR-07).
        foot = (
            FootItem("back", _("Back")),
            FootItem("restart", _("Restart")),
            FootItem("off", _("Switch off")),
        )
        clock = snapshot.clock
        now = numbers.clock(clock.utc_ns, clock.offset_s) if clock is not None else "--:--"
        sticks = [
            Row(one.partition, one.name or one.partition, _place_words(one)) for one in self._sticks
        ]
        note = self._said
        if not note and delivers(snapshot):
            note = _("The pump delivers: suspend it first.")
        return ListView(
            title=_("Computer"),
            foot=foot,
            rows=(
                Row("", _("Clock"), heading=True),
                Row("time", _("Set date and time"), now),
                Row("zone", _("Give the computer the pump's time zone"), snapshot.zone),
                Row("", _("USB stick"), heading=True),
                *(sticks or [Row("", _("No stick is plugged in"))]),
                Row("look", _("Look for a stick"), "…"),
            ),
            note=note,
            note_tone=self._tone if self._said else "high",
        )

    # ------------------------------------------------------------------ fingers

    def press(self, key: str) -> None:
        """Go back, or ask for an end, unless the pump delivers."""
        if key == "back":
            self.desk.go("menu")
        elif self._at_rest():
            if key == "off":
                self._confirm_off()
            elif key == "restart":
                self._confirm_restart()

    def pick(self, key: str) -> None:
        """Ask for one of them, unless the pump delivers."""
        if key == "look":
            self.entered()
            return
        snapshot = self._at_rest()
        if snapshot is None:
            return
        match key:
            case "time":
                unlocked(self.desk, lambda: self._ask_day(snapshot), self._home)
            case "zone":
                unlocked(self.desk, lambda: self._set_zone(snapshot.zone), self._home)
            case _:
                self._move_stick(key)

    def _at_rest(self) -> Snapshot | None:
        """Return the pump's state where it does not deliver; else the note says that it does."""
        snapshot = self.desk.state.live
        if snapshot is None or delivers(snapshot):
            self._said = ""
            return None
        return snapshot

    def _home(self) -> None:
        self.desk.go(NAME)

    def _refuse(self, why: str) -> None:
        self._said, self._tone = words.sentence(why), "high"

    def _do(self, act: Callable[[System], str], done: Callable[[], None], refuse: Refuse) -> None:
        """Have the computer do something, if the pump says that it does not deliver now."""
        system = self.desk.system
        if system is None:
            return

        def asked(pump: PumpClient) -> str | None:
            return None if delivers(pump.status()) else act(system)

        def answered(why: str | None) -> None:
            if why is None:
                refuse(_("The pump delivers: suspend it first."))
            elif why:
                refuse(words.sentence(why))
            else:
                done()

        self.desk.pump.ask(asked, answered, lambda error: refuse(why_not(error)))

    def _go_on(self, said: str) -> Callable[[], None]:
        return lambda: self.desk.go(NAME, said=said)

    # --- power

    def _confirm_off(self) -> None:
        self._confirm(
            _("Switch off"),
            _("The computer ends every program and switches off."),
            _("To have it on again, take its supply away and give it back."),
            _("It switches off now."),
            System.switch_off,
        )

    def _confirm_restart(self) -> None:
        self._confirm(
            _("Restart"),
            _("The computer ends every program and starts again."),
            _("The pump comes back as it is now: nothing is resumed by itself."),
            _("It restarts now."),
            System.restart,
        )

    def _confirm(
        self, title: str, lead: str, detail: str, done: str, act: Callable[[System], str]
    ) -> None:
        matter = Matter(
            title=title,
            lead=lead,
            big=title,
            unit="",
            detail=detail,
            hold=title,
            act=lambda ok, refuse: self._do(act, lambda: ok(()), refuse),
            done=done,
            back=self._home,
            after=lambda: self.desk.go("home"),
        )
        self.desk.go("confirm", matter=matter)

    # --- stick

    def _move_stick(self, key: str) -> None:
        stick = next((one for one in self._sticks if one.partition == key), None)
        if stick is None:
            return
        name = stick.name or stick.partition
        if stick.place:
            said = _("{name} may be pulled out.").format(name=name)
            self._do(lambda system: system.stick_out(stick), self._go_on(said), self._refuse)
        else:
            said = _("{name} is in.").format(name=name)
            self._do(lambda system: system.stick_in(stick), self._go_on(said), self._refuse)

    # --- clock

    def _set_zone(self, zone: str) -> None:
        said = _("The computer's time zone is {zone}.").format(zone=zone)

        def refuse(why: str) -> None:
            self.desk.go(NAME)
            self._refuse(why)

        self._do(lambda system: system.set_zone(zone), self._go_on(said), refuse)

    def _ask_day(self, snapshot: Snapshot) -> None:
        clock, zone = snapshot.clock, ZoneInfo(snapshot.zone)
        if clock is not None and clock.quality == "synchronised":
            self.desk.go(NAME)
            self._refuse(_("The network sets the clock"))
            return
        now = datetime.fromtimestamp((clock.utc_ns if clock is not None else 0) // 10**9, zone)
        typed = Day(now.date().isoformat())

        def take(_text: str, _refuse: Refuse) -> None:
            if typed.date is not None:
                self._ask_time(typed.date, now.strftime("%H:%M"), zone)

        question = Question(
            title=_("Set date and time"),
            caption=_("Date: year, month, day"),
            typed=typed,
            take=take,
            back=self._home,
            ok=_("Next"),
        )
        self.desk.go("number", question=question)

    def _ask_time(self, day: date, now: str, zone: ZoneInfo) -> None:
        typed = TimeOfDay(now)

        def take(_text: str, _refuse: Refuse) -> None:
            minute = typed.minute
            if minute is not None:
                self._confirm_time(
                    datetime.combine(day, time(*divmod(minute, 60)), zone).astimezone(UTC), zone
                )

        question = Question(
            title=_("Set date and time"),
            caption=_("Time of day"),
            typed=typed,
            take=take,
            back=self._home,
            ok=_("Next"),
            rows=(Fact(_("Date"), day.isoformat()), Fact(_("Time zone"), zone.key)),
        )
        self.desk.go("number", question=question)

    def _confirm_time(self, utc: datetime, zone: ZoneInfo) -> None:
        local = utc.astimezone(zone)
        matter = Matter(
            title=_("Set date and time"),
            lead=_("The clock is set to"),
            big=local.strftime("%H:%M"),
            unit=local.date().isoformat(),
            detail=_("The basal schedule follows it; nothing is made up."),
            hold=_("Set the clock"),
            act=lambda ok, refuse: self._do(
                lambda system: system.set_time(utc), lambda: ok(()), refuse
            ),
            done=_("The clock is set."),
            back=self._home,
            after=self._home,
            rows=(Fact(_("Time zone"), zone.key),),
        )
        self.desk.go("confirm", matter=matter)


def _place_words(stick: Stick) -> str:
    size = f"{stick.size}, " if stick.size else ""
    return size + (_("in: touch to take it out") if stick.place else _("touch to take it in"))
