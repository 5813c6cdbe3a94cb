"""One scenario with many seeds, several at a time: each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from appliance.simulate.run import Report, run
from appliance.simulate.scenario import Scenario


def run_seeds(
    scenario: Scenario, seeds: Sequence[int], *, days: float | None = None, jobs: int = 1
) -> Iterator[Report]:
    """Run ``scenario`` with each of ``seeds``, ``jobs`` at a time; yield the reports in order."""
    one = partial(_run, scenario, days)
    if jobs == 1:
        yield from map(one, seeds)
        return
    # Not forked: a run owns threads of none, but whoever calls may.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, seeds)


def _run(scenario: Scenario, days: float | None, seed: int) -> Report:
    return run(scenario, seed=seed, days=days)
