"""What holds for every test: no thread stays behind, and what could not run says so.

A test that cannot run here calls ``pytest.skip("NOT RUN: why, and what would let it run")``. Such
tests are listed at the end, and ``--fail-not-run`` (part of ``test --full``) makes them failures.
"""

import sys
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest
from hypothesis import settings

# A shared computer is slow now and then, which proves nothing about arithmetic. The same examples
# each time keep the gate still; the full run looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("full", deadline=None, max_examples=1000)
settings.load_profile("default")

NOT_RUN = "NOT RUN: "
LEAVING_S = 1.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-not-run", action="store_true", help="fail if a test says NOT RUN")


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def failed_if_not_run(report: Report, config: pytest.Config) -> Report:
    if report.skipped and config.getoption("--fail-not-run"):
        where, line, why = report.longrepr
        if NOT_RUN in why:
            report.outcome, report.longrepr = "failed", f"{where}:{line}: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = failed_if_not_run((yield), item.config)
    if report.failed and item.config.getoption("capture") == "no":
        sys.stdout.write(f"\n{report.longreprtext}\n")  # it is watched; its end may be hours away
        sys.stdout.flush()
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return failed_if_not_run((yield), collector.config)


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    """A thread that outlives its test is a program that does not end."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(LEAVING_S)  # one that is on its way out may finish
    assert [thread.name for thread in left if thread.is_alive()] == []
