"""Guard and bench as a service manager runs them: what they say to it, and what is done after
them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.demo import _CONFIGURATION
from drivers.mock.running import Control

ROOT = Path(__file__).parents[2]


class Service:
    """One program with a notification socket of its own, as systemd gives it."""

    def __init__(self, folder: Path, module: str, *words: str) -> None:
        door = folder / f"{module}.notify"
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(str(door))
        self._door.settimeout(20)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *words],
            cwd=ROOT,
            env=os.environ | {"NOTIFY_SOCKET": str(door), "WATCHDOG_USEC": "3000000"},
        )

    def hears(self, text: str) -> None:
        while self._door.recv(4_096).decode() != text:
            pass

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._door.close()


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    for name in ("state", "run"):
        (tmp_path / name).mkdir()
    path = tmp_path / "benchpump.toml"
    path.write_text(_CONFIGURATION.format(state=f'"{tmp_path}/state"', runtime=f'"{tmp_path}/run"'))
    return path


@pytest.fixture
def bench(machine: Path) -> Iterator[Service]:
    service = Service(machine.parent, "drivers.mock", f"--config={machine}")
    try:
        service.hears("READY=1")
        yield service
    finally:
        service.end()


@pytest.fixture
def guard(machine: Path, bench: Service) -> Iterator[Service]:
    service = Service(machine.parent, "appliance.guard", f"--config={machine}")
    try:
        service.hears("READY=1")
        yield service
    finally:
        service.end()


def off(machine: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "appliance.guard", f"--config={machine}", "--off"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def owners_of_enable(machine: Path) -> list[str]:
    with Control(machine.parent / "run" / "bench.sock") as control:
        programs = control.call("status")["programs"]
    return [one["name"].split()[0] for one in programs if 22 in one["pins"]]


def test_sr_58_a_guard_says_ready_with_its_pins_in_hand_and_feeds_its_watchdog(
    machine: Path, guard: Service
) -> None:
    assert owners_of_enable(machine) == ["pump-guard"]
    guard.hears("WATCHDOG=1")
    guard.process.send_signal(signal.SIGSTOP)
    guard._door.settimeout(2.5)  # two beats of the watchdog
    with pytest.raises(TimeoutError):
        guard.hears("nothing that it says")


def test_f65_enable_is_switched_off_for_a_dead_guard_and_never_taken_from_a_living_one(
    machine: Path, guard: Service
) -> None:
    refused = off(machine)
    assert refused.returncode == 1
    assert "busy" in refused.stderr
    assert owners_of_enable(machine) == ["pump-guard"]
    guard.process.kill()
    guard.process.wait()
    done = off(machine)
    assert (done.returncode, done.stderr) == (0, "")
    deadline = time.monotonic() + 10
    while owners_of_enable(machine):
        assert time.monotonic() < deadline


def test_a_bench_with_a_configuration_that_has_faults_lists_them(
    machine: Path, tmp_path: Path
) -> None:
    machine.write_text(machine.read_text().replace("step = 17", "step = 99"))
    found = subprocess.run(
        [sys.executable, "-P", "-m", "drivers.mock", f"--config={machine}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert found.returncode == 2
    assert "pins.step = 99 is out of range: 0 to 27" in found.stderr
