"""What faces ask of the keeper's database: a graph, days, a summary, the profile of the day.

Everything is bounded: an answer holds at most so many hours, days or rows, and says what it left
out. Amounts are microunits, rounded down from the steps that were read back; the larger bound
stands beside them where they differ.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from appliance.domain.outcomes import DoseKind, Outcome
from appliance.domain.statistics import (
    BANDS_MG_DL,
    ENOUGH_DAYS,
    ENOUGH_SHARE,
    SLOT_NS,
    Sample,
    Tally,
    profile_of_day,
)
from appliance.domain.units import NS_PER_H, NS_PER_S
from appliance.keeper.rollup import DAY_NS, STEP_KINDS, Summed, day_of, glucose_days

MOST_HOURS = 72
MOST_DAYS = 366
MOST_MARKS = 500
"""The most boluses, alarms or blocks of basal in one graph; the newest are kept."""

_EPOCH = date(1970, 1, 1)
_LONGEST_NS = 9 * NS_PER_H  # an extended bolus goes on for 8 h at most
_BLOCK_NS = 2 * NS_PER_H
_BOLUSES = (DoseKind.BOLUS.value, DoseKind.EXTENDED.value)
_NO_SUMS = {f"{kind}_uu": 0 for kind in STEP_KINDS} | {
    f"{kind}_maximum_uu": 0 for kind in STEP_KINDS
}

Fields = dict[str, Any]


def date_of(day: int) -> str:
    """Return a day counted from 1970 as "2026-11-26"."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def day_number(text: str) -> int:
    """Read "2026-11-26" as a day counted from 1970. Raises ValueError."""
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise ValueError(f'date = {text[:40]!a} is not a day such as "2026-11-26"') from None


class Queries:
    """Answers from a roll-up that has followed to the ledger's end."""

    def __init__(self, rollup: Summed) -> None:
        self._rollup = rollup

    @property
    def _db(self) -> sqlite3.Connection:
        return self._rollup.db

    def graph(self, until_utc_ns: int, hours: int = 3) -> Fields:
        """Return what a graph of ``hours`` up to ``until_utc_ns`` draws.

        Raises ValueError for hours out of range.
        """
        if not 1 <= hours <= MOST_HOURS:
            raise ValueError(f"hours = {hours} is out of range: it must be 1 to {MOST_HOURS}")
        from_ns = until_utc_ns - hours * NS_PER_H
        sensor, fingers = self._readings(from_ns, until_utc_ns)
        basal = self._doses(("basal",), from_ns - _BLOCK_NS, until_utc_ns, ended_after=from_ns)
        boluses = self._doses(_BOLUSES, from_ns - _LONGEST_NS, until_utc_ns, ended_after=from_ns)
        alarms = self._events(("alarm",), from_ns, until_utc_ns)
        return {
            "from_utc_ns": from_ns,
            "until_utc_ns": until_utc_ns,
            "glucose": sensor,
            "fingers": fingers,
            "basal": [[one["utc_ns"], one["end_utc_ns"], one["rate_uu_per_h"]] for one in basal],
            "boluses": boluses,
            "alarms": [
                {
                    "utc_ns": one["utc_ns"],
                    **{
                        name: one["body"].get(name) for name in ("code", "priority", "name", "text")
                    },
                }
                for one in alarms
            ],
            "suspended": self._suspended(from_ns, until_utc_ns),
            "seq": self._rollup.seq,
        }

    def days(self, until_day: int, days: int = 14) -> list[Fields]:
        """Return the sums of each of ``days`` local days up to ``until_day``, newest first.

        A day of which there is nothing is left out. Raises ValueError for days out of range.
        """
        _check_days(days)
        rows = self._day_rows(until_day - days + 1, until_day)
        glucose = glucose_days(self._db, until_day - days + 1, until_day)
        found = []
        for day in sorted({*rows, *glucose}, reverse=True):
            sums = rows.get(day, dict(_NO_SUMS))
            length_ns = DAY_NS - sums.pop("longer_s", 0) * NS_PER_S
            found.append(
                {
                    "date": date_of(day),
                    "length_s": length_ns // NS_PER_S,
                    **sums,
                    "total_uu": sums["basal_uu"] + sums["bolus_uu"],
                    "glucose": glucose_summary([glucose[day]] if day in glucose else [], length_ns),
                }
            )
        return found

    def summary(self, until_day: int, days: int = 14) -> Fields:
        """Return the sums of ``days`` local days up to ``until_day``, and a day's mean of them.

        The mean is of the days in which something was delivered. Raises ValueError.
        """
        _check_days(days)
        rows = self._day_rows(until_day - days + 1, until_day)
        glucose = glucose_days(self._db, until_day - days + 1, until_day)
        totals: Fields = dict(_NO_SUMS)
        counts = dict.fromkeys(("boluses", "uncertain", "alarms", "changes"), 0)
        with_dose = shorter_s = 0
        for sums in rows.values():
            shorter_s += sums.pop("longer_s", 0)
            with_dose += 1 if sums["basal_uu"] + sums["bolus_uu"] > 0 else 0
            for name in totals:
                totals[name] += sums[name]
            for name in counts:
                counts[name] += sums[name]
        total_uu = totals["basal_uu"] + totals["bolus_uu"]
        length_ns = days * DAY_NS - shorter_s * NS_PER_S
        return {
            "from_date": date_of(until_day - days + 1),
            "until_date": date_of(until_day),
            "days": days,
            "days_with_delivery": with_dose,
            **totals,
            **counts,
            "total_uu": total_uu,
            "mean_day_uu": total_uu // with_dose if with_dose else None,
            "basal_share": 100 * totals["basal_uu"] / total_uu if total_uu else None,
            "glucose": glucose_summary(glucose.values(), length_ns),
            "seq": self._rollup.seq,
        }

    def profile(self, until_day: int, days: int = 14) -> list[Mapping[str, Any]]:
        """Return the percentiles of glucose by the time of day, over ``days`` local days."""
        _check_days(days)
        return profile_of_day(self.samples(until_day - days + 1, until_day))

    def samples(self, from_day: int, until_day: int) -> list[Sample]:
        """Return the sensor's readings of local days, both ends included, oldest first."""
        rows = self._db.execute(
            "SELECT utc_ns, mg_dl, offset_s FROM readings WHERE finger = 0 AND utc_ns >= ?"
            " AND utc_ns < ? ORDER BY utc_ns, seq",
            ((from_day - 1) * DAY_NS, (until_day + 2) * DAY_NS),
        )
        return [
            Sample(utc_ns, mg_dl, offset_s)
            for utc_ns, mg_dl, offset_s in rows
            if from_day <= day_of(utc_ns, offset_s) <= until_day
        ]

    def totals(self) -> dict[str, int]:
        """Return sums of the whole ledger that only rise: steps, doses, readings, alarms, rows."""
        found = {"rows": self._rollup.seq}
        found["confirmed_steps"] = self._rollup.state.leased_confirmed_steps
        for name, sql in (
            ("boluses", "SELECT coalesce(sum(boluses), 0) FROM days"),
            ("uncertain_doses", "SELECT coalesce(sum(uncertain), 0) FROM days"),
            ("alarms_raised", "SELECT coalesce(sum(alarms), 0) FROM days"),
            (
                "glucose_readings",  # asked at every scrape: a million rows are not counted for it
                "SELECT (SELECT coalesce(sum(readings), 0) FROM glucose_days)"
                " + (SELECT count(*) FROM readings WHERE finger = 1)",
            ),
        ):
            (found[name],) = self._db.execute(sql).fetchone()
        return found

    def conservation(self) -> Fields:
        """Return whether what left the cartridge adds up: by leases, and by doses.

        Both are sums over the whole ledger, reached by different rows; ``error_steps`` is what they
        differ by. ``open_steps`` belong to doses that still run.
        """
        (doses,) = self._db.execute(
            "SELECT coalesce(sum(confirmed_steps), 0) FROM doses WHERE kind <> 'rewind'"
        ).fetchone()
        running = sum(
            sum(one.placed.values())
            for one in self._rollup.state.open.values()
            if one.kind != DoseKind.REWIND.value
        )
        leases = self._rollup.state.leased_confirmed_steps
        found = self._db.execute(
            "SELECT seq, utc_ns, filled_uu FROM cartridges ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        return {
            "by_leases_steps": leases,
            "by_doses_steps": doses + running,
            "open_steps": running,
            "error_steps": doses + running - leases,
            "cartridge": None if found is None else self._cartridge(*found),
        }

    def _cartridge(self, seq: int, utc_ns: int, filled_uu: int) -> Fields:
        sums = {"dosed": 0, "primed": 0}
        rows = self._db.execute(
            "SELECT kind, sum(confirmed_steps), ratio_uu, ratio_steps FROM doses WHERE seq > ?"
            " AND kind <> 'rewind' GROUP BY kind, ratio_uu, ratio_steps",
            (seq,),
        )
        for kind, confirmed, ratio_uu, ratio_steps in rows:
            name = "primed" if kind in ("prime", "cannula") else "dosed"
            sums[name] += _uu(confirmed, ratio_uu, ratio_steps)
        for one in self._rollup.state.open.values():
            if one.kind != DoseKind.REWIND.value:
                name = "primed" if one.kind in ("prime", "cannula") else "dosed"
                state = self._rollup.state
                steps = sum(one.placed.values())
                sums[name] += _uu(steps, state.ratio_uu, state.ratio_steps)
        return {
            "since_utc_ns": utc_ns,
            "filled_uu": filled_uu,
            "delivered_uu": sums["dosed"],
            "primed_uu": sums["primed"],
            "left_uu": filled_uu - sums["dosed"] - sums["primed"],
        }

    # ------------------------------------------------------------------ rows

    def _readings(self, from_ns: int, until_ns: int) -> tuple[list[list[int]], list[list[int]]]:
        rows = self._db.execute(
            "SELECT utc_ns, mg_dl, finger FROM readings WHERE utc_ns >= ? AND utc_ns <= ?"
            " ORDER BY utc_ns",
            (from_ns, until_ns),
        )
        both: tuple[list[list[int]], list[list[int]]] = ([], [])
        for utc_ns, mg_dl, finger in rows:
            both[finger].append([utc_ns, mg_dl])
        return both[0][-MOST_MARKS * 2 :], both[1][-MOST_MARKS:]

    def _doses(
        self, kinds: Sequence[str], from_ns: int, until_ns: int, *, ended_after: int
    ) -> list[Fields]:
        marks = ", ".join("?" * len(kinds))
        cursor = self._db.execute(
            "SELECT id, kind, utc_ns, end_utc_ns, offset_s, rate_uu_per_h, programmed_uu,"  # noqa: S608
            " programmed_steps, correction_uu, carbs_g, confirmed_steps, maximum_steps, certainty,"
            " outcome,"
            " ratio_uu, ratio_steps FROM doses WHERE utc_ns >= ? AND utc_ns <= ?"
            f" AND kind IN ({marks}) AND (end_utc_ns IS NULL OR end_utc_ns >= ?)"
            " ORDER BY utc_ns DESC LIMIT ?",
            (from_ns, until_ns, *kinds, ended_after, MOST_MARKS),
        )
        names = [column[0] for column in cursor.description]
        doses = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()[::-1]]
        open_steps = {one.id: sum(one.placed.values()) for one in self._rollup.state.open.values()}
        for dose in doses:
            ratio = dose.pop("ratio_uu"), dose.pop("ratio_steps")
            if dose["outcome"] == Outcome.OPEN.value:
                dose["confirmed_steps"] = open_steps.get(dose["id"], 0)
                dose["maximum_steps"] = dose["programmed_steps"] or dose["confirmed_steps"]
            dose["confirmed_uu"] = _uu(dose["confirmed_steps"], *ratio)
            dose["maximum_uu"] = _uu(dose["maximum_steps"], *ratio)
        return doses

    def _events(self, kinds: Sequence[str], from_ns: int, until_ns: int) -> list[Fields]:
        marks = ", ".join("?" * len(kinds))
        rows = self._db.execute(
            "SELECT seq, utc_ns, offset_s, kind, body FROM events WHERE utc_ns >= ?"  # noqa: S608
            f" AND utc_ns <= ? AND kind IN ({marks}) ORDER BY utc_ns DESC LIMIT ?",
            (from_ns, until_ns, *kinds, MOST_MARKS),
        ).fetchall()
        return [
            {"seq": s, "utc_ns": u, "offset_s": o, "kind": k, "body": json.loads(body)}
            for s, u, o, k, body in rows[::-1]
        ]

    def _suspended(self, from_ns: int, until_ns: int) -> list[list[int | None]]:
        """Return when protection held basal back: begin, and end or null."""
        spans: list[list[int | None]] = []
        for one in self._events(("protection",), from_ns - DAY_NS, until_ns):
            event = one["body"].get("event")
            if event == "suspended":
                spans.append([one["utc_ns"], None])
            elif event == "resumed" and spans and spans[-1][1] is None:
                spans[-1][1] = one["utc_ns"]
        return [span for span in spans if span[1] is None or span[1] >= from_ns]

    def events(self, kinds: Sequence[str], from_ns: int, until_ns: int) -> list[Fields]:
        """Return events of some kinds between two instants, oldest first: the newest 500."""
        return self._events(kinds, from_ns, until_ns)

    def boluses(self, from_ns: int, until_ns: int) -> list[Fields]:
        """Return the boluses that began between two instants, oldest first: the newest 500."""
        return self._doses(_BOLUSES, from_ns, until_ns, ended_after=0)

    def _day_rows(self, from_day: int, until_day: int) -> dict[int, Fields]:
        cursor = self._db.execute(
            "SELECT * FROM days WHERE day BETWEEN ? AND ?", (from_day, until_day)
        )
        names = [column[0] for column in cursor.description]
        found: dict[int, Fields] = {}
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            sums = found.setdefault(
                row["day"],
                dict(_NO_SUMS)
                | dict.fromkeys(("boluses", "uncertain", "alarms", "changes", "longer_s"), 0),
            )
            ratio = row["ratio_uu"], row["ratio_steps"]
            for kind in STEP_KINDS:
                sums[f"{kind}_uu"] += _uu(row[f"{kind}_confirmed_steps"], *ratio)
                sums[f"{kind}_maximum_uu"] += _uu(row[f"{kind}_maximum_steps"], *ratio)
            for name in ("boluses", "uncertain", "alarms", "changes"):
                sums[name] += row[name]
            sums["longer_s"] += row["last_offset_s"] - row["first_offset_s"]
        return found


def glucose_summary(days: Iterable[tuple[int, Tally]], length_ns: int) -> Fields | None:
    """Return the statistics of days that are kept as what their readings add up to.

    The same numbers as ``domain.statistics`` gives for the readings themselves; None without any.
    """
    whole, slots = Tally(), 0
    for covered, tally in days:
        slots += covered
        whole.add(tally)
    if not whole.readings:
        return None
    mean, sd = whole.mean_mg_dl, whole.sd_mg_dl
    covered_share = 100 * slots / max(1, -(-length_ns // SLOT_NS))
    return {
        "readings": whole.readings,
        "covered": covered_share,
        "enough": length_ns >= ENOUGH_DAYS * DAY_NS and covered_share >= ENOUGH_SHARE,
        "mean_mg_dl": mean,
        "sd_mg_dl": sd,
        "cv": None if sd is None else 100 * sd / mean,
        "gmi": 3.31 + 0.02392 * mean,
        "lbgi": whole.low_risk / whole.readings,
        "hbgi": whole.high_risk / whole.readings,
        **{band: whole.share(band) for band in BANDS_MG_DL},
    }


def _uu(steps: int, ratio_uu: int, ratio_steps: int) -> int:
    """Return whole microsteps in microunits, rounded down."""
    return steps * ratio_uu // ratio_steps


def _check_days(days: int) -> None:
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"days = {days} is out of range: it must be 1 to {MOST_DAYS}")
