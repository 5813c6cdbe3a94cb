"""A patient in the loop of virtual time: the plant's insulin in, the sensor's readings to the pump.

Beside it may stand a controller of the user's own, an outside algorithm that asks for temporary
basals as any client does, and the same patient on injections, with the same meals and chances.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from appliance.domain.glucose import EVERY_NS
from appliance.domain.living import Eaten, Exercise, Living, Meal, Told
from appliance.domain.patient import PEOPLE
from appliance.domain.statistics import Sample, statistics_of
from appliance.domain.units import NS_PER_MIN, NS_PER_S, UU_PER_U
from appliance.engine import messages as m
from appliance.errors import BadConfiguration
from appliance.simulate.scenario import BolusTable, InjectionsTable, PatientTable
from appliance.simulate.world import World

_GRID_UU = 50_000
_DOSE_GRID_UU = 10_000
_CORRECT_AFTER_NS = 180 * NS_PER_MIN
_PEN_UU = 500_000
_MINUTES_PER_DAY = 1_440

_MEAL = BolusTable.model_validate({"at": "0d 00:00", "amount_uu": _GRID_UU})

Decide = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


def controller(path: Path) -> Decide:
    """Load ``decide`` from a user's Python file. Raises BadConfiguration where it has none."""
    source = str(path)
    spec = importlib.util.spec_from_file_location("benchpump_controller", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BadConfiguration(source, ["is no Python file"])
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise BadConfiguration(source, [f"cannot be loaded: {error}"]) from error
    decide = getattr(module, "decide", None)
    if not callable(decide):
        raise BadConfiguration(source, ["has no function decide(seen)"])
    found: Decide = decide
    return found


@dataclass(slots=True)
class Course:
    """What one way of treating the patient came to; shares of minutes by plasma glucose."""

    in_range: float = 0.0
    under_70: float = 0.0
    statistics: dict[str, Any] = field(default_factory=dict)
    insulin_u: float = 0.0
    asked: int = 0
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Portion:
    """What a person doses for a meal: all of it, what of it corrects, and the food they count."""

    amount_uu: int
    correction_uu: int
    carbs_g: int


def portion_for(
    table: PatientTable, carbs_g: float, mg_dl: int | None, grid_uu: int, *, correct: bool
) -> Portion:
    """Return what a person doses for a meal: food, and a correction where none was given lately.

    The whole is rounded down to ``grid_uu``, the correction to the pump's grid.
    """
    announced_mg = int(carbs_g * 1_000) * table.announced_percent // 100
    amount_uu = announced_mg * UU_PER_U // table.carb_ratio_mg_per_u
    correction_uu = 0
    if correct and mg_dl is not None and mg_dl > table.target_mg_dl:
        over = mg_dl - table.target_mg_dl
        correction_uu = over * UU_PER_U // table.sensitivity_mg_dl_per_u
        amount_uu += correction_uu
    amount_uu -= amount_uu % grid_uu
    correction_uu = min(amount_uu, correction_uu - correction_uu % _DOSE_GRID_UU)
    return Portion(amount_uu, correction_uu, announced_mg // 1_000)


class Therapy:
    """Turns with the world every five minutes."""

    def __init__(
        self,
        world: World,
        table: PatientTable,
        injections: InjectionsTable | None,
        *,
        seed: int,
        zone_ahead_ns: int,
        decide: Decide | None,
        silent_from_ns: int | None,
        bolus: Callable[[BolusTable, int, int, int, Mapping[str, int]], None],
    ) -> None:
        """``bolus`` has the scripted user give one: its table, amount, seconds and number, and what
        it is for.
        """
        self._world = world
        self._table = table
        self._ahead_ns = zone_ahead_ns
        self._decide = decide
        self._silent_from_ns = silent_from_ns
        self._bolus = bolus
        self._given_nl = 0.0
        self._mu_per_nl = world.concentration_u_per_ml / 1_000
        self._number = 1_000_000
        self._corrected_ns = -_CORRECT_AFTER_NS
        self._last: Told | None = None
        self._refused: list[str] = []
        self._life = living_of(table, seed)
        self.pump = Course()
        self._told: list[Told] = []
        self._pen = None if injections is None else _Pen(table, injections, seed, zone_ahead_ns)

    def begin(self) -> None:
        """Set the pump up for glucose, and begin."""
        settings: dict[str, Any] = {"protection": self._table.protection}
        settings |= {"predicted_min": 0, "fast_mg_dl_per_min": 0}
        self._world.request("glucose.set", lambda _answer: None, **settings)
        self._given_nl = self._world.out_nl()
        self._world.after(EVERY_NS, self._turn)

    def _turn(self) -> None:
        world = self._world
        out_nl = world.out_nl()
        new_mu = max(0.0, out_nl - self._given_nl) * self._mu_per_nl
        self._given_nl = out_nl
        until_ns = world.since_ns
        minutes = (until_ns - self._life.lived_ns) / NS_PER_MIN
        told, eaten = self._life.live_to(until_ns, new_mu / minutes, self._ahead_ns)
        self.pump.insulin_u += new_mu / 1_000
        for meal in eaten:
            self._dose(meal)
        for one in told:
            self._report(one)
        if self._pen is not None:
            self._pen.live_to(until_ns)
        world.after(EVERY_NS, self._turn)

    def _dose(self, meal: Eaten) -> None:
        now = None if self._last is None else self._last.mg_dl
        due = meal.at_ns - self._corrected_ns >= _CORRECT_AFTER_NS
        portion = portion_for(self._table, meal.carbs_g, now, _GRID_UU, correct=due)
        if portion.amount_uu < _GRID_UU:
            return
        self._corrected_ns = meal.at_ns
        self._number += 1
        purpose = {"correction_uu": portion.correction_uu, "carbs_g": portion.carbs_g}
        self._bolus(_MEAL, portion.amount_uu, 0, self._number, purpose)

    def _report(self, one: Told) -> None:
        self._last = one
        self._told.append(one)
        age_s = (self._world.since_ns - one.at_ns) // NS_PER_S
        reading = {"id": str(one.at_ns), "mg_dl": one.mg_dl, "age_s": age_s}
        self._world.request("glucose.report", self._reported, source="patient", readings=[reading])

    def _reported(self, _answer: m.Answer) -> None:
        silent = self._silent_from_ns is not None and self._world.since_ns >= self._silent_from_ns
        if self._decide is not None and not silent:
            self._world.request("status", self._seen)

    def _seen(self, answer: m.Answer) -> None:
        """Have the controller decide by what any client sees, and ask for what it wants."""
        if not isinstance(answer, m.Done) or self._decide is None:
            return
        table = self._table
        settings = {
            "target_mg_dl": table.target_mg_dl,
            "sensitivity_mg_dl_per_u": table.sensitivity_mg_dl_per_u,
            "carb_ratio_mg_per_u": table.carb_ratio_mg_per_u,
        }
        seen = {**answer.result, "settings": settings, "refused": self._refused}
        self._refused = []
        wanted = self._decide(seen)
        if wanted is None:
            return
        self.pump.asked += 1
        self._world.request(
            "temp.start",
            self._answered,
            kind="rate",
            value=int(wanted["rate_uu_per_h"]),
            duration_s=int(wanted["lease_s"]),
        )

    def _answered(self, answer: m.Answer) -> None:
        if isinstance(answer, m.Refused):
            self._refused = [one.text for one in answer.reasons]
            self.pump.refused += self._refused

    def results(self) -> dict[str, Course]:
        """Return how each way went, by its name."""
        _close(self.pump, self._life, self._told, self._ahead_ns)
        found = {"pump": self.pump}
        if self._pen is not None:
            found["injections"] = self._pen.result()
        return found


class _Pen:
    """The same patient on injections: long-acting once a day, meal doses by a pen of 0.5 U.

    Long-acting insulin acts flat over its 24 h, as the published curves of glargine nearly do.
    """

    def __init__(
        self, table: PatientTable, injections: InjectionsTable, seed: int, ahead_ns: int
    ) -> None:
        self._table = table
        self._life = living_of(table, seed)
        self._ahead_ns = ahead_ns
        self._rate_mu_per_min = injections.long_acting_uu / 1_000 / _MINUTES_PER_DAY
        self._corrected_ns = -_CORRECT_AFTER_NS
        self._told: list[Told] = []
        self._course = Course()

    def live_to(self, until_ns: int) -> None:
        minutes = (until_ns - self._life.lived_ns) / NS_PER_MIN
        told, eaten = self._life.live_to(until_ns, self._rate_mu_per_min, self._ahead_ns)
        self._course.insulin_u += self._rate_mu_per_min * minutes / 1_000
        for meal in eaten:
            now = self._told[-1].mg_dl if self._told else None
            due = meal.at_ns - self._corrected_ns >= _CORRECT_AFTER_NS
            amount_uu = portion_for(self._table, meal.carbs_g, now, _PEN_UU, correct=due).amount_uu
            if amount_uu:
                self._corrected_ns = meal.at_ns
                self._life.patient.infuse(amount_uu / 1_000)
                self._course.insulin_u += amount_uu / UU_PER_U
        self._told += told

    def result(self) -> Course:
        _close(self._course, self._life, self._told, self._ahead_ns)
        return self._course


def living_of(table: PatientTable, seed: int) -> Living:
    """Return a patient's life from local midnight on; the same seed gives the same meals and errors
    of the sensor, whatever insulin there is.
    """
    chances = random.Random(seed)  # noqa: S311 - a life that can be lived again
    meals = random.Random(seed + 1)  # noqa: S311
    return Living(
        PEOPLE[table.person],
        table.start_mg_dl,
        meals=[Meal(one.daily, one.carbs_g, one.up_to_g or 0.0) for one in table.meal],
        exercise=[Exercise(one.daily, one.minutes, one.beats_over_rest) for one in table.exercise],
        noise=table.noise,
        shock=partial(chances.gauss, 0.0, 1.0),
        share=meals.random,
        start_ns=0,
    )


def _close(course: Course, life: Living, told: list[Told], ahead_ns: int) -> None:
    if not life.minutes:
        return
    course.in_range = 100 * life.minutes_in_range / life.minutes
    course.under_70 = 100 * life.minutes_under_70 / life.minutes
    samples = [Sample(one.at_ns + ahead_ns, one.mg_dl) for one in told]
    until_ns = life.lived_ns + ahead_ns + 1
    course.statistics = statistics_of(samples, ahead_ns, until_ns).body()
