"""The pump on a whole machine of ``whole_machine.py``: what its tests ask, wait for and compare."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from whole_machine import GuestFailed, Machine, Pc, lacking

AnyPc = TypeVar("AnyPc", bound=Pc)

INSTALL = "/root/benchpump/install.sh"
LEASE_STEPS = 28
PREPARED = "/mnt/prepared"  # on a PC, where it is a disk of its own
STEPS_PER_U = 3_200 * 1_000_000 / 5_890_141
BETWEEN_BOLUSES_S = 30  # the limit of the pump is 10, and an emulated clock is slow
CUT_WITHIN_S = 60  # a bolus of 2 U takes 80 s where the clock is not slow
_LOOK_S = 1.0  # each look costs the machine a process

# Everything on the disk but what a running system writes by itself; of files the content as well.
LIST = r"""
unlisted="-path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp
  -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg
  -o -path /var/lib/systemd -o -path /root -o -path /mnt -o -path /etc/ld.so.cache
  -o -path /etc/passwd- -o -path /etc/group- -o -path /etc/shadow- -o -path /etc/gshadow-"
find / -xdev \( $unlisted \) -prune -o -printf '%y %m %u:%g %p %l\n' | LC_ALL=C sort
find /etc /opt /usr/local /var/lib /boot -xdev \( $unlisted \) -prune -o -type f -print0 |
  LC_ALL=C sort -z | xargs -0 sha256sum
dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n'
getent passwd; getent group
"""

# A pump with limits, a basal of nothing and a full cartridge.
SET_UP = r"""
printf 'name = "Nothing"\n[[segments]]\nstart = "00:00"\nrate = "0"\n' >/root/day.toml
pumpctl limits set --max-bolus 25 --hourly 60 --daily 300 --max-basal 5 --min-interval 10
pumpctl basal import /root/day.toml --use --yes
pumpctl cartridge load 300
"""


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def unpacked(make: Callable[[], AnyPc]) -> Iterator[AnyPc]:
    """Start a PC that has its prepared folder, and the sources where a person has them."""
    lack = lacking("--vm", ("qemu-system-x86_64", "qemu-system-x86"))
    if lack:
        pytest.skip(f"NOT RUN: {lack}")
    made = make()
    try:
        made.start()
        say(f"{made.name} under {made.accelerator}, console {made.console}")
        made.sh(
            f"mkdir -p {PREPARED} /mnt/sources; mount -o ro /dev/vdb {PREPARED};"
            " mount -o ro /dev/vdc /mnt/sources; cp -a /mnt/sources /root/benchpump;"
            " umount /mnt/sources"
        )
        yield made
    finally:
        made.cut()


def mount_again(machine: Machine) -> None:
    """After a start: bring the prepared folder back."""
    machine.sh(f"mountpoint -q {PREPARED} || mount -o ro /dev/vdb {PREPARED}")


def bench(machine: Machine) -> Any:
    """Return what the simulated bench of a PC knows: what really moved."""
    return machine.json("pumpctl bench status --json")


def listed(machine: Machine) -> list[str]:
    """Return what is on the disk, and who is known, a line each."""
    return machine.sh(LIST, timeout_s=900).out.splitlines()


def differences(before: list[str], after: list[str]) -> list[str]:
    gone, come = set(before) - set(after), set(after) - set(before)
    return sorted([f"- {line}" for line in gone] + [f"+ {line}" for line in come])


def but_records(lines: list[str], *of: str) -> list[str]:
    """Leave out what the programs ``of`` the pump, or all of them, write while they run."""
    names = "|".join(of or ("benchpump", "pump-guard", "pump-keeper"))
    theirs = re.compile(rf" /var/lib/({names})(/| |$)")
    return [line for line in lines if not theirs.search(line)]


def status(machine: Machine) -> Any:
    return machine.json("pumpctl status --json")


def verified(machine: Machine) -> Any:
    return machine.json("pumpctl verify --json")


def dose(machine: Machine, request: str) -> Any:
    """Return what the record says of a dose; of one in doubt too, which ends with a status."""
    return machine.json(f"pumpctl dose {request} --json || true")


def until(machine: Machine, script: str, timeout_s: float = 120.0) -> None:
    """Wait until a script of the guest ends with 0."""
    deadline = time.monotonic() + timeout_s
    while machine.sh(script, check=False).status != 0:
        if time.monotonic() > deadline:
            look = f"{script}; systemctl --no-pager status pumpd pump-guard"
            seen = machine.sh(look, check=False).out
            raise TimeoutError(f"not within {timeout_s:.0f} s: {script}\n{seen}")
        time.sleep(_LOOK_S)


def until_so(is_so: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait until something is so; a pump that does not answer yet is waited for too."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(GuestFailed):
            if is_so():
                return
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s"
        time.sleep(_LOOK_S)


def all_up(machine: Machine, services: Sequence[str], timeout_s: float = 240.0) -> None:
    """Wait until every service runs and the self-test has ended."""
    for name in services:
        until(machine, f"systemctl -q is-active {name}", timeout_s)
    until_so(lambda: status(machine)["state"] != "starting", timeout_s)


def self_test_passed(machine: Machine) -> None:
    """Fail where a point of the last self-test is not in order, or is not said."""
    points = status(machine)["self_test"]
    assert points
    assert [one for one in points if not one["ok"]] == []
    assert {one["name"]: one["text"] for one in points}["watchdog"] == "armed"


def delivering_again(machine: Machine, services: Sequence[str], timeout_s: float = 240.0) -> None:
    """Acknowledge and resume, as a person does after anything but a clean end.

    After three alarms delivery is locked, and armed again first.
    """
    all_up(machine, services)
    resume = "pumpctl resume || { pumpctl rearm && pumpctl resume; }"
    until(machine, f"pumpctl ack --all >/dev/null; {resume}", timeout_s)
    assert status(machine)["state"] == "running"


def begin_bolus(
    machine: Machine, amount: str, moved_steps: Callable[[], int], timeout_s: float = 120.0
) -> tuple[int, str]:
    """Begin a bolus with a client that stays; return once it steps: the client, and the id.

    ``moved_steps`` says from outside the pump how far its motor has gone.
    """
    request = str(uuid.uuid4())
    moved = moved_steps()
    time.sleep(max(0.0, machine.bolus_after_s - time.monotonic()))
    machine.bolus_after_s = time.monotonic() + BETWEEN_BOLUSES_S
    number = machine.begin(f"pumpctl bolus {amount} --yes --wait --id {request} --json")
    deadline = time.monotonic() + timeout_s
    while moved_steps() < moved + 5:
        assert time.monotonic() < deadline, machine.end(number, 5).out
        time.sleep(0.01)
    return number, request


def end_bolus(machine: Machine, client: int, timeout_s: float = 300.0) -> Any:
    """Wait for a bolus that was begun; return what its client says of it."""
    return json.loads(machine.end(client, timeout_s).out)


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.sh(f"systemctl show -p MainPID --value {unit}").out)


def pid_of(machine: Machine, victim: str) -> int:
    """Return the process of "pumpd", "guard" or "stepper"."""
    if victim == "guard":
        return main_pid(machine, "pump-guard")
    pumpd = main_pid(machine, "pumpd")
    if victim == "pumpd":
        return pumpd
    return int(machine.sh(f"pgrep -P {pumpd} -f appliance.stepper").out)


def memory_kib(machine: Machine, services: Sequence[str]) -> int:
    """Say what each process of the services has of the memory (Pss); return it all together."""
    total = 0
    for unit in services:
        group = f"/sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs"
        for pid in machine.sh(f"cat {group}").out.split():
            pss = machine.sh(f"sed -n 's/^Pss: *//p' /proc/{pid}/smaps_rollup").out.split()[0]
            say(f"{unit}, process {pid}: {int(pss) / 1024:.1f} MiB (Pss)")
            total += int(pss)
    say(f"together {total / 1024:.1f} MiB")
    return total


def change_sources(machine: Machine, version: str) -> None:
    """Make the sources on the machine those of another version."""
    machine.sh(
        f"sed -i 's/^__version__ = .*/__version__ = \"{version}\"/'"
        " /root/benchpump/appliance/__init__.py"
    )


def release(machine: Machine) -> str:
    """Return the release that runs."""
    return machine.sh("basename $(readlink /opt/benchpump/current)").out.strip()
