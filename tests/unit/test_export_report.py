"""What is taken away: exports that any program reads, and a PDF with BENCH on every page."""

import csv
import json
import shutil
import sqlite3
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from appliance.adapters.ledger import SqliteLedger
from appliance.cli.__main__ import pumpctl
from appliance.keeper.export import COLUMNS, Exporter
from appliance.keeper.report import Prices, Report
from appliance.keeper.rollup import DAY_NS, Rollup, day_of
from appliance.ports import Entry
from appliance.simulate.run import run
from appliance.simulate.scenario import read

ROOT = Path(__file__).parents[2]
S = 1_000_000_000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of the patient with a pump, and a little of the next."""
    path = tmp_path_factory.mktemp("taken") / "ledger.db"
    report = run(read(ROOT / "docs/examples/fortnight.toml"), days=1.02, pulses=True, keep=path)
    assert report.violations == []
    return path


@pytest.fixture
def rollup(ledger: Path, tmp_path: Path) -> Iterator[Rollup]:
    with closing(Rollup(tmp_path / "sums.db", ledger)) as one:
        one.follow_to_the_end()
        yield one


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def texts(ledger: Path, kind: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(ledger)) as db:
        found = db.execute("SELECT text FROM entries WHERE kind = ?", (kind,))
        return [json.loads(text) for (text,) in found]


def test_every_file_has_the_columns_of_the_dictionary_and_says_bench(
    rollup: Rollup, tmp_path: Path
) -> None:
    Exporter(rollup).write(tmp_path / "out")
    for name, columns in COLUMNS.items():
        found = rows(tmp_path / "out" / name)
        assert found
        assert list(found[0]) == list(columns)
        assert {row["mark"] for row in found} == {"BENCH"}
    dictionary = rows(tmp_path / "out" / "data-dictionary.csv")
    assert {(row["file"], row["column"]) for row in dictionary} == {
        (name, column) for name, columns in COLUMNS.items() for column in columns
    }


def test_doses_and_readings_are_those_of_the_ledger(
    rollup: Rollup, ledger: Path, tmp_path: Path
) -> None:
    Exporter(rollup).csv(tmp_path)
    closed = {row["body"]["request_id"]: row["body"] for row in texts(ledger, "closed")}
    doses = rows(tmp_path / "doses.csv")
    assert {row["id"] for row in doses} == set(closed)
    for row in doses:
        assert int(row["confirmed_steps"]) == closed[row["id"]]["confirmed_steps"]
        assert row["certainty"] == closed[row["id"]]["certainty"]
    readings = [row["body"]["mg_dl"] for row in texts(ledger, "glucose")]
    assert [int(row["mg_dl"]) for row in rows(tmp_path / "glucose.csv")] == readings
    days = pd.read_csv(tmp_path / "days.csv")
    assert (days.total_uu == days.basal_uu + days.bolus_uu).all()


def test_json_holds_the_same_rows(rollup: Rollup, tmp_path: Path) -> None:
    exporter = Exporter(rollup)
    exporter.csv(tmp_path)
    found = json.loads(exporter.json(tmp_path / "e.json").read_text())
    assert (found["bench"], found["last_seq"]) == (True, rollup.seq)
    for name in ("doses", "glucose", "days", "events"):
        assert len(found[name]) == len(rows(tmp_path / f"{name}.csv"))


def test_nightscouts_shapes_have_ids_of_our_own_and_confirmed_amounts(
    rollup: Rollup, tmp_path: Path
) -> None:
    shapes = {
        path.name: json.loads(path.read_text()) for path in Exporter(rollup).nightscout(tmp_path)
    }
    entries, treatments = shapes["entries.json"], shapes["treatments.json"]
    assert {one["type"] for one in entries} == {"sgv"}
    assert all(one["date"] % 1_000 == 0 and one["dateString"].endswith("Z") for one in entries)
    kinds = {one["eventType"] for one in treatments}
    assert kinds == {"Temp Basal", "Meal Bolus", "Insulin Change"}
    ids = [one["identifier"] for one in entries + treatments]
    assert len(ids) == len(set(ids))
    bolus = next(one for one in treatments if one["eventType"] == "Meal Bolus")
    assert 0.5 < bolus["insulin"] < 6
    assert 31 <= bolus["carbs"] <= 50
    assert "BENCH" in bolus["notes"]
    (status,) = shapes["devicestatus.json"]
    assert 0 < status["pump"]["reservoir"] < 300
    (profile,) = shapes["profile.json"]
    assert profile["store"]["Day"]["basal"][0] == {"time": "00:00", "value": 0.4}


def test_the_snapshot_is_one_plain_sqlite_file(rollup: Rollup, tmp_path: Path) -> None:
    path = Exporter(rollup).snapshot(tmp_path / "s.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert "BENCH" in db.execute("SELECT text FROM about WHERE name = 'mark'").fetchone()[0]
        (readings,) = db.execute("SELECT count(*) FROM readings").fetchone()
        assert readings > 290
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert {"days", "doses", "readings", "events", "settings"} <= names
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("s.db")] == ["s.db"]


def test_an_export_overwrites_nothing(rollup: Rollup, tmp_path: Path) -> None:
    Exporter(rollup).write(tmp_path / "out")
    with pytest.raises(FileExistsError):
        Exporter(rollup).write(tmp_path / "out")


def test_an_export_of_many_rows_needs_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    def peak(folder: Path, count: int) -> int:
        folder.mkdir()
        with closing(SqliteLedger(folder / "l.db")) as ledger:
            for begin in range(0, count, 1_000):
                ledger.append([reading(n) for n in range(begin, begin + 1_000)])
        with closing(Rollup(folder / "k.db", folder / "l.db")) as rollup:
            rollup.follow_to_the_end()
            tracemalloc.start()
            Exporter(rollup).json(folder / "e.json")
            Exporter(rollup).csv(folder)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        return most

    few, many = peak(tmp_path / "few", 1_000), peak(tmp_path / "many", 10_000)
    assert many < few + 200_000


def reading(number: int) -> Entry:
    body = {"reading": "sensor", "source": "t", "id": str(number), "mg_dl": 100, "age_s": 0}
    utc_ns = 1_763_769_600 * S + number * 300 * S
    return Entry("glucose", "b", number, utc_ns, 0, "set", {**body, "by": "u"})


# --- the report -----------------------------------------------------------------------------------


def read_pdf(path: Path) -> list[str]:
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("NOT RUN: needs pdftotext; apt-get install poppler-utils")
    done = subprocess.run([tool, "-layout", path, "-"], capture_output=True, text=True, check=True)
    return done.stdout.split("\f")[:-1]


def test_the_report_says_bench_on_every_page_and_what_the_days_came_to(
    rollup: Rollup, tmp_path: Path
) -> None:
    path, day = tmp_path / "r.pdf", rollup.last_day()
    pages = Report(rollup, "Bench 1", Prices("EUR", 0.05, 1.5, 4.0)).write(path, day, 6)
    read_back = read_pdf(path)
    assert len(read_back) == pages == 1 + 2 + 1
    assert all("BENCH: water only, not a medical device" in page for page in read_back)
    first, *days, last = read_back
    assert "In 70 to 140" in first
    assert "Glucose by the time of day" in first
    assert sum(page.count("total") for page in days) == 3
    assert "off by 0" in last
    assert "cost of insulin" in last
    assert "EUR" in last
    assert "00:00 0.400 U/h" in " ".join(last.split())


def test_the_same_days_give_the_same_file(rollup: Rollup, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        Report(rollup, "Bench 1").write(tmp_path / name, rollup.last_day(), 1)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_a_report_of_nothing_is_a_report(tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "l.db").close()
    with closing(Rollup(tmp_path / "k.db", tmp_path / "l.db")) as rollup:
        rollup.follow_to_the_end()
        assert (
            Report(rollup, "Bench 1").write(tmp_path / "r.pdf", day_of(DAY_NS * 20_000, 0), 1) == 3
        )
        with pytest.raises(ValueError, match="days = 91"):
            Report(rollup, "Bench 1").write(tmp_path / "r.pdf", 20_000, 91)


# --- pumpctl --------------------------------------------------------------------------------------


def test_pumpctl_exports_and_reports_without_a_pump(ledger: Path, tmp_path: Path) -> None:
    def said(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(pumpctl, [*words, "--ledger", str(ledger)])
        return result.exit_code, result.output

    status, output = said("export", str(tmp_path / "out"))
    assert status == 0
    assert len(output.splitlines()) == 11
    status, output = said("export", str(tmp_path / "out"))
    assert (status, "is there already" in output) == (1, True)
    status, output = said("report", str(tmp_path / "r.pdf"), "--days", "1")
    assert (status, output) == (0, f"BENCH  {tmp_path}/r.pdf: 3 pages, 1 days\n")
    assert said("report", str(tmp_path / "r.pdf"), "--until", "soon")[0] == 2
    assert said("report", str(tmp_path / "none" / "r.pdf"))[0] == 1
    result = CliRunner().invoke(pumpctl, ["report", "x.pdf", "--ledger", str(tmp_path / "no.db")])
    assert result.exit_code == 3
