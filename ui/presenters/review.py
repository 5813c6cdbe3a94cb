"""The review of a bolus: in words, with what the pump says against it, and one way to confirm.

The request id is made when the review opens and never changes after that (SR-37). The second
confirmation of the same amount within 15 min stands in another place (SR-10).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from appliance.client import PumpClient, PumpError, Refused, Review, Snapshot, new_request_id
from appliance.client.messages import Speed
from appliance.client.words import NS_PER_S, in_words
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.purpose import purpose_of, purpose_words
from ui.presenters.reasons import reasons_of
from ui.words import _, words

HOLD_S = 1.5
"""How long the button is held until the bolus begins."""


@dataclass(frozen=True, slots=True)
class ReviewView(View):
    """The dose in words, what counts beside it, and the button; ``again`` moves it elsewhere."""

    lead: str = ""
    amount: str = ""
    unit: str = ""
    detail: str = ""
    rows: tuple[Row, ...] = ()
    against: tuple[str, ...] = ()
    hold: str = ""
    hold_note: str = ""
    ready: bool = False
    again: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be given: the same integers from here to the progress screen (SR-05)."""

    request_id: str
    amount_uu: int
    extended_uu: int = 0
    extended_s: int = 0
    duration_s: int = 0
    token: str = ""
    again: bool = False
    speed: Speed = "normal"
    correction_uu: int = 0
    carbs_g: int = 0


class ReviewPresenter(Presenter):
    """Asks the pump what the dose would be; only a full hold goes on."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.wish = Wish("", 0)
        self.review: Review | None = None
        self._against: tuple[str, ...] = ()
        self._again = False
        self._let_go = False

    def entered(self, **words: object) -> None:
        """Make the id of this dose, and ask for its review."""
        amount_uu, purpose = _whole(words.get("amount_uu")), purpose_of(words.get("purpose"))
        self.wish = Wish(
            new_request_id(),
            amount_uu,
            _whole(words.get("extended_uu")),
            _whole(words.get("extended_s")),
            speed=_speed(self.desk.state.live),
            correction_uu=purpose.correction_uu(amount_uu) if purpose is not None else 0,
            carbs_g=purpose.carbs_g if purpose is not None else 0,
        )
        self.review, self._against, self._again, self._let_go = None, (), False, False
        wish = self.wish

        def reviewed(pump: PumpClient) -> Review:
            return pump.review(
                wish.request_id,
                wish.amount_uu,
                wish.speed,
                extended_uu=wish.extended_uu,
                extended_s=wish.extended_s,
            )

        self.desk.pump.ask(reviewed, self._reviewed, self._failed)

    def left(self) -> None:
        """Forget the review: its token is good for nobody any more."""
        self.review = None
        self.wish = Wish("", 0)

    def _reviewed(self, review: Review) -> None:
        if review.request_id != self.wish.request_id:
            return  # the answer to a review that was left
        self.review = review
        self._against = tuple(reasons_of(review.reasons))

    def _failed(self, error: PumpError) -> None:
        reasons = reasons_of(error.reasons) if isinstance(error, Refused) else [str(error)]
        self._against = tuple(words.of_the_pump(one) for one in reasons)

    def view(self) -> ReviewView:
        """Return the dose in words and what stands against it."""
        review, wish = self.review, self.wish
        ready = review is not None and review.token is not None
        whole = wish.extended_uu == wish.amount_uu and wish.amount_uu > 0
        lead = _("Deliver over {time}") if whole else _("Deliver now")
        lead = lead.format(time=in_words(wish.extended_s))
        purpose = purpose_words(wish.carbs_g, wish.correction_uu)
        now_uu = wish.amount_uu if whole else wish.amount_uu - wish.extended_uu
        hold = _("Hold to deliver")
        if self._again:
            hold = _("Hold to deliver again")
        note = _("let go too early: nothing was delivered") if self._let_go else _("keep holding")
        return ReviewView(
            title=_("Review"),
            foot=(FootItem("home", _("Cancel, nothing delivered"), share=1.6),),
            lead=f"{lead}  ·  {purpose}" if purpose else lead,
            amount=numbers.units_bare(now_uu),
            unit=_("units"),
            detail=self._detail(),
            rows=self._rows(),
            against=self._against,
            hold=hold,
            hold_note=note,
            ready=ready,
            again=self._again,
            warning=self._warning() if self._again else "",
        )

    def _detail(self) -> str:
        review, wish = self.review, self.wish
        parts = []
        if 0 < wish.extended_uu < wish.amount_uu:
            then = _("then {units} over {time}")
            parts.append(
                then.format(units=numbers.units(wish.extended_uu), time=in_words(wish.extended_s))
            )
        if review is None:
            return "  ·  ".join([*parts, _("the pump looks at it …")])
        if not wish.extended_uu:
            parts.append(_("takes {time}").format(time=in_words(review.duration_s)))
        parts.append(_("{steps} steps").format(steps=numbers.count(review.programmed_steps)))
        parts.append(_("request {id}").format(id=wish.request_id[:4]))
        return "  ·  ".join(parts)

    def _rows(self) -> tuple[Row, ...]:
        review, snapshot = self.review, self.desk.state.live
        if review is None or snapshot is None:
            return ()
        limits = snapshot.limits or {}
        last = _("none")
        if review.last_bolus is not None:
            last = numbers.units(review.last_bolus.programmed_uu)
            if review.last_bolus.utc_ns is not None and snapshot.clock is not None:
                ago_s = max(0, snapshot.clock.utc_ns - review.last_bolus.utc_ns) // NS_PER_S
                last = _("{units}, {time} ago").format(units=last, time=numbers.age(ago_s))
        hour = _left_of(review.left_60_min_uu, limits.get("hourly_uu"))
        day = _left_of(review.left_24_h_uu, limits.get("daily_uu"))
        return (
            Row(_("Last bolus"), last),
            Row(_("Delivered in the last 60 min"), numbers.units(review.delivered_60_min_uu)),
            Row(_("Left in the last 60 min"), hour),
            Row(_("Left in the last 24 h"), day),
        )

    def _warning(self) -> str:
        again = self.review.again if self.review is not None else None
        return words.of_the_pump(again or "")

    def press(self, key: str) -> None:
        """Cancel: nothing was delivered, and nothing is kept."""
        self.desk.go(key)

    def let_go(self) -> None:
        """The button was let go before it was full: that is no confirmation."""
        self._let_go = True

    def held(self) -> None:
        """The button was held to its end: deliver, or ask a second time elsewhere."""
        review = self.review
        if review is None or review.token is None:
            return
        if review.again is not None and not self._again:
            self._again, self._let_go = True, False
            return
        wish = self.wish
        self.desk.go(
            "delivering",
            wish=replace(wish, duration_s=review.duration_s, token=review.token, again=self._again),
        )


def _speed(snapshot: Snapshot | None) -> Speed:
    """Return the speed that somebody chose for boluses; the usual one where nobody did."""
    chosen = snapshot.preferences.get("speed") if snapshot is not None else None
    match chosen:
        case "slow":
            return "slow"
        case "fast":
            return "fast"
    return "normal"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _left_of(left_uu: int | None, limit_uu: object) -> str:
    limit = numbers.units(limit_uu if isinstance(limit_uu, int) else None)
    return _("{left} of {limit}").format(left=numbers.units_bare(left_uu), limit=limit)
