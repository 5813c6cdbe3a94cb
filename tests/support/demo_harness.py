"""A demo under test: the real programs in a folder of their own, and the plant as the oracle.

Nothing here sleeps and hopes: every wait is for a condition, with a deadline that fails loudly.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.client.bench import BenchClient
from appliance.client.errors import NoPump, OutcomeUnknown, PumpFailed, Refused
from appliance.client.messages import Dose, Limits, Snapshot
from appliance.client.places import Places
from appliance.client.pump import PumpClient, new_request_id
from appliance.guard.store import MemoryFile
from appliance.records import Trip
from appliance.verify import Verdict, verify

WIDE = Limits(
    max_bolus_uu=25_000_000,
    hourly_uu=60_000_000,
    daily_uu=300_000_000,
    max_basal_uu_per_h=35_000_000,
    min_interval_s=10,
)
LEASE_STEPS = 27
PASSING = {"battery_unknown", "power_line_unknown"}
"""What is against a bolus until gauge and line have been read again, within a second."""
READY_S = 40.0
CLOSEST_NS = 1_999_000
"""The motor's interval, less what the clock is read by."""


def wait_for(
    is_so: Callable[[], Any], what: str, limit_s: float = 20.0, every_s: float = 0.06
) -> Any:
    """Look every ``every_s`` until ``is_so`` is true, and return it; fail after ``limit_s``.

    The pump takes 20 requests a second from a client, so it is not asked more often.
    """
    deadline_s = time.monotonic() + limit_s
    while not (found := is_so()):
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {limit_s} s: {what}")
        time.sleep(every_s)
    return found


class Broken(AssertionError):
    """What no standing computer excuses: a bound, a dose given twice, edges too close."""


def holds(is_so: bool, invariant: str) -> None:  # noqa: FBT001  # reads as a sentence
    """Fail for good where an invariant does not hold: such a test is never run again."""
    if not is_so:
        raise Broken(invariant)


class RunningDemo:
    """One demo: its programs, its client doors, and what its plant knows."""

    def __init__(
        self,
        folder: Path,
        *,
        speed: int = 1,
        edit: Callable[[str], str] | None = None,
        first_start: bool = False,
    ):
        self.folder = folder
        self.speed = speed
        self.words = [sys.executable, "-P", "-m", "appliance.demo", "--headless"]
        self.words += ["--speed", str(speed), "--dir", str(folder)]
        if first_start:
            self.words.append("--first-start")
        self.process: subprocess.Popen[bytes] | None = None
        if edit is not None:
            from appliance.demo import Demo

            folder.mkdir()
            Demo(folder, speed)  # writes the configuration
            path = folder / "benchpump.toml"
            path.write_text(edit(path.read_text()))

    def start(self) -> "RunningDemo":
        self.log = (self.folder.parent / f"{self.folder.name}.log").open("w+b")
        self.process = subprocess.Popen(self.words, stdout=self.log, stderr=self.log)
        wait_for(self._is_ready, "the demo is READY", READY_S)
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"the demo ended with {self.process.returncode}: {self.said()}")
        return "READY" in self.said()

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail("the demo did not stop within 40 s")
        finally:
            self.log.close()

    # ------------------------------------------------------------------ doors

    @property
    def places(self) -> Places:
        return Places.of(self.folder)

    def pump(self) -> PumpClient:
        return PumpClient(self.places.pump_socket)

    def bench(self, method: str = "status", **params: Any) -> dict[str, Any]:
        with BenchClient(self.places.bench_socket) as bench:
            return bench.call(method, params)

    def truth_steps(self) -> int:
        truth = self.bench()
        assert truth["steps_reverse"] == 0
        return int(truth["steps_forward"])

    def edges(self) -> list[int]:
        """Return the instants of the last rising edges at the motor driver."""
        return [at for at, level in self.bench("traces", last=4096)["step"] if level]

    def never_bursts(self) -> None:
        """Have no edge be closer to the one before it than the motor's interval."""
        gap_ns = min(after - at for at, after in pairwise(self.edges()))
        holds(gap_ns >= CLOSEST_NS, f"no edge is closer than the motor's interval: {gap_ns} ns")

    def verdict(self) -> Verdict:
        return verify(self.places.ledger)

    def bounds_hold(self) -> Verdict:
        """Have the independent reader and the plant agree: confirmed <= moved <= maximum."""
        truth, verdict = self.truth_steps(), self.verdict()
        holds(verdict.ok, f"the chain is whole: {verdict.reasons}")
        holds(
            verdict.confirmed_steps <= truth <= verdict.maximum_steps,
            f"{verdict.confirmed_steps} <= {truth} <= {verdict.maximum_steps}",
        )
        return verdict

    def status(self) -> Snapshot:
        with self.pump() as pump:
            return pump.status()

    def pid(self, program: str) -> int:
        return int(self.status().pids[program] or 0)

    def log_of(self, program: str) -> str:
        return (self.folder / "log" / f"{program}.log").read_text()

    # ------------------------------------------------------------------ what a person does

    def widen(self) -> None:
        with self.pump() as pump:
            pump.set_limits(WIDE)

    def state_is(self, *states: str, limit_s: float = READY_S) -> Snapshot:
        """Wait until the pump answers with one of ``states``."""
        last: list[Snapshot] = []

        def seen() -> Snapshot | None:
            with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed):
                found = self.status()
                last[:] = [found]
                return found if found.state in states else None
            return None

        try:
            found: Snapshot = wait_for(seen, f"state {' or '.join(states)}", limit_s)
        except pytest.fail.Exception as late:
            said = [f"{one.state}: {one.reasons}" for one in last] or ["nothing"]
            trip = Trip(getattr(MemoryFile(self.folder / "state" / "guard").load(), "trip", 0))
            logs = f"{self.log_of('pumpd')[-800:]}{self.log_of('pump-guard')[-400:]}"
            pytest.fail(f"{late}; the pump says {said[0]}; the guard {trip.name}; logs: {logs}")
        return found

    def recover(self) -> None:
        """Acknowledge every alarm and resume, as a person would; wait until it runs."""
        last: list[object] = []

        def resumed() -> bool:
            try:
                with self.pump() as pump:
                    pump.acknowledge(None)
                    try:
                        return pump.resume() == "running"
                    except Refused as refused:
                        last[:] = refused.reasons
                        if [one.code for one in refused.reasons] != ["locked"]:
                            return False
                        pump.rearm()  # blow after blow is what a campaign is
                        return False
            except (NoPump, OutcomeUnknown, PumpFailed, Refused) as failed:
                last[:] = [failed]
                return False

        try:
            wait_for(resumed, "the pump resumes", READY_S)
        except pytest.fail.Exception as late:
            pytest.fail(f"{late}; it said last: {last}")

    def settle(self) -> None:
        """Wait until nothing is delivered and every lease is closed."""
        wait_for(lambda: self.verdict().open_leases == 0, "no lease is open")

    @contextlib.contextmanager
    def bolus(self, amount_uu: int, request_id: str = "") -> Iterator[Dose]:
        """Start a bolus and stay connected while the block runs."""
        request_id = request_id or new_request_id()
        with self.pump() as pump:

            def begun() -> Dose | None:
                try:
                    review = pump.review(request_id, amount_uu)
                except (NoPump, OutcomeUnknown, PumpFailed):
                    return None
                if review.token is None:
                    texts = [one.text for one in review.reasons]
                    if any("wait" in text for text in texts):
                        return None
                    if PASSING & {one.code for one in review.reasons}:
                        return None
                    pytest.fail(f"refused: {texts}")
                return pump.deliver(request_id, amount_uu, review.token, again=True)

            yield wait_for(begun, "the bolus is accepted")

    def moved_since(self, before_steps: int, steps: int) -> None:
        try:
            wait_for(
                lambda: self.truth_steps() - before_steps >= steps,
                f"{steps} steps have moved",
                30.0,
                every_s=0.005,
            )
        except pytest.fail.Exception as late:
            status = self.status().raw
            keys = ("state", "why", "basal_uu_per_h", "basal_held", "delivering", "motor", "alarms")
            shown = {key: status[key] for key in keys}
            pytest.fail(f"{late}; the pump says {shown}, the plant {self.bench()}")


@contextlib.contextmanager
def running_demo(
    folder: Path, *, speed: int, edit: Callable[[str], str] | None = None
) -> Iterator[RunningDemo]:
    """Run a demo with wide limits, and stop it at the end."""
    running = RunningDemo(folder, speed=speed, edit=edit)
    try:
        running.start()
        running.widen()
        yield running
    finally:
        running.stop()


def freeze(pid: int, seconds: float) -> None:
    """Stop a process for a span of time; the span is what is tested, not a hope."""
    os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(seconds)
    with contextlib.suppress(ProcessLookupError):  # pumpd may have ended a stepper that was silent
        os.kill(pid, signal.SIGCONT)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True
