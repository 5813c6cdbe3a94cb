"""The daily basal schedule: named profiles of segments on a one-minute grid.

A segment starts at a minute of the local day and holds until the next; the last runs to midnight,
and the first starts at 00:00. Rates are microunits per hour: 0, or 0.025 to 35 U/h in steps of
0.001.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.domain.units import MIN_PER_DAY, NS_PER_MIN, NS_PER_S, format_rate
from appliance.errors import BadProfile

MIN_RATE_UU_PER_H = 25_000
MAX_RATE_UU_PER_H = 35_000_000
RATE_GRID_UU_PER_H = 1_000
MAX_SEGMENTS = 48
MAX_NAME = 20
CALCULATOR_RANGES: Mapping[str, tuple[int, int]] = {
    "carb_ratio_mg_per_u": (1_000, 150_000),
    "sensitivity_mg_dl_per_u": (1, 400),
    "target_mg_dl": (60, 250),
}
"""What a segment may carry for a calculator, each with its range."""

_LARGE_FACTOR = 3
_LARGE_STEP_UU_PER_H = 2_000_000
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Segment:
    """A rate from a minute of the day on, and what a calculator takes there; None where it is not
    said.

    ``carb_ratio_mg_per_u`` is the carbohydrate that one unit covers (10 g/U is 10,000 mg/U).
    """

    start_min_of_day: int
    rate_uu_per_h: int
    carb_ratio_mg_per_u: int | None = None
    sensitivity_mg_dl_per_u: int | None = None
    target_mg_dl: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A named day of segments. Raises BadProfile, with every fault, for one that breaks a rule."""

    name: str
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        faults = _faults(self.name, self.segments)
        if faults:
            raise BadProfile(faults)

    def segment_at(self, min_of_day: int) -> Segment:
        """Return the segment in force at a minute of the day: the last that starts at or before
        it.
        """
        return next(one for one in reversed(self.segments) if one.start_min_of_day <= min_of_day)

    def ns_to_next_segment(self, ns_of_day: int) -> int:
        """Return the ns from an instant of the local day to the next start of a segment, over
        midnight.
        """
        min_of_day = ns_of_day // NS_PER_MIN
        later = [s.start_min_of_day for s in self.segments if s.start_min_of_day > min_of_day]
        next_min = min(later) if later else MIN_PER_DAY
        return next_min * NS_PER_MIN - ns_of_day

    def total_uu(self) -> int:
        """Return what a day of 24 hours asks for, rounded down to a microunit."""
        ends = [s.start_min_of_day for s in self.segments[1:]] + [MIN_PER_DAY]
        return (
            sum(
                (end - s.start_min_of_day) * s.rate_uu_per_h
                for s, end in zip(self.segments, ends, strict=True)
            )
            // 60
        )


def doubts_of(segments: tuple[Segment, ...]) -> list[str]:
    """List what a person should look at twice: nothing given, or a large jump, midnight included.

    Large is more than by a factor of 3, or over 2 U/h; from and to nothing is said once, as that.
    """
    doubts = []
    for before, segment in zip((segments[-1], *segments), segments, strict=False):
        at, rate, old = (
            _clock(segment.start_min_of_day),
            segment.rate_uu_per_h,
            before.rate_uu_per_h,
        )
        if rate == 0:
            doubts.append(f"from {at} on nothing is given")
        elif old and (
            max(rate, old) > _LARGE_FACTOR * min(rate, old)
            or abs(rate - old) > _LARGE_STEP_UU_PER_H
        ):
            doubts.append(f"at {at} the rate jumps from {format_rate(old)} to {format_rate(rate)}")
    return doubts


def _clock(min_of_day: int) -> str:
    return f"{min_of_day // 60:02d}:{min_of_day % 60:02d}"


def ns_of_local_day(utc_ns: int, offset_s: int) -> int:
    """Return how far into its local day an instant is."""
    return (utc_ns + offset_s * NS_PER_S) % (MIN_PER_DAY * NS_PER_MIN)


def _faults(name: str, segments: tuple[Segment, ...]) -> list[str]:
    faults: list[str] = []
    if not 1 <= len(name) <= MAX_NAME or name != name.strip() or not name.isprintable():
        shown = repr(name[:_SHOWN]) + ("..." if len(name) > _SHOWN else "")
        faults.append(f"name = {shown}: 1 to {MAX_NAME} printable characters, no space at an end")
    if not 1 <= len(segments) <= MAX_SEGMENTS:
        faults.append(f"segments: 1 to {MAX_SEGMENTS} of them, not {len(segments)}")
        return faults
    if segments[0].start_min_of_day != 0:
        faults.append(
            f"segments[0].start_min_of_day = {segments[0].start_min_of_day}: "
            "the first starts at 0 (00:00)"
        )
    previous = -1
    for at, segment in enumerate(segments):
        start, rate = segment.start_min_of_day, segment.rate_uu_per_h
        # What is imported comes from a file: a float that equals an integer is no integer.
        if type(start) is not int:
            faults.append(f"segments[{at}].start_min_of_day = {start!r}: a whole number of minutes")
        elif not 0 <= start < MIN_PER_DAY:
            faults.append(f"segments[{at}].start_min_of_day = {start}: 0 to {MIN_PER_DAY - 1}")
        else:
            if start <= previous:
                faults.append(f"segments[{at}].start_min_of_day = {start}: later than {previous}")
            previous = start
        if type(rate) is not int:
            faults.append(
                f"segments[{at}].rate_uu_per_h = {rate!r}: a whole number of microunits per hour"
            )
        elif rate and not MIN_RATE_UU_PER_H <= rate <= MAX_RATE_UU_PER_H:
            faults.append(
                f"segments[{at}].rate_uu_per_h = {rate}: 0, or {format_rate(MIN_RATE_UU_PER_H)} "
                f"to {format_rate(MAX_RATE_UU_PER_H)}"
            )
        elif rate % RATE_GRID_UU_PER_H:
            faults.append(
                f"segments[{at}].rate_uu_per_h = {rate}: "
                f"a multiple of {RATE_GRID_UU_PER_H} (0.001 U/h)"
            )
        for key, (low, high) in CALCULATOR_RANGES.items():
            number = getattr(segment, key)
            if number is not None and (type(number) is not int or not low <= number <= high):
                faults.append(f"segments[{at}].{key} = {number!r}: {low} to {high}")
    return faults
