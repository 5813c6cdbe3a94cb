"""The body of the screen "review". The second confirmation takes the other side (SR-10)."""

from __future__ import annotations

from pathlib import Path

from kivy.lang import Builder
from kivy.properties import NumericProperty

from ui.frame import Page
from ui.presenters.review import HOLD_S, ReviewPresenter
from ui.theme import theme

Builder.load_file(str(Path(__file__).with_suffix(".kv")))


class ReviewPage(Page):
    """The button is on the right; asked a second time it has changed places with the facts."""

    hold_s = NumericProperty(HOLD_S)
    presenter: ReviewPresenter

    def on_view(self, *_: object) -> None:
        """Put the button where it belongs: upright above the facts first, then below them."""
        if "lower" not in self.ids:
            return
        # Strong references: while they hang nowhere, ``ids`` may forget them.
        lower, hold, facts = self.ids.lower, self.ids.first.__self__, self.ids.facts.__self__
        order = [hold, facts] if self.view.again != theme.portrait else [facts, hold]
        if order == list(reversed(lower.children)):
            return
        lower.clear_widgets()
        for one in order:
            lower.add_widget(one)
        hold.down = False

    def entered(self) -> None:
        """Have the button deaf for its first half second, however often it is shown."""
        self.ids.first.appear()

    def held(self) -> None:
        """Hand a full hold to the presenter."""
        self.presenter.held()
        self.presenter.desk.redraw()

    def let_go(self) -> None:
        """Say that letting go early does nothing."""
        self.presenter.let_go()
        self.presenter.desk.redraw()
