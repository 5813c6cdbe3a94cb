"""The screen of the computer: whole on every panel, held to switch off, nothing by a tap."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from geometry import box_of, faults_of, share_area
from touch import TIME, Hands, frames, kiosk_on
from ui_desk import FakeDesk, snapshot_of

from appliance.client import Places
from ui.panels import PANELS
from ui.system import Ran, System
from ui.widgets import HoldButton
from ui.words import words

AT_REST = {
    "state": "suspended",
    "delivering": False,
    "zone": "America/Argentina/ComodRivadavia",
    "clock": {"utc_ns": 1_795_000_000 * 10**9, "offset_s": 0, "quality": "set"},
    "pin": {"set": False},
    "alarms": [],
}
STICK = {"name": "/dev/sda1", "fstype": "vfat", "label": "WWWWWWWWWWW", "size": "119.2G"}
DRIVE = {"name": "/dev/sda", "tran": "usb", "fstype": None, "children": [STICK]}


class Commands:
    """A runner that notes what it was asked for; one stick with a long name is plugged in."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, said: Sequence[str]) -> Ran:
        self.ran.append(" ".join(said))
        return Ran(0, json.dumps({"blockdevices": [DRIVE]}) if said[0] == "lsblk" else "no")


def open_computer(hands: Hands) -> None:
    """Show the screen over a pump at rest that answers at once."""
    desk = FakeDesk(snapshot_of(**AT_REST))
    desk.client.status.return_value = desk.state.snapshot
    desk.client.pin.return_value = {"set": False}
    hands.kiosk.ask = desk.ask
    hands.hear(desk.state.snapshot)
    hands.settles()
    hands.kiosk.go("menu")
    frames(3)
    hands.settles()
    hands.tap("computer")
    hands.sees_screen("computer")
    hands.settles()
    frames(3)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "de"])
@pytest.mark.parametrize("panel", sorted(PANELS))
def test_the_computers_screens_are_whole_on_every_panel(
    panel: str, language: str, tmp_path: Path
) -> None:
    words.use(language)
    nowhere, faults = Places(tmp_path, tmp_path), list[str]()
    try:
        with (
            TIME.held(),
            kiosk_on(nowhere, PANELS[panel], start=False, system=System(Commands())) as hands,
        ):
            open_computer(hands)
            faults += faults_of(hands)
            for key in ("off", "restart"):
                led = box_of(hands.button(key))
                hands.tap(key)
                hands.sees_screen("confirm")
                frames(3)
                faults += [f"{key}: {one}" for one in faults_of(hands)]
                (hold,) = [one for one in hands.buttons() if isinstance(one, HoldButton)]
                assert not share_area(led, box_of(hold))
                hands.settles()
                hands.kiosk.go("computer")
                frames(3)
                hands.settles()
            hands.kiosk.page.presenter.pick("time")
            frames(3)
            assert hands.screen() == "number"
            faults += [f"time: {one}" for one in faults_of(hands)]
            hands.kiosk.go("menu")
            frames(3)
            faults += [f"menu: {one}" for one in faults_of(hands)]
    finally:
        words.use("en")
    assert not faults, "\n".join(faults)


def test_a_tap_switches_nothing_off_and_a_hold_does(tmp_path: Path) -> None:
    commands = Commands()
    nowhere = Places(tmp_path, tmp_path)
    with TIME.held(), kiosk_on(nowhere, start=False, system=System(commands)) as hands:
        open_computer(hands)
        hands.tap("off")
        hands.sees_screen("confirm")
        hands.settles()
        hands.tap("Switch off")
        frames(3)
        assert not any("poweroff" in one for one in commands.ran)
        hands.settles()
        button = hands.button("Switch off")
        finger = hands.finger_on(button).down()
        hands.later(button.hold_s + 0.05)
        frames(2)
        finger.up()
        hands.sees_text("It switches off now.")
    assert commands.ran[-1] == "systemctl --no-ask-password poweroff"


def test_a_kiosk_without_a_computer_of_its_own_has_no_way_to_its_screen(tmp_path: Path) -> None:
    with TIME.held(), kiosk_on(Places(tmp_path, tmp_path), start=False) as hands:
        hands.hear(snapshot_of(**AT_REST))
        hands.kiosk.go("menu")
        frames(3)
        assert not any(getattr(one, "key", "") == "computer" for one in hands.buttons())
