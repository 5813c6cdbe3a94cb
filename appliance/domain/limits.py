"""Limits: what may be given at once, in any hour and in any day, projected before the start
(SR-13, SR-14).

A window limit holds for every window that contains any part of a dose: upper bounds behind it, all
programmed delivery ahead of it. The sum over a sliding window is greatest where the window begins
at a past amount, or where it begins or ends at a change of the plan: those windows alone are
tried.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.domain.units import NS_PER_H, NS_PER_S, UU_PER_U, format_dose

HOUR_NS = NS_PER_H
DAY_NS = 24 * NS_PER_H
MIN_DOSE_UU = 50_000
DOSE_GRID_UU = 10_000
INTERVAL_FLOOR_S = 10
INTERVAL_CEILING_S = 3_600


@dataclass(frozen=True, slots=True)
class Limits:
    """The therapy limits in force. None is ever assumed: without limits nothing is delivered
    (SR-17).
    """

    max_bolus_uu: int
    hourly_uu: int
    daily_uu: int
    max_basal_uu_per_h: int
    min_interval_s: int


DEFAULTS = Limits(10 * UU_PER_U, 15 * UU_PER_U, 60 * UU_PER_U, 5 * UU_PER_U, 60)
"""What a set-up starts from; offered to a person, never taken in silence."""


@dataclass(frozen=True, slots=True)
class Past:
    """An upper bound of what went out at an instant."""

    at_ns: int
    amount_uu: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A constant rate ahead, from ``start_ns`` to ``end_ns``."""

    start_ns: int
    end_ns: int
    rate_uu_per_h: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request is refused: a code for programs, a sentence for people, and the field it is
    about.
    """

    code: str
    text: str
    field: str = ""
    value: str = ""
    range: str = ""


def faults_of(limits: Limits, ceilings: Limits) -> list[Reason]:
    """List every limit that is out of the machine's range; an empty list means they may be set."""
    rows = (
        ("max_bolus_uu", limits.max_bolus_uu, MIN_DOSE_UU, ceilings.max_bolus_uu),
        ("hourly_uu", limits.hourly_uu, MIN_DOSE_UU, ceilings.hourly_uu),
        ("daily_uu", limits.daily_uu, MIN_DOSE_UU, ceilings.daily_uu),
        ("max_basal_uu_per_h", limits.max_basal_uu_per_h, 0, ceilings.max_basal_uu_per_h),
        ("min_interval_s", limits.min_interval_s, INTERVAL_FLOOR_S, INTERVAL_CEILING_S),
    )
    reasons = [
        Reason(
            "out_of_range",
            f"{name} = {number} is out of range: {low} to {high}",
            name,
            str(number),
            f"{low} to {high}",
        )
        for name, number, low, high in rows
        if not low <= number <= high
    ]
    if limits.hourly_uu > limits.daily_uu:
        reasons.append(
            Reason(
                "out_of_range",
                f"hourly_uu = {limits.hourly_uu} is above daily_uu = {limits.daily_uu}",
                "hourly_uu",
                str(limits.hourly_uu),
                f"up to daily_uu = {limits.daily_uu}",
            )
        )
    return reasons


def largest_window_uu(
    past: Sequence[Past],
    plan: Sequence[Piece],
    *,
    now_ns: int,
    dose_end_ns: int,
    window_ns: int,
) -> int:
    """Return the most that lies in any window with a part of ``[now_ns, dose_end_ns]`` in it.

    ``past`` is in order of time and not after ``now_ns``. Amounts ahead are rounded up.
    """
    edges = sorted({edge for piece in plan for edge in (piece.start_ns, piece.end_ns)})
    sums = _Cumulative(plan, edges)
    behind = [0]
    for one in past:
        behind.append(behind[-1] + one.amount_uu)
    instants = [one.at_ns for one in past]
    first, last = now_ns - window_ns, dose_end_ns
    starts = {first, now_ns, last}
    starts.update(at for at in instants if first <= at <= last)
    for edge in edges:
        starts.update(at for at in (edge, edge - window_ns) if first <= at <= last)
    worst, so_far = 0, sums.at(now_ns)
    for start in starts:
        gone = bisect_right(instants, start - 1)
        ahead = sums.at(start + window_ns) - (sums.at(start) if start > now_ns else so_far)
        worst = max(worst, behind[-1] - behind[gone] + -(-ahead // NS_PER_H))
    return worst


def left_uu(past: Sequence[Past], *, now_ns: int, window_ns: int, limit_uu: int) -> int:
    """Return what the window that ends now leaves, never below 0."""
    used = sum(one.amount_uu for one in past if one.at_ns >= now_ns - window_ns)
    return max(0, limit_uu - used)


def window_reasons(
    limits: Limits, past: Sequence[Past], plan: Sequence[Piece], *, now_ns: int, dose_end_ns: int
) -> list[Reason]:
    """List the windows that a dose would overfill, with what they would hold."""
    reasons = []
    for field, name, window_ns, limit_uu in (
        ("hourly_uu", "60 min", HOUR_NS, limits.hourly_uu),
        ("daily_uu", "24 h", DAY_NS, limits.daily_uu),
    ):
        most_uu = largest_window_uu(
            past, plan, now_ns=now_ns, dose_end_ns=dose_end_ns, window_ns=window_ns
        )
        if most_uu > limit_uu:
            shown_uu = -(-most_uu // DOSE_GRID_UU) * DOSE_GRID_UU  # up: it is an upper bound
            reasons.append(
                Reason(
                    "window_limit",
                    f"{format_dose(shown_uu)} would lie within {name}, over the limit of "
                    f"{format_dose(limit_uu)} ({field})",
                    field,
                    str(most_uu),
                    f"up to {limit_uu}",
                )
            )
    return reasons


class _Cumulative:
    """What a plan has asked for by an instant, in uu * ns per hour; looked up, not summed anew."""

    def __init__(self, plan: Sequence[Piece], edges: list[int]) -> None:
        self._edges = edges
        self._sums: list[int] = []
        self._rates: list[int] = []
        total = 0
        for at, edge in enumerate(edges):
            if at:
                total += self._rates[-1] * (edge - edges[at - 1])
            self._sums.append(total)
            self._rates.append(sum(p.rate_uu_per_h for p in plan if p.start_ns <= edge < p.end_ns))

    def at(self, instant_ns: int) -> int:
        index = bisect_right(self._edges, instant_ns) - 1
        if index < 0:
            return 0
        return self._sums[index] + self._rates[index] * (instant_ns - self._edges[index])


def interval_reason(
    limits: Limits, *, now_ns: int, last_start_ns: int | None, rounding_ns: int = NS_PER_S
) -> list[Reason]:
    """List the minimum interval between two starts, where it is not over (SR-15)."""
    if last_start_ns is None:
        return []
    left_ns = limits.min_interval_s * NS_PER_S - (now_ns - last_start_ns)
    if left_ns <= 0:
        return []
    return [
        Reason(
            "too_soon",
            f"the last bolus began less than {limits.min_interval_s} s ago: "
            f"wait {-(-left_ns // rounding_ns)} s",
            "min_interval_s",
            str((now_ns - last_start_ns) // NS_PER_S),
            f"from {limits.min_interval_s} s on",
        )
    ]
