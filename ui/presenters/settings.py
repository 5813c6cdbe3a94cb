"""Settings: limits, warnings, quick bolus, speed, language, zone, look, PIN. Behind the PIN.

Every value is the pump's, and so is every bound: what it refuses is said in its own words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.client import BadAmount, PumpClient, PumpError, Snapshot
from appliance.client.messages import (
    AlertsSetParams,
    GlucoseSetParams,
    Limits,
    PreferencesSetParams,
)
from appliance.client.words import SPEEDS, in_words, parse_dose, parse_rate, parse_reservoir
from ui.presenters import numbers
from ui.presenters.amount import Row as Fact
from ui.presenters.change import change, unlocked, why_not
from ui.presenters.choose import Asking, ListPresenter, ListView, Refuse
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import DOSE, RATE, RESERVOIR, Field
from ui.presenters.lists import Row
from ui.presenters.number import Question
from ui.presenters.typed import Number, Pin
from ui.presenters.zones import AREAS, areas, zones_of
from ui.words import LANGUAGES, _, words

Parse = Callable[[str], int]

SECONDS = Field(4, 0)
HOURS = Field(2, 0)

LIMITS: tuple[tuple[str, Callable[[], str], str, Field, Parse], ...] = (
    ("max_bolus_uu", lambda: _("Most for one bolus"), "U", DOSE, parse_dose),
    ("hourly_uu", lambda: _("Most in any 60 min"), "U", RESERVOIR, parse_reservoir),
    ("daily_uu", lambda: _("Most in any 24 h"), "U", RESERVOIR, parse_reservoir),
    ("max_basal_uu_per_h", lambda: _("Most basal"), "U/h", RATE, parse_rate),
    ("min_interval_s", lambda: _("Least time between boluses"), "s", SECONDS, int),
)
"""Field, words, unit, digits, and how what was typed is read; in the order they are asked for."""
PROPOSED: dict[str, str] = {
    "max_bolus_uu": "10",
    "hourly_uu": "15",
    "daily_uu": "60",
    "max_basal_uu_per_h": "5",
    "min_interval_s": "60",
}
"""What a first start proposes; nothing is in force until the pump has taken all five."""


def limit_words(name: str, value: object) -> str:
    """Write a limit with its unit; a dash where there is none."""
    if not isinstance(value, int):
        return numbers.DASH
    if name == "min_interval_s":
        return in_words(value)
    if name == "max_basal_uu_per_h":
        return f"{numbers.rate(value)} U/h"
    return numbers.units(value)


def speed_words(speed: object) -> str:
    """Write a bolus speed; the usual one where none was chosen."""
    names = {"slow": _("slow"), "normal": _("normal"), "fast": _("fast")}
    known = str(speed) if speed in names else "normal"
    return f"{names[known]}, {SPEEDS[known]}"


def theme_words(theme: object) -> str:
    """Return the look's name."""
    return _("Light") if theme == "light" else _("Dark")


class SettingsPresenter(ListPresenter):
    """The list of settings; each row leads to a screen that asks for one."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._alerts: dict[str, int] = {}
        self._open = False
        self._said = ""

    def entered(self, **words_: object) -> None:
        """Ask for the PIN first, where one is set."""
        self._said = str(words_.get("said", ""))
        self._open = words_.get("opened") is True  # the pump asks for the PIN all the same
        if self._open:
            self.desk.pump.ask(lambda pump: pump.alerts(), self._told, self._refused)
        else:
            unlocked(self.desk, self._home, lambda: self.desk.go("menu"))

    def _told(self, alerts: dict[str, int]) -> None:
        self._alerts = alerts

    def _refused(self, error: PumpError) -> None:
        self._said = why_not(error)

    # ------------------------------------------------------------------ what is shown

    def view(self) -> ListView:
        """Return every setting with its value."""
        snapshot = self.desk.state.live
        if snapshot is None or not self._open:
            return ListView(title=_("Settings"), foot=(FootItem("back", _("Back")),))
        return ListView(
            title=_("Settings"),
            foot=(
                FootItem("back", _("Back")),
                FootItem("lock", _("Lock now"), enabled=_pin(snapshot)),
            ),
            rows=tuple(self._rows(snapshot)),
            note=self._said,
            note_tone="in_range" if self._said == _("Saved.") else "high",
        )

    def _rows(self, snapshot: Snapshot) -> list[Row]:
        chosen, alerts, limits = snapshot.preferences, self._alerts, snapshot.limits or {}
        glucose = snapshot.glucose.units if snapshot.glucose is not None else "mg/dL"
        quality = snapshot.clock.quality if snapshot.clock is not None else ""
        quick = snapshot.quick_step_uu
        return [
            Row("", _("Limits"), heading=True),
            *(
                Row(name, say(), limit_words(name, limits.get(name)))
                for name, say, *_rest in LIMITS
            ),
            Row("", _("Bolus"), heading=True),
            Row("quick", _("Step of a quick bolus"), _off(quick, numbers.units)),
            Row("speed", _("Bolus speed"), speed_words(chosen.get("speed"))),
            Row("", _("Warnings"), heading=True),
            Row(
                "low_reservoir_uu",
                _("Reservoir below"),
                numbers.units(alerts.get("low_reservoir_uu")),
            ),
            Row(
                "low_reservoir_h",
                _("Reservoir lasts less than"),
                _hours(alerts.get("low_reservoir_h")),
            ),
            Row("auto_off_h", _("Stop when unused for"), _hours(alerts.get("auto_off_h"))),
            Row("reminders", _("Reminders"), "…"),
            Row("", _("Display and time"), heading=True),
            Row("language", _("Language"), LANGUAGES[words.language]),
            Row("theme", _("Look"), theme_words(chosen.get("theme"))),
            Row("glucose", _("Unit of glucose"), glucose),
            Row("zone", _("Time zone"), snapshot.zone),
            Row("time", _("Clock"), clock_words(quality)),
            Row("", _("PIN"), heading=True),
            Row(
                "pin",
                _("Change the PIN") if _pin(snapshot) else _("Set a PIN"),
                _("set") if _pin(snapshot) else _("none"),
            ),
            *([Row("no_pin", _("Have no PIN any more"), "…")] if _pin(snapshot) else []),
        ]

    # ------------------------------------------------------------------ fingers

    def press(self, key: str) -> None:
        """Go back, or lock."""
        if key == "back":
            self.desk.go("menu")
        elif key == "lock":
            self.desk.pump.ask(
                lambda pump: pump.lock(), lambda _n: self.desk.go("home"), self._refused
            )

    def pick(self, key: str) -> None:
        """Ask for one setting."""
        self._said = ""
        for name, say, unit, field, parse in LIMITS:
            if key == name:
                self._ask_limit(name, say(), unit, field, parse)
                return
        match key:
            case "quick":
                self._ask_quick()
            case "speed":
                rows = [Row(one, speed_words(one)) for one in SPEEDS]
                self._choose(_("Bolus speed"), rows, "speed", self._chosen("speed") or "normal")
            case "language":
                self.desk.go("language", back="settings")
            case "theme":
                rows = [Row("dark", theme_words("dark")), Row("light", theme_words("light"))]
                self._choose(_("Look"), rows, "theme", self._chosen("theme") or "dark")
            case "glucose":
                self._ask_glucose()
            case "zone":
                self.desk.go("zone", back="settings")
            case "time":
                self.desk.go("zone", back="settings")
            case "low_reservoir_uu":
                self._ask_alert(key, _("Warn when the reservoir holds less than"), "U", RESERVOIR)
            case "low_reservoir_h":
                self._ask_alert(key, _("Warn when it lasts less than; 0 is off"), "h", HOURS)
            case "auto_off_h":
                self._ask_alert(key, _("Stop when nobody used it for; 0 is off"), "h", HOURS)
            case "reminders":
                self.desk.go("reminders", back="settings")
            case "pin":
                ask_new_pin(self.desk, self._saved, self._home)
            case "no_pin":
                self._ask_no_pin()

    def _home(self) -> None:
        self.desk.go("settings", opened=True)

    def _saved(self) -> None:
        self.desk.go("settings", opened=True, said=_("Saved."))

    def _chosen(self, name: str) -> str:
        snapshot = self.desk.state.live
        return str((snapshot.preferences if snapshot is not None else {}).get(name) or "")

    def _ask_limit(self, name: str, caption: str, unit: str, field: Field, parse: Parse) -> None:
        snapshot = self.desk.state.live
        limits: dict[str, Any] = dict(snapshot.limits or {}) if snapshot is not None else {}
        if not limits:
            self._said = _("Limits are set all at once: Menu, First start.")
            return

        def act(value: int) -> Callable[[PumpClient], object]:
            wanted = Limits(**{**limits, name: value})
            return lambda pump: pump.set_limits(wanted)

        self._ask_number(caption, unit, field, parse, act, _text_of(name, limits[name]))

    def _ask_quick(self) -> None:
        snapshot = self.desk.state.live
        step_uu = snapshot.quick_step_uu if snapshot is not None else None
        text = numbers.units_bare(step_uu) if step_uu else ""
        self._ask_number(
            _("Step of a quick bolus"),
            "U",
            DOSE,
            parse_dose,
            lambda value: lambda pump: pump.set_quick_step(value),
            text,
        )

    def _ask_alert(self, name: str, caption: str, unit: str, field: Field) -> None:
        value = self._alerts.get(name, 0)
        text = _plain(value) if unit == "U" else str(value)
        parse: Parse = parse_reservoir if unit == "U" else int
        self._ask_number(
            caption,
            unit,
            field,
            parse,
            lambda value: lambda pump: pump.set_alerts(AlertsSetParams(**{name: value})),
            text,
        )

    def _ask_number(
        self,
        caption: str,
        unit: str,
        field: Field,
        parse: Parse,
        act: Callable[[int], Callable[[PumpClient], object]],
        text: str,
    ) -> None:
        def take(typed: str, refuse: Refuse) -> None:
            try:
                value = parse(typed)
            except BadAmount as bad:
                refuse(words.of_the_pump(str(bad)))
                return
            change(self.desk, act(value), self._saved, refuse, self._home)

        now = f"{text} {unit}" if text else numbers.DASH
        self.desk.go(
            "number",
            question=Question(
                title=_("Settings"),
                caption=caption,
                typed=Number(field, text),
                unit=unit,
                take=take,
                back=self._home,
                ok=_("Save"),
                rows=(Fact(_("Now"), now),),
            ),
        )

    def _choose(self, title: str, rows: list[Row], name: str, chosen: str) -> None:
        def take(key: str, refuse: Refuse) -> None:
            wanted = PreferencesSetParams.model_validate({name: key})
            change(
                self.desk,
                lambda pump: pump.set_preferences(wanted),
                self._saved,
                refuse,
                self._home,
            )

        self.desk.go("choose", asking=Asking(title, tuple(rows), take, self._home, chosen))

    def _ask_glucose(self) -> None:
        def take(key: str, refuse: Refuse) -> None:
            wanted = GlucoseSetParams.model_validate({"units": key})
            change(
                self.desk, lambda pump: pump.set_glucose(wanted), self._saved, refuse, self._home
            )

        snapshot = self.desk.state.live
        now = snapshot.glucose.units if snapshot is not None and snapshot.glucose else ""
        rows = (Row("mg/dL", "mg/dL"), Row("mmol/L", "mmol/L"))
        self.desk.go("choose", asking=Asking(_("Unit of glucose"), rows, take, self._home, now))

    def _ask_no_pin(self) -> None:
        def take(pin: str, refuse: Refuse) -> None:
            def wrong(error: PumpError) -> None:
                typed.text = ""
                refuse(why_not(error))

            self.desk.pump.ask(lambda pump: pump.clear_pin(pin), lambda _n: self._saved(), wrong)

        typed = Pin()
        self.desk.go(
            "number",
            question=Question(
                title=_("Settings"),
                caption=_("The PIN that is to go"),
                typed=typed,
                take=take,
                back=self._home,
                ok=_("Have no PIN"),
                note=_("Then anybody at this screen can change settings."),
            ),
        )


class LanguagePresenter(ListPresenter):
    """One of the languages, each by its own name."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._back = "menu"
        self._said = ""

    def entered(self, **words_: object) -> None:
        """Note where it goes back to."""
        self._back, self._said = str(words_.get("back", "menu")), ""

    def view(self) -> ListView:
        """Return the languages."""
        return ListView(
            title=_("Language"),
            foot=(FootItem("back", _("Back")),),
            rows=tuple(Row(key, name) for key, name in LANGUAGES.items()),
            chosen=words.language,
            note=self._said,
            note_tone="high",
        )

    def press(self, _key: str) -> None:
        """Go back."""
        self.desk.go(self._back)

    def pick(self, key: str) -> None:
        """Speak another language; the pump keeps it."""
        wanted = PreferencesSetParams.model_validate({"language": key})
        back = self._back
        change(
            self.desk,
            lambda pump: pump.set_preferences(wanted),
            lambda: self.desk.go(back),
            self._refuse,
            lambda: self.desk.go("language", back=back),
        )

    def _refuse(self, why: str) -> None:
        self._said = why


class ZonePresenter(ListPresenter):
    """The time zone: first the part of the world, then the place; and what the clock shows."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._back = "settings"
        self._area = ""
        self._said = ""

    def entered(self, **words_: object) -> None:
        """Begin with the parts of the world."""
        self._back = str(words_.get("back", self._back))
        self._area, self._said = str(words_.get("area", "")), ""

    def view(self) -> ListView:
        """Return the parts of the world, or the places of one."""
        snapshot = self.desk.state.live
        clock = snapshot.clock if snapshot is not None else None
        time = numbers.clock(clock.utc_ns, clock.offset_s) if clock is not None else "--:--"
        now = snapshot.zone if snapshot is not None else ""
        note = _("The clock shows {time} in {zone}: {quality}.").format(
            time=time, zone=now, quality=clock_words(clock.quality if clock is not None else "")
        )
        if self._area:
            rows = [Row(zone, place) for zone, place in zones_of(self._area)]
        else:
            rows = [Row(area, AREAS[area]()) for area in areas()]
        return ListView(
            title=_("Time zone"),
            foot=(FootItem("back", _("Back")),),
            rows=tuple(rows),
            chosen=now if self._area else now.partition("/")[0],
            note=self._said or note,
            note_tone="high" if self._said else "muted",
        )

    def press(self, _key: str) -> None:
        """Go back, from the places to the parts of the world first."""
        if self._area:
            self.desk.go("zone", back=self._back)
        else:
            self.desk.go(self._back)

    def pick(self, key: str) -> None:
        """Take a part of the world, or a place."""
        if not self._area and key != "UTC":
            self.desk.go("zone", area=key)
            return
        wanted, back = PreferencesSetParams(zone=key), self._back
        change(
            self.desk,
            lambda pump: pump.set_preferences(wanted),
            lambda: self.desk.go(back),
            self._refuse,
            lambda: self.desk.go("zone", back=back),
        )

    def _refuse(self, why: str) -> None:
        self._said = why


def clock_words(quality: str) -> str:
    """Say how far the pump's clock may be believed."""
    names = {
        "synchronised": _("set by the network"),
        "set": _("set, not by the network"),
        "not set": _("not set: set the time of the computer"),
    }
    return names.get(quality, quality)


def ask_new_pin(desk: Desk, done: Callable[[], None], back: Callable[[], None]) -> None:
    """Ask for a new PIN twice, and for the old one before that where one is set."""
    snapshot = desk.state.live
    if snapshot is not None and _pin(snapshot):
        _ask(desk, _("The PIN until now"), lambda old, _refuse: _new(desk, old, done, back), back)
    else:
        _new(desk, None, done, back)


def _new(desk: Desk, old: str | None, done: Callable[[], None], back: Callable[[], None]) -> None:
    def again(new: str, _refuse: Refuse) -> None:
        def take(repeated: str, refuse: Refuse) -> None:
            if repeated != new:
                refuse(_("The two are not the same. Go back and begin anew."))
                return
            desk.pump.ask(
                lambda pump: pump.set_pin(old, new),
                lambda _n: _unlock(desk, new, done),
                lambda error: refuse(why_not(error)),
            )

        _ask(desk, _("The same PIN again"), take, back)

    _ask(desk, _("A new PIN, 6 to 12 digits"), again, back)


def _unlock(desk: Desk, pin: str, done: Callable[[], None]) -> None:
    """Who has just set the PIN has it: go on without asking for it."""
    desk.pump.ask(lambda pump: pump.unlock(pin), lambda _n: done(), lambda _error: done())


def _ask(
    desk: Desk, caption: str, take: Callable[[str, Refuse], None], back: Callable[[], None]
) -> None:
    question = Question(
        title=_("PIN"),
        caption=caption,
        typed=Pin(),
        take=take,
        back=back,
        ok=_("Go on"),
        note=_("The pump keeps no copy of it that can be read."),
    )
    desk.go("number", question=question)


def _pin(snapshot: Snapshot) -> bool:
    pin = snapshot.raw.get("pin")
    return isinstance(pin, dict) and pin.get("set") is True


def _off(value: int | None, write: Callable[[int], str]) -> str:
    return write(value) if value else _("off")


def _hours(value: int | None) -> str:
    return numbers.DASH if value is None else _off(value, lambda hours: f"{hours} h")


def _plain(amount_uu: int) -> str:
    return numbers.units_bare(amount_uu).removesuffix(".00")


def _text_of(name: str, value: int) -> str:
    if name == "min_interval_s":
        return str(value)
    if name == "max_basal_uu_per_h":
        return numbers.rate(value)
    return _plain(value)
