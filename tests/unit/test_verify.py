"""The independent reader: what it adds up, what it objects to, and what a person reads.

The ledgers here are written by hand, row by row: not by the code that the reader judges.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.ports import Entry
from appliance.verify import verify
from appliance.verify.__main__ import main

ROOT = Path(__file__).parents[2]
Body = dict[str, Any]


def lease(number: int, steps: int = 27, direction: int = 1) -> tuple[str, Body]:
    motion = 1 if direction > 0 else 3
    return "lease", {"number": number, "motion": motion, "direction": direction, "steps": steps}


def count(number: int, confirmed: int, maximum: int, **more: Any) -> tuple[str, Body]:
    exact = "exact" if confirmed == maximum else "uncertain"
    steps = {"issued_steps": maximum, "confirmed_steps": confirmed, "maximum_steps": maximum}
    return "count", {"lease": number, **steps, "certainty": exact, **more}


def intent(request_id: str = "id-1") -> tuple[str, Body]:
    return "intent", {"request_id": request_id, "dose": "bolus"}


def closed(request_id: str = "id-1") -> tuple[str, Body]:
    return "closed", {"request_id": request_id, "outcome": "done"}


def text_of(seq: int, kind: str, body: Body) -> str:
    row = {"body": body, "boot": "b", "clock": "set", "kind": kind, "mono_ns": 1, "offset_s": 0}
    return json.dumps(row | {"seq": seq, "utc_ns": 2}, sort_keys=True, separators=(",", ":"))


def forged(path: Path, texts: list[str]) -> Path:
    """Write rows of any text with a right chain, into a table like the ledger's."""
    SqliteLedger(path).close()
    digest = bytes(32)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP INDEX entries_request")  # it would refuse a second intent
        for seq, text in enumerate(texts, 1):
            digest = hashlib.sha256(digest + text.encode()).digest()
            db.execute(
                "INSERT INTO entries (seq, text, digest) VALUES (?, ?, ?)", (seq, text, digest)
            )
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def kept(path: Path, rows: list[tuple[str, Body]]) -> Path:
    return forged(path, [text_of(seq, *row) for seq, row in enumerate(rows, 1)])


def test_steps_are_summed_over_all_motion_and_an_open_lease_counts_in_full(path: Path) -> None:
    rows = [
        ("start", {"run": "r"}),
        lease(1),
        lease(2),
        count(1, 27, 27),
        count(2, 20, 24),
        ("something_new", {"whatever": [1, None, True]}),
        lease(5, 310, -1),
        count(5, 300, 310),
        lease(6, 100, -1),
        lease(7),
    ]
    verdict = verify(kept(path, rows))
    assert verdict.ok, verdict.reasons
    assert (verdict.rows, verdict.open_leases) == (10, 2)
    assert (verdict.confirmed_steps, verdict.maximum_steps) == (47, 51 + 27)
    assert (verdict.reverse_confirmed_steps, verdict.reverse_maximum_steps) == (300, 310 + 100)


def test_the_head_is_the_digest_of_the_last_row_and_zeros_when_there_is_none(path: Path) -> None:
    SqliteLedger(path).close()
    assert verify(path).head == "00" * 32
    text = text_of(1, "note", {})
    path.unlink()
    assert (
        verify(forged(path, [text])).head == hashlib.sha256(bytes(32) + text.encode()).hexdigest()
    )


@pytest.mark.parametrize(
    ("rows", "bad", "why"),
    [
        ([intent(), intent()], 2, "has one already"),
        ([intent(), closed(), closed()], 3, "has one already"),
        ([closed()], 1, "ends without an intent"),
        ([("intent", {"dose": "bolus"})], 1, "it names no request"),
        ([lease(2), lease(1)], 2, "lease 1 comes after lease 2"),
        ([lease(2), lease(2)], 2, "lease 2 comes after lease 2"),
        ([lease(1, steps=0)], 1, "of 0 steps"),
        ([("lease", {"number": 1, "steps": 2, "direction": 0})], 1, "direction 0"),
        ([("lease", {"number": "1", "steps": 2, "direction": 1})], 1, "number = '1'"),
        ([("lease", {"number": 1, "steps": True, "direction": 1})], 1, "steps = True"),
        ([lease(1), count(2, 1, 1)], 2, "lease 2 is not open"),
        ([lease(1), count(1, 1, 1), count(1, 1, 1)], 3, "counted already"),
        ([lease(1), count(1, 28, 28)], 2, "confirmed 28"),
        ([lease(1), count(1, 20, 19)], 2, "confirmed 20, maximum 19"),
        ([lease(1), count(1, -1, 5)], 2, "confirmed -1"),
        ([lease(1), count(1, 27, 28, certainty="exact", issued_steps=27)], 2, "maximum 28"),
        ([lease(1), count(1, 27, 27, issued_steps=28)], 2, "issued 28"),
    ],
)
def test_rows_that_cannot_be_true_are_named_though_the_chain_is_whole(
    path: Path, rows: list[tuple[str, Body]], bad: int, why: str
) -> None:
    verdict = verify(kept(path, rows))
    assert (verdict.ok, verdict.first_bad_seq, verdict.rows) == (False, bad, len(rows))
    assert why in verdict.reasons[0]


def test_more_may_have_been_counted_than_leased_where_it_is_called_uncertain(path: Path) -> None:
    rows = [
        lease(1),
        count(1, 27, 29, issued_steps=27),
        lease(2),
        count(2, 0, 5, issued_steps=None),
    ]
    verdict = verify(kept(path, rows))
    assert (verdict.ok, verdict.confirmed_steps, verdict.maximum_steps) == (True, 27, 34)


GOOD = text_of(2, "note", {"uu": 1})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD.replace('"uu":1', '"uu":1.0'), "1.0 is not a whole number"),
        (GOOD.replace('"uu":1', '"uu":1e3'), "1e3 is not a whole number"),
        (GOOD.replace('"uu":1', '"uu":1,"uu":2'), "has a key twice"),
        (GOOD.replace('"seq":2', '"seq":3'), "its columns say"),
        (GOOD.replace('"mono_ns":1', '"mono_ns":"1"'), "has not the fields of a row"),
        (GOOD.replace('"boot":"b",', ""), "has not the fields of a row"),
        (GOOD.replace('{"body"', '{"more":1,"body"'), "has not the fields of a row"),
        (GOOD.replace('"uu":1', '"uu":"é"'), "ascii"),
    ],
)
def test_f70_a_row_that_was_never_ours_is_refused_though_its_digest_is_right(
    path: Path, text: str, why: str
) -> None:
    verdict = verify(forged(path, [text_of(1, "note", {}), text]))
    assert (verdict.ok, verdict.first_bad_seq, verdict.rows) == (False, 2, 1)
    assert why in verdict.reasons[0]


def test_f70_columns_that_do_not_say_what_the_text_says_are_found(path: Path) -> None:
    kept(path, [lease(1), intent()])
    with closing(sqlite3.connect(path)) as db, db:
        rows = db.execute(
            "SELECT seq, text, digest, kind, utc_ns, request_id FROM entries"
        ).fetchall()
        db.execute("DROP TABLE entries")
        db.execute(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY, text, digest, kind, utc_ns, request_id)"
        )
        rows[1] = (*rows[1][:5], "another-id")
        db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
    verdict = verify(path)
    assert (verdict.ok, verdict.first_bad_seq) == (False, 2)
    assert "its columns say (b'intent', 2, b'another-id')" in verdict.reasons[0]


def test_an_index_that_lost_a_row_is_found(path: Path) -> None:
    kept(path, [intent()])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'lease', 'intent')"
            " WHERE name = 'entries_shown'"
        )
    reasons = verify(path).reasons
    assert reasons
    assert all(reason.startswith("SQLite: ") for reason in reasons)


def test_reasons_come_to_an_end(path: Path) -> None:
    verdict = verify(kept(path, [closed(f"id-{n}") for n in range(50)]))
    assert (len(verdict.reasons), verdict.reasons[-1]) == (21, "and more")


def entry(kind: str, body: Body) -> Entry:
    return Entry(kind, "b", 1, 2, 0, "set", body)


def test_f29_a_ledger_is_verified_beside_its_writer(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        for number in range(1, 40):
            ledger.append([entry(*lease(number)), entry(*count(number, 27, 27))])
            verdict = verify(path)
            assert verdict.ok, verdict.reasons
            assert (verdict.rows, verdict.head) == (2 * number, ledger.head()[1].hex())
    assert verify(path).rows == 78


def test_reading_leaves_nothing_beside_the_file_and_changes_nothing(path: Path) -> None:
    kept(path, [lease(1)])
    os.sync()
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    verify(path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_writer_that_comes_while_the_file_is_read_as_at_rest_is_noticed(path: Path) -> None:
    kept(path, [lease(1), count(1, 27, 27)])
    ledgers = []

    def a_writer_comes(_rows: int) -> None:
        if not ledgers:
            ledgers.append(SqliteLedger(path))
            ledgers[0].append([entry(*lease(n, steps=20)) for n in range(2, 400)])
            ledgers[0].checkpoint()

    verdict = verify(path, a_writer_comes)
    assert verdict.ok, verdict.reasons
    ledgers[0].close()


# --- What a person and a script get ---------------------------------------------------------------


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance.verify", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_a_whole_ledger_is_status_0_and_says_its_steps(path: Path) -> None:
    said = run(kept(path, [lease(1), count(1, 20, 24), lease(2)]))
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"BENCH ledger {path}: whole\n")
    assert "20 steps confirmed, 51 at most (1 leases open)" in said.stdout


def test_the_json_that_scripts_rely_on(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(kept(path, [lease(1), count(1, 20, 24)])), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    wanted = {"ok": True, "rows": 2, "confirmed_steps": 20, "maximum_steps": 24}
    assert {key: said[key] for key in wanted} == wanted
    assert len(said["head"]) == 64
    assert said["reasons"] == []


def test_f70_a_broken_chain_names_the_first_bad_row_and_what_was_seen(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept(path, [lease(1), lease(2), lease(3)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET text = replace(text, '27', '72') WHERE seq = 2")
    assert main([str(path)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"BENCH ledger {path}: NOT WHOLE\n  1 rows hold")
    assert "the first bad row is 2" in said
    assert "row 2: it does not follow from the row before: it keeps the digest" in said
    assert '"steps":72' in said


def test_a_ledger_that_is_not_there_is_status_3(path: Path) -> None:
    said = run(path)
    assert (said.returncode, said.stdout) == (3, "")
    assert said.stderr == f"{path}: there is no such file\n"


def test_wrong_words_are_status_2() -> None:
    assert run().returncode == 2


def damaged(path: Path, harm: str) -> Path:
    kept(path, [lease(n) for n in range(1, 60)])
    raw = path.read_bytes()
    match harm:
        case "empty":
            path.write_bytes(b"")
        case "no database":
            path.write_text("a letter to the builder\n" * 20)
        case "cut in its header":
            path.write_bytes(raw[:50])
        case "cut in half":
            path.write_bytes(raw[: len(raw) // 2])
        case "another database":
            path.unlink()
            with closing(sqlite3.connect(path)) as db:
                db.execute("CREATE TABLE recipes (name TEXT)")
        case "its log is gone":
            Path(f"{path}-shm").write_bytes(b"")
        case "newer":
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA user_version = 9")
        case "zeros":
            path.write_bytes(raw[:4096] + bytes(len(raw) - 4096))
        case "a folder":
            path.unlink()
            path.mkdir()
    return path


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("empty", "the file is no ledger: it is empty"),
        ("no database", "the file is no ledger: it does not begin as a SQLite database"),
        ("cut in its header", "no row can be read from 1 on"),
        ("cut in half", "database disk image is malformed"),
        ("another database", "its application_id is 0"),
        ("its log is gone", "its -wal file has been taken away"),
        ("newer", "its user_version is 9"),
        ("zeros", "database disk image is malformed"),
        ("a folder", "cannot be read: Is a directory"),
    ],
)
def test_f23_f24_f25_a_damaged_file_is_a_sentence_and_status_1(
    path: Path, harm: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(damaged(path, harm))]) == 1
    said = capsys.readouterr()
    assert why in said.out + said.err
    assert "Traceback" not in said.out + said.err


def test_a_log_without_its_index_is_read_too(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.append([entry(*lease(1)), entry(*count(1, 27, 27))])
    copy = path.parent / "copy.db"
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    ledger.close()
    assert verify(copy).rows == 2
    assert not Path(f"{copy}-shm").exists()


def test_the_reader_needs_nothing_but_the_standard_library(path: Path) -> None:
    SqliteLedger(path).close()
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from appliance.verify.__main__ import main\n"
        "assert main([sys.argv[1]]) == 0\n"
        "print(*sorted(name for name in sys.modules if name.startswith('appliance')))"
    )
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(path), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    ours = ["", ".verify", ".verify.__main__", ".verify.reader"]
    assert said.stdout.splitlines()[-1].split() == [f"appliance{name}" for name in ours]
