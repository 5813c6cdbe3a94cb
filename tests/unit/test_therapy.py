"""A patient in virtual time: closed loop by an outside algorithm, and injections beside it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import BadConfiguration
from appliance.simulate.run import Report, run
from appliance.simulate.scenario import PatientTable, of, read
from appliance.simulate.therapy import Portion, controller, portion_for

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/closed-loop.toml"
H = 3_600 * 10**9


def rows(ledger: Path, kind: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(ledger)) as db:
        found = db.execute("SELECT text FROM entries WHERE kind = ? ORDER BY seq", (kind,))
        return [json.loads(text) for (text,) in found]


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """The example, half a day of it, with its controller silent from 09:00 on."""
    folder = tmp_path_factory.mktemp("loop")
    text = EXAMPLE.read_text().replace('"1d 20:00"', '"0d 09:00"')
    (folder / "loop.toml").write_text(text)
    (folder / "closed_loop.py").write_text((EXAMPLE.parent / "closed_loop.py").read_text())
    ledger = folder / "ledger.db"
    report = run(read(folder / "loop.toml"), days=0.42, pulses=True, keep=ledger, beside=folder)
    return report, ledger


def test_the_example_closes_the_loop_and_every_requirement_holds(
    looped: tuple[Report, Path],
) -> None:
    report, ledger = looped
    assert report.violations == []
    pump = report.courses["pump"]
    assert pump.in_range > 70
    assert pump.asked > 90
    assert pump.refused == []
    assert len(rows(ledger, "glucose")) >= 118
    assert len({row["body"]["value"] for row in rows(ledger, "temp")}) > 5


def test_a_controller_that_falls_silent_loses_the_pump_when_its_lease_is_over(
    looped: tuple[Report, Path],
) -> None:
    _, ledger = looped
    ended = rows(ledger, "temp")[-1]
    assert ended["body"]["event"] == "ended"
    assert ended["body"]["why"] == "its time is over"
    begun = [row for row in rows(ledger, "temp") if row["body"]["event"] == "begun"][-1]
    lasted_ns = ended["utc_ns"] - begun["utc_ns"]
    assert abs(lasted_ns - 1_800 * 10**9) < 10 * 10**9
    later = [row for row in rows(ledger, "intent") if row["utc_ns"] > ended["utc_ns"]]
    assert {row["body"]["rate_uu_per_h"] for row in later if row["body"]["dose"] == "basal"} == {
        420_000
    }


def test_what_the_pump_refuses_the_controller_hears_and_the_limit_stays(tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(
        "heard = []\n"
        "def decide(seen):\n"
        "    heard.extend(seen['refused'])\n"
        "    return {'rate_uu_per_h': 60_000_000, 'lease_s': 60}\n"
    )
    scenario = of(
        {
            "schema_version": 1,
            "days": 0.05,
            "basal": [{"start": "00:00", "rate_uu_per_h": 500_000}],
            "patient": {},
            "controller": {"file": "greedy.py"},
        },
        "greedy",
    )
    report = run(scenario, pulses=True, beside=tmp_path)
    assert report.violations == []
    assert report.courses["pump"].asked > 5
    assert any("duration_s = 60 is out of range" in one for one in report.courses["pump"].refused)
    assert any("rate_uu_per_h = 60000000" in one for one in report.courses["pump"].refused)


def test_the_same_patient_eats_the_same_meals_on_injections(looped: tuple[Report, Path]) -> None:
    report, _ = looped
    pen = report.courses["injections"]
    assert pen.statistics["readings"] == report.courses["pump"].statistics["readings"]
    assert 4 < pen.insulin_u < 30
    assert pen.in_range > 40


def test_the_same_seed_is_the_same_life() -> None:
    def lived(seed: int) -> tuple[str, float]:
        report = run(read(EXAMPLE), days=0.1, seed=seed, pulses=True, beside=EXAMPLE.parent)
        return report.head, report.courses["pump"].insulin_u

    assert lived(3) == lived(3)
    assert lived(3) != lived(4)


def test_a_meal_is_dosed_by_what_was_announced_and_rounded_down() -> None:
    table = PatientTable(carb_ratio_mg_per_u=10_000, announced_percent=90)

    def portion(mg_dl: int | None, grid_uu: int = 50_000, *, correct: bool = True) -> Portion:
        return portion_for(table, 45, mg_dl, grid_uu, correct=correct)

    assert portion(None) == Portion(4_050_000, 0, 40)
    assert portion(160, correct=False) == Portion(4_050_000, 0, 40)
    assert portion(160) == Portion(5_050_000, 1_000_000, 40)
    assert portion(160, 500_000) == Portion(5_000_000, 1_000_000, 40)
    assert portion(60) == Portion(4_050_000, 0, 40)
    assert portion(111) == Portion(4_050_000, 20_000, 40)  # what is a correction is on the grid


def test_a_meals_bolus_says_what_it_is_for(looped: tuple[Report, Path]) -> None:
    _, ledger = looped
    meals = [row["body"] for row in rows(ledger, "intent") if row["body"]["dose"] == "bolus"]
    assert meals
    for body in meals:
        assert 31 <= body["carbs_g"] <= 50  # nine tenths of 35 to 55 g
        assert body.get("correction_uu", 0) < body["whole_uu"]


def test_a_controller_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="is no Python file"):
        controller(tmp_path / "none.py")
    (tmp_path / "c.py").write_text("x = 1")
    with pytest.raises(BadConfiguration, match=r"has no function decide\(seen\)"):
        controller(tmp_path / "c.py")
    (tmp_path / "c.py").write_text("def decide(:")
    with pytest.raises(BadConfiguration, match="cannot be loaded"):
        controller(tmp_path / "c.py")
    tables = {
        "schema_version": 1,
        "days": 1,
        "basal": [{"start": "00:00", "rate_uu_per_h": 500_000}],
        "injections": {"long_acting_uu": 10_000_000},
    }
    with pytest.raises(BadConfiguration, match="injections: there is no patient"):
        of(tables, "x")
