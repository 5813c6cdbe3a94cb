"""Temporary basal: a percentage of the profile or a rate, for a while; presets, and cancel."""

from __future__ import annotations

from appliance.client import BadAmount, PumpClient, PumpError, Snapshot
from appliance.client.messages import Presets, Temp, TempKind, TempStarted
from appliance.client.words import NS_PER_S, parse_rate
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import why_not
from ui.presenters.choose import Asking
from ui.presenters.confirm import Done, Matter, Refuse
from ui.presenters.desk import Desk, FootItem
from ui.presenters.entry import RATE
from ui.presenters.entry import Field as Digits
from ui.presenters.form import Duration, Field, FormPresenter, FormView
from ui.presenters.lists import Choice
from ui.presenters.lists import Row as Listed
from ui.presenters.typed import Number
from ui.words import _, words

_PERCENT = Digits(3, 0)
_S_PER_MIN = 60


def temp_words(temp: Temp) -> str:
    """Say what a temporary basal is: "150% of the profile", "0.800 U/h"."""
    if temp.kind == "percent":
        return _("{percent}% of the profile").format(percent=temp.value)
    return f"{numbers.rate(temp.value)} U/h"


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
                Choice("presets", _("Presets"), bool(self._presets)),
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

    def _list_presets(self) -> None:
        presets = self._presets

        def take(name: str, _refuse: Refuse) -> None:
            self.desk.go("temp", preset=presets[name])

        rows = tuple(
            Listed(
                name,
                name,
                _("{what} for {time}").format(
                    what=temp_words(temp), time=numbers.age(temp.duration_s)
                ),
            )
            for name, temp in sorted(presets.items())
        )

        def back() -> None:
            self.desk.go("temp", kept=True)

        self.desk.go("choose", asking=Asking(_("Presets"), rows, take, back))

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
                back=lambda: self.desk.go("temp", kept=True),
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
