"""The same bolus with a real pointer in a real window, and keys that lead nowhere."""

import os
import signal
from pathlib import Path

import pytest
from demo_harness import RunningDemo, wait_for
from real_display import RealDisplay, touchscreen_in_a_window
from touch import places_of_a_bolus

from appliance.client import Dose

KEYS = ["Escape", "F1", "F11", "F12", "Return", "Tab", "space", "BackSpace", "Menu", "Super_L"]
KEYS += [
    "Home",
    "End",
    "Delete",
    "Print",
    "e",
    "q",
    "w",
    "c",
    "f",
    "a",
    "1",
    "5",
    "period",
    "F4",
    "Up",
    "Down",
]
HELD = ["", "ctrl+", "alt+", "shift+", "super+", "ctrl+alt+", "ctrl+shift+", "alt+shift+"]


def test_a_bolus_by_a_real_pointer_and_no_key_that_leads_out(
    rested: RunningDemo, tmp_path: Path
) -> None:
    at = places_of_a_bolus(rested.status(), tmp_path)
    with touchscreen_in_a_window(rested.folder, tmp_path) as (display, _pid):
        seen = display.shows("home")
        tried = press_every_key(display)
        assert tried >= 200
        assert changed_pixels(seen, display.still()) < 0.05, "no key has changed the screen"
        walk(display, at, "0", ".", "4", "5")
        display.move(*at["hold"])
        display.xdotool("mousedown", "1")
        try:
            bolus = wait_for(lambda: rested.status().bolus, "the bolus has begun", 10)
        finally:
            display.xdotool("mouseup", "1")
        assert bolus.programmed_uu == 450_000

        def ended() -> bool:
            with rested.pump() as pump:
                dose = pump.lookup(bolus.id)
            return dose is not None and dose.complete

        wait_for(ended, "every step is confirmed", 40, every_s=0.3)
    rested.bounds_hold()


@pytest.mark.full
def test_f14_a_screen_that_is_killed_in_mid_bolus_takes_the_bolus_with_it(
    rested: RunningDemo, tmp_path: Path
) -> None:
    at = places_of_a_bolus(rested.status(), tmp_path)
    with touchscreen_in_a_window(rested.folder, tmp_path) as (display, pid):
        walk(display, at, "4")
        display.move(*at["hold"])
        display.xdotool("mousedown", "1")
        bolus = wait_for(lambda: rested.status().bolus, "the bolus has begun", 10)
        os.kill(pid, signal.SIGKILL)
        display.killed = True

        def ended() -> Dose | None:
            with rested.pump() as pump:
                dose = pump.lookup(bolus.id)
            return dose if dose is not None and not dose.running else None

        dose = wait_for(ended, "the bolus ends", 10, every_s=0.2)
    assert (dose.outcome, dose.certainty) == ("stopped", "exact")
    assert 0 < dose.confirmed_steps < (dose.programmed_steps or 0)
    names = {one.name for one in rested.status().alarms}
    assert "Bolus stopped: nobody could have" in names
    rested.bounds_hold()


def walk(display: RealDisplay, at: dict[str, tuple[float, float]], *digits: str) -> None:
    """From home to a review of what is typed, a click after the other."""
    display.click(*at["bolus"])
    display.shows("bolus")
    for digit in digits:
        display.click(*at[digit])
        display.still()
    display.click(*at["review"])
    display.shows("review")


def press_every_key(display: RealDisplay) -> int:
    keys = [held + key for key in KEYS for held in HELD]
    for first in range(0, len(keys), 40):
        display.xdotool("key", "--window", display.window, *keys[first : first + 40])
    return len(keys)


def changed_pixels(before: bytes, after: bytes) -> float:
    """The share of the picture that differs: a clock or a count may, a screen may not."""
    differing = sum(one != other for one, other in zip(before[::64], after[::64], strict=True))
    return differing / (len(before) / 64)
