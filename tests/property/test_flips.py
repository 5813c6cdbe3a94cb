"""Every bit that flips in a ledger's rows is found and named, also as pumpd starts (F23)."""

import os
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.config import load
from appliance.errors import BadConfiguration, BrokenChain, LedgerFault
from appliance.pumpd import fold
from appliance.simulate.bench import VirtualBench
from appliance.verify import verify

SEED = 20_261_127
EXAMPLE = Path(__file__).parents[2] / "docs" / "benchpump.example.toml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The ledger that a pump has left after a bolus and some basal."""
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        bench = VirtualBench(ledger=ledger)
        bench.bolus("0.2")
        bench.stop_pump()
        bench.close()
    assert verify(path).ok
    return path


def flips(request: pytest.FixtureRequest, few: int, many: int) -> int:
    return many if request.config.getoption("--fail-not-run") else few


def row_bytes(path: Path) -> list[tuple[int, int]]:
    """Return (row, place in the file) of every byte of the rows that stands in one piece."""
    raw = path.read_bytes()
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT seq, CAST(text AS BLOB), digest FROM entries").fetchall()
    places = []
    for seq, *parts in rows:
        for part in parts:
            if raw.count(part) == 1:
                start = raw.index(part)
                places += [(seq, place) for place in range(start, start + len(part))]
    return places


def first_broken(path: Path) -> int:
    """Do what pumpd does first; return the row that it names."""
    with pytest.raises(BrokenChain) as broken, closing(SqliteLedger(path)) as ledger:
        fold(ledger)
    return broken.value.seq


@pytest.mark.timeout(600)
def test_f23_every_flipped_bit_of_a_row_is_named_by_verify_and_by_pumpds_start(
    path: Path, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - replayable
    places, raw = row_bytes(path), path.read_bytes()
    wanted = flips(request, 1_000, 10_000)
    with path.open("r+b", buffering=0) as file:
        for _ in range(wanted):
            seq, place = rng.choice(places)
            os.pwrite(file.fileno(), bytes([raw[place] ^ 1 << rng.randrange(8)]), place)
            assert verify(path).first_bad_seq == seq
            assert first_broken(path) == seq
            os.pwrite(file.fileno(), raw[place : place + 1], place)
    sys.stdout.write(f"{wanted} flipped bits in {len(places)} bytes of rows: all were named\n")


@pytest.mark.timeout(600)
def test_f23_a_flipped_bit_anywhere_in_a_ledger_is_a_named_fault_or_changes_nothing(
    path: Path, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - replayable
    raw = path.read_bytes()
    with closing(SqliteLedger(path)) as ledger:
        head, book = ledger.head(), fold(ledger)[0].body()
    wanted, named = flips(request, 500, 10_000), 0
    for _ in range(wanted):
        flipped = bytearray(raw)
        flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            with closing(SqliteLedger(path)) as ledger:
                found = ledger.head(), fold(ledger)[0].body()
        except LedgerFault:
            named += 1
        else:
            assert found == (head, book)
    assert named > wanted // 6
    sys.stdout.write(f"{named} of {wanted} flips anywhere were named, the others changed nothing\n")


def test_f23_a_flipped_bit_in_the_configuration_is_refused_or_is_another_configuration(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - replayable
    raw, (_, digest) = EXAMPLE.read_bytes(), load(EXAMPLE)
    path, refused, wanted = tmp_path / "benchpump.toml", 0, flips(request, 300, 5_000)
    for _ in range(wanted):
        flipped = bytearray(raw)
        flipped[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            assert load(path)[1] != digest
        except BadConfiguration:
            refused += 1
    assert refused > wanted // 10
    sys.stdout.write(f"{refused} of {wanted} flips in the configuration were refused\n")
