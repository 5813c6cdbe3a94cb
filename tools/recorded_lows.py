#!/usr/bin/env python3
"""Protection on recorded lows: minutes under 70 mg/dL with each rule set, and without one.

    tools/recorded_lows.py             replay docs/samples/lows-*.csv; write docs/protection.md
    tools/recorded_lows.py --record    record them anew first: some minutes
    tools/recorded_lows.py FILE.csv --sensitivity 50    replay a recording of your own

The recordings are of virtual patients: the fortnights of docs/examples on a whole pump in virtual
time, with protection off. A replay goes through each recorded low, from three hours before it,
decides by the pump's own rules, and adds to each reading what the basal held back so far would have
lowered it by: its units, times the sensitivity, times the share of the curve that has acted. The
same patients are then lived again, with the same meals, boluses and errors of the sensor, and
basal really held back.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from appliance.domain.glucose import EVERY_NS, Reading, slope_mg_dl_per_h  # noqa: E402
from appliance.domain.insulin import Exponential  # noqa: E402
from appliance.domain.protection import (  # noqa: E402
    Action,
    Inputs,
    Rule,
    Span,
    decide,
    over_time,
)
from appliance.domain.units import NS_PER_MIN, NS_PER_S, UU_PER_U  # noqa: E402
from appliance.keeper.export import Exporter  # noqa: E402
from appliance.keeper.rollup import Rollup  # noqa: E402
from appliance.simulate.run import run  # noqa: E402
from appliance.simulate.scenario import PatientTable, Scenario, read  # noqa: E402
from appliance.simulate.therapy import living_of  # noqa: E402

PATIENTS = {"adult": "fortnight", "child": "fortnight-child", "teenager": "fortnight-teenager"}
"""Whose lows are recorded, and in which scenario of docs/examples they live."""
RULES = (Rule.OFF, Rule.LOW, Rule.PREDICTIVE, Rule.BEFORE_LOW)
DAYS = 4
CURVE = Exponential(360, 75)
"""Rapid insulin, as the pump counts it unless it is told otherwise."""
SLOT_MIN = EVERY_NS // NS_PER_MIN
BEFORE_MIN = 180
APART_MIN = 120
COLUMNS = ("time", "mg_dl", "basal_uu_per_h", "bolus_uu")
SAMPLES = ROOT / "docs" / "samples"
PAGE = ROOT / "docs" / "protection.md"


@dataclass(frozen=True, slots=True)
class Slot:
    """Five minutes: what the sensor said at their end, and what was given in them."""

    at_ns: int
    mg_dl: int
    basal_uu_per_h: int
    bolus_uu: int


@dataclass(slots=True)
class Outcome:
    """What a rule set came to on one recording."""

    values: list[int] = field(default_factory=list)
    spans: list[list[int]] = field(default_factory=list)

    @property
    def low_min(self) -> int:
        """Return the minutes whose reading was under 70 mg/dL."""
        return SLOT_MIN * sum(value < 70 for value in self.values)

    @property
    def very_low_min(self) -> int:
        """Return the minutes whose reading was under 54 mg/dL."""
        return SLOT_MIN * sum(value < 54 for value in self.values)

    @property
    def high_min(self) -> int:
        """Return the minutes whose reading was over 180 mg/dL."""
        return SLOT_MIN * sum(value > 180 for value in self.values)

    @property
    def mean(self) -> float:
        """Return the mean of the readings."""
        return sum(self.values) / len(self.values)

    @property
    def held_min(self) -> int:
        """Return how long basal was held back."""
        return sum(ended - began for began, ended in self.spans) // NS_PER_MIN


class Watch:
    """What the pump does with each reading: the last ones, the trend, the decision."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._readings: deque[Reading] = deque(maxlen=4)
        self.spans: list[list[int]] = []
        self.suspended = False

    def hear(self, at_ns: int, mg_dl: int) -> bool:
        """Decide by a new reading; return whether basal is held back from now on."""
        before = self._readings[-1].mg_dl if self._readings else None
        self._readings.append(Reading(at_ns, mg_dl))
        inputs = Inputs(mg_dl, before, slope_mg_dl_per_h(list(self._readings)))
        past = [Span(at_ns - began, at_ns - ended) for began, ended in self._ended(at_ns)]
        made = decide(self._rule, None, inputs, past, suspended=self.suspended)
        if made.action is Action.SUSPEND:
            self.spans.append([at_ns, at_ns])
            self.suspended = True
        elif self.suspended and (made.action is Action.RESUME or over_time(self._rule, past)):
            self.spans[-1][1] = at_ns
            self.suspended = False
        return self.suspended

    def end(self, at_ns: int) -> None:
        """Close what goes on, so that it can be counted."""
        if self.suspended:
            self.spans[-1][1] = at_ns

    def _ended(self, now_ns: int) -> Iterable[tuple[int, int]]:
        for number, (began, ended) in enumerate(self.spans, start=1):
            goes_on = self.suspended and number == len(self.spans)
            yield began, now_ns if goes_on else ended


def read_recording(path: Path) -> list[Slot]:
    """Return a recording; the file has the columns ``COLUMNS``, one row every five minutes."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            Slot(
                int(datetime.fromisoformat(row["time"]).timestamp()) * NS_PER_S,
                int(row["mg_dl"]),
                int(row["basal_uu_per_h"]),
                int(row["bolus_uu"]),
            )
            for row in csv.DictReader(lines)
        ]


def lows_of(slots: Sequence[Slot]) -> list[tuple[int, int]]:
    """Return where each low lies: from ``BEFORE_MIN`` before its first reading under 70, but not
    before the end of the one before it, up to its last. Lows less than ``APART_MIN`` apart are one.
    """
    found: list[tuple[int, int]] = []
    first: int | None = None
    last = 0
    for number, slot in enumerate(slots):
        if first is not None and (number - last) * SLOT_MIN > APART_MIN:
            found.append(_around(first, last, found))
            first = None
        if slot.mg_dl < 70:
            first, last = number if first is None else first, number
    if first is not None:
        found.append(_around(first, last, found))
    return found


def _around(first: int, last: int, before: Sequence[tuple[int, int]]) -> tuple[int, int]:
    earliest = before[-1][1] if before else 0
    return max(earliest, first - BEFORE_MIN // SLOT_MIN), last + 1


def replayed(slots: Sequence[Slot], rule: Rule, sensitivity_mg_dl_per_u: int) -> Outcome:
    """Go through every low of a recording with a rule set.

    Each low stands for itself: without a body that answers, what was held back would raise glucose
    for ever, and no second low would follow the first.
    """
    found = Outcome()
    for begin, end in lows_of(slots):
        one = replayed_low(slots[begin:end], rule, sensitivity_mg_dl_per_u)
        found.values += one.values
        found.spans += one.spans
    return found


def replayed_low(slots: Sequence[Slot], rule: Rule, sensitivity_mg_dl_per_u: int) -> Outcome:
    """Go through one low with a rule set; nothing was held back before it."""
    found, watch = Outcome(), Watch(rule)
    acted = [1 - CURVE.left(SLOT_MIN * n) for n in range(1, len(slots) + 1)]
    withheld_u: list[float] = []
    for slot in slots:
        missing_u = sum(
            amount * share for amount, share in zip(reversed(withheld_u), acted, strict=False)
        )
        value = round(min(400.0, max(40.0, slot.mg_dl + sensitivity_mg_dl_per_u * missing_u)))
        found.values.append(value)
        holds = watch.hear(slot.at_ns, value)
        withheld_u.append(slot.basal_uu_per_h * SLOT_MIN / 60 / UU_PER_U if holds else 0.0)
    watch.end(slots[-1].at_ns)
    found.spans = watch.spans
    return found


def lived_again(slots: Sequence[Slot], rule: Rule, scenario: Scenario) -> Outcome:
    """Have the patient live through the recorded time once more, with a rule set."""
    life = living_of(patient_of(scenario), scenario.seed)
    found, watch = Outcome(), Watch(rule)
    begin_ns, holds = slots[0].at_ns - EVERY_NS, False
    for slot in slots:
        basal_mu_per_min = 0.0 if holds else slot.basal_uu_per_h / 1_000 / 60
        rate_mu_per_min = basal_mu_per_min + slot.bolus_uu / 1_000 / SLOT_MIN
        told, _ = life.live_to(slot.at_ns - begin_ns, rate_mu_per_min, 0)
        for one in told:
            found.values.append(one.mg_dl)
            holds = watch.hear(begin_ns + one.at_ns, one.mg_dl)
    watch.end(slots[-1].at_ns)
    found.spans = watch.spans
    return found


# ------------------------------------------------------------------ recording


def record(person: str, path: Path) -> None:
    """Run a patient's fortnight for some days with protection off, and keep what was read."""
    scenario = unprotected(person)
    with tempfile.TemporaryDirectory(prefix="bp-lows-") as scratch:
        ledger = Path(scratch) / "ledger.db"
        report = run(scenario, days=DAYS, keep=ledger)
        if report.violations:
            raise SystemExit(f"{person}: {report.violations}")
        with closing(Rollup(Path(scratch) / "sums.db", ledger)) as rollup:
            rollup.follow_to_the_end()
            exporter = Exporter(rollup)
            doses, readings = list(exporter.doses()), list(exporter.readings())
    boluses = [one for one in doses if one["kind"] in ("bolus", "extended")]
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in readings:
            at_ns = one["utc_ns"]
            # A bolus lies in the five minutes that it began in.
            given = sum(
                bolus["confirmed_uu"]
                for bolus in boluses
                if at_ns - EVERY_NS <= bolus["utc_ns"] < at_ns
            )
            writer.writerow([one["utc"][:19] + "Z", one["mg_dl"], rate_at(scenario, at_ns), given])


def unprotected(person: str) -> Scenario:
    """Return the scenario in which a patient's lows are recorded."""
    scenario = read(ROOT / "docs" / "examples" / f"{PATIENTS[person]}.toml")
    bare = patient_of(scenario).model_copy(update={"protection": "off"})
    return scenario.model_copy(update={"patient": bare, "injections": None})


def patient_of(scenario: Scenario) -> PatientTable:
    """Return the patient of a scenario, which has one."""
    if scenario.patient is None:
        raise ValueError(f"{scenario.name} has no patient")
    return scenario.patient


def rate_at(scenario: Scenario, utc_ns: int) -> int:
    """Return what the profile asks for in the five minutes that end at an instant."""
    local = datetime.fromtimestamp((utc_ns - EVERY_NS) // NS_PER_S, UTC)
    minute = local.hour * 60 + local.minute
    return [one.rate_uu_per_h for one in scenario.basal if one.start <= minute][-1]


# ------------------------------------------------------------------ the page

HEADER = (
    "| patient | rule set | under 70: replayed | lived again | under 54: replayed | lived again "
    "| over 180: lived again | mean: lived again | held back: replayed | lived again |"
)


def table() -> list[str]:
    """Return the lines of the table."""
    lines = [HEADER, "|" + "---|" * HEADER.count(" | ") + "---|"]
    for person in PATIENTS:
        scenario, slots = unprotected(person), read_recording(SAMPLES / f"lows-{person}.csv")
        for rule in RULES:
            one = replayed(slots, rule, patient_of(scenario).sensitivity_mg_dl_per_u)
            two = lived_again(slots, rule, scenario)
            cells = [
                person if rule is Rule.OFF else "",
                "none" if rule is Rule.OFF else rule.value,
                f"{one.low_min} min",
                f"{two.low_min} min",
                f"{one.very_low_min} min",
                f"{two.very_low_min} min",
                f"{two.high_min} min",
                f"{two.mean:.0f} mg/dL",
                f"{one.held_min} min in {len(one.spans)}",
                f"{two.held_min} min in {len(two.spans)}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def with_table(page: str) -> str:
    """Return a page with its table made anew."""
    lines = page.splitlines()
    first = lines.index(HEADER)
    after = next(n for n in range(first, len(lines)) if not lines[n].startswith("|"))
    return "\n".join([*lines[:first], *table(), *lines[after:]]) + "\n"


def main() -> int:
    """Replay, and write the page; or replay one file, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="record docs/samples anew first")
    parser.add_argument("file", nargs="?", type=Path, help="a recording of your own")
    parser.add_argument("--sensitivity", type=int, help="of that recording, in mg/dL a unit")
    said = parser.parse_args()
    if (said.file is None) != (said.sensitivity is None) or (said.file and said.record):
        parser.error("a recording of your own wants FILE and --sensitivity, and nothing else")
    if said.file is not None:
        slots = read_recording(said.file)
        for rule in RULES:
            one = replayed(slots, rule, said.sensitivity)
            print(
                f"{rule.value:>10}: {one.low_min} min under 70, {one.very_low_min} under 54, "
                f"basal held back for {one.held_min} min in {len(one.spans)} spans"
            )
        return 0
    if said.record:
        for person in PATIENTS:
            record(person, SAMPLES / f"lows-{person}.csv")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
