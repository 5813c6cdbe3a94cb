"""What a pad may type beside a dose: a PIN, a time of day, a whole number, a number with a point.

Each takes the pad's keys, and says why a key did nothing; what is shown is what is kept.
"""

from __future__ import annotations

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


class TimeOfDay:
    """A time of day, hours first: four digits, and the colon comes by itself."""

    decimals = False
    _MOST = ("2", "9", "5", "9")

    def __init__(self, text: str = "") -> None:
        self.text = text.replace(":", "")
        self.said = ""
        self._fresh = bool(text)

    @property
    def shown(self) -> str:
        digits = self.text.ljust(4, "–")
        return f"{digits[:2]}:{digits[2:]}"

    @property
    def complete(self) -> bool:
        return len(self.text) == len(self._MOST)

    @property
    def minute(self) -> int | None:
        """The minute of the day; None while it is not complete."""
        return int(self.text[:2]) * 60 + int(self.text[2:]) if self.complete else None

    def key(self, key: str) -> None:
        """Take one key of the pad."""
        self.said = ""
        if key == "clear" or (self._fresh and key.isdigit()):
            self.text = ""
        self._fresh = False
        if key == "erase":
            self.text = self.text[:-1]
        if not key.isdigit():
            return
        place = len(self.text)
        late = place == 1 and self.text == "2" and key > "3"
        if place == len(self._MOST):
            self.said = _("A time of day has four digits.")
        elif key > self._MOST[place] or late:
            self.said = _("There is no such time of day.")
        else:
            self.text += key
