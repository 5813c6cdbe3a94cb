"""The kiosk as a whole: what is left of one that has been closed."""

import gc
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

from demo_harness import RunningDemo
from touch import Hands, frames, kiosk_on
from ui_desk import snapshot_of

from ui.presenters.confirm import Matter
from ui.presenters.review import HOLD_S
from ui.widgets import HoldButton


def holds_of(hands: Hands) -> Iterator[HoldButton]:
    return (one for one in hands.buttons() if isinstance(one, HoldButton))


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


def test_a_confirmation_after_another_one_has_its_button_again(demo: RunningDemo) -> None:
    matter = Matter(
        *("Basal", "Use it?", "1.000", "U/h", "from now on", "Hold to use it"),
        act=lambda done, _refuse: done(()),
        done="It is in use.",
        back=lambda: None,
        after=lambda: None,
    )
    with kiosk_on(demo.places, start=False) as hands:
        for _time in range(2):
            hands.hear(snapshot_of())  # contact, for two seconds of ours
            hands.kiosk.go("confirm", matter=matter)
            hands.settles()
            finger = hands.finger_on(next(holds_of(hands))).down()
            hands.later(HOLD_S + 0.1)
            frames(2)
            finger.up()
            hands.sees_text(matter.done)
            assert not list(holds_of(hands))
            hands.kiosk.go("home")
            frames(2)
            gc.collect()  # the button of a matter that is over hangs nowhere
