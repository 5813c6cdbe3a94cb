#!/usr/bin/env python3
"""Hours of normal operation in virtual time, and the alarms in them: nothing is wrong.

    tools/false_alarms.py [HOURS] [SEED]

The plant has a noisy force sensor whose zero drifts, a board that warms and cools, a battery that
is used and charged, and a line with its own resistance; the pump gives low and high basal,
temporary basal, boluses of every speed, extended ones, and is suspended now and then. Every alarm
that is raised is a false one (SR-56).
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

from appliance.domain.battery import Battery
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.simulate.bench import Refusal, VirtualBench

_PACE = 40
_DAY = ((0, 100_000), (360, 1_200_000), (600, 25_000), (960, 800_000), (1_320, 50_000))


@dataclass(frozen=True, slots=True)
class Quiet:
    """What some hours came to."""

    hours: float
    readings: int
    boluses: int
    steps: int
    least_mn: int
    most_mn: int
    alarms: tuple[str, ...]


def quiet_hours(hours: float, seed: int) -> Quiet:
    """Let a pump work for ``hours`` with nothing wrong; return what it saw and what it raised."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    bench = VirtualBench(pace=_PACE, sensors_ms=50 * _PACE, battery=Battery(10_000, 5_000))
    try:
        points = [{"start_min_of_day": at, "rate_uu_per_h": rate} for at, rate in _DAY]
        bench.ask("basal.import", name="Low", segments=points, replace=False, confirm=True)
        bench.ask("basal.use", name="Low")
        end_ns, boluses, forces = bench.now_ns + int(hours * NS_PER_H), 0, [1_000]
        while bench.now_ns < end_ns:
            bench.run(min(dice.choice((600, 1_800, 5_400)), (end_ns - bench.now_ns) / NS_PER_S))
            _weather(bench, dice)
            boluses += _ask(bench, dice)
            forces.append(int(bench.snapshot()["force_mn"]))
            if bench.state == "suspended":
                bench.run(dice.choice((60, 600)))
                bench.ask("resume")
        alarms = [one.entry.body for one in bench.rows("alarm")]
        return Quiet(
            hours,
            int(hours * 3_600 * 1_000 // (50 * _PACE)),
            boluses,
            bench.truth_steps,
            min(forces),
            max(forces),
            tuple(f"{one['code']} {one['text']}" for one in alarms if one["event"] == "raised"),
        )
    finally:
        bench.close()


def _weather(bench: VirtualBench, dice: random.Random) -> None:
    """Have the board warm or cool, the zero of the force sensor drift with it, and the battery be
    used and charged.
    """
    charge_pct = bench.plant.status(bench.plant_ns)["battery_pct"] + dice.randint(-7, 7)
    bench.plant.set({"battery_pct": min(100, max(40, charge_pct))}, bench.plant_ns)
    bench.plant.set({"board_c": dice.randint(5, 60)}, bench.plant_ns)
    bench.plant.clear("force_drift", bench.plant_ns)
    bench.plant.inject("force_drift", {"mn_per_min": dice.randint(-5, 5)}, bench.plant_ns)


def _ask(bench: VirtualBench, dice: random.Random) -> int:
    """Ask for something that a person may ask for; return how many boluses have begun."""
    try:
        match dice.randrange(8):
            case 0 | 1:
                amount = f"{dice.randint(5, 800) / 100:.2f}"
                bench.start_bolus(amount, speed=dice.choice(("slow", "normal", "fast")))
                return 1
            case 2:
                bench.start_bolus("2.00", extend="1.50", over_s=dice.choice((900, 7_200)))
                return 1
            case 3:
                value = dice.choice((0, 20, 180))
                bench.ask("temp.start", kind="percent", value=value, duration_s=1_800)
            case 4:
                bench.ask("suspend")
            case _:
                pass
    except Refusal:  # too soon, or one runs: an answer and no alarm
        pass
    return 0


def main() -> int:
    """Print what the hours came to; 1 where an alarm was raised."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 72.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    found = quiet_hours(hours, seed)
    print(
        f"{found.hours:g} h, {found.readings} readings of {found.least_mn} to {found.most_mn} mN, "
        f"{found.boluses} boluses, {found.steps} steps: {len(found.alarms)} alarms"
    )
    for text in found.alarms:
        print(f"  {text}")
    return 1 if found.alarms else 0


if __name__ == "__main__":
    sys.exit(main())
