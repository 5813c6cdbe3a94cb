"""What the touchscreen has the computer do: off, restart, clock, a stick in and out.

By the commands of systemd, util-linux and udisks, with fixed words and no shell. Whether this user
may is polkit's to say (``systemd/polkit.rules``); whether it is the moment, the pump's. No call
here may be made on the screen's own thread: a command may take seconds.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LIMIT_S = 20
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_DEVICE = re.compile(r"/dev/[a-z]+[0-9]*")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*")
_MEDIA = ("/run/media/", "/media/")
"""Where sticks are put; a drive that is mounted anywhere else is part of the computer."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str = ""
    err: str = ""


Run = Callable[[Sequence[str]], Ran]


def run(words: Sequence[str]) -> Ran:
    """Run a command to its end; one that is not here or does not end is a failure with a reason."""
    try:
        ended = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env=_ENVIRONMENT,
            check=False,
        )
    except FileNotFoundError:
        return Ran(127, err=f"{words[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Ran(124, err=f"{words[0]} has not answered for {LIMIT_S} s")
    except OSError as error:
        return Ran(126, err=f"{words[0]} cannot be started: {error.strerror}")
    return Ran(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True, slots=True)
class Stick:
    """A file system on a USB drive; ``place`` is where it is, "" while it is out."""

    partition: str
    drive: str
    name: str
    size: str
    place: str = ""


class System:
    """The computer. Every deed returns why it was not done; "" says that it was."""

    def __init__(self, run: Run = run) -> None:
        self._run = run

    def switch_off(self) -> str:
        """Switch the computer off: systemd ends every program in order, the pump's too."""
        return self._do("systemctl", "--no-ask-password", "poweroff")

    def restart(self) -> str:
        """Restart the computer."""
        return self._do("systemctl", "--no-ask-password", "reboot")

    def set_time(self, utc: datetime) -> str:
        """Set the computer's clock to an instant; the network may go on to correct it."""
        said = utc.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        by_network = self._run(("timedatectl", "show", "--property=NTP", "--value"))
        if by_network.code:
            return _why(by_network)
        if by_network.out.strip() != "yes":
            return self._clock("set-time", said)
        against = self._clock("set-ntp", "false")  # timedated sets no clock that is set already
        if against:
            return against
        why = self._clock("set-time", said)
        return self._clock("set-ntp", "true") if not why else why + self._again()

    def _again(self) -> str:
        why = self._clock("set-ntp", "true")
        return f"; {why}" if why else ""

    def set_zone(self, zone: str) -> str:
        """Have the computer's own time zone be ``zone``, for its logs."""
        if not _ZONE.fullmatch(zone):
            return f"{zone!r} is no time zone"
        return self._clock("set-timezone", zone)

    def sticks(self) -> tuple[list[Stick], str]:
        """Return the sticks that are plugged in, and why they cannot be told."""
        columns = "NAME,TYPE,TRAN,FSTYPE,LABEL,SIZE,MOUNTPOINT"
        ran = self._run(("lsblk", "--json", "--paths", "--output", columns))
        if ran.code:
            return [], _why(ran)
        try:
            drives = json.loads(ran.out)["blockdevices"]
            return [one for drive in drives for one in _sticks_of(drive)], ""
        except (ValueError, KeyError, TypeError, AttributeError):
            return [], "lsblk gave an answer that cannot be read"

    def stick_in(self, stick: Stick) -> str:
        """Mount a stick; nothing on it is ever run."""
        return self._udisks("mount", stick.partition, "--options", "nosuid,nodev,noexec")

    def stick_out(self, stick: Stick) -> str:
        """Write out what is still to be written, and cut a stick's power: then it may be pulled."""
        return self._udisks("unmount", stick.partition) or self._udisks("power-off", stick.drive)

    def _clock(self, *words: str) -> str:
        return self._do("timedatectl", "--no-ask-password", *words)

    def _udisks(self, verb: str, device: str, *words: str) -> str:
        if not _DEVICE.fullmatch(device):
            return f"{device!r} is no drive"
        return self._do(
            "udisksctl", verb, "--no-user-interaction", "--block-device", device, *words
        )

    def _do(self, *words: str) -> str:
        ran = self._run(words)
        return _why(ran) if ran.code else ""


def _sticks_of(drive: dict[str, Any]) -> Iterator[Stick]:
    """Return the file systems of a USB drive, unless the computer itself lives on it."""
    if drive.get("tran") != "usb":
        return
    nodes = [drive, *(drive.get("children") or [])]
    places = [str(one.get("mountpoint") or "") for one in nodes]
    if any(place and not place.startswith(_MEDIA) for place in places):
        return
    for node, place in zip(nodes, places, strict=True):
        if node.get("fstype"):
            label = "".join(one for one in str(node.get("label") or "") if one.isprintable())
            yield Stick(node["name"], drive["name"], label, str(node.get("size") or ""), place)


def _why(ran: Ran) -> str:
    """Return the last line of what a command wrote, which says what went wrong."""
    lines = [line.strip() for line in (ran.err or ran.out).splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with status {ran.code}"
