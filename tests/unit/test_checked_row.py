"""From which row on a start checks the chain, who names that row, and what takes it back."""

import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import pumpd
from appliance.adapters import guard_door
from appliance.adapters.guard_door import ask_for_checked_row
from appliance.adapters.ledger import SqliteLedger
from appliance.adapters.wires import Wire, listen
from appliance.engine.book import Book
from appliance.errors import BrokenChain, LedgerFault, WireLost
from appliance.keeper.nightly import full_check
from appliance.ports import Entry
from appliance.records import CheckedRow, GuardHello, Head, Hello, Record

ROWS, CHECKPOINT = 30, 15


def entry(number: int) -> Entry:
    if number == CHECKPOINT:
        return Entry("checkpoint", "boot", number, number, 0, "set", Book().body())
    return Entry("clock", "boot", number, number, 0, "set", {"step_ns": number, "old_utc_ns": 0})


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteLedger]:
    monkeypatch.setattr(pumpd, "_WHOLE_ROWS", 10)
    made = SqliteLedger(tmp_path / "ledger.db")
    for number in range(ROWS):
        made.append([entry(number)])
    yield made
    made.close()


def row(ledger: SqliteLedger, seq: int) -> tuple[int, bytes]:
    return seq, ledger.rows()[seq - 1].digest


def damage(ledger: SqliteLedger, seq: int) -> None:
    """Change a row's text as a bad cell of a disk would: its digest stays."""
    path = ledger._path
    with sqlite3.connect(path) as db:
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE entries SET text = replace(text, 'set', 'sat') WHERE seq = ?", (seq,))
    db.close()


def test_sr_41_a_start_checks_the_rows_after_the_one_that_a_full_check_has_passed(
    ledger: SqliteLedger,
) -> None:
    mark = row(ledger, 20)
    damage(ledger, 5)  # the daily check's to find
    book, [line], to_name = pumpd.fold(ledger, lambda: mark)
    assert (book.seq, line.ok, to_name) == (ROWS, True, None)
    assert line.text.startswith(f"{ROWS} rows: up to row 20 a full check has passed them")
    damage(ledger, 25)
    with pytest.raises(BrokenChain) as broken:
        pumpd.fold(ledger, lambda: mark)
    assert broken.value.seq == 5  # the whole chain is asked, and names the first


def test_sr_41_a_start_without_a_checked_row_checks_every_row_and_names_the_last(
    ledger: SqliteLedger,
) -> None:
    book, [line], to_name = pumpd.fold(ledger, lambda: None)
    assert (book.seq, to_name) == (ROWS, row(ledger, ROWS))
    assert line.text == f"{ROWS} rows, every one follows from the last"
    damage(ledger, 5)
    with pytest.raises(BrokenChain) as broken:
        pumpd.fold(ledger, lambda: None)
    assert broken.value.seq == 5


@pytest.mark.parametrize("seq", [20, ROWS + 7])
def test_f24_a_checked_row_of_another_ledger_is_not_believed(
    ledger: SqliteLedger, seq: int
) -> None:
    _, [line], to_name = pumpd.fold(ledger, lambda: (seq, bytes(range(32))))
    assert line.text == f"{ROWS} rows, every one follows from the last"
    assert to_name == row(ledger, ROWS)


def test_a_short_ledger_is_checked_whole_and_nobody_is_asked(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pumpd, "_WHOLE_ROWS", ROWS)
    asked: list[int] = []
    pumpd.fold(ledger, lambda: asked.append(1))  # type: ignore[arg-type,return-value,func-returns-value]
    assert asked == []


class Guard(threading.Thread):
    """Answers one visitor as the guard does, and keeps what it said."""

    def __init__(self, path: Path, remembers: CheckedRow) -> None:
        super().__init__()
        self._listener = listen(path)
        self._listener.settimeout(10)
        self._remembers = remembers
        self.heard: list[Record] = []

    def run(self) -> None:
        connection, _ = self._listener.accept()
        self._listener.close()
        connection.settimeout(10)
        wire = Wire(connection)
        greeting = [GuardHello(0, 0, 0, 0, 0, 0, 0, 0, 0, 1), Head(0, 0, 0, 0, 0), self._remembers]
        try:
            while True:
                connection.settimeout(10)
                first = connection.recv(1, socket.MSG_PEEK)
                connection.settimeout(0)
                if not first:
                    return
                records = wire.read()
                self.heard += records
                if any(isinstance(one, Hello) for one in records):
                    wire.send_all(greeting)
        except WireLost:
            return
        finally:
            wire.close()


def visited(tmp_path: Path, remembers: CheckedRow) -> tuple[Path, Guard]:
    guard = Guard(tmp_path / "guard.sock", remembers)
    guard.start()
    return tmp_path / "guard.sock", guard


def test_a_visitor_is_told_the_row_with_its_digest(tmp_path: Path) -> None:
    digest = bytes(range(100, 132))
    path, guard = visited(tmp_path, guard_door.checked_row(77, digest))
    assert ask_for_checked_row(path) == (77, digest)
    guard.join()
    path, guard = visited(tmp_path, guard_door.checked_row(0, bytes(32)))
    assert ask_for_checked_row(path) is None
    guard.join()


def test_sr_41_the_daily_check_names_the_last_row_or_takes_the_mark_back(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    mark = guard_door.checked_row(*row(ledger, ROWS))
    told: list[tuple[int, str]] = []

    def check(path: Path) -> str:
        return full_check(tmp_path / "ledger.db", path, lambda seq, text: told.append((seq, text)))

    path, guard = visited(tmp_path, guard_door.checked_row(0, bytes(32)))
    assert check(path) == f"{ROWS} rows, every one follows from the last"
    guard.join()
    assert [one for one in guard.heard if isinstance(one, CheckedRow)] == [mark]
    assert told == []
    damage(ledger, 5)
    path, guard = visited(tmp_path, mark)
    with pytest.raises(BrokenChain):
        check(path)
    guard.join()
    taken_back = guard_door.checked_row(0, bytes(32))
    assert [one for one in guard.heard if isinstance(one, CheckedRow)] == [taken_back]
    assert [seq for seq, _ in told] == [5]


def test_without_a_guard_the_daily_check_fails_and_is_tried_again(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    def nobody(_seq: int, _text: str) -> None:
        raise AssertionError

    with pytest.raises(WireLost):
        full_check(tmp_path / "ledger.db", tmp_path / "nobody.sock", nobody)
    with pytest.raises(LedgerFault):
        full_check(tmp_path / "no-ledger.db", tmp_path / "nobody.sock", nobody)


def test_without_a_guard_a_start_checks_every_row(
    ledger: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pumpd, "_ASK_AGAIN_S", 0)
    assert pumpd._remembered_by(tmp_path / "nobody.sock") is None
