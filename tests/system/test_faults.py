"""Faults at the plant, the real programs, and what the pump makes of them; the guard's trips with
their times.

Time runs ten times as fast, so that boluses may follow each other; what is judged here runs on
real time.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for

from appliance.adapters.clock import real_monotonic_ns
from appliance.client.errors import NoPump, OutcomeUnknown, PumpFailed, Refused
from appliance.client.messages import Segment
from appliance.guard.store import MemoryFile
from appliance.records import Trip

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(120)]
BOLUS_UU = 5_000_000
BASAL_UU_PER_H = 3_000_000  # at ten times the pace a step comes every 0.22 s


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    running = RunningDemo(tmp_path_factory.mktemp("faults") / "D", speed=10).start()
    try:
        running.widen()
        with running.pump() as pump:
            pump.import_basal("Fast", [Segment(start_min_of_day=0, rate_uu_per_h=BASAL_UU_PER_H)])
            pump.use_basal("Fast")
        yield running
    finally:
        running.stop()


@pytest.fixture
def pump(demo: RunningDemo) -> Iterator[RunningDemo]:
    """The demo, well and running; afterwards every fault is cleared and the pump brought back."""
    demo.state_is("running")
    try:
        yield demo
    finally:
        demo.bench("clear", name="all")
        suspended(demo)
        demo.settle()
        demo.recover()
        demo.bounds_hold()


@contextlib.contextmanager
def delivering(demo: RunningDemo, what: str) -> Iterator[None]:
    """Run a bolus, or basal alone, and wait until it steps."""
    before, steps = demo.truth_steps(), 3 if what == "basal" else 60
    with contextlib.ExitStack() as stack:
        if what != "basal":
            stack.enter_context(demo.bolus(BOLUS_UU))
        demo.moved_since(before, steps)
        yield


def suspended(demo: RunningDemo) -> None:
    """Have nothing delivered: basal would keep leases open."""

    def done() -> bool:
        try:
            with demo.pump() as pump:
                pump.suspend()
        except (NoPump, OutcomeUnknown, PumpFailed):
            return False
        return True

    wait_for(done, "the pump takes a suspend", 30.0)


def off_after(demo: RunningDemo, since_ns: int) -> float:
    """Wait until the motor has lost ENABLE; return the ms from ``since_ns`` to then."""

    def lost() -> list[int]:
        trace = demo.bench("traces", last=64)["enable"]
        return [at for at, on, _ in trace if not on and at >= since_ns]

    return (wait_for(lost, "ENABLE is off", 10.0)[0] - since_ns) / 1e6


def alarmed(demo: RunningDemo, name: str, *, says: str = "") -> str:
    """Wait for an alarm, or for its text to say something, and return the text.

    The stepper sees ENABLE go, and may be heard before the guard says why it went.
    """

    def found() -> str:
        texts = [one.text for one in demo.status().alarms if one.name == name and says in one.text]
        return texts[0] if texts else ""

    return str(wait_for(found, f"alarm {name!r} {says}", 10.0))


def tripped(demo: RunningDemo) -> Trip:
    """Return what the guard's own file says."""
    return Trip(getattr(MemoryFile(demo.folder / "state" / "guard").load(), "trip", 0))


def note(text: str) -> None:
    sys.stdout.write(f"{text}\n")


@pytest.mark.parametrize("rate", ["bolus", "basal"])
def test_sr_25_f54_missing_edges_trip_the_guard(pump: RunningDemo, rate: str) -> None:
    with delivering(pump, rate):
        since_ns = real_monotonic_ns()
        pump.bench("inject", name="readback_dead")
        took_ms = off_after(pump, since_ns)
    text = alarmed(pump, "Guard trip", says="edges fewer than were")
    note(f"missing edges at {rate} rate: ENABLE off after {took_ms:.0f} ms ({text})")
    # Two edges have to be missing, and stay so for a second.
    assert 1_000 <= took_ms <= (1_350 if rate == "bolus" else 2_000)


@pytest.mark.parametrize("rate", ["bolus", "basal"])
def test_sr_24_f55_extra_edges_trip_the_guard(pump: RunningDemo, rate: str) -> None:
    with delivering(pump, rate):
        since_ns = real_monotonic_ns()
        pump.bench("inject", name="readback_extra", edges=5)
        took_ms = off_after(pump, since_ns)
    text = alarmed(pump, "Guard trip", says="edges more than were")
    note(f"extra edges at {rate} rate: ENABLE off after {took_ms:.0f} ms ({text})")
    wait_for(lambda: tripped(pump) is Trip.EXTRA_EDGES, "the guard's file names extra edges", 5.0)
    assert took_ms <= 350


@pytest.mark.parametrize("rate", ["bolus", "basal"])
def test_sr_58_a_silent_stepper_trips_the_guard(pump: RunningDemo, rate: str) -> None:
    with delivering(pump, rate):
        pid = pump.pid("pump-stepper")
        since_ns = real_monotonic_ns()
        os.kill(pid, signal.SIGSTOP)
        took_ms = off_after(pump, since_ns)
    alarmed(pump, "Guard trip")
    note(f"silence at {rate} rate: ENABLE off after {took_ms:.0f} ms")
    assert took_ms <= 250


def test_f53_a_stuck_step_line_is_found_within_two_steps_at_basal_rates(pump: RunningDemo) -> None:
    with delivering(pump, "basal"):
        truth = pump.truth_steps()
        pump.bench("inject", name="step_stuck", level="low")
        alarmed(pump, "Guard trip")
        sent = pump.bench()["edges_sent"] - pump.bench()["edges_seen"]
    pump.state_is("faulted")
    assert pump.truth_steps() - truth <= 1
    note(f"a stuck STEP line: {sent} edges went nowhere")


def test_f60_enable_feedback_that_lies_trips_the_guard(pump: RunningDemo) -> None:
    with delivering(pump, "bolus"):
        since_ns = real_monotonic_ns()
        pump.bench("inject", name="enable_feedback", says="off")
        took_ms = off_after(pump, since_ns)
        alarmed(pump, "Guard trip")
    assert took_ms <= 250


@pytest.mark.parametrize(
    ("fault", "params", "alarm"),
    [
        ("driver_fault", {}, "Motor fault"),
        ("end_stop_stuck", {"at": "on"}, "End of travel"),
        ("end_stop_open", {}, "End of travel"),
        ("force_spike", {"mn": 60_000, "ms": 2_000}, "Occlusion"),
        ("pins_denied", {}, "Motor fault"),
    ],
)
def test_f57_f59_f60_f61_a_fault_at_the_motor_stops_it_and_says_why(
    pump: RunningDemo, fault: str, params: dict[str, Any], alarm: str
) -> None:
    with delivering(pump, "bolus"):
        since_ns = real_monotonic_ns()
        pump.bench("inject", name=fault, **params)
        took_ms = off_after(pump, since_ns)
        alarmed(pump, alarm)
    pump.state_is("faulted")
    note(f"{fault}: ENABLE off after {took_ms:.0f} ms")
    assert took_ms <= 350


@pytest.mark.parametrize("rate", ["bolus", pytest.param("basal", marks=pytest.mark.full)])
def test_sr_60_a_supply_that_fails_stops_the_motor_and_every_dose_has_its_account(
    pump: RunningDemo, rate: str
) -> None:
    with delivering(pump, rate):
        since_ns = real_monotonic_ns()
        pump.bench("inject", name="power_fail", every_ms=0)
        took_ms = off_after(pump, since_ns)
        alarmed(pump, "The supply fails")
    pump.state_is("suspended")
    assert pump.status().bolus is None
    pump.bounds_hold()
    note(f"the supply fails at {rate} rate: ENABLE off after {took_ms:.0f} ms")
    assert took_ms <= 350


def test_sr_26_an_occlusion_stops_the_bolus_and_nothing_is_retried(pump: RunningDemo) -> None:
    with delivering(pump, "bolus"):
        pump.bench("inject", name="occlusion")
        text = alarmed(pump, "Occlusion")
    truth = pump.truth_steps()
    pump.state_is("faulted")
    assert "mN" in text
    assert pump.truth_steps() == truth


@pytest.mark.parametrize("fault", ["force_disconnected", "force_nan", "force_saturated"])
def test_f58_a_force_sensor_that_lies_raises_an_alarm_and_delivery_goes_on(
    pump: RunningDemo, fault: str
) -> None:
    before = pump.truth_steps()
    pump.bench("inject", name=fault)
    alarmed(pump, "Force sensor fault")
    pump.moved_since(before, 3)
    assert pump.status().state == "running"


def test_the_stop_button_drops_enable_and_is_no_alarm(pump: RunningDemo) -> None:
    with delivering(pump, "bolus"):
        since_ns = real_monotonic_ns()
        pump.bench("press", button="stop", ms=100)
        took_ms = off_after(pump, since_ns)
        status = pump.state_is("suspended")
    assert took_ms <= 100
    assert not [one for one in status.alarms if one.priority == "high"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_f03_a_signal_in_mid_bolus_ends_it_exactly_and_the_pump_comes_back(
    pump: RunningDemo, number: signal.Signals
) -> None:
    pid = pump.pid("pumpd")
    with delivering(pump, "bolus"):
        since_ns = real_monotonic_ns()
        os.kill(pid, number)
        took_ms = off_after(pump, since_ns)
    assert took_ms <= 250
    pump.settle()
    verdict = pump.verdict()
    doses = [one for one in closed(pump) if one["programmed_uu"] == BOLUS_UU]
    assert doses[-1]["certainty"] == "exact"
    assert doses[-1]["outcome"] == "stopped"
    assert verdict.ok
    # A clean end comes back as it was; the supervisor of the demo starts it again.
    pump.state_is("running")


def closed(demo: RunningDemo) -> list[dict[str, Any]]:
    from appliance.adapters.ledger import LedgerReader

    reader = LedgerReader(demo.places.ledger)
    try:
        return [dict(row.entry.body) for row in reader.rows_of("closed")]
    finally:
        reader.close()


def test_sr_62_f13_a_second_pumpd_exits_without_touching_a_pin(pump: RunningDemo) -> None:
    import subprocess

    pins = pump.bench()["programs"]
    words = [sys.executable, "-P", "-m", "appliance.pumpd"]
    words += [f"--config={pump.folder / 'benchpump.toml'}"]
    words += [f"--clock-file={pump.folder / 'clock.json'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "another pumpd runs" in done.stderr
    assert pump.bench()["programs"] == pins
    assert pump.status().state == "running"


def test_sr_59_a_bolus_that_nobody_can_stop_any_more_is_stopped(tmp_path: Path) -> None:
    """Without a stop button the client's connection is the one way to stop: it goes, the bolus
    ends.
    """

    def no_button(text: str) -> str:
        return text.replace("stop_button = true", "stop_button = false")

    running = RunningDemo(tmp_path / "D", speed=10, edit=no_button).start()
    try:
        before = running.truth_steps()
        with running.pump() as pump:
            review = pump.review(REQUEST, BOLUS_UU)
            assert review.token
            with pytest.raises(Refused, match="stay connected"):
                pump.deliver(REQUEST, BOLUS_UU, review.token, stay=False)
        with running.bolus(BOLUS_UU, REQUEST):
            running.moved_since(before, 60)
        gone_ns = real_monotonic_ns()

        def ended() -> Any:
            with running.pump() as pump:
                dose = pump.lookup(REQUEST)
            return dose if dose and not dose.running else None

        dose = wait_for(ended, "the bolus is stopped", 10.0)
        assert dose.outcome == "stopped"
        assert dose.certain
        assert "nobody" in dose.why
        assert 2.5 <= (real_monotonic_ns() - gone_ns) / 1e9 <= 5.0
        assert alarmed(running, "Bolus stopped: nobody could have")
    finally:
        running.stop()


REQUEST = "5f1d7a44-9d0c-4c57-8a3b-0d4f5e6a7b8c"
