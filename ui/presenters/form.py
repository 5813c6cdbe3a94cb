"""Several numbers and one pad: the field that is lit takes the keys."""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters.desk import Desk, Presenter, View
from ui.presenters.lists import Choice
from ui.presenters.typed import Digits, Number, Typed
from ui.words import _

MIN_PER_H = 60


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field: what it is, the digits as typed, and their unit."""

    key: str
    caption: str
    digits: str
    unit: str = ""
    tone: str = "text"
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class FormView(View):
    """A row of choices, the fields, a note, and why the last key or a number is not taken."""

    choices: tuple[Choice, ...] = ()
    choice: str = ""
    fields: tuple[FieldView, ...] = ()
    note: str = ""
    message: str = ""
    decimals: bool = True


class Duration(Digits):
    """Hours and minutes: digits come in from the right, the last two of them are minutes."""

    places = 4

    def __init__(self, minutes: int = 0) -> None:
        super().__init__()
        if minutes:
            self.put(minutes)

    def put(self, minutes: int) -> None:
        """Take a duration from elsewhere; the next digit begins anew."""
        self.text = f"{minutes // MIN_PER_H}{minutes % MIN_PER_H:02d}".lstrip("0")
        self.said, self._fresh = "", True

    @property
    def minutes(self) -> int:
        """How many minutes are typed."""
        digits = self.text.rjust(self.places, "0")
        return int(digits[:-2]) * MIN_PER_H + int(digits[-2:])

    @property
    def shown(self) -> str:
        """Hours and minutes as typed, so that 90 minutes are seen to be none."""
        digits = self.text.rjust(3, "0")
        return f"{int(digits[:-2])}:{digits[-2:]}"

    @property
    def complete(self) -> bool:
        """Whether it is a duration."""
        return self.minutes > 0 and int(self.text[-2:] or "0") < MIN_PER_H

    def take(self, digit: str) -> None:
        """Take a digit, and say where the minutes are none."""
        if digit == "0" and not self.text:
            return
        if len(self.text) == self.places:
            self.said = _("No more than {count} digits.").format(count=self.places)
        else:
            self.text += digit
        if int(self.text[-2:]) >= MIN_PER_H:
            self.said = _("Minutes go up to 59.")


class Blank(Number):
    """A number that may be left away."""

    @property
    def shown(self) -> str:
        return self.text or "–"


@dataclass(slots=True)
class Field:
    """A field of a form: caption and unit are said anew in each language."""

    caption: str
    unit: str
    typed: Typed


class FormPresenter(Presenter):
    """Keeps the fields and gives the pad's keys to the one that is lit."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.chosen = ""
        self.against: tuple[str, ...] = ()
        """What the pump said against it."""

    def fields(self) -> dict[str, Field]:
        """Return the fields in their order, by their keys."""
        raise NotImplementedError

    def form(self) -> tuple[tuple[FieldView, ...], str, bool]:
        """Return the fields as shown, why a key did nothing, and whether there is a point."""
        fields = self.fields()
        lit = fields.get(self.chosen)
        views = tuple(
            FieldView(
                key,
                one.caption,
                one.typed.shown,
                one.unit,
                "text" if one.typed.text else "faint",
                key == self.chosen,
            )
            for key, one in fields.items()
        )
        said = lit.typed.said if lit is not None else ""
        message = said or "\n".join(self.against)
        return views, message, lit is not None and lit.typed.decimals

    def key(self, key: str) -> None:
        """Take a key of the pad."""
        lit = self.fields().get(self.chosen)
        if lit is not None:
            self.against = ()
            lit.typed.key(key)

    def select(self, key: str) -> None:
        """Light another field."""
        if key in self.fields():
            self.chosen = key

    def choose(self, key: str) -> None:
        """Take one of the choices."""


__all__ = ["Blank", "Duration", "Field", "FieldView", "FormPresenter", "FormView"]
