"""The kiosk as a whole: what is left of one that has been closed."""

import gc
import os
import signal
import socket
import subprocess
import sys
import weakref
from pathlib import Path

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


def test_the_program_shows_its_first_frame_without_a_library_that_it_does_not_speak(
    demo: RunningDemo, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(60)
        shown = subprocess.Popen(
            [sys.executable, "-P", "-m", "ui", "--display=offscreen", f"--dir={demo.folder}"],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.PIPE,
        )
        try:
            assert door.recv(64) == b"READY=1"
            mapped = Path(f"/proc/{shown.pid}/maps").read_text()
        finally:
            shown.send_signal(signal.SIGTERM)
            said = shown.communicate(timeout=30)[1]
    for library in ("libssl", "libcrypto", "numpy"):
        assert library not in mapped, library
    assert b"Traceback" not in said, said.decode()
