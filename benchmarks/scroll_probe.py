"""A window of the touchscreen in a process of its own: drags the list of history, frame by frame.

    python -m benchmarks.scroll_probe RUNTIME_FOLDER FRAMES

The folder holds the sockets of a pump and of a keeper. Prints a JSON object: of each frame, from
the last picture to this one, the nanoseconds; and how many rows have passed. A frame ends when its
picture is drawn, not when it is asked for.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.client import Places
from ui.environment import prepare
from ui.panels import PANELS

_DRAG_FRAMES = 6
_THROWN_FRAMES = 14
_PART = 0.8


def main(runtime: str, frames: int) -> int:
    """Drag and throw the list for so many frames, or to its end."""
    panel = PANELS["7-inch"]
    with tempfile.TemporaryDirectory() as home:
        prepare(panel, "offscreen", home=Path(home))
        from kivy.base import EventLoop
        from kivy.core.window import Window
        from kivy.graphics.opengl import glFinish
        from kivy.uix.widget import Widget

        from ui.kiosk import Kiosk
        from ui.tour import Fingertip, Guide
        from ui.widgets import RowList

        EventLoop.ensure_window()
        kiosk = Kiosk(Places(Path(runtime), Path(runtime)), panel)
        Window.add_widget(kiosk.frame)
        kiosk.start()
        guide = Guide(kiosk, Path(home) / "none")
        guide.wait(lambda: kiosk.screen == "home", "the first screen")
        guide.rest()
        guide.tap("history")
        guide.screen("history")

        def below(widget: Widget) -> Iterator[Widget]:
            for child in widget.children:
                yield child
                yield from below(child)

        rows = next(one for one in below(kiosk.page) if isinstance(one, RowList))
        guide.wait(lambda: len(rows.rows) > rows.fitting, "the first page")
        guide.rest()

        def places() -> Iterator[float | None]:
            """Where the finger is in each frame, as a part of the list's height; None: it is up."""
            while True:
                yield from (_PART * step / _DRAG_FRAMES for step in range(_DRAG_FRAMES + 1))
                yield from (None for _ in range(_THROWN_FRAMES))

        samples: list[int] = []
        finger: Fingertip | None = None
        last_ns = time.monotonic_ns()
        for part in places():
            if part is None:
                if finger is not None:
                    EventLoop.post_dispatch_input("end", finger)
                    finger = None
            else:
                x_px, y_px = rows.to_window(rows.center_x, rows.y + (0.1 + part) * rows.height)
                if finger is None:
                    finger = Fingertip(x_px, y_px)
                    EventLoop.post_dispatch_input("begin", finger)
                else:
                    share = {"x": x_px / (Window.width - 1), "y": y_px / (Window.height - 1)}
                    finger.move(share)
                    EventLoop.post_dispatch_input("update", finger)
            EventLoop.idle()
            glFinish()
            now_ns = time.monotonic_ns()
            samples.append(now_ns - last_ns)
            last_ns = now_ns
            if len(samples) >= frames or (rows.offset >= rows.most and finger is None):
                break
        passed = round(rows.offset)
        kiosk.close()
    print(json.dumps({"frames_ns": samples, "rows": passed, "known": len(rows.rows)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
