"""The built-in virtual patient, under the simulated bench: it receives what the plant delivered.

Whatever the programs believe, the plant knows what really left the syringe; that volume, times the
fluid's concentration, is what the patient gets.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.client.bench import BenchClient
from appliance.client.pump import PumpClient
from appliance.domain.glucose import EVERY_NS
from appliance.domain.patient import PEOPLE, Patient, Sensor
from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S
from appliance.errors import BadConfiguration, PumpError, SourceFault
from appliance.keeper.sources import Found, Options, Place

_LONGEST_MIN = 24 * 60


class Meals:
    """What is eaten and how one moves, each day at its local minute."""

    def __init__(
        self, meals: Sequence[Mapping[str, Any]], exercise: Sequence[Mapping[str, Any]]
    ) -> None:
        self.meals = [(_minute(one, "at"), _number(one, "carbs_g", 1, 300)) for one in meals]
        self.exercise = [
            (
                _minute(one, "at"),
                _number(one, "minutes", 1, 600),
                _number(one, "beats_over_rest", 1, 120),
            )
            for one in exercise
        ]

    def eaten(self, minute: int) -> float:
        """Return the grams of carbohydrate that are eaten in a minute of the day."""
        return sum(carbs for at, carbs in self.meals if at == minute)

    def beats(self, minute: int) -> float:
        """Return how far over rest the heart beats in a minute of the day."""
        return max(
            (b for at, lasts, b in self.exercise if (minute - at) % MIN_PER_DAY < lasts),
            default=0.0,
        )


def _minute(one: Mapping[str, Any], name: str) -> int:
    text = one.get(name)
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        hour, minute = int(parts[0]), int(parts[1])
        if hour < 24 and minute < 60:
            return hour * 60 + minute
    raise ValueError(f'{name} = {text!r} is not a local time of day such as "07:30"')


def _number(one: Mapping[str, Any], name: str, low: float, high: float) -> float:
    value = one.get(name)
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r} is out of range: {low} to {high}")
    return float(value)


class VirtualPatient:
    """The source of the kind ``patient``.

    Options: ``person`` (adult, child, teenager, resistant), ``start_mg_dl``, ``noise`` (0 to 2),
    ``delay_min`` (until a reading is told), ``seed``, ``meals`` (``at``, ``carbs_g``) and
    ``exercise`` (``at``, ``minutes``, ``beats_over_rest``).
    """

    def __init__(self, options: Mapping[str, Any], place: Place) -> None:
        taken = Options(options, place)
        person = taken.one_of("person", "adult", sorted(PEOPLE))
        start = taken.number("start_mg_dl", 110, 60, 250)
        self._delay_ns = taken.whole("delay_min", 0, 0, 30) * NS_PER_MIN
        noise, seed = taken.number("noise", 1, 0, 2), taken.whole("seed", 1, 0, 2**31)
        meals, exercise = taken.many("meals"), taken.many("exercise")
        taken.end()
        try:
            self._day = Meals(meals, exercise)
            self._patient = Patient(PEOPLE[person], start)
        except ValueError as error:
            raise BadConfiguration(f"source {place.name}", [str(error)]) from error
        self._sensor = Sensor(noise)
        self._dice = random.Random(seed)  # noqa: S311 - a sensor's noise, to be had again
        self._clock = place.clock
        self._bench, self._pump = place.runtime / "bench.sock", place.runtime / "pumpd.sock"
        self._mu_per_nl = place.concentration_u_per_ml / 1_000
        reading = self._clock.read()
        self._mark = reading.utc_ns // NS_PER_S
        self._lived_ns = reading.mono_ns
        self._read_ns = reading.mono_ns
        self._number = 0
        self._given_nl: float | None = None
        self._worn = False
        self._held: deque[tuple[int, Found]] = deque()

    def poll(self) -> Sequence[Found]:
        try:
            with BenchClient(self._bench) as bench:
                given_nl = bench.status().volume_nl
            with PumpClient(self._pump, client="pump-keeper") as pump:
                worn = pump.status().state == "running"
        except PumpError as error:
            raise SourceFault(f"no simulated bench to take insulin from: {error}") from error
        reading = self._clock.read()
        before_nl = given_nl if self._given_nl is None else self._given_nl
        # A set is changed and primed while the pump stands: that goes into the waste.
        new_nl = max(0.0, given_nl - before_nl) if worn or self._worn else 0.0
        self._given_nl, self._worn = given_nl, worn
        self._live_to(reading.mono_ns, new_nl, reading.utc_ns - reading.mono_ns, reading.offset_s)
        told = []
        while self._held and self._held[0][0] <= reading.mono_ns:
            told.append(self._held.popleft()[1])
        return told

    def _live_to(self, now_ns: int, new_nl: float, ahead_ns: int, offset_s: int) -> None:
        """Let time go by, minute by minute; what the plant gave since is spread over it."""
        span = (now_ns - self._lived_ns) / NS_PER_MIN
        if span > _LONGEST_MIN:  # this program stood still: the patient did not
            self._lived_ns, span = now_ns - _LONGEST_MIN * NS_PER_MIN, _LONGEST_MIN
        rate = new_nl * self._mu_per_nl / span if span > 0 else 0.0
        while self._lived_ns < now_ns:
            step_ns = min(
                NS_PER_MIN, now_ns - self._lived_ns, self._read_ns + EVERY_NS - self._lived_ns
            )
            local_ns = self._lived_ns + ahead_ns + offset_s * NS_PER_S
            before, after = local_ns // NS_PER_MIN, (local_ns + step_ns) // NS_PER_MIN
            if after > before:
                minute = after % MIN_PER_DAY
                if carbs := self._day.eaten(minute):
                    self._patient.eat(carbs)
                self._patient.move(self._day.beats(minute))
            self._patient.live(step_ns / NS_PER_MIN, rate)
            self._lived_ns += step_ns
            if self._lived_ns - self._read_ns >= EVERY_NS:
                self._read_ns = self._lived_ns
                value = self._sensor.read(
                    self._patient.interstitial_mg_dl, self._dice.gauss(0.0, 1.0)
                )
                found = Found(f"{self._mark}-{self._number}", value, self._lived_ns + ahead_ns)
                self._number += 1
                self._held.append((self._lived_ns + self._delay_ns, found))

    def pause_s(self) -> float:
        return 10.0 / self._clock.speed
