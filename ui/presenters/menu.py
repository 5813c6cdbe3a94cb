"""The menu: the screens that are not reached from home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ui.presenters.desk import FootItem, Presenter, View
from ui.words import _

ITEMS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("quick", lambda: _("Quick bolus")),
    ("temp", lambda: _("Temporary basal")),
    ("profiles", lambda: _("Profiles")),
    ("alarm_log", lambda: _("Alarm log")),
    ("reminders", lambda: _("Reminders")),
    ("settings", lambda: _("Settings")),
    ("check", lambda: _("Light and sound")),
    ("fault_bench", lambda: _("Fault bench")),
    ("language", lambda: _("Language")),
    ("first_start", lambda: _("First start")),
    ("computer", lambda: _("Computer")),
    ("about", lambda: _("About")),
)
"""Screen and words of each button, in their order; one without its screen is not shown."""


@dataclass(frozen=True, slots=True)
class MenuView(View):
    """Buttons: the screen each leads to, and its words."""

    buttons: tuple[tuple[str, str], ...] = ()


class MenuPresenter(Presenter):
    """A grid of buttons."""

    def view(self) -> MenuView:
        """Return the buttons of the screens that there are."""
        buttons = tuple((name, words()) for name, words in ITEMS if self.desk.has(name))
        return MenuView(title=_("Menu"), foot=(FootItem("home", _("Home")),), buttons=buttons)

    def press(self, key: str) -> None:
        """Go there."""
        self.desk.go(key)
