"""First start: from an empty ledger to a pump that delivers, step by step.

Each step can be left and taken up again: what is done is what the pump has on record, so nothing is
kept here. Nothing moves before the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.client import BadAmount, Limits, PumpClient, PumpError, Segment, Snapshot
from appliance.client.messages import Basal, PreferencesSetParams
from appliance.client.words import parse_rate, parse_reservoir
from ui.presenters import numbers
from ui.presenters.amount import Row as Fact
from ui.presenters.cartridge import fluid_words, shown_of
from ui.presenters.change import change, why_not
from ui.presenters.check import confirmed
from ui.presenters.choose import Asking, ListPresenter, ListView, Refuse
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import RATE, RESERVOIR
from ui.presenters.lists import Row
from ui.presenters.number import Question
from ui.presenters.settings import LIMITS, PROPOSED, ask_new_pin
from ui.presenters.typed import Number
from ui.words import LANGUAGES, _, words

NAME = "first_start"
FIRST_PROFILE = "Day"
_SIZES_UU = (300_000_000, 200_000_000, 180_000_000, 160_000_000)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its key, its words, what stands there once it is done ("" before), and whether
    the last step waits for it."""

    key: str
    text: str
    value: str
    needed: bool = True


class FirstStartPresenter(ListPresenter):
    """The list of steps, each with what is done of it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._profile: str | None = None
        self._limits: dict[str, int] = {}
        self._typed = dict(PROPOSED)
        self._said = ""
        self._starting = False

    def entered(self, **words_: object) -> None:
        """Ask which profile is followed; the newest snapshot has the rest."""
        self._said, self._starting = str(words_.get("said", "")), False
        self.desk.pump.ask(lambda pump: pump.basal(), self._told, self._failed)

    def _told(self, basal: Basal) -> None:
        self._profile = basal.active

    def _failed(self, error: PumpError) -> None:
        self._said, self._starting = why_not(error), False

    # ------------------------------------------------------------------ what is shown

    def steps(self, snapshot: Snapshot) -> list[Step]:
        """Return every step with what the pump has on record of it."""
        chosen, pin = snapshot.preferences, snapshot.raw.get("pin")
        has_pin = isinstance(pin, dict) and pin.get("set") is True
        size_uu, change_ = chosen.get("syringe_uu"), shown_of(snapshot)
        syringe = ""
        if size_uu:
            syringe = f"{numbers.whole_units(size_uu)}, {fluid_words(chosen.get('fluid'))}"
        loaded = snapshot.reservoir_uu is not None and not change_.get("to_do")
        language = chosen.get("language")
        return [
            Step("language", _("Language"), LANGUAGES[words.language] if language else ""),
            Step("zone", _("Time and zone"), str(chosen.get("zone") or "")),
            Step("pin", _("PIN"), _("set") if has_pin else "", needed=False),
            Step("syringe", _("Syringe"), syringe),
            Step("limits", _("Limits"), _("set") if snapshot.limits else ""),
            Step("profile", _("First basal profile"), self._profile or ""),
            Step("check", _("Light and sound"), _("checked") if confirmed(snapshot) else ""),
            Step(
                "load",
                _("Load, prime"),
                numbers.whole_units(snapshot.reservoir_uu) if loaded else "",
            ),
        ]

    def _next(self, steps: list[Step]) -> str:
        """Return the first step that is open, the PIN only while limits are open too."""
        limits_open = any(one.key == "limits" and not one.value for one in steps)
        for one in steps:
            if not one.value and (one.needed or limits_open):
                return one.key
        return "start"

    def view(self) -> ListView:
        """Return the steps."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return ListView(title=_("First start"))
        steps = self.steps(snapshot)
        due = self._next(steps)
        running = snapshot.state == "running"
        label = _("Go on")
        if due == "start":
            label = _("Start delivery")
        if self._starting:
            label = _("The self-test runs …")
        rows = tuple(
            Row(
                one.key,
                one.text,
                one.value or (_("to do") if one.needed else _("may be left out")),
                f"{place}",
                tone="in_range" if one.value else "high" if one.key == due else "muted",
            )
            for place, one in enumerate(steps, start=1)
        )
        return ListView(
            title=_("First start"),
            foot=(
                FootItem("leave", _("Leave")),
                FootItem(
                    "go", label, "primary", enabled=not self._starting and not running, share=2
                ),
            ),
            rows=rows,
            chosen=due,
            note=self._said
            or _("Nothing moves before the last step. Leave at any time and come back."),
            note_tone="high" if self._said else "muted",
            lead_units=28,
        )

    # ------------------------------------------------------------------ fingers

    def press(self, key: str) -> None:
        """Take up the next step, or leave."""
        snapshot = self.desk.state.live
        if key == "leave":
            self.desk.go("home")
        elif key == "go" and snapshot is not None:
            self.pick(self._next(self.steps(snapshot)))

    def pick(self, key: str) -> None:
        """Take up a step, done or not."""
        self._said = ""
        match key:
            case "language":
                self.desk.go("language", back=NAME)
            case "zone":
                self.desk.go("zone", back=NAME)
            case "pin":
                ask_new_pin(self.desk, self._home, self._home)
            case "syringe":
                self._ask_size()
            case "limits":
                self._limits = {}
                self._ask_limit(0)
            case "profile":
                self._ask_rate()
            case "check":
                self.desk.go("check", back=NAME)
            case "load":
                self._load()
            case "start":
                self._starting = True
                self.desk.pump.ask(
                    lambda pump: pump.resume(), lambda _state: self.desk.go("home"), self._failed
                )

    def _home(self) -> None:
        self.desk.go(NAME)

    def _load(self) -> None:
        """The last step moves the motor, so every other one comes first."""
        snapshot = self.desk.state.live
        if snapshot is None:
            return
        left = [one.text for one in self.steps(snapshot) if one.needed and not one.value]
        if left := [text for text in left if text != _("Load, prime")]:
            self._said = _("First: {steps}.").format(steps=", ".join(left))
        else:
            self.desk.go("set_change", then=NAME)

    def _change(self, act: Callable[[PumpClient], object], refuse: Refuse) -> None:
        change(self.desk, act, self._home, refuse, self._home)

    # --- syringe

    def _ask_size(self) -> None:
        snapshot = self.desk.state.live
        raw = snapshot.raw.get("syringe") if snapshot is not None else None
        syringe = raw if isinstance(raw, dict) else {}
        most_uu = int(syringe.get("capacity_uu", 0))
        per_ml = int(syringe.get("u_per_ml", 0)) or 1
        bore_mm = f"{int(syringe.get('bore_um', 0)) / 1000:.2f}"
        rows = [
            Row(str(one), numbers.whole_units(one), f"{one / per_ml / 1_000_000:.1f} mL")
            for one in sorted({most_uu, *(one for one in _SIZES_UU if one < most_uu)}, reverse=True)
        ]
        rows.append(Row("other", _("Another size"), "…"))
        note = _("The pump is built for a bore of {bore} mm and {units} U in a mL.").format(
            bore=bore_mm, units=per_ml
        )
        self.desk.go(
            "choose",
            asking=Asking(
                _("What a full syringe holds"), tuple(rows), self._sized, self._home, note=note
            ),
        )

    def _sized(self, key: str, _refuse: Refuse) -> None:
        if key != "other":
            self._ask_fluid(int(key))
            return

        def take(text: str, refuse: Refuse) -> None:
            try:
                self._ask_fluid(parse_reservoir(text))
            except BadAmount as bad:
                refuse(words.of_the_pump(str(bad)))

        self.desk.go(
            "number",
            question=Question(
                title=_("Syringe"),
                caption=_("A full syringe holds"),
                typed=Number(RESERVOIR),
                unit="U",
                take=take,
                back=self._home,
            ),
        )

    def _ask_fluid(self, size_uu: int) -> None:
        def take(key: str, refuse: Refuse) -> None:
            wanted = PreferencesSetParams(syringe_uu=size_uu, fluid=key)
            self._change(lambda pump: pump.set_preferences(wanted), refuse)

        rows = (
            Row("test", _("Test fluid or water")),
            Row("rapid", _("Water that stands for rapid-acting insulin")),
        )
        self.desk.go("choose", asking=Asking(_("What it is filled with"), rows, take, self._home))

    # --- limits

    def _ask_limit(self, place: int) -> None:
        name, say, unit, field, parse = LIMITS[place]

        def take(text: str, refuse: Refuse) -> None:
            try:
                self._limits[name] = parse(text)
            except BadAmount as bad:
                refuse(words.of_the_pump(str(bad)))
                return
            self._typed[name] = text
            if place + 1 < len(LIMITS):
                self._ask_limit(place + 1)
            else:
                limits = Limits(**self._limits)
                self._change(lambda pump: pump.set_limits(limits), refuse)

        said = tuple(
            Fact(LIMITS[at][1](), f"{self._typed[LIMITS[at][0]]} {LIMITS[at][2]}")
            for at in range(place)
        )
        self.desk.go(
            "number",
            question=Question(
                title=_("Limits, {number} of {total}").format(number=place + 1, total=len(LIMITS)),
                caption=say(),
                typed=Number(field, self._typed[name]),
                unit=unit,
                take=take,
                back=self._home if place == 0 else lambda: self._ask_limit(place - 1),
                ok=_("Set all five") if place + 1 == len(LIMITS) else _("Next"),
                rows=said,
            ),
        )

    # --- profile

    def _ask_rate(self) -> None:
        def take(text: str, refuse: Refuse) -> None:
            try:
                rate = parse_rate(text)
            except BadAmount as bad:
                refuse(words.of_the_pump(str(bad)))
                return
            day = [Segment(start_min_of_day=0, rate_uu_per_h=rate)]

            def act(pump: PumpClient) -> None:
                pump.import_basal(FIRST_PROFILE, day, replace=True)
                pump.use_basal(FIRST_PROFILE)

            self._change(act, refuse)

        self.desk.go(
            "number",
            question=Question(
                title=_("First basal profile"),
                caption=_("The same rate all day"),
                typed=Number(RATE, "1"),
                unit="U/h",
                take=take,
                back=self._home,
                ok=_("Use it"),
                note=_("Profiles in the menu have more times of day."),
            ),
        )
