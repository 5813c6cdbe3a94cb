"""The touchscreen on the console of a whole Debian 13, worked with a finger (``test --vm``).

The graphics card is the emulator's, and its picture is looked at from outside. The touch panel is
one that the kernel makes up (uinput): a touch takes the way of a real one through kernel and kiosk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_pump import (
    INSTALL,
    PREPARED,
    SET_UP,
    STEPS_PER_U,
    all_up,
    begin_bolus,
    bench,
    delivering_again,
    differences,
    end_bolus,
    listed,
    main_pid,
    memory_kib,
    say,
    status,
    unpacked,
    until,
    until_so,
)
from PIL import Image, ImageChops
from whole_machine import KioskPc

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

SERVICES = ("bench-sim", "pump-guard", "pumpd", "pump-keeper", "pump-ui")
WORDS = f"--bench --user tester --yes --from {PREPARED}"
LONG_S = 1_800.0
ANOTHER_SCREEN, SAME_SCREEN = 0.1, 0.02  # share of the picture that has changed; a clock may

# In the guest: a touch panel, whose one finger does what a line of the pipe says.
PANEL = """
import fcntl, os, struct
KEY, ABS, TOUCH, SLOT, X, Y, MT_X, MT_Y, FINGER = 1, 3, 0x14A, 0x2F, 0, 1, 0x35, 0x36, 0x39
SET_EVENT, SET_KEY, SET_ABS, SET_KIND = 0x40045564, 0x40045565, 0x40045567, 0x4004556E
CREATE, DIRECT = 0x5501, 1
most = {SLOT: 9, X: 799, Y: 479, MT_X: 799, MT_Y: 479, FINGER: 65_535}
panel = os.open("/dev/uinput", os.O_WRONLY)
for kind in (KEY, ABS):
    fcntl.ioctl(panel, SET_EVENT, kind)
fcntl.ioctl(panel, SET_KEY, TOUCH)
fcntl.ioctl(panel, SET_KIND, DIRECT)
for axis in most:
    fcntl.ioctl(panel, SET_ABS, axis)
limits = [most.get(axis, 0) for axis in range(64)] + [0] * 192
os.write(panel, struct.pack("80s4HI256i", b"Touch panel", 3, 1, 1, 1, 0, *limits))
fcntl.ioctl(panel, CREATE)
fingers = 0
os.mkfifo("/run/finger")
with os.fdopen(os.open("/run/finger", os.O_RDWR)) as lines:
    for line in lines:
        events = [(ABS, SLOT, 0), (ABS, FINGER, -1), (KEY, TOUCH, 0)]
        if line != "up\\n":
            fingers += 1
            # The kernel tells only what has changed, and no finger is twice at the very same place.
            x, y = (int(one) + fingers % 2 for one in line.split())
            events = [(ABS, SLOT, 0), (ABS, FINGER, fingers), (ABS, MT_X, x), (ABS, MT_Y, y),
                      (KEY, TOUCH, 1), (ABS, X, x), (ABS, Y, y)]
        for event in [*events, (0, 0, 0)]:
            os.write(panel, struct.pack("llHHi", 0, 0, *event))
"""


class Screen:
    """What a person in front of it sees and touches."""

    def __init__(self, machine: KioskPc, folder: Path) -> None:
        """``folder`` gets its pictures."""
        from touch import places_of_a_bolus  # it opens a window
        from ui_desk import snapshot_of

        self._machine = machine
        self._folder = folder
        self._places = places_of_a_bolus(snapshot_of(), folder)
        self._looks = 0

    def fit_panel(self) -> None:
        """Plug in the touch panel, which the kiosk finds when it starts."""
        self._machine.sh(f"modprobe uinput; cat >/tmp/panel.py <<'PYTHON'\n{PANEL}\nPYTHON")
        self._machine.begin("exec python3 /tmp/panel.py")
        until(self._machine, "test -p /run/finger && udevadm settle", 60)
        self._machine.sh("systemctl restart pump-ui", timeout_s=300)
        until_so(lambda: is_drawn(self.look()), 300)

    def look(self) -> Image.Image:
        """Return what is shown now; it is kept as well, for a person to look at."""
        self._looks += 1
        path = self._folder / f"{self._looks:03}.png"
        self._machine.picture(path)
        return Image.open(path).convert("RGB")

    def still(self, other_than: Image.Image | None = None) -> Image.Image:
        """Wait for a picture that has come to rest, of another screen than ``other_than``."""
        seen = self.look()

        def is_still() -> bool:
            nonlocal seen
            before, seen = seen, self.look()
            changed = other_than is None or changed_part(other_than, seen) > ANOTHER_SCREEN
            return changed and changed_part(before, seen) < SAME_SCREEN

        until_so(is_still, 300)
        return seen

    def down(self, name: str) -> None:
        """Have the finger come down on a button, and stay."""
        self._machine.sh(f"echo {self._at(name)} >/run/finger")

    def up(self) -> None:
        """Have it leave."""
        self._machine.sh("echo up >/run/finger")

    def tap(self, name: str) -> None:
        """Touch and let go; how long that is, the machine's own clock decides."""
        self._machine.sh(
            f"echo {self._at(name)} >/run/finger; sleep 0.15; echo up >/run/finger; sleep 0.3"
        )

    def _at(self, name: str) -> str:
        x_px, y_px = self._places[name]
        return f"{x_px:.0f} {y_px:.0f}"


def is_drawn(picture: Image.Image) -> bool:
    """Whether the kiosk has the screen: a text console has two colours."""
    return len(picture.getcolors(picture.width * picture.height) or []) > 20


def changed_part(one: Image.Image, other: Image.Image) -> float:
    """Return the share of two pictures that differs."""
    if one.size != other.size:
        return 1.0
    difference = (
        ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > 8))
    )
    return difference.histogram()[255] / (one.width * one.height)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KioskPc]:
    with unpacked(lambda: KioskPc(tmp_path_factory.mktemp("kiosk"))) as made:
        yield made


@pytest.fixture(scope="module")
def screen(machine: KioskPc, tmp_path_factory: pytest.TempPathFactory) -> Screen:
    folder = tmp_path_factory.mktemp("screen")
    say(f"its pictures: {folder}")
    return Screen(machine, folder)


def test_installed_with_a_touchscreen_all_four_services_are_up_after_a_reboot(
    machine: KioskPc, screen: Screen
) -> None:
    machine.before = listed(machine)
    said = machine.sh(f"{INSTALL} {WORDS}", timeout_s=LONG_S).out
    assert "Done: release" in said
    machine.reboot()
    all_up(machine, SERVICES)
    assert "KMSDRM" in machine.sh(f"tr '\\0' ' ' </proc/{main_pid(machine, 'pump-ui')}/cmdline").out
    until_so(lambda: is_drawn(screen.look()), 300)
    assert screen.look().size == (800, 480)
    assert 0 < memory_kib(machine, SERVICES[1:]) < 600 * 1024
    machine.sh("systemctl stop pump-ui")
    until_so(lambda: not is_drawn(screen.look()), 60)
    machine.sh("systemctl start pump-ui", timeout_s=300)


def test_a_finger_gives_a_bolus_from_the_touchscreen(machine: KioskPc, screen: Screen) -> None:
    machine.sh(SET_UP, timeout_s=300)
    delivering_again(machine, SERVICES)
    screen.fit_panel()
    before = bench(machine)["steps_forward"]
    screen.tap("0")  # there is nothing on home; a screen that is dimmed is woken by its first touch
    home = screen.still()
    screen.tap("bolus")
    amount = screen.still(home)
    for key in ("0", ".", "5"):
        screen.tap(key)
    screen.still()
    screen.tap("review")
    screen.still(amount)
    screen.down("hold")
    until_so(lambda: status(machine)["bolus"] is not None, 120)
    screen.up()
    until_so(lambda: status(machine)["bolus"] is None, 600)
    moved = bench(machine)["steps_forward"] - before
    assert moved == int(0.5 * STEPS_PER_U)
    say(f"0.5 U by a finger: {moved} steps")


def test_a_touchscreen_that_is_killed_comes_back_and_delivery_goes_on(
    machine: KioskPc, screen: Screen
) -> None:
    delivering_again(machine, SERVICES)
    client, _ = begin_bolus(machine, "1", lambda: int(bench(machine)["steps_forward"]))
    pid = main_pid(machine, "pump-ui")
    machine.sh(f"kill -9 {pid}")
    done = end_bolus(machine, client, 900)
    assert (done["certainty"], done["confirmed_steps"]) == ("exact", int(STEPS_PER_U))
    all_up(machine, SERVICES)
    assert main_pid(machine, "pump-ui") != pid
    until_so(lambda: is_drawn(screen.look()), 300)


def test_uninstalled_with_its_records_it_leaves_no_file_and_no_user(machine: KioskPc) -> None:
    machine.sh("pumpctl suspend")
    machine.sh(f"{INSTALL} uninstall --records --yes", timeout_s=600)
    left = differences(machine.before, listed(machine))
    # Debian makes the kernel's first disk anew when packages come and go.
    assert [line for line in left if " /boot/initrd.img-" not in line] == []
