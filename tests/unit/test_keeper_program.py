"""``pump-keeper`` as a program: it serves history alone, and ends when it is told to."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from appliance.adapters.ledger import SqliteLedger
from appliance.client.keeper import KeeperClient
from appliance.errors import PumpError
from appliance.ports import Entry

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0
UTC_NS = 1_763_820_309_000_000_000


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: a socket's path has at most 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="bk-") as made:
        yield Path(made)


def configured(folder: Path, observer: int | str | None = None) -> Path:
    """Write the shipped example's configuration, with its paths in ``folder`` and a user."""
    text = (ROOT / "docs" / "benchpump.example.toml").read_text()
    text = text.replace("/var/lib/benchpump", str(folder)).replace("/run/benchpump", str(folder))
    text = text.replace("observe = []", f"observe = [{json.dumps(observer or os.getuid())}]")
    config = folder / "benchpump.toml"
    config.write_text(text)
    return config


class Keeper:
    """The program, started; ``ready`` waits for what it tells its service manager."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.path = folder / "keeper.sock"
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.settimeout(LIMIT_S)
        self._door.bind(str(folder / f"notify-{uuid4().hex[:6]}"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "appliance.keeper", *words],
            cwd=ROOT,
            env=os.environ | {"NOTIFY_SOCKET": self._door.getsockname()},
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> "Keeper":
        assert self._door.recv(100) == b"READY=1"
        return self

    def end(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Send a signal, if one is given; return the exit status and what it said."""
        if number is not None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=LIMIT_S)
        self._door.close()
        return self.process.returncode, said


@pytest.fixture
def keeper(folder: Path) -> Iterator[Keeper]:
    started = Keeper(folder, f"--config={configured(folder)}").ready()
    yield started
    if started.process.poll() is None:
        started.end(signal.SIGTERM)


def entry(kind: str, **body: object) -> Entry:
    return Entry(kind, "b", 1, UTC_NS, 0, "set", body)


def test_history_is_served_without_pumpd_as_it_is_written(folder: Path, keeper: Keeper) -> None:
    request_id = str(uuid4())
    with KeeperClient(keeper.path) as client, closing(SqliteLedger(folder / "ledger.db")) as ledger:
        assert list(client.history()) == []
        ledger.append([entry("note", text="hello")])
        ledger.append([entry("intent", request_id=request_id, dose="bolus", programmed_steps=27)])
        ledger.append([entry("lease", number=1, motion=1, direction=1, steps=27)])
        rows = list(client.history(steps=True))
        assert [(row.kind, row.certainty, row.maximum_steps) for row in rows] == [
            ("bolus", "open", 27),
            ("note", None, None),
        ]
        assert [one["steps"] for one in rows[0].leases] == [27]
        ledger.append([entry("note", number=n) for n in range(250)])
        assert [row.seq for row in client.history()] == [*range(253, 3, -1), 2, 1]
        assert [row.id for row in client.history(request_id=request_id)] == [request_id]


def test_a_ledger_that_is_not_there_is_a_fault_and_the_keeper_lives(
    folder: Path, keeper: Keeper
) -> None:
    with KeeperClient(keeper.path) as client:
        with pytest.raises(PumpError, match=r"ledger\.db cannot be read: No such file"):
            list(client.history())
        SqliteLedger(folder / "ledger.db").close()
        assert list(client.history()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly_and_gives_its_socket_back(
    folder: Path, keeper: Keeper, number: signal.Signals
) -> None:
    assert keeper.end(number) == (0, "")
    assert not keeper.path.exists()


def test_the_second_keeper_says_who_is_there_and_leaves(folder: Path, keeper: Keeper) -> None:
    status, said = Keeper(folder, f"--config={folder / 'benchpump.toml'}").end()
    assert status == 1
    assert "E302" in said
    with KeeperClient(keeper.path) as client:
        assert client.rpc.hello.pump == "Bench 1"


def test_a_bad_configuration_starts_nothing_and_all_its_faults_are_listed(folder: Path) -> None:
    config = configured(folder, observer="nobody-of-that-name")
    status, said = Keeper(folder, f"--config={config}").end()
    assert status == 2
    assert "users.observe = 'nobody-of-that-name': no such user on this machine" in said
    config.write_text(config.read_text().replace("full_steps = 200", "full_steps = 2"))
    status, said = Keeper(folder, f"--config={config}").end()
    assert status == 2
    assert "mechanics.full_steps = 2 is out of range" in said


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    config = configured(folder)
    config.write_text(config.read_text().replace(f'runtime = "{folder}"', 'runtime = "/none"'))
    status, said = Keeper(folder, f"--config={config}").end()
    assert status == 1
    assert "/none" in said
    assert "Traceback" not in said


def reading(number: int, mg_dl: int, age_s: int = 0) -> Entry:
    return entry(
        "glucose", reading="sensor", source="t", id=str(number), mg_dl=mg_dl, age_s=age_s, by="u"
    )


def test_graph_days_and_summary_are_served_as_they_are_written(
    folder: Path, keeper: Keeper
) -> None:
    with KeeperClient(keeper.path) as client, closing(SqliteLedger(folder / "ledger.db")) as ledger:
        ledger.append([entry("start", mechanics={"ratio_uu": 5_890_141, "ratio_steps": 3_200})])
        ledger.append([reading(1, 140)])
        graph = client.graph(24, UTC_NS + 1)
        assert (graph.glucose, graph.seq) == ([[UTC_NS, 140]], 2)
        ledger.append([reading(2, 100, 60), reading(2, 300), entry("note", text="hello")])
        assert [row.kind for row in client.history()] == ["note", "start"]
        assert len(list(client.history(glucose=True))) == 5
        (day,) = client.days(3, "2025-11-22")
        assert (day.date, day.length_s, day.total_uu) == ("2025-11-22", 86_400, 0)
        assert day.glucose is not None
        assert (day.glucose.readings, day.glucose.mean_mg_dl) == (2, 120)
        summary = client.summary(14, "2025-11-22")
        assert (summary.from_date, summary.glucose) == ("2025-11-09", summary.glucose)
        assert client.conservation()["error_steps"] == 0
        assert [slot["p50"] for slot in client.profile_of_day(1, "2025-11-22")] == [120]
        with pytest.raises(PumpError, match="2025-13-45"):
            client.days(1, "2025-13-45")


def test_a_damaged_database_of_its_own_is_made_anew_and_the_keeper_lives(
    folder: Path, keeper: Keeper
) -> None:
    with KeeperClient(keeper.path) as client, closing(SqliteLedger(folder / "ledger.db")) as ledger:
        ledger.append([reading(number, 100, number) for number in range(50)])
        assert len(client.graph(1, UTC_NS + 1).glucose) == 50
        with closing(sqlite3.connect(folder / "keeper.db")) as other:
            other.execute("DROP TABLE readings")
        with pytest.raises(PumpError, match="is made anew"):
            client.graph(1, UTC_NS + 1)
        assert len(client.graph(1, UTC_NS + 1).glucose) == 50


def test_an_export_with_a_report_is_made_when_asked_and_the_keeper_says_where(
    folder: Path, keeper: Keeper
) -> None:
    with KeeperClient(keeper.path) as client, closing(SqliteLedger(folder / "ledger.db")) as ledger:
        ledger.append([reading(number, 100, number) for number in range(20)])
        client.graph(1, UTC_NS)
        with pytest.raises(PumpError, match="'no-such-stick' is not one of here"):
            client.export("no-such-stick")
        assert client.keeper().targets == ["here"]
        client.export()
        for _ in range(400):
            job = next(one for one in client.keeper().jobs if one.name == "export")
            if job.ok is not None:
                break
            threading.Event().wait(0.1)  # at most 20 requests a second
    assert job.ok, job.text
    assert "12 files in" in job.text
    (made,) = (folder / "exports").iterdir()
    assert (made / "report.pdf").read_bytes().startswith(b"%PDF")
    assert (made / "nightscout" / "entries.json").exists()
