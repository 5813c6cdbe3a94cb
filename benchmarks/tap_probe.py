"""A window of the touchscreen in a process of its own: taps keys, and times each until it shows.

    python -m benchmarks.tap_probe DEMO_FOLDER TAPS

Prints nanoseconds as a JSON list. A tap begins at any moment of a frame.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from appliance.client import Places
from ui.environment import prepare
from ui.panels import PANELS

_WAIT_S = 5.0


def main(folder: str, taps: int) -> int:
    """Tap ``taps`` keys on the screen of a bolus's amount."""
    panel = PANELS["7-inch"]
    with tempfile.TemporaryDirectory() as home:
        prepare(panel, "offscreen", home=Path(home))
        from kivy.base import EventLoop
        from kivy.core.window import Window
        from kivy.graphics.opengl import GL_RGBA, GL_UNSIGNED_BYTE, glReadPixels

        from ui.kiosk import Kiosk
        from ui.tour import Guide

        EventLoop.ensure_window()
        kiosk = Kiosk(Places.of(folder), panel)
        Window.add_widget(kiosk.frame)
        kiosk.start()
        guide = Guide(kiosk, Path(home) / "none")
        guide.wait(lambda: kiosk.screen == "home", "the first screen")
        guide.rest()
        guide.tap("bolus")
        guide.screen("bolus")

        def digits() -> bytes:
            # The left half of the body: where the digits of the amount stand.
            box = (14, 250, 360, 160)
            return bytes(glReadPixels(*box, GL_RGBA, GL_UNSIGNED_BYTE))

        samples = []
        for number in range(taps):
            # No key more often than a hand would: over 100 times a minute it is stuck (SR-11).
            wipes = "clear" if number % 4 == 1 else "erase"
            key = guide.find(wipes if number % 2 else str(1 + number % 9))
            time.sleep(0.1 + (number * 7 % 33) / 1000)  # anywhere between two frames
            guide.frames(1)
            before, began_ns = digits(), time.monotonic_ns()
            finger = guide.touch(key)
            while digits() == before:
                if time.monotonic_ns() - began_ns > _WAIT_S * 1e9:
                    sys.stderr.write(f"key {number} has changed nothing\n")
                    return 1
                EventLoop.idle()
            samples.append(time.monotonic_ns() - began_ns)
            guide.lift(finger)
        kiosk.close()
    print(json.dumps(samples))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
