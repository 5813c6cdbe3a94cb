"""Temporary basal: a percentage of the profile or a rate, for a while; presets, and cancel."""

from __future__ import annotations

from appliance.client import BadAmount, PumpClient, PumpError, Snapshot
from appliance.client.messages import Presets, Temp, TempKind, TempStarted
from appliance.client.words import NS_PER_S, parse_rate
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import change, unlocked, why_not
from ui.presenters.choose import Asking
from ui.presenters.confirm import Done, Matter, Refuse
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import RATE
from ui.presenters.entry import Field as Digits
from ui.presenters.form import Duration, Field, FormPresenter, FormView
from ui.presenters.lists import Choice
from ui.presenters.lists import Row as Listed
from ui.presenters.name import NameQuestion
from ui.presenters.typed import Number
from ui.words import _, words

_PERCENT = Digits(3, 0)
_S_PER_MIN = 60
_KEEP, _TAKE_AWAY, _PRESET = "keep", "take_away", "preset "
"""Keys of the list of presets; the last one stands before a name."""


def temp_words(temp: Temp) -> str:
    """Say what a temporary basal is: "150% of the profile", "0.800 U/h"."""
    if temp.kind == "percent":
        return _("{percent}% of the profile").format(percent=temp.value)
    return f"{numbers.rate(temp.value)} U/h"


def _for_time(what: str, duration_s: int) -> str:
    return _("{what} for {time}").format(what=what, time=numbers.age(duration_s))


def running_words(snapshot: Snapshot | None) -> str:
    """Say what temporary basal runs; "" where none does."""
    temp = snapshot.temp if snapshot is not None else None
    if temp is None:
        return ""
    line = _("{what} runs: {rate} U/h now, {left} left.").format(
        what=temp_words(temp), rate=numbers.rate(temp.rate_uu_per_h), left=numbers.age(temp.left_s)
    )
    return f"{line} {_('The basal limit holds it down.')}" if temp.capped else line


class TempPresenter(FormPresenter):
    """Two fields, the kind above them; whether it may be is the pump's to say."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.kind: TempKind = "percent"
        self.percent, self.rate, self.lasts = Number(_PERCENT), Number(RATE), Duration()
        self._presets: dict[str, Temp] = {}
        self._cancelling = False

    def entered(self, **words: object) -> None:
        """Begin with nothing, with a preset, or with what was reviewed."""
        self.against, self._cancelling = (), False
        kept = words.get("kept")
        if kept is not True:
            self.kind, self.chosen = "percent", "value"
            self.percent, self.rate, self.lasts = Number(_PERCENT), Number(RATE), Duration()
        preset = words.get("preset")
        if isinstance(preset, Temp):
            self._take(preset)

        def came(presets: Presets) -> None:
            self._presets = presets.presets

        self.desk.pump.ask(lambda pump: pump.temp_presets(), came, self._failed)

    def _take(self, preset: Temp) -> None:
        self.kind = "percent" if preset.kind == "percent" else "rate"
        if self.kind == "percent":
            self.percent = Number(_PERCENT, str(preset.value))
        else:
            self.rate = Number(RATE, numbers.rate(preset.value))
        self.lasts.put(preset.duration_s // _S_PER_MIN)

    @property
    def value(self) -> int | None:
        """The percentage, or the rate in microunits an hour; None while it is no number."""
        if self.kind == "percent":
            return self.percent.whole
        try:
            return parse_rate(self.rate.text)
        except BadAmount:
            return None

    def fields(self) -> dict[str, Field]:
        """Return value and duration."""
        if self.kind == "percent":
            value = Field(_("Of the profile"), "%", self.percent)
        else:
            value = Field(_("Rate"), "U/h", self.rate)
        return {"value": value, "lasts": Field(_("For h:min"), "h", self.lasts)}

    def view(self) -> FormView:
        """Return what is typed."""
        fields, message, decimals = self.form()
        snapshot = self.desk.state.live
        runs = snapshot is not None and snapshot.temp is not None
        ready = self.value is not None and self.lasts.complete
        cancel = FootItem("cancel", _("End it now"), enabled=not self._cancelling)
        return FormView(
            title=_("Temporary basal"),
            foot=(
                FootItem("basal", _("Back")),
                *((cancel,) if runs else ()),
                FootItem("review", _("Review"), "primary", enabled=ready, share=1.4),
            ),
            choices=(
                Choice("percent", _("Percent")),
                Choice("rate", "U/h"),
                Choice("presets", _("Presets")),
            ),
            choice=self.kind,
            fields=fields,
            note=running_words(snapshot) or self._scheduled(snapshot),
            message=message,
            decimals=decimals,
        )

    def _scheduled(self, snapshot: Snapshot | None) -> str:
        rate = snapshot.raw.get("scheduled_uu_per_h") if snapshot is not None else None
        if not isinstance(rate, int):
            return ""
        return _("The profile asks for {rate} U/h now.").format(rate=numbers.rate(rate))

    def choose(self, key: str) -> None:
        """Give it in percent, or as a rate, or as it is kept under a name."""
        if key == "presets":
            self._list_presets()
            return
        self.kind = "percent" if key == "percent" else "rate"
        self.chosen, self.against = "value", ()

    def press(self, key: str) -> None:
        """Review it, end the one that runs, or leave."""
        if key == "review":
            self._review()
        elif key == "cancel" and not self._cancelling:
            self._cancelling, self.against = True, ()

            def act(pump: PumpClient) -> None:
                pump.cancel_temp()

            def ended(_answer: None) -> None:
                self._cancelling = False

            self.desk.pump.ask(act, ended, self._failed)
        elif key == "basal":
            self.desk.go("basal")

    def _failed(self, error: PumpError) -> None:
        self._cancelling = False
        self.against = tuple(why_not(error).split("\n"))

    # --- presets ------------------------------------------------------------------------------

    def _back(self) -> None:
        self.desk.go("temp", kept=True)

    def _preset_row(self, name: str) -> Listed:
        temp = self._presets[name]
        what = _for_time(temp_words(temp), temp.duration_s)
        return Listed(f"{_PRESET}{name}", name, what)

    def _list_presets(self) -> None:
        """List what is kept, and what can be done there: keep what is typed, take one away."""
        names, typed, presets = sorted(self._presets), self._typed(), dict(self._presets)
        rows = [self._preset_row(name) for name in names]
        if typed is not None:
            what = _for_time(temp_words(typed), typed.duration_s)
            rows.append(Listed(_KEEP, _("Keep under a name"), what))
        if names:
            rows.append(Listed(_TAKE_AWAY, _("Take one away"), "…"))

        def take(key: str, _refuse: Refuse) -> None:
            if key == _KEEP and typed is not None:
                self._ask_name(typed)
            elif key == _TAKE_AWAY:
                self._ask_which()
            else:
                self.desk.go("temp", preset=presets[key.removeprefix(_PRESET)])

        note = _("Type a temporary basal first: then it can be kept here under a name.")
        asking = Asking(
            _("Presets"), tuple(rows), take, self._back, note="" if typed is not None else note
        )
        self.desk.go("choose", asking=asking)

    def _typed(self) -> Temp | None:
        """Return what the fields hold, where they are complete."""
        value = self.value
        if value is None or not self.lasts.complete:
            return None
        return Temp(kind=self.kind, value=value, duration_s=self.lasts.minutes * _S_PER_MIN)

    def _ask_name(self, temp: Temp) -> None:
        kind: TempKind = "percent" if temp.kind == "percent" else "rate"

        def take(name: str, refuse: Refuse) -> None:
            if name in self._presets:  # the pump would let the old one go without a word
                refuse(_("There is a preset of this name."))
                return

            def save(pump: PumpClient) -> None:
                pump.save_temp(name, kind, temp.value, temp.duration_s)

            change(self.desk, save, self._look_again, refuse, self._list_presets)

        caption = _for_time(temp_words(temp), temp.duration_s)
        question = NameQuestion(_("Keep a preset"), caption, take, self._list_presets)
        # The PIN comes first, where one is set: the name is not typed for nothing.
        unlocked(self.desk, lambda: self.desk.go("name", question=question), self._list_presets)

    def _ask_which(self) -> None:
        def take(key: str, refuse: Refuse) -> None:
            def delete(pump: PumpClient) -> None:
                pump.delete_temp(key.removeprefix(_PRESET))

            change(self.desk, delete, self._look_again, refuse, self._list_presets)

        rows = tuple(self._preset_row(name) for name in sorted(self._presets))
        asking = Asking(_("Take one away"), rows, take, self._list_presets)
        unlocked(self.desk, lambda: self.desk.go("choose", asking=asking), self._list_presets)

    def _look_again(self) -> None:
        """Show what is kept now, as the pump has it."""

        def came(presets: Presets) -> None:
            self._presets = presets.presets
            self._list_presets()

        def failed(error: PumpError) -> None:
            self._failed(error)
            self._back()

        self.desk.pump.ask(lambda pump: pump.temp_presets(), came, failed)

    def _review(self) -> None:
        value, kind, minutes = self.value, self.kind, self.lasts.minutes
        if value is None or not self.lasts.complete:
            return
        duration_s = minutes * _S_PER_MIN

        def act(done: Done, refuse: Refuse) -> None:
            def started(answer: TempStarted) -> None:
                done(tuple(words.of_the_pump(one) for one in answer.notices))

            self.desk.pump.ask(
                lambda pump: pump.start_temp(kind, value, duration_s),
                started,
                lambda error: refuse(why_not(error)),
            )

        percent = kind == "percent"
        self.desk.go(
            "confirm",
            matter=Matter(
                title=_("Temporary basal"),
                lead=_("Basal from now on"),
                big=str(value) if percent else numbers.rate(value),
                unit=_("% of the profile") if percent else "U/h",
                detail=self._until(duration_s),
                rows=self._facts(value),
                hold=_("Hold to begin"),
                act=act,
                done=_("It runs: basal is now"),
                back=self._back,
                after=lambda: self.desk.go("basal"),
            ),
        )

    def _until(self, duration_s: int) -> str:
        snapshot = self.desk.state.live
        lasts = _("for {time}").format(time=numbers.age(duration_s))
        if snapshot is None or snapshot.clock is None:
            return lasts
        end_ns = snapshot.clock.utc_ns + duration_s * NS_PER_S
        until = numbers.clock(end_ns, snapshot.clock.offset_s)
        return f"{lasts}  ·  " + _("until {time}").format(time=until)

    def _facts(self, value: int) -> tuple[Row, ...]:
        snapshot = self.desk.state.live
        if snapshot is None:
            return ()
        rows = []
        scheduled = snapshot.raw.get("scheduled_uu_per_h")
        if isinstance(scheduled, int):
            rows.append(Row(_("The profile, now"), f"{numbers.rate(scheduled)} U/h"))
            if self.kind == "percent":
                asked = scheduled * value // 100
                rows.append(Row(_("This asks for, now"), f"{numbers.rate(asked)} U/h"))
        most = (snapshot.limits or {}).get("max_basal_uu_per_h")
        if isinstance(most, int):
            rows.append(Row(_("Basal limit"), f"{numbers.rate(most)} U/h"))
        if snapshot.temp is not None:
            rows.append(Row(_("It replaces"), temp_words(snapshot.temp)))
        return tuple(rows)
