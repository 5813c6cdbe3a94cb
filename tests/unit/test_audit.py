"""The brute-force audit: it passes an honest run, and finds each thing that is made wrong in it."""

import dataclasses
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from appliance.simulate import run as runs
from appliance.simulate.many import run_seeds
from appliance.simulate.scenario import Scenario, of
from appliance.verify import audit as audits
from appliance.verify.audit import Audit, Truth, audit

NINETY_DAYS = Path(__file__).parents[2] / "docs/examples/ninety-days.toml"


def packed(days: float) -> Scenario:
    """Return the ninety days with as much trouble, and all journeys, in a few."""
    tables = tomllib.loads(NINETY_DAYS.read_text())
    for name in ("crash", "freeze", "clock_step", "power_cut", "bolus"):
        for one in tables[name]:
            if "every_days" in one:
                one["every_days"] = max(0.05, one["every_days"] * days / 45)
            if "at" in one:
                one["at"] = "0d 15:00"
            if "at_write" in one:
                one["at_write"] = 700
    tables["disk_stall"][0]["at"] = "0d 17:00"
    tables["starts"] = date(2027, 3, 27)  # summer time begins in the night after
    for hour, journey in enumerate(tables["journey"]):
        journey["at"] = f"0d {20 + hour}:20"
    # Sooner empty, and back sooner.
    tables["mechanics"] = {"concentration_u_per_ml": 45, "lead_um": 2_000}
    tables["user"] |= {"change_below_uu": 100_000_000, "acknowledge_after_s": 20}
    return of({**tables, "days": days}, "packed")


def test_sr_14_a_day_of_everything_that_a_menu_offers_is_gone_through_by_brute_force() -> None:
    (report,) = run_seeds(packed(1.2), [3])
    assert report.violations == []
    assert report.audit is not None
    assert report.confirmed_steps <= report.plant_steps <= report.maximum_steps
    assert {"basal", "bolus", "extended", "rewind", "prime", "cannula"} <= set(report.audit.doses)
    for name in ("temps", "suspends", "changes", "crashes", "clock_steps"):
        assert report.others[name] > 0, name
    assert report.others["zone_changes"] >= 4
    for name, limit_uu in report.audit.limit_uu.items():
        assert report.audit.worst_uu[name] <= report.audit.ledger_uu[name] <= limit_uu


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_sr_14_f33_twenty_seeds_of_a_packed_menu_exceed_no_window_and_no_bound() -> None:
    reports = list(run_seeds(packed(4.0), range(1, 21), jobs=2))
    assert [one.violations for one in reports] == [[]] * 20
    fullest = [one.audit.worst_uu["hourly_uu"] for one in reports if one.audit]
    assert max(fullest) > 8_000_000, "the limit of 9 U was never near"


# ---------------------------------------------------------------------- what it finds


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """Return a ledger and the truth of one run of a few hours."""
    kept: list[Truth] = []
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(runs, "audit", lambda path, truth: kept.append(truth) or audit(path, truth))
    path = tmp_path_factory.mktemp("audit") / "ledger.db"
    tables = {
        "schema_version": 1,
        "days": 0.15,
        "limits": {"hourly_uu": 8_000_000, "daily_uu": 20_000_000, "min_interval_s": 60},
        "basal": [
            {"start": "00:00", "rate_uu_per_h": 1_000_000},
            {"start": "02:00", "rate_uu_per_h": 500_000},
        ],
        "bolus": [
            {"at": "0d 00:20", "amount_uu": 2_000_000},
            {"at": "0d 00:50", "amount_uu": 1_000_000, "extended_percent": 50, "over_s": 1_800},
        ],
    }
    report = runs.run(of(tables, "test"), keep=path)
    monkeypatch.undo()
    assert report.violations == []
    return path, kept[0]


def found_in(honest: tuple[Path, Truth], **changed: Any) -> Audit:
    path, truth = honest
    return audit(path, dataclasses.replace(truth, **changed))


def test_an_honest_run_has_no_fault_and_its_windows_are_what_moved(
    honest: tuple[Path, Truth],
) -> None:
    found = found_in(honest)
    assert found.faults == []
    assert found.doses == {"basal": 4, "bolus": 2, "extended": 1}
    # An hour of basal with both boluses in it: 1 U, 2 U, 0.5 U at once and 0.5 U over half an hour.
    assert abs(found.worst_uu["hourly_uu"] - 4_000_000) < 25_000
    assert found.ledger_uu["hourly_uu"] >= found.worst_uu["hourly_uu"]
    assert found.shortest_interval_s == 1_800
    assert found.largest_bolus_uu == 2_000_000


def test_steps_that_nobody_leased_are_found(honest: tuple[Path, Truth]) -> None:
    steps = sorted([*honest[1].forward_ns, *(honest[1].forward_ns[900] + n * 10**7 for n in
                    range(1, 4_000))])  # fmt: skip
    text = "\n".join(found_in(honest, forward_ns=steps).faults)
    assert "SR-14" in text
    assert "could have" in text
    assert "SR-23: two steps" in text
    assert "all doses together" in text


def test_steps_that_were_confirmed_and_never_moved_are_found(honest: tuple[Path, Truth]) -> None:
    text = "\n".join(found_in(honest, forward_ns=honest[1].forward_ns[::2]).faults)
    assert "confirmed forward" in text


def lower(body: dict[str, Any]) -> None:
    body["new"] = {**body["new"], "hourly_uu": 3_000_000}


@pytest.mark.parametrize(
    ("kind", "which", "change", "says"),
    [
        ("setting", {"name": "limits"}, lower, "SR-14"),
        ("intent", {"dose": "bolus"}, lambda body: body.update(whole_uu=26_000_000), "SR-13"),
        ("intent", {"dose": "basal"}, lambda body: body.update(rate_uu_per_h=900_000), "asked for"),
        ("closed", {}, lambda body: body.update(confirmed_steps=0), "is exact, with"),
        ("closed", {}, lambda body: body.update(request_id="another"), "has no end"),
        ("intent", {"dose": "extended"}, lambda body: body.update(duration_s=60), "takes 60 s"),
        ("intent", {"dose": "bolus"}, lambda body: body.update(programmed_uu=1), "SR-05"),
        ("count", {}, lambda body: body.update(maximum_steps=0), "could have"),
        ("intent", {"dose": "bolus"}, lambda body: body.update(
            programmed_steps=body["programmed_steps"] + 3), "SR-18"),
    ],
)  # fmt: skip
def test_a_ledger_in_which_one_thing_is_wrong_is_found(
    honest: tuple[Path, Truth],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    which: dict[str, Any],
    change: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    read = audits._read

    def wrong(path: Path, row_ns: Any) -> list[Any]:
        rows = read(path, row_ns)
        row = next(
            one for one in rows
            if one.kind == kind and all(one.body[name] == value for name, value in which.items())
        )  # fmt: skip
        change(row.body)
        return rows

    monkeypatch.setattr(audits, "_read", wrong)
    assert says in "\n".join(found_in(honest).faults)


def test_sr_15_boluses_too_close_to_each_other_are_found(
    honest: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = audits._read

    def hasty(path: Path, row_ns: Any) -> list[Any]:
        rows = read(path, row_ns)
        for row in rows:
            if row.kind == "setting" and row.body["name"] == "limits":
                row.body["new"]["min_interval_s"] = 3_600
        return rows

    monkeypatch.setattr(audits, "_read", hasty)
    assert "SR-15" in "\n".join(found_in(honest).faults)


def test_f33_a_rate_of_the_wrong_local_hour_is_found(
    honest: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = audits._read

    def moved(path: Path, row_ns: Any) -> list[Any]:
        rows = read(path, row_ns)
        return [dataclasses.replace(row, offset_s=7_200) for row in rows]

    monkeypatch.setattr(audits, "_read", moved)
    assert "is asked for" in "\n".join(found_in(honest).faults)
