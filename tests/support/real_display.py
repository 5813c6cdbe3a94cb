"""A display of its own (Xvfb) and a real pointer (xdotool): what a person with a mouse has."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from demo_harness import wait_for

STILL_S = 1.0


class RealDisplay:
    """One X server without a screen; its picture is a file that can be looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        ready, told = os.pipe()
        words = ["Xvfb", "-displayfd", str(told), "-screen", "0", "1000x700x24"]
        words += ["-fbdir", str(folder), "-nolisten", "tcp"]
        with (folder / "Xvfb.log").open("wb") as log:
            self._server = subprocess.Popen(words, stdout=log, stderr=log, pass_fds=[told])
        os.close(told)
        with os.fdopen(ready) as number:
            self.name = f":{number.readline().strip()}"
        self.environment = {**os.environ, "DISPLAY": self.name}
        self.environment.pop("SDL_VIDEODRIVER", None)
        self.window = ""
        self.killed = False

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)

    def xdotool(self, *words: str) -> str:
        done = subprocess.run(
            [str(shutil.which("xdotool")), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return done.stdout.strip()

    def find_window(self, pid: int) -> None:
        """Wait for the program's window, and for its first still picture."""
        self.window = wait_for(lambda: self.xdotool("search", "--pid", str(pid)), "a window", 40)
        self.window = self.window.splitlines()[-1]
        self.shows("home")

    def shows(self, screen: str) -> bytes:
        """Wait until the window's name says this screen, and its picture stands still."""

        def is_shown() -> bool:
            return self.xdotool("getwindowname", self.window).endswith(f": {screen}")

        wait_for(is_shown, f"the screen {screen!r} in the window", 40, every_s=0.15)
        return self.still()

    def pixels(self) -> bytes:
        return (self._folder / "Xvfb_screen0").read_bytes()

    def still(self) -> bytes:
        """Wait until the picture has not changed for a second, and return it."""
        last, since_s = self.pixels(), time.monotonic()

        def is_still() -> bool:
            nonlocal last, since_s
            now = self.pixels()
            if now != last:
                last, since_s = now, time.monotonic()
            return time.monotonic() - since_s > STILL_S

        wait_for(is_still, "the picture stands still", 30)
        return last

    def move(self, x_px: float, y_px: float) -> None:
        """Point at a place in the window; y grows downwards here."""
        self.xdotool("mousemove", "--window", self.window, str(round(x_px)), str(round(y_px)))

    def click(self, x_px: float, y_px: float) -> None:
        self.move(x_px, y_px)
        self.xdotool("mousedown", "1")
        self.xdotool("mouseup", "1")


@contextmanager
def touchscreen_in_a_window(demo_folder: Path, scratch: Path) -> Iterator[tuple[RealDisplay, int]]:
    """Run ``pump-ui`` on a display of its own; yield it and the program's pid."""
    for tool in ("Xvfb", "xdotool"):
        if shutil.which(tool) is None:
            pytest.skip("NOT RUN: needs a display; apt-get install xvfb xauth xdotool")
    display = RealDisplay(scratch / "display")
    log = scratch / "pump-ui.log"
    try:
        with log.open("wb") as out:
            program = subprocess.Popen(
                [sys.executable, "-P", "-m", "ui", "--dir", str(demo_folder)],
                env=display.environment,
                stdout=out,
                stderr=out,
            )
        try:
            display.find_window(program.pid)
            yield display, program.pid
            assert display.killed or program.poll() is None, log.read_text()
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait(60)  # a busy computer takes its time to take a program away
    finally:
        display.close()
