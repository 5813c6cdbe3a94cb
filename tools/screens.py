#!/usr/bin/env python3
"""Make docs/screens anew: a picture of every screen on both panels, from one story of one run.

    tools/screens.py [--language L] [--light] [FOLDER]

A demo with the virtual patient runs sixty times as fast. Its touchscreen is walked by touches, on
one panel after the other, in the same run. Look at what comes out.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from appliance.client import BenchClient, NoPump, Places, PumpClient, PumpError  # noqa: E402
from ui.environment import prepare  # noqa: E402
from ui.panels import PANELS  # noqa: E402
from ui.words import words  # noqa: E402

if TYPE_CHECKING:  # it brings Kivy, which waits for its environment
    from ui.tour import Guide

SPEED = 60
BEFORE_S = 60.0
"""An hour of the story passes before the first picture."""
SIZES = ("7-inch", "7-inch-portrait")
BY_NAME = (
    "extend", "quick", "temp", "cartridge", "set_change", "history", "graph", "days",
    "profiles", "settings", "reminders", "alarm_log", "check", "fault_bench", "language",
    "zone", "about", "first_start",
)  # fmt: skip
"""Screens that are shown as they are entered; the others are reached by touches."""
PATIENT = """\
[[source]]
name = "patient"
kind = "patient"
enabled = true
[source.options]
person = "resistant"
start_mg_dl = 158
seed = 7
"""


def main() -> int:
    said = _words().parse_args()
    if said.panel:
        return walk(said)
    with tempfile.TemporaryDirectory(prefix="bp-screens-") as scratch:
        demo = Path(scratch) / "demo"
        demo.mkdir()
        (demo / "keeper.toml").write_text(PATIENT, "utf-8")
        command = [sys.executable, "-P", "-m", "appliance.demo", "--headless"]
        command += ["--speed", str(SPEED), "--dir", str(demo)]
        log = Path(scratch) / "demo.log"
        with log.open("wb") as out:
            program = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
        try:
            while b"READY" not in log.read_bytes():
                if program.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.2)
            print(f"{BEFORE_S:.0f} s of the story pass ...", flush=True)
            time.sleep(BEFORE_S)
            for panel in SIZES:
                again = [sys.executable, __file__, "--panel", panel, "--dir", str(demo)]
                again += ["--language", said.language, *(["--light"] if said.light else [])]
                subprocess.run([*again, said.folder], check=True)
        finally:
            program.send_signal(signal.SIGTERM)
            program.wait(60)
    return 0


def walk(said: argparse.Namespace) -> int:
    """Walk the story on one panel, in this process's window."""
    panel = PANELS[said.panel]
    places = Places.of(said.dir)
    words.use(said.language)
    with tempfile.TemporaryDirectory() as home:
        prepare(panel, "offscreen", home=Path(home))
        from kivy.base import EventLoop
        from kivy.core.window import Window

        from ui.kiosk import Kiosk
        from ui.screens import SCREENS
        from ui.theme import theme
        from ui.tour import Guide, TourTrouble, story

        theme.use(dark=not said.light)
        size = f"{panel.width_px}x{panel.height_px}"
        folder = Path(said.folder) / size
        for old in folder.glob("*.png"):
            old.unlink()
        EventLoop.ensure_window()
        kiosk = Kiosk(places, panel)
        Window.add_widget(kiosk.frame)
        guide = Guide(kiosk, folder)
        guide.frames()
        guide.picture("no-contact")
        kiosk.start()
        try:
            answer_alarms(guide)
            story(guide)
            for name in BY_NAME:
                if name in SCREENS:
                    kiosk.go(name)
                    guide.rest()
                    guide.rest()
                    guide.picture(name.replace("_", "-"))
            kiosk.go("home")
            guide.screen("home")
            blocked_line(guide, places)
        except TourTrouble as trouble:
            guide.picture("where-it-ended")
            print(f"{panel.name}: {trouble}", flush=True)
            return 1
        finally:
            kiosk.close()
        print(f"{len(guide.pictures)} pictures in {folder}", flush=True)
    return 0


def answer_alarms(guide: Guide) -> None:
    """Acknowledge what stands, as a person would, so that the story can begin."""
    guide.wait(lambda: guide.kiosk.state.contact, "the pump")
    guide.rest()
    while guide.kiosk.screen == "alarm":
        guide.rest()
        number = guide.kiosk.page.view.number
        guide.tap("seen")
        guide.wait(
            lambda number=number: (
                guide.kiosk.screen != "alarm" or guide.kiosk.page.view.number != number
            ),
            "the alarm is acknowledged",
        )
    guide.kiosk.go("home")
    guide.screen("home")


def blocked_line(guide: Guide, places: Places) -> None:
    """Block the line in the midst of a bolus: the alarm, the account, the way back."""
    with BenchClient(places.bench_socket) as bench:
        bench.call("inject", {"name": "occlusion"})
    guide.tap("bolus")
    guide.screen("bolus")
    guide.type("4")
    guide.tap("review")
    guide.screen("review")
    guide.wait(lambda: guide.kiosk.page.view.ready, "the review")
    button = guide.kiosk.page.ids.first.__self__
    guide.hold(button, lambda: guide.kiosk.screen != "review")
    guide.wait(lambda: guide.kiosk.screen == "alarm", "the alarm")
    guide.rest()
    guide.picture("alarm")
    with BenchClient(places.bench_socket) as bench:
        bench.call("clear", {"name": "all"})
    answer_alarms(guide)
    guide.picture("home-after-the-alarm")
    recover(places)

    def runs() -> bool:
        snapshot = guide.kiosk.state.live
        return snapshot is not None and snapshot.state == "running"

    guide.wait(runs, "basal")


def recover(places: Places) -> None:
    for _ in range(100):
        try:
            with PumpClient(places.pump_socket) as pump:
                pump.acknowledge(None)
                if pump.resume() == "running":
                    return
        except (NoPump, PumpError):
            time.sleep(0.3)


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=str(ROOT / "docs" / "screens"))
    parser.add_argument("--language", default="en")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--panel", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--dir", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
