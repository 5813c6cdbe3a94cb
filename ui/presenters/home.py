"""Home: what the pump does now, and the ways from here."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client import Snapshot
from appliance.client.words import format_glucose
from ui.presenters import numbers
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import confirmed_of_row, steps_of_row
from ui.presenters.trend import HOURS, History, Trend
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class Tile:
    """A card: caption, one big value with its unit, a note below."""

    caption: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = "text"


@dataclass(frozen=True, slots=True)
class HomeView(View):
    """The state in a word and a sentence, the last hours, and three cards."""

    state: str = ""
    state_tone: str = "text"
    sentence: str = ""
    board: Tile = Tile("", "")
    basal: Tile = Tile("", "")
    bolus: Tile = Tile("", "")
    trend: Trend | None = None
    hours: int = 6
    glucose: str = ""
    glucose_tone: str = "text"
    glucose_note: str = ""
    arrow: str = ""


def state_words(snapshot: Snapshot) -> tuple[str, str, str]:
    """Return the state in a word, the name of its colour, and a sentence about it."""
    match snapshot.state:
        case "running":
            if snapshot.raw.get("basal_held"):
                return _("Basal held"), "high", _("A limit holds basal back; nothing is made up.")
            return _("Delivering"), "in_range", _("Basal is delivered as its profile asks.")
        case "suspended":
            return _("Suspended"), "high", _("No basal is delivered, and none of it is made up.")
        case "stopped":
            return _("Stopped"), "high", _("Nothing is delivered until you resume.")
        case "faulted":
            return _("Fault"), "low", " ".join(map(words.sentence, snapshot.reasons))
        case "inhibited":
            return _("Inhibited"), "low", " ".join(map(words.sentence, snapshot.reasons))
        case _:
            return _("Starting"), "muted", _("The self-test runs.")


def on_board(snapshot: Snapshot) -> Tile:
    """Return the card of insulin on board, with both bounds where they differ."""
    caption, found = _("Insulin on board"), snapshot.iob_uu or {}
    total, least = found.get("total"), found.get("least")
    if not isinstance(total, int):
        return Tile(caption, numbers.DASH, "U", _("not known yet"))
    note = ""
    if isinstance(least, int) and numbers.units_bare(least) != numbers.units_bare(total):
        note = _("at least {units}").format(units=numbers.units(least))
    return Tile(caption, numbers.units_bare(total), "U", note, "insulin")


def basal_now(snapshot: Snapshot) -> Tile:
    """Return the card of the basal rate that is delivered now."""
    caption, temp = _("Basal now"), snapshot.temp
    value, note, tone = numbers.rate(snapshot.basal_uu_per_h), "", "text"
    if snapshot.state != "running":
        return Tile(caption, numbers.rate(0), "U/h", _("not delivering"), "high")
    if temp is not None:
        shown = f"{temp.value}%" if temp.kind == "percent" else numbers.rate(temp.value)
        left = numbers.age(temp.left_s)
        note = _("temporary {value}, {left} left").format(value=shown, left=left)
        tone = "insulin"
    return Tile(caption, value, "U/h", note, tone)


def running_bolus(snapshot: Snapshot) -> Tile | None:
    """Return the card of the bolus that runs: what of it is confirmed; None where none does."""
    bolus = snapshot.bolus or snapshot.extended
    if bolus is None:
        return None
    share = bolus.programmed_uu * bolus.confirmed_steps // max(1, bolus.programmed_steps)
    caption = _("Bolus runs") if snapshot.bolus is not None else _("Extended bolus runs")
    note = _("of {units} confirmed").format(units=numbers.units(bolus.programmed_uu))
    return Tile(caption, numbers.units_bare(share), "U", note, "insulin")


ARROWS = {
    "falling very fast": "down",
    "falling fast": "down",
    "falling": "fall",
    "flat": "flat",
    "rising": "rise",
    "rising fast": "up",
    "rising very fast": "up",
}
"""The symbol of each trend; the very fast ones say so in words too."""
LOW_MG_DL, HIGH_MG_DL = 70, 180
"""What is called in range: the range that time in range is counted by."""


def glucose_words(snapshot: Snapshot) -> dict[str, str]:
    """Return the glucose of now as the view's fields; an old value is no present one."""
    glucose = snapshot.glucose
    if glucose is None or glucose.mg_dl is None:
        return {}
    age = numbers.age(glucose.age_s or 0)
    if glucose.state != "ok":
        note = _("no glucose for {age}").format(age=age)
        return {"glucose": numbers.DASH, "glucose_tone": "high", "glucose_note": note}
    value, unit = format_glucose(glucose.mg_dl, glucose.units).split()
    if glucose.mg_dl < LOW_MG_DL:
        tone, word = "low", _("low")
    elif glucose.mg_dl > HIGH_MG_DL:
        tone, word = "high", _("high")
    else:
        tone, word = "in_range", _("in range")
    parts = [unit, word]
    if glucose.arrow is not None:
        parts.append(words.of_the_pump(glucose.arrow))
    note = ", ".join(parts)
    return {
        "glucose": value,
        "glucose_tone": tone,
        "glucose_note": note,
        "arrow": ARROWS.get(glucose.arrow or "", ""),
    }


class HomePresenter(Presenter):
    """The screen that everything comes back to."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._history = History(desk)
        self._hours = HOURS[1]
        self._ran = False

    def entered(self, **_: object) -> None:
        """Look at the history at once: a bolus may just have ended."""
        self._history.look(now=True)

    def view(self) -> HomeView:
        """Return the pump as it is now; the router shows another screen without contact."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return HomeView()
        runs = snapshot.bolus is not None
        self._history.look(now=self._ran and not runs)
        self._ran = runs
        state, tone, sentence = state_words(snapshot)
        if not self._history.available:
            sentence = _("History is not available; delivery goes on.")
        return HomeView(
            title=str(snapshot.raw.get("pump", "")),
            foot=(
                FootItem("bolus", _("Bolus"), "primary"),
                FootItem("basal", _("Basal")),
                FootItem("cartridge", _("Cartridge"), enabled=self.desk.has("cartridge")),
                FootItem("history", _("History"), enabled=self.desk.has("history")),
                FootItem("menu", _("Menu")),
            ),
            state=state,
            state_tone=tone,
            sentence=sentence,
            board=on_board(snapshot),
            basal=basal_now(snapshot),
            bolus=running_bolus(snapshot) or self._last_bolus(snapshot),
            trend=self._history.trend(self._hours),
            hours=self._hours,
            **glucose_words(snapshot),
        )

    def press(self, key: str) -> None:
        """Go where a button leads, or show another span of hours."""
        if key.isdigit():
            self._hours = int(key)
        elif key == "delivering" and not self._ran:
            return
        else:
            self.desk.go(key)

    def _last_bolus(self, snapshot: Snapshot) -> Tile:
        last = self._history.last_bolus()
        if last is None:
            return Tile(_("Last bolus"), numbers.DASH, "", _("none in the last 24 h"), "muted")
        offset_s = snapshot.clock.offset_s if snapshot.clock is not None else 0
        when = numbers.clock(last.utc_ns, offset_s)
        certain = last.certainty == "exact"
        note = _("all {steps} steps confirmed") if certain else _("between {steps} steps")
        if certain and last.confirmed_steps != last.programmed_steps:
            note = _("{steps} steps confirmed, then stopped")
        return Tile(
            _("Last bolus, {time}").format(time=when),
            confirmed_of_row(last),
            "U",
            note.format(steps=steps_of_row(last)),
            "text" if certain else "high",
        )
