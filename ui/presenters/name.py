"""A name, typed letter by letter: for profiles, presets and reminders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.words import _

Refuse = Callable[[str], None]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHERS = "0123456789-+./:%&()äöüÄÖÜß"
SPACE, SHIFT, OTHER, ERASE = "space", "shift", "other", "erase"
LENGTH = 20
"""How long a name may be; the pump refuses a longer one as well."""


@dataclass(frozen=True, slots=True)
class NameQuestion:
    """What is named. ``take`` gets the name, and a way to say that it is refused."""

    title: str
    caption: str
    take: Callable[[str, Refuse], None]
    back: Callable[[], None]
    text: str = ""
    ok: str = ""


@dataclass(frozen=True, slots=True)
class NameView(View):
    """The name as typed, the keys in their order, and why it is not taken."""

    caption: str = ""
    text: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    message: str = ""


class NamePresenter(Presenter):
    """Entered with ``question``, a ``NameQuestion``."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._question: NameQuestion | None = None
        self._text, self._message = "", ""
        self._capital, self._other, self._waiting = True, False, False

    def entered(self, **words: object) -> None:
        """Take the question."""
        question = words.get("question")
        self._question = question if isinstance(question, NameQuestion) else None
        self._text = self._question.text if self._question is not None else ""
        self._message, self._other, self._waiting = "", False, False
        self._capital = not self._text

    def left(self) -> None:
        """Forget it."""
        self._question = None

    def view(self) -> NameView:
        """Return the name as it stands."""
        question = self._question
        if question is None:
            return NameView()
        ready = bool(self._text.strip()) and not self._waiting
        return NameView(
            title=question.title,
            foot=(
                FootItem("back", _("Back")),
                FootItem("take", question.ok or _("Take"), "primary", enabled=ready, share=2),
            ),
            caption=question.caption,
            text=f"{self._text}|",
            keys=self._keys(),
            message=self._message,
        )

    def _keys(self) -> tuple[tuple[str, str], ...]:
        """Return each key and its words: the same places on every page."""
        letters = _OTHERS if self._other else _LETTERS
        if self._capital and not self._other:
            letters = letters.upper()
        return (
            *((letter, letter) for letter in letters),
            (SPACE, _("space")),
            (SHIFT, "Aa"),
            (OTHER, "abc" if self._other else "123"),
            (ERASE, ""),
        )

    def key(self, key: str) -> None:
        """Take one key."""
        self._message = ""
        if key == SHIFT:
            self._capital, self._other = not self._capital, False
        elif key == OTHER:
            self._other = not self._other
        elif key == ERASE:
            self._text = self._text[:-1]
        elif len(self._text) == LENGTH:
            self._message = _("A name has at most {count} characters.").format(count=LENGTH)
        else:
            self._text += " " if key == SPACE else key
            self._capital = False

    def press(self, key: str) -> None:
        """Hand the name over, or go back."""
        question = self._question
        if question is None:
            return
        if key == "back":
            question.back()
        elif key == "take" and self._text.strip() and not self._waiting:
            self._waiting = True
            question.take(self._text.strip(), self._refuse)

    def _refuse(self, why: str) -> None:
        self._message, self._waiting = why, False
