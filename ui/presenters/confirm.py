"""What is held to be confirmed, beside boluses: in words, with what the pump said to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ui.presenters.amount import Row
from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.words import _

Done = Callable[[tuple[str, ...]], None]
Refuse = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Matter:
    """What is to be confirmed.

    ``act`` gets two calls: one for when it is done, with what the pump noted, one for when it is
    refused, with why. ``after`` is the screen that the way leads to then, ``back`` the one before.
    """

    title: str
    lead: str
    big: str
    unit: str
    detail: str
    hold: str
    act: Callable[[Done, Refuse], None]
    done: str
    back: Callable[[], None]
    after: Callable[[], None]
    rows: tuple[Row, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmView(View):
    """The matter in words, the button, and what came of it."""

    lead: str = ""
    big: str = ""
    unit: str = ""
    detail: str = ""
    rows: tuple[Row, ...] = ()
    message: str = ""
    tone: str = "high"
    hold: str = ""
    hold_note: str = ""
    ready: bool = False
    over: bool = False


class ConfirmPresenter(Presenter):
    """Entered with ``matter``, a ``Matter``."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._matter: Matter | None = None
        self._begin()

    def _begin(self) -> None:
        self._waiting = self._let_go = self._over = False
        self._message, self._tone = "", "high"

    def entered(self, **words: object) -> None:
        """Take the matter."""
        matter = words.get("matter")
        self._matter = matter if isinstance(matter, Matter) else None
        self._begin()
        if self._matter is not None:
            self._message = self._matter.warning

    def left(self) -> None:
        """Forget it."""
        self._matter = None

    def view(self) -> ConfirmView:
        """Return the matter in words."""
        matter = self._matter
        if matter is None:
            return ConfirmView(foot=(FootItem("home", _("Home")),))
        foot = FootItem("back", _("Cancel, no change"), share=3)
        if self._over:
            foot = FootItem("after", _("Done"), "primary")
        note = _("let go too early: nothing has changed") if self._let_go else _("keep holding")
        return ConfirmView(
            title=matter.title,
            foot=(foot,),
            lead=matter.done if self._over else matter.lead,
            big=matter.big,
            unit=matter.unit,
            detail=matter.detail,
            rows=matter.rows,
            message=self._message,
            tone=self._tone,
            hold=matter.hold,
            hold_note=note,
            ready=not self._waiting and not self._over,
            over=self._over,
        )

    def press(self, key: str) -> None:
        """Cancel, or go on once it is done."""
        matter = self._matter
        if matter is None:
            self.desk.go("home")
        elif key == "back":
            matter.back()
        elif key == "after":
            matter.after()

    def let_go(self) -> None:
        """The button was let go before it was full: that is no confirmation."""
        self._let_go = True

    def held(self) -> None:
        """The button was held to its end."""
        matter = self._matter
        if matter is None or self._waiting or self._over:
            return
        self._waiting, self._let_go = True, False

        def done(notes: tuple[str, ...]) -> None:
            if self._matter is matter:
                self._waiting, self._over = False, True
                self._message, self._tone = "\n".join(notes), "high"

        def refused(why: str) -> None:
            if self._matter is matter:
                self._waiting = False
                self._message, self._tone = why, "low"

        matter.act(done, refused)


__all__ = ["ConfirmPresenter", "ConfirmView", "Matter"]
