"""The body of the screen "confirm": the button to hold lies where no foot button was (SR-07)."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder
from kivy.properties import NumericProperty

from ui.frame import Page
from ui.presenters.confirm import ConfirmPresenter
from ui.presenters.review import HOLD_S
from ui.theme import theme

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class ConfirmPage(Page):
    """Facts and button beside each other; upright the button is above the facts."""

    hold_s = NumericProperty(HOLD_S)
    presenter: ConfirmPresenter

    def on_kv_post(self, _base: object) -> None:
        """Keep the button and the facts: ``ids`` forgets what hangs nowhere."""
        self._hold, self._facts = self.ids.first.__self__, self.ids.facts.__self__

    def on_view(self, *_: object) -> None:
        """Put the button where it belongs."""
        if "lower" in self.ids:
            self._arrange()

    def _arrange(self) -> None:
        lower, hold, facts = self.ids.lower, self._hold, self._facts
        order = [hold, facts] if theme.portrait else [facts, hold]
        if self.view.over:
            order = [facts]
        if order == list(reversed(lower.children)):
            return
        lower.clear_widgets()
        for one in order:
            lower.add_widget(one)
        hold.down = False

    def entered(self) -> None:
        """Have the button in its place, and deaf for its first half second."""
        self._arrange()
        self._hold.appear()

    def held(self) -> None:
        """Hand a full hold to the presenter."""
        self.presenter.held()
        self.presenter.desk.redraw()

    def let_go(self) -> None:
        """Say that letting go early does nothing."""
        self.presenter.let_go()
        self.presenter.desk.redraw()
