"""The body of the screen "leases"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder

from ui.frame import Page

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class LeasesPage(Page):
    """See the presenter of the same name."""

    def entered(self) -> None:
        """Begin at the first lease."""
        self.ids.rows.to_top()
