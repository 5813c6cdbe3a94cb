"""A whole Debian with systemd, from nothing to a pump and back: ``./install.sh test --vm``.

The tests of one suite share a machine and follow each other. It has no network: everything comes
from a prepared folder. The pump's hardware is the simulated bench.
"""

import contextlib
import json
import random
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from whole_machine import GuestFailed, Machine, lacking

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3_600)]

SUITES = ("bookworm", "trixie")
CUTS = 10  # in each suite
SERVICES = ("bench-sim", "pump-guard", "pumpd", "pump-keeper")
LEASE_STEPS = 28
BETWEEN_BOLUSES_S = 12  # the limit of the pump is 10
STEPS_PER_U = 3_200 * 1_000_000 / 5_890_141
INSTALL = "/root/benchpump/install.sh"
WORDS = "--bench --headless --user tester --yes --from /mnt/prepared"

DAY = r"""printf 'name = "Nothing"\n[[segments]]\nstart = "00:00"\nrate = "0"\n' >/root/day.toml"""

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

# In the guest: a line every 20 ms with what really moved, and whether ENABLE is on.
ORACLE = """
import time
from pathlib import Path
from drivers.mock.running import Control
port = open("/dev/virtio-ports/oracle", "w")
with Control(Path("/run/benchpump/bench.sock")) as bench, port as out:
    while True:
        now = bench.call("status")
        print(MARK, now["steps_forward"], int(now["enable"]), file=out, flush=True)
        time.sleep(0.02)
"""

# How often lamp and buzzer changed within 11 s.
ALARM = """
import json, time
from pathlib import Path
from drivers.mock.running import Control
from drivers.mock.server import now_ns
with Control(Path("/run/benchpump/bench.sock")) as bench:
    time.sleep(11)
    since_ns, traces = now_ns() - 11_000_000_000, bench.call("traces", last=400)["signals"]
    young = lambda wire: sum(at_ns > since_ns for at_ns, _ in traces.get(wire, []))
    print(json.dumps({wire: young(wire) for wire in ("lamp_high", "buzzer")}))
"""

# Kill a process and watch the bench: when was the last step, and when did ENABLE go off?
KILL = """
import json, os, signal, time
from pathlib import Path
from drivers.mock.running import Control
from drivers.mock.server import now_ns
with Control(Path("/run/benchpump/bench.sock")) as bench:
    before = bench.call("status")
    killed_ns = now_ns()
    os.kill(PID, signal.SIGKILL)
    off_ns = None
    while now_ns() < killed_ns + 3_000_000_000:
        now = bench.call("status")
        if off_ns is None and not now["enable"]:
            off_ns = now_ns() - killed_ns
        time.sleep(0.005)
    last_ns = (now["last_step_ns"] or 0) - killed_ns
    seen = {"was_on": before["enable"], "off_ms": off_ns and off_ns / 1e6, "step_ms": last_ns / 1e6}
    print(json.dumps(seen))
"""


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


@pytest.fixture(scope="module", params=SUITES)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    lack = lacking()
    if lack:
        pytest.skip(f"NOT RUN: {lack}")
    made = Machine(request.param, tmp_path_factory.mktemp(request.param))
    try:
        made.start()
        say(f"{request.param} under {made.accelerator}, console {made.console}")
        made.sh(
            "mkdir -p /mnt/prepared /mnt/sources; mount -o ro /dev/vdb /mnt/prepared;"
            " mount -o ro /dev/vdc /mnt/sources; cp -a /mnt/sources /root/benchpump;"
            " umount /mnt/sources"
        )
        yield made
    finally:
        made.cut()


def mount_again(machine: Machine) -> None:
    machine.sh("mountpoint -q /mnt/prepared || mount -o ro /dev/vdb /mnt/prepared")


def listed(machine: Machine) -> list[str]:
    return machine.sh(LIST, timeout_s=300).out.splitlines()


def differences(before: list[str], after: list[str]) -> list[str]:
    gone, come = set(before) - set(after), set(after) - set(before)
    return sorted([f"- {line}" for line in gone] + [f"+ {line}" for line in come])


def python(machine: Machine, text: str, **values: object) -> Any:
    """Run a script with the release's own Python; return the JSON it prints."""
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    machine.sh(f"cat >/tmp/script.py <<'PYTHON'\n{head}{text}\nPYTHON")
    return machine.json("cd / && /opt/benchpump/current/venv/bin/python -P /tmp/script.py")


def status(machine: Machine) -> Any:
    return machine.json("pumpctl status --json")


def bench(machine: Machine) -> Any:
    return machine.json("pumpctl bench status --json")


def until(machine: Machine, script: str, timeout_s: float = 60.0) -> None:
    """Wait until a script of the guest ends with 0."""
    deadline = time.monotonic() + timeout_s
    while machine.sh(script, check=False).status != 0:
        if time.monotonic() > deadline:
            look = f"{script}; systemctl --no-pager status pumpd pump-guard"
            seen = machine.sh(look, check=False).out
            raise TimeoutError(f"not within {timeout_s:.0f} s: {script}\n{seen}")
        time.sleep(0.1)


def until_so(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait until something is so; a pump that does not answer yet is waited for too."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(GuestFailed):
            if is_so():
                return
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s"
        time.sleep(0.1)


def all_up(machine: Machine) -> None:
    for name in SERVICES:
        until(machine, f"systemctl -q is-active {name}")
    until_so(lambda: status(machine)["state"] != "starting")


def delivering_again(machine: Machine) -> None:
    """Acknowledge and resume, as a person does after anything but a clean end."""
    all_up(machine)
    until(machine, "pumpctl ack --all >/dev/null; pumpctl resume", 90)
    assert status(machine)["state"] == "running"


def begin_bolus(machine: Machine, amount: str = "2") -> tuple[int, str]:
    """Begin a bolus with a client that stays; return once it steps: the client, and the id."""
    request = str(uuid.uuid4())
    moved = bench(machine)["steps_forward"]
    time.sleep(max(0.0, machine.bolus_after_s - time.monotonic()))
    machine.bolus_after_s = time.monotonic() + BETWEEN_BOLUSES_S
    number = machine.begin(f"pumpctl bolus {amount} --yes --wait --id {request} --json")
    deadline = time.monotonic() + 60
    while bench(machine)["steps_forward"] < moved + 5:
        assert time.monotonic() < deadline, machine.end(number, 5).out
    return number, request


def main_pid(machine: Machine, unit: str) -> int:
    return int(machine.sh(f"systemctl show -p MainPID --value {unit}").out)


# ------------------------------------------------------------------ install


def test_a_dry_run_says_every_command_and_changes_nothing(machine: Machine) -> None:
    machine.before = listed(machine)
    said = machine.sh(f"{INSTALL} --dry-run {WORDS}", timeout_s=300).out
    assert "would: System packages: python3 python3-venv" in said
    assert "ln -sfn" in said
    assert "Nothing was changed" in said
    assert differences(machine.before, listed(machine)) == []


def test_it_is_installed_from_a_prepared_folder_without_a_network(machine: Machine) -> None:
    said = machine.sh(f"{INSTALL} {WORDS}", timeout_s=900).out
    assert "Done: release" in said
    all_up(machine)
    before = listed(machine)
    again = machine.sh(f"{INSTALL} {WORDS}", timeout_s=300).out
    assert "Nothing to change" in again, again
    assert differences(before, listed(machine)) == []


def test_after_a_reboot_every_service_is_up_by_itself_and_the_self_test_has_passed(
    machine: Machine,
) -> None:
    machine.reboot()
    all_up(machine)
    mount_again(machine)
    machine.sh(
        f"{DAY}; pumpctl limits set --max-bolus 25 --hourly 60 --daily 300 --max-basal 5"
        " --min-interval 10; pumpctl basal import /root/day.toml --use --yes;"
        " pumpctl cartridge load 300; pumpctl resume",
        timeout_s=90,
    )
    now = status(machine)
    assert now["state"] == "running"
    assert now["self_test"]
    assert [one for one in now["self_test"] if not one["ok"]] == []
    assert {one["name"]: one["text"] for one in now["self_test"]}["watchdog"] == "armed"
    done = machine.json("pumpctl bolus 0.5 --yes --wait --json")
    truth = bench(machine)
    assert done["certainty"] == "exact"
    assert done["confirmed_steps"] == truth["steps_forward"] == int(0.5 * STEPS_PER_U)
    until_so(lambda: not bench(machine)["enable"], 10)


def test_sr_64_who_may_work_it_is_the_named_user_and_nobody_reaches_the_guard(
    machine: Machine,
) -> None:
    machine.sh("su tester -c 'pumpctl status'")
    for socket in ("guard.sock", "pumpd.sock"):
        reached = machine.sh(
            f"su tester -c \"python3 -c 'import socket; s = socket.socket(socket.AF_UNIX, socket."
            f"{'SOCK_SEQPACKET' if socket == 'guard.sock' else 'SOCK_STREAM'}); "
            f's.connect(\\"/run/benchpump/{socket}\\")\'"',
            check=False,
        )
        assert (reached.status == 0) == (socket == "pumpd.sock"), reached.out
    assert machine.sh("su tester -c 'cat /var/lib/benchpump/ledger.db'", check=False).status != 0
    assert machine.sh("su tester -c 'rm -f /run/benchpump/pumpd.sock'", check=False).status != 0
    assert machine.sh("su -s /bin/sh nobody -c 'pumpctl status'", check=False).status == 3


# ------------------------------------------------------------------ programs that die


@pytest.mark.parametrize("victim", ["pumpd", "stepper", "guard"])
def test_f65_whoever_is_killed_in_a_bolus_stepping_ends_and_enable_is_off(
    machine: Machine, victim: str
) -> None:
    delivering_again(machine)
    client, request = begin_bolus(machine)
    pid = main_pid(machine, "pump-guard" if victim == "guard" else "pumpd")
    if victim == "stepper":
        pid = int(machine.sh(f"pgrep -P {pid} -f appliance.stepper").out)
    seen = python(machine, KILL, PID=pid)
    say(f"{victim} killed: {seen}")
    assert seen["was_on"]
    assert seen["off_ms"] is not None
    assert seen["off_ms"] < 1_000
    assert seen["step_ms"] < 1_000
    machine.end(client)
    all_up(machine)
    assert status(machine)["state"] == "faulted"
    closed = machine.json(f"pumpctl dose {request} --json || true")
    assert closed["maximum_steps"] - closed["confirmed_steps"] <= 2 * LEASE_STEPS


def test_a_keeper_that_dies_does_not_touch_delivery(machine: Machine) -> None:
    delivering_again(machine)
    client, _ = begin_bolus(machine, "1")
    machine.sh(f"kill -9 {main_pid(machine, 'pump-keeper')}")
    done = json.loads(machine.end(client, 90).out)
    assert done["certainty"] == "exact"
    assert done["confirmed_steps"] == int(STEPS_PER_U)
    all_up(machine)


def test_sr_58_a_pumpd_that_stands_still_is_ended_by_its_watchdog(machine: Machine) -> None:
    delivering_again(machine)
    client, _ = begin_bolus(machine)
    pid = main_pid(machine, "pumpd")
    machine.sh(f"kill -STOP {pid}")
    until(machine, f"! kill -0 {pid} 2>/dev/null", 20)
    machine.end(client)
    all_up(machine)
    assert main_pid(machine, "pumpd") != pid
    assert (
        "watchdog" in machine.sh("journalctl -u pumpd -b --no-pager | grep -i watchdog").out.lower()
    )
    assert not bench(machine)["enable"]


def test_sr_55_a_crash_loop_ends_stopped_with_the_alarm_on_and_says_why(machine: Machine) -> None:
    delivering_again(machine)
    machine.sh("systemctl reset-failed pumpd; systemctl restart pumpd", timeout_s=90)
    deadline = time.monotonic() + 120
    kills = 0
    while machine.sh("systemctl is-failed pumpd", check=False).status != 0:
        assert time.monotonic() < deadline
        pid = main_pid(machine, "pumpd")
        if pid:
            machine.sh(f"kill -9 {pid}", check=False)
            kills += 1
        time.sleep(0.5)
    until(machine, "test -s /run/benchpump/pumpd.why", 10)
    said = machine.sh("pumpctl status", check=False)
    assert said.status == 3
    assert "stays stopped" in said.out
    assert not bench(machine)["enable"]
    # The guard's own alarm: the red lamp flashes twice a second, ten pulses sound in ten.
    changes = python(machine, ALARM)
    assert changes["lamp_high"] >= 30
    assert changes["buzzer"] >= 16
    machine.sh("su tester -c 'systemctl --no-ask-password reset-failed pumpd'")
    machine.sh("su tester -c 'systemctl --no-ask-password start pumpd'", timeout_s=90)
    all_up(machine)


def test_the_hardware_watchdog_restarts_a_machine_that_stands_still(machine: Machine) -> None:
    assert "14s" in machine.sh("systemctl show -p RuntimeWatchdogUSec").out
    before = machine.boot_id()
    # A kernel that has stopped for good: nothing but the watchdog restarts the machine.
    machine.begin("sync; echo 0 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger")
    machine.wait_for_another_boot(before)
    mount_again(machine)
    all_up(machine)


# ------------------------------------------------------------------ upgrade and roll back


def change_sources(machine: Machine, version: str) -> None:
    machine.sh(
        f"sed -i 's/^__version__ = .*/__version__ = \"{version}\"/'"
        " /root/benchpump/appliance/__init__.py"
    )


def release(machine: Machine) -> str:
    return machine.sh("basename $(readlink /opt/benchpump/current)").out.strip()


def test_it_is_neither_upgraded_nor_taken_away_while_it_delivers(machine: Machine) -> None:
    delivering_again(machine)
    for verb in ("install", "rollback", "uninstall"):
        refused = machine.sh(f"{INSTALL} {verb} --yes", check=False, timeout_s=120)
        assert refused.status == 1
        assert "suspend it first" in refused.out
    assert status(machine)["state"] == "running"


def test_an_upgrade_switches_and_a_roll_back_switches_back(machine: Machine) -> None:
    first = release(machine)
    machine.sh("pumpctl suspend")
    rows = machine.json("pumpctl verify --json")["rows"]
    change_sources(machine, "9.9.1")
    machine.sh(f"{INSTALL} {WORDS}", timeout_s=900)
    all_up(machine)
    assert release(machine).startswith("9.9.1-")
    assert "9.9.1" in machine.sh("pumpctl --version").out
    assert status(machine)["state"] == "suspended"  # as it was: it ended cleanly
    assert machine.json("pumpctl verify --json")["rows"] > rows
    machine.sh(f"{INSTALL} rollback --yes", timeout_s=300)
    all_up(machine)
    assert release(machine) == first
    assert status(machine)["state"] == "suspended"
    machine.sh(f"{INSTALL} rollback --yes", timeout_s=300)
    assert release(machine).startswith("9.9.1-")
    all_up(machine)


def test_a_release_that_does_not_come_up_is_not_kept(machine: Machine) -> None:
    before = release(machine)
    change_sources(machine, "9.9.2")
    machine.sh("cp -a /root/benchpump/appliance/pumpd.py /root/pumpd.py")
    machine.sh("sed -i 's/^def main(/def main_of_old(/' /root/benchpump/appliance/pumpd.py")
    failed = machine.sh(f"{INSTALL} {WORDS}", check=False, timeout_s=900)
    assert failed.status == 1
    assert f"back to {before}" in failed.out
    assert release(machine) == before
    all_up(machine)
    machine.sh("cp -a /root/pumpd.py /root/benchpump/appliance/pumpd.py")


def test_f68_an_upgrade_that_is_cut_leaves_the_old_version_or_the_new(machine: Machine) -> None:
    dice = random.Random(68)  # noqa: S311
    delivering_again(machine)
    machine.sh("pumpctl suspend")
    for number in range(3):
        old = release(machine)
        change_sources(machine, f"9.10.{number}")
        machine.sh("sync")
        machine.begin(f"{INSTALL} {WORDS}")
        time.sleep(dice.uniform(1, 40))
        machine.cut()
        machine.start()
        mount_again(machine)
        all_up(machine)
        now = release(machine)
        assert now == old or now.startswith(f"9.10.{number}-")
        machine.sh("cd /opt/benchpump/current && sha256sum --quiet --strict -c checksums")
        machine.sh("pumpctl verify")
        machine.sh(f"{INSTALL} {WORDS}", timeout_s=900)
        all_up(machine)
        assert release(machine).startswith(f"9.10.{number}-")
        assert len(machine.sh("ls /opt/benchpump/releases").out.split()) <= 3


# ------------------------------------------------------------------ power cuts


def test_f17_power_cuts_in_the_middle_of_a_bolus_lose_no_bound_and_resume_nothing(
    machine: Machine,
) -> None:
    dice = random.Random(17)  # noqa: S311
    for number in range(CUTS):
        delivering_again(machine)
        mark = f"cut{number}"
        machine.sh(f"cat >/tmp/oracle.py <<'PYTHON'\nMARK = {mark!r}\n{ORACLE}\nPYTHON")
        machine.begin("cd / && exec /opt/benchpump/current/venv/bin/python -P /tmp/oracle.py")
        before = bench(machine)["steps_forward"]
        _, request = begin_bolus(machine, "2")
        time.sleep(dice.uniform(0.1, 8))
        machine.cut()
        seen = [line.split() for line in machine.oracle() if line.startswith(mark)]
        moved = int(seen[-1][1]) - before
        assert moved > 0
        machine.start()
        all_up(machine)
        assert machine.sh("findmnt -no OPTIONS /").out.startswith("rw")
        assert machine.json("pumpctl verify --json")["ok"]
        now, truth = status(machine), bench(machine)
        assert now["state"] == "faulted"
        # The plant began anew with the machine: nothing has moved since.
        assert truth["steps_forward"] == 0
        assert not truth["enable"]
        dose = machine.json(f"pumpctl dose {request} --json || true")
        bounds = f"{dose['confirmed_steps']} to {dose['maximum_steps']}"
        say(f"{mark}: {moved} steps seen from outside, recorded {bounds}")
        assert dose["maximum_steps"] >= moved
        assert dose["confirmed_steps"] <= moved + LEASE_STEPS  # what moved after the last line seen
        assert dose["maximum_steps"] - dose["confirmed_steps"] <= 2 * LEASE_STEPS


# ------------------------------------------------------------------ uninstall


def test_uninstalled_it_leaves_the_records_alone_and_takes_them_up_again(machine: Machine) -> None:
    all_up(machine)
    mount_again(machine)
    confirmed = machine.json("pumpctl verify --json")["confirmed_steps"]
    machine.sh(f"{INSTALL} uninstall --yes", timeout_s=300)
    left = [
        line
        for line in differences(machine.before, listed(machine))
        if not re.search(r" /var/lib/(benchpump|pump-guard)(/| |$)", line)
    ]
    assert left == []
    machine.sh(f"{INSTALL} {WORDS}", timeout_s=900)
    all_up(machine)
    assert machine.json("pumpctl verify --json")["confirmed_steps"] == confirmed
    assert status(machine)["state"] != "inhibited"


def test_uninstalled_with_its_records_it_leaves_no_file_and_no_user(machine: Machine) -> None:
    machine.sh(f"{INSTALL} uninstall --records --yes", timeout_s=300)
    assert differences(machine.before, listed(machine)) == []
    with pytest.raises(GuestFailed):
        machine.sh("systemctl cat pumpd")
