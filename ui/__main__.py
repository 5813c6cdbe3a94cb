"""``pump-ui``: the touchscreen. It may be killed at any moment; the pump has its own rules."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from appliance.adapters.lean import without
from appliance.adapters.notify import Notifier
from ui.environment import Display, has_display, prepare
from ui.panels import PANELS, Panel
from ui.system import System
from ui.words import LANGUAGES, words

NOT_SPOKEN = ("ssl", "_hashlib")
"""What libraries take along where they find it; nothing is spoken here but Unix sockets."""

with without(*NOT_SPOKEN):
    from appliance.client import BadPlace, Places, SeveralDemos


def main(argv: Sequence[str] | None = None) -> int:
    """Show the touchscreen until it is ended; exit status 2 for wrong words."""
    said = _words().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        places = Places.of(said.dir)
    except (BadPlace, SeveralDemos) as wrong:
        sys.stderr.write(f"pump-ui: {wrong}\n")
        return 2
    display: Display = said.display or ("x11" if os.environ.get("DISPLAY") else "KMSDRM")
    if said.tour is not None:
        display = "offscreen"
    panel = PANELS[said.panel]
    words.use(said.language)
    with tempfile.TemporaryDirectory(prefix="pump-ui-") as home:
        with without(*NOT_SPOKEN):  # Kivy imports asyncio
            prepare(panel, display, home=Path(home), fullscreen=display == "KMSDRM")
            from ui.app import Touchscreen
            from ui.kiosk import Kiosk
            from ui.theme import theme

        theme.use(dark=not said.light)
        if said.tour is not None:
            return _tour(places, panel, Path(said.tour))
        # A window on a desktop is somebody's; on the console a display may be unplugged.
        is_seen = has_display if display == "KMSDRM" else (lambda: True)
        system = System() if said.computer else None
        kiosk = partial(Kiosk, places, panel, is_seen=is_seen, system=system)
        Touchscreen(kiosk, Notifier()).run()
    return 0


def _tour(places: Places, panel: Panel, folder: Path) -> int:
    from ui.kiosk import Kiosk
    from ui.tour import TourTrouble, take_tour

    try:
        pictures = take_tour(Kiosk(places, panel), folder)
    except TourTrouble as trouble:
        sys.stderr.write(f"pump-ui: the tour ended early: {trouble}\n")
        return 1
    sys.stdout.write(f"{len(pictures)} pictures in {folder}\n")
    return 0


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pump-ui", description="The touchscreen of a Benchpump. BENCH use only."
    )
    parser.add_argument("--dir", metavar="DIR", help="a demo's folder (the one demo without it)")
    parser.add_argument("--panel", choices=sorted(PANELS), default="7-inch")
    parser.add_argument("--display", choices=["x11", "KMSDRM", "offscreen"])
    parser.add_argument("--language", choices=sorted(LANGUAGES), default="en")
    parser.add_argument(
        "--tour", metavar="FOLDER", help="walk through the screens offscreen, and write pictures"
    )
    parser.add_argument(
        "--computer", action="store_true", help="have a menu to switch this computer off"
    )
    parser.add_argument("--light", action="store_true", help="the light colours")
    return parser


if __name__ == "__main__":
    sys.exit(main())
