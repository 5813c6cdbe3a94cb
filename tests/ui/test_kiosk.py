"""The kiosk as a whole: what is left of one that has been closed."""

import gc
import weakref

from demo_harness import RunningDemo
from touch import frames, kiosk_on


def test_a_kiosk_that_is_closed_leaves_nothing_behind(demo: RunningDemo) -> None:
    with kiosk_on(demo.places, start=False) as hands:
        for screen in ("home", "menu", "settings", "bolus"):
            hands.kiosk.go(screen)
            frames(2)
        kiosk, frame = weakref.ref(hands.kiosk), weakref.ref(hands.kiosk.frame)
    del hands
    gc.collect()
    assert (kiosk(), frame()) == (None, None)
