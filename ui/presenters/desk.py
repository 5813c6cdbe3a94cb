"""What stands between a presenter and the rest: the pump, the newest state, the other screens.

A presenter turns state into a view (a frozen dataclass of words, numbers and names of colours) and
fingers into questions to the pump. It knows no Kivy, so a test can drive it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from appliance.client import BenchClient, Dose, KeeperClient, PumpClient, PumpError
from appliance.client.messages import StopWhat
from ui.state import State
from ui.system import System

Answer = TypeVar("Answer")

ENTRY_S = 30.0
"""Unfinished entry is lost after so long without a touch (SR-09)."""


class Pump(Protocol):
    """Questions to the pump. Nothing blocks: answers come later, on the screen's thread."""

    def ask(
        self,
        act: Callable[[PumpClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Do ``act`` elsewhere; then call ``done`` with what it returned, or ``failed``."""
        ...

    def ask_keeper(
        self,
        act: Callable[[KeeperClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask pump-keeper; NoPump means that history is not available, and dosing goes on."""
        ...

    def ask_bench(
        self,
        act: Callable[[BenchClient], Answer],
        done: Callable[[Answer], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Ask the simulated bench; NoPump means that there is none."""
        ...

    def stop(
        self,
        what: StopWhat,
        done: Callable[[list[Dose]], None],
        failed: Callable[[PumpError], None],
    ) -> None:
        """Stop, past everything that was asked for before."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """The last touch on STOP, and what the pump said to it; ``failed`` is why it did not."""

    answered: bool = False
    doses: tuple[Dose, ...] = ()
    failed: str = ""


class Desk(Protocol):
    """What every presenter is given."""

    pump: Pump
    last_stop: Stop | None
    last_bolus_id: str
    """The bolus that was seen to run last, by whomever it was given; "" for none yet."""
    state: State
    """The newest; another one at each look."""
    system: System | None
    """The computer, where this screen may ask it for anything; None in a demo."""

    def go(self, screen: str, **words: object) -> None:
        """Show another screen; its presenter's ``entered`` gets ``words``."""
        ...

    def has(self, screen: str) -> bool:
        """Return whether there is a screen of this name."""
        ...

    def redraw(self) -> None:
        """Have the screen ask for the view again, at the next frame."""
        ...

    def now_s(self) -> float:
        """Return the touchscreen's own clock, in seconds; it never jumps."""
        ...


@dataclass(frozen=True, slots=True)
class FootItem:
    """One button of the foot. STOP is none of them: it is part of the frame.

    ``kind`` is "plain", "primary" (the one main action) or "stop" (STOP BOLUS).
    """

    key: str
    text: str
    kind: Literal["plain", "primary", "stop"] = "plain"
    enabled: bool = True
    share: float = 1.0
    """How wide it is beside the others in its row."""


@dataclass(frozen=True, slots=True)
class View:
    """What every screen shows around its own body; a screen's view adds its own fields."""

    title: str = ""
    foot: tuple[FootItem, ...] = ()


class Presenter:
    """One screen's words and deeds. Its frame calls these, always on the screen's thread."""

    entry = False
    """Whether unfinished entry is lost when nobody touches the screen for 30 s (SR-09)."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def entered(self, **words: object) -> None:
        """Begin anew: the screen is about to be shown."""

    def left(self) -> None:
        """Forget: another screen is shown."""

    def view(self) -> View:
        """Return what is to be shown now. Called at every change, so it must be quick."""
        raise NotImplementedError

    def press(self, key: str) -> None:
        """Do what a button of the foot, or of the body, asks for."""

    def key(self, key: str) -> None:
        """Take a key of the number pad."""

    def idle(self, idle_s: float) -> None:
        """Hear again and again for how long nobody has touched the screen."""
        if self.entry and idle_s >= ENTRY_S:
            self.desk.go("home")
