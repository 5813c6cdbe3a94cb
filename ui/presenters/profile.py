"""The editor of one profile: its segments, its curve, and every doubt confirmed at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.client import PumpClient, Refused
from appliance.client.words import minute_words
from ui.presenters import numbers
from ui.presenters.amount import Row
from ui.presenters.change import change
from ui.presenters.confirm import Done, Matter
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.draft import Draft, Piece
from ui.presenters.lists import Row as Listed
from ui.presenters.name import Refuse
from ui.presenters.profiles import total_uu
from ui.words import _, words

_CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class ProfileView(View):
    """The segments, the curve with the chosen one lit, and what a day comes to."""

    rows: tuple[Listed, ...] = ()
    chosen: str = ""
    segments: tuple[tuple[int, int], ...] = ()
    lit: int = -1
    facts: tuple[Row, ...] = ()
    message: str = ""


def ratio_words(mg_per_u: int | None) -> str:
    """Write a carb ratio in g/U, with no more decimals than it has."""
    if mg_per_u is None:
        return numbers.DASH
    whole, thousandths = divmod(mg_per_u, 1_000)
    return f"{whole}.{thousandths:03d}".rstrip("0").rstrip(".")


def calculator_words(piece: Piece) -> str:
    """Write what a calculator takes from a segment, in one line; "" where it has nothing."""
    sensitivity, target = piece.sensitivity_mg_dl_per_u, piece.target_mg_dl
    if (piece.carb_ratio_mg_per_u, sensitivity, target) == (None, None, None):
        return ""
    lowers, aims = (numbers.DASH if one is None else str(one) for one in (sensitivity, target))
    return f"{ratio_words(piece.carb_ratio_mg_per_u)} g/U · {lowers} · {aims} mg/dL"


class ProfilePresenter(Presenter):
    """Entered with ``draft``. Back throws it away, and says so."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._draft = Draft("", ())
        self._chosen, self._message = 0, ""
        self._keeping = False

    def entered(self, **given: object) -> None:
        """Go on with a draft; ``chosen`` is the minute of the segment to light."""
        draft, chosen, message = given.get("draft"), given.get("chosen"), given.get("message")
        if isinstance(draft, Draft):
            self._draft = draft
        self._chosen = chosen if isinstance(chosen, int) else 0
        self._message = message if isinstance(message, str) else ""
        self._keeping = False

    def view(self) -> ProfileView:
        """Return the draft."""
        draft = self._draft
        keep = draft.changed and not self._keeping
        starts = [one.start_min_of_day for one in draft.pieces]
        return ProfileView(
            title=draft.name,
            foot=(
                FootItem("back", _("Discard") if draft.changed else _("Back")),
                FootItem("add", _("Add")),
                FootItem("edit", _("Edit")),
                FootItem("keep", _("Keep"), "primary", enabled=keep),
            ),
            rows=tuple(self._row(one) for one in draft.pieces),
            chosen=str(self._chosen),
            segments=tuple((one.start_min_of_day, one.rate_uu_per_h) for one in draft.pieces),
            lit=starts.index(self._chosen) if self._chosen in starts else -1,
            facts=self._facts(),
            message=self._message,
        )

    def _row(self, piece: Piece) -> Listed:
        rate = f"{numbers.rate(piece.rate_uu_per_h)} U/h"
        start = minute_words(piece.start_min_of_day)
        return Listed(str(piece.start_min_of_day), calculator_words(piece), rate, start)

    def _facts(self) -> tuple[Row, ...]:
        draft = self._draft
        rows = [Row(_("A day"), numbers.units(total_uu(draft.pieces)))]
        if draft.before and draft.changed:
            rows.append(Row(_("A day, before"), numbers.units(total_uu(draft.before))))
        if draft.in_use:
            rows.append(Row(_("In use"), _("from keeping on"), tone="high"))
        return tuple(rows)

    def pick(self, key: str) -> None:
        """Light another segment."""
        self._chosen = int(key)
        self.desk.redraw()

    def press(self, key: str) -> None:
        """Edit or add a segment, keep the profile, or throw the draft away."""
        match key:
            case "add":
                self.desk.go("segment", draft=self._draft, start_min=None)
            case "edit":
                self.desk.go("segment", draft=self._draft, start_min=self._chosen)
            case "keep":
                self._keep()
            case _:
                self.desk.go("profiles", chosen=self._draft.name)

    # --- keeping ------------------------------------------------------------------------------

    def _keep(self) -> None:
        if self._keeping or not self._draft.changed:
            return
        if self._draft.in_use:
            self.desk.go("confirm", matter=self._matter(confirm=False, doubts=()))
            return
        self._keeping = True
        self._send(confirm=False, done=self._kept, refuse=self._refused)

    def _kept(self) -> None:
        self.desk.go("profiles", chosen=self._draft.name)

    def _refused(self, why: str) -> None:
        """Say why, on this screen: the PIN may have been asked for on another one."""
        self.desk.go("profile", draft=self._draft, chosen=self._chosen, message=why)

    def _send(self, *, confirm: bool, done: Callable[[], None], refuse: Refuse) -> None:
        """Have the pump keep it; what it doubts goes to a confirmation of its own."""
        draft, doubts = self._draft, list[str]()

        def act(pump: PumpClient) -> None:
            doubts.clear()
            try:
                pump.import_basal(
                    draft.name, draft.segments(), replace=not draft.new, confirm=confirm
                )
            except Refused as refused:
                if confirm or {one.code for one in refused.reasons} != {_CONFIRM}:
                    raise
                # The pump's sentence ends with what to say on a terminal; here it is a button.
                doubts.extend(one.text.rpartition(": ")[0] or one.text for one in refused.reasons)

        def answered() -> None:
            if doubts:
                said = (words.of_the_pump(one) for one in doubts)
                shown = tuple(one[:1].upper() + one[1:] for one in said)
                self.desk.go("confirm", matter=self._matter(confirm=True, doubts=shown))
            else:
                done()

        change(self.desk, act, answered, refuse, self._here)

    def _here(self) -> None:
        self.desk.go("profile", draft=self._draft, chosen=self._chosen)

    def _matter(self, *, confirm: bool, doubts: tuple[str, ...]) -> Matter:
        draft = self._draft

        def act(done: Done, refuse: Refuse) -> None:
            self._send(confirm=confirm, done=lambda: done(()), refuse=refuse)

        return Matter(
            title=draft.name,
            lead=_("A day of this profile"),
            big=numbers.units_bare(total_uu(draft.pieces)),
            unit="U",
            detail=_("It is in use: it holds from now on.") if draft.in_use else "",
            rows=(
                Row(_("Before"), numbers.units(total_uu(draft.before)) if draft.before else "–"),
                Row(_("Segments"), numbers.count(len(draft.pieces))),
            ),
            warning="\n".join(doubts),
            hold=_("Hold to keep it"),
            act=act,
            done=_("It is kept"),
            back=self._here,
            after=self._kept,
        )
