"""What only a file can do: be opened twice, cut, edited, flipped, or stand on a bad disk."""

import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlite_utils import Database, Migrations

from appliance.adapters import migrations
from appliance.adapters.ledger import LedgerReader, SqliteLedger, connect_to_read
from appliance.domain.history import APPLICATION_ID, GENESIS
from appliance.errors import (
    AlreadyRunning,
    BrokenChain,
    LedgerFault,
    LedgerUnknown,
    NewerLedger,
)
from appliance.ports import Entry
from appliance.verify import verify

ROOT = Path(__file__).parents[2]


def entry(kind: str = "note", at: int = 0, **body: Any) -> Entry:
    return Entry(kind, "boot-1", at, 1_760_000_000_000_000_000 + at, 0, "synchronised", body)


def lease(number: int) -> Entry:
    return entry("lease", number, number=number, run="r", motion=1, direction=1, steps=27)


def count(number: int) -> Entry:
    steps = {f"{word}_steps": 27 for word in ("issued", "confirmed", "maximum")}
    return entry("count", number, lease=number, run="r", certainty="exact", **steps)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def kept(path: Path) -> tuple[int, bytes]:
    """A ledger at rest with a bolus in it; its head, as the guard would keep it."""
    ledger = SqliteLedger(path)
    request_id = str(uuid4())
    ledger.append([entry("start", run="r"), entry("checkpoint", 1, book={"reservoir_uu": 300})])
    ledger.append([entry("intent", 2, request_id=request_id, dose="bolus", programmed_uu=100_000)])
    for number in (1, 2):
        ledger.append([lease(number)])
        ledger.append([count(number)])
    ledger.append([entry("closed", 9, request_id=request_id, outcome="done")])
    head = ledger.head()
    ledger.close()
    return head


# --- One writer, durable --------------------------------------------------------------------------


def test_f13_a_ledger_has_one_writer_in_this_process_or_another(path: Path) -> None:
    with closing(SqliteLedger(path)):
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            SqliteLedger(path)
        (path.parent / "link.db").symlink_to(path)
        with pytest.raises(AlreadyRunning):
            SqliteLedger(path.parent / "link.db")
        open_it = "import sys; from pathlib import Path; from appliance.adapters.ledger import *\n"
        said = in_child(open_it + "SqliteLedger(Path(sys.argv[1]))", path)
        assert said.returncode == 1
        assert "AlreadyRunning" in said.stderr
    SqliteLedger(path).close()


def test_closing_twice_is_harmless_and_leaves_one_file_and_its_lock(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([entry()])
    ledger.close()
    ledger.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["ledger.db", "ledger.db.lock"]
    with pytest.raises(LedgerUnknown):
        ledger.append([entry()])
    with pytest.raises(LedgerFault, match="was closed"):
        ledger.settle([entry()])


def test_sr_34_a_row_is_durable_when_append_returns(path: Path) -> None:
    request_id = str(uuid4())
    said = in_child(
        CHILD + f"rows = ledger.append([intent('{request_id}')]); os.kill(os.getpid(), 9)", path
    )
    assert said.returncode == -signal.SIGKILL
    with closing(SqliteLedger(path)) as ledger:
        assert [row.entry.kind for row in ledger.find_request(request_id)] == ["intent"]


def test_sr_34_an_intent_that_reads_back_as_another_row_is_not_acknowledged(path: Path) -> None:
    wanted = entry("intent", request_id=str(uuid4()))
    with closing(SqliteLedger(path)) as ledger:

        class Forgetful(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                return super().execute(sql.replace("AND kind = 'intent'", "AND 0"), *parameters)

        assert ledger._db is not None
        ledger._db.close()
        ledger._db = sqlite3.connect(path, isolation_level=None, factory=Forgetful)
        with pytest.raises(LedgerUnknown, match="reads back"):
            ledger.append([wanted])
        assert ledger.settle([wanted]) is not None


def test_sr_34_wal_and_full_sync_are_set_at_every_open(path: Path) -> None:
    for _ in range(2):
        with closing(SqliteLedger(path)) as ledger:
            assert ledger._db is not None
            for pragma, wanted in (("journal_mode", "wal"), ("synchronous", 2)):
                assert ledger._db.execute(f"PRAGMA {pragma}").fetchone() == (wanted,)


def test_a_file_system_without_wal_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteLedger(path).close()
    connect = sqlite3.connect

    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(
                sql.replace("journal_mode = WAL", "journal_mode = DELETE"), *parameters
            )

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **kw: connect(*a, **kw, factory=NoWal))
    with pytest.raises(LedgerFault, match="journal_mode is 'delete' and must be 'wal'"):
        SqliteLedger(path)


def test_the_log_stays_bounded_and_is_emptied_when_nobody_reads(path: Path) -> None:
    wal = Path(f"{path}-wal")
    with closing(SqliteLedger(path, checkpoint_pages=20)) as ledger:
        for number in range(200):
            ledger.append([lease(number + 1)])
        assert wal.stat().st_size < 40 * 4_200
        reader, _ = connect_to_read(path)
        with closing(reader):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM entries").fetchone()
            ledger.append([entry()])
            assert ledger._db is not None
            ledger._db.execute("PRAGMA busy_timeout = 1")
            assert not ledger.checkpoint()
        assert ledger.checkpoint()
        assert wal.stat().st_size == 0


def test_sr_43_a_month_at_the_highest_rate_fits_on_a_small_card(path: Path) -> None:
    pairs = 1_000
    with closing(SqliteLedger(path)) as ledger:
        for number in range(1, pairs + 1):
            ledger.append([lease(number), count(number)])
    leases_a_month = 35_000_000 // 50_000 * 24 * 30
    assert path.stat().st_size / pairs * leases_a_month < 700_000_000


def test_an_sr_37_repeat_after_a_restart_is_refused(path: Path) -> None:
    once = entry("intent", request_id=str(uuid4()))
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([once])
    with closing(SqliteLedger(path)) as ledger, pytest.raises(ValueError, match="already"):
        ledger.append([once])


# --- Nobody edits it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET text = text WHERE seq = 2",
        "UPDATE entries SET digest = zeroblob(32)",
        "UPDATE entries SET kind = 'note'",
        "DELETE FROM entries WHERE seq = 1",
        "DELETE FROM entries",
        "INSERT INTO entries (seq, text, digest) VALUES (99, '{}', zeroblob(32))",
        "INSERT INTO entries (seq, text, digest) VALUES (3, '{}', zeroblob(32))",
        "INSERT OR REPLACE INTO entries (seq, text, digest) VALUES (3, '{}', zeroblob(32))",
        "INSERT INTO entries (text, digest) VALUES ('{}', zeroblob(32))",
        "INSERT INTO entries (seq, text, digest) VALUES (9, '{}', 'text')",
        "INSERT INTO entries (seq, text, digest) VALUES (9, '{}', x'00')",
        "INSERT INTO entries (seq, text, digest) VALUES (9, 'no', zeroblob(32))",
    ],
)
def test_sr_41_rows_are_added_at_the_end_and_never_changed(
    path: Path, kept: tuple[int, bytes], sql: str
) -> None:
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.Error):
        other.execute(sql)
    with closing(LedgerReader(path)) as reader:
        assert reader.check_chain() == kept


def test_a_row_that_somebody_else_wrote_is_found_at_the_next_append(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([entry()])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            "INSERT INTO entries (seq, text, digest)"
            " SELECT 2, replace(text, '\"seq\":1', '\"seq\":2'), zeroblob(32) FROM entries"
        )
    with pytest.raises(BrokenChain, match="somebody else"):
        ledger.append([entry()])
    with pytest.raises(BrokenChain):
        ledger.settle([entry()])
    ledger.close()


def tampered(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for trigger in ("no_update", "no_delete", "in_order"):
            db.execute(f"DROP TRIGGER entries_{trigger}")
        for sql in statements:
            db.execute(sql)


EDITS = {
    "edited": (4, ["UPDATE entries SET text = replace(text, '27', '28') WHERE seq = 4"]),
    "digest edited": (6, ["UPDATE entries SET digest = zeroblob(32) WHERE seq = 6"]),
    "row deleted": (5, ["DELETE FROM entries WHERE seq = 5"]),
    "first row deleted": (1, ["DELETE FROM entries WHERE seq = 1"]),
    "renumbered": (
        5,
        [
            "DELETE FROM entries WHERE seq = 5",
            "UPDATE entries SET seq = seq - 1 WHERE seq = 6",
            "UPDATE entries SET seq = seq - 1 WHERE seq = 7",
            "UPDATE entries SET seq = seq - 1 WHERE seq = 8",
        ],
    ),
    "reordered": (
        4,
        [
            "UPDATE entries SET seq = 100 WHERE seq = 4",
            "UPDATE entries SET seq = 4 WHERE seq = 6",
            "UPDATE entries SET seq = 6 WHERE seq = 100",
        ],
    ),
    "inserted": (
        9,
        ["INSERT INTO entries (seq, text, digest) SELECT 9, text, digest FROM entries LIMIT 1"],
    ),
    "emptied text": (4, ["UPDATE entries SET text = '{}' WHERE seq = 4"]),
}


@pytest.mark.parametrize("what", EDITS)
def test_f70_the_chain_check_names_the_first_bad_row_of_an_edited_ledger(
    path: Path, kept: tuple[int, bytes], what: str
) -> None:
    first_bad, statements = EDITS[what]
    tampered(path, *statements)
    with closing(LedgerReader(path)) as reader:
        for look in (reader.check_chain, reader.rows):
            with pytest.raises(BrokenChain, match=f"row {first_bad} ") as broken:
                look()
            assert broken.value.seq == first_bad
    verdict = verify(path)
    assert (verdict.ok, verdict.first_bad_seq) == (False, first_bad)
    assert verdict.rows == first_bad - 1


@pytest.mark.parametrize(
    ("left", "sql"),
    [
        (0, "DELETE FROM entries"),
        (1, "DELETE FROM entries WHERE seq > 1"),
        (7, "DELETE FROM entries WHERE seq > 7"),
    ],
)
def test_f70_rows_cut_from_the_end_are_missed_by_whoever_kept_the_head(
    path: Path, kept: tuple[int, bytes], left: int, sql: str
) -> None:
    tampered(path, sql)
    with closing(LedgerReader(path)) as reader:
        assert reader.check_chain()[0] == left
        with pytest.raises(BrokenChain) as broken:
            reader.check_chain(*kept)
        assert broken.value.seq == kept[0]


def test_f22_a_last_row_that_cannot_be_one_is_no_empty_ledger(
    path: Path, kept: tuple[int, bytes]
) -> None:
    tampered(
        path,
        "DELETE FROM entries",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO entries (seq, text, digest) VALUES (0, '{}', zeroblob(32))",
    )
    for look in (SqliteLedger, lambda path: LedgerReader(path).check_chain()):
        with pytest.raises(BrokenChain, match="the last row says that it is 0"):
            look(path)


def test_a_query_for_single_rows_checks_them_too(path: Path, kept: tuple[int, bytes]) -> None:
    tampered(path, *EDITS["edited"][1])
    with closing(LedgerReader(path)) as reader:
        with pytest.raises(BrokenChain, match="row 4 "):
            reader.rows_of("lease")
        assert reader.last_of("lease") is not None


# --- Bits, bytes and whole files ------------------------------------------------------------------


def flips(path: Path, places: Iterable[int], bits: int = 1) -> Iterator[int]:
    """Flip so many bits of each of these bytes, one at a time, and put it back."""
    rng = random.Random(23)  # noqa: S311
    raw = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place in places:
            for bit in rng.sample(range(8), bits):
                os.pwrite(file.fileno(), bytes([raw[place] ^ 1 << bit]), place)
                yield place
                os.pwrite(file.fileno(), raw[place : place + 1], place)


def accepted(opened: Callable[[Path], LedgerReader], path: Path, head: tuple[int, bytes]) -> bool:
    """Whether a ledger opens and its chain holds from a head that was kept elsewhere."""
    try:
        with closing(opened(path)) as ledger:
            ledger.check_chain(*head)
    except LedgerFault:
        return False
    return True


def contents(path: Path) -> list[int]:
    """Return where the texts and digests of the rows stand in the file."""
    raw = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        parts = [
            p for row in db.execute("SELECT CAST(text AS BLOB), digest FROM entries") for p in row
        ]
    starts = {raw.index(part): len(part) for part in parts}
    return [place for start, length in starts.items() for place in range(start, start + length)]


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_f23_every_bit_flip_in_a_row_is_detected_by_both_readers(
    path: Path, kept: tuple[int, bytes]
) -> None:
    places = contents(path)
    assert len(places) > kept[0] * 200
    found, missed = 0, []
    for place in flips(path, places, bits=8):
        found += 1
        if verify(path).first_bad_seq is None or accepted(LedgerReader, path, (0, GENESIS)):
            missed.append(place)
    assert (found, missed) == (8 * len(places), [])


def test_f23_a_row_whose_text_is_no_json_any_more_is_named_and_not_the_one_before(
    path: Path, kept: tuple[int, bytes]
) -> None:
    place = path.read_bytes().index(b'"motion":1,"number":2')
    for _ in flips(path, [place]):
        with pytest.raises(BrokenChain, match="row 6 "), closing(LedgerReader(path)) as reader:
            reader.check_chain()
        verdict = verify(path)
        assert (verdict.first_bad_seq, verdict.rows) == (6, 5)


def test_f23_a_bit_flip_anywhere_is_detected_or_changes_nothing(
    path: Path, kept: tuple[int, bytes]
) -> None:
    whole = verify(path)
    assert whole.ok
    size = path.stat().st_size
    found = 0
    for _ in flips(path, range(0, size, 31)):
        verdict = verify(path)
        found += not verdict.ok
        assert verdict == whole or not verdict.ok
    assert found > 100
    for _ in flips(path, range(100)):  # the header, where every bit has a meaning
        accepted(SqliteLedger, path, kept)  # or named: it raises nothing but LedgerFault


def test_f23_a_bit_flip_in_the_log_loses_rows_that_the_head_kept_elsewhere_misses(
    path: Path,
) -> None:
    child = CHILD + "ledger.append([lease(n) for n in range(1, 5)]); os.kill(os.getpid(), 9)"
    in_child(child, path)
    with closing(LedgerReader(path)) as reader:
        head = reader.check_chain()
    assert head[0] == 4
    for folder, place in enumerate(range(40, Path(f"{path}-wal").stat().st_size, 997)):
        copy = path.parent / str(folder) / "ledger.db"
        shutil.copytree(path.parent, copy.parent, ignore=shutil.ignore_patterns("[0-9]*"))
        for _ in flips(Path(f"{copy}-wal"), range(place, place + 1)):
            assert not accepted(SqliteLedger, copy, head), place


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER entries_no_delete")
        db.execute("DELETE FROM entries WHERE seq > 3")


@pytest.mark.parametrize("harm", [cut, emptied, older, Path.unlink])
def test_f24_a_ledger_cut_deleted_or_replaced_is_found_against_the_head_kept_elsewhere(
    path: Path, kept: tuple[int, bytes], harm: Callable[[Path], None]
) -> None:
    harm(path)
    assert not accepted(SqliteLedger, path, kept)


def test_f24_a_ledger_replaced_while_it_is_open_is_found_when_a_row_is_settled(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([entry()])
    ledger.checkpoint()
    shutil.copy(path, path.with_suffix(".old"))
    ledger.append([entry()])
    ledger._drop()
    shutil.copy(path.with_suffix(".old"), path)
    with pytest.raises(BrokenChain, match="row 2 "):
        ledger.settle([entry()])
    ledger.close()


@pytest.mark.parametrize("other", [False, True])
def test_f25_a_log_that_was_deleted_or_belongs_to_another_file_is_found(
    path: Path, *, other: bool
) -> None:
    child = CHILD + "ledger.append([lease(n) for n in range(1, 9)])\n"
    in_child(child + "os.kill(os.getpid(), 9)", path)
    with closing(LedgerReader(path)) as reader:
        head = reader.check_chain()
    wal = Path(f"{path}-wal")
    if other:
        another = path.parent / "another" / "ledger.db"
        another.parent.mkdir()
        in_child(
            CHILD + "ledger.append([note(n) for n in range(5)]); os.kill(os.getpid(), 9)", another
        )
        shutil.copy(f"{another}-wal", wal)
    else:
        wal.unlink()
        assert any("-wal file has been taken away" in reason for reason in verify(path).reasons)
    Path(f"{path}-shm").unlink()
    assert not accepted(SqliteLedger, path, head)


def test_f26_a_folder_or_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerFault, match="No such file or directory"):
        SqliteLedger(tmp_path / "none" / "ledger.db")
    with pytest.raises(LedgerFault, match="none is not there"):
        LedgerReader(tmp_path / "none" / "ledger.db")
    with pytest.raises(LedgerFault, match="it is not there"):
        LedgerReader(tmp_path / "ledger.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(LedgerFault, match="it is not a file"):
        SqliteLedger(tmp_path / "folder.db")
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to have a header of one hundred bytes " * 3)
    for opened in (SqliteLedger, LedgerReader):
        with pytest.raises(LedgerFault, match="file is not a database"):
            opened(text)
    assert text.read_text().startswith("not a database")


def test_f27_a_disk_that_answers_nothing_is_a_fault_of_the_ledger_and_no_end_of_its_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: Path, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with closing(SqliteLedger(path)) as ledger:
        ledger._drop()
        with monkeypatch.context() as patched:
            patched.setattr(Path, "stat", gone)
            with pytest.raises(LedgerFault, match="cannot be looked up: Input/output error"):
                ledger.settle([entry()])
            with pytest.raises(LedgerFault, match="cannot be looked up: Input/output error"):
                connect_to_read(path)
        assert ledger.settle([entry()]) is None


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(LedgerFault, match="something else: recipes"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_sr_57_a_disk_without_room_or_that_cannot_be_written_has_reasons(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteLedger(path)) as ledger:
        (reason,) = ledger.self_check(free_bytes=2**62)
        assert "make room" in reason
        Path(f"{path}.check").mkdir()
        (reason,) = ledger.self_check()
        assert "cannot be written and read back: Is a directory" in reason
        Path(f"{path}.check").rmdir()
        monkeypatch.setattr(os, "pread", lambda *_: b"other bytes")
        (reason,) = ledger.self_check()
        assert "reads back what was not written" in reason
    assert not Path(f"{path}.check").exists()


# --- Schemas --------------------------------------------------------------------------------------


def set_pragma(path: Path, pragma: str, number: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {pragma} = {number}")


def test_sr_67_a_ledger_with_a_newer_schema_is_read_and_never_written(
    path: Path, kept: tuple[int, bytes]
) -> None:
    set_pragma(path, "user_version", 2)
    before = path.read_bytes()
    with pytest.raises(NewerLedger, match="schema 2, and this program knows 1"):
        SqliteLedger(path)
    with closing(LedgerReader(path)) as reader:
        assert reader.check_chain() == kept
    assert path.read_bytes() == before


@pytest.mark.parametrize(("pragma", "number"), [("user_version", 0), ("application_id", 7)])
def test_f30_a_damaged_header_is_named_and_nothing_is_written(
    path: Path, kept: tuple[int, bytes], pragma: str, number: int
) -> None:
    set_pragma(path, pragma, number)
    before = path.read_bytes()
    with pytest.raises(LedgerFault, match="damaged"):
        SqliteLedger(path)
    assert path.read_bytes() == before


def test_f30_an_older_ledger_is_brought_up_and_its_backup_is_whole(
    path: Path, kept: tuple[int, bytes]
) -> None:
    newer = Migrations("benchpump-ledger")
    newer(name="0001 entries")(migrations._entries)

    @newer(name="0002 a column more")
    def _more(db: Database) -> None:
        path = "json_extract(text, '$.mono_ns')"
        db.execute(f"ALTER TABLE entries ADD COLUMN mono_ns INTEGER GENERATED ALWAYS AS ({path})")
        db.execute("PRAGMA user_version = 2")

    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        backup = migrations.bring_up(db, path, newer)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT max(mono_ns) FROM entries").fetchone() == (9,)
    assert backup == path.parent / "ledger.db.schema-1"
    assert verify(backup).head == kept[1].hex()
    with closing(LedgerReader(path)) as reader:
        assert reader.check_chain() == kept


def test_a_new_ledger_that_was_cut_short_in_its_making_is_made_whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        migrations.LEDGER.ensure_migrations_table(Database(db))
    with closing(SqliteLedger(path)) as ledger:
        ledger.append([entry()])
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


# --- Child processes, strace, mounts --------------------------------------------------------------

CHILD = """
import json, os, sys
from pathlib import Path
from appliance.adapters.ledger import *
from appliance.ports import Entry

def entry(kind, at, **body):
    return Entry(kind, "boot-1", at, 1_760_000_000_000_000_000 + at, 0, "synchronised", body)

def lease(n):
    return entry("lease", n, number=n, run="r", motion=1, direction=1, steps=27)

def note(n):
    return entry("note", n, text="x" * 50)

def intent(request_id):
    return entry("intent", 1, request_id=request_id, dose="bolus", programmed_uu=50_000)

ledger = SqliteLedger(Path(sys.argv[1]))
"""


def in_child(code: str, path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )


def traced(code: str, path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("NOT RUN: needs strace (apt install strace)")
    log = path.parent / "strace.log"
    said = in_child(code, path, strace, "-f", "-qq", "-o", str(log), *options)
    if "ptrace" in said.stderr and "not permitted" in said.stderr:
        pytest.skip("NOT RUN: needs the right to trace a child process")
    return said


def test_sr_34_an_append_syncs_the_disk_exactly_once(tmp_path: Path) -> None:
    def syncs(appends: int) -> int:
        path = tmp_path / str(appends) / "ledger.db"
        path.parent.mkdir()
        code = f"""for n in range({appends}): ledger.append([intent(f"id-{{n}}"), note(n)])"""
        said = traced(
            CHILD + code + "\nos._exit(0)", path, "-e", "trace=fdatasync,fsync,sync_file_range,sync"
        )
        assert said.returncode == 0, said.stderr
        return (path.parent / "strace.log").read_text().count("sync(")

    assert syncs(25) - syncs(5) == 20


IMPATIENT = (
    CHILD
    + """
for n in range(5):
    wanted = [intent(f"id-{n}"), note(n)]
    said = "unknown"
    try:
        ledger.append(wanted)
        said = "kept"
    except LedgerUnknown:
        for _ in range(3):
            try:
                said = "kept" if ledger.settle(wanted) else "not kept"
                break
            except LedgerFault:
                pass
    print(json.dumps([f"id-{n}", said]), flush=True)
    if said == "unknown":
        break
print("end", flush=True)
os._exit(0)
"""
)


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("call", "harm"),
    [
        ("fdatasync", "error=EIO:when={}"),
        ("fdatasync", "error=EIO:when={}+"),
        ("fdatasync", "signal=SIGKILL:when={}"),
        ("pwrite64", "error=ENOSPC:when={}+"),
        ("pwrite64", "error=EIO:when={}"),
    ],
)
def test_f17_f19_an_outcome_is_looked_up_and_is_true_whatever_the_disk_does(
    tmp_path: Path, call: str, harm: str
) -> None:
    answered = 0
    for when in (1, 2, 4) if call == "fdatasync" else (12, 25, 40):
        path = tmp_path / str(when) / "ledger.db"
        path.parent.mkdir()
        with closing(SqliteLedger(path)) as ledger:
            before = ledger.append([entry()])
        inject = f"inject={call}:{harm.format(when)}"
        said = traced(IMPATIENT, path, "-e", f"trace={call}", "-e", inject)
        opened = "cannot be opened" not in said.stderr
        assert said.stdout.endswith("end\n") or "SIGKILL" in harm or not opened, said.stderr
        answers = [json.loads(line) for line in said.stdout.splitlines() if line != "end"]
        with closing(SqliteLedger(path)) as ledger:
            ids = [row.entry.body["request_id"] for row in ledger.rows_of("intent")]
            assert ledger.rows()[: len(before)] == before
        for request_id, answer in answers:
            answered += 1
            if answer != "unknown":
                assert ids.count(request_id) == (answer == "kept")
        assert len(set(ids)) == len(ids)
        assert verify(path).ok
    assert answered


def test_f18_on_a_read_only_disk_history_is_whole_and_nothing_is_written(path: Path) -> None:
    child = CHILD + "ledger.append([lease(1)]); ledger.checkpoint(); ledger.append([lease(2)])\n"
    in_child(child + "os.kill(os.getpid(), 9)", path)
    code = """
import sys
from pathlib import Path
from appliance.adapters.ledger import *
path = Path(sys.argv[1])
print(LedgerReader(path).check_chain()[0])
try:
    SqliteLedger(path)
except LedgerFault as fault:
    print(fault)
"""
    for shm in (True, False):  # the log's index left by the dead writer, and without it
        if not shm:
            Path(f"{path}-shm").unlink()
        remount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
        said = in_child(code, path, "unshare", "-rm", "sh", "-c", remount, "sh", str(path.parent))
        if said.returncode and ("unshare" in said.stderr or "mount" in said.stderr):
            pytest.skip("NOT RUN: needs user and mount namespaces (unshare -rm)")
        seen, fault = said.stdout.splitlines()
        assert seen == "2"
        assert "cannot be written: Read-only file system" in fault


def test_f17_on_a_disk_that_is_really_full_history_is_readable(tmp_path: Path) -> None:
    code = (
        CHILD
        + """
n = 0
try:
    while True:
        n += 1
        ledger.append([note(n)])
except LedgerUnknown:
    pass
print(ledger.settle([note(n)]), len(ledger.rows()) == n - 1, ledger.self_check(1_000_000))
"""
    )
    mount = 'mount -t tmpfs -o size=512k tmpfs "$1" && shift && exec "$@"'
    said = in_child(
        code, tmp_path / "ledger.db", "unshare", "-rm", "sh", "-c", mount, "sh", str(tmp_path)
    )
    if said.returncode and ("unshare" in said.stderr or "mount" in said.stderr):
        pytest.skip("NOT RUN: needs user and mount namespaces (unshare -rm)")
    assert said.stdout.startswith("None True ["), said.stdout + said.stderr
    assert "make room" in said.stdout


def test_making_a_ledger_takes_in_no_library_of_tables(tmp_path: Path) -> None:
    """`pumpd` makes the ledger at its first start, and keeps in memory whatever came along."""
    script = """
import sys
from pathlib import Path
from appliance.adapters.ledger import SqliteLedger
SqliteLedger(Path(sys.argv[1])).close()
print([name for name in ("pandas", "numpy") if name in sys.modules])
import pandas
"""
    words = [sys.executable, "-c", script, str(tmp_path / "ledger.db")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
