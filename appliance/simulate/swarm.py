"""The swarm: scenarios drawn from seeds, each with its own few kinds of trouble, until one breaks.

Swarm testing: what is left out of a draw matters as much as what is in it, since one kind of fault
can hide another. A scenario is a function of its seed alone, so one number shows it again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.adapters.clock import real_monotonic_ns
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.errors import BadConfiguration
from appliance.simulate.run import Report, run
from appliance.simulate.scenario import Scenario, of

_KINDS = ("fault", "clock_step", "crash", "power_cut", "freeze", "disk_stall", "press")
_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "step_stuck": lambda dice: {"level": dice.choice(("high", "low"))},
    "readback_miss": lambda dice: {"edges": dice.randint(1, 4)},
    "readback_miss_every": lambda dice: {"nth": dice.randint(2, 20)},
    "readback_dead": lambda _: {},
    "readback_extra": lambda dice: {"edges": dice.randint(1, 4)},
    "readback_extra_every": lambda dice: {"nth": dice.randint(1, 20)},
    "end_stop_bounce": lambda _: {"ms": 5},
    "end_stop_stuck": lambda dice: {"at": dice.choice(("on", "off"))},
    "end_stop_open": lambda _: {},
    "occlusion": lambda _: {"share": 1},
    "air": lambda _: {},
    "leak": lambda _: {},
    "stall": lambda _: {},
    "driver_fault": lambda _: {},
    "driver_hot": lambda _: {},
    "enable_feedback": lambda dice: {"says": dice.choice(("on", "off", "inverted", "open"))},
    "pins_busy": lambda dice: {"line": dice.choice(("all", "step", "enable_n", "readback"))},
    "pins_denied": lambda _: {},
    "outputs_kept": lambda _: {},
    "one_shot": lambda dice: {"stays": dice.choice(("open", "closed"))},
    "stop_button": lambda dice: {"stays": dice.choice(("pressed", "released"))},
    "buzzer_dead": lambda _: {},
    "lamp_dead": lambda _: {},
}
_BORES_UM = (4_699, 8_585, 8_660, 11_990)


@dataclass(slots=True)
class SwarmReport:
    """What a swarm came to."""

    first: int
    held: int = 0
    seed: int = 0
    virtual_days: float = 0.0
    moved_steps: int = 0
    blows: int = 0
    alarms: int = 0
    real_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    again: str = ""


def draw(seed: int) -> Scenario:
    """Return the scenario of ``seed``."""
    attempt = 0
    while True:
        dice = random.Random(f"{seed}/{attempt}")  # noqa: S311 - no secret
        try:
            return of(_drawn(dice, seed), f"seed {seed}")
        except BadConfiguration:  # a syringe too coarse for the smallest dose: drawn again
            attempt += 1


def _drawn(dice: random.Random, seed: int) -> dict[str, Any]:
    days = round(dice.uniform(0.02, 0.12), 3)
    minutes = int(days * 24 * 60)
    kinds = [kind for kind in _KINDS if dice.random() < 0.4]
    faults = [name for name in _FAULTS if dice.random() < 0.3]
    button = dice.random() < 0.8

    def at() -> str:
        ms = dice.randrange(minutes * 60_000)
        hours, left = divmod(ms, 3_600_000)
        return f"0d {hours:02d}:{left // 60_000:02d}:{left // 1_000 % 60:02d}.{left % 1_000:03d}"

    def where() -> dict[str, Any]:
        if dice.random() < 0.5:
            return {"at": at()}
        return {"at_write": dice.randint(1, 150), "when": dice.choice(("before", "after"))}

    tables: dict[str, Any] = {
        "schema_version": 1,
        "name": f"swarm {seed}",
        "days": days,
        "seed": seed,
        "mechanics": {
            "bore_um": dice.choice(_BORES_UM),
            "lead_um": dice.choice((1_000, 2_000)),
            "microsteps": dice.choice((8, 16, 32)),
            "hold": "off" if dice.random() < 0.1 else "reduced",
        },
        "machine": {
            "readback": dice.random() < 0.9,
            "stop_button": button,
            "restart_s": dice.choice((0.5, 2.0, 10.0)),
        },
        "user": {"acknowledge_after_s": dice.choice((5.0, 20.0)), "change_below_uu": 15_000_000},
        "basal": _profile(dice),
        "bolus": [
            {
                "at": at(),
                "amount_uu": dice.randrange(50_000, 4_000_001, 10_000),
                "speed": dice.choice(("slow", "normal", "fast")),
                "asks": dice.choice((1, 1, 2, 3)),
                **({"stop_after_s": dice.choice((0.5, 3.0, 20.0))} if dice.random() < 0.2 else {}),
            }
            for _ in range(dice.randint(0, 8))
        ],
    }
    if dice.random() < 0.3:
        hourly_uu = dice.randrange(1_000_000, 10_000_001, 10_000)
        tables["limits"] = {
            "hourly_uu": hourly_uu,
            "daily_uu": max(hourly_uu, dice.randrange(3_000_000, 40_000_001, 10_000)),
        }
    for kind in kinds:
        if kind == "press" and not button:
            continue
        tables[kind] = [_trouble(kind, dice, at, where, faults) for _ in range(dice.randint(1, 3))]
    tables["fault"] = [one for one in tables.get("fault", []) if one]
    return tables


def _profile(dice: random.Random) -> list[dict[str, Any]]:
    starts = sorted({0, *(dice.randrange(5, 170, 5) for _ in range(dice.randint(0, 4)))})
    rates = (0, 25_000, 400_000, 1_000_000, 3_000_000, 8_000_000)
    return [
        {"start": f"{at // 60:02d}:{at % 60:02d}", "rate_uu_per_h": dice.choice(rates)}
        for at in starts
    ]


def _trouble(
    kind: str,
    dice: random.Random,
    at: Callable[[], str],
    where: Callable[[], dict[str, Any]],
    faults: list[str],
) -> dict[str, Any]:
    who = dice.choice(("pumpd", "stepper", "guard"))
    match kind:
        case "fault":
            if not faults:
                return {}
            name = dice.choice(faults)
            span_s = dice.choice((0.05, 1.0, 6.0, 20.0))
            return {"name": name, "at": at(), "for_s": span_s, "parameters": _FAULTS[name](dice)}
        case "clock_step":
            return {"at": at(), "step_s": dice.choice((-86_400, -3_600, -1, 1, 30, 7_200, 864_000))}
        case "crash":
            return {"who": who, **where()}
        case "power_cut":
            behind = dice.random() < 0.3
            return {"off_s": dice.choice((1.0, 60.0, 4_000.0)), "guard_file_is_behind": behind} | (
                where()
            )
        case "freeze":
            return {"who": who, "at": at(), "for_s": dice.choice((0.02, 0.1, 0.5, 1.5, 3.0, 20.0))}
        case "disk_stall":
            return {"at": at(), "for_s": dice.choice((0.1, 2.0, 4.5, 8.0, 30.0))}
        case _:
            return {"at": at(), "ms": dice.choice((5, 100, 2_000))}


def swarm(
    hours: float,
    *,
    first: int = 1,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SwarmReport:
    """Run the scenarios of ``first``, ``first`` + 1 and so on, for ``hours`` or ``most`` of them.

    Stops at the first that breaks a requirement; ``again`` is then the command that shows it.
    ``progress`` hears the seed that is next and how many have held.
    """
    report = SwarmReport(first, seed=first)
    began_ns = real_monotonic_ns()
    end_ns = began_ns + int(hours * NS_PER_H)
    while (most is None or report.held < most) and real_monotonic_ns() < end_ns:
        if progress is not None:
            progress(report.seed, report.held)
        one: Report = run(draw(report.seed))
        report.virtual_days += one.days
        report.moved_steps += one.plant_steps
        report.blows += one.blows
        report.alarms += one.alarms
        if one.violations:
            report.violations = one.violations
            report.again = f"pumpctl simulate --swarm 1 --seed {report.seed} --seeds 1"
            break
        report.held += 1
        report.seed += 1
    report.real_s = (real_monotonic_ns() - began_ns) / NS_PER_S
    return report
