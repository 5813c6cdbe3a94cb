"""The benchmarks measure the pump as it is: each that needs no clock runs here once, briefly."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from appliance.keeper.queries import Queries
from appliance.verify import verify
from benchmarks import __main__ as program
from benchmarks import delivery, patient, report, storage, ten_years


def test_every_dose_and_every_window_of_a_trumpet_is_within_one_microstep() -> None:
    for result in (*delivery.doses(quick=True), *delivery.trumpet(quick=True)):
        assert result.met, result


def test_the_core_makes_the_edges_that_exact_fractions_ask_for() -> None:
    hour_ns = 3_600 * 10**9
    for _, mechanics in delivery.twelve():
        axis = delivery.run_core(mechanics, [(700_001, hour_ns), (1_234_567, hour_ns)])
        asked = mechanics.steps_within(700_001 + 1_234_567)
        assert axis.edges in (asked, asked - 1)


def test_the_ledger_of_the_benchmarks_is_one_that_the_independent_reader_believes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = ten_years.ten_years(days=5)
    verdict = verify(path)
    assert (verdict.ok, verdict.open_leases) == (True, 0)
    assert verdict.confirmed_steps == 5 * ten_years.LEASES_A_DAY * ten_years.LEASE_STEPS
    assert ten_years.ten_years(days=5) == path


def test_its_sensor_reads_every_five_minutes_and_the_sums_are_kept_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with closing(ten_years.summed(days=2)) as rollup:
        days = Queries(rollup).days(rollup.last_day(), 3)
        path = ten_years.ten_years(days=2, readings=True)
    assert verify(path).ok
    assert sum(one["glucose"]["readings"] for one in days) == 2 * 288 - 1
    kept = [one.name for one in (tmp_path / "benchpump").glob("sums-*.db")]
    assert kept == [f"sums-{path.name}"]


def test_a_day_of_the_virtual_patient_has_every_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHPUMP_SIMGLUCOSE", raising=False)
    [result] = patient.days(quick=True)
    assert result.ours.endswith(" days")
    assert "NOT RUN beside it" in result.note


def test_a_commit_is_one_sync() -> None:
    [result] = storage.syncs(quick=True)
    if result.met is None:
        pytest.skip(f"NOT RUN: {result.note}")
    assert result.ours == "1"


def test_a_goal_that_is_missed_is_said_and_is_the_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        report.Result("a", "what", "1", "9", "1", "1x", "< 2", met=True),
        report.Result("b", "what", "3", "9", "1", "3x", "< 2", met=False, note="why"),
        report.not_run("c", "what", "< 2", "apt-get install it"),
    ]
    monkeypatch.setattr(program, "CASES", {"some": lambda *, quick: rows})
    assert program.main(["some", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [row["result"] for row in said["rows"]] == ["met", "MISSED", "NOT RUN"]
    assert program.main([]) == 1
    said = capsys.readouterr().out
    assert "b: why" in said
    assert "not a Pi" in said
    with pytest.raises(SystemExit):
        program.main(["other"])
