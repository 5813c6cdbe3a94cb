"""The keeper's own database: equal to a recount of the ledger, however it came there."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.domain.statistics import Sample, statistics_of
from appliance.errors import BrokenChain, LedgerFault
from appliance.keeper.queries import Queries, date_of, day_number
from appliance.keeper.rollup import DAY_NS, Rollup, day_of
from appliance.ports import Entry
from appliance.simulate.bench import Refusal, VirtualBench
from appliance.simulate.run import run
from appliance.simulate.scenario import read

ROOT = Path(__file__).parents[2]
S = 1_000_000_000
MIN = 60 * S
H = 3_600 * S
UTC_NS = 1_763_769_600 * S  # 2025-11-22 00:00 UTC
DAY = day_of(UTC_NS, 0)
RATIO = {"ratio_uu": 5_890_141, "ratio_steps": 3_200, "quantum_steps": 1}


def entry(kind: str, at_ns: int = 0, offset_s: int = 0, **body: Any) -> Entry:
    return Entry(kind, "b", at_ns, UTC_NS + at_ns, offset_s, "synchronised", body)


def request(number: int) -> str:
    return str(UUID(int=number, version=4))


def started() -> Entry:
    return entry("start", version="0", mechanics=RATIO, clean_before=True, checks=[])


def intent(number: int, at_ns: int = 0, dose: str = "bolus", **more: Any) -> Entry:
    body = {
        "request_id": request(number),
        "dose": dose,
        "programmed_uu": 100_000,
        "programmed_steps": 54,
        "rate_uu_per_h": 90_000_000,
        "programme": number,
        "run": 1,
        "by": "uid 1",
    }
    return entry("intent", at_ns, **body | more)


def leased(number: int, at_ns: int = 0, motion: int = 1) -> Entry:
    return entry("lease", at_ns, number=number, run=1, motion=motion, direction=1, steps=27)


def counted(number: int, at_ns: int = 0, steps: int = 27, **programmes: int) -> Entry:
    body = {
        "lease": number,
        "run": 1,
        "issued_steps": steps,
        "confirmed_steps": steps,
        "maximum_steps": steps,
        "certainty": "exact",
        "confirmed_by": "count",
        "programmes": {key.strip("p"): value for key, value in programmes.items()},
    }
    return entry("count", at_ns, **body)


def closed(number: int, at_ns: int = 0, confirmed: int = 54, maximum: int = 54) -> Entry:
    body = {
        "request_id": request(number),
        "outcome": "done" if confirmed == maximum else "uncertain",
        "why": "",
        "programmed_uu": 100_000,
        "programmed_steps": 54,
        "issued_steps": maximum,
        "confirmed_steps": confirmed,
        "maximum_steps": maximum,
        "certainty": "exact" if confirmed == maximum else "uncertain",
        "confirmed_by": "count",
        "shift_ns": 0,
    }
    return entry("closed", at_ns, **body)


def reading(mg_dl: int, at_ns: int, offset_s: int = 0, kind: str = "sensor") -> Entry:
    body = {"reading": kind, "source": "t", "id": f"{at_ns}", "mg_dl": mg_dl, "age_s": 0}
    return entry("glucose", at_ns, offset_s, **body, by="uid 1")


class Kept:
    """A ledger, and the roll-up beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = SqliteLedger(folder / "ledger.db")
        self.rollup = Rollup(folder / "keeper.db", folder / "ledger.db")

    def add(self, *entries: Entry) -> "Kept":
        self.ledger.append(entries)
        self.rollup.follow_to_the_end()
        return self

    @property
    def ask(self) -> Queries:
        return Queries(self.rollup)

    def day(self, day: int = DAY) -> dict[str, Any]:
        return next(one for one in self.ask.days(day, 1) if one["date"] == date_of(day))

    def close(self) -> None:
        self.rollup.close()
        self.ledger.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path)
    yield one
    one.close()


def tables(rollup: Rollup) -> dict[str, list[Any]]:
    names = ("days", "glucose_days", "readings", "doses", "events", "cartridges", "settings")
    return {
        name: list(rollup.db.execute(f"SELECT * FROM {name}"))  # noqa: S608
        for name in names
    }


def uu(steps: int) -> int:
    return steps * RATIO["ratio_uu"] // RATIO["ratio_steps"]


# --- against a recount ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days in which programs die, power is cut and clocks are set: a real pump's ledger."""
    path = tmp_path_factory.mktemp("troubles") / "ledger.db"
    report = run(read(ROOT / "docs/examples/troubles.toml"), pulses=True, keep=path)
    assert report.violations == []
    return path


def recount(path: Path) -> dict[str, dict[str, int]]:
    """Confirmed and maximum steps by kind of dose: from the closed rows alone."""
    kinds, sums = {}, {}
    with closing(sqlite3.connect(path)) as db:
        for (text,) in db.execute("SELECT text FROM entries ORDER BY seq"):
            row = json.loads(text)
            body = row["body"]
            if row["kind"] == "intent":
                kinds[body["request_id"]] = "bolus" if body["dose"] == "extended" else body["dose"]
            if row["kind"] == "closed":
                one = sums.setdefault(kinds[body["request_id"]], {"confirmed": 0, "maximum": 0})
                one["confirmed"] += body["confirmed_steps"]
                one["maximum"] += body["maximum_steps"]
    return sums


def test_the_sums_of_a_troubled_ledger_are_those_of_a_recount(
    troubled: Path, tmp_path: Path
) -> None:
    with closing(Rollup(tmp_path / "keeper.db", troubled)) as rollup:
        rollup.follow_to_the_end()
        sums = recount(troubled)
        assert set(sums) == {"basal", "bolus"}
        for kind, wanted in sums.items():
            for bound in ("confirmed", "maximum"):
                (steps,) = rollup.db.execute(
                    f"SELECT sum({kind}_{bound}_steps) FROM days"  # noqa: S608
                ).fetchone()
                assert (kind, bound, steps) == (kind, bound, wanted[bound])
        assert any(one["confirmed"] < one["maximum"] for one in sums.values())  # it had its trouble
        found = Queries(rollup).conservation()
        assert found["open_steps"] == 0
        assert found["by_doses_steps"] == sum(one["confirmed"] for one in sums.values())


def test_it_is_the_same_in_one_go_in_pieces_and_after_crashes(
    troubled: Path, tmp_path: Path
) -> None:
    with closing(Rollup(tmp_path / "whole.db", troubled)) as whole:
        whole.follow_to_the_end()
        wanted = tables(whole)
    dice, rollup = Random(7), Rollup(tmp_path / "pieces.db", troubled)  # noqa: S311
    while not rollup.follow(dice.randrange(1, 400)).whole:
        if dice.random() < 0.3:  # it dies, and another one goes on
            rollup.close()
            rollup = Rollup(tmp_path / "pieces.db", troubled)
    assert tables(rollup) == wanted
    assert rollup.follow(10).whole
    assert tables(rollup) == wanted
    rollup.close()


def test_a_crash_inside_a_batch_leaves_nothing_of_it(
    troubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollup = Rollup(tmp_path / "keeper.db", troubled)
    rollup.follow(300)
    before = tables(rollup)
    with monkeypatch.context() as broken:
        broken.setattr(rollup, "_write_days", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rollup.follow(300)
    assert (tables(rollup), rollup.seq) == (before, 300)
    rollup.follow_to_the_end()
    with closing(Rollup(tmp_path / "whole.db", troubled)) as whole:
        whole.follow_to_the_end()
        assert tables(whole) == tables(rollup)
    rollup.close()


# --- the file -------------------------------------------------------------------------------------


def test_another_ledger_in_its_place_is_followed_from_its_first_row(
    kept: Kept, tmp_path: Path
) -> None:
    kept.add(
        started(), intent(1), leased(1), counted(1, p1=27), closed(1, confirmed=27, maximum=27)
    )
    kept.close()
    for old in tmp_path.glob("ledger.db*"):
        old.unlink()
    again = Kept(tmp_path)
    again.add(started(), intent(2, dose="prime"))
    assert [one[1] for one in again.rollup.db.execute("SELECT * FROM doses")] == [request(2)]
    again.close()
    kept.ledger, kept.rollup = again.ledger, again.rollup


@pytest.mark.parametrize("spoil", ["older", "garbage"])
def test_a_file_that_is_older_or_damaged_is_made_anew(
    kept: Kept, tmp_path: Path, spoil: str
) -> None:
    kept.add(started(), intent(1), leased(1), counted(1, p1=27))
    wanted = tables(kept.rollup)
    kept.rollup.close()
    if spoil == "older":
        with closing(sqlite3.connect(tmp_path / "keeper.db")) as db:
            db.execute("PRAGMA user_version = 999")
    else:
        (tmp_path / "keeper.db").write_bytes(b"SQLite format 3\x00" + bytes(4_000))
    kept.rollup = Rollup(tmp_path / "keeper.db", tmp_path / "ledger.db")
    kept.rollup.follow_to_the_end()
    assert tables(kept.rollup) == wanted


def test_a_ledger_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    rollup = Rollup(tmp_path / "keeper.db", tmp_path / "ledger.db")
    with closing(rollup), pytest.raises(LedgerFault):
        rollup.follow()


def test_a_row_that_does_not_follow_stops_it_there(kept: Kept, tmp_path: Path) -> None:
    kept.add(started(), intent(1), leased(1), counted(1, p1=27))
    kept.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET text = replace(text, '27', '28') WHERE seq = 3")
        db.commit()
    (tmp_path / "keeper.db").unlink()
    with closing(Rollup(tmp_path / "keeper.db", tmp_path / "ledger.db")) as rollup:
        with pytest.raises(BrokenChain):
            rollup.follow_to_the_end()
        assert rollup.seq == 0
    kept.__init__(tmp_path)  # type: ignore[misc]


# --- days -----------------------------------------------------------------------------------------


def test_steps_are_placed_on_the_local_day_that_counted_them(kept: Kept) -> None:
    kept.add(
        started(),
        intent(1, 23 * H + 59 * MIN),
        leased(1),
        counted(1, 24 * H - S, p1=27),
        leased(2),
        counted(2, 24 * H + S, p1=54),
        closed(1, 24 * H + 2 * S),
    )
    assert kept.day(DAY)["bolus_uu"] == kept.day(DAY + 1)["bolus_uu"] == uu(27)
    assert (kept.day(DAY)["boluses"], kept.day(DAY + 1)["boluses"]) == (1, 0)


def test_what_a_dose_did_not_give_is_taken_off_the_newest_day_it_stands_on(kept: Kept) -> None:
    kept.add(
        started(),
        intent(1, 0, dose="basal", programmed_uu=None, programmed_steps=None),
        leased(1),
        counted(1, H, p1=27),
        leased(2),
        counted(2, 24 * H + S, p1=54),
        closed(1, 24 * H + 2 * S, confirmed=40, maximum=54),
    )
    first, second = kept.day(DAY), kept.day(DAY + 1)
    assert (first["basal_uu"], first["basal_maximum_uu"]) == (uu(27), uu(27))
    assert (second["basal_uu"], second["basal_maximum_uu"]) == (uu(13), uu(27))
    assert second["uncertain"] == 1


def test_priming_the_cannula_and_rewinding_are_no_doses(kept: Kept) -> None:
    kept.add(
        started(),
        intent(1, dose="rewind"),
        leased(1, motion=3),
        counted(1, p1=27),
        closed(1, confirmed=27, maximum=27),
        intent(2, dose="prime"),
        leased(2, motion=2),
        counted(2, p2=27),
        closed(2, confirmed=27, maximum=27),
        intent(3, dose="cannula"),
        leased(3, motion=2),
        counted(3, p3=20, steps=20),
        closed(3, confirmed=20, maximum=20),
        entry("setting", name="cartridge", old=None, new={"amount_uu": 300_000_000}, by="x"),
        intent(4, dose="extended"),
        leased(4),
        counted(4, p4=27),
    )
    day = kept.day()
    assert (day["prime_uu"], day["cannula_uu"]) == (uu(27), uu(20))
    assert (day["bolus_uu"], day["total_uu"], day["changes"]) == (uu(27), uu(27), 1)
    found = kept.ask.conservation()
    assert (found["by_leases_steps"], found["by_doses_steps"], found["error_steps"]) == (74, 74, 0)
    assert found["cartridge"] == {
        "since_utc_ns": UTC_NS,
        "filled_uu": 300_000_000,
        "delivered_uu": uu(27),
        "primed_uu": 0,
        "left_uu": 300_000_000 - uu(27),
    }


def test_a_correction_is_told_apart_by_its_share_of_what_went_out(kept: Kept) -> None:
    kept.add(
        started(),
        intent(1, correction_uu=25_000),
        leased(1),
        counted(1, p1=27),
        leased(2),
        counted(2, p1=40, steps=13),
        closed(1, confirmed=40, maximum=40),
    )
    day = kept.day()
    assert (day["bolus_uu"], day["correction_uu"]) == (uu(40), uu(10))


@pytest.mark.parametrize(("offsets", "hours"), [((3_600, 7_200), 23), ((7_200, 3_600), 25)])
def test_a_day_says_how_long_it_was(kept: Kept, offsets: tuple[int, int], hours: int) -> None:
    kept.add(started(), *(reading(100, n * 8 * H, offsets[n]) for n in (0, 1)))
    assert kept.day()["length_s"] == hours * 3_600


def test_a_month_with_new_mechanics_is_summed_by_the_ratio_of_each_step(kept: Kept) -> None:
    other = RATIO | {"ratio_uu": 2 * RATIO["ratio_uu"]}
    kept.add(
        started(),
        intent(1),
        leased(1),
        counted(1, p1=27),
        closed(1, confirmed=27, maximum=27),
        entry("start", version="0", mechanics=other, clean_before=True, checks=[]),
        intent(2),
        leased(2),
        counted(2, p2=27),
        closed(2, confirmed=27, maximum=27),
    )
    assert kept.day()["bolus_uu"] == uu(27) + 2 * 27 * RATIO["ratio_uu"] // 3_200


# --- glucose --------------------------------------------------------------------------------------


def test_the_summary_has_the_statistics_of_the_readings_themselves(kept: Kept) -> None:
    dice = Random(11)  # noqa: S311
    samples = [
        Sample(UTC_NS + n * 5 * MIN + dice.randrange(60) * S, dice.randrange(45, 330))
        for n in range(14 * 288)
        if dice.random() < 0.9
    ]
    kept.add(started(), *(reading(one.mg_dl, one.utc_ns - UTC_NS) for one in samples))
    wanted = statistics_of(samples, UTC_NS, UTC_NS + 14 * DAY_NS)
    found = kept.ask.summary(DAY + 13, 14)["glucose"]
    assert (found["readings"], found["enough"]) == (wanted.readings, True)
    for name in ("covered", "mean_mg_dl", "sd_mg_dl", "cv", "gmi", "lbgi", "hbgi"):
        assert found[name] == pytest.approx(getattr(wanted, name)), name
    for name in ("under_54", "from_54_to_69", "from_70_to_180", "from_181_to_250", "over_250"):
        assert found[name] == pytest.approx(getattr(wanted.bands, name)), name
    assert len(kept.ask.profile(DAY + 13, 14)) == 96


def test_a_fingerstick_is_no_reading_of_the_sensor(kept: Kept) -> None:
    kept.add(started(), reading(100, 0), reading(300, MIN, kind="finger"))
    assert kept.day()["glucose"]["mean_mg_dl"] == 100
    graph = kept.ask.graph(UTC_NS + H, 3)
    assert graph["glucose"] == [[UTC_NS, 100]]
    assert graph["fingers"] == [[UTC_NS + MIN, 300]]


# --- the graph ------------------------------------------------------------------------------------


def test_a_graph_has_glucose_basal_boluses_and_alarms_of_its_hours(kept: Kept) -> None:
    basal = {"programmed_uu": None, "programmed_steps": None, "rate_uu_per_h": 800_000}
    kept.add(
        started(),
        reading(90, 0),
        intent(1, 1 * H, dose="basal", **basal),
        closed(1, 2 * H),
        intent(2, 2 * H, dose="basal", **basal | {"rate_uu_per_h": 900_000}),
        reading(150, 3 * H),
        intent(3, 3 * H + MIN),
        leased(1, 3 * H + MIN),
        counted(1, 3 * H + 2 * MIN, p3=27),
        entry(
            "alarm", 3 * H + 3 * MIN, number=1, code="A03", name="Low reservoir", priority="low",
            event="raised", text="the reservoir holds 19.00 U", by="pump",
        ),
    )  # fmt: skip
    graph = kept.ask.graph(UTC_NS + 4 * H, 3)
    assert graph["glucose"] == [[UTC_NS + 3 * H, 150]]
    assert graph["basal"] == [
        [UTC_NS + H, UTC_NS + 2 * H, 800_000],
        [UTC_NS + 2 * H, None, 900_000],
    ]
    (bolus,) = graph["boluses"]
    assert (bolus["id"], bolus["outcome"], bolus["confirmed_uu"]) == (request(3), "open", uu(27))
    assert bolus["maximum_uu"] == uu(54)
    assert [one["code"] for one in graph["alarms"]] == ["A03"]
    assert graph["suspended"] == []


def test_hours_and_days_out_of_range_are_refused(kept: Kept) -> None:
    with pytest.raises(ValueError, match="hours = 73"):
        kept.ask.graph(UTC_NS, 73)
    with pytest.raises(ValueError, match="days = 0"):
        kept.ask.days(DAY, 0)
    with pytest.raises(ValueError, match="2026-13-01"):
        day_number("2026-13-01")
    assert date_of(day_number("2026-02-28") + 1) == "2026-03-01"


def test_what_a_bolus_is_for_is_recorded_once_and_changes_nothing(tmp_path: Path) -> None:
    bench = VirtualBench(basal_uu_per_h=0)
    try:
        dose = {"request_id": request(7), "amount_uu": 2_000_000, "speed": "fast"}
        dose |= {"extended_uu": 1_000_000, "extended_s": 1_800}
        token = bench.ask("bolus.review", **dose)["token"]
        asked = {"token": token, "stay": True, "again": False, "carbs_g": 45}
        with pytest.raises(Refusal, match="correction_uu = 2100000 is more than the bolus"):
            bench.ask("bolus.deliver", **dose, **asked, correction_uu=2_100_000)
        token = bench.ask("bolus.review", **dose)["token"]
        bench.ask("bolus.deliver", **dose, **asked | {"token": token}, correction_uu=400_000)
        bodies = [row.entry.body for row in bench.rows("intent")]
        assert [one.get("correction_uu") for one in bodies] == [400_000, None]
        assert [one.get("carbs_g") for one in bodies] == [45, None]
        assert sum(one["programmed_uu"] for one in bodies) == 2_000_000
    finally:
        bench.close()
