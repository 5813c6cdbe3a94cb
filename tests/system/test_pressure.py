"""A computer that has nothing left: no processor, no descriptors, and a backup besides."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest
from demo_harness import RunningDemo, running_demo, wait_for

from appliance.adapters.clock import real_monotonic_ns
from appliance.client import KeeperClient
from appliance.client.errors import NoPump, OutcomeUnknown, PumpFailed
from appliance.client.pump import new_request_id
from appliance.verify import verify

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(120)]

BUSY = 32
BUSY_S = 60
STOP_NS = 250_000_000
"""From stop to the last edge at worst (SR-21)."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("pressure") / "D", speed=20) as one:
        yield one


@pytest.fixture
def demo(running: RunningDemo) -> RunningDemo:
    running.recover()
    return running


def closed(demo: RunningDemo, request_id: str) -> bool:
    with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed), demo.pump() as pump:
        dose = pump.lookup(request_id)
        return dose is not None and not dose.running
    return False


@contextlib.contextmanager
def busy_programs() -> Iterator[None]:
    """Have 32 programs do nothing but use the processor; they end by themselves."""
    text = f"import time; end = time.monotonic() + {BUSY_S}\nwhile time.monotonic() < end: pass"
    programs = [subprocess.Popen([sys.executable, "-S", "-c", text]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for one in programs:
            one.kill()
            one.wait()


def test_f09_sr_21_beside_32_busy_programs_no_step_comes_early_and_a_stop_stops(
    demo: RunningDemo,
) -> None:
    request_id = new_request_id()
    before = demo.truth_steps()
    with demo.bolus(20_000_000, request_id):
        demo.moved_since(before, 20)
        with busy_programs():
            demo.moved_since(before, 400)
            with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed), demo.pump() as pump:
                asked_ns = real_monotonic_ns()
                pump.stop()
        wait_for(lambda: closed(demo, request_id), "the dose is closed", 60)
    demo.never_bursts()
    assert max(demo.edges()) - asked_ns <= STOP_NS
    with demo.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert dose.outcome in ("stopped", "fault")
    demo.settle()
    demo.bounds_hold()


def test_f11_a_bolus_goes_on_where_no_new_client_finds_a_descriptor(demo: RunningDemo) -> None:
    request_id = new_request_id()
    pid = demo.pid("pumpd")
    before = demo.truth_steps()
    with demo.bolus(4_000_000, request_id):
        demo.moved_since(before, 20)
        used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        free = next(number for number in range(len(used) + 1) if number not in used)
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))
        try:
            with pytest.raises((NoPump, OutcomeUnknown, PumpFailed)), demo.pump() as pump:
                pump.status()
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        wait_for(lambda: closed(demo, request_id), "the dose is closed", 60)
    with demo.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert (dose.outcome, dose.certainty) == ("done", "exact"), dose
    assert demo.pid("pumpd") == pid
    demo.bounds_hold()


def test_f29_a_backup_in_mid_bolus_is_whole_and_changes_no_step(demo: RunningDemo) -> None:
    request_id = new_request_id()
    before = demo.truth_steps()
    folder = demo.folder / "state" / "backups"
    with demo.bolus(4_000_000, request_id):
        demo.moved_since(before, 20)
        with KeeperClient(demo.places.keeper_socket) as keeper:
            keeper.run_job("backup")
        made = wait_for(lambda: sorted(folder.glob("ledger-*.db")), "the backup", every_s=0.1)
        wait_for(lambda: closed(demo, request_id), "the dose is closed", 60)
    with demo.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert (dose.outcome, dose.certainty) == ("done", "exact"), dose
    assert verify(made[-1]).ok
    demo.never_bursts()
    demo.bounds_hold()
