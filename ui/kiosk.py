"""The touchscreen itself: newest state, screens, frame, and the way to the pump. One per window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from kivy.clock import Clock
from kivy.lang import Builder

from appliance.client import (
    BenchClient,
    Dose,
    KeeperClient,
    Places,
    PumpClient,
    PumpError,
    Snapshot,
)
from appliance.client.messages import StopWhat
from ui.clock import now_s
from ui.frame import Frame, Page
from ui.inbox import Inbox
from ui.light import Backlight, share_of
from ui.link import Link
from ui.panels import Panel
from ui.presenters.bar import bar_view
from ui.presenters.computer import NAME as COMPUTER
from ui.presenters.desk import Pump, Stop
from ui.presenters.router import Router
from ui.screens import SCREENS
from ui.state import SILENT_S, State
from ui.system import System
from ui.theme import theme
from ui.words import LANGUAGES, words

Answer = TypeVar("Answer")

_BEAT_S = 1.0
_LOOK_S = 0.1

Builder.load_file(str(Path(__file__).with_name("frame.kv")))


class Kiosk:
    """Everything behind the window. ``frame`` is its one widget; ``start`` begins to listen.

    It is the desk of every presenter (``ui.presenters.desk``) and the pump that they ask.
    """

    def __init__(
        self,
        places: Places,
        panel: Panel,
        *,
        is_seen: Callable[[], bool] = lambda: True,
        system: System | None = None,
    ) -> None:
        """``is_seen`` says whether there is a display to look at: without one nobody can stop a
        bolus here, so there is no heartbeat, and a bolus that relies on it ends (SR-59, F42).
        ``system`` is the computer, where the menu may switch it off and set its clock.
        """
        theme.fit(panel)
        self.panel = panel
        self.system = system
        self.state = State()
        self.pump: Pump = self
        self.last_stop: Stop | None = None
        self.last_bolus_id = ""
        self._places = places
        self._inbox = Inbox()
        self._link = Link(places, self._inbox.post, heard=self._heard, lost=self._lost)
        self._pages: dict[str, Page] = {}
        self._redraw = Clock.create_trigger(lambda _dt: self._draw(), -1)
        self._is_seen = is_seen
        self._beat = Clock.create_trigger(lambda _dt: self._beat_once(), _BEAT_S, interval=True)
        self._looking = Clock.create_trigger(lambda _dt: self._look(), _LOOK_S, interval=True)
        self.router = Router(self._show)
        self.frame = Frame(
            panel, stop=self._stop_pressed, foot=self._foot_pressed, strip=self._strip_pressed
        )
        self.screen = ""
        self._entry_off = False
        self._backlight = Backlight()
        words.listen(self.redraw)
        theme.bind(dark=self._coloured)
        self.router.begin()
        self._looking()

    def start(self) -> None:
        """Begin to speak with the pump."""
        self._link.start()
        self._beat()

    def close(self) -> None:
        """Leave the pump. A bolus that relied on this screen stops 3 s later (SR-59)."""
        self._beat.cancel()
        self._looking.cancel()
        self._link.close()
        words.leave(self.redraw)
        theme.unbind(dark=self._coloured)

    def _beat_once(self) -> None:
        if self._is_seen():
            self._link.beat()

    # --- the desk -----------------------------------------------------------------------------

    def go(self, screen: str, **entered: object) -> None:
        """Show another screen."""
        self.router.go(screen, **entered)

    def has(self, screen: str) -> bool:
        """Return whether there is a screen of this name."""
        return screen in SCREENS and (screen != COMPUTER or self.system is not None)

    def redraw(self) -> None:
        """Ask for the view again before the next frame."""
        self._redraw()

    def now_s(self) -> float:
        """Return the touchscreen's own clock."""
        return now_s()

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return self._pages[self.screen]

    def _coloured(self, *_: object) -> None:
        self.frame.colour()
        self.redraw()

    # --- the pump -----------------------------------------------------------------------------

    def ask(
        self,
        act: Callable[[PumpClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask the pump; the answer comes on this thread, and the screen is drawn after it."""
        self._link.ask(act, self._then(done), self._then(failed))

    def ask_keeper(
        self,
        act: Callable[[KeeperClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask pump-keeper in the same way."""
        self._link.ask_keeper(act, self._then(done), self._then(failed))

    def ask_bench(
        self,
        act: Callable[[BenchClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask the simulated bench in the same way."""
        self._link.ask_bench(act, self._then(done), self._then(failed))

    def stop(
        self,
        what: StopWhat,
        done: Callable[[list[Dose]], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Stop, past everything that was asked for before."""
        self._link.stop(what, self._then(done), self._then(failed))

    def _then(self, call: Callable[[Answer], None]) -> Callable[[Answer], None]:
        def then(answer: Answer) -> None:
            call(answer)
            self.redraw()

        return then

    # --- what comes in ------------------------------------------------------------------------

    def _heard(self, snapshot: Snapshot, roles: frozenset[str]) -> None:
        _prefer(snapshot)
        if snapshot.bolus is not None:
            self.last_bolus_id = snapshot.bolus.id
        heard_s = now_s() - snapshot.age_ms / 1000
        self._set(State(snapshot=snapshot, heard_s=heard_s, lost="", roles=roles))

    def _lost(self, why: str, not_up: tuple[str, ...]) -> None:
        if (self.state.lost, self.state.not_up) != (why, not_up):
            self._set(replace(self.state, lost=why, not_up=not_up))

    def _look(self) -> None:
        """See a pump that has fallen silent, and tell the screen how long nobody has touched it."""
        state = self.state
        if state.contact and now_s() - state.heard_s > SILENT_S:
            self._set(replace(state, lost="no word from the pump"))
        stuck = self.frame.stuck.stuck(now_s())
        self._link.tell_stuck(stuck)
        if (stuck != "no") != self._entry_off:
            self.redraw()
        self._dim()
        self.page.presenter.idle(now_s() - self.frame.touched_s)

    def _dim(self) -> None:
        if self.screen in ("alarm", "no_contact", "delivering"):
            self.frame.woken_s = now_s()
        share = share_of(now_s() - self.frame.woken_s)
        if self.frame.shade != 1 - share:
            self.frame.shade = 1 - share
            self._backlight.set(share)

    def _set(self, state: State) -> None:
        self.state = state
        self.router.hear(state)
        self.redraw()

    # --- fingers ------------------------------------------------------------------------------

    def _stop_pressed(self) -> None:
        self.last_stop = Stop()
        self.stop("all", self._stopped, self._not_stopped)
        self.router.go("stopped")

    def _stopped(self, doses: list[Dose]) -> None:
        self.last_stop = Stop(answered=True, doses=tuple(doses))

    def _not_stopped(self, error: PumpError) -> None:
        self.last_stop = Stop(answered=True, failed=str(error))

    def _strip_pressed(self) -> None:
        self.go("alarm")

    def _foot_pressed(self, key: str) -> None:
        self.page.presenter.press(key)
        self.redraw()

    # --- what is shown ------------------------------------------------------------------------

    def _show(self, screen: str, entered: dict[str, object]) -> None:
        old = self._pages.get(self.screen)
        if old is not None:
            old.presenter.left()
            old.left()
        page = self._pages.get(screen)
        if page is None:
            entry = SCREENS[screen]
            presenter = entry.presenter(self)
            presenter.entered(**entered)
            page = self._pages[screen] = entry.page(presenter)
        else:
            page.presenter.entered(**entered)
            page.refresh()
        self.screen = screen
        page.entered()
        self.frame.show(page)
        self._draw()

    def _draw(self) -> None:
        page = self.page
        page.refresh()
        self._entry_off = self.frame.stuck.is_stuck(now_s())
        self.frame.draw(bar_view(self.state, page.view.title, entry_off=self._entry_off), page.view)


def _prefer(snapshot: Snapshot) -> None:
    """Take language and look from the pump, where somebody chose them."""
    language, look = snapshot.preferences.get("language"), snapshot.preferences.get("theme")
    if isinstance(language, str) and language in LANGUAGES and language != words.language:
        words.use(language)
    if look is not None and theme.dark != (look != "light"):
        theme.use(dark=look != "light")
