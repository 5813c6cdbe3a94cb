"""Reminders: after a bolus, for the set, at meals, at times of day. They never stop anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.client import PumpError
from appliance.client.messages import RemindersSetParams
from appliance.client.words import minute_words
from ui.presenters.change import change, why_not
from ui.presenters.choose import Asking, ListPresenter, ListView, Refuse
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import Field
from ui.presenters.lists import Row
from ui.presenters.number import Question
from ui.presenters.typed import Number, TimeOfDay
from ui.words import _, words

MINUTES = Field(3, 0)
DAYS = Field(2, 0)

PERSONAL: tuple[Callable[[], str], ...] = (
    lambda: _("Weigh the beaker"),
    lambda: _("Empty the waste"),
    lambda: _("Refill the syringe"),
    lambda: _("Look at the tubing"),
    lambda: _("Write the notebook"),
    lambda: _("Walk"),
)
"""What a reminder of one's own can say; a terminal may write any other words."""


class RemindersPresenter(ListPresenter):
    """The list of reminders; each row asks for one."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._set: dict[str, Any] = {}
        self._said = ""
        self._back = "menu"

    def entered(self, **words_: object) -> None:
        """Ask the pump what is set."""
        self._said = str(words_.get("said", ""))
        self._back = str(words_.get("back", self._back))
        self.desk.pump.ask(lambda pump: pump.reminders(), self._told, self._failed)

    def _told(self, reminders: dict[str, Any]) -> None:
        self._set = reminders

    def _failed(self, error: PumpError) -> None:
        self._said = why_not(error)

    def view(self) -> ListView:
        """Return every reminder."""
        kept = self._set
        if not kept:
            return ListView(title=_("Reminders"), foot=(FootItem("back", _("Back")),))
        minutes, days = kept["glucose_min"], kept["site_days"]
        rows = [
            Row(
                "glucose_min",
                _("Check glucose after a bolus"),
                _("{count} min").format(count=minutes) if minutes else _("off"),
            ),
            Row(
                "site_days",
                _("Change the set after"),
                _("{count} d").format(count=days) if days else _("off"),
            ),
            Row("site_at_min", _("at"), minute_words(kept["site_at_min"])),
            Row("", _("Say when no bolus was given between"), heading=True),
        ]
        for place, meal in enumerate(kept["meals"]):
            span = f"{minute_words(meal['from_min'])}–{minute_words(meal['to_min'])}"
            rows.append(Row(f"meal {place}", span, _("take away")))
        rows.append(Row("meal", _("Add a time"), "+"))
        rows.append(Row("", _("At times of day"), heading=True))
        for place, one in enumerate(kept["personal"]):
            name = words.of_the_pump(one["name"])
            rows.append(
                Row(f"own {place}", f"{minute_words(one['at_min'])}  {name}", _("take away"))
            )
        rows.append(Row("own", _("Add a reminder"), "+"))
        return ListView(
            title=_("Reminders"),
            foot=(FootItem("back", _("Back")),),
            rows=tuple(rows),
            note=self._said,
            note_tone="in_range" if self._said == _("Saved.") else "high",
        )

    # ------------------------------------------------------------------ fingers

    def press(self, _key: str) -> None:
        """Go back."""
        words_ = {"opened": True} if self._back == "settings" else {}
        self.desk.go(self._back, **words_)

    def pick(self, key: str) -> None:
        """Ask for one, or take one away."""
        kind, _space, place = key.partition(" ")
        match kind:
            case "glucose_min":
                self._ask_number(
                    key, _("Check glucose so long after a bolus; 0 is off"), "min", MINUTES
                )
            case "site_days":
                self._ask_number(key, _("Change the set after so many days; 0 is off"), "d", DAYS)
            case "site_at_min":
                self._ask_time(
                    _("Change the set at"),
                    minute_words(self._set["site_at_min"]),
                    lambda minute, refuse: self._change({"site_at_min": minute}, refuse),
                )
            case "meal" if place:
                self._take_away("meals", int(place))
            case "meal":
                self._ask_meal()
            case "own" if place:
                self._take_away("personal", int(place))
            case "own":
                self._ask_own()

    def _home(self) -> None:
        self.desk.go("reminders")

    def _change(self, given: dict[str, Any], refuse: Refuse) -> None:
        wanted = RemindersSetParams.model_validate(given)
        change(
            self.desk,
            lambda pump: pump.set_reminders(wanted),
            lambda: self.desk.go("reminders", said=_("Saved.")),
            refuse,
            self._home,
        )

    def _refuse(self, why: str) -> None:
        self._said = why

    def _take_away(self, name: str, place: int) -> None:
        left = [one for at, one in enumerate(self._set[name]) if at != place]
        self._change({name: left}, self._refuse)

    def _ask_number(self, name: str, caption: str, unit: str, field: Field) -> None:
        typed = Number(field, str(self._set[name]))
        self._question(
            caption, typed, lambda text, refuse: self._change({name: int(text)}, refuse), unit
        )

    def _ask_time(self, caption: str, text: str, then: Callable[[int, Refuse], None]) -> None:
        typed = TimeOfDay(text)

        def take(_text: str, refuse: Refuse) -> None:
            if typed.minute is not None:
                then(typed.minute, refuse)

        self._question(caption, typed, take)

    def _question(
        self,
        caption: str,
        typed: Number | TimeOfDay,
        take: Callable[[str, Refuse], None],
        unit: str = "",
    ) -> None:
        self.desk.go(
            "number",
            question=Question(
                title=_("Reminders"),
                caption=caption,
                typed=typed,
                take=take,
                back=self._home,
                unit=unit,
                ok=_("Save") if unit else _("Take"),
            ),
        )

    def _ask_meal(self) -> None:
        def ends(start: int, _refuse: Refuse) -> None:
            def both(end: int, refuse: Refuse) -> None:
                meals = [*self._set["meals"], {"from_min": start, "to_min": end}]
                self._change({"meals": meals}, refuse)

            self._ask_time(_("to"), "", both)

        self._ask_time(_("A bolus is expected from"), "", ends)

    def _ask_own(self) -> None:
        def when(name: str, _refuse: Refuse) -> None:
            def both(minute: int, refuse: Refuse) -> None:
                own = [*self._set["personal"], {"at_min": minute, "name": name}]
                self._change({"personal": own}, refuse)

            self._ask_time(name, "", both)

        rows = tuple(Row(say(), say()) for say in PERSONAL)
        self.desk.go("choose", asking=Asking(_("Reminders"), rows, when, self._home))
