"""Virtual time: thirty days at edge level, and by pulses, with ``pumpctl simulate``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Result, not_run

_SIMGLUCOSE_DAYS_PER_S = 0.21
_MONTH = Path(__file__).parents[1] / "docs" / "examples" / "month.toml"
_GOALS = {
    "virtual": "30 days <= 3 s (5 s accepted), >= 50x simglucose",
    "pulses": ">= 100 days a second",
}


def _simulated(*words: str) -> tuple[dict[str, Any], float] | str:
    """Return what the verb said and the seconds it took, or why it could not run."""
    command = [sys.executable, "-m", "appliance.cli", "simulate", str(_MONTH), "--json", *words]
    begun_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - begun_s
    if done.returncode == 2 or not _MONTH.exists():
        return "this pumpctl has no verb simulate"
    if done.returncode:
        return f"pumpctl simulate ended with {done.returncode}: {done.stderr.strip()[-120:]}"
    said: dict[str, Any] = json.loads(done.stdout)
    return said, took_s


def month(*, quick: bool) -> list[Result]:
    """A month of basal and boluses: every edge, then by pulses; both must give one ledger."""
    del quick
    edges, pulses = _simulated(), _simulated("--pulses")
    if isinstance(edges, str) or isinstance(pulses, str):
        why = edges if isinstance(edges, str) else str(pulses)
        return [
            not_run(row, "days of virtual time a second", goal, why) for row, goal in _GOALS.items()
        ]
    (said, took_s), (fast, fast_s) = edges, pulses
    days = said["days"]
    exact = abs(said["asked_steps"] - said["plant_steps"]) <= 1 and not said["violations"]
    results = []
    for row, how, seconds, met in (
        ("virtual", "every edge", took_s, exact and took_s <= 5),
        ("pulses", "by pulses", fast_s, fast["head"] == said["head"] and days / fast_s >= 100),
    ):
        results.append(
            Result(
                row,
                f"{days:g} virtual days, {how}, ledger and the program's start in it",
                f"{seconds:.1f} s, {days / seconds:,.1f} days a second",
                f"{_SIMGLUCOSE_DAYS_PER_S} days a second (simglucose 0.2.11, measured elsewhere)",
                "",
                f"{days / seconds / _SIMGLUCOSE_DAYS_PER_S:,.0f}x baseline",
                _GOALS[row],
                met,
                f"asked {said['asked_steps']:,} steps, the plant moved {said['plant_steps']:,}; the"
                f" ledgers {'are equal' if fast['head'] == said['head'] else 'DIFFER'}",
            )
        )
    return results
