"""Time to alarm and missed volume of a blocked line, over the plant, in virtual time.

    python -m benchmarks.occlusion          # the table of docs/performance.md

The line closes at once while the pump delivers in steady flow; the real engine, stepper and guard
go on until the force sensor's alarm stops them. *Missed* is what was pushed since the line closed
and did not come out; *held back, as said* is what the pump estimates from the push.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass

from appliance.domain.units import NS_PER_MS, NS_PER_S, UU_PER_U
from appliance.simulate.bench import VirtualBench
from benchmarks.report import Result

COMPLIANCES_NL_PER_KPA = (5, 20, 60)
RATES_UU_PER_H = (100_000, 1_000_000, 5_000_000)
_NL_PER_U = 10_000
_ORDINARY_NL_PER_KPA, _SOFT_NL_PER_KPA = (5, 25), (55, 65)
_PUSH_MN, _BORE_UM = 11_000, 8_660  # the threshold less the friction, and the default syringe


@dataclass(frozen=True, slots=True)
class Found:
    """One run: how long until the alarm, what had not come out, and what the pump said of it."""

    seconds: float
    missed_u: float
    said_u: float


def occlude(rate_uu_per_h: int, compliance_nl_per_kpa: int, bolus: str = "") -> Found:
    """Block the line while basal, or a bolus, runs; return what came of it.

    The sensor is read every 50 ms of real time, so with a pace above 1 that much more seldom.
    """
    pace = 1 if bolus else min(40, 30_000_000 // rate_uu_per_h)
    bench = VirtualBench(
        basal_uu_per_h=0 if bolus else rate_uu_per_h,
        pace=pace,
        sensors_ms=50 * pace,
        compliance_nl_per_kpa=compliance_nl_per_kpa,
    )
    try:
        if bolus:
            bench.start_bolus(bolus)
        bench.run(3 if bolus else 3_600)
        before = bench.plant.status(bench.now_ns)
        bench.plant.inject("occlusion", {}, bench.now_ns)
        since_ns = bench.now_ns
        bench.run_until(lambda: bench.state == "faulted", 400_000)
        seconds = (bench.now_ns - since_ns) / NS_PER_S
        after = bench.plant.status(bench.now_ns)
        pushed_nl = after["displaced_nl"] - before["displaced_nl"]
        missed_nl = pushed_nl - (after["volume_nl"] - before["volume_nl"])
        bench.run(2 * pace * 50 * NS_PER_MS / NS_PER_S)
        row = next(one.entry.body for one in bench.rows("line"))
        return Found(seconds, missed_nl / _NL_PER_U, row["held_uu"] / UU_PER_U)
    finally:
        bench.close()


def _physical_u(compliance_nl_per_kpa: int) -> float:
    """Return what the tubing itself holds at the threshold: no sensor at the plunger sees less."""
    area_mm2 = math.pi / 4 * (_BORE_UM / 1_000) ** 2
    return _PUSH_MN / area_mm2 * compliance_nl_per_kpa / _NL_PER_U


def rows(*, quick: bool) -> list[Result]:
    """The line closes while it delivers, at any rate, with tubing drawn from a seed."""
    dice = random.Random(7)  # noqa: S311 - tubing, not secrets
    draws = 2 if quick else 6
    results = []
    for row, what, (low, high) in (
        ("occlusion", "stiff and ordinary tubing", _ORDINARY_NL_PER_KPA),
        ("occlusion.soft", "soft tubing", _SOFT_NL_PER_KPA),
    ):
        worst, worst_compliance, slowest = Found(0.0, 0.0, 0.0), low, Found(0.0, 0.0, 0.0)
        for _ in range(draws):
            compliance = dice.randint(low, high)
            for rate_uu_per_h, bolus in [(0, "5"), *((rate, "") for rate in RATES_UU_PER_H)]:
                found = occlude(rate_uu_per_h, compliance, bolus)
                if found.missed_u > worst.missed_u:
                    worst, worst_compliance = found, compliance
                if found.seconds > slowest.seconds:
                    slowest = found
        limit_u = _physical_u(worst_compliance)
        results.append(
            Result(
                row,
                f"a blocked line, {what} ({low} to {high} nL/kPa), 5 U bolus and 0.1, 1, 5 U/h",
                f"{worst.missed_u:.2f} U missed at most",
                "1.25 U typical, up to 3 U and more (makers' manuals)",
                f"{limit_u:.2f} U (what the tubing holds at the threshold)",
                f"{worst.missed_u / limit_u:.2f}x limit",
                "<= 0.5 U at any rate; what is held back is said and recorded",
                worst.missed_u <= 0.5,
                f"in a model without air; {4 * draws} runs. The pump said {worst.said_u:.2f} U:"
                f" it knows 20 nL/kPa from its configuration. Longest: {words(slowest.seconds)}",
            )
        )
    return results


def words(seconds: float) -> str:
    """Say a duration as a person would read it in a table."""
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3_600:.2f} h" if seconds >= 7_200 else f"{seconds / 60:.1f} min"


def main() -> None:
    """Print the table for docs/performance.md."""
    argparse.ArgumentParser(prog="python -m benchmarks.occlusion", description=__doc__).parse_args()
    print("| delivery | tubing, nL/kPa | time to alarm | missed | held back, as said |")
    print("|---|---|---|---|---|")
    for rate_uu_per_h, bolus in [(0, "5"), *((rate, "") for rate in reversed(RATES_UU_PER_H))]:
        for compliance in COMPLIANCES_NL_PER_KPA:
            found = occlude(rate_uu_per_h, compliance, bolus)
            name = "5 U bolus, 1.5 U/min" if bolus else f"{rate_uu_per_h / UU_PER_U:g} U/h"
            print(
                f"| {name} | {compliance} | {words(found.seconds)} | {found.missed_u:.2f} U "
                f"| {found.said_u:.2f} U |",
                flush=True,
            )


if __name__ == "__main__":
    main()
