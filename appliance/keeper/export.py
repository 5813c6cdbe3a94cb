"""Exports: CSV with a data dictionary, JSON, Nightscout's shapes, and one SQLite file.

Everything is written row by row, so ten years need no more memory than a day. Each file says that
it is of a bench, and of every amount whether it was programmed, confirmed or the most there can
have been.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from heapq import merge
from pathlib import Path
from typing import Any, TextIO

from appliance.domain.units import NS_PER_MS, NS_PER_S, UU_PER_U
from appliance.keeper.queries import Queries
from appliance.keeper.rollup import Summed

BENCH = "BENCH"
ENTERED_BY = "Benchpump BENCH"
_DAYS_AT_ONCE = 60

Row = Mapping[str, Any]

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "doses.csv": {
        "seq": "number of the ledger's row that entered the dose",
        "id": "the dose's own id, the same in every export",
        "kind": "basal, bolus, extended; prime, cannula and rewind are no doses",
        "utc": "when it was entered, ISO 8601",
        "local": "the same in the pump's local time",
        "ended_utc": "when it was closed; empty while it runs",
        "programmed_uu": "asked for, microunits (1 U = 1,000,000); empty for basal: a rate",
        "rate_uu_per_h": "at which rate, microunits an hour",
        "correction_uu": "the part that was asked for as a correction, microunits",
        "carbs_g": "the food it was given for, grams of carbohydrate, as a person said",
        "confirmed_steps": "microsteps read back while the motor was enabled",
        "maximum_steps": "the most microsteps that can have moved",
        "confirmed_uu": "confirmed_steps in microunits, rounded down",
        "maximum_uu": "maximum_steps in microunits, rounded down",
        "certainty": "exact (confirmed = maximum), uncertain (between them), unknown, open",
        "outcome": "done, stopped, fault, uncertain, open",
        "why": "what ended it",
        "mark": "always BENCH: water only, no medical device",
    },
    "glucose.csv": {
        "seq": "number of the ledger's row",
        "utc": "when it was measured, ISO 8601",
        "local": "the same in the pump's local time",
        "mg_dl": "glucose, mg/dL",
        "kind": "sensor, or finger for one that a person entered",
        "source": "which source gave it",
        "mark": "always BENCH",
    },
    "days.csv": {
        "date": "the local day",
        "length_s": "how long it was, seconds: 82,800 or 90,000 where clocks changed",
        "basal_uu": "confirmed basal, microunits",
        "bolus_uu": "confirmed boluses, extended ones included, microunits",
        "correction_uu": "the part of them asked for as corrections, microunits",
        "total_uu": "basal and boluses, microunits",
        "prime_uu": "used to prime, microunits: no dose",
        "cannula_uu": "used to fill the cannula, microunits: no dose",
        "boluses": "how many",
        "uncertain": "doses that were closed with two bounds",
        "alarms": "raised on this day",
        "changes": "of the cartridge",
        "readings": "of the glucose sensor",
        "covered": "per cent of the day's five-minute slots with a reading",
        "mean_mg_dl": "mean glucose, mg/dL",
        "sd_mg_dl": "its standard deviation, of a sample (n - 1), mg/dL",
        "from_70_to_180": "per cent of the readings in 70 to 180 mg/dL",
        "from_54_to_69": "per cent in 54 to 69 mg/dL",
        "under_54": "per cent under 54 mg/dL",
        "from_181_to_250": "per cent in 181 to 250 mg/dL",
        "over_250": "per cent over 250 mg/dL",
        "mark": "always BENCH",
    },
    "events.csv": {
        "seq": "number of the ledger's row",
        "utc": "when, ISO 8601",
        "local": "the same in the pump's local time",
        "kind": "alarm, state, set_change, temp, protection, line, clock, sleep, guard, start, end",
        "body": "the row's own fields, as JSON",
        "mark": "always BENCH",
    },
}
"""Every file of the CSV export, its columns, and what each means: the data dictionary."""


class Exporter:
    """Writes what one roll-up holds. It has followed to the ledger's end."""

    def __init__(self, rollup: Summed) -> None:
        self._db = rollup.db
        self._queries = Queries(rollup)
        self._rollup = rollup

    def write(self, folder: Path) -> list[Path]:
        """Write every kind of export into a folder, which is made; return the files.

        Raises OSError; FileExistsError where the folder holds an export already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        shapes = folder / "nightscout"
        shapes.mkdir()
        return [
            *self.csv(folder),
            self.json(folder / "export.json"),
            *self.nightscout(shapes),
            self.snapshot(folder / "snapshot.db"),
        ]

    # ------------------------------------------------------------------ CSV and JSON

    def csv(self, folder: Path) -> list[Path]:
        """Write the CSV files and their dictionary. Raises OSError."""
        tables = {
            "doses.csv": self.doses(),
            "glucose.csv": self.readings(),
            "days.csv": self.days(),
            "events.csv": self.events(),
        }
        written = []
        for name, rows in tables.items():
            columns = list(COLUMNS[name])
            with (folder / name).open("x", encoding="utf-8", newline="") as out:
                writer = csv.writer(out, lineterminator="\n")
                writer.writerow(columns)
                for row in rows:
                    cells = {**row, "mark": BENCH}
                    writer.writerow([_cell(cells.get(column)) for column in columns])
            written.append(folder / name)
        dictionary = folder / "data-dictionary.csv"
        with dictionary.open("x", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["file", "column", "meaning", "mark"])
            for name, columns_of in COLUMNS.items():
                for column, meaning in columns_of.items():
                    writer.writerow([name, column, meaning, BENCH])
        return [*written, dictionary]

    def json(self, path: Path) -> Path:
        """Write one JSON object with a list of each kind. Raises OSError."""
        with path.open("x", encoding="utf-8") as out:
            out.write(f'{{"bench": true, "mark": "{BENCH}", "last_seq": {self._rollup.seq}')
            for name, rows in (
                ("doses", self.doses()),
                ("glucose", self.readings()),
                ("days", self.days()),
                ("events", self.events()),
            ):
                out.write(f',\n"{name}": ')
                _array(out, rows)
            out.write("}\n")
        return path

    def doses(self) -> Iterator[Row]:
        """Yield every dose, oldest first."""
        cursor = self._db.execute("SELECT * FROM doses ORDER BY seq")
        for dose in _rows(cursor):
            ratio_uu, ratio_steps = dose.pop("ratio_uu"), dose.pop("ratio_steps")
            for bound in ("confirmed", "maximum"):
                dose[f"{bound}_uu"] = dose[f"{bound}_steps"] * ratio_uu // ratio_steps
            yield dose | _times(dose) | {"ended_utc": _iso(dose["end_utc_ns"])}

    def readings(self) -> Iterator[Row]:
        """Yield every reading, oldest first."""
        for one in _rows(self._db.execute("SELECT * FROM readings ORDER BY utc_ns")):
            kind = "finger" if one.pop("finger") else "sensor"
            yield one | _times(one) | {"kind": kind}

    def days(self) -> Iterator[Row]:
        """Yield every local day with anything in it, oldest first."""
        first, last = self._span()
        for begin in range(first, last + 1, _DAYS_AT_ONCE):
            until = min(last, begin + _DAYS_AT_ONCE - 1)
            for day in reversed(self._queries.days(until, until - begin + 1)):
                glucose = day.pop("glucose") or {}
                yield day | glucose

    def events(self) -> Iterator[Row]:
        """Yield every alarm, change and event, oldest first."""
        for one in _rows(self._db.execute("SELECT * FROM events ORDER BY seq")):
            yield one | _times(one)

    def _span(self) -> tuple[int, int]:
        first, last = self._db.execute(
            "SELECT min(day), max(day) FROM"
            " (SELECT day FROM days UNION SELECT day FROM glucose_days)"
        ).fetchone()
        return (0, -1) if first is None else (first, last)

    # ------------------------------------------------------------------ Nightscout's shapes

    def nightscout(self, folder: Path) -> list[Path]:
        """Write treatments, entries, devicestatus and profile. Raises OSError."""
        tables = {
            "entries.json": self.entries(),
            "treatments.json": self.treatments(),
            "devicestatus.json": self.devicestatus(),
            "profile.json": self.profile(),
        }
        for name, rows in tables.items():
            with (folder / name).open("x", encoding="utf-8") as out:
                _array(out, rows)
                out.write("\n")
        return [folder / name for name in tables]

    def entries(self, after_seq: int = 0) -> Iterator[Row]:
        """Yield readings as Nightscout's entries, oldest first."""
        rows = _rows(
            self._db.execute("SELECT * FROM readings WHERE seq > ? ORDER BY seq", (after_seq,))
        )
        for one in rows:
            kind = "mbg" if one["finger"] else "sgv"
            yield {
                "identifier": f"benchpump-{one['seq']}",
                "seq": one["seq"],
                "type": kind,
                kind: one["mg_dl"],
                "date": one["utc_ns"] // NS_PER_MS,
                "dateString": _iso(one["utc_ns"]),
                "device": f"{ENTERED_BY} {one['source']}",
                "utcOffset": one["offset_s"] // 60,
            }

    def treatments(self, after_seq: int = 0) -> Iterator[Row]:
        """Yield boluses, basal and changes as treatments, in order of the row that ended each.

        A dose that runs is left out until it has ended. Amounts are confirmed; where the most that
        can have moved is more, the notes say so.
        """
        doses = self._db.execute(
            "SELECT * FROM doses WHERE end_seq > ? ORDER BY end_seq", (after_seq,)
        )
        changes = self._db.execute(
            "SELECT * FROM cartridges WHERE seq > ? ORDER BY seq", (after_seq,)
        )
        ended = (found for one in _rows(doses) if (found := _treatment(one)) is not None)
        filled = (
            {
                "identifier": f"benchpump-{one['seq']}",
                "seq": one["seq"],
                "eventType": "Insulin Change",
                "created_at": _iso(one["utc_ns"]),
                "enteredBy": ENTERED_BY,
                "notes": f"{BENCH}: filled with {one['filled_uu'] / UU_PER_U:g} U",
            }
            for one in _rows(changes)
        )
        yield from merge(ended, filled, key=lambda one: int(one["seq"]))

    def devicestatus(self) -> Iterator[Row]:
        """Yield the pump as it was at the ledger's last row."""
        found = self._db.execute("SELECT utc_ns FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        if found is None:
            return
        cartridge = self._queries.conservation()["cartridge"]
        state = self._db.execute(
            "SELECT body FROM events WHERE kind = 'state' ORDER BY seq DESC LIMIT 1"
        ).fetchone()
        status = json.loads(state[0])["to"] if state else "unknown"
        pump: dict[str, Any] = {"clock": _iso(found[0]), "status": {"status": status}}
        pump["status"]["suspended"] = status != "running"
        if cartridge is not None:
            pump["reservoir"] = cartridge["left_uu"] / UU_PER_U
        yield {
            "identifier": f"benchpump-status-{self._rollup.seq}",
            "device": ENTERED_BY,
            "created_at": _iso(found[0]),
            "pump": pump,
        }

    def profile(self) -> Iterator[Row]:
        """Yield the basal profiles as one Nightscout profile."""
        rows = self._db.execute("SELECT name, text, utc_ns FROM settings").fetchall()
        settings = {name: json.loads(text) for name, text, _ in rows}
        prefix = "basal.profile."
        store = {
            name.removeprefix(prefix): _profile(segments)
            for name, segments in settings.items()
            if name.startswith(prefix)
        }
        if store:
            since_ns = max(utc_ns for name, _, utc_ns in rows if name.startswith(prefix))
            yield {
                "defaultProfile": settings.get("basal.active") or next(iter(store)),
                "store": store,
                "startDate": _iso(since_ns),
                "enteredBy": ENTERED_BY,
            }

    # ------------------------------------------------------------------ one SQLite file

    def snapshot(self, path: Path) -> Path:
        """Write one SQLite file that any viewer opens, Datasette among them. Raises OSError,
        sqlite3.Error.
        """
        path.touch(exist_ok=False)
        with closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("DROP TABLE meta")
            copy.execute("CREATE TABLE about (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT")
            copy.executemany(
                "INSERT INTO about VALUES (?, ?)",
                [
                    ("mark", f"{BENCH}: water only, not a medical device"),
                    ("last_seq", str(self._rollup.seq)),
                    ("units", "insulin in microunits (_uu), motion in microsteps, times in ns"),
                ],
            )
            copy.commit()
            copy.execute("VACUUM")
        return path


def _treatment(one: Row) -> dict[str, Any] | None:
    confirmed_u = one["confirmed_steps"] * one["ratio_uu"] / one["ratio_steps"] / UU_PER_U
    maximum_u = one["maximum_steps"] * one["ratio_uu"] / one["ratio_steps"] / UU_PER_U
    notes = f"{BENCH}: confirmed {one['confirmed_steps']} steps, {one['outcome']}"
    if one["maximum_steps"] != one["confirmed_steps"]:
        notes += f", at most {maximum_u:.3f} U"
    body: dict[str, Any] = {
        "identifier": f"benchpump-{one['seq']}",
        "seq": one["end_seq"],
        "created_at": _iso(one["utc_ns"]),
        "enteredBy": ENTERED_BY,
        "notes": notes,
    }
    minutes = round((one["end_utc_ns"] - one["utc_ns"]) / NS_PER_S / 60, 2)
    match one["kind"]:
        case "bolus":
            kind = "Correction Bolus" if one["correction_uu"] else "Bolus"
            kind = "Meal Bolus" if one["carbs_g"] else kind
            carbs = {"carbs": one["carbs_g"]} if one["carbs_g"] else {}
            return body | {"eventType": kind, "insulin": round(confirmed_u, 4), **carbs}
        case "extended":
            return body | {
                "eventType": "Combo Bolus",
                "insulin": round(confirmed_u, 4),
                "duration": minutes,
                "splitNow": 0,
                "splitExt": 100,
            }
        case "basal":
            rate = (one["rate_uu_per_h"] or 0) / UU_PER_U
            return body | {"eventType": "Temp Basal", "absolute": rate, "duration": minutes}
        case _:
            return None


def _profile(segments: Sequence[Row]) -> dict[str, Any]:
    def column(field: str, scale: float) -> list[dict[str, Any]]:
        return [
            {
                "time": f"{one['start_min_of_day'] // 60:02d}:{one['start_min_of_day'] % 60:02d}",
                "value": one[field] / scale,
            }
            for one in segments
            if one.get(field) is not None
        ]

    return {
        "basal": column("rate_uu_per_h", UU_PER_U),
        "carbratio": column("carb_ratio_mg_per_u", 1_000),
        "sens": column("sensitivity_mg_dl_per_u", 1),
        "target_low": column("target_mg_dl", 1),
        "target_high": column("target_mg_dl", 1),
        "units": "mg/dL",
    }


def _rows(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    for values in cursor:
        yield dict(zip(names, values, strict=True))


def _array(out: TextIO, rows: Iterable[Row]) -> None:
    out.write("[")
    for number, row in enumerate(rows):
        out.write(("," if number else "") + "\n" + json.dumps(row))
    out.write("]")


def _times(row: Row) -> dict[str, str]:
    return {"utc": _iso(row["utc_ns"]), "local": _local(row["utc_ns"], row["offset_s"])}


def _iso(utc_ns: int | None) -> str:
    """Write an instant as ISO 8601 to the millisecond; nothing for none, or one that is no date."""
    if utc_ns is None:
        return ""
    try:
        seen = datetime.fromtimestamp(utc_ns // NS_PER_S, UTC)
    except (OverflowError, ValueError):
        return ""
    return f"{seen:%Y-%m-%dT%H:%M:%S}.{utc_ns // NS_PER_MS % 1_000:03d}Z"


def _local(utc_ns: int, offset_s: int) -> str:
    try:
        seen = datetime.fromtimestamp(utc_ns // NS_PER_S, timezone(timedelta(seconds=offset_s)))
    except (OverflowError, ValueError):
        return ""
    return seen.isoformat(" ", "seconds")


def _cell(raw: object) -> object:
    # A cell that a spreadsheet would take for a formula is made a text.
    if isinstance(raw, str) and raw.startswith(("=", "+", "-", "@")):
        return "'" + raw
    return raw
