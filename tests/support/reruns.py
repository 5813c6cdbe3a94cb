"""The real programs in real time: a test that a standing computer took the ground from runs again.

A pump stops when its guard wakes 40 ms late, as it must. On a computer that is shared that comes to
pass by itself, and then a test of something else has proven nothing. So each processor is watched
from outside (``host_watch``), and a test that failed while one of them stood still is run again,
with everything built anew, at most twice. Never excused is ``Broken``: bounds, doses given twice,
edges too close. Each rerun is told in the summary.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from demo_harness import Broken

ATTEMPTS = 3
_broken = pytest.StashKey[bool]()


@dataclass(slots=True)
class HostWatch:
    """One watcher for each processor this run may use, and what they have seen."""

    told: Any = field(default_factory=tempfile.TemporaryFile)
    watchers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> None:
        script = Path(__file__).with_name("host_watch.py")
        for processor in sorted(os.sched_getaffinity(0)):
            words = [sys.executable, "-S", str(script), str(processor), str(os.getpid())]
            self.watchers.append(
                subprocess.Popen(words, stdout=os.dup(self.told.fileno()), close_fds=True)
            )

    def stalls_ms(self, since_ns: int) -> list[int]:
        """Return the lengths in ms of the stalls that ended after ``since_ns``."""
        raw = os.pread(self.told.fileno(), 1 << 24, 0).decode().splitlines()
        seen = [tuple(map(int, line.split())) for line in raw]
        return [late_ns // 1_000_000 for end_ns, late_ns in seen if end_ns >= since_ns]

    def end(self) -> None:
        for watcher in self.watchers:
            watcher.kill()
            watcher.wait()
        self.told.close()


class Reruns:
    """The hooks: they see every item, and touch those of ``folder`` alone."""

    def __init__(self, folder: Path, watch: HostWatch) -> None:
        self.folder = folder
        self.watch = watch
        self.told: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: "pytest.CallInfo[None]"
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        if call.excinfo is not None and call.excinfo.errisinstance(Broken):
            item.stash[_broken] = True
        return (yield)

    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if self.folder not in item.path.parents:
            return None
        if not self.watch.watchers:
            self.watch.start()
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(1, ATTEMPTS + 1):
            since_ns = time.monotonic_ns()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            stalls_ms = self.watch.stalls_ms(since_ns)
            if not self.excused(item, reports, stalls_ms) or attempt == ATTEMPTS:
                break
            self.told.append(
                f"{item.nodeid}: run again, the computer stood still "
                f"{len(stalls_ms)} times, {max(stalls_ms)} ms at most"
            )
            self.tear_down(item.session)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def tear_down(self, session: pytest.Session) -> None:
        """Take every fixture down: a pump that was left in a fault is no ground to go on from."""
        try:
            session._setupstate.teardown_exact(None)
        except (Exception, pytest.fail.Exception) as fault:  # noqa: BLE001  # the next attempt tells
            self.told.append(f"  and what was left did not come down cleanly: {fault}")

    @staticmethod
    def excused(item: pytest.Item, reports: list[pytest.TestReport], stalls_ms: list[int]) -> bool:
        failed = any(report.failed for report in reports)
        return failed and bool(stalls_ms) and not item.stash.get(_broken, False)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.told:
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        self.watch.end()
