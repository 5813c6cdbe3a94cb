"""The body of the screen "alarm": the colour of its priority fills the whole screen."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.fingers import ALARM_DEAF_S
from ui.frame import Page
from ui.presenters.alarm import AlarmView
from ui.theme import theme

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class AlarmPage(Page):
    """Its two buttons lie in the middle, never in the foot, and are deaf for the first second."""

    deaf_s = ALARM_DEAF_S

    @property
    def ground(self) -> str:  # type: ignore[override]
        """The colour of the priority."""
        return f"alarm_{self.view.priority}"

    def on_view(self, _: object, view: AlarmView) -> None:
        """Take the colours of another alarm, and be deaf anew: its buttons lie where these lay."""
        if "seen" not in self.ids:
            return
        shown = (view.number, view.priority)
        if shown != self._shown:
            self._shown = shown
            self.ids.seen.appear()
            self.ids.pause.appear()
            if self.frame is not None:
                self.frame.colour()

    _shown: tuple[int, str] = (0, "")

    def entered(self) -> None:
        """Be deaf for the first second."""
        self._shown = (self.view.number, self.view.priority)
        self.ids.seen.appear()
        self.ids.pause.appear()

    def edge(self, priority: str, dark: bool) -> list[float]:
        """Return the colour of the field's edge; ``dark`` is there for KV to watch."""
        del dark
        return theme.colour(f"alarm_{priority}_line")

    def raised(self, priority: str, dark: bool) -> list[float]:
        """Return the colour of the second button."""
        del dark
        return theme.colour(f"alarm_{priority}_raised")
