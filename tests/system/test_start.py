"""What a person reads when the pump cannot start, and the demo from its first word to its last."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from demo_harness import RunningDemo, wait_for

from appliance.adapters.ledger import LedgerReader
from appliance.client.errors import NoPump, OutcomeUnknown, PumpFailed

pytestmark = pytest.mark.timeout(150)
PUMPCTL = [sys.executable, "-P", "-m", "appliance.cli"]


def pumpctl(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*PUMPCTL, "--dir", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def asked(folder: Path, *words: str) -> Any:
    done = pumpctl(folder, *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_demo_delivers_what_the_readme_promises(tmp_path: Path) -> None:
    demo = RunningDemo(tmp_path / f"D{len(list(tmp_path.iterdir()))}", speed=60).start()
    try:
        deliver_as_promised(demo)
    finally:
        demo.stop()


def test_f15_on_a_computer_that_has_slept_a_day_every_program_reads_the_same_clock(
    tmp_path: Path,
) -> None:
    asleep = ["unshare", "--time", "--boottime", "86400", "--kill-child=TERM"]
    if subprocess.run([*asleep, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT RUN: needs a time namespace (unshare --time), which root may make")
    demo = RunningDemo(tmp_path / "D", speed=60)
    demo.words[:0] = asleep
    demo.start()
    assert demo.process is not None
    launcher = Path(f"/proc/{demo.process.pid}/task/{demo.process.pid}/children").read_text()
    try:
        ahead_s = (demo.bench()["now_ns"] - time.monotonic_ns()) / 1e9
        assert 86_000 < ahead_s < 86_500, "its clock is a day ahead of this test's"
        deliver_as_promised(demo)
        demo.never_bursts()
        assert [
            row for row in asked(demo.folder, "history")["rows"] if row["kind"] == "sleep"
        ] == []
    finally:
        os.kill(int(launcher), signal.SIGTERM)  # unshare itself takes no notice of one
        wait_for(lambda: demo.process is None or demo.process.poll() is not None, "it ended", 40)
        demo.stop()


def deliver_as_promised(demo: RunningDemo) -> None:
    folder = demo.folder
    demo.moved_since(demo.truth_steps(), 2)
    done = pumpctl(folder, "bolus", "2.5", "--yes", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BENCH" in done.stdout
    proposed = asked(folder, "calc", "--carbs", "45", "--glucose", "180")
    assert (proposed["food_u"], proposed["correction_u"]) == (4.5, 1.75)
    assert 2.3 < proposed["iob_u"] <= 2.6  # the bolus of a moment ago
    assert pumpctl(folder, "suspend").returncode == 0
    rows = [row for row in asked(folder, "history")["rows"] if row["kind"] == "bolus"]
    assert rows[0]["programmed_uu"] == 2_500_000
    steps = {rows[0][f"{word}_steps"] for word in ("programmed", "issued", "confirmed", "maximum")}
    assert len(steps) == 1
    verdict, truth = asked(folder, "verify"), asked(folder, "bench", "status")
    assert verdict["ok"]
    assert verdict["confirmed_steps"] == verdict["maximum_steps"] == truth["steps_forward"]
    steps_rows = asked(folder, "history", "--steps")["rows"]
    bolus = next(row for row in steps_rows if row["id"] == rows[0]["id"])
    assert sum(lease["confirmed_steps"] for lease in bolus["leases"]) >= steps.pop()
    status = asked(folder, "status")
    assert {"state", "basal_uu_per_h", "reservoir_uu", "delivering", "alarms", "pids"} <= set(
        status
    )
    assert {"pumpd", "pump-stepper", "pump-guard"} <= set(status["pids"])


def test_a_new_pump_moves_nothing_until_it_is_set_up(tmp_path: Path) -> None:
    running = RunningDemo(tmp_path / "D", speed=60)
    running.words.append("--first-start")
    running.start()
    try:
        done = pumpctl(running.folder, "resume")
        assert done.returncode == 1
        for reason in ("no limits", "no basal profile", "no cartridge"):
            assert reason in done.stdout + done.stderr
        assert pumpctl(running.folder, "bolus", "1", "--yes").returncode == 1
        assert running.truth_steps() == 0
    finally:
        running.stop()


def test_a_demo_leaves_no_program_behind_and_comes_back_to_its_ledger(tmp_path: Path) -> None:
    first = RunningDemo(tmp_path / "D", speed=60).start()
    pids = [pid for pid in first.status().pids.values() if pid]
    first.stop()
    assert first.process is not None
    assert first.process.returncode == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    rows = first.verdict().rows
    second = RunningDemo(tmp_path / "D", speed=60).start()
    try:
        assert second.status().state in ("running", "faulted")
        assert second.verdict().rows > rows
    finally:
        second.stop()


def test_sr_56_a_pump_that_starts_with_a_trip_of_its_guard_finds_no_lamp_dead(
    tmp_path: Path,
) -> None:
    """Its alarm acknowledged, the trip's red lamp flashes on until the resume."""
    demo = RunningDemo(tmp_path / "D").start()
    try:
        os.kill(demo.pid("pump-stepper"), signal.SIGKILL)
        demo.state_is("faulted")
    finally:
        demo.stop()
    demo = RunningDemo(tmp_path / "D").start()
    try:
        rows_before = len(checks_of(demo))
        pumpctl(demo.folder, "ack", "--all")
        refused = pumpctl(demo.folder, "check-signals", "--yes")
        assert "resume, then check" in refused.stderr
        demo.recover()
        wait_for(lambda: len(checks_of(demo)) > rows_before, "light and sound are checked", 30)
        assert {one["missing"] for one in checks_of(demo)} == {""}
        assert demo.status().raw["alarms"] == []
    finally:
        demo.stop()


def checks_of(demo: RunningDemo) -> list[Any]:
    with contextlib.closing(LedgerReader(demo.places.ledger)) as reader:
        found = [row.entry.body for row in reader.rows() if row.entry.kind == "signals"]
    return [body for body in found if body["event"] == "checked"]


# ---------------------------------------------------------------------- what cannot start


def test_sr_42_f70_a_broken_chain_names_the_row_and_nothing_moves(tmp_path: Path) -> None:
    import sqlite3

    folder = tmp_path / "D"
    first = RunningDemo(folder, speed=60).start()
    first.moved_since(first.truth_steps(), 3)
    first.stop()
    with sqlite3.connect(folder / "state" / "ledger.db") as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(
            "UPDATE entries SET text = replace(text, '\"steps\":27', '\"steps\":28') "
            "WHERE kind = 'lease'"
        )
        row = db.execute("SELECT min(seq) FROM entries WHERE kind = 'lease'").fetchone()[0]
    db.close()
    words = [sys.executable, "-P", "-m", "appliance.pumpd"]
    words += [f"--config={folder / 'benchpump.toml'}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert f"broken at row {row}" in done.stderr
    seen = pumpctl(folder, "status")
    assert seen.returncode == 3
    assert f"broken at row {row}" in seen.stdout + seen.stderr
    verdict = pumpctl(folder, "verify")
    assert verdict.returncode == 1
    assert str(row) in verdict.stdout


def test_f12_a_program_that_dies_at_every_start_is_left_alone_after_three_restarts(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "D"
    demo = RunningDemo(folder, speed=60).start()
    try:
        before = 0
        for _ in range(4):
            before = another(demo, "pump-guard", before)
            os.kill(before, signal.SIGKILL)
        wait_for(lambda: "stays stopped" in demo.said(), "the demo gives up", 10.0)
        assert demo.status().state == "faulted"
    finally:
        demo.stop()


def test_sr_55_a_pumpd_that_dies_at_every_start_stays_stopped_with_the_alarm_on(
    tmp_path: Path,
) -> None:
    demo = RunningDemo(tmp_path / "D", speed=1).start()
    try:
        before = 0
        for _ in range(4):
            before = another(demo, "pumpd", before)
            os.kill(before, signal.SIGKILL)
        wait_for(lambda: "pumpd ended with status -9 and stays stopped" in demo.said(), "it ends")
        moved = demo.truth_steps()
        status = pumpctl(demo.folder, "status")
        assert status.returncode == 3
        assert "started four times within five minutes" in status.stdout + status.stderr
        # The guard's own alarm: the red lamp flashes twice a second, and it sounds.
        for wire, changes in (("lamp_high", 8), ("buzzer", 4)):
            before = changes_of(demo, wire)
            wait_for(lambda: changes_of(demo, wire) >= before + changes, f"{wire} works")  # noqa: B023
        assert not demo.bench()["enable"]
        assert demo.truth_steps() == moved
    finally:
        demo.stop()


def changes_of(demo: RunningDemo, wire: str) -> int:
    return len(demo.bench("traces", last=4096)["signals"].get(wire, []))


def another(demo: RunningDemo, program: str, before: int) -> int:
    """Wait for a program other than the last one of its name; return its process."""

    def up() -> int:
        with contextlib.suppress(NoPump, OutcomeUnknown, PumpFailed):
            pid = int(demo.status().pids.get(program) or 0)
            return pid if pid != before else 0
        return 0

    return int(wait_for(up, f"another {program} is up", 30.0))
