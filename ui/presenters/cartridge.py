"""Cartridge and set: what is loaded, how old each part is, what was wasted; and the way to change.

The steps, their bounds, declarations and questions are the pump's (SR-32). This screen shows them
one after the other: first what you declare, then, in another place, the button that is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.client import BadAmount, Dose, PumpError, Snapshot
from appliance.client.messages import CartridgeStep
from appliance.client.words import parse_dose, parse_reservoir
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import why_not
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.doses import account
from ui.presenters.entry import DOSE, RESERVOIR
from ui.presenters.number import Question, Refuse
from ui.presenters.typed import Number
from ui.words import _, words

HOLD_S = 2.0
"""How long the second confirmation is held."""
PRIME_UU, CANNULA_UU = 5_000_000, 500_000
"""What is proposed for a prime and a cannula; the pump has the bounds."""
_HOURS_PER_DAY = 24
_TOTAL = 5

SITES = (
    ("abdomen_upper_right", 0.415, 0.66),
    ("abdomen_upper_left", 0.585, 0.66),
    ("abdomen_lower_right", 0.415, 0.47),
    ("abdomen_lower_left", 0.585, 0.47),
    ("arm_right", 0.245, 0.62),
    ("arm_left", 0.755, 0.62),
    ("thigh_right", 0.4, 0.26),
    ("thigh_left", 0.6, 0.26),
)
"""Places on the map of the body, from the front, and where they are drawn: 0 to 1, y upwards."""
BEAKER = "beaker"
"""The place of a set on a bench: it leads into the waste."""


def site_words(site: str) -> str:
    """Return the name of a site in the language in use; one from elsewhere stays as it is."""
    names = {
        "abdomen_upper_right": _("Belly, upper right"),
        "abdomen_upper_left": _("Belly, upper left"),
        "abdomen_lower_right": _("Belly, lower right"),
        "abdomen_lower_left": _("Belly, lower left"),
        "arm_right": _("Right arm"),
        "arm_left": _("Left arm"),
        "thigh_right": _("Right thigh"),
        "thigh_left": _("Left thigh"),
        BEAKER: _("Beaker"),
    }
    return names.get(site, site)


def age_words(age_h: object) -> str:
    """Write an age in hours as "2 d 5 h"; a dash where it is not known."""
    if not isinstance(age_h, int):
        return numbers.DASH
    days, hours = divmod(age_h, _HOURS_PER_DAY)
    return f"{days} d {hours} h" if days else f"{hours} h"


def fluid_words(kind: object) -> str:
    """Return what a fluid is."""
    names = {"rapid": _("as rapid-acting insulin"), "test": _("test fluid")}
    return names.get(str(kind), numbers.DASH if kind is None else str(kind))


def shown_of(snapshot: Snapshot | None) -> Mapping[str, Any]:
    """Return what the newest snapshot says of cartridge and set."""
    raw = snapshot.raw.get("cartridge") if snapshot is not None else None
    return raw if isinstance(raw, dict) else {}


@dataclass(frozen=True, slots=True)
class CartridgeView(View):
    """A drawn syringe filled to ``share``, and every fact about it."""

    headline: str = ""
    note: str = ""
    tone: str = "text"
    share: float = 0.0
    rows: tuple[Row, ...] = ()
    waste: tuple[Row, ...] = ()


class CartridgePresenter(Presenter):
    """What is loaded, and the ways to a change."""

    def view(self) -> CartridgeView:
        """Return cartridge and set as they are."""
        snapshot = self.desk.state.live
        shown = shown_of(snapshot)
        held_uu = snapshot.reservoir_uu if snapshot is not None else None
        size_uu = shown.get("size_uu") or 0
        to_do = shown.get("to_do")
        note = words.of_the_pump(f"the set is unfinished: {to_do}") if to_do else ""
        change = _("Go on") if to_do else _("Change")
        wasted = shown.get("wasted_uu") or {}
        return CartridgeView(
            title=_("Cartridge and set"),
            foot=(
                FootItem("home", _("Back")),
                FootItem("prime", _("Prime"), enabled=held_uu is not None),
                FootItem("change", change, "primary", share=2),
            ),
            headline=numbers.whole_units(held_uu) if held_uu is not None else _("No cartridge"),
            note=note
            or _("of {size}, {fluid}").format(
                size=numbers.whole_units(size_uu), fluid=fluid_words(shown.get("kind"))
            )
            if held_uu is not None or note
            else _("Load one to deliver."),
            tone="high" if note else "muted",
            share=min(1.0, held_uu / size_uu) if held_uu is not None and size_uu else 0.0,
            rows=(
                Row(_("Reservoir"), age_words(shown.get("reservoir_age_h"))),
                Row(_("Tubing"), age_words(shown.get("tubing_age_h"))),
                Row(_("Cannula"), age_words(shown.get("cannula_age_h"))),
            ),
            waste=(
                Row(_("Primed"), numbers.units(wasted.get("prime"))),
                Row(_("In cannulas"), numbers.units(wasted.get("cannula"))),
                Row(_("Left in old cartridges"), numbers.units(wasted.get("left"))),
            ),
        )

    def press(self, key: str) -> None:
        """Go on."""
        if key == "home":
            self.desk.go("home")
        elif key == "prime":
            self.desk.go("set_change", at="prime", then="cartridge")
        elif key == "change":
            self.desk.go("set_change")


@dataclass(frozen=True, slots=True)
class SetChangeView(View):
    """One step: a picture, a headline, what to do, and in the end a button that is held."""

    step: str = ""
    """Which step of how many, in words."""
    picture: str = ""
    share: float = 0.0
    """How far what is drawn has moved, 0 to 1."""
    headline: str = ""
    lines: tuple[str, ...] = ()
    amount: str = ""
    amount_note: str = ""
    editable: bool = False
    hold: str = ""
    hold_note: str = ""
    ready: bool = True
    message: str = ""
    sites: bool = False
    site: str = ""
    used: tuple[str, ...] = ()


_AFTER = {"rewound": "load", "loaded": "prime", "primed": "cannula", "filled": "site"}
_ORDER = ("rewind", "load", "prime", "cannula", "site")


class SetChangePresenter(Presenter):
    """Walks through a change; each step can be left, and the pump knows where it stands."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.at = "rewind"
        self._declared = ""
        self._question = ""
        self._token = ""
        self._moving: tuple[str, str] | None = None
        self._dose: Dose | None = None
        self._looking = False
        self._against = ""
        self._busy = False
        self._stopping = False
        self._amount_uu = {"prime": PRIME_UU, "cannula": CANNULA_UU}
        self._site = self._fluid = ""
        self._used: tuple[str, ...] = ()
        self._then = "cartridge"

    def entered(self, **words_: object) -> None:
        """Begin where the pump says that the change stands, or at the step that was asked for."""
        if not words_ or "then" in words_:
            self._then = str(words_.get("then", "cartridge"))
        at = words_.get("at")
        if words_.get("stay"):
            self._forget_question()
            return
        last = shown_of(self.desk.state.live).get("last")
        self.at = str(at) if at else _AFTER.get(str(last), "rewind")
        self._moving, self._dose, self._site = None, None, ""
        self._forget_question()
        running = shown_of(self.desk.state.live)
        dose = running.get("dose")
        if running.get("running") and isinstance(dose, dict):  # it goes on, whoever began it
            self.at = str(running["running"])
            self._moving = (self.at, str(dose.get("id")))
        self.desk.pump.ask(lambda pump: pump.cartridge(), self._told, self._failed)

    def _forget_question(self) -> None:
        self._declared = self._question = self._token = self._against = ""
        self._busy = self._stopping = False

    def _told(self, cartridge: dict[str, Any]) -> None:
        sites: Sequence[Any] = cartridge.get("sites") or ()
        self._used = tuple(str(one.get("site")) for one in sites if isinstance(one, dict))

    def _failed(self, error: PumpError) -> None:
        self._busy = self._stopping = False
        self._against = why_not(error)

    # ------------------------------------------------------------------ what is shown

    def view(self) -> SetChangeView:
        """Return the step."""
        snapshot = self.desk.state.live
        runs = snapshot is not None and snapshot.state in ("running", "starting")
        if (runs or self._stopping) and not self._moving:
            return self._basal_runs()  # until the pump has answered: then the next step begins
        if self._moving is not None:
            return self._runs(*self._moving)
        if self._token:
            return self._second()
        return {
            "rewind": self._rewind,
            "load": self._load,
            "prime": self._prime,
            "cannula": self._cannula,
            "site": self._where,
            "done": self._done,
        }[self.at]()

    def _step(self, at: str) -> str:
        number = _ORDER.index(at) + 1 if at in _ORDER else _TOTAL
        return _("Step {number} of {total}").format(number=number, total=_TOTAL)

    def _basal_runs(self) -> SetChangeView:
        return SetChangeView(
            title=_("Change cartridge and set"),
            foot=(
                FootItem("leave", _("Back")),
                FootItem("suspend", _("Stop delivery"), "primary", enabled=not self._busy, share=2),
            ),
            picture="rest",
            headline=_("Delivery has to stop first"),
            lines=(
                _("Basal and boluses end now, and none of it is made up."),
                _("After the change you start delivery again."),
            ),
            message=self._against,
        )

    def _first(
        self,
        at: str,
        picture: str,
        headline: str,
        lines: Sequence[str],
        *,
        foot: Sequence[FootItem],
        **more: Any,  # noqa: ANN401
    ) -> SetChangeView:
        return SetChangeView(
            title=_("Change cartridge and set"),
            foot=(FootItem("leave", _("Leave")), *foot),
            step=self._step(at),
            picture=picture,
            headline=headline,
            lines=tuple(lines),
            message=self._against,
            **more,
        )

    def _rewind(self) -> SetChangeView:
        return self._first(
            "rewind",
            "take_out",
            _("Take the old syringe out"),
            (
                _("Take the set off, then the syringe out of the pump."),
                _("What is left in it counts as waste."),
            ),
            foot=(
                FootItem("skip", _("It is back")),
                FootItem("declare", _("The syringe is out"), "primary", share=2),
            ),
        )

    def _load(self) -> SetChangeView:
        size_uu, fluid = self._load_of()
        return self._first(
            "load",
            "put_in",
            _("Put a full syringe in"),
            (
                _("Fill it with water or test fluid, without air, and put it in."),
                _("Fluid: {fluid}").format(fluid=fluid_words(fluid)),
            ),
            foot=(
                FootItem("fluid", _("Fluid")),
                FootItem(
                    "load",
                    _("Load {units}").format(units=numbers.whole_units(size_uu)),
                    "primary",
                    enabled=not self._busy,
                    share=2,
                ),
            ),
            amount=numbers.whole_units(size_uu),
            amount_note=_("It holds"),
            editable=True,
        )

    def _prime(self) -> SetChangeView:
        amount = numbers.units(self._amount_uu["prime"])
        return self._first(
            "prime",
            "prime",
            _("Fill the tubing"),
            (
                _("Lead the tubing into the waste, and to nothing else."),
                _("Watch its end: stop when drops fall, or prime once more."),
            ),
            foot=(
                FootItem("next", _("It is full")),
                FootItem("declare", _("It leads into the waste"), "primary", share=2),
            ),
            amount=amount,
            amount_note=_("Prime"),
            editable=True,
        )

    def _cannula(self) -> SetChangeView:
        return self._first(
            "cannula",
            "cannula",
            _("Fill the cannula"),
            (
                _("Put the set in its place and pull the needle out."),
                _("A set without a needle has nothing to fill: go on."),
            ),
            foot=(
                FootItem("next", _("Nothing to fill")),
                FootItem("declare", _("The set is in its place"), "primary", share=2),
            ),
            amount=numbers.units(self._amount_uu["cannula"]),
            amount_note=_("Fill"),
            editable=True,
        )

    def _where(self) -> SetChangeView:
        last = site_words(self._used[0]) if self._used else ""
        lines = [_("Touch where the set is now.")]
        if last:
            lines.append(_("Last time: {site}").format(site=last))
        return self._first(
            "site",
            "",
            _("Where is the set?"),
            lines,
            foot=(
                FootItem("same", _("As before")),
                FootItem(
                    "finish", _("Finish"), "primary", enabled=bool(self._site) and not self._busy
                ),
            ),
            sites=True,
            site=self._site,
            used=self._used[:3],
        )

    def _done(self) -> SetChangeView:
        snapshot = self.desk.state.live
        running = snapshot is not None and snapshot.state == "running"
        return SetChangeView(
            title=_("Change cartridge and set"),
            foot=(
                FootItem("home", _("Home")),
                FootItem(
                    "resume",
                    _("Start delivery"),
                    "primary",
                    enabled=not self._busy and not running,
                    share=2,
                ),
            ),
            picture="rest",
            headline=_("The change is finished"),
            lines=(
                _("Nothing is delivered until you start delivery.")
                if not self._busy
                else _("The self-test runs, then basal goes on …"),
            ),
            message=self._against,
        )

    def _second(self) -> SetChangeView:
        """Ask the pump's own question; the button is held."""
        step = self.at
        amount_uu = self._amount_uu.get(step, 0)
        names = {
            "rewind": _("Hold to run back"),
            "prime": _("Hold to prime"),
            "cannula": _("Hold to fill"),
        }
        return SetChangeView(
            title=_("Change cartridge and set"),
            foot=(FootItem("cancel", _("Cancel")),),
            step=self._step(step),
            picture={"rewind": "rewind"}.get(step, step),
            headline=words.of_the_pump(self._question),
            amount=numbers.units(amount_uu) if amount_uu else "",
            hold=names[step],
            hold_note=_("{seconds} seconds; STOP ends it").format(seconds=f"{HOLD_S:.0f}"),
            ready=not self._busy,
            message=self._against,
        )

    def _runs(self, step: str, _request_id: str) -> SetChangeView:
        dose = self._live_dose() or self._dose
        programmed = dose.programmed_steps if dose is not None else None
        share = dose.confirmed_steps / programmed if dose is not None and programmed else 0.0
        names = {
            "rewind": _("The carriage runs back"),
            "prime": _("Fluid runs through the tubing"),
            "cannula": _("The cannula is filled"),
        }
        return SetChangeView(
            title=_("Change cartridge and set"),
            foot=(FootItem("halt", _("Stop this step")),),
            step=self._step(step),
            picture=step,
            share=share,
            headline=names[step],
            lines=(account(dose),) if dose is not None and step != "rewind" else (),
            amount=numbers.count(dose.confirmed_steps) if dose is not None else "",
            amount_note=_("steps confirmed"),
            message=self._against,
        )

    def _live_dose(self) -> Dose | None:
        raw = shown_of(self.desk.state.live).get("dose")
        return Dose.of(raw) if isinstance(raw, dict) else None

    def _load_of(self) -> tuple[int, str]:
        snapshot = self.desk.state.live
        chosen = snapshot.preferences if snapshot is not None else {}
        raw = snapshot.raw.get("syringe") if snapshot is not None else None
        most_uu = raw.get("capacity_uu", 0) if isinstance(raw, dict) else 0
        size_uu = chosen.get("syringe_uu") or most_uu
        return int(size_uu), self._fluid or str(chosen.get("fluid") or "test")

    # ------------------------------------------------------------------ fingers

    def press(self, key: str) -> None:
        """Take a button of the foot, or the amount."""
        self._against = ""
        match key:
            case "leave":
                self.desk.go(self._then)
            case "home":
                self.desk.go("home")
            case "cancel":
                self._again(self.at)
            case "suspend":
                self._stopping = True
                self._ask(lambda pump: pump.suspend(), lambda _d: self._again(self.at))
            case "skip":
                self._again("load")
            case "next":
                self._again("cannula" if self.at == "prime" else "site")
            case "declare":
                self._declare()
            case "amount":
                self._ask_amount()
            case "fluid":
                self._other_fluid()
            case "load":
                size_uu, fluid = self._load_of()
                self._load_it(size_uu, size_uu, fluid)
            case "halt":
                self.desk.pump.stop("all", lambda _d: None, self._failed)
            case "same":
                self._finish(None)
            case "finish":
                self._finish(self._site or None)
            case "resume":
                self._ask(lambda pump: pump.resume(), lambda _s: self.desk.go("home"))

    def touch_site(self, site: str) -> None:
        """Take a place on the map."""
        self._site = site

    def _again(self, at: str) -> None:
        self.at = at
        self.desk.go("set_change", at=at)

    def _ask(self, act: Any, done: Any) -> None:  # noqa: ANN401
        def answered(answer: object) -> None:
            self._busy = False
            done(answer)

        self._busy = True
        self.desk.pump.ask(act, answered, self._failed)

    def _declare(self) -> None:
        step: CartridgeStep = {"prime": "prime", "cannula": "cannula"}.get(self.at, "rewind")  # type: ignore[assignment]
        amount_uu = self._amount_uu.get(step, 0)

        def prepared(answer: dict[str, Any]) -> None:
            self.desk.go("set_change", stay=True)
            self._token, self._question = str(answer["token"]), str(answer["question"])

        self._ask(lambda pump: pump.prepare_cartridge(step, amount_uu, declared=True), prepared)

    def held(self) -> None:
        """Give the second confirmation: the motor moves."""
        step: CartridgeStep = self.at  # type: ignore[assignment]
        amount_uu, token = self._amount_uu.get(step, 0), self._token
        if not token or self._busy:
            return

        def runs(dose: Dose) -> None:
            self._token = ""
            self._dose = dose
            self._moving = (step, dose.id)

        def refused(error: PumpError) -> None:
            self._token = ""
            self._failed(error)

        self._busy = True
        self.desk.pump.ask(
            lambda pump: pump.run_cartridge(step, amount_uu, token),
            lambda dose: self._unbusy(runs, dose),
            refused,
        )

    def _unbusy(self, then: Any, answer: object) -> None:  # noqa: ANN401
        self._busy = False
        then(answer)

    def let_go(self) -> None:
        """Say that letting go early does nothing."""
        self._against = _("Let go too early: nothing moves.")

    def idle(self, idle_s: float) -> None:
        """Look what became of a step that no longer runs."""
        super().idle(idle_s)
        if self._moving is None or self._looking:
            return
        step, request_id = self._moving
        if shown_of(self.desk.state.live).get("running") is not None:
            return
        self._looking = True

        def found(dose: Dose | None) -> None:
            self._looking = False
            if dose is not None and not dose.running:
                self._ended(step, dose)

        def failed(error: PumpError) -> None:
            self._looking = False
            self._failed(error)

        self.desk.pump.ask(lambda pump: pump.lookup(request_id), found, failed)

    def _ended(self, step: str, dose: Dose) -> None:
        self._moving, self._dose = None, None
        ended_well = dose.outcome == "done"
        after = {"rewind": "load", "prime": "prime", "cannula": "site"}
        self._again(after[step] if ended_well else step)
        why = (
            ""
            if ended_well
            else _("It was stopped: {why}").format(why=words.of_the_pump(dose.why or ""))
        )
        told = account(dose) if step != "rewind" else ""
        self._against = " ".join(part for part in (told, why) if part)

    # ------------------------------------------------------------------ load, finish

    def _ask_amount(self) -> None:
        if self.at == "load":
            size_uu, fluid = self._load_of()
            typed = Number(RESERVOIR, numbers.units_bare(size_uu).removesuffix(".00"))

            def take_load(text: str, refuse: Refuse) -> None:
                try:
                    amount_uu = parse_reservoir(text)
                except BadAmount as bad:
                    refuse(words.of_the_pump(str(bad)))
                    return
                self._load_it(amount_uu, size_uu, fluid, refuse)

            self._question_screen(typed, _("The syringe holds"), take_load, _("Load"))
            return
        at = self.at
        typed = Number(DOSE, numbers.units_bare(self._amount_uu[at]))

        def take(text: str, refuse: Refuse) -> None:
            try:
                self._amount_uu[at] = parse_dose(text)
            except BadAmount as bad:
                refuse(words.of_the_pump(str(bad)))
                return
            self._again(at)

        self._question_screen(typed, _("Amount"), take, _("Take"))

    def _question_screen(self, typed: Number, caption: str, take: Any, ok: str) -> None:  # noqa: ANN401
        at = self.at
        self.desk.go(
            "number",
            question=Question(
                title=_("Change cartridge and set"),
                caption=caption,
                typed=typed,
                unit="U",
                take=take,
                ok=ok,
                back=lambda: self._again(at),
            ),
        )

    def _other_fluid(self) -> None:
        _size_uu, fluid = self._load_of()
        self._fluid = "rapid" if fluid == "test" else "test"

    def _load_it(
        self, amount_uu: int, size_uu: int, fluid: str, refuse: Refuse | None = None
    ) -> None:
        def failed(error: PumpError) -> None:
            self._failed(error)
            if refuse is not None:
                refuse(why_not(error))

        self._busy = True
        self.desk.pump.ask(
            lambda pump: pump.load_cartridge(amount_uu, kind=fluid, size_uu=size_uu),
            lambda _a: self._unbusy(lambda _b: self._again("prime"), None),
            failed,
        )

    def _finish(self, site: str | None) -> None:
        name = site
        self._ask(lambda pump: pump.finish_cartridge(name), lambda _a: self._finished())

    def _finished(self) -> None:
        if self._then == "first_start":
            self.desk.go("first_start")
        else:
            self._again("done")
