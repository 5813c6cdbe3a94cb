"""A virtual patient: glucose from insulin, food and exercise. A model, so floats; not a person.

The compartments, their rates and their sizes are Hovorka's (R. Hovorka and others, *Nonlinear model
predictive control of glucose concentration in subjects with type 1 diabetes*, Physiological
Measurement 25, 2004): two of insulin under the skin, one in plasma, three actions, two of glucose,
two of food in the gut. Exercise takes up glucose in step with the heart's rate (M. Breton,
*Physical activity: the major unaccounted impediment to closed loop control*, 2008). The sensor
follows interstitial glucose, which lags behind, with an error that goes on for a while (M. Breton
and B. Kovatchev, *Analysis, modeling, and simulation of the accuracy of continuous glucose
sensors*, 2008).

Insulin in is milliunits a minute, food grams, time minutes, glucose out mg/dL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sinh

STEP_MIN = 1.0
"""The step of the integration (Runge and Kutta's fourth order)."""
MG_DL_PER_MMOL_L = 18.018

_CARBS_BIO = 0.8  # the share of food that arrives
_MMOL_PER_G = 1_000 / 180.16
_K12, _KA1, _KA2, _KA3 = 0.066, 0.006, 0.06, 0.03  # a minute
_KE = 0.138  # a minute
_VI, _VG = 0.12, 0.16  # L/kg
_RENAL_FROM, _RENAL = 9.0, 0.003  # mmol/L; a minute
_BRAIN_FROM = 4.5  # mmol/L: below it what needs no insulin falls
_EXERCISE_MIN = 5.0
_EXERCISE_UPTAKE = 3.39e-4  # a minute and beat
_LOWEST = 0.05  # mmol of glucose a kilogram: no compartment is ever empty

State = tuple[float, float, float, float, float, float, float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Person:
    """The constants of one patient; the defaults are Hovorka's means for an adult of 75 kg."""

    weight_kg: float = 75.0
    sensitivity_transport: float = 51.2e-4
    sensitivity_disposal: float = 8.2e-4
    sensitivity_output: float = 520e-4
    liver: float = 0.0161
    brain: float = 0.0097
    food_min: float = 40.0
    insulin_min: float = 55.0
    interstitium_min: float = 10.0

    def basal_mu_per_min(self, glucose_mg_dl: float = 110.0) -> float:
        """Return the insulin that holds a fasting glucose, in milliunits a minute.

        Raises ValueError where no insulin holds it: the liver gives too little.
        """
        plasma = self._plasma(glucose_mg_dl / MG_DL_PER_MMOL_L)
        return plasma * _KE * _VI * self.weight_kg

    def _plasma(self, glucose: float) -> float:
        if self._balance(0.0, glucose) <= 0:
            raise ValueError(f"no insulin holds {glucose:.1f} mmol/L: the liver gives too little")
        low, high = 0.0, 200.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._balance(middle, glucose) > 0 else (low, middle)
        return low

    def _balance(self, plasma: float, glucose: float) -> float:
        """Return what glucose gains in a minute, fasting and at rest."""
        x1, x2 = self.sensitivity_transport * plasma, self.sensitivity_disposal * plasma
        q1 = _VG * glucose
        q2 = x1 * q1 / (_K12 + x2)
        output = self.liver * max(0.0, 1 - self.sensitivity_output * plasma)
        brain = self.brain * min(1.0, glucose / _BRAIN_FROM)
        renal = _RENAL * (glucose - _RENAL_FROM) * _VG if glucose >= _RENAL_FROM else 0.0
        return output - brain - renal - x1 * q1 + _K12 * q2


_ADULT = Person()
PEOPLE: Mapping[str, Person] = {
    "adult": _ADULT,
    "child": replace(
        _ADULT,
        weight_kg=32.0,
        sensitivity_transport=42e-4,
        sensitivity_disposal=6.8e-4,
        sensitivity_output=430e-4,
        food_min=34.0,
        insulin_min=48.0,
    ),
    "teenager": replace(
        _ADULT,
        weight_kg=58.0,
        sensitivity_transport=30e-4,
        sensitivity_disposal=4.9e-4,
        sensitivity_output=320e-4,
        liver=0.0175,
    ),
    "resistant": replace(
        _ADULT,
        weight_kg=98.0,
        sensitivity_transport=22e-4,
        sensitivity_disposal=3.6e-4,
        sensitivity_output=240e-4,
        food_min=48.0,
        insulin_min=62.0,
    ),
}
"""The patients by name: an adult as published, and three whose constants lie in the published
spread.
"""


class Patient:
    """One patient as time goes by. Begins fasting, held by the basal that balances it."""

    def __init__(self, person: Person, glucose_mg_dl: float = 110.0) -> None:
        """Raises ValueError where no basal holds that glucose."""
        self.person = person
        self._beats = 0.0
        glucose = glucose_mg_dl / MG_DL_PER_MMOL_L
        plasma = person._plasma(glucose)  # noqa: SLF001 - its own person
        flow = plasma * _KE * _VI  # mU/min and kg
        depot = flow * person.insulin_min
        x1 = person.sensitivity_transport * plasma
        x2 = person.sensitivity_disposal * plasma
        x3 = person.sensitivity_output * plasma
        q1 = _VG * glucose
        q2 = x1 * q1 / (_K12 + x2)
        self._state: State = (0, 0, depot, depot, plasma, x1, x2, x3, q1, q2, glucose, 0)

    @property
    def glucose_mg_dl(self) -> float:
        """Return the glucose in plasma."""
        return self._state[8] / _VG * MG_DL_PER_MMOL_L

    @property
    def interstitial_mg_dl(self) -> float:
        """Return the glucose that a sensor under the skin is in."""
        return self._state[10] * MG_DL_PER_MMOL_L

    def infuse(self, insulin_mu: float) -> None:
        """Give insulin under the skin, in milliunits, at this instant: what a pump delivered."""
        state = list(self._state)
        state[2] += insulin_mu / self.person.weight_kg
        self._state = tuple(state)  # type: ignore[assignment]

    def eat(self, carbs_g: float) -> None:
        """Eat now."""
        state = list(self._state)
        state[0] += _CARBS_BIO * carbs_g * _MMOL_PER_G / self.person.weight_kg
        self._state = tuple(state)  # type: ignore[assignment]

    def move(self, beats_over_rest: float) -> None:
        """Exercise from now on with a heart so many beats a minute over its rest; 0 ends it."""
        self._beats = beats_over_rest

    def live(self, minutes: float, insulin_mu_per_min: float = 0.0) -> None:
        """Let time go by, with insulin flowing in at a constant rate."""
        flow = insulin_mu_per_min / self.person.weight_kg
        while minutes > 1e-9:  # beyond it is what rounding left
            step = min(STEP_MIN, minutes)
            self._state = self._stepped(step, flow)
            minutes -= step

    def _stepped(self, h: float, flow: float) -> State:
        y = self._state
        f = self._change
        k1 = f(y, flow)
        k2 = f(tuple(a + h / 2 * b for a, b in zip(y, k1, strict=True)), flow)  # type: ignore[arg-type]
        k3 = f(tuple(a + h / 2 * b for a, b in zip(y, k2, strict=True)), flow)  # type: ignore[arg-type]
        k4 = f(tuple(a + h * b for a, b in zip(y, k3, strict=True)), flow)  # type: ignore[arg-type]
        new = [
            a + h / 6 * (b + 2 * c + 2 * d + e)
            for a, b, c, d, e in zip(y, k1, k2, k3, k4, strict=True)
        ]
        new[8] = max(_LOWEST, new[8])
        new[9] = max(0.0, new[9])
        return tuple(new)  # type: ignore[return-value]

    def _change(self, y: State, flow: float) -> State:
        p = self.person
        d1, d2, s1, s2, plasma, x1, x2, x3, q1, q2, inter, beats = y
        glucose = q1 / _VG
        brain = p.brain * glucose / _BRAIN_FROM if glucose < _BRAIN_FROM else p.brain
        renal = _RENAL * (glucose - _RENAL_FROM) * _VG if glucose >= _RENAL_FROM else 0.0
        output = p.liver * (1 - x3) if x3 < 1 else 0.0
        food = d2 / p.food_min
        return (
            -d1 / p.food_min,
            (d1 - d2) / p.food_min,
            flow - s1 / p.insulin_min,
            (s1 - s2) / p.insulin_min,
            s2 / (p.insulin_min * _VI) - _KE * plasma,
            _KA1 * (p.sensitivity_transport * plasma - x1),
            _KA2 * (p.sensitivity_disposal * plasma - x2),
            _KA3 * (p.sensitivity_output * plasma - x3),
            food + output - brain - renal - x1 * q1 + _K12 * q2 - _EXERCISE_UPTAKE * beats * q1,
            x1 * q1 - (_K12 + x2) * q2,
            (glucose - inter) / p.interstitium_min,
            (self._beats - beats) / _EXERCISE_MIN,
        )


class Sensor:
    """A sensor's error, which goes on for a while. ``shock`` is a normal number of the caller's.

    The error is the published one for a sensor read every five minutes, times ``noise``; 0 is a
    sensor without error.
    """

    _GAMMA, _DELTA, _LAMBDA, _XI = -0.5444, 1.6898, 15.96, -5.471
    _KEEPS = 0.7

    def __init__(self, noise: float = 1.0) -> None:
        self._noise = noise
        self._error = 0.0

    def read(self, interstitial_mg_dl: float, shock: float) -> int:
        """Return what it says, 40 to 400 mg/dL."""
        self._error = self._KEEPS * (self._error + shock)
        off = self._XI + self._LAMBDA * sinh((self._error - self._GAMMA) / self._DELTA)
        return round(min(400.0, max(40.0, interstitial_mg_dl + self._noise * off)))
