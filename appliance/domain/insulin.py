"""How long insulin acts: the share of a dose still to act, by the minutes since it was given.

Models, so floats; what becomes of them turns into microunits at one named place, in ``iob.py``.
Times are minutes. Sources: LoopKit (exponential, Walsh), oref0 and Nightscout (bilinear), the
Omnipod guides (linear); the fits' coefficients are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

from appliance.errors import BadCurve

MIN_DURATION_MIN = 60
MAX_DURATION_MIN = 720
MIN_BILINEAR_MIN = 180
MIN_PEAK_MIN = 5
MAX_DELAY_MIN = 30


def _faults_of_duration(duration_min: int, least_min: int = MIN_DURATION_MIN) -> list[str]:
    return _faults("duration_min", duration_min, least_min, MAX_DURATION_MIN)


def _faults_of_delay(delay_min: int) -> list[str]:
    return _faults("delay_min", delay_min, 0, MAX_DELAY_MIN)


def _faults(name: str, number: int, low: int, high: int, why: str = "") -> list[str]:
    # What is imported comes from a file: a float that equals an integer is no integer.
    if type(number) is not int:
        return [f"{name} = {number!r}: a whole number of minutes"]
    if low <= number <= high:
        return []
    return [f"{name} = {number}: {low} to {high}" + (f", {why}" if why else "")]


class Curve(Protocol):
    """A model of insulin action. ``left(0)`` is 1, and 0 from ``end_min`` on."""

    @property
    def end_min(self) -> int:
        """Return when nothing is left: the duration of action and the delay before it."""
        ...

    def left(self, t_min: float) -> float:
        """Return the share still to act ``t_min`` after the dose, 0 to 1. All of it before 0."""
        ...

    def activity(self, t_min: float) -> float:
        """Return the share that acts in a minute at ``t_min``, never below 0."""
        ...


@dataclass(frozen=True, slots=True)
class Exponential:
    """The exponential model of Loop, oref0 and AAPS: its activity is greatest at ``peak_min``.

    During ``delay_min`` a dose counts in full. Raises BadCurve unless 5 <= peak < duration / 2.
    """

    duration_min: int
    peak_min: int
    delay_min: int = 0
    _tau_min: float = field(init=False, repr=False, compare=False)
    _a: float = field(init=False, repr=False, compare=False)
    _s: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        duration, peak = self.duration_min, self.peak_min
        faults = [*_faults_of_duration(duration), *_faults_of_delay(self.delay_min)]
        if not faults:
            # At a peak of half the duration the model divides by zero.
            faults = _faults(
                "peak_min", peak, MIN_PEAK_MIN, (duration - 1) // 2, "below half the duration"
            )
        if faults:
            raise BadCurve(faults)
        tau_min = peak * (1 - peak / duration) / (1 - 2 * peak / duration)
        a = 2 * tau_min / duration
        object.__setattr__(self, "_tau_min", tau_min)
        object.__setattr__(self, "_a", a)
        object.__setattr__(self, "_s", 1 / (1 - a + (1 + a) * math.exp(-duration / tau_min)))

    @property
    def end_min(self) -> int:
        return self.duration_min + self.delay_min

    def left(self, t_min: float) -> float:
        since_min = t_min - self.delay_min
        if since_min <= 0:
            return 1.0
        if since_min >= self.duration_min:
            return 0.0
        tau_min, rest = self._tau_min, 1 - self._a
        # The factor 1 - a is multiplied out: it is 0 for a peak of 0.293 times the duration.
        bracket = since_min * since_min / (tau_min * self.duration_min)
        bracket -= rest * (since_min / tau_min + 1)
        acted = self._s * (bracket * math.exp(-since_min / tau_min) + rest)
        return _share(1 - acted)

    def activity(self, t_min: float) -> float:
        since_min = t_min - self.delay_min
        if not 0 < since_min < self.duration_min:
            return 0.0
        tau_min = self._tau_min
        height = self._s / tau_min**2 * since_min * (1 - since_min / self.duration_min)
        return height * math.exp(-since_min / tau_min)


@dataclass(frozen=True, slots=True)
class Bilinear:
    """oref0's default and Nightscout's: activity rises for 75 min of 180, then falls, both
    straight.

    What is left is their fit of two parabolas: it jumps up by 0.0001 where they meet, is up to
    0.028 below the triangle's own integral, and rises by 0.0003 in the last minutes. Longer
    durations stretch it. Raises BadCurve below 180 min.
    """

    duration_min: int

    def __post_init__(self) -> None:
        if faults := _faults_of_duration(self.duration_min, MIN_BILINEAR_MIN):
            raise BadCurve(faults)

    @property
    def end_min(self) -> int:
        return self.duration_min

    def left(self, t_min: float) -> float:
        if t_min <= 0:
            return 1.0
        if t_min >= self.duration_min:
            return 0.0
        x = t_min * 180 / self.duration_min
        if x < 75:
            n = x / 5 + 1
            return _share(1 - 0.001852 * n * n + 0.001852 * n)
        n = (x - 75) / 5
        return _share(0.001323 * n * n - 0.054233 * n + 0.55556)

    def activity(self, t_min: float) -> float:
        if not 0 < t_min < self.duration_min:
            return 0.0
        x, highest = t_min * 180 / self.duration_min, 2 / self.duration_min
        return highest * x / 75 if x < 75 else highest * (1 - (x - 75) / 105)


_WALSH: Mapping[int, tuple[float, ...]] = {  # hours: from the fourth power down
    3: (-3.2030e-9, 1.354e-6, -1.759e-4, 9.255e-4, 0.99951),
    4: (-3.310e-10, 2.530e-7, -5.510e-5, -9.086e-4, 0.99950),
    5: (-2.950e-10, 2.320e-7, -5.550e-5, 4.490e-4, 0.99300),
    6: (-1.493e-10, 1.413e-7, -4.095e-5, 6.365e-4, 0.99700),
}


@dataclass(frozen=True, slots=True)
class Walsh:
    """Loop's old model: fits of the fourth degree to John Walsh's plots of 3, 4, 5 and 6 hours.

    The nearest of the four is stretched to ``duration_min``; half an hour goes to the longer one.
    The fits begin up to 0.007 below 1, and the ones for 3, 5 and 6 h rise a little at first.
    Raises BadCurve.
    """

    duration_min: int
    delay_min: int = 0

    def __post_init__(self) -> None:
        faults = [*_faults_of_duration(self.duration_min), *_faults_of_delay(self.delay_min)]
        if faults:
            raise BadCurve(faults)

    @property
    def end_min(self) -> int:
        return self.duration_min + self.delay_min

    @property
    def model_h(self) -> int:
        """Return which of the four fits it is."""
        return min(6, max(3, (self.duration_min + 30) // 60))

    def left(self, t_min: float) -> float:
        since_min = t_min - self.delay_min
        if since_min <= 0:
            return 1.0
        if since_min >= self.duration_min:
            return 0.0
        return _share(_polynomial(_WALSH[self.model_h], since_min * self._stretch))

    def activity(self, t_min: float) -> float:
        since_min = t_min - self.delay_min
        if not 0 < since_min < self.duration_min:
            return 0.0
        c4, c3, c2, c1, _ = _WALSH[self.model_h]
        slope = _polynomial((4 * c4, 3 * c3, 2 * c2, c1), since_min * self._stretch)
        return max(0.0, -slope * self._stretch)

    @property
    def _stretch(self) -> float:
        return self.model_h * 60 / self.duration_min


@dataclass(frozen=True, slots=True)
class Linear:
    """Omnipod's: the same share acts in every minute. Raises BadCurve."""

    duration_min: int

    def __post_init__(self) -> None:
        if faults := _faults_of_duration(self.duration_min):
            raise BadCurve(faults)

    @property
    def end_min(self) -> int:
        return self.duration_min

    def left(self, t_min: float) -> float:
        return _share((self.duration_min - t_min) / self.duration_min)

    def activity(self, t_min: float) -> float:
        return 1 / self.duration_min if 0 < t_min < self.duration_min else 0.0


PRESETS: Mapping[str, Exponential] = {
    "rapid": Exponential(360, 75),
    "child": Exponential(360, 65),
    "fast": Exponential(360, 55),  # what Loop calls Fiasp
    "ultra-rapid": Exponential(360, 55),  # what oref0 and AAPS call so: the same curve
    "lyumjev": Exponential(360, 45),  # as in AAPS; Loop has 55 for it
    "inhaled": Exponential(300, 29),  # what Loop calls Afrezza
}
"""Exponential curves by the names other programs give them, without Loop's delay of 10 min."""

DEFAULT_MODEL = "rapid"

MODELS: Sequence[str] = (*PRESETS, "exponential", "bilinear", "walsh", "linear")
"""Every name that ``curve_of`` takes."""


def curve_of(
    model: str,
    *,
    duration_min: int | None = None,
    peak_min: int | None = None,
    delay_min: int | None = None,
) -> Curve:
    """Return the curve of one of ``MODELS``. A preset has its own duration and peak unless given.

    Raises BadCurve, with every fault, where the model is unknown, needs what is not given, is given
    what it does not have, or has an impossible number.
    """
    if model not in MODELS:
        raise BadCurve([f"model = {model[:40]!r}: one of {', '.join(MODELS)}"])
    given = {"duration_min": duration_min, "peak_min": peak_min, "delay_min": delay_min}
    known = {name: number for name, number in given.items() if number is not None}
    if model in PRESETS:
        return replace(PRESETS[model], **known)
    needed, optional = {
        "exponential": (("duration_min", "peak_min"), ("delay_min",)),
        "bilinear": (("duration_min",), ()),
        "walsh": (("duration_min",), ("delay_min",)),
        "linear": (("duration_min",), ()),
    }[model]
    faults = [f"{name} is missing: {model} needs it" for name in needed if name not in known]
    faults += [
        f"{name} = {number}: {model} has none"
        for name, number in known.items()
        if name not in needed + optional
    ]
    if faults:
        raise BadCurve(faults)
    match model:
        case "exponential":
            return Exponential(**known)
        case "bilinear":
            return Bilinear(**known)
        case "walsh":
            return Walsh(**known)
        case _:
            return Linear(**known)


def integral(curve: Curve, from_min: float, to_min: float, slice_min: float = 5.0) -> float:
    """Return the integral of ``left`` over ``from_min`` to ``to_min``, in minutes.

    Simpson's rule on slices of at most ``slice_min``: right to 0.01 min for every curve here.
    """
    to_min = min(to_min, curve.end_min)
    if to_min <= from_min:
        return 0.0
    slices = math.ceil((to_min - from_min) / slice_min)
    width_min = (to_min - from_min) / slices
    edges = [from_min + width_min * at for at in range(slices + 1)]
    return sum(
        (curve.left(a) + 4 * curve.left((a + b) / 2) + curve.left(b)) * (b - a) / 6
        for a, b in pairwise(edges)
    )


def _share(raw: float) -> float:
    return min(1.0, max(0.0, raw))


def _polynomial(coefficients: Sequence[float], x: float) -> float:
    total = 0.0
    for one in coefficients:
        total = total * x + one
    return total
