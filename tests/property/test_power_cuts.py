"""Power cuts anywhere in the ledger's life, with torn sectors, and a disk that lies (F21, F22).

The ledger that writes is the product's, over the disk of ``power_cut``; the one that opens what a
cut has left is the product's on ordinary files. Acknowledged is what ``append`` has returned.
"""

import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

import power_cut
import pytest

from appliance.adapters import ledger as ledgers
from appliance.adapters.ledger import SqliteLedger
from appliance.domain.history import GENESIS
from appliance.errors import BrokenChain, LedgerFault
from appliance.ports import Entry
from appliance.verify import verify

SEED = 20_261_126
NAME = "ledger.db"
CUTS_A_LIFE = 40
MOST_ROWS = 60
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
Head = tuple[int, bytes]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where what survived a cut is laid out: in memory, because nothing there has to last."""
    made = Path(mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    yield made
    shutil.rmtree(made)


def entry(kind: str, at: int, **body: Any) -> Entry:
    return Entry(kind, "boot-1", at, 1_760_000_000_000_000_000 + at, 0, "synchronised", body)


def batches(rng: random.Random, seq: int) -> Iterator[list[Entry]]:
    """Yield what the engine writes in a bolus or two, each batch one transaction."""
    number = seq * 10
    for _ in range(rng.randint(1, 2)):
        request_id = str(UUID(int=rng.getrandbits(128)))
        yield [entry("intent", seq, request_id=request_id, dose="bolus", programmed_uu=150_000)]
        count: list[Entry] = []
        for _ in range(rng.randint(1, 3)):
            number += 1
            lease = {"number": number, "run": 7, "motion": 1, "direction": 1, "steps": 27}
            yield [*count, entry("lease", seq, **lease)]
            steps = {f"{word}_steps": 27 for word in ("issued", "confirmed", "maximum")}
            count = [entry("count", seq, lease=number, run=7, certainty="exact", **steps)]
        yield [*count, entry("closed", seq, request_id=request_id, outcome="done")]
        if rng.random() < 0.2:
            yield [entry("checkpoint", seq, book={"filler": "x" * rng.randint(0, 9_000)})]


@dataclass(frozen=True, slots=True)
class Promise:
    """From an operation on: the head that was acknowledged, and the one that may be on its way."""

    operation: int
    acknowledged: Head
    coming: Head


@dataclass(frozen=True, slots=True)
class Life:
    """What a ledger did to its disk, from an opening to a close, and what it promised when."""

    before: dict[str, bytes]
    operations: list[power_cut.Operation]
    promises: list[Promise]


def laid_out(folder: Path, files: dict[str, bytes]) -> Path:
    """Make these the files of the folder; return the path of the ledger among them."""
    for old in folder.iterdir():
        old.unlink()
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    return folder / NAME


def lived(
    folder: Path, before: dict[str, bytes], rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> Life:
    """Let the product's ledger live on a disk with these files, and note what it does."""
    disk = power_cut.Disk({name: bytearray(raw) for name, raw in before.items()})
    vfs = power_cut.PowerCutVfs("power-cut", disk)
    path = laid_out(folder, before)
    opened = ledgers._connection

    def connection(path: Path, way: str) -> Any:
        # What looks at the file before it is opened to write is laid out as ordinary files.
        return opened(path, way) if "mode=ro" in way else power_cut.Connection(vfs, path, way)

    with monkeypatch.context() as patched:
        patched.setattr(ledgers, "_connection", connection)
        ledger = SqliteLedger(path, checkpoint_pages=rng.choice((3, 8, 1_000)))
    head = ledger.head()
    promises = [Promise(0, head, head)]

    def acknowledged(coming: Head) -> None:
        promises.append(Promise(len(disk.operations), head, coming))

    for batch in batches(rng, head[0]):
        coming = ledger._following(batch)[-1][0]
        acknowledged((coming.seq, coming.digest))
        ledger.append(batch)
        head = ledger.head()
        acknowledged(head)
        if rng.random() < 0.1:
            ledger.checkpoint()
    ledger.close()
    vfs.unregister()
    return Life(before, disk.operations, promises)


def cuts(
    life: Life, rng: random.Random, *, honest: bool
) -> Iterator[tuple[Promise, dict[str, bytes]]]:
    """Yield what is left of cuts at moments of a life, and what was promised by then."""
    platter = power_cut.Platter(life.before, honest=honest)
    moments = sorted(rng.randint(0, len(life.operations)) for _ in range(CUTS_A_LIFE))
    promises = list(life.promises)
    promised = promises.pop(0)
    for at, operation in enumerate([*life.operations, None]):
        while promises and promises[0].operation <= at:
            promised = promises.pop(0)
        while moments and moments[0] == at:
            del moments[0]
            yield promised, platter.cut(rng)
        if operation is not None:
            platter.take(operation)


@pytest.mark.timeout(1200)
def test_f21_no_acknowledged_row_is_lost_in_simulated_power_cuts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    wanted = 100_000 if request.config.getoption("--fail-not-run") else 3_000
    rng = random.Random(SEED)  # noqa: S311 - replayable
    files: dict[str, bytes] = {}
    done = lives = coming = 0
    while done < wanted:
        lives += 1
        life = lived(folder, files, rng, monkeypatch)
        for promise, left in cuts(life, rng, honest=True):
            done += 1
            path = laid_out(folder, left)
            where = f"seed {SEED}, life {lives}, cut {done}, after operation {promise.operation}"
            if done % 10 == 0 and left.get(NAME):  # the reader that shares no code sees the same
                verdict = verify(path)
                assert verdict.ok or promise.acknowledged[0] == 0, (where, verdict.reasons)
                assert verdict.rows >= promise.acknowledged[0], (where, verdict)
            with closing(SqliteLedger(path)) as ledger:
                head = ledger.check_chain()
            assert head in (promise.acknowledged, promise.coming), where
            coming += head != promise.acknowledged
        # The next life begins with what the last cut left, so that its recovery is cut as well.
        files = {} if head[0] > MOST_ROWS else left
    sys.stdout.write(
        f"{done} power cuts in {lives} lives: no acknowledged row was lost;"
        f" {coming} times a row was there that nobody had been told of yet\n"
    )
    assert coming, "the cuts come in the middle of commits as well"


def test_f21_a_ledger_whose_making_is_cut_short_anywhere_is_made_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - replayable
    life = lived(folder, {}, rng, monkeypatch)
    made = next(one.operation for one in life.promises if one.coming[0])
    platter = power_cut.Platter({})
    for operation in life.operations[:made]:
        for _ in range(10):
            with closing(SqliteLedger(laid_out(folder, platter.cut(rng)))) as ledger:
                assert ledger.check_chain() == (0, GENESIS)
        platter.take(operation)


def test_f21_no_file_that_the_ledger_removed_can_be_back_after_a_power_cut(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = lived(folder, {}, random.Random(SEED), monkeypatch)  # noqa: S311 - replayable
    removed = [one for one in life.operations if isinstance(one, power_cut.Unlink)]
    journals = [one for one in removed if one.name == f"{NAME}-journal"]
    assert journals
    assert all(one.durable for one in journals), "a journal that is back undoes what came after"


def test_f22_a_disk_that_lies_about_its_syncs_is_found_against_the_head_kept_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(SEED)  # noqa: S311 - replayable
    with closing(SqliteLedger(folder / NAME)) as new:
        new.append([entry("start", 0)])
    files = {NAME: (folder / NAME).read_bytes()}
    done = lost = 0
    while done < 1_000:
        life = lived(folder, files, rng, monkeypatch)
        for promise, left in cuts(life, rng, honest=False):
            done += 1
            path = laid_out(folder, left)
            head: Head = (0, GENESIS)
            try:
                with closing(SqliteLedger(path)) as ledger:
                    head = ledger.head()
                    ledger.check_chain(*promise.acknowledged)
            except BrokenChain:
                lost += 1
            except LedgerFault:
                lost += 1
                assert head == (0, GENESIS)
            else:
                assert head in (promise.acknowledged, promise.coming)
    sys.stdout.write(
        f"{done} power cuts on a disk that lies: {lost} lost rows, and all were found\n"
    )
    assert lost > done // 10, "it is a disk that loses what it said it kept"
