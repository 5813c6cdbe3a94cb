"""Lists to look at and to pick from, and the one screen that asks for one of several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ui.presenters.desk import Desk, FootItem, Presenter, View
from ui.presenters.lists import Row
from ui.words import _

Refuse = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ListView(View):
    """Rows that may be picked; ``note`` stands above them, ``empty`` where there is none."""

    rows: tuple[Row, ...] = ()
    chosen: str = ""
    note: str = ""
    note_tone: str = "muted"
    empty: str = ""
    lead_units: int = 0


class ListPresenter(Presenter):
    """A presenter whose view is a list."""

    def view(self) -> ListView:
        """Return the list."""
        raise NotImplementedError

    def pick(self, key: str) -> None:
        """Do what a row stands for."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked. ``take`` gets the key of the one picked, and a way to say it is refused."""

    title: str
    rows: tuple[Row, ...]
    take: Callable[[str, Refuse], None]
    back: Callable[[], None]
    chosen: str = ""
    note: str = ""


class ChoosePresenter(ListPresenter):
    """Entered with ``asking``, an ``Asking``."""

    entry = True

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._asking: Asking | None = None
        self._against = ""

    def entered(self, **words: object) -> None:
        """Take the question."""
        asking = words.get("asking")
        self._asking = asking if isinstance(asking, Asking) else None
        self._against = ""

    def left(self) -> None:
        """Forget it."""
        self._asking = None

    def view(self) -> ListView:
        """Return what can be picked."""
        asking = self._asking
        if asking is None:
            return ListView()
        return ListView(
            title=asking.title,
            foot=(FootItem("back", _("Back")),),
            rows=asking.rows,
            chosen=asking.chosen,
            note=self._against or asking.note,
            note_tone="high" if self._against else "muted",
        )

    def pick(self, key: str) -> None:
        """Hand over what was picked."""
        if self._asking is not None:
            self._asking.take(key, self._refuse)

    def press(self, key: str) -> None:
        """Go back."""
        if self._asking is not None and key == "back":
            self._asking.back()

    def _refuse(self, why: str) -> None:
        self._against = why
