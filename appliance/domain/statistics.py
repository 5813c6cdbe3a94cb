"""Statistics of glucose by the international consensus: models, so floats. One copy of them serves
screen, report and export.

Shares are of the readings that exist; the share of time that they cover stands beside them.
Sources: *Clinical Targets for Continuous Glucose Monitoring Data Interpretation* (2019) for bands,
GMI and sufficiency; Kovatchev for the risk indices; Hyndman and Fan's seventh rule for percentiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from math import log, sqrt
from typing import Any

from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S

SLOT_NS = 5 * NS_PER_MIN
"""A sensor gives one reading in each five minutes; a slot with one counts as covered."""
ENOUGH_DAYS = 14
ENOUGH_SHARE = 70.0
"""From so many days, and so many per cent of them covered, the consensus calls data enough."""
BANDS_MG_DL: Mapping[str, tuple[int, int]] = {
    "under_54": (0, 53),
    "from_54_to_69": (54, 69),
    "from_70_to_180": (70, 180),
    "from_181_to_250": (181, 250),
    "over_250": (251, 10_000),
    "tight_70_to_140": (70, 140),
}
"""The bands that days are kept in, both ends included. The first five hold every reading once."""
AGP_PERCENTILES = (5, 25, 50, 75, 95)
EPISODE_NS = 15 * NS_PER_MIN

_DAY_NS = MIN_PER_DAY * NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the sensor, with what the local clock was ahead of UTC then."""

    utc_ns: int
    mg_dl: int
    offset_s: int = 0

    @property
    def min_of_day(self) -> int:
        """Return the minute of the local day."""
        return (self.utc_ns + self.offset_s * NS_PER_S) % _DAY_NS // NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Bands:
    """Shares of the readings in per cent. The first five add up to 100."""

    under_54: float
    from_54_to_69: float
    from_70_to_180: float
    from_181_to_250: float
    over_250: float
    tight_70_to_140: float
    pregnancy_63_to_140: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a window of readings comes to. ``sd`` is that of a sample (n - 1)."""

    readings: int
    days: float
    covered: float
    enough: bool
    mean_mg_dl: float | None
    sd_mg_dl: float | None
    cv: float | None
    gmi: float | None
    lbgi: float | None
    hbgi: float | None
    lows: int
    bands: Bands | None

    def body(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def distinct(samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples in order of time; of two at one instant the first one given counts."""
    kept: dict[int, Sample] = {}
    for one in samples:
        kept.setdefault(one.utc_ns, one)
    return [kept[at] for at in sorted(kept)]


def statistics_of(samples: Iterable[Sample], from_utc_ns: int, until_utc_ns: int) -> Statistics:
    """Return the statistics of the samples in ``from_utc_ns`` <= instant < ``until_utc_ns``.

    The window is of the time that passed, so a day of 23 or 25 h is as long as it was. Raises
    ValueError for a window without length.
    """
    length_ns = until_utc_ns - from_utc_ns
    if length_ns <= 0:
        raise ValueError(f"the window is {length_ns} ns long: it must be above 0")
    kept = [one for one in distinct(samples) if from_utc_ns <= one.utc_ns < until_utc_ns]
    slots = len({(one.utc_ns - from_utc_ns) // SLOT_NS for one in kept})
    covered = 100 * slots / -(-length_ns // SLOT_NS)
    days = length_ns / _DAY_NS
    enough = days >= ENOUGH_DAYS and covered >= ENOUGH_SHARE
    if not kept:
        return Statistics(0, days, 0.0, False, None, None, None, None, None, None, 0, None)  # noqa: FBT003
    values = [one.mg_dl for one in kept]
    mean = sum(values) / len(values)
    sd = None
    if len(values) > 1:
        sd = sqrt(sum((one - mean) ** 2 for one in values) / (len(values) - 1))
    low, high = risks(values)
    return Statistics(
        readings=len(kept),
        days=days,
        covered=covered,
        enough=enough,
        mean_mg_dl=mean,
        sd_mg_dl=sd,
        cv=None if sd is None else 100 * sd / mean,
        gmi=3.31 + 0.02392 * mean,
        lbgi=low,
        hbgi=high,
        lows=episodes(kept),
        bands=bands_of(values),
    )


def bands_of(values: Sequence[int]) -> Bands:
    """Return the share of readings in each band. Raises ValueError where there is none."""
    if not values:
        raise ValueError("no readings: there is nothing to share")

    def share(low: int, high: int) -> float:
        return 100 * sum(low <= one <= high for one in values) / len(values)

    top = max(values)
    return Bands(
        under_54=share(0, 53),
        from_54_to_69=share(54, 69),
        from_70_to_180=share(70, 180),
        from_181_to_250=share(181, 250),
        over_250=share(251, max(top, 251)),
        tight_70_to_140=share(70, 140),
        pregnancy_63_to_140=share(63, 140),
    )


def risks(values: Sequence[int]) -> tuple[float, float]:
    """Return LBGI and HBGI: the mean risk of lows and of highs over all readings."""
    low = high = 0.0
    for one in values:
        risk = risk_of(one)
        low, high = low + max(0.0, -risk), high + max(0.0, risk)
    return low / len(values), high / len(values)


@lru_cache(maxsize=1_024)
def risk_of(mg_dl: int) -> float:
    """Return the risk of one reading: below 0 for a low, above 0 for a high."""
    f: float = 1.509 * (log(mg_dl) ** 1.084 - 5.381)
    return -10 * f * f if f < 0 else 10 * f * f


@dataclass(slots=True)
class Tally:
    """What readings add up to, so that days can be added up without their readings."""

    readings: int = 0
    sum_mg_dl: int = 0
    squares: int = 0
    low_risk: float = 0.0
    high_risk: float = 0.0
    bands: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BANDS_MG_DL, 0))

    def take(self, mg_dl: int) -> None:
        """Take one more reading in."""
        self.readings += 1
        self.sum_mg_dl += mg_dl
        self.squares += mg_dl * mg_dl
        risk = risk_of(mg_dl)
        self.low_risk += max(0.0, -risk)
        self.high_risk += max(0.0, risk)
        for name, (low, high) in BANDS_MG_DL.items():
            self.bands[name] += low <= mg_dl <= high

    def add(self, other: Tally) -> None:
        """Take everything in that another has."""
        self.readings += other.readings
        self.sum_mg_dl += other.sum_mg_dl
        self.squares += other.squares
        self.low_risk += other.low_risk
        self.high_risk += other.high_risk
        for name, count in other.bands.items():
            self.bands[name] += count

    @property
    def mean_mg_dl(self) -> float:
        """Return the mean. Raises ZeroDivisionError without a reading."""
        return self.sum_mg_dl / self.readings

    @property
    def sd_mg_dl(self) -> float | None:
        """Return the standard deviation of a sample (n - 1), from whole numbers; None of one."""
        if self.readings < 2:
            return None
        above = self.readings * self.squares - self.sum_mg_dl**2
        return sqrt(above / (self.readings * (self.readings - 1)))

    def share(self, band: str) -> float:
        """Return the per cent of the readings in a band."""
        return 100 * self.bands[band] / self.readings


def episodes(samples: Sequence[Sample], below_mg_dl: int = 70) -> int:
    """Count the lows: 15 min or more under ``below_mg_dl``, ended by 15 min at or over it.

    Samples are in order of time. A gap of more than 15 min ends one too: nobody knows what was
    in it.
    """
    count, since_ns, back_ns, last_ns, counted = 0, None, None, None, False
    for one in samples:
        if last_ns is not None and one.utc_ns - last_ns > EPISODE_NS:
            since_ns = back_ns = None
        last_ns = one.utc_ns
        if one.mg_dl < below_mg_dl:
            if since_ns is None:
                since_ns, counted = one.utc_ns, False
            back_ns = None
            if not counted and one.utc_ns - since_ns >= EPISODE_NS:
                count, counted = count + 1, True
        elif since_ns is not None:
            back_ns = one.utc_ns if back_ns is None else back_ns
            if not counted or one.utc_ns - back_ns >= EPISODE_NS:
                since_ns = back_ns = None
    return count


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of values in order, interpolated. Raises ValueError without any."""
    if not ordered:
        raise ValueError("no values: there is no percentile")
    at = (len(ordered) - 1) * percent / 100
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def profile_of_day(samples: Iterable[Sample], slot_min: int = 15) -> list[Mapping[str, Any]]:
    """Return the ambulatory glucose profile: percentiles by the local time of day.

    One map for each slot of ``slot_min`` minutes that has readings: ``min_of_day``, ``readings``
    and ``p5`` to ``p95``. An hour that the clock ran through twice has twice the readings. Raises
    ValueError unless the slots divide a day.
    """
    if slot_min <= 0 or MIN_PER_DAY % slot_min:
        raise ValueError(f"slot_min = {slot_min} does not divide a day of {MIN_PER_DAY} minutes")
    slots: dict[int, list[int]] = {}
    for one in distinct(samples):
        slots.setdefault(one.min_of_day // slot_min, []).append(one.mg_dl)
    rows: list[Mapping[str, Any]] = []
    for slot, values in sorted(slots.items()):
        values.sort()
        row: dict[str, Any] = {"min_of_day": slot * slot_min, "readings": len(values)}
        row |= {f"p{part}": percentile(values, part) for part in AGP_PERCENTILES}
        rows.append(row)
    return rows
