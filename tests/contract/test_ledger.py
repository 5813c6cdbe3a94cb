"""One set of tests for every ledger: in memory and on the disk, well and failing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.domain.history import GENESIS
from appliance.errors import BrokenChain, LedgerFault, LedgerUnknown
from appliance.ports import Entry, Ledger
from appliance.simulate.fake_ledger import Disk, FakeLedger

MONO_NS, UTC_NS = 5_000_000_000, 1_760_000_000_000_000_000


def entry(kind: str = "note", at: int = 0, **body: Any) -> Entry:
    return Entry(kind, "boot-1", MONO_NS + at, UTC_NS + at, 3_600, "synchronised", body)


def intent(request_id: str | None = None) -> Entry:
    return entry("intent", request_id=request_id or str(uuid4()), dose="bolus", programmed_steps=27)


class InMemory:
    """A pump with a fake ledger; its disk can fail."""

    def __init__(self) -> None:
        self.ledger = FakeLedger()

    def fail(self, disk: Disk) -> None:
        self.ledger.disk = disk

    def mend(self) -> None:
        self.ledger.disk = Disk.WELL


class LyingConnection:
    """A connection whose next commit is done, and raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.in_transaction = False

    def execute(self, sql: str, *parameters: Any) -> Any:
        result = self._db.execute(sql, *parameters)
        if sql == "COMMIT" or (sql.startswith("INSERT") and not self._db.in_transaction):
            raise sqlite3.OperationalError("disk I/O error")
        return result

    def close(self) -> None:
        self._db.close()


class OnDisk:
    """A pump with the real ledger; SQLite is told that the disk is full, or it is taken away."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.db"
        self.ledger = SqliteLedger(self.path)

    def fail(self, disk: Disk) -> None:
        db = self.ledger._db
        assert db is not None
        match disk:
            case Disk.FULL:
                (pages,) = db.execute("PRAGMA page_count").fetchone()
                db.execute(f"PRAGMA max_page_count = {pages}")
            case Disk.LIES:
                self.ledger._db = LyingConnection(db)  # type: ignore[assignment]
            case Disk.GONE:
                self.fail(Disk.FULL)
                self.path.rename(self.path.with_suffix(".away"))

    def mend(self) -> None:
        away = self.path.with_suffix(".away")
        if away.exists():
            away.rename(self.path)


Pump = InMemory | OnDisk


@pytest.fixture(params=["in memory", "on disk"])
def pump(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pump]:
    made = InMemory() if request.param == "in memory" else OnDisk(tmp_path)
    yield made
    made.mend()
    made.ledger.close()


@pytest.fixture
def ledger(pump: Pump) -> Ledger:
    return pump.ledger


BIG = "x" * 20_000  # more than what is free in the pages there are


def test_a_new_ledger_has_no_head(ledger: Ledger) -> None:
    assert ledger.head() == (0, GENESIS)
    assert ledger.rows() == []


def test_sr_41_rows_are_numbered_from_one_and_read_back_as_they_were_entered(pump: Pump) -> None:
    entries = [
        entry(at=1, text='ä\n"', flag=True, none=None),
        entry("state", 2, parts=[1, {"a": -1}]),
    ]
    rows = [*pump.ledger.append(entries), *pump.ledger.append([entry("end", 3)])]
    assert [row.seq for row in rows] == [1, 2, 3]
    assert pump.ledger.rows() == rows
    assert pump.ledger.rows(after_seq=2) == rows[2:]
    assert pump.ledger.rows(after_seq=3) == []
    assert pump.ledger.head() == (3, rows[-1].digest)


def test_both_ledgers_have_the_same_digests(tmp_path: Path) -> None:
    entries = [entry(at=at, number=at) for at in range(5)]
    real = SqliteLedger(tmp_path / "ledger.db")
    assert FakeLedger().append(entries) == real.append(entries)
    real.close()


def test_nothing_to_append_is_no_row(ledger: Ledger) -> None:
    assert ledger.append([]) == []
    assert ledger.head() == (0, GENESIS)


def test_sr_37_the_same_request_cannot_be_entered_twice(ledger: Ledger) -> None:
    once = intent()
    ledger.append([once])
    for again in ([once], [entry(), once], [intent(), intent(once.body["request_id"])]):
        with pytest.raises(ValueError, match=once.body["request_id"]):
            ledger.append(again)
    twin = intent()
    with pytest.raises(ValueError, match=twin.body["request_id"]):
        ledger.append([twin, twin])
    assert [row.entry for row in ledger.rows()] == [once]
    ledger.append([entry()])  # and it goes on
    assert ledger.head()[0] == 2


def test_a_request_may_be_refused_and_closed_under_its_id(pump: Pump) -> None:
    request_id = str(uuid4())
    kinds = ["refused", "refused", "intent", "closed"]
    rows = pump.ledger.append([entry(kind, request_id=request_id) for kind in kinds])
    pump.ledger.append([intent()])
    assert pump.ledger.find_request(request_id) == rows
    assert pump.ledger.find_request("another") == []


def test_a_row_with_a_float_is_refused_and_nothing_is_added(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match=r"uu = 0\.5"):
        ledger.append([entry(), entry(uu=0.5)])
    assert ledger.head() == (0, GENESIS)
    ledger.append([entry()])


def test_recovery_reads_from_the_last_checkpoint_alone(pump: Pump) -> None:
    kinds = ["start", "checkpoint", "lease", "count", "checkpoint", "lease", "count", "lease"]
    rows = pump.ledger.append([entry(kind, at) for at, kind in enumerate(kinds)])
    assert pump.ledger.last_of("checkpoint") == rows[4]
    assert pump.ledger.last_of("lease") == rows[7]
    assert pump.ledger.last_of("alarm") is None
    assert pump.ledger.rows(after_seq=5) == rows[5:]
    assert pump.ledger.rows_of("lease") == [rows[2], rows[5], rows[7]]
    assert pump.ledger.rows_of("lease", after_seq=5) == [rows[5], rows[7]]
    assert pump.ledger.rows_of("checkpoint", after_seq=2) == [rows[4]]


def test_the_chain_is_checked_from_a_row_that_is_known(pump: Pump) -> None:
    rows = pump.ledger.append([entry(at=at) for at in range(6)])
    assert pump.ledger.check_chain() == (6, rows[5].digest)
    assert pump.ledger.check_chain(4, rows[3].digest) == (6, rows[5].digest)
    assert pump.ledger.check_chain(6, rows[5].digest) == (6, rows[5].digest)
    with pytest.raises(BrokenChain) as other:
        pump.ledger.check_chain(4, rows[2].digest)
    assert other.value.seq == 4


def test_f22_f24_a_ledger_behind_the_head_kept_elsewhere_is_found(pump: Pump) -> None:
    rows = pump.ledger.append([entry()])
    with pytest.raises(BrokenChain) as behind:
        pump.ledger.check_chain(2, rows[0].digest)
    assert behind.value.seq == 2
    with pytest.raises(BrokenChain):
        pump.ledger.rows(after_seq=2)


def test_f17_on_a_full_disk_nothing_is_kept_and_history_stays_readable(pump: Pump) -> None:
    kept = pump.ledger.append([entry()])
    wanted = [intent(), entry(text=BIG)]
    pump.fail(Disk.FULL)
    with pytest.raises(LedgerUnknown):
        pump.ledger.append(wanted)
    assert pump.ledger.settle(wanted) is None
    assert pump.ledger.rows() == kept
    pump.mend()
    assert [row.seq for row in pump.ledger.append(wanted)] == [2, 3]


def test_sr_39_after_an_error_nothing_is_entered_until_it_is_settled(pump: Pump) -> None:
    pump.ledger.append([entry()])
    pump.fail(Disk.FULL)
    for _ in range(2):
        with pytest.raises(LedgerUnknown):
            pump.ledger.append([entry(text=BIG)])
    pump.mend()
    with pytest.raises(LedgerUnknown):
        pump.ledger.append([entry()])


@pytest.mark.parametrize("count", [1, 3])
def test_sr_39_rows_that_were_kept_although_the_disk_gave_an_error_are_found(
    pump: Pump, count: int
) -> None:
    pump.ledger.append([entry()])
    wanted = [intent() for _ in range(count)]
    pump.fail(Disk.LIES)
    with pytest.raises(LedgerUnknown):
        pump.ledger.append(wanted)
    rows = pump.ledger.settle(wanted)
    assert rows is not None
    assert [row.entry for row in rows] == wanted
    assert pump.ledger.settle(wanted) == rows  # however often it is asked
    assert pump.ledger.head() == (1 + count, rows[-1].digest)
    with pytest.raises(ValueError, match=wanted[0].body["request_id"]):
        pump.ledger.append(wanted)
    assert [row.seq for row in pump.ledger.append([entry()])] == [2 + count]


def test_f27_a_disk_that_is_gone_leaves_the_outcome_unknown_until_it_is_back(pump: Pump) -> None:
    pump.ledger.append([entry()])
    wanted = [entry(text=BIG)]
    pump.fail(Disk.GONE)
    with pytest.raises(LedgerUnknown):
        pump.ledger.append(wanted)
    for _ in range(2):
        with pytest.raises(LedgerFault):
            pump.ledger.settle(wanted)
    pump.mend()
    assert pump.ledger.settle(wanted) is None
    assert pump.ledger.append(wanted)[0].seq == 2


def test_rows_that_were_never_appended_are_not_taken_for_the_last_ones(pump: Pump) -> None:
    pump.ledger.append([entry(at=1), entry(at=2)])
    assert pump.ledger.settle([entry(at=3)]) is None
    assert pump.ledger.settle([entry(at=at) for at in range(5)]) is None
    assert pump.ledger.settle([]) == []


def test_sr_57_a_disk_that_is_well_has_nothing_against_it(pump: Pump) -> None:
    assert pump.ledger.self_check(free_bytes=1) == []
