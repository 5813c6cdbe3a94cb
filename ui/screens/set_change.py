"""The body of the screen "set_change"."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder
from kivy.properties import NumericProperty

from ui.frame import Page
from ui.presenters.cartridge import HOLD_S, SetChangePresenter

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class SetChangePage(Page):
    """The picture or the map on one side; words, and what is touched, on the other."""

    hold_s = NumericProperty(HOLD_S)
    presenter: SetChangePresenter

    def entered(self) -> None:
        """Have the button deaf for its first half second, however often it is shown."""
        self.ids.hold.appear()

    def held(self) -> None:
        """Hand a full hold to the presenter."""
        self.presenter.held()
        self.presenter.desk.redraw()

    def let_go(self) -> None:
        """Say that letting go early does nothing."""
        self.presenter.let_go()
        self.presenter.desk.redraw()

    def site(self, key: str) -> None:
        """Hand a place on the map to the presenter."""
        self.presenter.touch_site(key)
        self.presenter.desk.redraw()
