"""The status bar: time, title, and what a glance is for: units and hours left, set, contact."""

from __future__ import annotations

from dataclasses import dataclass

from ui.presenters import numbers
from ui.presenters.alarm import LOW, unanswered
from ui.state import State
from ui.words import _, words


@dataclass(frozen=True, slots=True)
class BarItem:
    """A caption and its value; ``tone`` is the name of a colour."""

    caption: str
    value: str
    tone: str = "text"
    spare: bool = False
    """Whether its caption gives way where the bar is too narrow for all."""


@dataclass(frozen=True, slots=True)
class BarView:
    """The bar from left to right; the BENCH mark stands between time and title."""

    time: str
    title: str
    title_tone: str
    items: tuple[BarItem, ...]
    strip: str = ""
    """An alarm of low priority that nobody has acknowledged; touched, it shows its page."""


def bar_view(state: State, title: str, *, entry_off: bool = False) -> BarView:
    """Return what the bar shows; without contact it says so, and shows no number.

    ``entry_off``: a touch is stuck, so no key counts (SR-11).
    """
    snapshot = state.live
    if snapshot is None:
        lost = BarItem("", _("No contact"), "low")
        return BarView("--:--", title, "text", (lost,))
    clock = snapshot.clock
    time = numbers.clock(clock.utc_ns, clock.offset_s) if clock is not None else "--:--"
    items = []
    if snapshot.speed != 1:
        items.append(BarItem(_("Simulated time"), f"×{snapshot.speed}", "bench"))
    if snapshot.bolus is not None:
        items.append(BarItem("", _("Delivering"), "insulin"))
    reservoir = numbers.whole_units(snapshot.reservoir_uu)
    crowded = len(items) == 2 and snapshot.battery is not None  # no room for an age beside them
    if snapshot.reservoir_h is not None and not crowded:
        reservoir += "  " + numbers.age(snapshot.reservoir_h * 3_600)
    items.append(BarItem(_("Reservoir"), reservoir, spare=True))
    battery = snapshot.battery
    if battery is not None and battery.percent is not None:
        items.append(BarItem(_("Battery"), f"{battery.percent}%", spare=True))
    low = [one for one in unanswered(snapshot) if one.priority == LOW]
    strip = words.of_the_pump(low[0].name) if low else ""
    if entry_off:  # it says why no key answers, which no title does
        return BarView(time, _("Entry is off: a touch is stuck"), "high", tuple(items))
    return BarView(time, title, "text", tuple(items), strip)
