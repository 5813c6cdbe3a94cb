"""One number, typed and taken: the screen for settings, amounts and the PIN.

Who asks says what is typed, what is done with it, and where it goes back to. Whether a number may
be is the pump's to say: a refusal stands here, and the number stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.typed import Typed
from ui.words import _

Refuse = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``take`` gets what was typed, and a way to say that it is refused."""

    title: str
    caption: str
    typed: Typed
    take: Callable[[str, Refuse], None]
    back: Callable[[], None]
    unit: str = ""
    note: str = ""
    ok: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberView(View):
    """The digits as typed, with their unit; ``message`` is why they are not taken."""

    caption: str = ""
    digits: str = ""
    unit: str = ""
    tone: str = "text"
    message: str = ""
    note: str = ""
    rows: tuple[Row, ...] = ()
    decimals: bool = True


class NumberPresenter(Presenter):
    """Entered with ``question``, a ``Question``."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._question: Question | None = None
        self._against = ""
        self._waiting = False

    def entered(self, **words: object) -> None:
        """Take the question."""
        question = words.get("question")
        self._question = question if isinstance(question, Question) else None
        self._against, self._waiting = "", False

    def left(self) -> None:
        """Forget what was typed."""
        self._question = None

    def view(self) -> NumberView:
        """Return what stands there."""
        question = self._question
        if question is None:
            return NumberView()
        typed = question.typed
        ready = typed.complete and not self._waiting
        return NumberView(
            title=question.title,
            foot=(
                FootItem("back", _("Back")),
                FootItem("take", question.ok or _("Take"), "primary", enabled=ready, share=2),
            ),
            caption=question.caption,
            digits=typed.shown,
            unit=question.unit,
            tone="text" if typed.text else "faint",
            message=typed.said or self._against,
            note=question.note,
            rows=question.rows,
            decimals=typed.decimals,
        )

    def key(self, key: str) -> None:
        """Take a key of the pad."""
        if self._question is not None and not self._waiting:
            self._against = ""
            self._question.typed.key(key)

    def press(self, key: str) -> None:
        """Take what was typed, or go back."""
        question = self._question
        if question is None:
            return
        if key == "back":
            question.back()
        elif key == "take" and question.typed.complete and not self._waiting:
            self._waiting = True
            question.take(question.typed.text, self._refuse)

    def _refuse(self, why: str) -> None:
        self._against, self._waiting = why, False
