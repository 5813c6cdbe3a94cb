"""The real programs on the simulated bench: memory, rest, a frozen pump, a disk that stalls.

The bench's pins are a socket, so what is judged is steps and records; when an edge was at a pin is
the rows of ``timing``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.client.bench import BenchClient
from appliance.client.errors import NoPump, OutcomeUnknown
from appliance.client.messages import Limits, Segment
from appliance.client.places import Places
from appliance.client.pump import PumpClient, new_request_id
from benchmarks.report import Result, not_run

_READY_S = 60.0
_DOSE_UU = 500_000
_MIB_KIB = 1_024


class _Demo:
    """One demo, started twice before it is looked at: the first start makes the ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [sys.executable, "-P", "-m", "appliance.demo", "--headless", "--dir"]
        log = (self.folder.parent / "said").open("wb")
        self._process = subprocess.Popen([*words, str(self.folder)], stdout=log, stderr=log)
        log.close()
        said = self.folder.parent / "said"
        _until(lambda: b"READY" in said.read_bytes(), "the demo is READY")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    @property
    def places(self) -> Places:
        return Places.of(self.folder)

    def pids(self) -> dict[str, int]:
        with PumpClient(self.places.pump_socket) as pump:
            return {name: int(pid) for name, pid in pump.status().pids.items() if pid}

    def truth_steps(self) -> int:
        with BenchClient(self.places.bench_socket) as bench:
            return int(bench.call("status", {})["steps_forward"])

    def dose(self, meanwhile: Callable[[], object]) -> dict[str, Any]:
        """Give a bolus, do something in its midst, and return its closed row with ``took_s`` and
        ``moved_steps``.
        """
        request_id, before = new_request_id(), self.truth_steps()
        with PumpClient(self.places.pump_socket) as pump:
            against: list[str] = []

            def token() -> str | None:
                review = pump.review(request_id, _DOSE_UU)
                against[:] = [one.text for one in review.reasons]
                return review.token

            may = _until(token, "the bolus may begin", against)
            pump.deliver(request_id, _DOSE_UU, may, again=True)
            begun_s = time.monotonic()
            _until(lambda: self.truth_steps() - before > 60, "it is in its midst")
            meanwhile()
            row = _until(lambda: self._closed(request_id), "it is closed")
            took_s = time.monotonic() - begun_s
        return {**row, "took_s": took_s, "moved_steps": self.truth_steps() - before}

    def _closed(self, request_id: str) -> dict[str, Any] | None:
        path = self.places.ledger
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            sql = "SELECT text FROM entries WHERE request_id = ? AND kind = 'closed'"
            found = db.execute(sql, (request_id,)).fetchone()
        row: dict[str, Any] | None = json.loads(found[0])["body"] if found else None
        return row


def _until(is_so: Callable[[], Any], what: str, why: Sequence[str] = ()) -> Any:  # noqa: ANN401
    deadline_s = time.monotonic() + _READY_S
    while True:
        with contextlib.suppress(NoPump, OutcomeUnknown):
            if found := is_so():
                return found
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {_READY_S} s: {what}; {'; '.join(why)}")
        time.sleep(0.1)


@contextlib.contextmanager
def running_demo(*, basal: bool) -> Iterator[_Demo]:
    """Run a demo, with its basal or suspended."""
    with tempfile.TemporaryDirectory(prefix="bp-") as folder:
        demo = _Demo(Path(folder) / "D")
        try:
            demo.start()
            demo.stop()
            demo.start()
            _until(lambda: "pump-stepper" in demo.pids(), "the stepper is there")
            with PumpClient(demo.places.pump_socket) as pump:
                pump.set_limits(Limits(
                    max_bolus_uu=25_000_000, hourly_uu=60_000_000, daily_uu=300_000_000,
                    max_basal_uu_per_h=5_000_000, min_interval_s=10,
                ))  # fmt: skip
                if not basal:
                    nothing = [Segment(start_min_of_day=0, rate_uu_per_h=0)]
                    pump.import_basal("None", nothing, replace=True, confirm=True)
                    pump.use_basal("None")
            yield demo
        finally:
            demo.stop()


def kib_of(pid: int) -> dict[str, int]:
    """Return what the kernel says of a process's memory, in KiB by name."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").split("\n")
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[1]) for words in pairs}


def _ticks(pid: int) -> int:
    after = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return int(after[11]) + int(after[12])


def shares_of(pids: dict[str, int], seconds: float) -> dict[str, float]:
    """Return the share of a core that each process took over a span of time."""
    before = {name: _ticks(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    hz = os.sysconf("SC_CLK_TCK")
    return {name: (_ticks(pids[name]) - before[name]) / hz / seconds for name in before}


_MEMORY_MIB = {"pump-stepper": 25, "pumpd": 45, "pump-guard": 30}


def memory(*, quick: bool) -> list[Result]:
    """Resident memory of each program, and its share of a core: suspended, and while basal runs."""
    seconds = 5.0 if quick else 30.0
    results = []
    with running_demo(basal=True) as demo:
        pids = demo.pids()
        busy = shares_of(pids, seconds)
        with PumpClient(demo.places.pump_socket) as pump:
            pump.suspend()
        rest = shares_of(pids, seconds)
        for name, most_mib in _MEMORY_MIB.items():
            status = kib_of(pids[name])
            mib = status["VmRSS"] / _MIB_KIB
            locked = "locked" if status["VmLck"] else "not locked"
            results.append(
                Result(
                    f"memory.{name}",
                    f"resident memory of {name}, {locked}",
                    f"{mib:.1f} MiB",
                    "46.7 MiB (a daemon with all libraries)",
                    "8.6 MiB (bare Python)",
                    "",
                    f"< {most_mib} MiB",
                    mib < most_mib,
                )
            )
            results.append(
                Result(
                    f"rest.{name}",
                    f"share of a core of {name} at rest, {seconds:g} s",
                    f"{rest[name]:.2%}",
                    "",
                    "",
                    "",
                    "< 1 %",
                    rest[name] < 0.01,
                    f"{busy[name]:.2%} while basal runs: the motor is held, and beats go out",
                )
            )
    return results


def freeze(*, quick: bool) -> list[Result]:
    """`pumpd` frozen for a second in the midst of a bolus."""
    del quick
    with running_demo(basal=False) as demo:
        alone = demo.dose(lambda: None)
        pid = demo.pids()["pumpd"]

        def frozen() -> None:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1.0)
            os.kill(pid, signal.SIGCONT)

        time.sleep(10)
        dose = demo.dose(frozen)
    what = "pumpd frozen for 1 s in the midst of a bolus"
    return [_undisturbed("freeze", what, alone, dose, _scheduled())]


_JOB_MS, _JOBS_S = 100, 6.0


def _scheduled() -> str:
    """Freeze a process for the same second whose steps are jobs of APScheduler; say what it kept.

    A job every 100 ms: a step of 1.5 U/min comes every 74 ms.
    """
    words = [sys.executable, "-m", "benchmarks.loops", "repeat", str(_JOB_MS), str(_JOBS_S)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(2.0)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=60)
    due = int(_JOBS_S * 1_000) // _JOB_MS
    return f"{said.strip()} of {due} runs kept (APScheduler, a job every {_JOB_MS} ms)"


def stall(*, quick: bool) -> list[Result]:
    """Every sync of the ledger takes 500 ms longer, from the midst of a bolus on.

    Not from its beginning: a bolus waits for its first lease, and that is a delay, not a change.
    """
    del quick
    what = "each sync of the ledger 500 ms slower, from the midst of a bolus to its end"
    strace = shutil.which("strace")
    if strace is None:
        return [not_run("stall", what, "no step changed", "As root: apt-get install strace")]
    with running_demo(basal=False) as demo:
        alone = demo.dose(lambda: None)
        time.sleep(10)
        words = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]
        words += ["-e", "inject=fdatasync:delay_enter=500000", "-p", str(demo.pids()["pumpd"])]
        tracers: list[subprocess.Popen[bytes]] = []
        try:
            dose = demo.dose(lambda: tracers.append(subprocess.Popen(words)))
        finally:
            for one in tracers:
                one.terminate()
                one.wait()
    return [_undisturbed("stall", what, alone, dose, "the stall is lateness")]


def _undisturbed(
    row: str, what: str, alone: dict[str, Any], dose: dict[str, Any], baseline: str
) -> Result:
    lost = abs(dose["moved_steps"] - dose["programmed_steps"])
    slipped_ms = dose["shift_ns"] / 1e6
    met = lost == 0 and dose["outcome"] == "done" and dose["shift_ns"] <= alone["shift_ns"]
    return Result(
        row,
        what,
        f"{lost} steps lost or doubled, {slipped_ms:.1f} ms put back",
        baseline,
        "0",
        "",
        "no step changed",
        met,
        f"{dose['moved_steps']} steps of {dose['programmed_steps']} at the plant,"
        f" {dose['outcome']}, {dose['certainty']}; {dose['took_s']:.1f} s, and"
        f" {alone['took_s']:.1f} s undisturbed",
    )


def ready(*, quick: bool) -> list[Result]:
    """How long the stepper's program takes until it could read its wires."""
    times = 3 if quick else 7
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(times):
        for found, line in (
            (bare, "import gpiozero"),
            (ours, "import appliance.stepper.__main__, drivers.bench_pins"),
        ):
            begun_s = time.perf_counter()
            subprocess.run([sys.executable, "-c", line], check=True)
            found.append(time.perf_counter() - begun_s)
    took, floor = statistics.median(ours), statistics.median(bare)
    return [
        Result(
            "ready",
            f"pump-stepper until its modules are there, median of {times}",
            f"{took * 1e3:.0f} ms",
            "",
            f"{floor * 1e3:.0f} ms (bare Python and gpiozero)",
            f"{took / floor:.1f}x limit",
            "<= 5x limit",
            took <= 5 * floor,
        )
    ]
