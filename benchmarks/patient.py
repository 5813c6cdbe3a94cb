"""The virtual patient: days of one person in an hour of one core, beside simglucose in one run.

simglucose is no part of the project: it brings 35 packages. Give it a virtual environment of its
own, and name its Python in BENCHPUMP_SIMGLUCOSE:

    python3 -m venv /tmp/simglucose && /tmp/simglucose/bin/pip install simglucose 'setuptools<81'
    BENCHPUMP_SIMGLUCOSE=/tmp/simglucose/bin/python python -m benchmarks patient
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from functools import partial
from pathlib import Path

from appliance.domain.glucose import EVERY_NS
from appliance.domain.living import Exercise, Living, Meal
from appliance.domain.patient import PEOPLE
from benchmarks.report import Result

GOAL_DAYS_PER_H = 20_000
_DAY_NS = 86_400 * 10**9
_ROUNDS = 3
_THEIRS = Path(__file__).parent / "simglucose_day.py"


def _day(seed: int) -> float:
    """Live one day with three meals, exercise and a sensor; return the seconds of this core."""
    chances, meals = random.Random(seed), random.Random(seed + 1)  # noqa: S311
    person = PEOPLE["adult"]
    life = Living(
        person,
        130.0,
        meals=[Meal(450, 35, 55), Meal(750, 50, 75), Meal(1_140, 55, 85)],
        exercise=[Exercise(1_020, 40, 20)],
        shock=partial(chances.gauss, 0.0, 1.0),
        share=meals.random,
        start_ns=0,
    )
    basal_mu_per_min = person.basal_mu_per_min()
    begun_s, read = time.process_time(), 0
    for at_ns in range(EVERY_NS, _DAY_NS + 1, EVERY_NS):
        told, eaten = life.live_to(at_ns, basal_mu_per_min, 0)
        read += len(told)
        for meal in eaten:
            life.patient.infuse(meal.carbs_g * 50)
    assert read == _DAY_NS // EVERY_NS
    return time.process_time() - begun_s


def _theirs(python: str) -> float | str:
    """Return the seconds of a core that a day of simglucose's adult takes, or why there is none."""
    done = subprocess.run([python, str(_THEIRS)], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"simglucose did not run: {done.stderr.strip()[-160:]}"
    return float(done.stdout.split()[-1])


def days(*, quick: bool) -> list[Result]:
    """Days of one patient in an hour of one core, by turns with simglucose where it is."""
    python = os.environ.get("BENCHPUMP_SIMGLUCOSE", "")
    ours_s: list[float] = []
    theirs_s: list[float] = []
    why = "NOT RUN beside it: BENCHPUMP_SIMGLUCOSE names no Python"
    for turn in range(1 if quick else _ROUNDS):
        ours_s += [_day(seed) for seed in range(10 * turn, 10 * turn + 10)]
        if python:
            found = _theirs(python)
            if isinstance(found, str):
                why, python = found, ""
            else:
                theirs_s.append(found)
    per_h = 3_600 * len(ours_s) / sum(ours_s)
    baseline, ratio = "", ""
    if theirs_s:
        theirs_per_h = 3_600 * len(theirs_s) / sum(theirs_s)
        baseline = f"{theirs_per_h:,.0f} days (simglucose)"
        ratio = f"{per_h / theirs_per_h:,.0f}x baseline"
        why = f"{len(theirs_s)} days of simglucose's adult#001, in turns with ours"
    return [
        Result(
            "patient",
            "days of one virtual patient, with meals, exercise and sensor, in an hour of one core",
            f"{per_h:,.0f} days",
            baseline,
            "",
            ratio,
            f">= {GOAL_DAYS_PER_H:,}",
            per_h >= GOAL_DAYS_PER_H,
            f"{len(ours_s)} days, processor time; {why}",
        )
    ]
