"""A whole Debian with systemd, from nothing to a pump and back: ``./install.sh test --vm``.

The tests of one suite share a machine and follow each other. It has no network: everything comes
from a prepared folder. The pump's hardware is the simulated bench.
"""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from machine_pump import (
    CUT_WITHIN_S,
    INSTALL,
    LEASE_STEPS,
    PREPARED,
    SET_UP,
    STEPS_PER_U,
    all_up,
    begin_bolus,
    bench,
    but_records,
    change_sources,
    delivering_again,
    differences,
    dose,
    end_bolus,
    listed,
    main_pid,
    mount_again,
    pid_of,
    release,
    say,
    self_test_passed,
    status,
    unpacked,
    until,
    until_so,
    verified,
)
from whole_machine import GuestFailed, Pc

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

SUITES = ("bookworm", "trixie")
CUTS = 10  # in each suite
UPGRADE_CUTS = 1  # tests/unit/test_upgrade.py ends one before any of its commands
SERVICES = ("bench-sim", "pump-guard", "pumpd", "pump-keeper")
WORDS = f"--bench --headless --user tester --yes --from {PREPARED}"

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


@pytest.fixture(scope="module", params=SUITES)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pc]:
    with unpacked(lambda: Pc(request.param, tmp_path_factory.mktemp(request.param))) as made:
        yield made


def python(machine: Pc, text: str, **values: object) -> Any:
    """Run a script with the release's own Python; return the JSON it prints."""
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    machine.sh(f"cat >/tmp/script.py <<'PYTHON'\n{head}{text}\nPYTHON")
    return machine.json("cd / && /opt/benchpump/current/venv/bin/python -P /tmp/script.py")


def begin(machine: Pc, amount: str = "2") -> tuple[int, str]:
    return begin_bolus(machine, amount, lambda: int(bench(machine)["steps_forward"]))


# ------------------------------------------------------------------ install


def test_a_dry_run_says_every_command_and_changes_nothing(machine: Pc) -> None:
    machine.before = listed(machine)
    said = machine.sh(f"{INSTALL} --dry-run {WORDS}", timeout_s=300).out
    assert "would: System packages: python3 python3-venv" in said
    assert "ln -sfn" in said
    assert "Nothing was changed" in said
    assert differences(machine.before, listed(machine)) == []


def test_it_is_installed_from_a_prepared_folder_without_a_network(machine: Pc) -> None:
    said = machine.sh(f"{INSTALL} {WORDS}", timeout_s=1_800).out
    assert "Done: release" in said
    all_up(machine, SERVICES)
    before = listed(machine)
    again = machine.sh(f"{INSTALL} {WORDS}", timeout_s=300).out
    assert "Nothing to change" in again, again
    assert but_records(differences(before, listed(machine))) == []


def test_after_a_reboot_every_service_is_up_by_itself_and_the_self_test_has_passed(
    machine: Pc,
) -> None:
    machine.reboot()
    all_up(machine, SERVICES)
    mount_again(machine)
    machine.sh(f"{SET_UP} pumpctl resume", timeout_s=300)
    assert status(machine)["state"] == "running"
    self_test_passed(machine)
    done = machine.json("pumpctl bolus 0.5 --yes --wait --json", timeout_s=600)
    truth = bench(machine)
    assert done["certainty"] == "exact"
    assert done["confirmed_steps"] == truth["steps_forward"] == int(0.5 * STEPS_PER_U)
    until_so(lambda: not bench(machine)["enable"], 60)


def test_sr_64_who_may_work_it_is_the_named_user_and_nobody_reaches_the_guard(
    machine: Pc,
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
    machine: Pc, victim: str
) -> None:
    delivering_again(machine, SERVICES)
    client, request = begin(machine)
    seen = python(machine, KILL, PID=pid_of(machine, victim))
    say(f"{victim} killed: {seen}")
    assert seen["was_on"]
    assert seen["off_ms"] is not None
    assert seen["off_ms"] < 1_000
    assert seen["step_ms"] < 1_000
    machine.end(client, 600)
    all_up(machine, SERVICES)
    assert status(machine)["state"] == "faulted"
    closed = dose(machine, request)
    assert closed["maximum_steps"] - closed["confirmed_steps"] <= 2 * LEASE_STEPS


def test_a_keeper_that_dies_does_not_touch_delivery(machine: Pc) -> None:
    delivering_again(machine, SERVICES)
    client, _ = begin(machine, "1")
    machine.sh(f"kill -9 {main_pid(machine, 'pump-keeper')}")
    done = end_bolus(machine, client, 600)
    assert done["certainty"] == "exact"
    assert done["confirmed_steps"] == int(STEPS_PER_U)
    all_up(machine, SERVICES)


def test_sr_58_a_pumpd_that_stands_still_is_ended_by_its_watchdog(machine: Pc) -> None:
    delivering_again(machine, SERVICES)
    client, _ = begin(machine)
    pid = main_pid(machine, "pumpd")
    machine.sh(f"kill -STOP {pid}")
    until(machine, f"! kill -0 {pid} 2>/dev/null", 60)
    machine.end(client, 600)
    all_up(machine, SERVICES)
    assert main_pid(machine, "pumpd") != pid
    assert (
        "watchdog" in machine.sh("journalctl -u pumpd -b --no-pager | grep -i watchdog").out.lower()
    )
    assert not bench(machine)["enable"]


def test_sr_55_a_crash_loop_ends_stopped_with_the_alarm_on_and_says_why(machine: Pc) -> None:
    delivering_again(machine, SERVICES)
    machine.sh("systemctl reset-failed pumpd; systemctl restart pumpd", timeout_s=300)
    deadline = time.monotonic() + 300
    kills = 0
    while machine.sh("systemctl is-failed pumpd", check=False).status != 0:
        assert time.monotonic() < deadline
        pid = main_pid(machine, "pumpd")
        if pid:
            machine.sh(f"kill -9 {pid}", check=False)
            kills += 1
        time.sleep(0.5)
    until(machine, "test -s /run/benchpump/pumpd.why", 60)
    said = machine.sh("pumpctl status", check=False)
    assert said.status == 3
    assert "stays stopped" in said.out
    assert not bench(machine)["enable"]
    # The guard's own alarm: the red lamp flashes twice a second, ten pulses sound in ten.
    changes = python(machine, ALARM)
    assert changes["lamp_high"] >= 30
    assert changes["buzzer"] >= 16
    machine.sh("su tester -c 'systemctl --no-ask-password reset-failed pumpd'")
    machine.sh("su tester -c 'systemctl --no-ask-password start pumpd'", timeout_s=300)
    all_up(machine, SERVICES)


def test_the_hardware_watchdog_restarts_a_machine_that_stands_still(machine: Pc) -> None:
    assert "14s" in machine.sh("systemctl show -p RuntimeWatchdogUSec").out
    before = machine.boot_id()
    # The first process crashes and stays so: nothing but the watchdog restarts the machine. A
    # kernel that spins would be no other case, but a counted clock hardly moves in such a spin.
    machine.begin("sync; kill -ABRT 1")
    machine.wait_for_another_boot(before)
    machine.sh("rm -f /core")  # of the first process
    mount_again(machine)
    all_up(machine, SERVICES)


# ------------------------------------------------------------------ upgrade and roll back


def test_it_is_neither_upgraded_nor_taken_away_while_it_delivers(machine: Pc) -> None:
    delivering_again(machine, SERVICES)
    for verb in ("install", "rollback", "uninstall"):
        refused = machine.sh(f"{INSTALL} {verb} --yes", check=False, timeout_s=300)
        assert refused.status == 1
        assert "suspend it first" in refused.out
    assert status(machine)["state"] == "running"


def test_an_upgrade_switches_and_a_roll_back_switches_back(machine: Pc) -> None:
    first = release(machine)
    machine.sh("pumpctl suspend")
    rows = verified(machine)["rows"]
    change_sources(machine, "9.9.1")
    began = time.monotonic()
    machine.sh(f"{INSTALL} {WORDS}", timeout_s=1_800)
    machine.install_s = time.monotonic() - began
    say(f"an upgrade takes {machine.install_s:.0f} s here")
    all_up(machine, SERVICES)
    assert release(machine).startswith("9.9.1-")
    assert "9.9.1" in machine.sh("pumpctl --version").out
    assert status(machine)["state"] == "suspended"  # as it was: it ended cleanly
    assert verified(machine)["rows"] > rows
    machine.sh(f"{INSTALL} rollback --yes", timeout_s=300)
    all_up(machine, SERVICES)
    assert release(machine) == first
    assert status(machine)["state"] == "suspended"
    machine.sh(f"{INSTALL} rollback --yes", timeout_s=300)
    assert release(machine).startswith("9.9.1-")
    all_up(machine, SERVICES)


def test_a_release_that_does_not_come_up_is_not_kept(machine: Pc) -> None:
    before = release(machine)
    change_sources(machine, "9.9.2")
    machine.sh("cp -a /root/benchpump/appliance/pumpd.py /root/pumpd.py")
    machine.sh("sed -i 's/^def main(/def main_of_old(/' /root/benchpump/appliance/pumpd.py")
    failed = machine.sh(f"{INSTALL} {WORDS}", check=False, timeout_s=1_800)
    assert failed.status == 1
    assert f"back to {before}" in failed.out
    assert release(machine) == before
    all_up(machine, SERVICES)
    machine.sh("cp -a /root/pumpd.py /root/benchpump/appliance/pumpd.py")


def test_f68_an_upgrade_that_is_cut_leaves_the_old_version_or_the_new(machine: Pc) -> None:
    dice = random.Random(machine.name)  # noqa: S311
    delivering_again(machine, SERVICES)
    machine.sh("pumpctl suspend")
    for number in range(UPGRADE_CUTS):
        old = release(machine)
        change_sources(machine, f"9.10.{number}")
        machine.sh("sync")
        machine.begin(f"{INSTALL} {WORDS}")
        time.sleep(dice.uniform(0.02, 1) * machine.install_s)
        machine.cut()
        machine.start()
        mount_again(machine)
        all_up(machine, SERVICES)
        now = release(machine)
        say(f"cut {number + 1} of an upgrade from {old}: {now} runs")
        assert now == old or now.startswith(f"9.10.{number}-")
        machine.sh("cd /opt/benchpump/current && sha256sum --quiet --strict -c checksums")
        machine.sh("pumpctl verify")
    machine.sh(f"{INSTALL} {WORDS}", timeout_s=1_800)
    all_up(machine, SERVICES)
    assert release(machine).startswith(f"9.10.{UPGRADE_CUTS - 1}-")
    assert len(machine.sh("ls /opt/benchpump/releases").out.split()) <= 3


# ------------------------------------------------------------------ power cuts


def test_f17_power_cuts_in_the_middle_of_a_bolus_lose_no_bound_and_resume_nothing(
    machine: Pc,
) -> None:
    dice = random.Random(17)  # noqa: S311
    for number in range(CUTS):
        delivering_again(machine, SERVICES)
        mark = f"cut{number}"
        machine.sh(f"cat >/tmp/oracle.py <<'PYTHON'\nMARK = {mark!r}\n{ORACLE}\nPYTHON")
        machine.begin("cd / && exec /opt/benchpump/current/venv/bin/python -P /tmp/oracle.py")
        before = bench(machine)["steps_forward"]
        _, request = begin(machine)
        time.sleep(dice.uniform(0.1, CUT_WITHIN_S))
        machine.cut()
        seen = [line.split() for line in machine.oracle() if line.startswith(mark)]
        moved = int(seen[-1][1]) - before
        assert moved > 0
        machine.start()
        all_up(machine, SERVICES)
        assert machine.sh("findmnt -no OPTIONS /").out.startswith("rw")
        assert verified(machine)["ok"]
        now, truth = status(machine), bench(machine)
        assert now["state"] == "faulted"
        # The plant began anew with the machine: nothing has moved since.
        assert truth["steps_forward"] == 0
        assert not truth["enable"]
        cut = dose(machine, request)
        bounds = f"{cut['confirmed_steps']} to {cut['maximum_steps']}"
        say(f"{mark}: {moved} steps seen from outside, recorded {bounds}")
        assert cut["maximum_steps"] >= moved
        assert cut["confirmed_steps"] <= moved + LEASE_STEPS  # what moved after the last line seen
        assert cut["maximum_steps"] - cut["confirmed_steps"] <= 2 * LEASE_STEPS


# ------------------------------------------------------------------ uninstall


def rests(machine: Pc) -> None:
    """Have nothing delivered, whatever ran before: the installer takes no running pump away."""
    if status(machine)["state"] == "running":
        machine.sh("pumpctl suspend")


def test_uninstalled_it_leaves_the_records_alone_and_takes_them_up_again(machine: Pc) -> None:
    all_up(machine, SERVICES)
    mount_again(machine)
    rests(machine)
    confirmed = verified(machine)["confirmed_steps"]
    machine.sh(f"{INSTALL} uninstall --yes", timeout_s=300)
    left = differences(machine.before, listed(machine))
    assert but_records(left, "benchpump", "pump-guard") == []
    machine.sh(f"{INSTALL} {WORDS}", timeout_s=1_800)
    all_up(machine, SERVICES)
    assert verified(machine)["confirmed_steps"] == confirmed
    assert status(machine)["state"] != "inhibited"


def test_uninstalled_with_its_records_it_leaves_no_file_and_no_user(machine: Pc) -> None:
    rests(machine)
    machine.sh(f"{INSTALL} uninstall --records --yes", timeout_s=300)
    assert differences(machine.before, listed(machine)) == []
    with pytest.raises(GuestFailed):
        machine.sh("systemctl cat pumpd")
