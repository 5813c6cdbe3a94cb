"""The same two hours twice: in virtual time, and by the programs of a demo at sixty times the pace.

Doses are compared, not instants: what a busy computer does later is in the rows and allowed for.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for

from appliance.adapters.clock import Start, SystemClock
from appliance.client.messages import Limits, Segment, SensorReading
from appliance.client.pump import PumpClient
from appliance.domain.units import NS_PER_S
from appliance.simulate.run import run
from appliance.simulate.scenario import Scenario, read

pytestmark = [pytest.mark.full, pytest.mark.timeout(480)]

FILE = Path(__file__).parents[2] / "docs/examples/two-hours.toml"
SPEED = 60
BEFORE_S = 10 * SPEED
"""So long before the scenario's midnight the demo's clock stands when it is started. Ready
later than that, it begins later, as everything may.
"""
LEASE_UU = 50_000


@dataclass(frozen=True, slots=True)
class Row:
    kind: str
    at_ns: int  # since the scenario's midnight
    body: dict[str, Any]


def rows_of(ledger: Path, scenario: Scenario) -> list[Row]:
    with closing(sqlite3.connect(ledger)) as db:
        texts = [text for (text,) in db.execute("SELECT text FROM entries ORDER BY seq")]
    return [
        Row(row["kind"], row["utc_ns"] - scenario.midnight_utc_ns, row["body"])
        for row in map(json.loads, texts)
    ]


@dataclass(frozen=True, slots=True)
class Account:
    """What a ledger says was given."""

    boluses: dict[tuple[str, str], tuple[Any, ...]]
    basal_steps: int
    from_ns: int
    until_ns: int
    shift_ns: int


def account(rows: list[Row]) -> Account:
    intents = {row.body["request_id"]: row.body for row in rows if row.kind == "intent"}
    closed = {row.body["request_id"]: row.body for row in rows if row.kind == "closed"}
    assert intents.keys() == closed.keys()
    boluses, basal_steps = {}, 0
    for request_id, end in closed.items():
        assert end["certainty"] == "exact"
        if intents[request_id]["dose"] == "basal":
            basal_steps += end["confirmed_steps"]
        else:
            body = intents[request_id]
            names = ("programmed_uu", "programmed_steps", "whole_uu", "extended_uu")
            key = (body["part_of"] or request_id, body["dose"])
            boluses[key] = (*(body[name] for name in names), end["outcome"], end["confirmed_steps"])
    runs = [row.at_ns for row in rows if row.kind == "state" and row.body["to"] == "running"]
    assert len(runs) == 1  # it never stopped in between
    until_ns = max(row.at_ns for row in rows if row.kind == "closed")
    shift_ns = sum(row.body["shift_ns"] for row in rows if row.kind == "slip")
    return Account(boluses, basal_steps, runs[0], until_ns, shift_ns)


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The rows of the virtual run."""
    scenario, path = read(FILE), tmp_path_factory.mktemp("virtual") / "ledger.db"
    report = run(scenario, keep=path)
    assert (report.violations, report.boluses["refused"]) == ([], 0)
    return rows_of(path, scenario)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[RunningDemo]:
    """A new pump whose clock comes to the scenario's midnight about when it is ready."""
    scenario = read(FILE)

    def as_it_is(text: str) -> str:
        return text  # the folder has to be there before the demo, for its clock

    running = RunningDemo(tmp_path / "d", speed=SPEED, edit=as_it_is, first_start=True)
    clock = running.folder / "clock.json"
    fresh = Start.now(1)
    ahead_ns = scenario.midnight_utc_ns - BEFORE_S * NS_PER_S - SystemClock("UTC").read().utc_ns
    Start(1, fresh.mono_ns, fresh.base_ns, ahead_ns, fresh.boot_id).save(clock)
    yield running.start()
    running.stop()


def set_up(pump: PumpClient, scenario: Scenario, cartridge_uu: int) -> None:
    pump.set_limits(Limits(**scenario.limits.model_dump()))
    segments = [
        Segment(start_min_of_day=one.start, rate_uu_per_h=one.rate_uu_per_h)
        for one in scenario.basal
    ]
    pump.import_basal("Day", segments, confirm=True)
    pump.use_basal("Day")
    pump.load_cartridge(cartridge_uu)


def play(pump: PumpClient, row: Row) -> None:
    """Ask for what a row of the virtual run was asked for, as any client does."""
    body = row.body
    if row.kind == "glucose":
        reading = SensorReading(id=body["id"], mg_dl=body["mg_dl"], age_s=body["age_s"])
        assert pump.report_glucose(body["source"], [reading]) == 1
    elif row.kind == "temp":
        pump.start_temp(body["temp"], body["value"], body["duration_s"])
    else:
        parts: dict[str, int] = {"extended_uu": body["extended_uu"]}
        parts["extended_s"] = body["duration_s"]
        review = pump.review(body["request_id"], body["whole_uu"], **parts)
        assert review.token is not None, review.reasons
        purpose = {name: body[name] for name in ("correction_uu", "carbs_g") if name in body}
        pump.deliver(
            body["request_id"], body["whole_uu"], review.token, again=True, **parts, **purpose
        )


def asked(row: Row) -> bool:
    """Say whether somebody asked for what a row tells; the pump does the rest by itself."""
    match row.kind:
        case "glucose":
            return True
        case "temp":
            return bool(row.body["event"] == "begun")
        case "intent":
            return row.body["dose"] != "basal" and not row.body["part_of"]
        case _:
            return False


def test_two_hours_at_sixty_times_the_pace_give_the_same_doses_as_the_virtual_run(
    virtual: list[Row], demo: RunningDemo
) -> None:
    scenario = read(FILE)
    script = [row for row in virtual if asked(row)]
    clock = SystemClock("UTC", Start.load(demo.folder / "clock.json"))

    def comes(at_ns: int) -> None:
        due_ns = scenario.midnight_utc_ns + at_ns
        wait_for(lambda: clock.read().utc_ns >= due_ns, "its instant", 120.0, every_s=0.01)

    with demo.pump() as pump:
        set_up(pump, scenario, 300_000_000)
        comes(0)
        assert pump.resume() == "running"
        for row in script:
            comes(row.at_ns)
            play(pump, row)
        comes(int(scenario.days * 24 * 3_600 * NS_PER_S))
        pump.suspend()
    demo.settle()
    demo.bounds_hold()
    expected, found = account(virtual), account(rows_of(demo.places.ledger, scenario))
    assert len(expected.boluses) == 4  # a meal's, the two parts of a dual one, a plain one
    assert found.boluses == expected.boluses
    # Basal that came later or sooner, by what the ledger says of when it ran, was not lost.
    first, last = scenario.basal[0].rate_uu_per_h, scenario.basal[-1].rate_uu_per_h
    owed = (expected.from_ns - found.from_ns) * first + (found.until_ns - expected.until_ns) * last
    owed -= found.shift_ns * max(first, last)
    ratio = scenario.mechanics.ratio()
    more_uu = (found.basal_steps - expected.basal_steps) * ratio.ratio_uu // ratio.ratio_steps
    off_uu = more_uu - owed // (3_600 * NS_PER_S)
    late_s = (found.from_ns - expected.from_ns) // NS_PER_S, found.shift_ns // NS_PER_S
    sys.stdout.write(
        f"{len(script)} wishes; basal began {late_s[0]} s late, was put back by {late_s[1]} s"
    )
    sys.stdout.write(f" and is off by {off_uu / 1e6:.4f} U\n")
    assert abs(off_uu) <= LEASE_UU
