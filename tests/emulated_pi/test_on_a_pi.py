"""A Raspberry Pi 3B, from a bare card to a pump and back: ``./install.sh test --pi``.

The Pi is emulated whole, with Debian 12, and looked at from outside: what its pins did is what the
emulator's trace says. The tests share one Pi and follow each other. Nothing of time counts here but
the order of things: its clock counts instructions. STEP is not wired back, nor is
there a one-shot (``emulated_pi.py`` says why), and the configuration declares both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest
from emulated_pi import ALIVE, ENABLE_N, MARK, STEP, Edge, Pi
from machine_pump import (
    CUT_WITHIN_S,
    INSTALL,
    LEASE_STEPS,
    SET_UP,
    STEPS_PER_U,
    all_up,
    begin_bolus,
    but_records,
    change_sources,
    delivering_again,
    differences,
    dose,
    listed,
    main_pid,
    memory_kib,
    pid_of,
    release,
    say,
    self_test_passed,
    status,
    until_so,
    verified,
)
from whole_machine import GuestFailed, lacking

pytestmark = [pytest.mark.emulated_pi, pytest.mark.timeout(5_400)]

SERVICES = ("pump-guard", "pumpd", "pump-keeper")
CUTS = 5
LONG_S = 3_000.0  # what is minutes on a Pi
SLOW_S = 240.0  # and what is seconds
WORDS = "--headless --user tester --yes --from /root/prepared"
CONFIGURATION = "/etc/benchpump/benchpump.toml"

# What this machine is, in a person's words; a Pi on a bench has both wired.
DECLARED = f"""
sed -i -e 's/^readback = "required"/readback = "none"/' -e 's/^one_shot = .*/one_shot = "none"/' \\
  {CONFIGURATION}
pumpctl check-config {CONFIGURATION}
"""

RPIGPIO = f"""
sed -i -e 's/^factory = .*/factory = "rpigpio"/' -e 's/^inputs = .*/inputs = "lgpio"/' \\
  {CONFIGURATION}
"""

# Debian's kernel has no /dev/gpiomem, so RPi.GPIO takes all memory; Raspberry Pi's own has it.
ALL_MEMORY = r"""
for unit in pumpd pump-guard; do
  mkdir -p /etc/systemd/system/$unit.service.d
  printf '%s\n' '[Service]' 'DeviceAllow=/dev/mem rw' 'CapabilityBoundingSet=CAP_SYS_RAWIO' \
    'AmbientCapabilities=CAP_SYS_RAWIO' >/etc/systemd/system/$unit.service.d/all-memory.conf
done
echo 'KERNEL=="mem", GROUP="gpio", MODE="0660"' >/etc/udev/rules.d/98-all-memory.rules
udevadm control --reload; udevadm trigger --name-match=mem; systemctl daemon-reload
"""

# Raise a line that nobody uses, then kill at once: the instant of the death, seen from outside.
KILL = """
import os, signal
from drivers.lgpio_pins import PiLineFactory
pin = PiLineFactory().pin(MARK)
pin.output_with_state(1)
os.kill(PID, signal.SIGKILL)
pin.close()
"""


@pytest.fixture(scope="module")
def pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pi]:
    lack = lacking(
        "--pi",
        ("qemu-system-aarch64", "qemu-system-arm"),
        ("qemu-aarch64-static", "qemu-user-static"),
        ("fdtput", "device-tree-compiler"),
        ("arch-test", "arch-test"),
    )
    if lack:
        pytest.skip(f"NOT RUN: {lack}")
    made = Pi(tmp_path_factory.mktemp("pi"))
    try:
        made.start()
        say(f"a Pi 3B, console {made.console}")
        yield made
    finally:
        made.close()


def up(pi: Pi) -> None:
    all_up(pi, SERVICES, SLOW_S)


def resumed(pi: Pi) -> None:
    """Acknowledge and resume, with light and sound looked at, as after any start."""
    delivering_again(pi, SERVICES, SLOW_S)
    pi.sh("pumpctl check-signals --yes", timeout_s=SLOW_S)


def begin(pi: Pi, amount: str = "2") -> tuple[int, str]:
    return begin_bolus(pi, amount, pi.loom.steps, SLOW_S)


def kill(pi: Pi, victim: str) -> tuple[int, Edge | None, Edge | None]:
    """Kill a program: when (microseconds), the last step after it, and how ENABLE went off."""
    place = pi.loom.count()
    head = f"MARK, PID = {MARK}, {pid_of(pi, victim)}"
    python = "/opt/benchpump/current/venv/bin/python -P"
    pi.sh(f"cd /run/pumpd && {python} - <<'PYTHON'\n{head}\n{KILL}\nPYTHON", timeout_s=SLOW_S)
    time.sleep(5)
    killed_us = pi.loom.since(place, MARK)[0].at_us
    steps = [e for e in pi.loom.since(place, STEP) if e.high and e.at_us > killed_us]
    off = [e for e in pi.loom.since(place, ENABLE_N) if e.high and e.at_us > killed_us]
    return killed_us, steps[-1] if steps else None, off[0] if off else None


def one_unit(pi: Pi) -> None:
    """A bolus of 1 U, as a person gives it: STEP and ENABLE seen from outside, and off again."""
    before, place = pi.loom.steps(), pi.loom.count()
    assert pi.loom.is_high(ENABLE_N)
    done = pi.json("pumpctl bolus 1 --yes --wait --json", timeout_s=LONG_S)
    until_so(lambda: pi.loom.is_high(ENABLE_N), 10)
    moved = pi.loom.steps() - before
    assert done["programmed_steps"] == done["issued_steps"] == moved == int(STEPS_PER_U)
    assert done["maximum_steps"] == moved
    assert [edge.high for edge in pi.loom.since(place, ENABLE_N)] == [False, True]
    assert sum(edge.high for edge in pi.loom.since(place, STEP)) == moved
    assert pi.loom.since(place, ALIVE)
    say(f"1 U: {moved} steps by the edges of STEP; {done['certainty']}")


# ------------------------------------------------------------------ install, lgpio


def test_a_dry_run_changes_nothing(pi: Pi) -> None:
    pi.before = listed(pi)
    said = pi.sh(f"{INSTALL} --dry-run {WORDS}/lgpio", timeout_s=SLOW_S).out
    assert "would: System packages: python3 python3-venv" in said
    assert "Nothing was changed" in said
    assert differences(pi.before, listed(pi)) == []


def test_it_is_installed_and_a_second_time_changes_nothing(pi: Pi) -> None:
    said = pi.sh(f"{INSTALL} {WORDS}/lgpio", timeout_s=LONG_S).out
    assert "Done: release" in said
    assert "sudo reboot" in said
    assert "gpio=22=ip,pu" in pi.sh("cat /boot/firmware/config.txt").out
    pi.sh(DECLARED)
    before = listed(pi)
    again = pi.sh(f"{INSTALL} {WORDS}/lgpio", timeout_s=SLOW_S).out
    assert "Nothing to change" in again, again
    assert but_records(differences(before, listed(pi))) == []


def test_after_a_reboot_the_services_are_up_by_themselves_and_the_self_test_has_passed(
    pi: Pi,
) -> None:
    began = time.monotonic()
    pi.reboot()
    up(pi)
    ready = pi.sh("systemctl show -p ActiveEnterTimestampMonotonic --value pumpd").out
    say(f"from reboot to a pump that answers: {time.monotonic() - began:.0f} s of the computer")
    say(f"from the kernel's begin to a pumpd that is ready: {int(ready) / 1e6:.1f} s of the Pi's")
    # Its first start found STEP not wired back, and the file has changed since: a person looks.
    pi.sh(f"{SET_UP} pumpctl ack --all", timeout_s=SLOW_S)
    resumed(pi)
    assert status(pi)["state"] == "running"
    self_test_passed(pi)


def test_a_bolus_moves_step_and_enable_and_enable_goes_off_again(pi: Pi) -> None:
    one_unit(pi)


@pytest.mark.parametrize("victim", ["pumpd", "stepper", "guard"])
def test_f65_whoever_is_killed_stepping_ends_and_enable_goes_off(pi: Pi, victim: str) -> None:
    resumed(pi)
    before = pi.loom.steps()
    client, request = begin(pi)
    killed_us, step, off = kill(pi, victim)
    assert off is not None
    off_ms = (off.at_us - killed_us) / 1_000
    last_ms = (step.at_us - killed_us) / 1_000 if step else 0
    say(f"{victim} killed: the last step after {last_ms:.0f} ms, ENABLE off after {off_ms:.0f} ms")
    assert off_ms < 1_000
    assert last_ms < 1_000
    pi.end(client, LONG_S)
    up(pi)
    assert status(pi)["state"] == "faulted"
    closed, moved = dose(pi, request), pi.loom.steps() - before
    assert closed["confirmed_steps"] <= moved <= closed["maximum_steps"]
    assert closed["maximum_steps"] - closed["confirmed_steps"] <= 2 * LEASE_STEPS


def test_the_programs_together_leave_the_pi_its_memory(pi: Pi) -> None:
    resumed(pi)
    assert 0 < memory_kib(pi, SERVICES) < 400 * 1024


# ------------------------------------------------------------------ upgrade and roll back


def test_an_upgrade_switches_and_a_roll_back_switches_back(pi: Pi) -> None:
    resumed(pi)
    refused = pi.sh(f"{INSTALL} {WORDS}/lgpio", check=False, timeout_s=SLOW_S)
    assert refused.status == 1
    assert "suspend it first" in refused.out
    first, rows = release(pi), verified(pi)["rows"]
    pi.sh("pumpctl suspend")
    change_sources(pi, "9.9.1")
    pi.sh(f"{INSTALL} {WORDS}/lgpio", timeout_s=LONG_S)
    up(pi)
    assert release(pi).startswith("9.9.1-")
    assert status(pi)["state"] == "suspended"
    assert verified(pi)["rows"] > rows
    pi.sh(f"{INSTALL} rollback --yes", timeout_s=LONG_S)
    up(pi)
    assert release(pi) == first
    assert status(pi)["state"] == "suspended"


# ------------------------------------------------------------------ power cuts


def test_f17_power_cuts_in_the_middle_of_a_bolus_lose_no_bound_and_resume_nothing(pi: Pi) -> None:
    dice = random.Random(3)  # noqa: S311
    for number in range(CUTS):
        resumed(pi)
        before = pi.loom.steps()
        _, request = begin(pi)
        time.sleep(dice.uniform(0.1, CUT_WITHIN_S))
        pi.cut()
        moved = pi.loom.steps() - before
        assert moved > 0
        assert pi.loom.is_high(ENABLE_N)
        place = pi.loom.count()
        pi.start()
        up(pi)
        assert pi.sh("findmnt -no OPTIONS /").out.startswith("rw")
        assert verified(pi)["ok"]
        assert status(pi)["state"] == "faulted"
        # Nothing was resumed: no step, and ENABLE never on.
        assert pi.loom.steps() - before == moved
        assert [edge for edge in pi.loom.since(place, ENABLE_N) if not edge.high] == []
        cut = dose(pi, request)
        bounds = f"{cut['confirmed_steps']} to {cut['maximum_steps']}"
        say(f"cut {number + 1}: {moved} edges of STEP, recorded {bounds}")
        assert cut["confirmed_steps"] <= moved <= cut["maximum_steps"]
        assert cut["maximum_steps"] - cut["confirmed_steps"] <= 2 * LEASE_STEPS


# ------------------------------------------------------------------ RPi.GPIO


def test_with_rpigpio_the_self_test_passes_and_a_bolus_moves_the_same_pins(pi: Pi) -> None:
    up(pi)
    first = release(pi)
    pi.sh("pumpctl ack --all; pumpctl suspend", check=False, timeout_s=SLOW_S)
    pi.sh(f"{RPIGPIO} {ALL_MEMORY}", timeout_s=SLOW_S)
    pi.sh(f"{INSTALL} {WORDS}/rpigpio", timeout_s=LONG_S)
    assert release(pi) != first
    pi.sh("systemctl restart pump-guard pumpd", timeout_s=SLOW_S)
    pi.reboot()
    resumed(pi)
    self_test_passed(pi)
    maps = pi.sh(f"grep -l RPi /proc/{main_pid(pi, 'pump-guard')}/maps", check=False)
    assert maps.status == 0
    one_unit(pi)


@pytest.mark.parametrize("victim", ["pumpd", "stepper", "guard"])
def test_with_rpigpio_whoever_is_killed_enable_goes_off(pi: Pi, victim: str) -> None:
    """RPi.GPIO's outputs outlive their program: a killed guard's ENABLE waits for the next one."""
    resumed(pi)
    client, _ = begin(pi)
    killed_us, _, off = kill(pi, victim)
    assert off is not None
    off_ms = (off.at_us - killed_us) / 1_000
    say(f"with rpigpio, {victim} killed: ENABLE off after {off_ms:.0f} ms")
    pi.end(client, LONG_S)
    up(pi)
    assert pi.loom.is_high(ENABLE_N)


# ------------------------------------------------------------------ uninstall


def test_uninstalled_with_its_records_it_leaves_no_file_and_no_user(pi: Pi) -> None:
    up(pi)
    pi.sh("pumpctl suspend", check=False)
    pi.sh(
        "rm -rf /etc/systemd/system/pumpd.service.d /etc/systemd/system/pump-guard.service.d"
        " /etc/udev/rules.d/98-all-memory.rules"
    )
    pi.sh(f"{INSTALL} uninstall --records --yes", timeout_s=LONG_S)
    assert differences(pi.before, listed(pi)) == []
    with pytest.raises(GuestFailed):
        pi.sh("systemctl cat pumpd")
