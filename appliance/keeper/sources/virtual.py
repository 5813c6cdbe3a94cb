"""The built-in virtual patient, under the simulated bench: it receives what the plant delivered.

Whatever the programs believe, the plant knows what really left the syringe; that volume, times the
fluid's concentration, is what the patient gets.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from appliance.client.bench import BenchClient
from appliance.client.pump import PumpClient
from appliance.domain.living import Exercise, Living, Meal
from appliance.domain.patient import PEOPLE
from appliance.domain.units import NS_PER_MIN, NS_PER_S
from appliance.errors import BadConfiguration, PumpError, SourceFault
from appliance.keeper.sources import Found, Options, Place
from appliance.ports import ClockReading

_LONGEST_NS = 24 * 60 * NS_PER_MIN


class Needle:
    """What reached a patient under the simulated bench: by what really left it, not by what a
    program believes.
    """

    def __init__(self, place: Place) -> None:
        self._bench, self._pump = place.runtime / "bench.sock", place.runtime / "pumpd.sock"
        self._mu_per_nl = place.concentration_u_per_ml / 1_000
        self._given_nl: float | None = None
        self._worn = False

    def new_mu(self) -> float:
        """Return the milliunits since it was last asked. Raises SourceFault without a bench."""
        try:
            with BenchClient(self._bench) as bench:
                given_nl = bench.status().volume_nl
            with PumpClient(self._pump, client="pump-keeper") as pump:
                worn = pump.status().state == "running"
        except PumpError as error:
            raise SourceFault(f"no simulated bench to take insulin from: {error}") from error
        before_nl = given_nl if self._given_nl is None else self._given_nl
        # A set is changed and primed while the pump stands: that goes into the waste.
        new_nl = max(0.0, given_nl - before_nl) if worn or self._worn else 0.0
        self._given_nl, self._worn = given_nl, worn
        return new_nl * self._mu_per_nl


def minute_of(one: Mapping[str, Any], name: str) -> int:
    """Read a local time of day such as "07:30". Raises ValueError."""
    text = one.get(name)
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) == 2 and all(part.isdigit() for part in parts):
        hour, minute = int(parts[0]), int(parts[1])
        if hour < 24 and minute < 60:
            return hour * 60 + minute
    raise ValueError(f'{name} = {text!r} is not a local time of day such as "07:30"')


def number_of(one: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """Read a number of a table within its range. Raises ValueError."""
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
        dice = random.Random(seed)  # noqa: S311 - a sensor's noise, to be had again
        meals, exercise = taken.many("meals"), taken.many("exercise")
        taken.end()
        try:
            self._life = Living(
                PEOPLE[person],
                start,
                meals=[Meal(minute_of(m, "at"), number_of(m, "carbs_g", 1, 300)) for m in meals],
                exercise=[
                    Exercise(
                        minute_of(one, "at"),
                        number_of(one, "minutes", 1, 600),
                        number_of(one, "beats_over_rest", 1, 120),
                    )
                    for one in exercise
                ],
                noise=noise,
                shock=partial(dice.gauss, 0.0, 1.0),
                share=dice.random,
                start_ns=place.clock.read().mono_ns,
            )
        except ValueError as error:
            raise BadConfiguration(f"source {place.name}", [str(error)]) from error
        self._clock = place.clock
        self._needle = Needle(place)
        self._mark = self._clock.read().utc_ns // NS_PER_S
        self._number = 0
        self._held: deque[tuple[int, Found]] = deque()

    def poll(self) -> Sequence[Found]:
        new_mu = self._needle.new_mu()
        reading = self._clock.read()
        self._live_to(reading, new_mu)
        told = []
        while self._held and self._held[0][0] <= reading.mono_ns:
            told.append(self._held.popleft()[1])
        return told

    def _live_to(self, reading: ClockReading, new_mu: float) -> None:
        """Let time go by; what the plant gave since is spread over it."""
        now_ns, ahead_ns = reading.mono_ns, reading.utc_ns - reading.mono_ns
        # Where this program stood still for days, the patient did so too.
        self._life.lived_ns = max(self._life.lived_ns, now_ns - _LONGEST_NS)
        span_ns = now_ns - self._life.lived_ns
        rate = new_mu / (span_ns / NS_PER_MIN) if span_ns > 0 else 0.0
        told, _ = self._life.live_to(now_ns, rate, ahead_ns + reading.offset_s * NS_PER_S)
        for one in told:
            found = Found(f"{self._mark}-{self._number}", one.mg_dl, one.at_ns + ahead_ns)
            self._number += 1
            self._held.append((one.at_ns + self._delay_ns, found))

    def pause_s(self) -> float:
        return 10.0 / self._clock.speed
