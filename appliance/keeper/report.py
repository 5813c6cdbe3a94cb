"""The report: a PDF of 1 to 90 days for a visit, drawn by matplotlib. BENCH on every page.

First what it comes to: time in ranges, statistics, insulin, the profile of the day. Then the days,
four to a page, each with glucose, basal, boluses, alarms and where protection held basal back. Last
the settings in force, changes of cartridge and set, waste, cost, doses that are uncertain, and
whether what left the cartridge adds up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from appliance.domain.glucose import format_glucose
from appliance.domain.units import NS_PER_H, NS_PER_S, UU_PER_U, format_dose, format_rate
from appliance.keeper.queries import Queries, date_of
from appliance.keeper.rollup import DAY_NS, Summed

MOST_DAYS = 90
MARK = "BENCH: water only, not a medical device"

_PAPER = (8.27, 11.69)  # A4, inches
_DAYS_A_PAGE = 4
_BANDS = (
    ("over_250", "over 250", "#c96d2e"),
    ("from_181_to_250", "181 to 250", "#e5b65c"),
    ("from_70_to_180", "70 to 180", "#4f9d69"),
    ("from_54_to_69", "54 to 69", "#d2695e"),
    ("under_54", "under 54", "#8f2d2a"),
)
_INK, _GREY, _BASAL, _BOLUS, _RANGE = "#1f2933", "#7b8794", "#2f6f9f", "#173f5f", "#e6f2ea"
_HIGHEST = 350
_ROWS_A_PAGE = 46


@dataclass(frozen=True, slots=True)
class Prices:
    """What things cost, in ``currency``; None where nobody said."""

    currency: str = ""
    insulin_per_u: float | None = None
    cartridge: float | None = None
    infusion_set: float | None = None


class Report:
    """Draws what one roll-up holds. It has followed to the ledger's end."""

    def __init__(self, rollup: Summed, pump: str, prices: Prices | None = None) -> None:
        self._rollup = rollup
        self._queries = Queries(rollup)
        self._pump = pump
        self._prices = prices or Prices()

    def write(self, path: Path, until_day: int, days: int) -> int:
        """Write the PDF of ``days`` local days up to ``until_day``; return its pages.

        Raises ValueError for days out of range, OSError.
        """
        if not 1 <= days <= MOST_DAYS:
            raise ValueError(f"days = {days} is out of range: it must be 1 to {MOST_DAYS}")
        pages = 0
        # The same data give the same bytes: no instant of its making is in the file.
        meta = {"Title": f"{self._pump}, {days} days", "CreationDate": None, "Subject": MARK}
        with PdfPages(path, metadata=meta) as pdf:
            for figure in self._pages(until_day, days):
                pages += 1
                _stamp(figure, self._pump, pages)
                pdf.savefig(figure)
        return pages

    def _pages(self, until_day: int, days: int) -> Iterator[Figure]:
        yield self._first(until_day, days)
        numbers = range(until_day - days + 1, until_day + 1)
        for begin in range(0, days, _DAYS_A_PAGE):
            yield self._days(numbers[begin : begin + _DAYS_A_PAGE])
        lines = list(self._last_lines(until_day, days))
        for begin in range(0, len(lines), _ROWS_A_PAGE):
            yield _text_page(lines[begin : begin + _ROWS_A_PAGE])

    # ------------------------------------------------------------------ the first page

    def _first(self, until_day: int, days: int) -> Figure:
        figure = Figure(figsize=_PAPER)
        found = self._queries.summary(until_day, days)
        figure.text(0.08, 0.935, self._pump, fontsize=17, color=_INK, weight="bold")
        span = f"{found['from_date']} to {found['until_date']}, {days} days"
        figure.text(0.08, 0.915, span, fontsize=10, color=_GREY)
        self._table(figure, found)
        glucose = found["glucose"]
        bar = figure.add_axes((0.10, 0.57, 0.13, 0.27))
        _ranges(bar, glucose)
        agp = figure.add_axes((0.10, 0.12, 0.83, 0.38))
        _profile(agp, self._queries.profile(until_day, days))
        return figure

    def _table(self, figure: Figure, found: Mapping[str, Any]) -> None:
        glucose = found["glucose"]
        rows: list[tuple[str, str]] = []
        if glucose is not None:
            enough = "" if glucose["enough"] else " (too little to judge by)"
            cv = "?" if glucose["cv"] is None else f"{glucose['cv']:.1f} %"
            rows += [
                ("Sensor", f"{glucose['covered']:.0f} % of the time{enough}"),
                ("Mean glucose", format_glucose(round(glucose["mean_mg_dl"]))),
                ("GMI", f"{glucose['gmi']:.1f} %"),
                ("Variation (CV)", cv),
                ("In 70 to 140", f"{glucose['tight_70_to_140']:.1f} %"),
                ("LBGI, HBGI", f"{glucose['lbgi']:.1f}, {glucose['hbgi']:.1f}"),
            ]
        share = found["basal_share"]
        mean = found["mean_day_uu"]
        rows += [
            ("Insulin a day", "none" if mean is None else format_dose(mean)),
            ("Basal", "-" if share is None else f"{share:.0f} %, {format_dose(found['basal_uu'])}"),
            ("Boluses", f"{format_dose(found['bolus_uu'])}, {found['boluses']} of them"),
            ("of it corrections", format_dose(found["correction_uu"])),
            ("Primed, cannula", f"{format_dose(found['prime_uu'] + found['cannula_uu'])}: no dose"),
            ("Uncertain doses", str(found["uncertain"])),
            ("Alarms", str(found["alarms"])),
        ]
        figure.text(0.42, 0.868, "Confirmed amounts, whole days", fontsize=8, color=_GREY)
        for number, (label, text) in enumerate(rows):
            y = 0.845 - 0.0195 * number
            figure.text(0.42, y, label, fontsize=9, color=_GREY)
            figure.text(0.62, y, text, fontsize=9, color=_INK)

    # ------------------------------------------------------------------ the days

    def _days(self, numbers: Sequence[int]) -> Figure:
        figure = Figure(figsize=_PAPER)
        height = 0.84 / _DAYS_A_PAGE
        for place, day in enumerate(numbers):
            top = 0.925 - place * height
            upper = figure.add_axes((0.09, top - height * 0.62, 0.85, height * 0.50))
            lower = figure.add_axes((0.09, top - height * 0.86, 0.85, height * 0.21))
            self._day(upper, lower, day)
        return figure

    def _day(self, upper: Axes, lower: Axes, day: int) -> None:
        offset_s = self._offset_s(day)
        begin_ns = day * DAY_NS - offset_s * NS_PER_S
        graph = self._queries.graph(begin_ns + DAY_NS, 24)

        def hour(utc_ns: int) -> float:
            return (utc_ns - begin_ns) / NS_PER_H

        sums = next(iter(self._queries.days(day, 1)), None)
        weekday = datetime.fromtimestamp(day * DAY_NS // NS_PER_S, UTC)
        upper.set_title(
            f"{weekday:%A} {date_of(day)}" + ("" if sums is None else f"   {_in_words(sums)}"),
            fontsize=8,
            loc="left",
            color=_INK,
        )
        upper.axhspan(70, 180, color=_RANGE, zorder=0)
        for began, ended in graph["suspended"]:
            end = 24.0 if ended is None else hour(ended)
            upper.axvspan(hour(began), end, color="#f3dcd9", zorder=0, linewidth=0)
        for piece in _unbroken(graph["glucose"]):
            upper.plot(
                [hour(at) for at, _ in piece],
                [min(_HIGHEST, value) for _, value in piece],
                color=_INK,
                linewidth=1.0,
            )
        for at, value in graph["fingers"]:
            upper.plot(hour(at), min(_HIGHEST, value), "o", color="#a4243b", markersize=3)
        for alarm in graph["alarms"]:
            if alarm["priority"] in ("high", "medium"):
                upper.plot(hour(alarm["utc_ns"]), _HIGHEST - 12, "v", color="#a4243b", markersize=3)
        upper.set_ylim(40, _HIGHEST)
        upper.set_yticks([70, 180, 300])
        _hours(upper, labels=False)
        self._insulin(lower, graph, hour)

    def _insulin(self, lower: Axes, graph: Mapping[str, Any], hour: Any) -> None:  # noqa: ANN401
        hours: list[float] = []
        rates: list[float] = []
        for began, ended, rate in graph["basal"]:  # one area: a hundred of them take seconds
            end = min(24.0, hour(ended)) if ended is not None else hour(graph["until_utc_ns"])
            begin = max(0.0, hour(began))
            hours += [begin, begin, end, end]
            rates += [0.0, (rate or 0) / UU_PER_U, (rate or 0) / UU_PER_U, 0.0]
        lower.fill_between(hours, rates, color=_BASAL, alpha=0.35, linewidth=0)
        highest = max((one[2] or 0 for one in graph["basal"]), default=0) / UU_PER_U
        lower.set_ylim(0, max(1.0, highest * 1.4))
        lower.set_ylabel("U/h", fontsize=6, color=_GREY)
        doses = lower.twinx()
        given = [(hour(one["utc_ns"]), one["confirmed_uu"] / UU_PER_U) for one in graph["boluses"]]
        widths = [0.7 if one["kind"] == "extended" else 1.4 for one in graph["boluses"]]
        amounts = [amount for _, amount in given]
        doses.vlines([at for at, _ in given], 0, amounts, color=_BOLUS, linewidth=widths)
        for at, amount in given:
            doses.text(at + 0.1, amount, f"{amount:.2f}", fontsize=5.5, color=_BOLUS, va="bottom")
        doses.set_ylim(0, max([1.0, *amounts]) * 1.5)
        doses.tick_params(labelsize=6, colors=_GREY, length=2)
        _bare(doses)
        _hours(lower, labels=True)

    def _offset_s(self, day: int) -> int:
        found = self._rollup.db.execute(
            "SELECT last_offset_s FROM days WHERE day <= ? ORDER BY day DESC LIMIT 1", (day,)
        ).fetchone()
        return int(found[0]) if found else 0

    # ------------------------------------------------------------------ the last pages

    def _last_lines(self, until_day: int, days: int) -> Iterator[tuple[str, str]]:
        from_ns = (until_day - days + 1) * DAY_NS - self._offset_s(until_day) * NS_PER_S
        until_ns = from_ns + days * DAY_NS
        yield "#", "Settings in force"
        rows = self._rollup.db.execute("SELECT name, text FROM settings ORDER BY name").fetchall()
        settings = {name: json.loads(text) for name, text in rows}
        for name, value in settings.items():
            yield from _setting(name, value)
        yield "", ""
        yield "#", "Cartridge, set and waste"
        changes = self._queries.events(("set_change",), from_ns, until_ns)
        wasted = 0
        for one in changes:
            wasted += sum((one["body"].get("wasted_steps") or {}).values())
            site = one["body"].get("site")
            text = one["body"]["event"] + (f" at {site}" if site else "")
            yield _when(one["utc_ns"], one["offset_s"]), text
        summary = self._queries.summary(until_day, days)
        yield "cartridges", f"{summary['changes']} filled"
        state = self._rollup.state
        wasted_uu = wasted * state.ratio_uu // state.ratio_steps
        yield "wasted", f"{format_dose(wasted_uu)} left behind at changes"
        yield (
            "primed",
            f"{format_dose(summary['prime_uu'])}, cannula {format_dose(summary['cannula_uu'])}",
        )
        yield from self._cost(summary, changes)
        yield "", ""
        yield "#", "Does it add up"
        sums = self._queries.conservation()
        yield (
            "steps",
            f"{sums['by_doses_steps']} by doses, {sums['by_leases_steps']} by leases: "
            f"off by {sums['error_steps']}",
        )
        if (held := sums["cartridge"]) is not None:
            yield (
                "cartridge",
                f"filled {format_dose(held['filled_uu'])} = delivered "
                f"{format_dose(held['delivered_uu'])} + primed {format_dose(held['primed_uu'])} + "
                f"left {format_dose(held['left_uu'])}",
            )
        yield "", ""
        yield "#", "Uncertain doses"
        unsure = self._unsure(from_ns, until_ns)
        for one in unsure:
            yield (
                _when(one["utc_ns"], one["offset_s"]),
                f"{one['kind']}: between {one['confirmed_steps']} and {one['maximum_steps']} steps",
            )
        if not unsure:
            yield "", "none"

    def _unsure(self, from_ns: int, until_ns: int) -> list[dict[str, Any]]:
        cursor = self._rollup.db.execute(
            "SELECT kind, utc_ns, offset_s, confirmed_steps, maximum_steps FROM doses"
            " WHERE utc_ns >= ? AND utc_ns < ? AND certainty IN ('uncertain', 'unknown')"
            " ORDER BY utc_ns LIMIT 200",
            (from_ns, until_ns),
        )
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _cost(
        self, summary: Mapping[str, Any], changes: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, str]]:
        prices, parts = self._prices, []
        if prices.insulin_per_u is not None:
            used_uu = summary["total_uu"] + summary["prime_uu"] + summary["cannula_uu"]
            parts.append(("insulin", used_uu / UU_PER_U * prices.insulin_per_u))
        if prices.cartridge is not None:
            parts.append(("cartridges", summary["changes"] * prices.cartridge))
        if prices.infusion_set is not None:
            sets = sum("cannula" in (one["body"].get("renews") or ()) for one in changes)
            parts.append(("sets", sets * prices.infusion_set))
        for name, amount in parts:
            yield f"cost of {name}", f"{amount:.2f} {prices.currency}"
        if parts:
            yield "cost in all", f"{sum(one for _, one in parts):.2f} {prices.currency}"


def _in_words(sums: Mapping[str, Any]) -> str:
    text = f"total {format_dose(sums['total_uu'])}, basal {format_dose(sums['basal_uu'])}"
    glucose = sums["glucose"]
    if glucose is not None:
        text += f", {glucose['from_70_to_180']:.0f} % in range, mean {glucose['mean_mg_dl']:.0f}"
    hours = sums["length_s"] // 3_600
    return text if hours == 24 else f"{text}   ({hours} h: the clocks changed)"


def _unbroken(readings: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """Yield readings in pieces without a gap: nothing is drawn where nothing was read."""
    piece: list[Sequence[int]] = []
    for one in readings:
        if piece and one[0] - piece[-1][0] > 15 * 60 * NS_PER_S:
            yield piece
            piece = []
        piece.append(one)
    if piece:
        yield piece


def _ranges(axes: Axes, glucose: Mapping[str, Any] | None) -> None:
    axes.set_title("Time in ranges, mg/dL", fontsize=9, loc="left", color=_INK, pad=14)
    _bare(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(0, 2.6)
    axes.set_ylim(0, 100)
    if glucose is None:
        axes.text(0, 50, "no readings", fontsize=9, color=_GREY)
        return
    bottom, label_y = 0.0, -10.0
    for name, words, color in reversed(_BANDS):
        share = glucose[name]
        axes.bar(0.35, share, width=0.6, bottom=bottom, color=color)
        label_y = max(bottom + share / 2, label_y + 7.5)
        axes.text(0.85, label_y, f"{words}: {share:.1f} %", fontsize=8, va="center", color=_INK)
        bottom += share


def _profile(axes: Axes, slots: Sequence[Mapping[str, Any]]) -> None:
    axes.set_title(
        "Glucose by the time of day: median, 25 to 75 %, 5 to 95 %, mg/dL",
        fontsize=9,
        loc="left",
        color=_INK,
    )
    axes.axhspan(70, 180, color=_RANGE, zorder=0)
    hours = [(slot["min_of_day"] + 7.5) / 60 for slot in slots]
    if slots:
        for low, high, alpha in (("p5", "p95", 0.15), ("p25", "p75", 0.35)):
            axes.fill_between(
                hours,
                [slot[low] for slot in slots],
                [slot[high] for slot in slots],
                color=_BASAL,
                alpha=alpha,
                linewidth=0,
            )
        axes.plot(hours, [slot["p50"] for slot in slots], color=_BOLUS, linewidth=1.6)
    axes.set_ylim(40, _HIGHEST)
    axes.set_yticks([54, 70, 140, 180, 250])
    _hours(axes, labels=True)


def _hours(axes: Axes, *, labels: bool) -> None:
    axes.set_xlim(0, 24)
    # Ticks are dear: axes without words on them have none, and lines instead of a grid.
    hours = list(range(0, 25, 3))
    axes.set_xticks(
        hours if labels else [], [f"{hour % 24:02d}:00" for hour in hours] if labels else []
    )
    axes.vlines(hours, *axes.get_ylim(), color="#e4e7eb", linewidth=0.4, zorder=0.5)
    axes.tick_params(labelsize=6, colors=_GREY, length=2)
    _bare(axes)


def _bare(axes: Axes) -> None:
    for side in axes.spines.values():
        side.set_visible(False)


def _text_page(lines: Sequence[tuple[str, str]]) -> Figure:
    figure = Figure(figsize=_PAPER)
    for number, (label, text) in enumerate(lines):
        y = 0.925 - 0.0185 * number
        if label == "#":
            figure.text(0.08, y - 0.002, text, fontsize=11, color=_INK, weight="bold")
        else:
            figure.text(0.08, y, label, fontsize=8, color=_GREY)
            figure.text(0.27, y, text, fontsize=8, color=_INK)
    return figure


def _setting(name: str, value: object) -> Iterator[tuple[str, str]]:
    if name.startswith("basal.profile.") and isinstance(value, list):
        label = f"profile {name.removeprefix('basal.profile.')}"
        for one in value:
            at = one["start_min_of_day"]
            yield label, f"{at // 60:02d}:{at % 60:02d}  {format_rate(one['rate_uu_per_h'])}"
            label = ""
    elif isinstance(value, dict):
        words = ", ".join(_named(key, one) for key, one in value.items() if one is not None)
        for number, piece in enumerate(_folded(words, 95)):
            yield (name if number == 0 else ""), piece
    else:
        yield name, str(value)


def _named(key: str, value: object) -> str:
    """Say one setting of several with its unit."""
    if isinstance(value, int) and key.endswith("_uu_per_h"):
        return f"{key.removesuffix('_uu_per_h').replace('_', ' ')} {format_rate(value)}"
    if isinstance(value, int) and key.endswith("_uu"):
        return f"{key.removesuffix('_uu').replace('_', ' ')} {format_dose(value)}"
    return f"{key.replace('_', ' ')} {value}"


def _folded(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) + 1 > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def _when(utc_ns: int, offset_s: int) -> str:
    local = datetime.fromtimestamp(utc_ns // NS_PER_S, UTC) + timedelta(seconds=offset_s)
    return f"{local:%Y-%m-%d %H:%M}"


def _stamp(figure: Figure, pump: str, page: int) -> None:
    """Put the mark on a page: above, below, and across it."""
    figure.text(0.5, 0.5, "BENCH", fontsize=110, color="#000000", alpha=0.035, rotation=55,
                ha="center", va="center", weight="bold")  # fmt: skip
    figure.text(0.92, 0.962, MARK, fontsize=8, color="#a4243b", ha="right", weight="bold")
    figure.text(0.08, 0.03, f"{pump}   {MARK}", fontsize=7, color=_GREY)
    figure.text(0.92, 0.03, f"page {page}", fontsize=7, color=_GREY, ha="right")
