"""One segment of a profile: from when on, how much, and what a calculator takes there."""

from __future__ import annotations

from appliance.client import BadAmount
from appliance.client.profiles import parse_mg_dl, parse_ratio
from appliance.client.words import minute_words, parse_rate
from ui.presenters import numbers
from ui.presenters.desk import Desk, FootItem
from ui.presenters.draft import Draft, Piece
from ui.presenters.entry import RATE
from ui.presenters.entry import Field as Digits
from ui.presenters.form import Blank, Field, FormPresenter, FormView
from ui.presenters.profile import ratio_words
from ui.presenters.typed import Number, TimeOfDay
from ui.words import _

_RATIO, _MG_DL = Digits(3, 1), Digits(3, 0)


class SegmentPresenter(FormPresenter):
    """Entered with ``draft`` and ``start_min``, None for a new one. The first begins at 00:00."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._draft = Draft("", ())
        self._start_min: int | None = None
        self._begin(None)

    def _begin(self, piece: Piece | None) -> None:
        start = minute_words(piece.start_min_of_day) if piece is not None else ""
        self._start = TimeOfDay(start)
        rate = "" if piece is None else numbers.rate(piece.rate_uu_per_h)
        self._rate = Number(RATE, rate)
        ratio = piece.carb_ratio_mg_per_u if piece is not None else None
        self._ratio = Blank(_RATIO, "" if ratio is None else ratio_words(ratio))
        sensitivity = piece.sensitivity_mg_dl_per_u if piece is not None else None
        self._sensitivity = Blank(_MG_DL, "" if sensitivity is None else str(sensitivity))
        target = piece.target_mg_dl if piece is not None else None
        self._target = Blank(_MG_DL, "" if target is None else str(target))

    def entered(self, **given: object) -> None:
        """Take the segment of a draft, or begin a new one."""
        draft, start_min = given.get("draft"), given.get("start_min")
        if isinstance(draft, Draft):
            self._draft = draft
        self._start_min = start_min if isinstance(start_min, int) else None
        pieces = self._draft.pieces
        self._begin(next((one for one in pieces if one.start_min_of_day == self._start_min), None))
        self.chosen = "start" if self._start_min is None else "rate"
        self.against = ()

    def fields(self) -> dict[str, Field]:
        """Return the fields; the first segment's start is no field, since it is 00:00."""
        fields = {
            "start": Field(_("From"), "", self._start),
            "rate": Field(_("Rate"), "U/h", self._rate),
            "ratio": Field(_("Carb ratio"), "g/U", self._ratio),
            "sensitivity": Field(_("One unit lowers by"), "mg/dL", self._sensitivity),
            "target": Field(_("Target"), "mg/dL", self._target),
        }
        if self._start_min == 0:
            del fields["start"]
        return fields

    def view(self) -> FormView:
        """Return what is typed."""
        fields, message, decimals = self.form()
        piece, why = self._piece()
        removable = self._start_min not in (None, 0)
        begins = _("The first segment begins at 00:00.") if self._start_min == 0 else ""
        return FormView(
            title=_("{name}, segment").format(name=self._draft.name),
            foot=(
                FootItem("back", _("Back")),
                *((FootItem("remove", _("Remove")),) if removable else ()),
                FootItem("take", _("Take"), "primary", enabled=piece is not None, share=1.6),
            ),
            fields=fields,
            note=self._most() or begins,
            message=message or why,
            decimals=decimals,
        )

    def _most(self) -> str:
        snapshot = self.desk.state.live
        limits = snapshot.limits if snapshot is not None else None
        most = limits.get("max_basal_uu_per_h") if limits else None
        if not isinstance(most, int):
            return ""
        return _("Basal limit {rate} U/h").format(rate=numbers.rate(most))

    def _piece(self) -> tuple[Piece | None, str]:
        """Return the segment as typed, or why it is none."""
        start_min = 0 if self._start_min == 0 else self._start.minute
        taken = {one.start_min_of_day for one in self._draft.pieces} - {self._start_min}
        if start_min in taken:
            return None, _("There is a segment from {time} on.").format(
                time=minute_words(start_min or 0)
            )
        try:
            rate = parse_rate(self._rate.text)
            ratio = parse_ratio(self._ratio.text) if self._ratio.text else None
            sensitivity = parse_mg_dl(self._sensitivity.text) if self._sensitivity.text else None
            target = parse_mg_dl(self._target.text) if self._target.text else None
        except BadAmount:
            return None, ""
        if start_min is None:
            return None, ""
        return Piece(start_min, rate, ratio, sensitivity, target), ""

    def press(self, key: str) -> None:
        """Take the segment into the draft, take it out, or go back."""
        piece, _why = self._piece()
        draft, chosen = self._draft, self._start_min or 0
        if key == "take" and piece is not None:
            draft, chosen = draft.put(piece, self._start_min), piece.start_min_of_day
        elif key == "remove" and self._start_min:
            draft, chosen = draft.without(self._start_min), 0
        elif key == "take":
            return
        self.desk.go("profile", draft=draft, chosen=chosen)
