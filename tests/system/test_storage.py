"""The disk fails under the real programs: errors, no room, stalls, flipped bits, another file (F17
to F27, F70). The plant is the oracle: confirmed <= truth <= maximum, and nobody dies of it.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import pytest
from demo_harness import (
    LEASE_STEPS,
    RunningDemo,
    gone,
    running_demo,
    wait_for,
)
from injected import injected, ledger_thread

from appliance.adapters.clock import real_monotonic_ns
from appliance.adapters.ledger import LedgerReader
from appliance.client.errors import NoPump, OutcomeUnknown, PumpFailed, Refused
from appliance.client.keeper import KeeperClient
from appliance.client.messages import Dose
from appliance.client.pump import new_request_id
from appliance.verify import verify

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(300)]
BOLUS_UU = 2_000_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("storage") / "D", speed=60) as one:
        yield one


@pytest.fixture
def demo(running: RunningDemo) -> RunningDemo:
    running.recover()
    return running


# --- The disk gives errors ------------------------------------------------------------------------


def bounded(demo: RunningDemo) -> None:
    """The truth lies between the bounds, whatever state the disk is in."""
    before = demo.verdict()
    truth = demo.truth_steps()
    after = demo.verdict()
    assert before.ok, before.reasons
    assert before.confirmed_steps <= truth <= after.maximum_steps


def stands(demo: RunningDemo) -> None:
    """Nothing moves: the motor is without ENABLE and stays where it is."""
    wait_for(lambda: not demo.bench()["enable"], "ENABLE is off", 10.0)
    before = demo.truth_steps()
    threading.Event().wait(0.5)  # the span in which it has to stand is what is tested
    assert demo.truth_steps() == before


def alarmed(demo: RunningDemo, name: str, limit_s: float = 15.0) -> str:
    def found() -> str:
        with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed):
            texts = [one.text for one in demo.status().alarms if one.name == name]
            return texts[0] if texts else ""
        return ""

    return str(wait_for(found, f"alarm {name!r}", limit_s))


def readable(demo: RunningDemo) -> None:
    """History is there for everybody who only reads."""
    with KeeperClient(demo.places.keeper_socket) as keeper:
        assert list(keeper.history(rows=3))


def closed_once(demo: RunningDemo, request_id: str) -> Dose:
    """The dose is known by its id, entered once and closed once, within its bounds."""
    with demo.pump() as pump:
        dose = pump.lookup(request_id)
    assert dose is not None
    assert not dose.running
    assert dose.confirmed_steps <= dose.maximum_steps <= dose.programmed_steps
    with contextlib.closing(LedgerReader(demo.places.ledger)) as reader:
        kinds = [row.entry.kind for row in reader.find_request(request_id)]
    assert kinds == ["intent", "closed"]
    return dose


def healed(demo: RunningDemo, request_id: str) -> Dose:
    """The disk is well again: all is accounted for, and after a person's word it delivers."""
    demo.settle()
    dose = closed_once(demo, request_id)
    bounded(demo)
    stands(demo)
    demo.recover()
    with demo.bolus(500_000) as after:
        pass

    def complete() -> bool:
        with demo.pump() as pump:
            found = pump.lookup(after.id)
        return found is not None and found.complete

    wait_for(complete, "the next bolus is delivered", 40.0)
    bounded(demo)
    assert "Traceback" not in demo.log_of("pumpd")
    return dose


FAULTS = {
    "f19 EIO once": ["fdatasync:error=EIO:when=3"],
    "f19 EIO for ever": ["fdatasync:error=EIO:when=2+"],
    "f17 no room": ["pwrite64:error=ENOSPC:when=4+"],
    "f18 read-only": ["pwrite64:error=EROFS:when=4+", "openat:error=EROFS"],
    "f27 the card is pulled": [
        f"{call}:error=EIO:when=2+"
        for call in ("fdatasync", "pwrite64", "pread64", "openat", "newfstatat", "ftruncate")
    ],
}
ALWAYS = ("f19 EIO once", "f27 the card is pulled")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=() if what in ALWAYS else pytest.mark.full, id=what)
        for what in FAULTS
    ],
)
def test_f17_f18_f19_f27_an_error_of_the_disk_stops_the_motor_and_nothing_is_lost_or_repeated(
    demo: RunningDemo, what: str
) -> None:
    request_id = new_request_id()
    before = demo.truth_steps()
    with demo.bolus(BOLUS_UU, request_id):
        demo.moved_since(before, 2 * LEASE_STEPS)
        pid = demo.pid("pumpd")
        with injected(ledger_thread(pid), demo.folder, *FAULTS[what]) as log:
            text = alarmed(demo, "Ledger failure")
            demo.state_is("faulted")
            stands(demo)
            bounded(demo)
            readable(demo)
            if "once" not in what:
                with demo.pump() as pump:
                    review = pump.review(new_request_id(), BOLUS_UU)
                assert review.token is None, "no bolus while what became of the last rows is open"
                assert any("ledger" in one.code for one in review.reasons)
                assert lit(demo), "lamp and buzzer are the guard's, and need no disk"
            assert "INJECTED" in log.read_text()
    assert demo.pid("pumpd") == pid, "pumpd lives through it"
    dose = healed(demo, request_id)
    assert dose.certain, "an error of the disk leaves no step uncounted"
    sys.stdout.write(f"{what}: {text}; {dose.confirmed_steps} of {dose.programmed_steps} steps\n")


def lit(demo: RunningDemo) -> bool:
    """Wait until the red lamp and the buzzer have both been on since now."""
    since_ns = real_monotonic_ns()

    def both() -> bool:
        traces = demo.bench("traces", last=64)["signals"]
        return all(
            any(level for at, level in traces[line] if at >= since_ns)
            for line in ("lamp_high", "buzzer")
        )

    return bool(wait_for(both, "lamp and buzzer are on", 15.0))


def test_f20_sr_35_a_sync_of_2_s_has_the_motor_wait_at_a_leases_end_and_makes_nothing_up(
    demo: RunningDemo,
) -> None:
    request_id = new_request_id()
    before = demo.truth_steps()
    with demo.bolus(BOLUS_UU, request_id):
        demo.moved_since(before, 2 * LEASE_STEPS)
        stall = "fdatasync:delay_enter=2000000:when=2"
        with injected(ledger_thread(demo.pid("pumpd")), demo.folder, stall):
            demo.moved_since(before, 500)

        def ended() -> bool:
            with demo.pump() as pump:
                dose = pump.lookup(request_id)
            return dose is not None and not dose.running

        wait_for(ended, "the bolus ends", 60.0)
    dose = closed_once(demo, request_id)
    assert dose.complete
    assert dose.certain
    assert dose.confirmed_steps == dose.programmed_steps
    instants = [at for at, level in demo.bench("traces", last=4096)["step"] if level]
    gaps = [after - at for at, after in pairwise(instants)]
    assert max(gaps[-1_000:]) > 1_000_000_000, "it has waited"
    assert min(gaps) >= 1_999_000, "and made nothing up"
    assert demo.status().state == "running"


@pytest.mark.full
def test_f20_a_sync_of_30_s_ends_the_dose_and_the_pump_comes_back(demo: RunningDemo) -> None:
    request_id = new_request_id()
    before = demo.truth_steps()
    with demo.bolus(BOLUS_UU, request_id):
        demo.moved_since(before, 2 * LEASE_STEPS)
        stall = "fdatasync:delay_enter=30000000:when=2"
        with injected(ledger_thread(demo.pid("pumpd")), demo.folder, stall):
            text = alarmed(demo, "Steps came late")
            assert "more than 5 s" in text
            stands(demo)
            bounded(demo)
            readable(demo)
            wait_for(lambda: demo.verdict().open_leases == 0, "the disk goes on", 60.0)
    assert healed(demo, request_id).certain


# --- Another file than the one that pumpd left (F22, F24, F25) ------------------------------------


@contextlib.contextmanager
def between_two_starts(demo: RunningDemo, number: signal.Signals) -> Iterator[Path]:
    """End pumpd, and keep whoever restarts it from doing so while the block runs."""
    assert demo.process is not None
    pid = demo.pid("pumpd")
    demo.process.send_signal(signal.SIGSTOP)
    try:
        os.kill(pid, number)
        wait_for(lambda: gone(pid), "pumpd has ended")
        yield demo.places.ledger
    finally:
        demo.process.send_signal(signal.SIGCONT)
    wait_for(lambda: demo_pid(demo) not in (0, pid), "pumpd is there again", 40.0)


def demo_pid(demo: RunningDemo) -> int:
    with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed):
        return demo.pid("pumpd")
    return 0


def blocked(demo: RunningDemo) -> str:
    """Earlier doses are unknown: nothing is delivered until a person has said so (SR-42)."""
    text = alarmed(demo, "Earlier doses unknown", 40.0)
    demo.state_is("faulted")
    with demo.pump() as pump:
        assert pump.review(new_request_id(), BOLUS_UU).token is None
        with pytest.raises(Refused, match="acknowledge"):
            pump.resume()
    assert not demo.bench()["enable"]
    return text


def test_f24_sr_42_an_older_copy_in_the_ledgers_place_is_found_and_delivery_is_blocked(
    demo: RunningDemo, tmp_path: Path
) -> None:
    older = Path(mkdtemp(dir=tmp_path)) / "ledger.db"
    with between_two_starts(demo, signal.SIGTERM) as ledger:
        shutil.copy(ledger, older)
    demo.state_is("running")
    request_id, before = new_request_id(), demo.truth_steps()
    with demo.bolus(500_000, request_id):
        demo.moved_since(before, 200)
    with between_two_starts(demo, signal.SIGTERM) as ledger:
        shutil.copy(older, ledger)
    assert "later or another history" in blocked(demo)
    with demo.pump() as pump:
        assert pump.lookup(request_id) is None
    demo.recover()
    assert demo.verdict().ok
    assert "Traceback" not in demo.log_of("pumpd")


def log_taken_away(ledger: Path) -> None:
    Path(f"{ledger}-wal").unlink()


def taken_away(ledger: Path) -> None:
    for name in ledger.parent.glob("ledger.db*"):
        name.unlink()


@pytest.mark.full
@pytest.mark.parametrize("harm", [log_taken_away, taken_away])
def test_f24_f25_sr_42_a_ledger_that_was_lost_is_noticed_and_delivery_is_blocked(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    demo = RunningDemo(Path(mkdtemp(dir=tmp_path)) / "D", speed=60).start()
    try:
        demo.widen()
        with demo.bolus(500_000):
            demo.moved_since(0, 200)
        with between_two_starts(demo, signal.SIGKILL) as ledger:
            harm(ledger)
        assert "later or another history" in blocked(demo)
        assert "Traceback" not in demo.log_of("pumpd")
    finally:
        demo.stop()


# --- What cannot be trusted keeps pumpd down, with the reason (F23, F25, F26, F70) ----------------


class AtRest:
    """What a demo has left: the folder of a pump that ended cleanly."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "benchpump.toml"
        self.ledger = folder / "state" / "ledger.db"

    def started(self, configuration: Path | None = None, *before: str) -> tuple[int, str]:
        """Start pumpd alone; return its status and the reasons that it leaves. It may not stay."""
        words = [*before, sys.executable, "-P", "-m", "appliance.pumpd"]
        words += [f"--config={configuration or self.configuration}"]
        words += [f"--clock-file={self.folder / 'clock.json'}", f"--runtime={self.folder / 'run'}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        why = self.folder / "run" / "pumpd.why"
        return done.returncode, why.read_text() if why.exists() else done.stderr


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> AtRest:
    """A pump at rest with a bolus in its ledger."""
    demo = RunningDemo(tmp_path_factory.mktemp("rest") / "D", speed=60).start()
    try:
        demo.widen()
        with demo.bolus(1_000_000):
            demo.moved_since(0, 300)
    finally:
        demo.stop()
    rest = AtRest(demo.folder)
    (rest.folder / "run").mkdir(exist_ok=True)
    assert verify(rest.ledger).ok
    return rest


@pytest.fixture
def rest(left: AtRest) -> Iterator[AtRest]:
    """The same, put back afterwards as it was."""
    kept = left.ledger.read_bytes()
    yield left
    for old in left.ledger.parent.glob("ledger.db*"):
        old.chmod(0o600)
        old.unlink()
    left.ledger.write_bytes(kept)


def flipped(ledger: Path) -> None:
    raw = bytearray(ledger.read_bytes())
    raw[raw.index(b'"number":2') - 20] ^= 4
    ledger.write_bytes(raw)


def cut(ledger: Path) -> None:
    os.truncate(ledger, ledger.stat().st_size // 2)


def another_log(ledger: Path) -> None:
    """Leave the log of another ledger beside this one."""
    other = ledger.parent / "other"
    other.mkdir()
    with contextlib.closing(sqlite3.connect(other / "ledger.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE recipes (name TEXT)")
        db.commit()
        shutil.copy(other / "ledger.db-wal", f"{ledger}-wal")
    shutil.rmtree(other)


def edited(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger)) as db, db:
        db.execute("DROP TRIGGER entries_no_update")
        db.execute("UPDATE entries SET text = replace(text, '27', '28') WHERE kind = 'lease'")


def row_deleted(ledger: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger)) as db, db:
        db.execute("DROP TRIGGER entries_no_delete")
        db.execute("DELETE FROM entries WHERE seq = 9")


def forbidden(ledger: Path) -> None:
    ledger.chmod(0)


HARMS: dict[Callable[[Path], None], str] = {
    flipped: "broken at row",
    cut: "",
    edited: "broken at row",
    row_deleted: "broken at row 9",
    another_log: "a database of something else",
    forbidden: "this user may not read it",
}


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(harm, marks=() if harm in (flipped, forbidden) else pytest.mark.full)
        for harm in HARMS
    ],
)
def test_f23_f24_f25_f26_f70_a_ledger_that_cannot_be_trusted_keeps_pumpd_down_with_the_reason(
    rest: AtRest, harm: Callable[[Path], None]
) -> None:
    harm(rest.ledger)
    before = rest.ledger.read_bytes() if harm is not forbidden else b""
    user: list[str] = []
    if harm is forbidden and os.geteuid() == 0:
        user = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    status, why = rest.started(None, *user)
    assert status == 1
    assert str(rest.ledger) in why
    assert HARMS[harm] in why
    if before:
        assert rest.ledger.read_bytes() == before, "it is kept for study"


def test_f23_a_damaged_configuration_is_named_and_pumpd_does_not_start(
    left: AtRest, tmp_path: Path
) -> None:
    path = tmp_path / "benchpump.toml"
    path.write_bytes(left.configuration.read_bytes().replace(b"lease_uu", b"mease_uu"))
    status, why = left.started(path)
    assert status == 2
    assert "mease_uu" in why


@pytest.mark.full
def test_f26_a_folder_that_is_not_there_is_named(left: AtRest, tmp_path: Path) -> None:
    path = tmp_path / "benchpump.toml"
    text = left.configuration.read_text()
    path.write_text(text.replace(str(left.ledger.parent), str(tmp_path / "none")))
    status, why = left.started(path)
    assert status == 1
    assert str(tmp_path / "none") in why
    assert "No such file or directory" in why


def test_f18_on_a_disk_that_is_read_only_pumpd_says_so_and_history_is_readable(
    rest: AtRest,
) -> None:
    state = rest.ledger.parent
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    namespace = ["unshare", "-rm", "sh", "-c", mount, "sh", str(state)]
    allowed = subprocess.run([*namespace, "true"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("NOT RUN: needs user and mount namespaces (unshare -rm)")
    status, why = rest.started(None, *namespace)
    assert status == 1
    assert "Read-only file system" in why
    done = subprocess.run(
        [*namespace, sys.executable, "-P", "-m", "appliance.verify", str(rest.ledger)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
