"""What a pad may type beside a dose: a PIN, a time of day, a date, a number.

Each takes the pad's keys, and says why a key did nothing; what is shown is what is kept.
"""

from __future__ import annotations

from datetime import date
from typing import Protocol

from ui.presenters.entry import Entry, Field
from ui.words import _

PIN_DIGITS = (6, 12)


class Typed(Protocol):
    """Something that is typed with the pad."""

    text: str
    said: str

    @property
    def shown(self) -> str:
        """What stands on the screen."""
        ...

    @property
    def complete(self) -> bool:
        """Whether it can be taken as it is."""
        ...

    @property
    def decimals(self) -> bool:
        """Whether the pad has a point."""
        ...

    def key(self, key: str) -> None:
        """Take one key of the pad."""
        ...


class Number(Entry):
    """A number, with so many decimals as its field has."""

    def __init__(self, field: Field, text: str = "") -> None:
        super().__init__(field)
        self.put(text)
        self._fresh = bool(text)

    @property
    def shown(self) -> str:
        return self.text or "0"

    @property
    def decimals(self) -> bool:
        return self.field.decimals > 0

    def key(self, key: str) -> None:
        """Take one key; the first digit begins anew where an old value stood."""
        if self._fresh and (key.isdigit() or key == "."):
            self.clear()
        self._fresh = False
        super().key(key)


class Pin:
    """A PIN: 6 to 12 digits, none of which is shown."""

    decimals = False

    def __init__(self) -> None:
        self.text = ""
        self.said = ""

    @property
    def shown(self) -> str:
        return " ".join("•" * len(self.text)) or "–"

    @property
    def complete(self) -> bool:
        return len(self.text) >= PIN_DIGITS[0]

    def key(self, key: str) -> None:
        """Take one key of the pad."""
        self.said = ""
        if key == "clear":
            self.text = ""
        elif key == "erase":
            self.text = self.text[:-1]
        elif not key.isdigit():
            self.said = _("A PIN has digits alone.")
        elif len(self.text) == PIN_DIGITS[1]:
            self.said = _("No more than {count} digits.").format(count=PIN_DIGITS[1])
        else:
            self.text += key


class Digits:
    """So many digits; the first one begins anew where an old value stood."""

    decimals = False
    places = 0

    def __init__(self, text: str = "") -> None:
        self.text = "".join(one for one in text if one.isdigit())
        self.said = ""
        self._fresh = bool(text)

    @property
    def padded(self) -> str:
        """What is typed, with a dash for each digit that is still to come."""
        return self.text.ljust(self.places, "–")

    def key(self, key: str) -> None:
        """Take one key of the pad."""
        self.said = ""
        if key == "clear" or (self._fresh and key.isdigit()):
            self.text = ""
        self._fresh = False
        if key == "erase":
            self.text = self.text[:-1]
        elif key.isdigit():
            self.take(key)

    def take(self, digit: str) -> None:
        """Take one more digit, or say why not."""
        raise NotImplementedError


class TimeOfDay(Digits):
    """A time of day, hours first: four digits, and the colon comes by itself."""

    _MOST = ("2", "9", "5", "9")
    places = len(_MOST)

    @property
    def shown(self) -> str:
        return f"{self.padded[:2]}:{self.padded[2:]}"

    @property
    def complete(self) -> bool:
        return len(self.text) == self.places

    @property
    def minute(self) -> int | None:
        """The minute of the day; None while it is not complete."""
        return int(self.text[:2]) * 60 + int(self.text[2:]) if self.complete else None

    def take(self, digit: str) -> None:
        """Take a digit where there is such a time of day."""
        place = len(self.text)
        late = place == 1 and self.text == "2" and digit > "3"
        if place == self.places:
            self.said = _("A time of day has four digits.")
        elif digit > self._MOST[place] or late:
            self.said = _("There is no such time of day.")
        else:
            self.text += digit


class Day(Digits):
    """A date, the year first: eight digits, and the hyphens come by themselves."""

    places = 8

    @property
    def shown(self) -> str:
        return f"{self.padded[:4]}-{self.padded[4:6]}-{self.padded[6:]}"

    @property
    def date(self) -> date | None:
        """The day; None while it is none."""
        try:
            return date.fromisoformat(self.shown)
        except ValueError:
            return None

    @property
    def complete(self) -> bool:
        return self.date is not None

    def take(self, digit: str) -> None:
        """Take a digit, and say where the eight are no day."""
        if len(self.text) == self.places:
            self.said = _("A date has eight digits: year, month, day.")
            return
        self.text += digit
        if len(self.text) == self.places and not self.complete:
            self.said = _("There is no such day.")
