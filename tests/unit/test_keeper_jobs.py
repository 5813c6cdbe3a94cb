"""Jobs of each day: once for each local date, over DST, set clocks, restarts and failures."""

import itertools
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from engine_room import Room

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.ledger import LedgerReader, SqliteLedger
from appliance.engine.record import RecordDesk
from appliance.errors import BadConfiguration, LedgerFault
from appliance.keeper.jobs import AGAIN_NS, FIRST_NS, Housekeeper, Job, JobBook
from appliance.keeper.nightly import back_up, clear_out, to_keep
from appliance.keeper.settings import KeeperSettings, read
from appliance.ports import ClockQuality, ClockReading, Entry

S = 1_000_000_000
ROOT = Path(__file__).parents[2]
BERLIN = ZoneInfo("Europe/Berlin")


class TurnedClock:
    """A clock that the test turns: real time goes on with it, the wall may be set."""

    speed = 1

    def __init__(self, local: datetime, zone: ZoneInfo = BERLIN) -> None:
        self.zone = zone
        self.mono_ns = FIRST_NS + S
        self.ahead_ns = int(local.replace(tzinfo=zone).timestamp()) * S - self.mono_ns

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def read(self) -> ClockReading:
        utc_ns = self.mono_ns + self.ahead_ns
        offset = datetime.fromtimestamp(utc_ns // S, UTC).astimezone(self.zone).utcoffset()
        assert offset is not None
        return ClockReading(
            self.mono_ns, utc_ns, int(offset.total_seconds()), ClockQuality.SYNCHRONISED
        )

    def real_timeout_s(self, wake_ns: int) -> float:
        return 0.0


class Kept:
    """A housekeeper whose clock is turned by hand, and what its jobs did."""

    def __init__(self, folder: Path, local: datetime, *at: int) -> None:
        self.clock = TurnedClock(local)
        self.done: list[tuple[str, int]] = []
        self.fails = False
        self.folder = folder
        self.at = at or (150,)
        self.house = self.begin()

    def begin(self) -> Housekeeper:
        def work(name: str) -> Callable[[int], str]:
            def job(day: int) -> str:
                if self.fails:
                    raise OSError("the disk is full")
                self.done.append((name, day))
                return "done"

            return job

        jobs = [Job(f"job{at}", at, work(f"job{at}")) for at in self.at]

        def died(error: BaseException) -> None:
            raise error

        house = Housekeeper(
            jobs, JobBook(self.folder / "jobs.json"), self.clock, self.clock.monotonic_ns, died
        )
        self.clock.mono_ns += FIRST_NS
        self.clock.ahead_ns -= FIRST_NS
        return house

    def look(self) -> None:
        for at in self.at:
            self.house.look(f"job{at}")

    def go_by(self, hours: float, every_min: int = 10) -> None:
        for _ in range(int(hours * 60 / every_min)):
            self.clock.mono_ns += every_min * 60 * S
            self.look()

    @property
    def days(self) -> list[int]:
        return [day for _, day in self.done]


def day(year: int, month: int, of_month: int) -> int:
    return (date(year, month, of_month) - date(1970, 1, 1)).days


def local(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize("start", [local(2026, 3, 27), local(2026, 10, 23), local(2026, 7, 1)])
def test_a_job_at_half_past_two_runs_once_on_each_local_date_also_where_clocks_change(
    tmp_path: Path, start: datetime
) -> None:
    kept = Kept(tmp_path, start)
    kept.go_by(5 * 24)
    first = day(start.year, start.month, start.day)
    assert kept.days == [first + n for n in range(5)]


def test_a_computer_that_is_off_at_night_does_it_when_it_comes_on(tmp_path: Path) -> None:
    kept = Kept(tmp_path, local(2026, 7, 1, 9))
    kept.look()
    assert kept.days == [day(2026, 7, 1)]
    kept.house = kept.begin()  # a restart does it no second time
    kept.look()
    kept.clock.mono_ns += 24 * 3_600 * S
    kept.look()
    assert kept.days == [day(2026, 7, 1), day(2026, 7, 2)]


@pytest.mark.parametrize("hours", [-30, -3, 3, 30, 24 * 400])
def test_a_clock_that_is_set_makes_no_job_run_twice_for_a_date_and_stops_none(
    tmp_path: Path, hours: int
) -> None:
    kept = Kept(tmp_path, local(2026, 7, 10, 12), 60, 150, 700)
    kept.go_by(2)
    kept.clock.ahead_ns += hours * 3_600 * S
    kept.go_by(72)
    for name in ("job60", "job150", "job700"):
        days = [one for job, one in kept.done if job == name]
        assert all(before != after for before, after in itertools.pairwise(days))
        assert days[-3:] == [days[-1] - 2, days[-1] - 1, days[-1]]


def test_a_job_that_fails_is_tried_again_in_an_hour_and_says_why(tmp_path: Path) -> None:
    kept = Kept(tmp_path, local(2026, 7, 1, 9))
    kept.fails = True
    kept.look()
    (shown,) = kept.house.shown()
    assert (shown["ok"], shown["failures"], shown["done_date"]) == (False, 1, None)
    assert "the disk is full" in shown["text"]
    kept.fails = False
    kept.go_by(0.9)
    assert kept.done == []
    kept.clock.mono_ns += AGAIN_NS
    kept.look()
    (shown,) = kept.house.shown()
    assert (shown["ok"], shown["done_date"], shown["runs"]) == (True, "2026-07-01", 2)


def test_nothing_runs_in_the_first_minutes(tmp_path: Path) -> None:
    kept = Kept(tmp_path, local(2026, 7, 1, 9))
    kept.clock.mono_ns -= S * 2
    kept.look()
    assert kept.done == []


def test_a_book_that_is_damaged_makes_every_job_due(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text('{"job150": {"no_such_field": 1}}')
    assert JobBook(tmp_path / "jobs.json").ran == {}


class Real:
    """The real scheduler, asking many times a second; the wall clock is the machine's, moved."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self.changed = threading.Condition()
        self.clock = WallClock()
        self.house = Housekeeper(
            [Job("often", 0, self.work)],
            JobBook(folder / "jobs.json"),
            self.clock,
            real_monotonic_ns,
            self.died,
            first_ns=0,
            look_s=0.02,
        )

    def died(self, error: BaseException) -> None:
        raise error

    def work(self, _day: int) -> str:
        with self.changed:
            self.count += 1
            self.clock.days += 1  # so that it is due at the next look again
            self.changed.notify_all()
        return "done"

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count >= count, 20), self.count


class WallClock(TurnedClock):
    """The machine's wall clock, a day further each time a job was done."""

    def __init__(self) -> None:
        self.days = 0

    def read(self) -> ClockReading:
        mono_ns = real_monotonic_ns()
        wall_ns = int(datetime.now(UTC).timestamp() * S)
        utc_ns = wall_ns + self.days * 86_400 * S
        return ClockReading(mono_ns, utc_ns, 0, ClockQuality.SET)


def test_the_scheduler_goes_on_after_the_wall_clock_was_set_back_an_hour(tmp_path: Path) -> None:
    real = Real(tmp_path)
    real.house.start()
    try:
        real.wait_for(3)
        back = datetime.now(UTC) - timedelta(hours=1)
        with time_machine.travel(back, tick=True):
            assert real.house.watch()
            real.wait_for(real.count + 3)
        assert real.house.watch()  # and forward again
        real.wait_for(real.count + 3)
        real.house.run_soon("often")
        with pytest.raises(ValueError, match="'dishes' is not one of often"):
            real.house.run_soon("dishes")
    finally:
        real.house.end()


# --- backup, retention, settings ------------------------------------------------------------------


def entry(number: int) -> Entry:
    return Entry("note", "b", number, number, 0, "set", {"number": number})


def test_a_backup_is_read_back_whole_before_it_has_its_name(tmp_path: Path) -> None:
    path, folder = tmp_path / "ledger.db", tmp_path / "backups"
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([entry(n) for n in range(300)])
        text = back_up(path, folder, "2026-11-26")
        ledger.append([entry(301)])  # the pump goes on
    assert text.startswith("300 rows in ")
    assert [one.name for one in folder.iterdir()] == ["ledger-2026-11-26.db"]
    with closing(LedgerReader(folder / "ledger-2026-11-26.db")) as copy:
        assert copy.check_chain()[0] == 300


def test_a_backup_of_a_damaged_ledger_is_none_and_the_older_one_stays(tmp_path: Path) -> None:
    path, folder = tmp_path / "ledger.db", tmp_path / "backups"
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([entry(n) for n in range(30)])
    back_up(path, folder, "2026-11-26")
    before = (folder / "ledger-2026-11-26.db").read_bytes()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET text = replace(text, '7', '8') WHERE seq = 8")
        db.commit()
    with pytest.raises(LedgerFault, match="row 8"):
        back_up(path, folder, "2026-11-26")
    assert (folder / "ledger-2026-11-26.db").read_bytes() == before
    assert len(list(folder.iterdir())) == 1


def test_without_room_there_is_no_backup_and_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    SqliteLedger(path).close()
    monkeypatch.setattr("appliance.keeper.nightly._ROOM", 1e12)
    with pytest.raises(LedgerFault, match="MB free, and a backup takes"):
        back_up(path, tmp_path / "backups", "2026-11-26")


def test_what_stays_are_days_then_weeks_then_months() -> None:
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(330)]
    kept = to_keep(days, 3, 4, 5)
    newest = days[-1]  # Thursday, 2026-11-26
    assert {newest, newest - timedelta(1), newest - timedelta(2)} <= kept
    assert {date(2026, 11, 22), date(2026, 11, 15), date(2026, 11, 8)} <= kept
    assert {date(2026, 10, 31), date(2026, 9, 30), date(2026, 8, 31), date(2026, 7, 31)} <= kept
    assert len(kept) == 3 + 3 + 4
    assert to_keep([], 3, 4, 5) == set()


def test_retention_removes_backups_alone_and_never_the_newest(tmp_path: Path) -> None:
    for name in ("ledger-2026-11-25.db", "ledger-2026-11-26.db", "ledger.db", "ledger-x.db"):
        (tmp_path / name).touch()
    assert clear_out(tmp_path, 0, 0, 0) == "1 backups kept, 1 removed"
    left = {"ledger-2026-11-26.db", "ledger.db", "ledger-x.db"}
    assert {one.name for one in tmp_path.iterdir()} == left
    assert clear_out(tmp_path / "none", 1, 1, 1) == "0 backups kept, 0 removed"


def test_the_keepers_settings_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "keeper.toml"
    assert read(path) == KeeperSettings()
    path.write_text('[jobs]\nbackup_at = "04:15"\n[[source]]\nname = "a"\nkind = "file"\n')
    settings = read(path)
    assert (settings.jobs.backup_at, settings.source[0].enabled) == (255, False)
    for text, said in (
        ('[jobs]\nbackup_at = "24:00"', "jobs.backup_at"),
        ("[jobs]\nbackups_at = 1", "jobs.backups_at is not a parameter"),
        ('[[source]]\nname = "A"\nkind = "file"', "source.0.name"),
        ('[[source]]\nname="a"\nkind="b"\n[[source]]\nname="a"\nkind="b"', "'a' stands twice"),
        ("nonsense", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(BadConfiguration, match=said):
            read(path)


def test_the_shipped_example_says_what_is_usual_and_switches_nothing_on() -> None:
    example, usual = read(ROOT / "docs/keeper.example.toml"), KeeperSettings()
    assert (example.jobs, example.report, example.hosts) == (usual.jobs, usual.report, [])
    assert not any(one.enabled for one in (*example.source, *example.link))


# --- what was found wrong becomes an alarm --------------------------------------------------------


def test_sr_41_a_row_that_is_wrong_raises_an_alarm_of_high_priority_once() -> None:
    room = Room()
    room.desks = [RecordDesk(room.c, room.alarms)]
    asked: dict[str, Any] = {"seq": 5, "text": "the ledger is broken at row 5"}
    assert room.ask("ledger.report", **asked) == {"raised": True}
    room.ask("ledger.report", **asked)
    (alarm,) = room.alarms.listed()
    assert (alarm["code"], alarm["priority"]) == ("A19", "high")
    assert alarm["text"] == "the ledger is broken at row 5"
    rows = [one.entry for one in room.ledger.rows() if one.entry.kind == "alarm"]
    assert len(rows) == 1
    assert json.dumps(dict(rows[0].body))
