"""A graph in shares of its width, ready to be drawn: glucose, boluses and basal over some hours."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.client.messages import BolusMark, Graph
from appliance.client.words import NS_PER_S, time_words
from ui.presenters import numbers

HOURS = (3, 6, 12, 24)
"""What a graph may show."""
LOW_MG_DL, HIGH_MG_DL = 70, 180
"""The range that the consensus on time in range calls the target."""

_NS_PER_H = 3_600 * NS_PER_S
_TICK_H = {3: 1, 6: 1, 12: 2, 24: 4}
_FLOOR_MG_DL, _CEILING_MG_DL = 40, 250
_FLOOR_UU_PER_H = 500_000


@dataclass(frozen=True, slots=True)
class Dot:
    """A reading: where, how much, and the name of its colour."""

    share: float
    mg_dl: int
    tone: str


@dataclass(frozen=True, slots=True)
class Block:
    """Basal from one share of the width to another."""

    begin: float
    end: float
    rate_uu_per_h: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A bolus: where, and its amount in words."""

    share: float
    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class Plot:
    """All that a graph draws. Shares run from 0 at the left to 1 at the right."""

    hours: int = 0
    ticks: tuple[tuple[float, str], ...] = ()
    glucose: tuple[Dot, ...] = ()
    fingers: tuple[Dot, ...] = ()
    basal: tuple[Block, ...] = ()
    boluses: tuple[Mark, ...] = ()
    held: tuple[tuple[float, float], ...] = ()
    least_mg_dl: int = _FLOOR_MG_DL
    most_mg_dl: int = _CEILING_MG_DL
    most_uu_per_h: int = _FLOOR_UU_PER_H


NO_PLOT = Plot()


def plot_of(graph: Graph, offset_s: int) -> Plot:
    """Return a graph as it is drawn, with its ticks on whole hours of the pump's local time."""
    from_ns, until_ns = graph.from_utc_ns, graph.until_utc_ns
    span_ns = max(1, until_ns - from_ns)
    hours = round(span_ns / _NS_PER_H)

    def share(utc_ns: int | None) -> float:
        at_ns = until_ns if utc_ns is None else utc_ns
        return min(1.0, max(0.0, (at_ns - from_ns) / span_ns))

    def dots(pairs: list[list[int]]) -> tuple[Dot, ...]:
        return tuple(Dot(share(utc_ns), mg_dl, tone_of(mg_dl)) for utc_ns, mg_dl in pairs)

    glucose, fingers = dots(graph.glucose), dots(graph.fingers)
    basal = tuple(
        Block(share(begin), share(end), rate or 0)
        for begin, end, rate in graph.basal
        if share(begin) < share(end)
    )
    readings = [dot.mg_dl for dot in (*glucose, *fingers)]
    return Plot(
        hours=hours,
        ticks=_ticks(from_ns, until_ns, offset_s, _TICK_H.get(hours, max(1, hours // 6))),
        glucose=glucose,
        fingers=fingers,
        basal=basal,
        boluses=tuple(_mark(share(one.utc_ns), one) for one in graph.boluses),
        held=tuple((share(begin), share(end)) for begin, end in graph.suspended),
        least_mg_dl=min(_FLOOR_MG_DL, *readings, _FLOOR_MG_DL),
        most_mg_dl=max(_CEILING_MG_DL, *readings, _CEILING_MG_DL),
        most_uu_per_h=max(_FLOOR_UU_PER_H, *(one.rate_uu_per_h for one in basal), 0),
    )


def tone_of(mg_dl: int) -> str:
    """Return the colour of a reading: below, within or above the target."""
    if mg_dl < LOW_MG_DL:
        return "low"
    return "high" if mg_dl > HIGH_MG_DL else "in_range"


def _mark(share: float, bolus: BolusMark) -> Mark:
    low = numbers.units_bare(bolus.confirmed_uu)
    if bolus.outcome == "open":
        return Mark(share, low, "insulin")
    if bolus.certainty != "exact":
        return Mark(share, f"{low}–{numbers.units_bare(bolus.maximum_uu)}", "high")
    if bolus.outcome == "done":  # every step was confirmed, so the whole amount is
        return Mark(share, numbers.units_bare(bolus.programmed_uu), "text")
    return Mark(share, low, "text")


def _ticks(
    from_ns: int, until_ns: int, offset_s: int, every_h: int
) -> tuple[tuple[float, str], ...]:
    local_ns = from_ns + offset_s * NS_PER_S
    step_ns = every_h * _NS_PER_H
    at_ns = -(-local_ns // step_ns) * step_ns - offset_s * NS_PER_S
    ticks = []
    while at_ns <= until_ns:
        words = time_words(at_ns, offset_s)[11:16]
        ticks.append(((at_ns - from_ns) / max(1, until_ns - from_ns), words))
        at_ns += step_ns
    return tuple(ticks)
