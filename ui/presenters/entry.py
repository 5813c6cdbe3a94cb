"""A number under a finger: what each key makes of it, and why a key made nothing.

In every reachable state the text shown is the number kept: nothing is rounded, cut or clamped
(SR-01..04). The pad's keys are "0" to "9", ".", "erase" and "clear".
"""

from __future__ import annotations

from dataclasses import dataclass

from ui.words import _


@dataclass(frozen=True, slots=True)
class Field:
    """What a number may look like: so many digits before the point, and so many decimals."""

    whole_digits: int
    decimals: int


DOSE = Field(2, 2)
GRAMS = Field(3, 0)
GLUCOSE = Field(3, 0)
RATE = Field(2, 3)
RESERVOIR = Field(3, 2)


class Entry:
    """One number being typed; ``text`` is what is shown, ``said`` why the last key did nothing."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.text = ""
        self.said = ""

    def clear(self) -> None:
        """Have nothing entered."""
        self.text, self.said = "", ""

    def put(self, text: str) -> None:
        """Take a number from elsewhere, such as a proposal."""
        self.text, self.said = text, ""

    def key(self, key: str) -> None:
        """Take one key of the pad. What cannot be changes nothing, and ``said`` says why."""
        self.said = ""
        if key == "clear":
            self.clear()
        elif key == "erase":
            self.text = "" if self.text == "0." else self.text[:-1]
        elif key == ".":
            self._point()
        elif key in tuple("0123456789"):
            self._digit(key)

    @property
    def complete(self) -> bool:
        """Whether it reads as a number: not empty, and not ending with a point."""
        return self.text[-1:].isdigit()

    @property
    def whole(self) -> int | None:
        """The number where it has no decimals; None while it is not complete."""
        return int(self.text) if self.complete and "." not in self.text else None

    def _point(self) -> None:
        if not self.field.decimals:
            self.said = _("There are no decimals here.")
        elif "." in self.text:
            self.said = _("There is a point already.")
        else:
            self.text = (self.text or "0") + "."

    def _digit(self, digit: str) -> None:
        whole, point, decimals = self.text.partition(".")
        if point:
            if len(decimals) == self.field.decimals:
                self.said = _("No more than {count} decimals.").format(count=self.field.decimals)
                return
        elif whole == "0":
            self.text = ""  # a leading 0 gives way: "05" could be read as 0.5
        elif len(whole) == self.field.whole_digits:
            most = self.field.whole_digits
            self.said = _("No more than {count} digits before the point.").format(count=most)
            return
        self.text += digit
