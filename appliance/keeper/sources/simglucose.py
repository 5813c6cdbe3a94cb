"""A patient of simglucose under the simulated bench (``pip install 'benchpump[simglucose]'``).

Its thirty patients are those of the UVA/Padova simulator of 2008; ours is the source ``patient``.
It is for a computer, not for a Pi: it brings numpy, scipy and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simglucose.patient.t1dpatient import Action, T1DPatient
from simglucose.sensor.cgm import CGMSensor

from appliance.domain.living import Meal
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.errors import BadConfiguration
from appliance.keeper.sources import Found, Options, Place, checked
from appliance.keeper.sources.virtual import Needle, minute_of, number_of

PEOPLE = tuple(
    f"{kind}#{number:03d}" for kind in ("adolescent", "adult", "child") for number in range(1, 11)
)
_LONGEST_NS = 6 * 60 * NS_PER_MIN  # a day of it takes ten seconds of a core
_EVERY_MIN = 5


class SimGlucose:
    """The source of the kind ``simglucose``.

    Options: ``person`` (such as "adult#001"), ``seed`` and ``meals`` (``at``, ``carbs_g``). Its
    sensor reads every three minutes; every five the newest value is told.
    """

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        person = taken.one_of("person", "adult#001", PEOPLE)
        seed, meals = taken.whole("seed", 1, 0, 2**31), taken.many("meals")
        taken.end()
        try:
            self._meals = [
                Meal(minute_of(one, "at"), number_of(one, "carbs_g", 1, 300)) for one in meals
            ]
        except ValueError as error:
            raise BadConfiguration(f"source {place.name}", [str(error)]) from error
        self._patient = T1DPatient.withName(person)
        self._sensor = CGMSensor.withName("Dexcom", seed=seed)
        self._needle = Needle(place)
        self._clock = place.clock
        reading = self._clock.read()
        self._lived_ns = reading.mono_ns
        self._mark = reading.utc_ns // NS_PER_S
        self._minutes = 0
        self._waiting_mu = 0.0

    def poll(self) -> Sequence[Found]:
        self._waiting_mu += self._needle.new_mu()
        reading = self._clock.read()
        # Where this program stood still for long, the patient did so too.
        self._lived_ns = max(self._lived_ns, reading.mono_ns - _LONGEST_NS)
        minutes = (reading.mono_ns - self._lived_ns) // NS_PER_MIN
        if minutes == 0:
            return []
        u_per_min = self._waiting_mu / 1_000 / minutes
        self._waiting_mu = 0.0
        ahead_ns = reading.utc_ns - reading.mono_ns
        told = []
        for _ in range(minutes):
            local_ns = self._lived_ns + ahead_ns + reading.offset_s * NS_PER_S
            minute = local_ns // NS_PER_MIN % MIN_PER_DAY
            carbs_g = sum(meal.carbs_g for meal in self._meals if meal.at_min == minute)
            self._patient.step(Action(CHO=carbs_g, insulin=u_per_min))
            self._lived_ns += NS_PER_MIN
            self._minutes += 1
            value = round(float(self._sensor.measure(self._patient)))
            if self._minutes % _EVERY_MIN == 0 and value:
                id_ = f"{self._mark}-{self._minutes}"
                at_ns = self._lived_ns + ahead_ns
                told.append(checked(id_, min(400, max(40, value)), at_ns, "simglucose"))
        return told

    def pause_s(self) -> float:
        return 10.0 / self._clock.speed
