"""How a virtual patient lives through its days: meals, exercise, and a sensor every five minutes.

The same for every way in which insulin comes: from the plant of a bench, in real or virtual time,
or from a pen. Chance comes in from outside, so that a life can be lived again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.domain.glucose import EVERY_NS
from appliance.domain.patient import Patient, Person, Sensor
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Meal:
    """What is eaten each day at a local minute; between two amounts where they differ."""

    at_min: int
    carbs_g: float
    up_to_g: float = 0.0

    def drawn_g(self, share: float) -> float:
        """Return what is eaten on a day whose chance is ``share``, 0 to 1."""
        return self.carbs_g + share * max(0.0, self.up_to_g - self.carbs_g)


@dataclass(frozen=True, slots=True)
class Exercise:
    """How one moves each day from a local minute on."""

    at_min: int
    minutes: float
    beats_over_rest: float

    def goes_on(self, min_of_day: int) -> bool:
        """Say whether a minute of the day lies in it; it may go on over midnight."""
        return (min_of_day - self.at_min) % MIN_PER_DAY < self.minutes


@dataclass(frozen=True, slots=True)
class Told:
    """One reading of the sensor, at an instant of the clock that the life runs on."""

    at_ns: int
    mg_dl: int


@dataclass(frozen=True, slots=True)
class Eaten:
    """One meal that was eaten."""

    at_ns: int
    carbs_g: float


class Living:
    """One patient's life from an instant on."""

    def __init__(
        self,
        person: Person,
        start_mg_dl: float,
        *,
        meals: Sequence[Meal] = (),
        exercise: Sequence[Exercise] = (),
        noise: float = 1.0,
        shock: Callable[[], float],
        share: Callable[[], float],
        start_ns: int,
    ) -> None:
        """``shock`` draws a normal number for each reading, ``share`` one of 0 to 1 for each meal.

        Raises ValueError where no basal holds that glucose.
        """
        self.patient = Patient(person, start_mg_dl)
        self._meals = meals
        self._exercise = exercise
        self._sensor = Sensor(noise)
        self._shock, self._share = shock, share
        self.lived_ns = self._read_ns = start_ns
        self.minutes_under_70 = 0.0
        self.minutes_in_range = 0.0
        self.minutes = 0.0

    def live_to(
        self, until_ns: int, insulin_mu_per_min: float, local_ahead_ns: int
    ) -> tuple[list[Told], list[Eaten]]:
        """Let time go by with insulin at a constant rate; return what the sensor said, and what was
        eaten. ``local_ahead_ns`` takes the clock's instants to local time.
        """
        told: list[Told] = []
        eaten: list[Eaten] = []
        while self.lived_ns < until_ns:
            local_ns = self.lived_ns + local_ahead_ns
            to_minute_ns = NS_PER_MIN - local_ns % NS_PER_MIN
            due_ns = self._read_ns + EVERY_NS - self.lived_ns
            step_ns = min(to_minute_ns, until_ns - self.lived_ns, due_ns)
            if local_ns % NS_PER_MIN == 0:
                eaten += self._begin_minute(local_ns // NS_PER_MIN % MIN_PER_DAY)
            self._live(step_ns / NS_PER_MIN, insulin_mu_per_min)
            self.lived_ns += step_ns
            if self.lived_ns - self._read_ns >= EVERY_NS:
                self._read_ns = self.lived_ns
                value = self._sensor.read(self.patient.interstitial_mg_dl, self._shock())
                told.append(Told(self.lived_ns, value))
        return told, eaten

    def _begin_minute(self, min_of_day: int) -> list[Eaten]:
        beats = [one.beats_over_rest for one in self._exercise if one.goes_on(min_of_day)]
        self.patient.move(max(beats, default=0.0))
        eaten = []
        for meal in self._meals:
            if meal.at_min == min_of_day:
                carbs_g = meal.drawn_g(self._share())
                self.patient.eat(carbs_g)
                eaten.append(Eaten(self.lived_ns, carbs_g))
        return eaten

    def _live(self, minutes: float, insulin_mu_per_min: float) -> None:
        self.patient.live(minutes, insulin_mu_per_min)
        glucose = self.patient.glucose_mg_dl
        self.minutes += minutes
        self.minutes_under_70 += minutes if glucose < 70 else 0.0
        self.minutes_in_range += minutes if 70 <= glucose <= 180 else 0.0
