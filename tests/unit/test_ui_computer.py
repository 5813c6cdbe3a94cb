"""The computer under the pump: which commands the touchscreen gives it, and when it gives none."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ui_desk import FakeDesk, snapshot_of

from ui.presenters.computer import ComputerPresenter
from ui.presenters.confirm import ConfirmPresenter
from ui.presenters.menu import MenuPresenter
from ui.presenters.number import NumberPresenter
from ui.presenters.typed import Day
from ui.system import Ran, Stick, System, run
from ui.words import words

SYSTEMD = Path(__file__).parents[2] / "systemd"
NOW_NS = 1_795_000_000 * 10**9  # 2026-11-18 11:06:40 UTC
AT_REST = {
    "state": "suspended",
    "delivering": False,
    "zone": "Europe/Berlin",
    "clock": {"utc_ns": NOW_NS, "offset_s": 3_600, "quality": "set"},
    "pin": {"set": False},
}
LSBLK = {
    "blockdevices": [
        {
            "name": "/dev/mmcblk0",
            "type": "disk",
            "tran": None,
            "fstype": None,
            "label": None,
            "size": "29G",
            "mountpoint": None,
            "children": [
                {"name": "/dev/mmcblk0p2", "tran": None, "fstype": "ext4", "mountpoint": "/"}
            ],
        },
        {
            "name": "/dev/sda",
            "tran": "usb",
            "fstype": None,
            "size": "15G",
            "mountpoint": None,
            "children": [
                {
                    "name": "/dev/sda1",
                    "tran": None,
                    "fstype": "vfat",
                    "label": "BENCH",
                    "size": "15G",
                    "mountpoint": None,
                }
            ],
        },
    ]
}


class Commands:
    """A runner that notes what it was asked for, and answers as a test has set."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.answers: dict[str, Ran] = {
            "lsblk": Ran(0, json.dumps(LSBLK)),
            "timedatectl show": Ran(0, "no\n"),
        }

    def __call__(self, said: Sequence[str]) -> Ran:
        line = " ".join(said)
        self.ran.append(line)
        fitting = [answer for words, answer in self.answers.items() if line.startswith(words)]
        return fitting[0] if fitting else Ran(0)

    @property
    def deeds(self) -> list[str]:
        return [one for one in self.ran if not one.startswith("lsblk")]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    words.use("en")
    yield
    words.use("en")


@pytest.fixture
def commands() -> Commands:
    return Commands()


def desk_of(commands: Commands, **changed: Any) -> FakeDesk:
    desk = FakeDesk(snapshot_of(**(AT_REST | changed)))
    desk.system = System(commands)
    desk.client.status.return_value = desk.state.snapshot
    desk.client.pin.return_value = {"set": False}
    return desk


def computer(desk: FakeDesk) -> ComputerPresenter:
    presenter = ComputerPresenter(desk)
    presenter.entered()
    return presenter


def hold(desk: FakeDesk) -> ConfirmPresenter:
    """Hold what is to be confirmed until it is full."""
    screen, said = desk.shown[-1]
    assert screen == "confirm"
    confirm = ConfirmPresenter(desk)
    confirm.entered(**said)
    confirm.held()
    return confirm


def type_in(desk: FakeDesk, keys: str) -> None:
    """Type into the number that is asked for, and take it."""
    screen, said = desk.shown[-1]
    assert screen == "number"
    number = NumberPresenter(desk)
    number.entered(**said)
    for key in keys:
        number.key(key)
    number.press("take")


# ------------------------------------------------------------------ power


@pytest.mark.parametrize(
    ("row", "command"),
    [
        ("off", "systemctl --no-ask-password poweroff"),
        ("restart", "systemctl --no-ask-password reboot"),
    ],
)
def test_switching_off_and_restarting_are_held_to_be_confirmed(
    commands: Commands, row: str, command: str
) -> None:
    desk = desk_of(commands)
    computer(desk).press(row)
    assert commands.deeds == []
    assert hold(desk).view().over
    assert commands.deeds == [command]


@pytest.mark.parametrize("row", ["off", "restart", "time", "zone", "/dev/sda1"])
@pytest.mark.parametrize(
    "busy",
    [{"state": "running"}, {"state": "starting"}, {"state": "suspended", "delivering": True}],
)
def test_nothing_is_asked_of_the_computer_while_the_pump_delivers(
    commands: Commands, row: str, busy: dict[str, Any]
) -> None:
    desk = desk_of(commands, **busy)
    presenter = computer(desk)
    presenter.pick(row)
    presenter.press(row)
    assert commands.deeds == []
    assert desk.shown == []
    assert presenter.view().note == "The pump delivers: suspend it first."


@pytest.mark.parametrize("row", ["off", "restart"])
def test_a_pump_that_has_begun_to_deliver_since_the_screen_was_drawn_is_not_switched_off(
    commands: Commands, row: str
) -> None:
    desk = desk_of(commands)
    computer(desk).press(row)
    desk.client.status.return_value = snapshot_of(**(AT_REST | {"state": "running"}))
    view = hold(desk).view()
    assert not view.over
    assert view.message == "The pump delivers: suspend it first."
    assert commands.deeds == []


def test_what_systemd_says_against_it_is_shown(commands: Commands) -> None:
    desk = desk_of(commands)
    commands.answers["systemctl"] = Ran(1, err="Call to PowerOff failed: Access denied\n")
    computer(desk).press("off")
    view = hold(desk).view()
    assert not view.over
    assert view.message == "Call to PowerOff failed: Access denied."


# ------------------------------------------------------------------ clock


@pytest.mark.parametrize(
    ("by_network", "commands_seen"),
    [
        ("no", ["set-time 2026-11-26 17:30:00 UTC"]),
        ("yes", ["set-ntp false", "set-time 2026-11-26 17:30:00 UTC", "set-ntp true"]),
    ],
)
def test_date_and_time_are_typed_in_the_pumps_zone_and_set_as_utc(
    commands: Commands, by_network: str, commands_seen: list[str]
) -> None:
    desk = desk_of(commands)
    commands.answers["timedatectl show"] = Ran(0, f"{by_network}\n")
    computer(desk).pick("time")
    type_in(desk, "20261126")
    type_in(desk, "1830")
    assert not any("set-time" in one for one in commands.ran)
    assert hold(desk).view().over
    shown = "timedatectl show --property=NTP --value"
    asked = [f"timedatectl --no-ask-password {one}" for one in commands_seen]
    assert commands.deeds == [shown, *asked]


def test_a_clock_that_the_network_sets_is_not_set_by_hand(commands: Commands) -> None:
    clock = {"utc_ns": NOW_NS, "offset_s": 3_600, "quality": "synchronised"}
    desk = desk_of(commands, clock=clock)
    presenter = computer(desk)
    presenter.pick("time")
    assert presenter.view().note == "The network sets the clock."
    assert commands.deeds == []


def test_where_setting_the_time_fails_the_network_sets_it_again(commands: Commands) -> None:
    commands.answers["timedatectl show"] = Ran(0, "yes\n")
    commands.answers["timedatectl --no-ask-password set-time"] = Ran(1, err="Failed to set time")
    assert System(commands).set_time(datetime(2026, 11, 26, tzinfo=UTC)) == "Failed to set time"
    assert commands.ran[-1] == "timedatectl --no-ask-password set-ntp true"


def test_the_computer_is_given_the_pumps_zone(commands: Commands) -> None:
    desk = desk_of(commands)
    computer(desk).pick("zone")
    assert commands.deeds == ["timedatectl --no-ask-password set-timezone Europe/Berlin"]
    assert desk.shown[-1] == (
        "computer",
        {"said": "The computer's time zone is Europe/Berlin."},
    )


@pytest.mark.parametrize("zone", ["", "--help", "Europe/Berlin; reboot", "../etc/passwd", "a b"])
def test_a_zone_that_is_none_is_not_handed_on(commands: Commands, zone: str) -> None:
    assert "is no time zone" in System(commands).set_zone(zone)
    assert commands.ran == []


@pytest.mark.parametrize(
    ("keys", "shown", "day"),
    [
        ("20261126", "2026-11-26", "2026-11-26"),
        ("20260229", "2026-02-29", None),
        ("2026", "2026-––-––", None),
        ("202611267", "2026-11-26", "2026-11-26"),
    ],
)
def test_a_date_is_typed_digit_by_digit_and_must_be_a_day(
    keys: str, shown: str, day: str | None
) -> None:
    typed = Day()
    for key in keys:
        typed.key(key)
    assert typed.shown == shown
    assert (typed.date.isoformat() if typed.date else None) == day
    assert typed.complete == (day is not None)


# ------------------------------------------------------------------ stick


def test_a_stick_is_taken_in_and_out_and_nothing_on_it_is_run(commands: Commands) -> None:
    desk = desk_of(commands)
    presenter = computer(desk)
    (stick,) = [row for row in presenter.view().rows if row.key == "/dev/sda1"]
    assert (stick.text, stick.value) == ("BENCH", "15G, touch to take it in")
    presenter.pick("/dev/sda1")
    mount = "udisksctl mount --no-user-interaction --block-device /dev/sda1"
    assert commands.deeds == [f"{mount} --options nosuid,nodev,noexec"]
    assert desk.shown[-1] == ("computer", {"said": "BENCH is in."})

    taken_in = json.loads(json.dumps(LSBLK))
    taken_in["blockdevices"][1]["children"][0]["mountpoint"] = "/run/media/pump-ui/BENCH"
    commands.answers["lsblk"] = Ran(0, json.dumps(taken_in))
    presenter.entered()
    commands.ran.clear()
    presenter.pick("/dev/sda1")
    assert commands.deeds == [
        "udisksctl unmount --no-user-interaction --block-device /dev/sda1",
        "udisksctl power-off --no-user-interaction --block-device /dev/sda",
    ]
    assert desk.shown[-1] == ("computer", {"said": "BENCH may be pulled out."})


def test_a_stick_that_is_still_written_to_keeps_its_power(commands: Commands) -> None:
    commands.answers["udisksctl unmount"] = Ran(1, err="target is busy")
    stick = Stick("/dev/sda1", "/dev/sda", "BENCH", "15G", "/run/media/pump-ui/BENCH")
    assert System(commands).stick_out(stick) == "target is busy"
    assert len(commands.ran) == 1


def test_a_usb_drive_that_the_computer_lives_on_is_no_stick(commands: Commands) -> None:
    own = json.loads(json.dumps(LSBLK))
    own["blockdevices"][1]["children"].append(
        {"name": "/dev/sda2", "tran": None, "fstype": "ext4", "mountpoint": "/"}
    )
    commands.answers["lsblk"] = Ran(0, json.dumps(own))
    assert System(commands).sticks() == ([], "")


@pytest.mark.parametrize("answer", ["", "nonsense", "[]", '{"blockdevices": [7]}', "{}"])
def test_an_answer_of_lsblk_that_cannot_be_read_is_told(commands: Commands, answer: str) -> None:
    commands.answers["lsblk"] = Ran(0, answer)
    presenter = computer(desk_of(commands))
    assert presenter.view().note == "Lsblk gave an answer that cannot be read."


def test_a_device_that_is_none_is_not_handed_on(commands: Commands) -> None:
    stick = Stick("/dev/sda1 --options suid", "/dev/sda", "", "")
    assert System(commands).stick_in(stick) == "'/dev/sda1 --options suid' is no drive"
    assert commands.ran == []


# ------------------------------------------------------------------ the runner, the menu, polkit


def test_a_command_is_run_without_a_shell_and_its_end_is_told() -> None:
    assert run(("printf", "%s", "a b; echo $HOME")) == Ran(0, "a b; echo $HOME")
    assert run(("false",)).code == 1
    assert run(("no-such-command-here",)) == Ran(127, err="no-such-command-here is not installed")


def test_a_demo_has_no_menu_to_switch_the_computer_off() -> None:
    desk = FakeDesk(snapshot_of())
    desk.has = lambda screen: screen != "computer"  # what a kiosk without a system says
    assert "computer" not in dict(MenuPresenter(desk).view().buttons)
    desk.has = lambda screen: True
    assert dict(MenuPresenter(desk).view().buttons)["computer"] == "Computer"


def test_polkit_lets_the_touchscreen_do_what_its_menu_has_and_nothing_else() -> None:
    rules = (SYSTEMD / "polkit.rules").read_text()
    menu = rules[rules.index("var menu") : rules.index("];")]
    assert set(re.findall(r'"(org\.[^"]+)"', menu)) == {
        *(f"org.freedesktop.login1.{verb}" for verb in ("power-off", "reboot")),
        *(f"org.freedesktop.login1.{verb}-multiple-sessions" for verb in ("power-off", "reboot")),
        *(f"org.freedesktop.timedate1.set-{what}" for what in ("time", "timezone", "ntp")),
        *(f"org.freedesktop.udisks2.filesystem-mount{seat}" for seat in ("", "-other-seat")),
        *(f"org.freedesktop.udisks2.power-off-drive{seat}" for seat in ("", "-other-seat")),
    }
    assert re.search(r'subject\.user == "pump-ui" && menu\.indexOf\(action\.id\) >= 0', rules)
    assert "--computer" in (SYSTEMD / "pump-ui.service").read_text()
